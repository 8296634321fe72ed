/* SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"
#include "annals.h"
#include "log.h"
#include "progress.h"
#include "scratch.h"
#include "supply.h"
#include "topic.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

static struct segments *segments;
static struct supply *supply;
static struct annals *annals;
static struct progress progress;
static struct log *log_;
static struct commit *commit;
static struct topic topic;
static struct queue queue;
static _Atomic uint64_t applied_to;
static sem_t failed_called, gate;

struct waiter {
	struct follower follow;
	sem_t told;
	int err;
	uint64_t applied;
};

static void applied(void *ctx, const struct log_entry *e, size_t n)
{
	(void)ctx;
	applied_to = e[n - 1].end;
}

static uint64_t allowed(void *ctx, uint64_t synced)
{
	(void)ctx;
	return synced;
}

static _Atomic int replay_fails;        /* the call that does, from now */

static int replay(void *ctx, uint64_t to)
{
	(void)ctx;
	(void)to;
	return replay_fails && --replay_fails == 0 ? -ENOMEM : 0;
}

static void synced(void *ctx, uint64_t to)
{
	(void)ctx;
	(void)to;
}

static _Atomic bool known_before;      /* the commit point was there before advanced() was called */

static _Atomic uint64_t told_of;        /* what was applied when advanced() was called last */

static void advanced(void *ctx, uint64_t to)
{
	(void)ctx;
	told_of = applied_to;
	if (commit && commit_point(commit) >= to)
		known_before = true;
}

static void failed(void *ctx, int err)
{
	(void)ctx;
	(void)err;
	sem_post(&failed_called);
}

static void start(int64_t timeout)
{
	struct log_start at = {0};
	struct log_settings settings = {.segment_size = 1 << 20};
	struct commit_calls calls = {allowed, replay, synced, applied, advanced, failed, NULL};

	scratch_init();
	sem_init(&failed_called, 0, 0);
	sem_init(&gate, 0, 0);
	applied_to = 0;
	cr_assert_eq(disk_mkdir(&scratch.disk, "log", 0700), 0);
	cr_assert_eq(annals_new(&annals), 0);
	progress_init(&progress);
	settings.annals = annals;
	settings.progress = &progress;
	cr_assert_eq(segments_new(&segments, &scratch.disk, scratch_secret), 0);
	cr_assert_eq(supply_new(&supply, &scratch.disk, (1 << 20) + SEGMENT_HEADER), 0);
	cr_assert_eq(log_new(&log_, &scratch.disk, scratch_secret, 7, segments, supply, &at, &settings), 0);
	memset(&topic, 0, sizeof topic);
	memset(&queue, 0, sizeof queue);
	queue.topic = &topic;
	queue.id = 1 << QUEUE_BITS;
	queue.run_segment = UINT64_MAX;
	cr_assert_eq(commit_start(&commit, log_, 0, timeout, &calls), 0);
}

static void begin(void)
{
	start(5000000000);
}

static void end(void)
{
	commit_stop(commit);
	commit_free(commit);
	log_free(log_);
	supply_free(supply);
	segments_free(segments);
	annals_free(annals);
	progress_destroy(&progress);
	scratch_end();
}

TestSuite(commit, .init = begin, .fini = end);

static uint64_t append(void)
{
	struct iovec iov = {(void *)"x\n", 2};
	struct append a = {.type = RECORD_MESSAGES, .messages = 1, .queue = &queue, .iov = &iov, .iovcnt = 1};

	cr_assert_eq(log_append(log_, &a, commit_point(commit)), 0);
	return a.end;
}

static void told(struct follower *f, int err)
{
	struct waiter *w = (struct waiter *)f;

	w->err = err;
	w->applied = applied_to;
	sem_post(&w->told);
}

static void follow(struct waiter *w, uint64_t pos)
{
	sem_init(&w->told, 0, 0);
	w->follow.pos = pos;
	w->follow.done = told;
	cr_assert_eq(commit_follow(commit, &w->follow), 0);
}

static void wait_at_gate(void *ctx)
{
	sem_wait(ctx);
}

Test(commit, a_follower_is_told_after_what_it_waits_for_is_applied)
{
	struct waiter w;
	uint64_t end_ = append();

	follow(&w, end_);
	sem_wait(&w.told);
	cr_assert_eq(w.err, 0);
	cr_assert_geq(w.applied, end_);
	cr_assert_geq(commit_point(commit), end_);
}

/* Else who comes late for an epoch's first record would find appends still refused. */
Test(commit, the_commit_point_moves_after_all_that_comes_of_it)
{
	struct waiter w;

	follow(&w, append());
	sem_wait(&w.told);
	cr_assert_not(known_before);
}

Test(commit, what_is_applied_before_an_error_is_told)
{
	uint64_t end_ = 0;

	for (int i = 0; i < 300; i++)
		end_ = append();
	replay_fails = 2;
	commit_hurry(commit);
	while (replay_fails)
		;
	commit_pause(commit);
	cr_expect(applied_to > 0 && applied_to < end_);
	cr_expect_eq(told_of, applied_to);
	commit_go_on(commit, end_, 0);
	cr_expect_eq(commit_point(commit), end_);
	cr_expect_eq(told_of, end_);
}

Test(commit, one_sync_serves_all_who_wait)
{
	struct waiter w[20], first;
	int syncs;

	scratch.ctx = &gate;
	scratch.before_sync = wait_at_gate;
	follow(&first, append());
	for (int i = 0; i < 20; i++)
		follow(&w[i], append());
	for (int i = 0; i < 50; i++)
		sem_post(&gate);
	sem_wait(&first.told);
	for (int i = 0; i < 20; i++)
		sem_wait(&w[i].told);
	syncs = scratch.calls[CALL_SYNC];
	cr_assert_leq(syncs, 2, "%d syncs", syncs);
}

Test(commit, what_nobody_waits_for_is_committed_soon_all_the_same)
{
	int64_t give_up = commit_clock() + 5000000000;
	uint64_t end_ = append();

	commit_appended(commit, false);
	while (commit_point(commit) < end_)
		cr_assert_lt(commit_clock(), give_up);
}

Test(commit, after_a_failed_sync_nobody_is_acknowledged)
{
	struct waiter w;
	struct follower late = {.pos = 1 << 20, .done = told};

	scratch.fail[CALL_SYNC] = 1;
	follow(&w, append());
	sem_wait(&w.told);
	cr_assert_eq(w.err, -EIO);
	sem_wait(&failed_called);
	cr_assert_eq(commit_point(commit), 0);
	cr_assert_eq(commit_follow(commit, &late), -EIO);
}

Test(commit, a_position_that_is_committed_needs_no_wait)
{
	struct waiter w, again;
	uint64_t end_ = append();

	follow(&w, end_);
	sem_wait(&w.told);
	follow(&again, end_);
	cr_assert_eq(sem_trywait(&again.told), 0);
}

Test(commit, a_follower_taken_back_is_not_told)
{
	struct waiter w;

	follow(&w, UINT64_MAX);
	cr_assert(commit_unfollow(commit, &w.follow));
	cr_assert_not(commit_unfollow(commit, &w.follow));
}

Test(commit, stopping_commits_what_is_written_and_ends_the_others)
{
	struct waiter written, never;
	uint64_t end_ = append();

	follow(&written, end_);
	follow(&never, UINT64_MAX);
	commit_stop(commit);
	cr_assert_eq(sem_trywait(&written.told), 0);
	cr_assert_eq(written.err, 0);
	cr_assert_eq(sem_trywait(&never.told), 0);
	cr_assert_eq(never.err, -ENOTCONN);
	cr_assert_geq(commit_point(commit), end_);
}

static void begin_short(void)
{
	start(30000000);
}

Test(commit_timeout, a_hanging_sync_does_not_keep_a_follower_for_ever, .init = begin_short, .fini = end)
{
	struct waiter w;

	scratch.ctx = &gate;
	scratch.before_sync = wait_at_gate;
	follow(&w, append());
	sem_wait(&w.told);
	cr_assert_eq(w.err, -ETIMEDOUT);
	scratch.before_sync = NULL;
	for (int i = 0; i < 50; i++)
		sem_post(&gate);
}
