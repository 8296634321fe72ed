/* SPDX-License-Identifier: Apache-2.0 */
/* What one log does with appends, writes and syncs that come in any order, and fail. */
#include "append_rig.h"
#include "bytes.h"
#include "runs.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>

TestSuite(log, .init = begin, .fini = end);

/* Of one more record. */
static int64_t next_time(void)
{
	uint8_t header[RECORD_HEADER];
	struct record r;
	struct append a;
	int fd;

	cr_assert_eq(append("a line\n", 7, &a), 0);
	fd = disk_open(&scratch.disk, "log/0000000000000000", O_RDONLY, 0);
	cr_assert_eq(disk_read(&scratch.disk, fd, header, RECORD_HEADER, SEGMENT_HEADER + a.pos), 0);
	disk_close(&scratch.disk, fd);
	cr_assert_eq(record_decode(&r, scratch_secret, header, a.pos), 0);
	return r.time;
}

/* As one record leaves it that was written while the clock was wrong. */
Test(log, times_go_on_while_the_clock_is_behind)
{
	const int64_t ahead = INT64_MAX - 2;

	end();
	begin_at(ahead);
	cr_assert_eq(next_time(), ahead + 1);
	cr_assert_eq(next_time(), ahead + 2);
	cr_assert_eq(next_time(), INT64_MAX, "there is nothing behind it");
}

Test(log, positions_and_offsets_follow_each_other)
{
	struct append a, b;

	cr_assert_eq(append("hello\n", 6, &a), 0);
	cr_assert_eq(append("world\n", 6, &b), 0);
	cr_assert_eq(a.pos, 0);
	cr_assert_eq(a.end, record_size(6));
	cr_assert_eq(b.pos, a.end);
	cr_assert_eq(a.offset, 0);
	cr_assert_eq(b.offset, 6);
	cr_assert_eq(log_written(log_), b.end);
}

Test(log, the_file_holds_a_chain_of_valid_records)
{
	struct append a;
	const void *body;
	enum scan_found found;
	struct scan *scan;
	struct record r;

	for (int i = 0; i < 10; i++)
		cr_assert_eq(append("message\n", 8, &a), 0);
	cr_assert_eq(scan_open(&scan, &scratch.disk, scratch_secret, 0), 0);
	scan_expect_chain(scan, 0);
	for (int i = 0; i < 10; i++) {
		cr_assert_eq(scan_next(scan, &r, &body, &found), 0);
		cr_assert_eq(found, SCAN_RECORD);
		cr_assert(scan_chained(scan));
		cr_assert_eq(r.offset, (uint64_t)i * 8);
		cr_assert_eq(memcmp(body, "message\n", 8), 0);
	}
	cr_assert_eq(scan_next(scan, &r, &body, &found), 0);
	cr_assert_eq(found, SCAN_END);
	scan_close(scan);
}

Test(log, a_full_segment_is_followed_by_the_next_without_a_gap)
{
	static char big[300000];
	struct append a, b;
	uint64_t to;

	memset(big, 'x', sizeof big);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(append(big, sizeof big, &b), 0);
	cr_assert_eq(b.pos, a.end);
	cr_assert_eq(segments_count(segments), 2);
	cr_assert_eq(log_active(log_), b.pos);
	cr_assert_eq(log_sync(log_, &to), 0);
	cr_assert_eq(to, b.end);
}

Test(log, a_record_longer_than_a_segment_gets_one_of_its_own)
{
	static char big[SEGMENT + 5];
	struct append a;

	cr_assert_eq(append("x\n", 2, &a), 0);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(log_written(log_), a.end);
}

void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);
static bool no_memory;

void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

static int append_own(void)
{
	struct iovec iov = {"a change", 8};
	struct append a = {.type = RECORD_TOPIC_SET, .iov = &iov, .iovcnt = 1, .own = true};

	return log_append(log_, &a, 0);
}

/* As when a standby does not acknowledge any more: the record by which a node goes on alone is what commits the others. */
Test(log, when_there_are_too_many_uncommitted_appends_its_own_still_have_a_place)
{
	unsigned own = 0;
	struct append a;

	cr_assert_eq(append("a\n", 2, &a), 0);
	no_memory = true;
	while (append("a\n", 2, &a) == 0)
		;
	cr_assert_eq(append("a\n", 2, &a), -ENOBUFS);
	while (append_own() == 0)
		own++;
	cr_assert_eq(own, 64);
	no_memory = false;
	cr_assert_eq(append("a\n", 2, &a), 0);
}

Test(log, a_failed_write_is_final)
{
	struct append a;
	uint64_t to;

	cr_assert_eq(append("a\n", 2, &a), 0);
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(append("b\n", 2, &a), -EIO);
	cr_assert_eq(append("c\n", 2, &a), -EIO);
	cr_assert_eq(log_sync(log_, &to), -EIO);
	cr_assert_eq(scratch.calls[CALL_SYNC], 0);
}

Test(log, a_full_disk_in_prepared_space_is_final_too)
{
	struct append a;

	cr_assert_eq(append("a\n", 2, &a), 0);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(append("b\n", 2, &a), -EIO);
	cr_assert(log_failed(log_));
}

Test(log, a_failed_sync_is_never_tried_again)
{
	struct append a;
	uint64_t to;

	cr_assert_eq(append("a\n", 2, &a), 0);
	scratch.fail[CALL_SYNC] = 1;
	cr_assert_eq(log_sync(log_, &to), -EIO);
	cr_assert_eq(log_sync(log_, &to), -EIO);
	cr_assert_eq(scratch.calls[CALL_SYNC], 1);
	cr_assert_eq(append("b\n", 2, &a), -EIO);
}

Test(log, a_new_segments_name_is_durable_before_its_records_count)
{
	struct append a;
	uint64_t to;

	cr_assert_eq(append("a\n", 2, &a), 0);
	scratch.fail[CALL_SYNC_DIRECTORY] = 1;
	cr_assert_eq(log_sync(log_, &to), -EIO);
}

Test(log, a_topic_that_is_closed_takes_nothing)
{
	struct append a;

	topic.retired = true;
	cr_assert_eq(append("a\n", 2, &a), -EROFS);
	topic.retired = false;
	topic.closing = 1;
	cr_assert_eq(append("a\n", 2, &a), -EROFS);
	cr_assert_eq(log_end(log_), 0);
}

Test(log, a_longer_body_than_a_record_may_have_is_refused)
{
	static char huge[RECORD_BODY_MAX + 1];
	struct append a;

	cr_assert_eq(append(huge, sizeof huge, &a), -EMSGSIZE);
	cr_assert_eq(log_end(log_), 0);
}

static void *many(void *arg)
{
	struct append a;

	(void)arg;
	for (int i = 0; i < 2000; i++)
		if (append("0123456789\n", 11, &a))
			return (void *)1;
	return NULL;
}

Test(log, appends_of_many_threads_leave_no_hole)
{
	struct log_entry entries[100];
	uint64_t to, expect = 0, offset = 0;
	pthread_t t[4];
	size_t n, all = 0;
	void *failed;

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, many, NULL);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &failed);
		cr_assert_null(failed);
	}
	cr_assert_eq(log_written(log_), log_end(log_));
	cr_assert_eq(log_sync(log_, &to), 0);
	while ((n = log_take(log_, to, entries, 100)) > 0) {
		for (size_t i = 0; i < n; i++) {
			cr_assert_eq(entries[i].pos, expect);
			expect = entries[i].end;
			offset += 11;
			cr_assert_eq(entries[i].queue_end, offset);
		}
		all += n;
	}
	cr_assert_eq(all, 8000);
}

/* The first write in front of which SLOW is not yet posted waits for that; the others go by it. */
static sem_t held, slow;
static _Atomic bool holding;

static void hold_first(void *ctx)
{
	(void)ctx;
	if (holding && atomic_exchange(&holding, false)) {
		sem_post(&held);
		sem_wait(&slow);
	}
}

static void *append_slowly(void *arg)
{
	struct append a;

	(void)arg;
	return append("in front\n", 9, &a) ? (void *)1 : NULL;
}

static void *let_go(void *arg)
{
	struct append *a = arg;

	/* While it waits it is behind a hole, which recovery would take for the log's end. */
	cr_expect_lt(log_written(log_), a->end);
	sem_post(&slow);
	return NULL;
}

Test(log, what_stands_behind_a_hole_is_waited_for)
{
	pthread_t first, second;
	struct append a;
	void *failed;

	cr_assert_eq(append("so that there is a segment\n", 27, &a), 0);
	sem_init(&held, 0, 0);
	sem_init(&slow, 0, 0);
	scratch.before_call = hold_first;
	holding = true;
	pthread_create(&first, NULL, append_slowly, NULL);
	sem_wait(&held);
	cr_assert_eq(append("behind\n", 7, &a), 0);
	pthread_create(&second, NULL, let_go, &a);
	cr_assert_eq(log_wait_written(log_, a.end), 0);
	cr_expect_eq(log_written(log_), a.end, "it has returned with a hole in front");
	pthread_join(first, &failed);
	cr_expect_null(failed);
	pthread_join(second, &failed);
}

Test(log, nobody_waits_for_a_log_that_has_failed)
{
	struct append a;

	cr_assert_eq(append("a\n", 2, &a), 0);
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(append("b\n", 2, &a), -EIO);
	cr_expect_eq(log_wait_written(log_, a.end), -EIO);
}

/* May be written together with others. */
static int append_later(const char *body, size_t len, struct append *a)
{
	struct iovec iov[] = {{(void *)body, 2}, {(void *)(body + 2), len - 2}};

	*a = (struct append){.type = RECORD_MESSAGES, .messages = 1, .queue = &queue, .iov = iov, .iovcnt = 2, .later = true};
	return log_append(log_, a, 0);
}

Test(log, small_appends_that_can_wait_are_written_by_one_write)
{
	struct append first, a;
	int writes;

	cr_assert_eq(append("so that there is a segment\n", 27, &first), 0);
	writes = scratch.calls[CALL_PWRITEV];
	for (int i = 0; i < 10; i++)
		cr_assert_eq(append_later("message\n", 8 - (size_t)i % 5, &a), 0);
	cr_expect_eq(scratch.calls[CALL_PWRITEV], writes);
	cr_expect_eq(log_written(log_), first.end, "what is in memory only does not count");
	cr_assert_eq(log_wait_written(log_, a.end), 0);
	cr_expect_eq(scratch.calls[CALL_PWRITEV], writes + 1);
	cr_expect_eq(log_written(log_), a.end);
	check_chain(11);
}

Test(log, what_is_gathered_holds_the_prefix_back_until_it_is_written)
{
	struct append first, later, a;
	uint64_t to;

	cr_assert_eq(append("so that there is a segment\n", 27, &first), 0);
	cr_assert_eq(append_later("later\n", 6, &later), 0);
	cr_assert_eq(append("now\n", 4, &a), 0);
	cr_assert_eq(append_later("behind\n", 7, &a), 0);        /* does not follow directly what is gathered */
	cr_assert_eq(log_sync(log_, &to), 0);
	cr_expect_eq(to, first.end);
	cr_assert_eq(log_wait_written(log_, later.end), 0);
	cr_expect_eq(log_written(log_), a.end);
	check_chain(4);
}

Test(log, more_than_can_be_gathered_is_written_at_once)
{
	static char body[1500];
	struct append a, last = {0};
	int writes = scratch.calls[CALL_PWRITEV];

	for (int i = 0; i < 100; i++)
		cr_assert_eq(append_later(body, sizeof body, &a), 0);
	cr_expect_gt(scratch.calls[CALL_PWRITEV], writes);
	cr_assert_eq(append_later(body, 2, &last), 0);
	cr_assert_eq(log_wait_written(log_, last.end), 0);
	cr_expect_eq(log_written(log_), last.end);
	check_chain(101);
}

Test(log, when_the_write_of_what_is_gathered_fails_the_log_has_failed)
{
	struct append first, a, b;

	cr_assert_eq(append("so that there is a segment\n", 27, &first), 0);
	cr_assert_eq(append_later("a\n\n", 3, &a), 0);
	cr_assert_eq(append_later("b\n\n", 3, &b), 0);
	scratch.fail[CALL_PWRITEV] = 1;
	cr_expect_eq(log_wait_written(log_, a.end), -EIO);
	cr_expect_eq(log_wait_written(log_, b.end), -EIO);
	cr_expect_eq(append("c\n", 2, &a), -EIO);
	cr_expect_eq(log_written(log_), first.end);
}

static void *wait_written(void *arg)
{
	struct append *a = arg;

	return log_wait_written(log_, a->end) ? arg : NULL;
}

Test(log, what_is_gathered_during_a_write_goes_by_the_next_one)
{
	struct append a, b;
	pthread_t first;
	void *failed;

	cr_assert_eq(append("so that there is a segment\n", 27, &a), 0);
	cr_assert_eq(append_later("a\n\n", 3, &a), 0);
	sem_init(&held, 0, 0);
	sem_init(&slow, 0, 0);
	scratch.before_call = hold_first;
	holding = true;
	pthread_create(&first, NULL, wait_written, &a);
	sem_wait(&held);
	cr_assert_eq(append_later("b\n\n", 3, &b), 0);
	sem_post(&slow);
	pthread_join(first, &failed);
	cr_expect_null(failed);
	cr_expect_eq(log_written(log_), a.end);
	cr_assert_eq(log_wait_written(log_, b.end), 0);
	cr_expect_eq(log_written(log_), b.end);
	check_chain(3);
}

#define TOGETHER 8

static void *append_together(void *arg)
{
	struct append a[TOGETHER];

	(void)arg;
	for (int i = 0; i < 200; i++) {
		for (int k = 0; k < TOGETHER; k++)
			if (append_later("a message of one of several threads\n", 36, &a[k]))
				return "refused";
		for (int k = 0; k < TOGETHER; k++)
			if (log_wait_written(log_, a[k].end) || log_written(log_) < a[k].end)
				return "not written";
	}
	return NULL;
}

Test(log, several_threads_gather_and_each_finds_its_own_written)
{
	pthread_t thread[4];
	void *failed;

	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, append_together, NULL), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &failed);
		cr_expect_null(failed, "%s", (char *)failed);
	}
	check_chain(4 * 200 * TOGETHER);
}
