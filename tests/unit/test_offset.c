/* SPDX-License-Identifier: Apache-2.0 */
#include "offset.h"
#include <criterion/criterion.h>
#include <errno.h>

static struct offsets o;
static uint64_t skipped;

/* A read of SIZE bytes at AT: the queue offset that it gets, or -errno. */
static int64_t read_at(uint64_t at, size_t size, uint64_t head)
{
	uint64_t offset;
	int err = offsets_find(&o, at, head, &offset, &skipped);

	if (err)
		return err;
	offsets_served(&o, at, offset, size);
	return (int64_t)offset;
}

Test(offset, a_file_offset_is_the_queues)
{
	offsets_init(&o, 0);
	cr_assert_eq(read_at(0, 100, 0), 0);
	cr_assert_eq(read_at(100, 100, 50), 100);
	cr_assert_eq(read_at(60, 10, 50), 60);
	cr_assert_eq(offsets_position(&o, 50), 70);
}

Test(offset, a_first_read_below_the_head_is_served_from_the_head)
{
	offsets_init(&o, 0);
	cr_assert_eq(read_at(0, 100, 1000), 1000);
	cr_assert_eq(skipped, 0, "from 0 means from the beginning");
	cr_assert_eq(read_at(100, 100, 1000), 1100);
	cr_assert_eq(read_at(200, 0, 1000), 1200);
}

Test(offset, a_first_read_that_names_a_place_below_the_head_is_a_skip)
{
	offsets_init(&o, 0);
	cr_assert_eq(read_at(700, 100, 1000), 1000);
	cr_assert_eq(skipped, 300);
	cr_assert_eq(read_at(800, 100, 1000), 1100);
	cr_assert_eq(skipped, 0);
}

Test(offset, seeking_back_gives_the_same_again)
{
	offsets_init(&o, 0);
	read_at(0, 4096, 1000);
	cr_assert_eq(read_at(17, 4096, 1000), 1017);
	cr_assert_eq(read_at(30, 10, 1000), 1030);
	cr_assert_eq(read_at(4113, 1, 1000), 5113);
	cr_assert_eq(read_at(4115, 1, 1000), 4115, "beyond what was served, offsets are the queue's");
}

Test(offset, a_start_is_where_offset_0_is)
{
	offsets_init(&o, 500);
	cr_assert_eq(offsets_position(&o, 0), 500);
	cr_assert_eq(offsets_position(&o, 600), 600);
	cr_assert_eq(read_at(0, 100, 0), 500);
	cr_assert_eq(read_at(100, 100, 0), 600);
	cr_assert_eq(read_at(50, 1, 0), 550);
}

Test(offset, a_start_is_kept_while_there_is_nothing_to_read)
{
	offsets_init(&o, 500);
	cr_assert_eq(read_at(0, 0, 0), 500);
	cr_assert_eq(read_at(0, 10, 0), 500);
}

Test(offset, who_seeks_first_does_not_start)
{
	offsets_init(&o, 500);
	cr_assert_eq(read_at(200, 100, 0), 200);
	cr_assert_eq(read_at(0, 100, 0), 0);
}

Test(offset, a_start_below_the_head_is_the_head)
{
	offsets_init(&o, 500);
	cr_assert_eq(read_at(0, 100, 1000), 1000);
	cr_assert_eq(skipped, 500);
	cr_assert_eq(read_at(100, 100, 1000), 1100);
}

Test(offset, an_overtaken_reader_is_told_once_and_goes_on_at_the_head)
{
	offsets_init(&o, 0);
	read_at(0, 100, 0);
	cr_assert_eq(read_at(100, 100, 1000), -EPIPE);
	cr_assert_eq(skipped, 900);
	cr_assert_eq(read_at(100, 100, 1000), 1000);
	cr_assert_eq(skipped, 0);
	cr_assert_eq(read_at(200, 100, 1000), 1100);
	cr_assert_eq(read_at(200, 100, 5000), -EPIPE, "and each time that it is overtaken");
	cr_assert_eq(skipped, 3900);
	cr_assert_eq(read_at(200, 100, 5000), 5000);
}

Test(offset, what_was_trimmed_since_cannot_be_read_again)
{
	offsets_init(&o, 0);
	read_at(0, 100, 1000);
	cr_assert_eq(read_at(10, 10, 1050), -EPIPE);
	cr_assert_eq(read_at(60, 10, 1050), 1060);
	cr_assert_eq(read_at(10, 10, 1050), -EPIPE, "a read that succeeded ends the refusal");
}

Test(offset, an_empty_first_read_counts)
{
	offsets_init(&o, 0);
	cr_assert_eq(read_at(0, 0, 0), 0);
	cr_assert_eq(read_at(0, 10, 10), -EPIPE);
}
