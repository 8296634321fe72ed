/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retain_rig.h - a store of small segments whose keeper is the test: what retention takes, at the times that the test chooses.
 *
 * Calling  rig_begin(); t = make("orders", 2); set(t, SETTING_RETENTION_AGE, "1h"); append(t, 500); keep(now() + 2 * HOUR); rig_end()
 */
#ifndef MQFS_TESTS_RETAIN_RIG_H
#define MQFS_TESTS_RETAIN_RIG_H

#include "keeper.h"
#include "parts.h"
#include "reader.h"
#include "retain.h"
#include "scratch.h"
#include "seal.h"
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#define HOUR INT64_C(3600000000000)
#define BODY 4000u                     /* bytes of a message */
#define SEGMENT (256u << 10)           /* bytes */

static struct store *s;

/* The keeper is stopped: the tests do its work, at the times they choose. */
static inline void open_store(void)
{
	struct store_options o;
	char why[STORE_WHY];

	store_options_normal(&o);
	o.segment_size = SEGMENT;
	cr_assert_eq(store_open(&s, scratch_path, &o, why), 0, "%s", why);
	keeper_stop(s->keeper);
}

static inline void rig_begin(void)
{
	scratch_init();
	open_store();
}

static inline void rig_end(void)
{
	store_stop(s);
	store_close(s);
	scratch_end();
}

static inline int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#define DO(call) ({ struct command *c = command_new_waited(); command_wait(c, call); })

static inline struct topic *make(const char *name, uint32_t queues)
{
	struct topic *t;

	cr_assert_eq(DO(store_mkdir(s, c, name, &(struct owner){0, 0, 0755})), 0);
	t = topic_find(s, name);
	cr_assert_eq(DO(store_set_queues(s, c, t, queues)), 0);
	return t;
}

static inline void set(struct topic *t, enum setting_id id, const char *text)
{
	cr_assert_eq(DO(store_set(s, c, t, id, text)), 0);
}

/* COUNT messages to the queues of T in turn; they are committed when it returns. */
static inline void append(struct topic *t, unsigned count)
{
	static const char body[BODY];
	struct iovec iov = {(void *)body, BODY};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1, .flags = RECORD_WRITE};
	struct place place;

	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(store_append(topic_queue(t, i % t->count), &b, &place), 0);
	cr_assert_eq(DO(store_set_heads(s, c, NULL, 0)), 0);       /* committed with all that is before it */
}

/* The keeper's rounds, until there is nothing more to do. Returns how many segments went. */
static inline int keep(int64_t at)
{
	int gone = 0;

	for (int round = 0; round < 10; round++) {
		bool need = false;
		cr_assert_eq(seal_committed(s), 0);
		int n = retain_run(s, at, &need);
		cr_assert_geq(n, 0, "%s", strerror(-n));
		gone += n;
		if (!need)
			return gone;
		cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	}
	cr_assert_fail("it never comes to an end");
	return gone;
}

static inline uint64_t retained(struct topic *t)
{
	uint64_t bytes = 0;

	for (uint32_t n = 0; n < t->count; n++)
		bytes += topic_queue(t, n)->committed - topic_queue(t, n)->head;
	return bytes;
}

/* The message at Q's head is there, with its header and body. */
static inline void head_is_readable(struct store *of, struct queue *q)
{
	struct reader *r;
	struct record record;
	struct slice slice;

	cr_assert_eq(reader_new(&r, of, q), 0);
	slice_init(&slice);
	cr_assert_eq(reader_load(r, q->head, &record, &slice), 0);
	cr_assert_eq(record.offset, q->head);
	slice_free(&slice);
	reader_free(r);
}

#endif
