/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_rig.h - one store in the scratch directory, that a test opens, fills, closes or leaves behind as a kill does, and opens again.
 *
 * Calling  rig_begin(); killed_after(three_lines); open_store(); expect("orders", "one\ntwo\nthree\n"); rig_end()
 *          `options` may be changed between rig_begin() and open_store().
 */
#ifndef MQFS_TESTS_STORE_RIG_H
#define MQFS_TESTS_STORE_RIG_H

#include "committed.h"
#include "reader.h"
#include "scratch.h"
#include "store.h"
#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MiB (1u << 20)
#define BIG 100000                     /* bytes of a line of big_lines() */
#define BIG_LINES 120

static struct store_options options;
static struct store *store;            /* NULL: not open */

static inline void rig_begin(void)
{
	scratch_init();
	store_options_normal(&options);
	options.segment_size = MiB;
	options.checkpoint_every = 2 * MiB;
	store = NULL;
}

static inline void rig_end(void)
{
	if (store)
		store_close(store);
	scratch_end();
}

static inline void open_store(void)
{
	char why[STORE_WHY];
	int err = store_open(&store, scratch_path, &options, why);

	cr_assert_eq(err, 0, "store_open: %s (%d)", why, err);
}

static inline void close_store(void)
{
	store_close(store);
	store = NULL;
}

static inline struct topic *make_topic(const char *name)
{
	struct owner o = {0, 0, 0777};
	struct command *c = command_new_waited();

	cr_assert_eq(command_wait(c, store_mkdir(store, c, name, &o)), 0);
	return topic_find(store, name);
}

static inline int append(struct topic *t, const char *text, size_t len, bool wait)
{
	struct iovec iov = {(void *)text, len};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place p;
	int err = store_append(topic_queue(t, 0), &b, &p);

	return err || !wait ? err : wait_committed(store, p.end);
}

/* WORK in a process of its own that is gone without a word afterwards. */
static inline void killed_after(void (*work)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		work();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* All of queue 0 of topic NAME: its length, or the negative errno of the read that failed. */
static inline ssize_t read_all(const char *name, char *to, size_t max)
{
	struct topic *t = topic_find(store, name);
	struct reader *r;
	struct slice s;
	size_t got = 0;
	ssize_t n;

	cr_assert_not_null(t, "no topic %s", name);
	slice_init(&s);
	cr_assert_eq(reader_new(&r, store, topic_queue(t, 0)), 0);
	while ((n = reader_read(r, got, max - got, &s)) > 0) {
		for (int i = 0; i < s.parts; i++) {
			memcpy(to + got, s.part[i].iov_base, s.part[i].iov_len);
			got += s.part[i].iov_len;
		}
		slice_free(&s);
	}
	slice_free(&s);
	reader_free(r);
	topic_put(t);
	return n < 0 ? n : (ssize_t)got;
}

static inline void expect(const char *name, const char *text)
{
	static char got[65536];
	ssize_t n = read_all(name, got, sizeof got - 1);

	cr_assert_geq(n, 0, "read: %zd", n);
	got[n] = 0;
	cr_assert_str_eq(got, text);
}

static inline void three_lines(void)
{
	struct topic *t;

	open_store();
	t = make_topic("orders");
	cr_assert_eq(append(t, "one\n", 4, true), 0);
	cr_assert_eq(append(t, "two\n", 4, true), 0);
	cr_assert_eq(append(t, "three\n", 6, true), 0);
	topic_put(t);
}

/* In many segments, with a checkpoint near their end. */
static inline void big_lines(void)
{
	static char big[BIG];
	struct store_status st;
	struct topic *t;

	open_store();
	t = make_topic("orders");
	for (int i = 0; i < BIG_LINES; i++) {
		memset(big, 'a' + i % 26, BIG - 1);
		big[BIG - 1] = '\n';
		cr_assert_eq(append(t, big, BIG, i % 10 == 9), 0);
	}
	topic_put(t);
	/* The keeper may be late on a busy machine. */
	do {
		usleep(1000);
		store_status(store, &st);
	} while (st.checkpoint_pos < BIG_LINES * BIG - 4 * MiB);
}

#endif
