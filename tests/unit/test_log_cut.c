/* SPDX-License-Identifier: Apache-2.0 */
/* What is cut from the end of the log, and where it goes on then. */
#include "append_rig.h"
#include "bytes.h"
#include "lost.h"
#include "runs.h"
#include <errno.h>
#include <fcntl.h>

TestSuite(log_cut, .init = begin, .fini = end);

/* Its going is synced last: the second directory of two. */
Test(log_cut, a_segment_that_goes_to_lost_is_gone_for_good)
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
Test(log_cut, an_empty_last_segment_is_the_one_that_is_gone_on_in)
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
Test(log_cut, a_segment_that_is_cut_at_its_beginning_is_gone_on_in)
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
Test(log_cut, a_segment_that_a_cut_goes_back_to_has_the_room_that_it_had)
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
Test(log_cut, after_a_cut_of_which_a_part_is_done_and_not_all_it_has_failed)
{
	cut_on_a_full_disk(CALL_SYNC_DIRECTORY, 1, -ENOSPC);
}

Test(log_cut, a_cut_that_has_changed_nothing_yet_is_tried_again_with_more_room)
{
	cut_on_a_full_disk(CALL_RENAME, 1, 0);
}

static void look_where_it_is(void *ctx)
{
	uint64_t active = log_active(log_), *bases = ctx;

	cr_assert(active == 0 || active == bases[0] || active == bases[1] || active == log_end(log_), "%lu", active);
}

/* As the keeper does at any time: the first of two cuts leaves no active segment, but the file before it. */
Test(log_cut, where_it_is_can_be_asked_while_it_is_cut)
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
Test(log_cut, a_cut_at_a_segment_whose_header_is_damaged_goes_by_the_record_before)
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

Test(log_cut, a_cut_behind_a_record_that_does_not_read_goes_by_the_chain_that_is_said)
{
	cut_where_nothing_reads(4711, 0);
}

Test(log_cut, without_a_word_of_the_chain_there_it_is_not_made)
{
	cut_where_nothing_reads(0, -EINVAL);
}

Test(log_cut, of_several_cuts_of_a_queue_each_counts)
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
