/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"
#include "record.h"
#include "segment.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE (uint64_t)(3 << 20)

static char directory[64];
static struct disk *disk;
static uint8_t secret[RECORD_SECRET];
static struct runs *runs;
static struct run_batch batch;
static uint64_t end;

static void setup(void)
{
	for (size_t i = 0; i < sizeof secret; i++)
		secret[i] = (uint8_t)(i * 151 + 7);
	strcpy(directory, "/tmp/test_index.XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	cr_assert_eq(disk_open_directory(&disk, directory), 0);
	cr_assert_eq(disk_mkdir(disk, "log", 0700), 0);
	cr_assert_eq(runs_new(&runs), 0);
	end = BASE;
}

static void teardown(void)
{
	char command[128];

	runs_free(runs);
	disk_free(disk);
	snprintf(command, sizeof command, "rm -rf %s", directory);
	cr_assert_eq(system(command), 0);
}

TestSuite(index, .init = setup, .fini = teardown);

/* COUNT records of LENGTH bytes, in turn into QUEUES queues with ids 1024, 2048, ... whose first byte here is at 5000. */
static void fill(uint64_t queues, uint64_t count, uint32_t length)
{
	for (uint64_t i = 0; i < count; i++) {
		struct run_queue *cache = NULL;

		cr_assert_eq(runs_add(runs, &cache, (1 + i % queues) << 10, 5000 + i / queues * length, end, length, 2), 0);
		end += record_size(length);
	}
}

static struct index *sealed(void)
{
	struct index *x;

	cr_assert_eq(index_write(disk, secret, BASE, end, 77, runs), 0);
	cr_assert_eq(index_open(disk, secret, BASE, &x), 0);
	return x;
}

static void name_of(char to[128])
{
	char name[40];

	segment_index_name(name, BASE);
	snprintf(to, 128, "%s/%s", directory, name);
}

Test(index, it_tells_what_the_segment_holds)
{
	struct index_queue q, rows[INDEX_ROWS];
	struct index *x;

	fill(3, 10, 100);
	x = sealed();
	cr_assert_eq(index_end(x), end);
	cr_assert_eq(index_last_time(x), 77);
	cr_assert_eq(index_queues(x), 3);
	cr_assert_eq(index_find(x, 1024, &q), 0);
	cr_assert_eq(q.first, 5000);
	cr_assert_eq(q.end, 5400);
	cr_assert_eq(q.messages, 8);
	cr_assert_eq(index_queue_at(x, 2, &q), 0);
	cr_assert_eq(q.queue, 3072);
	cr_assert_eq(index_queue_at(x, 3, &q), -ENOENT);
	cr_assert_eq(index_queues_from(x, 1, rows), 2);
	cr_assert_eq(rows[1].queue, q.queue);
	cr_assert_eq(index_queues_from(x, 3, rows), 0);
	cr_assert_eq(index_find(x, 1025, &q), -ENOENT);
	cr_assert_eq(index_find(x, 1, &q), -ENOENT);
	cr_assert_eq(index_find(x, 4096, &q), -ENOENT);
	cr_assert_eq(index_check(x), 0);
	index_close(x);
}

Test(index, every_offset_finds_the_entry_that_the_runs_had)
{
	struct run_batch theirs;
	struct index *x;

	fill(3, 9 * INDEX_BLOCK + 5, 100);
	x = sealed();
	for (uint64_t offset = 5000; offset < 5000 + 300 * INDEX_BLOCK; offset += 37) {
		cr_assert(runs_from_offset(runs, 2048, offset, &theirs));
		cr_assert_eq(index_from_offset(x, 2048, offset, &batch), 0);
		cr_assert_eq(batch.first, theirs.first);
		cr_assert_eq(batch.end, theirs.end);
		cr_assert_leq(batch.count, theirs.count);
		cr_assert_eq(memcmp(batch.run, theirs.run, batch.count * sizeof *batch.run), 0);
		cr_assert_eq(batch.until, batch.count < theirs.count ? theirs.run[batch.count].offset : theirs.until);
	}
	cr_assert_eq(index_check(x), 0);
	index_close(x);
}

Test(index, every_position_finds_the_entry_before_it)
{
	struct run_batch theirs;
	struct index *x;

	fill(2, 5 * INDEX_BLOCK, 100);
	x = sealed();
	for (uint64_t pos = 0; pos < end + 1000; pos += 1000) {
		cr_assert(runs_from_pos(runs, 1024, pos, &theirs));
		cr_assert_eq(index_from_pos(x, 1024, pos, &batch), 0);
		cr_assert_eq(memcmp(batch.run, theirs.run, batch.count * sizeof *batch.run), 0);
	}
	index_close(x);
}

Test(index, batches_lead_through_all_entries)
{
	uint64_t offset = 5000, entries = 0;
	struct index *x;

	fill(2, 2000, 100);
	x = sealed();
	while (offset < 5000 + 100 * 1000) {
		cr_assert_eq(index_from_offset(x, 2048, offset, &batch), 0);
		cr_assert_eq(batch.run[0].offset, offset);
		entries += batch.count;
		offset = batch.until;
	}
	cr_assert_eq(entries, 1000);
	cr_assert_eq(offset, batch.end);
	index_close(x);
}

Test(index, what_lies_before_the_first_record_begins_with_it)
{
	struct index *x;

	fill(2, 2000, 100);
	x = sealed();
	cr_assert_eq(index_from_offset(x, 1024, 0, &batch), 0);
	cr_assert_eq(batch.run[0].offset, 5000);
	index_close(x);
}

Test(index, a_segment_without_queues_has_an_empty_one)
{
	struct index_queue q;
	struct index *x = sealed();

	cr_assert_eq(index_queues(x), 0);
	cr_assert_eq(index_find(x, 1024, &q), -ENOENT);
	cr_assert_eq(index_from_offset(x, 1024, 0, &batch), -ENOENT);
	cr_assert_eq(index_check(x), 0);
	index_close(x);
}

Test(index, forty_thousand_queues_are_all_found)
{
	struct index_queue q;
	struct index *x;

	fill(40000, 80000, 100);
	x = sealed();
	for (uint64_t i = 0; i < 40000; i++) {
		cr_assert_eq(index_find(x, (1 + i) << 10, &q), 0);
		cr_assert_eq(q.end, 5200);
		cr_assert_eq(index_from_offset(x, q.queue, 5100, &batch), 0);
		cr_assert_eq(batch.run[0].pos, BASE + (40000 + i) * record_size(100));
	}
	cr_assert_eq(index_check(x), 0);
	index_close(x);
}

Test(index, none_or_another_segments_is_refused)
{
	struct index *x;
	char name[128], command[512];

	cr_assert_eq(index_open(disk, secret, BASE, &x), -ENOENT);
	fill(2, 10, 100);
	index_close(sealed());
	name_of(name);
	snprintf(command, sizeof command, "cp %s %s/log/0000000000000000.index", name, directory);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(index_open(disk, secret, 0, &x), -EBADMSG);
	secret[0]++;
	cr_assert_eq(index_open(disk, secret, BASE, &x), -EBADMSG);
}

Test(index, a_cut_file_is_refused)
{
	struct index *x;
	char name[128];
	struct stat st;

	fill(100, 1000, 100);
	index_close(sealed());
	name_of(name);
	cr_assert_eq(stat(name, &st), 0);
	for (off_t len = st.st_size - 1; len >= 0; len -= 97) {
		cr_assert_eq(truncate(name, len), 0);
		cr_assert_eq(index_open(disk, secret, BASE, &x), -EBADMSG);
	}
}

/* Each answer of a damaged index is the true one or an error. */
static void ask(uint64_t queues)
{
	struct run_batch theirs;
	struct index *x;
	int err = index_open(disk, secret, BASE, &x);

	if (err) {
		cr_assert_eq(err, -EBADMSG);
		return;
	}
	cr_assert_eq(index_check(x), -EBADMSG);
	for (uint64_t q = 1; q <= queues; q++) {
		err = index_from_offset(x, q << 10, 5000 + 30000, &batch);
		cr_assert(err == 0 || err == -EBADMSG);
		cr_assert(runs_from_offset(runs, q << 10, 5000 + 30000, &theirs));
		if (!err)
			cr_assert_eq(memcmp(batch.run, theirs.run, batch.count * sizeof *batch.run), 0);
	}
	index_close(x);
}

Test(index, a_flipped_bit_anywhere_is_found)
{
	char name[128];
	struct stat st;
	int fd;

	fill(3, 3000, 100);
	index_close(sealed());
	name_of(name);
	cr_assert_geq(fd = open(name, O_RDWR), 0);
	cr_assert_eq(fstat(fd, &st), 0);
	for (off_t at = 0; at < st.st_size; at += at < 4096 || at > 8192 ? 13 : 1) {
		uint8_t byte;

		if (at >= 64 + 8 + 8 && at < 4096)
			continue;   /* between fences and directory nothing is looked at */
		cr_assert_eq(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
		ask(3);
		byte ^= 1;
		cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
}
