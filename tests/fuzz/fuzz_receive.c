/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a standby's log takes of another node's: records that follow, and such as do not in each way there is, cut anywhere. It takes
 * exactly those that follow, and its file has their bytes.
 */
#include "annals.h"
#include "bytes.h"
#include "fuzz.h"
#include "log.h"
#include "memory_disk.h"
#include "pair.h"
#include "progress.h"
#include "scan.h"
#include "supply.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT 65536u
#define STREAM 8192u
#define REIGNS 4u                        /* no epoch above this may be taken */

struct stream {
	uint8_t bytes[STREAM];
	size_t len;
	struct log_start last;           /* what the sender's log ends with */
};

static uint32_t put_body(struct input *in, uint8_t type, uint8_t *to)
{
	struct pair pair = {.nodes = take_byte(in) % 2 + 1u, .node = {1, 2}, .name = {"here", "there"}};
	const uint8_t *from;
	size_t len;

	if (type == RECORD_PAIR)
		return (uint32_t)pair_encode(&pair, to);
	from = take_bytes(in, take_byte(in) % 40, &len);
	memcpy(to, from, len);
	return (uint32_t)len;
}

/* One record more, which mostly follows. */
static void put(struct stream *s, struct input *in)
{
	uint8_t *at = s->bytes + s->len, wrong = take_byte(in), how = take_byte(in);
	struct record r = {.type = RECORD_MESSAGES, .messages = 1, .pos = s->last.pos, .epoch = s->last.epoch, .queue = 1024u + how % 3,
		.offset = take_byte(in), .time = s->last.time + how % 4, .prev = s->last.chain};
	struct iovec iov = {at + RECORD_HEADER, 0};

	memset(at, 0, RECORD_HEADER + 256);
	if (how % 8 == 0 || s->last.pos == 0)
		r.type = RECORD_EPOCH, r.epoch = (struct epoch){r.epoch.reign + how / 128, r.epoch.start + 1, 7};
	else if (how % 8 == 1)
		r.type = RECORD_PAIR;
	switch (wrong) {
	case 1: r.prev++; break;
	case 2: r.pos += 8; break;
	case 3: r.time -= 5; break;
	case 4: r.epoch.start++; break;
	case 5: r.epoch.reign--; break;
	case 6: r.type = RECORD_EPOCH; break;
	case 7: r.type = how; break;
	}
	r.length = put_body(in, r.type, at + RECORD_HEADER);
	if (wrong == 8 && r.length)
		at[RECORD_HEADER + how % r.length] ^= 1;
	iov.iov_len = r.length;
	r.body_sum = record_body_sum(fuzz_secret, &iov, 1) ^ (wrong == 9);
	record_encode(&r, fuzz_secret, at);
	if (wrong == 10)
		at[how % RECORD_HEADER] ^= 4;
	s->len += record_size(r.length);
	s->last = (struct log_start){s->last.pos + record_size(r.length), r.sum, r.epoch, r.time};
}

/* ---- the model ---- */

static bool may_follow(const struct record *r, const struct log_start *last)
{
	struct epoch upto = {REIGNS, 0, 0};
	int step = epoch_compare(&r->epoch, &last->epoch);

	return r->prev == last->chain && r->time >= last->time && epoch_compare(&r->epoch, &upto) <= 0 &&
		(r->type == RECORD_EPOCH ? step > 0 : step == 0);
}

/* Bytes of whole records that follow LAST, which moves. */
static size_t following(const uint8_t *bytes, size_t len, struct log_start *last)
{
	struct record r;
	struct pair pair;
	size_t at = 0;

	while (len - at >= RECORD_HEADER && record_decode(&r, fuzz_secret, bytes + at, last->pos) == 0) {
		if (record_size(r.length) > len - at || record_check_body(&r, fuzz_secret, bytes + at + RECORD_HEADER) || !may_follow(&r, last))
			break;
		if (r.type == RECORD_PAIR && pair_decode(&pair, bytes + at + RECORD_HEADER, r.length))
			break;
		at += record_size(r.length);
		*last = (struct log_start){last->pos + record_size(r.length), r.sum, r.epoch, r.time};
	}
	return at;
}

/* ---- the log ---- */

static void same_file(struct disk *d, const uint8_t *bytes, size_t len)
{
	size_t file_len;
	const uint8_t *file = memory_disk_get(d, "log/0000000000000000", &file_len);

	must(len == 0 || (file && file_len >= SEGMENT_HEADER + len && memcmp(file + SEGMENT_HEADER, bytes, len) == 0));
}

static void in_order(struct annals *a)
{
	struct epoch_row *row;
	size_t count;

	must(annals_epochs(a, &row, &count) == 0);
	for (size_t n = 1; n < count; n++)
		must(row[n].start > row[n - 1].start && epoch_compare(&row[n].epoch, &row[n - 1].epoch) > 0);
	free(row);
}

static void receive(struct log *l, struct disk *d, const struct stream *s, struct input *in)
{
	struct epoch upto = {REIGNS, 0, 0};
	struct log_start last = {0};
	size_t at = 0;

	for (unsigned tries = 0; at < s->len && tries < 64; tries++) {
		size_t piece = take_byte(in) % 2 ? s->len - at : take_number(in, 2) % (s->len - at) + 1, took, wanted;
		uint8_t *copy = malloc(piece);
		int err;

		memcpy(copy, s->bytes + at, piece);
		wanted = following(copy, piece, &last);
		err = log_receive(l, copy, piece, 0, &upto, false, &took);
		free(copy);
		must(took == wanted && err == (wanted == piece ? 0 : -EBADMSG));
		at += took;
		must(log_end(l) == at && log_written(l) == at && log_tail(l).chain == last.chain);
		same_file(d, s->bytes, at);
	}
}

int fuzz(const uint8_t *bytes, size_t len)
{
	static struct stream s;
	struct input in = {bytes, len};
	struct log_settings settings = {.segment_size = SEGMENT};
	struct log_start start = {0};
	struct disk *d = memory_disk_new();
	struct progress progress;
	struct segments *segments;
	struct supply *supply;
	struct log *l;
	uint64_t to;

	s.len = 0;
	s.last = start;
	for (unsigned n = take_byte(&in) % 20; n > 0 && s.len < STREAM - 1024; n--)
		put(&s, &in);
	progress_init(&progress);
	must(annals_new(&settings.annals) == 0);
	settings.progress = &progress;
	must(segments_new(&segments, d, fuzz_secret) == 0);
	must(supply_new(&supply, d, SEGMENT_HEADER + SEGMENT) == 0);
	must(log_new(&l, d, fuzz_secret, 7, segments, supply, &start, &settings) == 0);
	receive(l, d, &s, &in);
	must(log_sync(l, &to) == 0 && to == log_end(l));
	in_order(settings.annals);
	log_free(l);
	supply_free(supply);
	segments_free(segments);
	annals_free(settings.annals);
	progress_destroy(&progress);
	disk_free(d);
	return 0;
}
