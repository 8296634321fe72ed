/* SPDX-License-Identifier: Apache-2.0 */
/* A full disk: what is refused, what still has room, and what a segment that came to nothing leaves. */
#include "append_rig.h"
#include <errno.h>

TestSuite(log_full, .init = begin, .fini = end);

Test(log_full, no_room_is_told_before_a_position_is_given_and_heals)
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

Test(log_full, it_is_full_while_messages_would_be_refused)
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
Test(log_full, it_is_full_before_anything_was_refused)
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

Test(log_full, each_claim_to_the_last_of_a_full_disk_leaves_some_to_the_next)
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
static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static void two_segments_and_a_prepared_one(void)
{
	static char big[400000];
	struct append a;

	for (int n = 0; n < 4; n++)
		cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(segments_count(segments), 2);
	cr_assert_eq(supply_prepare(supply, 1, always, NULL), 0);
}

static void fill_disk(void)
{
	scratch.error = -ENOSPC;
	scratch.kinds = 1u << CALL_ALLOCATE;
	scratch.stays = true;
	scratch.fail_any = 1;
	scratch.free = 1;
}

/* With the room of the one that was prepared. */
Test(log_full, a_segment_is_begun_only_where_the_reserve_is_whole)
{
	static char big[400000];
	struct append a;
	struct stat st;

	two_segments_and_a_prepared_one();
	log_reserve(log_, 300000);
	fill_disk();
	cr_assert_eq(append(big, sizeof big, &a), -ENOSPC);
	cr_assert_eq(supply_ready(supply), 0);
	cr_assert(log_full(log_));
	scratch.fail_any = 0;
	scratch.stays = false;
	scratch.free = 0;
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(disk_stat(&scratch.disk, "reserve", &st), 0);
	cr_assert_geq(st.st_blocks * 512, 300000);
}

/* Or who is refused in a loop would make it again as fast as the keeper gives it away. */
Test(log_full, nobody_makes_the_reserve_again_while_it_is_spent)
{
	static char big[400000];
	struct append a;
	struct stat st;

	two_segments_and_a_prepared_one();
	log_reserve(log_, 300000);
	supply_spending(supply, true);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(disk_stat(&scratch.disk, "reserve", &st), -ENOENT);
	cr_assert_eq(supply_leave(supply, 300000, false), -ENOSPC);
}

/* What is wrong with it otherwise is not the log's failure. */
Test(log_full, a_reserve_that_cannot_be_made_fails_no_log)
{
	static char big[400000];
	struct append a;

	two_segments_and_a_prepared_one();
	log_reserve(log_, 300000);
	scratch.kinds = 1u << CALL_ALLOCATE;
	scratch.error = -EIO;
	scratch.fail_any = 1;
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_not(log_failed(log_));
}

Test(log_full, where_no_other_segment_could_go_none_waits_for_the_reserve)
{
	static char big[400000];
	struct append a;

	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(supply_prepare(supply, 1, always, NULL), 0);
	log_reserve(log_, 300000);
	fill_disk();
	cr_assert_eq(append(big, sizeof big, &a), 0);
	cr_assert_eq(segments_count(segments), 2);
}

Test(log_full, the_name_of_a_segment_that_was_given_up_is_gone_before_the_next_commit)
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
Test(log_full, behind_the_name_of_a_segment_that_cannot_be_removed_nothing_is_written)
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
