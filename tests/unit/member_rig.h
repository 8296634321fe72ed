/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member_rig.h - two stores as a pair, with the test as what carries the bytes between them.
 *
 * Calling  stores_begin(); a = open_as(path_a, false); b = join(a); make_pair(a, b, 1); put(t, ...); send(a, b); acknowledge(b, a); announce(a, b);
 *          close_both(a, b); stores_end()
 */
#ifndef MQFS_TESTS_MEMBER_RIG_H
#define MQFS_TESTS_MEMBER_RIG_H

#include "install.h"
#include "parts.h"
#include "scratch.h"
#include "committed.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static char path_a[128], path_b[128];
static struct store_options options;

static inline struct store *open_as(const char *path, bool standby)
{
	char why[STORE_WHY];
	struct store *s = NULL;

	options.standby = standby;
	cr_assert_eq(store_open(&s, path, &options, why), 0, "%s", why);
	return s;
}

static inline void stores_begin(void)
{
	scratch_init();
	store_options_normal(&options);
	options.segment_size = 1 << 20;
	options.commit_timeout = 60000000000;
	snprintf(path_a, sizeof path_a, "%s/a", scratch_path);
	snprintf(path_b, sizeof path_b, "%s/b", scratch_path);
}

static inline void stores_end(void)
{
	scratch_end();
}

static inline struct topic *make_topic(struct store *s, const char *name)
{
	struct command *c = command_new_waited();

	cr_assert_eq(command_wait(c, store_mkdir(s, c, name, &(struct owner){1, 2, 0777})), 0);
	return topic_find(s, name);
}

static inline int append(struct topic *t, const char *text, uint64_t *pos)
{
	struct iovec iov = {(void *)text, strlen(text)};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place to;
	int err = store_append(topic_queue(t, 0), &b, &to);

	*pos = to.end;
	return err;
}

static inline void put(struct topic *t, const char *text)
{
	uint64_t pos;

	cr_assert_eq(append(t, text, &pos), 0);
	cr_assert_eq(wait_committed(t->store, pos), 0);
}

static inline struct member_view view(struct store *s)
{
	struct member_view v;

	store_view(s, &v);
	return v;
}

/* What S shows in queue 0 of NAME. */
static inline const char *shown(struct store *s, const char *name)
{
	static char text[65536];
	struct topic *t = topic_find(s, name);
	struct reader *r;
	struct slice slice;
	ssize_t n;

	if (!t)
		return "no topic";
	slice_init(&slice);
	cr_assert_eq(reader_new(&r, s, topic_queue(t, 0)), 0);
	n = reader_read(r, 0, sizeof text - 1, &slice);
	cr_assert_geq(n, 0);
	cr_assert_eq(slice_copy(&slice, text), 0);
	text[n] = 0;
	slice_free(&slice);
	reader_free(r);
	topic_put(t);
	return text;
}

/* The committer shows what it has synced a little later. */
static inline bool comes_to_show(struct store *s, const char *name, const char *text)
{
	const struct timespec look = {.tv_nsec = 1000000};

	for (int n = 0; n < 20000 && strcmp(shown(s, name), text) != 0; n++)
		nanosleep(&look, NULL);
	return strcmp(shown(s, name), text) == 0;
}

static inline void synced(struct store *s)
{
	while (view(s).synced < view(s).written)
		;
}

/* Who finds another thread at it leaves it to that one to move the commit point (store/commit.c advance()). */
static inline void all_committed(struct store *s)
{
	cr_assert_eq(wait_committed(s, view(s).end), 0);
}

/* FROM's log to TO, from TO's end to FROM's; not synced there. */
static inline void carry(struct store *from, struct store *to)
{
	struct member_view v = view(from);
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	size_t took;
	ssize_t n;

	cr_assert_eq(store_raw(from, view(to).end, &raw), 0);
	while ((n = raw_read(raw, store_sendable(from), &bytes, &base)) > 0) {
		cr_assert_eq(store_receive(to, bytes, (size_t)n, base, &v.epoch, &took), 0);
		cr_assert_eq(took, n);
	}
	cr_assert_eq(n, 0);
	raw_close(raw);
}

static inline void send(struct store *from, struct store *to)
{
	carry(from, to);
	synced(to);
}

static inline void acknowledge(struct store *standby, struct store *primary)
{
	struct member_view v = view(standby);

	store_acknowledged(primary, v.node, v.synced, v.current);
}

static inline void announce(struct store *primary, struct store *standby)
{
	struct member_view v = view(primary);

	store_announce(standby, v.committed, v.current && pair_has(&v.pair, view(standby).node));
}

/* B as a blank standby of A, from the beginning of its log. */
static inline struct store *join(struct store *a)
{
	struct member_view v = view(a);
	struct install *i;
	char why[STORE_WHY];

	cr_assert_eq(install_begin(&i, path_b, false, UINT64_MAX, store_identity(a), &(struct log_start){0}, 0, v.end, options.segment_size, why), 0, "%s", why);
	cr_assert_eq(install_finish(i, v.promise.reign), 0);
	install_free(i);
	return open_as(path_b, true);
}

static inline void make_pair(struct store *a, struct store *b, uint8_t min_standbys)
{
	struct pair p = {.min_standbys = min_standbys, .nodes = 2, .node = {view(a).node, view(b).node}, .name = {"a", "b"}};
	uint64_t pos;

	store_linked(a, view(b).node, true);
	cr_assert_eq(store_set_pair(a, &p, &pos), 0);
	synced(a);
	send(a, b);
	acknowledge(b, a);
	cr_assert_eq(wait_committed(a, pos), 0);
	announce(a, b);
}

static inline void close_both(struct store *a, struct store *b)
{
	store_stop(a);
	store_close(a);
	store_stop(b);
	store_close(b);
}

#endif
