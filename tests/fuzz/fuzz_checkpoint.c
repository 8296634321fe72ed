/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints with a right checksum and anything in them. What is found valid is loaded, and the state it makes is written as the same
 * bytes. No other changes a bit and passes.
 */
#include "bare_store.h"
#include "bytes.h"
#include "checkpoint.h"
#include "fuzz.h"
#include "pair.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HEADER 128u
#define EPOCH 40u
#define EPOCHS 8u                        /* of one that is built */
#define ROOM 8192u

static void seal(uint8_t *bytes, size_t len)
{
	memcpy(bytes, "MQFS-CKP", 8);
	put32(bytes + 8, bytes[8] == 1 ? 1 : FORMAT_VERSION);
	put64(bytes + 64, len);
	put64(bytes + len - 8, XXH3_64bits_withSecret(bytes, len - 8, fuzz_secret, RECORD_SECRET));
}

static bool same_names(struct store *s, const uint8_t *bytes, size_t len)
{
	struct checkpoint_info info;

	return checkpoint_decode(bytes, len, fuzz_secret, s, &info) == -EBADMSG;
}

/* Reserved bytes are written as zeros and not looked at, and an older format is written as the newest. */
static bool has_reserved(struct store *s, const uint8_t *bytes, const uint8_t *again, size_t len)
{
	bool reserved = get32(bytes + 12) || get32(bytes + 100);
	size_t at = HEADER + get32(bytes + 116) + get32(bytes + 112) * EPOCH;
	struct topic *t;

	if (get32(bytes + 8) == 1)
		return true;
	for (size_t n = 0; (t = topic_at(s->topics, n)); n++) {
		reserved |= get16(bytes + at + 46) != 0;
		at += 48 + 8u * (unsigned)__builtin_popcount(t->own_set) + strlen(t->name) + 60u * t->count;
	}
	must(at + 8 == len);
	return reserved || memcmp(bytes, again, len) == 0;
}

static void decode(const uint8_t *bytes, size_t len)
{
	struct checkpoint_info info;
	struct store s;
	uint8_t *again;
	size_t again_len;
	int err = checkpoint_decode(bytes, len, fuzz_secret, NULL, &info);

	must(err == 0 || err == -EBADMSG);
	if (err)
		return;
	must(info.size == len && info.pos == get64(bytes + 24));
	bare_store_init(&s);
	s.id.cluster = get64(bytes + 16);
	if (!same_names(&s, bytes, len)) {
		struct topic *t;

		for (size_t n = 0; (t = topic_at(s.topics, n)); n++) {
			must(topic_name_check(t->name) == 0 && topic_with_name(s.topics, t->name, strlen(t->name)) == t);
			must(topic_with_id(s.topics, t->id) == t && t->id <= *topics_counter(s.topics));
			must(t->count >= 1 && t->count <= QUEUES_MAX);
			for (uint32_t i = 0; i < t->count; i++)
				must(topic_queue(t, i)->head <= topic_queue(t, i)->committed);
		}
		again = bare_store_state(&s, &again_len);
		must(get32(bytes + 8) == 1 || again_len == len);
		must(has_reserved(&s, bytes, again, len));
		free(again);
	}
	bare_store_end(&s);
}

static void changed_bit(uint8_t *bytes, size_t len, size_t bit)
{
	struct checkpoint_info info;

	bit %= len * 8;
	bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	must(checkpoint_decode(bytes, len, fuzz_secret, NULL, &info) == -EBADMSG);
}

static uint8_t *put_rest(uint8_t *to, size_t max, struct input *in)
{
	size_t len;
	const uint8_t *from = take_bytes(in, max, &len);

	memcpy(to, from, len);
	return to + max;
}

/* A pair and epochs from the log before the position. */
static uint8_t *build_annals(struct input *in, uint8_t *bytes)
{
	struct pair pair = {.nodes = take_byte(in) % 3, .min_standbys = take_byte(in) % 2, .stopped = take_byte(in), .node = {take_byte(in), take_byte(in)},
		.name = {"here", "there"}};
	unsigned epochs = take_byte(in) % (EPOCHS + 1);
	uint64_t start = take_byte(in);
	uint8_t *to = bytes + HEADER;

	if (pair.nodes)
		to += pair_encode(&pair, to);
	put32(bytes + 116, (uint32_t)(to - bytes - HEADER));
	put64(bytes + 120, pair.nodes ? take_byte(in) + 1u : 0);
	put32(bytes + 112, epochs);
	for (; epochs > 0; epochs--) {
		uint8_t *epoch = to;

		to = put_rest(to, EPOCH, in);
		put64(epoch + 16, start);
		put64(epoch + 32, epoch[32] % 2);
		start += take_byte(in) + 1u;
	}
	put64(bytes + 24, get64(bytes + 24) / 2 + start + 300);
	return to;
}

/* One with as many topics, values and queues as it says; their ids, names and numbers are the input's. */
static size_t build(struct input *in, uint8_t *bytes)
{
	uint8_t *to, *end = bytes + ROOM - 2048;
	uint64_t topics = 0, id = 0;

	put_rest(bytes, HEADER, in);
	bytes[8] = 0;
	to = build_annals(in, bytes);
	while (in->len > 0 && to < end) {
		uint32_t own = take_byte(in) % 4 ? 0 : take_byte(in) & ((1u << SETTINGS) - 1), queues = take_byte(in) % 4 + 1u;
		uint8_t *topic = to, name = take_byte(in) % 8 + 1u;

		id += take_byte(in) % 3 + 1u;
		to = put_rest(to, 48, in);
		put64(topic, id);
		put32(topic + 36, queues);
		put32(topic + 40, own);
		topic[44] %= 2;
		topic[45] = name;
		for (unsigned n = 0; n < SETTINGS; n++)
			if (own & 1u << n) {
				put64(to, take_number(in, take_byte(in) % 9));
				to += 8;
			}
		to = put_rest(to, name, in);
		for (uint32_t n = 0; n < queues; n++) {
			uint8_t *queue = to;

			to = put_rest(to, 60, in);
			put64(queue, get64(queue) >> 1);
			put64(queue + 32, get64(queue + 32) % (get64(queue) + 1));
		}
		topics++;
	}
	put64(bytes + 72, topics);
	put64(bytes + 80, id + bytes[80]);
	return (size_t)(to - bytes) + 8;
}

int fuzz(const uint8_t *from, size_t len)
{
	struct input in = {from, len};
	uint8_t kind = take_byte(&in), *bytes;
	size_t bit = take_number(&in, 2), at = take_number(&in, 2);
	uint8_t value = take_byte(&in);

	if (kind % 4 < 2) {
		bytes = calloc(1, ROOM);
		len = build(&in, bytes);
		if (kind % 4 == 1)
			bytes[at % len] = value;
		bytes = realloc(bytes, len);     /* so that reading behind it is seen */
	} else {
		len = in.len;
		bytes = malloc(len + 1);
		memcpy(bytes, in.at, len);
	}
	if (kind % 4 != 3 && len >= HEADER + 8)
		seal(bytes, len);
	decode(bytes, len);
	if (kind % 4 == 0)
		changed_bit(bytes, len, bit);
	free(bytes);
	return 0;
}
