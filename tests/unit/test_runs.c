/* SPDX-License-Identifier: Apache-2.0 */
#include "runs.h"
#include "record.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

static struct runs *runs;
static struct run_batch batch;

static void setup(void)
{
	cr_assert_eq(runs_new(&runs), 0);
}

static void teardown(void)
{
	runs_free(runs);
}

TestSuite(runs, .init = setup, .fini = teardown);

/* A record of LENGTH bytes at *POS of the log and *OFFSET of QUEUE, both moved on. */
static void add(uint64_t queue, uint64_t *offset, uint64_t *pos, uint32_t length)
{
	struct run_queue *cache = NULL;

	cr_assert_eq(runs_add(runs, &cache, queue, *offset, *pos, length, 1), 0);
	cr_assert_not_null(cache);
	*offset += length;
	*pos += record_size(length);
}

Test(runs, records_behind_each_other_share_an_entry)
{
	uint64_t offset = 0, pos = 0;

	for (int i = 0; i < 10; i++)
		add(7, &offset, &pos, 100);
	cr_assert(runs_from_offset(runs, 7, 550, &batch));
	cr_assert_eq(batch.count, 1);
	cr_assert_eq(batch.run[0].offset, 0);
	cr_assert_eq(batch.first, 0);
	cr_assert_eq(batch.end, 1000);
	cr_assert_eq(batch.until, 1000);
}

Test(runs, a_long_stretch_has_an_entry_every_span)
{
	uint64_t offset = 0, pos = 0;

	while (pos < 10 * RUN_SPAN)
		add(7, &offset, &pos, 100);
	cr_assert(runs_from_offset(runs, 7, 0, &batch));
	cr_assert_eq(batch.count, 10);
	for (size_t i = 1; i < batch.count; i++)
		cr_assert_lt(batch.run[i].pos - batch.run[i - 1].pos, RUN_SPAN + record_size(100));
}

Test(runs, interleaved_queues_have_an_entry_a_record)
{
	uint64_t offset[3] = {0, 50, 1000}, pos = 4096;

	for (int i = 0; i < 30; i++)
		add(1 + i % 3, &offset[i % 3], &pos, 100);
	cr_assert(runs_from_offset(runs, 2, 50 + 4 * 100 + 99, &batch));
	cr_assert_eq(batch.count, 6);
	cr_assert_eq(batch.run[0].offset, 50 + 4 * 100);
	cr_assert_eq(batch.run[0].pos, 4096 + 13 * record_size(100));
	cr_assert_eq(batch.first, 50);
	cr_assert_eq(batch.end, 1050);
}

Test(runs, entries_come_in_batches)
{
	uint64_t offset[2] = {0, 0}, pos = 0;

	for (unsigned i = 0; i < 2 * 600; i++)
		add(1 + i % 2, &offset[i % 2], &pos, 10);
	cr_assert(runs_from_offset(runs, 1, 10, &batch));
	cr_assert_eq(batch.count, RUN_BATCH);
	cr_assert_eq(batch.until, 10 + 10 * RUN_BATCH);
	cr_assert(runs_from_offset(runs, 1, batch.until, &batch));
	cr_assert_eq(batch.run[0].offset, 10 + 10 * RUN_BATCH);
	cr_assert(runs_from_offset(runs, 1, batch.until, &batch));
	cr_assert_eq(batch.count, 600 - 1 - 2 * RUN_BATCH);
	cr_assert_eq(batch.until, batch.end);
}

Test(runs, what_lies_before_the_first_record_begins_with_it)
{
	uint64_t offset = 500, pos = 8192;

	add(1, &offset, &pos, 10);
	cr_assert(runs_from_offset(runs, 1, 3, &batch));
	cr_assert_eq(batch.run[0].offset, 500);
	cr_assert(runs_from_pos(runs, 1, 0, &batch));
	cr_assert_eq(batch.run[0].pos, 8192);
}

Test(runs, a_position_finds_the_entry_before_it)
{
	uint64_t offset[2] = {0, 0}, pos = 0;

	for (int i = 0; i < 20; i++)
		add(1 + i % 2, &offset[i % 2], &pos, 100);
	cr_assert(runs_from_pos(runs, 2, 5 * record_size(100) + 8, &batch));
	cr_assert_eq(batch.run[0].pos, 5 * record_size(100));
	cr_assert(runs_from_pos(runs, 2, 5 * record_size(100) - 8, &batch));
	cr_assert_eq(batch.run[0].pos, 3 * record_size(100));
}

Test(runs, a_queue_without_records_has_nothing)
{
	cr_assert_not(runs_from_offset(runs, 1, 0, &batch));
	cr_assert_not(runs_from_pos(runs, 1, 0, &batch));
}

Test(runs, a_record_before_the_last_is_refused)
{
	uint64_t offset = 100, pos = 1024;
	struct run_queue *cache = NULL;

	add(1, &offset, &pos, 10);
	cr_assert_eq(runs_add(runs, &cache, 1, 100, pos, 10, 1), -EINVAL);
	cr_assert_eq(runs_add(runs, &cache, 1, offset, 1024, 10, 1), -EINVAL);
}

Test(runs, queues_come_sorted)
{
	struct run_queue **all;
	uint64_t pos = 0;
	size_t count;

	for (uint64_t q = 0; q < 1000; q++) {
		uint64_t offset = 0;

		add((q * 7919) % 1000 << 10, &offset, &pos, 1);
	}
	cr_assert_eq(runs_sorted(runs, &all, &count), 0);
	cr_assert_eq(count, 1000);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(all[i]->queue, i << 10);
	free(all);
}

Test(runs, forty_thousand_queues_in_a_segment_stay_small)
{
	uint64_t *offset = calloc(40000, sizeof *offset), pos = 0;

	for (size_t i = 0; pos < 64u << 20; i++)
		add(i % 40000, &offset[i % 40000], &pos, 100);
	cr_assert_lt(runs_memory(runs), 24u << 20);
	free(offset);
}
