/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"
#include "parts.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>
#include <string.h>

#define MS INT64_C(1000000)

static struct store *s;
static struct topic *t;
static struct queue *q;

static void setup(void)
{
	struct store_options o;
	struct command *c;
	char why[STORE_WHY];

	scratch_init();
	store_options_normal(&o);
	o.segment_size = 1 << 20;
	cr_assert_eq(store_open(&s, scratch_path, &o, why), 0, "%s", why);
	c = command_new_waited();
	cr_assert_eq(command_wait(c, store_mkdir(s, c, "orders", &(struct owner){0, 0, 0755})), 0);
	t = topic_find(s, "orders");
	c = command_new_waited();
	cr_assert_eq(command_wait(c, store_set_queues(s, c, t, 2)), 0);
	q = topic_queue(t, 0);
}

static void teardown(void)
{
	store_stop(s);
	topic_put(t);
	store_close(s);
	scratch_end();
}

TestSuite(watch, .init = setup, .fini = teardown);

/* A watcher that can be waited for. */
struct waiter {
	struct watcher w;
	sem_t told;
	int err;
	uint64_t committed;            /* of q when it was told */
	pthread_t thread;
	sem_t *hold;                   /* ready() waits for it */
	_Atomic int times;
	int place;                     /* among all that were told */
};

static int told;                       /* the deliverer's */

static void ready(struct watcher *w, int err)
{
	struct waiter *x = (struct waiter *)w;

	x->err = err;
	x->committed = q->committed;
	x->thread = pthread_self();
	x->place = told++;
	x->times++;
	if (x->hold)
		sem_wait(x->hold);
	sem_post(&x->told);
}

static void init(struct waiter *x)
{
	memset(x, 0, sizeof *x);
	sem_init(&x->told, 0, 0);
	x->w.ready = ready;
}

static void append(struct queue *to)
{
	struct iovec iov = {(void *)"message\n", 8};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place place;

	cr_assert_eq(store_append(to, &b, &place), 0);
}

Test(watch, is_told_when_more_is_committed)
{
	struct waiter x;

	init(&x);
	cr_assert_eq(watch_queue(q, 0, &x.w), 0);
	append(q);
	sem_wait(&x.told);
	cr_assert_eq(x.err, 0);
	cr_assert_eq(x.committed, 8);
	cr_assert_neq(x.thread, pthread_self());
	cr_assert_eq(q->watch.watched, 0);
}

Test(watch, does_not_park_when_there_is_more)
{
	struct waiter x;

	init(&x);
	cr_assert_eq(watch_queue(q, 0, &x.w), 0);
	append(q);
	sem_wait(&x.told);
	cr_assert_eq(watch_queue(q, 0, &x.w), 1);
	cr_assert_eq(watch_queue(q, 7, &x.w), 1);
	cr_assert_eq(watch_queue(q, 8, &x.w), 0);
	cr_assert(unwatch(s, &x.w));
	cr_assert_eq(q->watch.watched, 0);
	cr_assert_eq(x.times, 1);
}

Test(watch, makes_what_is_appended_already_commit_at_once)
{
	struct waiter x;

	init(&x);
	x.w.deadline = commit_clock() + 60000 * MS;
	append(q);
	if (watch_queue(q, 0, &x.w) == 0)
		sem_wait(&x.told);
	cr_assert_eq(x.err, 0);
	cr_assert_eq(q->committed, 8);
}

Test(watch, beyond_the_end_waits_until_that_is_passed)
{
	struct waiter far, near;

	init(&far);
	init(&near);
	cr_assert_eq(watch_queue(q, 20, &far.w), 0);
	cr_assert_eq(watch_queue(q, 0, &near.w), 0);
	append(q);
	sem_wait(&near.told);
	cr_assert_eq(far.times, 0);
	append(q);
	append(q);
	sem_wait(&far.told);
	cr_assert_gt(far.committed, 20);
}

Test(watch, a_topic_is_watched_with_all_its_queues)
{
	struct waiter x;
	uint64_t seen;

	init(&x);
	for (uint32_t n = 0; n < 2; n++) {
		seen = t->readable;
		cr_assert_eq(watch_topic(t, seen, &x.w), 0);
		cr_assert(queue_watched(topic_queue(t, n)));
		append(topic_queue(t, n));
		sem_wait(&x.told);
		cr_assert_eq(watch_topic(t, seen, &x.w), 1);
	}
	cr_assert_not(queue_watched(q));
}

/* Reads what is there of the topic, as .follow/all does, or waits for more: the bytes, 0 after a wait, -1 when nobody came. */
static ssize_t read_or_wait(struct merge *m)
{
	uint64_t seen = t->readable;
	struct timespec late;
	struct slice slice;
	struct waiter x;
	ssize_t n;

	slice_init(&slice);
	n = merge_read(m, 4096, &slice);
	slice_free(&slice);
	cr_assert_geq(n, 0);
	init(&x);
	if (n || watch_topic(t, seen, &x.w))
		return n;
	clock_gettime(CLOCK_REALTIME, &late);
	late.tv_sec += 10;
	return sem_timedwait(&x.told, &late) ? -1 : 0;
}

Test(watch, who_reads_a_topic_while_it_grows_is_told_of_its_last_message)
{
	struct command *c = command_new_waited();
	struct topic *other;
	struct merge *m;
	ssize_t n;

	cr_assert_eq(command_wait(c, store_mkdir(s, c, "other", &(struct owner){0, 0, 0755})), 0);
	other = topic_find(s, "other");
	cr_assert_eq(merge_new(&m, s, t, 0), 0);
	for (int round = 0; round < 300; round++) {
		uint64_t commits = t->commits;

		append(q);
		for (int i = 0; i < 200; i++)
			append(topic_queue(other, 0));
		commit_hurry(s->commit);
		/* Looks just when the committer is at it, and has more of other topics to do. */
		while (t->commits == commits)
			;
		while ((n = read_or_wait(m)) == 0)
			;
		cr_assert_eq(n, 8, "round %d: not told", round);
	}
	merge_free(m);
	topic_put(other);
}

Test(watch, other_queues_are_not_told)
{
	struct waiter x, y;

	init(&x);
	init(&y);
	cr_assert_eq(watch_queue(q, 0, &x.w), 0);
	cr_assert_eq(watch_queue(topic_queue(t, 1), 0, &y.w), 0);
	append(topic_queue(t, 1));
	sem_wait(&y.told);
	cr_assert(unwatch(s, &x.w));
	cr_assert_eq(x.times, 0);
}

Test(watch, ends_at_its_deadline_in_order_of_deadlines)
{
	struct waiter x[4];
	static const int64_t after[4] = {30, 10, 20, 10};
	int64_t now = commit_clock();

	for (int i = 0; i < 4; i++) {
		init(&x[i]);
		x[i].w.deadline = now + after[i] * MS;
		cr_assert_eq(watch_queue(q, 0, &x[i].w), 0);
	}
	sem_wait(&x[0].told);
	cr_assert_geq(commit_clock() - now, 30 * MS);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(x[i].times, 1);
		cr_assert_eq(x[i].err, -ETIMEDOUT);
	}
	cr_assert(x[1].place < x[3].place && x[3].place < x[2].place && x[2].place < x[0].place);
}

Test(watch, is_told_of_its_topics_end)
{
	struct waiter x, y;
	struct command *c = command_new_waited();

	cr_assert_eq(command_wait(c, store_set_retired(s, c, t, true)), 0);
	init(&x);
	init(&y);
	cr_assert_eq(watch_queue(q, 0, &x.w), 0);
	cr_assert_eq(watch_topic(t, t->readable, &y.w), 0);
	c = command_new_waited();
	cr_assert_eq(command_wait(c, store_rmdir(s, c, t)), 0);
	sem_wait(&x.told);
	sem_wait(&y.told);
	cr_assert_eq(x.err, 0);
	cr_assert_eq(watch_queue(q, 0, &x.w), 1);
	cr_assert_eq(watch_topic(t, t->readable, &y.w), 1);
}

Test(watch, ends_with_the_store)
{
	struct waiter x, y;

	init(&x);
	init(&y);
	y.w.deadline = commit_clock() + 60000 * MS;
	cr_assert_eq(watch_queue(q, 0, &x.w), 0);
	cr_assert_eq(watch_topic(t, t->readable, &y.w), 0);
	store_stop(s);
	sem_wait(&x.told);
	sem_wait(&y.told);
	cr_assert_eq(x.err, -ENOTCONN);
	cr_assert_eq(y.err, -ENOTCONN);
	cr_assert_eq(watch_queue(q, 0, &x.w), -ENOTCONN);
}

Test(watch, may_be_taken_back_until_it_is_called)
{
	struct waiter x, y;
	sem_t hold;

	init(&x);
	init(&y);
	sem_init(&hold, 0, 0);
	x.hold = &hold;
	cr_assert_eq(watch_queue(q, 0, &x.w), 0);
	cr_assert_eq(watch_queue(q, 0, &y.w), 0);
	append(q);
	while (!x.times)               /* the deliverer is in x's ready(), and y is due */
		sched_yield();
	cr_assert_not(unwatch(s, &x.w));
	cr_assert(unwatch(s, &y.w));
	cr_assert_not(unwatch(s, &y.w));
	sem_post(&hold);
	sem_wait(&x.told);
	cr_assert_eq(y.times, 0);
}

static void again(struct watcher *w, int err)
{
	struct waiter *x = (struct waiter *)w;

	x->err = err;
	x->times++;
	while (!err && (err = watch_queue(q, q->committed, w)) == 1)
		err = 0;
	sem_post(&x->told);
}

Test(watch, may_park_again_when_it_is_told)
{
	struct waiter x;

	init(&x);
	x.w.ready = again;
	cr_assert_eq(watch_queue(q, 0, &x.w), 0);
	for (int i = 0; i < 1000; i++)
		append(q);
	while (q->committed < 8000)
		sem_wait(&x.told);
	cr_assert_gt(x.times, 0);
	cr_assert(unwatch(s, &x.w));
}

Test(watch, a_thousand_are_served_in_one_go)
{
	static struct waiter x[1000];
	int64_t start;

	for (int i = 0; i < 1000; i++) {
		init(&x[i]);
		cr_assert_eq(watch_queue(q, 0, &x[i].w), 0);
	}
	start = commit_clock();
	append(q);
	for (int i = 0; i < 1000; i++)
		sem_wait(&x[i].told);
	cr_assert_lt(commit_clock() - start, 1000 * MS);
	cr_assert_eq(q->watch.watched, 0);
}

/* ---- nobody is forgotten, whoever comes first ---- */

static _Atomic int left;

static void *reader(void *arg)
{
	struct waiter x;

	(void)arg;
	init(&x);
	for (uint64_t offset = 0; offset < 8 * 4000;) {
		int err = watch_queue(q, offset, &x.w);
		if (err == 0)
			sem_wait(&x.told);
		cr_assert_geq(err, 0);
		offset = q->committed;
	}
	left--;
	return NULL;
}

Test(watch, no_wake_up_is_lost, .timeout = 60)
{
	pthread_t threads[8];

	left = 8;
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, reader, NULL);
	for (int i = 0; i < 4000; i++) {
		uint64_t end = q->appended + 8;
		append(q);
		if (i % 4 == 0)
			while (q->committed < end && left)
				sched_yield();
	}
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(left, 0);
}
