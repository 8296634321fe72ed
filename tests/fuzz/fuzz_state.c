/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay of any records: commands as they are written, nearly so, and others. A command that is refused changes nothing; what comes of all
 * of them is the same again, and the same from a checkpoint in between and the records from any place before it.
 */
#include "bare_store.h"
#include "bytes.h"
#include "checkpoint.h"
#include "fuzz.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS 24u
#define BODY 512u
#define STATE 64u                        /* where a checkpoint's header has said which position it is of, but for its size and counts */

struct applied {
	struct record r;
	uint8_t *body;                   /* of r.length bytes exactly */
};

/* ---- what is written ---- */

static uint64_t take_topic(struct input *in)
{
	uint8_t id = take_byte(in);

	return id < 200 ? id % 5 : id < 250 ? id % 50 : take_number(in, 8);
}

static uint64_t take_queue(struct input *in)
{
	uint64_t topic = take_topic(in);
	uint8_t n = take_byte(in);

	return topic << QUEUE_BITS | (n < 250 ? n % 4 : take_number(in, 2) % QUEUES_MAX);
}

static uint32_t put_setting(struct input *in, uint8_t *body)
{
	static const char *const names[] = {"commit", "framing", "partial", "max_message", "retention.age", "retention.size", "retention.pinned", "retired"};
	static const char *const values[] = {"default", "1", "0", "write", "fsync", "lines", "keep", "lost", "drop", "none", "4K", "7d", "2s"};
	uint8_t name = take_byte(in), value = take_byte(in);
	char name_text[32], value_text[64];

	name < 200 ? (void)strcpy(name_text, names[name % (sizeof names / sizeof *names)]) : (void)take_text(in, 0, name_text, sizeof name_text);
	value < 160 ? (void)strcpy(value_text, values[value % (sizeof values / sizeof *values)]) : (void)take_text(in, 0, value_text, sizeof value_text);
	put64(body, take_topic(in));
	memcpy(body + 8, name_text, strlen(name_text) + 1);
	memcpy(body + 8 + strlen(name_text) + 1, value_text, strlen(value_text) + 1);
	return (uint32_t)(8 + strlen(name_text) + 1 + strlen(value_text) + 1);
}

static uint32_t put_body(struct input *in, uint8_t type, uint8_t *body)
{
	size_t len;
	const uint8_t *from;
	uint32_t at = 0;

	switch (type) {
	case RECORD_TOPIC_CREATE:
		put64(body, take_number(in, 1));
		put32(body + 8, (uint32_t)take_number(in, 4));
		from = take_bytes(in, take_byte(in) % 4 + 1u, &len);
		memcpy(body + 12, from, len);
		return (uint32_t)(12 + len);
	case RECORD_TOPIC_REMOVE:
		put64(body, take_topic(in));
		return 8;
	case RECORD_TOPIC_QUEUES:
		put64(body, take_topic(in));
		put32(body + 8, take_byte(in) < 250 ? take_byte(in) % 8 : (uint32_t)take_number(in, 4));
		return 12;
	case RECORD_TOPIC_SET:
		return put_setting(in, body);
	case RECORD_OWNER:
		put64(body, take_topic(in));
		put64(body + 8, take_byte(in) % 2 ? 0 : get64(body) << QUEUE_BITS | take_byte(in) % 4);
		for (at = 16; at < 32; at += 4)
			put32(body + at, (uint32_t)take_number(in, 2));
		return 32;
	case RECORD_HEADS:
		for (uint8_t n = take_byte(in) % 5; n > 0; n--, at += 16) {
			put64(body + at, take_queue(in));
			put64(body + at + 8, take_number(in, take_byte(in) % 9));
		}
		return at;
	}
	return 0;
}

static uint64_t end_of(struct store *s, uint64_t queue)
{
	struct queue *q = queue_by_id(s, queue);

	return q ? q->committed : 0;
}

static void take_applied(struct store *s, struct input *in, struct applied *to)
{
	uint8_t body[BODY] = {0}, kind = take_byte(in);
	struct record *r = &to->r;
	const uint8_t *from;
	size_t len;

	*r = (struct record){.type = take_byte(in) % 10, .flags = take_byte(in), .messages = (uint32_t)take_number(in, 1), .pos = s->applied,
		.time = (int64_t)take_number(in, 2), .sum = take_number(in, 2), .epoch = {take_byte(in), 2, 3}};
	if (r->type == RECORD_MESSAGES) {
		r->queue = take_queue(in);
		r->offset = take_byte(in) % 4 ? end_of(s, r->queue) + take_byte(in) % 8 : take_number(in, 8);
		r->length = (uint32_t)take_number(in, take_byte(in) % 5) % RECORD_BODY_MAX;
		to->body = NULL;
		return;
	}
	r->length = put_body(in, r->type, body);
	if (kind % 8 == 0) {
		from = take_bytes(in, take_byte(in), &len);
		memcpy(body + r->length, from, len);
		r->length += (uint32_t)len;
	} else if (kind % 8 == 1) {
		r->length -= r->length ? kind / 8 % r->length : 0;
	} else if (kind % 8 == 2 && r->length) {
		body[take_byte(in) % r->length] = take_byte(in);
	}
	to->body = malloc(r->length ? r->length : 1);
	memcpy(to->body, body, r->length);
}

/* ---- what must hold ---- */

static bool same_state(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, size_t from)
{
	return a_len == b_len && memcmp(a + from, b + from, a_len - from - 8) == 0;
}

static void apply(struct store *s, const struct applied *a)
{
	size_t before_len, after_len;
	uint8_t *before = bare_store_state(s, &before_len), *after;
	uint64_t pos = s->applied;
	int err = state_apply(s, &a->r, a->body);

	must(err != -ENOMEM);
	must(s->applied == pos + record_size(a->r.length));
	after = bare_store_state(s, &after_len);
	if (err)
		must(same_state(before, before_len, after, after_len, STATE));
	free(before);
	free(after);
}

static void apply_all(struct store *s, const struct applied *all, size_t from, size_t count)
{
	for (size_t n = from; n < count; n++)
		must(state_apply(s, &all[n].r, all[n].body) != -ENOMEM);
}

static void must_be(struct store *s, const uint8_t *state, size_t len)
{
	size_t again_len;
	uint8_t *again = bare_store_state(s, &again_len);

	must(same_state(state, len, again, again_len, 0));
	free(again);
}

/* A checkpoint must be valid itself, whatever was applied. */
static void go_on_from(const uint8_t *point, size_t point_len, const struct applied *all, size_t from, size_t count, const uint8_t *state, size_t len)
{
	struct checkpoint_info info;
	struct store s;

	bare_store_init(&s);
	must(checkpoint_decode(point, point_len, fuzz_secret, NULL, &info) == 0);
	must(checkpoint_decode(point, point_len, fuzz_secret, &s, &info) == 0);
	apply_all(&s, all, from, count);
	must_be(&s, state, len);
	bare_store_end(&s);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};
	unsigned when = take_byte(&in) % RECORDS, from = take_byte(&in);
	size_t count = 0, point_len = 0, state_len;
	uint8_t *point = NULL, *state;
	struct applied all[RECORDS];
	struct store s;

	bare_store_init(&s);
	while (count < RECORDS && in.len > 0) {
		if (count == when)
			point = bare_store_state(&s, &point_len);
		take_applied(&s, &in, &all[count]);
		apply(&s, &all[count++]);
	}
	state = bare_store_state(&s, &state_len);
	bare_store_end(&s);

	bare_store_init(&s);
	apply_all(&s, all, 0, count);
	must_be(&s, state, state_len);
	bare_store_end(&s);
	if (point)
		go_on_from(point, point_len, all, from % (when + 1), count, state, state_len);
	while (count > 0)
		free(all[--count].body);
	free(point);
	free(state);
	return 0;
}
