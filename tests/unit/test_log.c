/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include "annals.h"
#include "log.h"
#include "lost.h"
#include "progress.h"
#include "runs.h"
#include "scan.h"
#include "scratch.h"
#include "supply.h"
#include "topic.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#define SEGMENT (1u << 20)

static struct segments *segments;
static struct supply *supply;
static struct annals *annals;
static struct progress progress;
static struct log *log_;
static struct topic topic;
static struct queue queue;

static void begin_at(int64_t time)
{
	struct log_start start = {.time = time};
	struct log_settings settings = {.segment_size = SEGMENT};

	scratch_init();
	cr_assert_eq(disk_mkdir(&scratch.disk, "log", 0700), 0);
	cr_assert_eq(annals_new(&annals), 0);
	progress_init(&progress);
	settings.annals = annals;
	settings.progress = &progress;
	cr_assert_eq(segments_new(&segments, &scratch.disk, scratch_secret), 0);
	cr_assert_eq(supply_new(&supply, &scratch.disk, SEGMENT + SEGMENT_HEADER), 0);
	cr_assert_eq(log_new(&log_, &scratch.disk, scratch_secret, 7, segments, supply, &start, &settings), 0);
	memset(&topic, 0, sizeof topic);
	memset(&queue, 0, sizeof queue);
	queue.topic = &topic;
	queue.id = 1 << QUEUE_BITS;
	queue.run_segment = UINT64_MAX;
}

static void begin(void)
{
	begin_at(0);
}

static void end(void)
{
	log_free(log_);
	supply_free(supply);
	segments_free(segments);
	annals_free(annals);
	progress_destroy(&progress);
	scratch_end();
}

TestSuite(log, .init = begin, .fini = end);

static int append(const char *body, size_t len, struct append *a)
{
	struct iovec iov = {(void *)body, len};

	*a = (struct append){.type = RECORD_MESSAGES, .messages = 1, .queue = &queue, .iov = &iov, .iovcnt = 1, .uid = 1, .pid = 2};
	return log_append(log_, a, 0);
}

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

Test(log, no_room_is_told_before_a_position_is_given_and_heals)
{
	static char big[500000];
	struct append a, b;
	struct stat st;
	char name[32];

	cr_assert_eq(append(big, sizeof big, &a), 0);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_ALLOCATE] = 1;
	scratch.free = 100 * SEGMENT;
	cr_assert_eq(append(big, sizeof big, &b), -ENOSPC);
	cr_assert(log_full(log_));
	cr_assert_eq(log_end(log_), a.end);
	segment_name(name, a.end);
	cr_assert_eq(disk_stat(&scratch.disk, name, &st), -ENOENT, "there is no half of a file");
	cr_assert_eq(queue.appended, a.offset + sizeof big);
	cr_assert_not(log_failed(log_));
	cr_assert_eq(append(big, sizeof big, &b), 0);
	cr_assert_not(log_full(log_));
	cr_assert_eq(b.pos, a.end);
}

static int append_state(void)
{
	struct iovec iov = {"a change", 8};
	struct append a = {.type = RECORD_TOPIC_SET, .iov = &iov, .iovcnt = 1};

	return log_append(log_, &a, 0);
}

Test(log, it_is_full_while_messages_would_be_refused)
{
	static char big[400000];
	struct append a;

	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_not(log_full(log_));
	scratch.free = 1;
	scratch.error = -ENOSPC;
	scratch.kinds = 1u << CALL_ALLOCATE;
	scratch.stays = true;
	scratch.fail_any = 1;
	cr_assert_not(log_full(log_), "there is room in the segment");
	cr_assert_eq(append(big, sizeof big, &a), -ENOSPC);
	cr_assert(log_full(log_), "for such messages it is");
	cr_assert_eq(append_state(), 0);
	cr_assert(log_full(log_), "whatever else there is room for");
	while (append("a\n", 2, &a) == 0)
		;
	cr_assert_eq(append_state(), 0);
	cr_assert(log_full(log_));
	scratch.free = 2 * SEGMENT;
	cr_assert_not(log_full(log_), "there is space again, though nobody has tried");
	scratch.fail_any = 0;
	scratch.stays = false;
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_not(log_full(log_));
	scratch.free = 0;
}

/* As after a start. */
Test(log, it_is_full_before_anything_was_refused)
{
	struct append a;

	while (log_end(log_) + record_size(2) + (64 << 10) <= SEGMENT)
		cr_assert_eq(append("a\n", 2, &a), 0);
	scratch.free = SEGMENT;
	cr_assert(log_full(log_));
	scratch.free = 2 * SEGMENT;
	cr_assert_not(log_full(log_));
	scratch.free = 0;
}

static unsigned states_that_fit(enum claim claim)
{
	static const uint8_t body[24];
	struct iovec iov = {(void *)body, sizeof body};
	unsigned n = 0;
	int err;

	for (;; n++) {
		struct append a = {.type = RECORD_TOPIC_SET, .iov = &iov, .iovcnt = 1, .claim = claim};
		err = log_append(log_, &a, 0);
		if (err)
			break;
	}
	cr_assert_eq(err, -ENOSPC);
	return n;
}

Test(log, each_claim_to_the_last_of_a_full_disk_leaves_some_to_the_next)
{
	struct append a;
	unsigned room;

	cr_assert_eq(append("a\n", 2, &a), 0);
	scratch.error = -ENOSPC;
	scratch.kinds = 1u << CALL_ALLOCATE;
	scratch.stays = true;
	scratch.fail_any = 1;
	while (append("a\n", 2, &a) == 0)
		;
	room = states_that_fit(CLAIM_ORDINARY);
	cr_assert_geq(room, 100);
	cr_assert_eq(states_that_fit(CLAIM_ORDINARY), 0);
	cr_assert_geq(states_that_fit(CLAIM_RELIEF), 2 * room - 1);
	cr_assert_geq(states_that_fit(CLAIM_LAST), room - 1);
	cr_assert_eq(append("a\n", 2, &a), -ENOSPC);
}

/* Its name would cut off what lies behind its base. */
Test(log, the_name_of_a_segment_that_was_given_up_is_gone_before_the_next_commit)
{
	static char big[SEGMENT - (64 << 10) - 400];
	struct append a, b;
	uint64_t to;

	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(log_sync(log_, &to), 0);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_ALLOCATE] = 1;
	cr_assert_eq(append(big, sizeof big, &b), -ENOSPC);
	cr_assert_eq(append("a\n", 2, &b), 0);
	scratch.calls[CALL_SYNC_DIRECTORY] = 0;
	cr_assert_eq(log_sync(log_, &to), 0);
	cr_assert_eq(scratch.calls[CALL_SYNC_DIRECTORY], 1);
	cr_assert_eq(log_sync(log_, &to), 0);
	cr_assert_eq(scratch.calls[CALL_SYNC_DIRECTORY], 1);
}

/* Nor does anything lie there while the name stays. */
Test(log, behind_the_name_of_a_segment_that_cannot_be_removed_nothing_is_written)
{
	static char big[SEGMENT - (64 << 10) - 400];
	struct segment *last;
	struct append a, b;

	cr_assert_eq(append(big, sizeof big, &a), 0);
	scratch.error = -ENOSPC;
	for (int n = 0; n < 2; n++) {
		scratch.fail[CALL_ALLOCATE] = 1;
		scratch.fail[CALL_UNLINK] = 1;
		cr_assert_eq(append(n ? "a\n" : big, n ? 2 : sizeof big, &b), -ENOSPC);
	}
	cr_assert_eq(append("a\n", 2, &b), 0);
	cr_assert_eq(b.pos, a.end);
	last = segments_last(segments);
	cr_assert_eq(last->head.base, b.pos);
	segment_put(last);
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

/* The segment of BASE has so many records, which go on from CHAIN: the chain behind them. */
static uint64_t check_segment(uint64_t base, uint64_t chain, unsigned records)
{
	const void *body;
	enum scan_found found;
	struct scan *scan;
	struct record r;

	cr_assert_eq(scan_open(&scan, &scratch.disk, scratch_secret, base), 0);
	scan_expect_chain(scan, chain);
	for (unsigned i = 0; i < records; i++) {
		cr_assert_eq(scan_next(scan, &r, &body, &found), 0);
		cr_assert_eq(found, SCAN_RECORD, "record %u", i);
		cr_assert(scan_chained(scan));
		chain = r.sum;
	}
	cr_assert_eq(scan_next(scan, &r, &body, &found), 0);
	cr_assert_eq(found, SCAN_END);
	scan_close(scan);
	return chain;
}

static void check_chain(unsigned records)
{
	check_segment(0, 0, records);
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

/* Its going is synced last: the second directory of two. */
Test(log, a_segment_that_goes_to_lost_is_gone_for_good)
{
	uint64_t bytes;
	struct append a;

	cr_assert_eq(disk_mkdir(&scratch.disk, "lost", 0700), 0);
	cr_assert_eq(append("one\n", 4, &a), 0);
	scratch.error = -EIO;
	scratch.fail[CALL_SYNC_DIRECTORY] = 2;
	cr_assert_eq(lost_move(&scratch.disk, 0, &bytes), -EIO);
}

/* A start found no room for it. */
Test(log, an_empty_last_segment_is_the_one_that_is_gone_on_in)
{
	static char big[2 * SEGMENT];
	struct segment_head h = {.cluster = 7};
	struct runs *runs;
	struct append a;
	int fd = disk_open(&scratch.disk, "log/0000000000000000", O_RDWR | O_CREAT, 0600);
	uint64_t to;

	cr_assert_eq(segment_head_write(&scratch.disk, fd, &h, scratch_secret), 0);
	cr_assert_eq(runs_new(&runs), 0);
	cr_assert_eq(segments_add(segments, &h, UINT64_MAX, runs, NULL), 0);
	cr_assert_eq(log_adopt(log_, segments_last(segments), fd, 0), 0);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_ALLOCATE] = 1;
	cr_assert_eq(append("one\n", 4, &a), -ENOSPC);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(a.pos, 0);
	cr_assert_eq(segments_count(segments), 1);
	cr_assert_eq(append("two\n", 4, &a), 0);
	cr_assert_eq(log_sync(log_, &to), 0);
	cr_assert_eq(scratch.opened, 1);
	check_chain(1);
}

/* Its file is still open, as the last sync did not come to the end of it. */
Test(log, a_segment_that_is_cut_at_its_beginning_is_gone_on_in)
{
	static char big[SEGMENT - (64 << 10) - 400];
	struct log_losses losses = {0};
	struct append first, a;
	uint64_t to, bytes;

	cr_assert_eq(disk_mkdir(&scratch.disk, "lost", 0700), 0);
	cr_assert_eq(append(big, sizeof big, &first), 0);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(log_sync(log_, &to), 0);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(log_cut(log_, first.end, 0, &losses, &bytes), 0);
	queue.run_segment = UINT64_MAX;
	cr_assert_eq(append("two\n", 4, &a), 0);
	cr_assert_eq(a.pos, first.end);
	cr_assert_eq(segments_count(segments), 2);
}

/* What was begun with more than others, for a long record, has it still; and no more is taken for allocated than is. */
Test(log, a_segment_that_a_cut_goes_back_to_has_the_room_that_it_had)
{
	static char big[SEGMENT], small[SEGMENT - (64 << 10) - 400];
	struct log_losses losses = {0};
	struct append first, a;
	uint64_t bytes;

	cr_assert_eq(disk_mkdir(&scratch.disk, "lost", 0700), 0);
	cr_assert_eq(append(big, sizeof big, &first), 0);
	cr_assert_eq(append_state(), 0);
	cr_assert_eq(append(small, sizeof small, &a), 0);
	cr_assert_neq(log_active(log_), first.pos);
	cr_assert_eq(log_cut(log_, first.end, 0, &losses, &bytes), 0);
	cr_assert_eq(append_state(), 0);
	cr_assert_eq(log_active(log_), first.pos);
}

static int make_room(void *ctx)
{
	++*(int *)ctx;
	return 0;
}

/* The NTH CALL has no room, after which there is some. */
static void cut_on_a_full_disk(enum faulty_call call, int nth, int expected)
{
	static char big[SEGMENT - (64 << 10) - 400];
	int rooms = 0;
	struct log_losses losses = {.make_room = make_room, .ctx = &rooms};
	struct append a[4];
	uint64_t bytes;

	cr_assert_eq(disk_mkdir(&scratch.disk, "lost", 0700), 0);
	for (int n = 0; n < 4; n++)
		cr_assert_eq(append(big, n == 1 ? 40 : sizeof big, &a[n]), 0);
	scratch.error = -ENOSPC;
	scratch.fail[call] = nth;
	cr_assert_eq(log_cut(log_, a[1].pos, 0, &losses, &bytes), expected);
	cr_assert_eq(log_failed(log_), expected != 0);
}

/* The second try would find that the file is not there, and the log would go on as if nothing had happened to it. */
Test(log, after_a_cut_of_which_a_part_is_done_and_not_all_it_has_failed)
{
	cut_on_a_full_disk(CALL_SYNC_DIRECTORY, 1, -ENOSPC);
}

Test(log, a_cut_that_has_changed_nothing_yet_is_tried_again_with_more_room)
{
	cut_on_a_full_disk(CALL_RENAME, 1, 0);
}

static void look_where_it_is(void *ctx)
{
	uint64_t active = log_active(log_), *bases = ctx;

	cr_assert(active == 0 || active == bases[0] || active == bases[1] || active == log_end(log_), "%lu", active);
}

/* As the keeper does at any time: the first of two cuts leaves no active segment, but the file before it. */
Test(log, where_it_is_can_be_asked_while_it_is_cut)
{
	static char big[SEGMENT - (64 << 10) - 400];
	struct log_losses losses = {0};
	struct append first, a;
	uint64_t to, bytes, bases[2];

	cr_assert_eq(disk_mkdir(&scratch.disk, "lost", 0700), 0);
	cr_assert_eq(append("one\n", 4, &first), 0);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	bases[0] = a.pos;
	cr_assert_eq(log_sync(log_, &to), 0);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	bases[1] = a.pos;
	scratch.ctx = bases;
	scratch.before_call = look_where_it_is;
	cr_assert_eq(log_cut(log_, bases[0], 0, &losses, &bytes), 0);
	cr_assert_eq(log_cut(log_, first.end, 0, &losses, &bytes), 0);
	scratch.before_call = NULL;
	cr_assert_eq(log_active(log_), first.end);
}

/* A start found that segment's header damaged, and knows its base by its name. */
Test(log, a_cut_at_a_segment_whose_header_is_damaged_goes_by_the_record_before)
{
	static char big[SEGMENT - (64 << 10) - 400];
	struct log_losses losses = {0};
	struct append first, second;
	struct segment *s;
	uint64_t to, bytes;

	cr_assert_eq(disk_mkdir(&scratch.disk, "lost", 0700), 0);
	cr_assert_eq(append(big, sizeof big, &first), 0);
	cr_assert_eq(append(big, sizeof big, &second), 0);
	cr_assert_eq(second.pos, first.end);
	cr_assert_eq(log_sync(log_, &to), 0);
	s = segments_find(segments, second.pos);
	s->head = (struct segment_head){.base = second.pos, .time = TIME_UNKNOWN};
	segment_put(s);
	cr_assert_eq(log_cut(log_, second.pos, 0, &losses, &bytes), 0);
	queue.run_segment = UINT64_MAX;
	cr_assert_eq(append("two\n", 4, &second), 0);
	cr_assert_eq(second.pos, first.end);
	check_segment(first.end, check_segment(0, 0, 1), 1);
}

/* The window that the walk reads first, and then the header alone. */
static void two_reads_fail(void *ctx)
{
	int *reads = ctx;

	if (scratch.calls[CALL_PREAD] < *reads + 2)
		scratch.fail[CALL_PREAD] = 1;
}

/* The records in front of the cut do not read: what the other node and the annals say has to do. */
static void cut_where_nothing_reads(uint64_t chain, int says)
{
	struct append a, first = {.type = RECORD_EPOCH, .own = true, .claim = CLAIM_LAST};
	const struct epoch epoch = {2, 3, 4};
	struct log_losses losses = {0};
	struct log_start tail;
	uint64_t to, bytes;
	int reads;

	cr_assert_eq(disk_mkdir(&scratch.disk, "lost", 0700), 0);
	log_set_epoch(log_, &epoch);
	cr_assert_eq(log_append(log_, &first, 0), 0);
	cr_assert_eq(append("one\n", 4, &a), 0);
	cr_assert_eq(append("two\n", 4, &a), 0);
	cr_assert_eq(log_sync(log_, &to), 0);
	scratch.error = -EIO;
	reads = scratch.calls[CALL_PREAD];
	scratch.ctx = &reads;
	scratch.before_call = two_reads_fail;
	cr_assert_eq(log_cut(log_, a.pos, chain, &losses, &bytes), says);
	scratch.before_call = NULL;
	if (says)
		return;
	tail = log_tail(log_);
	cr_assert_eq(tail.pos, a.pos);
	cr_assert_eq(tail.chain, chain);
	cr_assert_eq(memcmp(&tail.epoch, &epoch, sizeof epoch), 0);
}

Test(log, a_cut_behind_a_record_that_does_not_read_goes_by_the_chain_that_is_said)
{
	cut_where_nothing_reads(4711, 0);
}

Test(log, without_a_word_of_the_chain_there_it_is_not_made)
{
	cut_where_nothing_reads(0, -EINVAL);
}

Test(log, of_several_cuts_of_a_queue_each_counts)
{
	static const uint64_t at[] = {1000, 400, 3000, 2000};

	for (unsigned i = 0; i < QUEUE_CUTS; i++)
		queue.cut_at[queue.cuts++ % QUEUE_CUTS] = at[i];
	cr_expect_not(queue_cut_since(&queue, 0, 400));
	cr_expect(queue_cut_since(&queue, 0, 401));
	cr_expect_not(queue_cut_since(&queue, 2, 2000));
	cr_expect(queue_cut_since(&queue, 2, 2001));
	cr_expect_not(queue_cut_since(&queue, 4, 5000));
	queue.cut_at[queue.cuts++ % QUEUE_CUTS] = 9000;
	cr_expect(queue_cut_since(&queue, 0, 400));
	cr_expect_not(queue_cut_since(&queue, 4, 9000));
}
