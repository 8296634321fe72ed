/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"
#include "supply.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE ((uint64_t)3 << 20)

static struct supply *supply;

static void begin(void)
{
	scratch_init();
	cr_assert_eq(disk_mkdir(&scratch.disk, "log", 0700), 0);
	cr_assert_eq(supply_new(&supply, &scratch.disk, SIZE), 0);
}

static void end(void)
{
	supply_free(supply);
	scratch_end();
}

TestSuite(supply, .init = begin, .fini = end);

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

static int64_t size_of(const char *name)
{
	struct stat st;

	return disk_stat(&scratch.disk, name, &st) ? -1 : st.st_size;
}

/* It might give a part before it says that there is no room for all. */
Test(supply, a_disk_without_room_for_a_file_is_not_asked_for_it)
{
	int fd;

	scratch.free = SIZE - 1;
	cr_assert_eq(supply_take(supply, "log/a", &fd), -ENOSPC);
	cr_assert_eq(size_of("log/a"), -1);
	scratch.free = SIZE;
	cr_assert_eq(supply_take(supply, "log/a", &fd), 0);
	disk_close(&scratch.disk, fd);
}

Test(supply, a_prepared_file_is_taken_under_its_new_name)
{
	int fd;

	cr_assert_eq(supply_prepare(supply, 1, always, NULL), 0);
	cr_assert_eq(supply_ready(supply), 1);
	cr_assert_eq(size_of("log/prepared.0"), SIZE);
	cr_assert_eq(supply_take(supply, "log/a", &fd), 0);
	disk_close(&scratch.disk, fd);
	cr_assert_eq(size_of("log/a"), SIZE);
	cr_assert_eq(size_of("log/prepared.0"), -1);
	cr_assert_eq(supply_ready(supply), 0);
}

Test(supply, without_a_prepared_file_one_is_allocated)
{
	int fd;

	cr_assert_eq(supply_take(supply, "log/a", &fd), 0);
	disk_close(&scratch.disk, fd);
	cr_assert_eq(size_of("log/a"), SIZE);
}

Test(supply, under_load_a_file_is_prepared_without_writing_zeros)
{
	cr_assert_eq(supply_prepare(supply, 1, never, NULL), 0);
	cr_assert_eq(supply_ready(supply), 1);
	cr_assert_eq(scratch.calls[CALL_PWRITEV], 0);
}

static void recycle(bool (*keep_going)(void *ctx), bool full)
{
	char byte = 'x';
	int fd;

	cr_assert_eq(supply_take(supply, "log/a", &fd), 0);
	cr_assert_eq(disk_write(&scratch.disk, fd, &byte, 1, 100000), 0);
	disk_close(&scratch.disk, fd);
	cr_assert_eq(supply_recycle(supply, "log/a"), 0);
	supply_recycled(supply, true);
	cr_assert_eq(size_of("log/a"), -1);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_ALLOCATE] = full;
	cr_assert_eq(supply_prepare(supply, 1, keep_going, NULL), 0);
	cr_assert_eq(supply_take(supply, "log/b", &fd), 0);
	cr_assert_eq(disk_read(&scratch.disk, fd, &byte, 1, 100000), 0);
	cr_assert_eq(byte, 0);
	disk_close(&scratch.disk, fd);
}

Test(supply, a_recycled_file_has_no_old_bytes)
{
	recycle(always, false);
}

Test(supply, a_recycled_file_has_no_old_bytes_under_load_either)
{
	recycle(never, false);
}

Test(supply, a_recycled_file_is_kept_when_there_is_no_room_for_another)
{
	recycle(never, true);
	cr_assert_geq(scratch.calls[CALL_PWRITEV], 1);
	cr_assert_eq(size_of("log/filling.new"), -1, "there is no part of the other");
}

/* A power cut would bring it back under the old one. */
Test(supply, a_file_whose_new_name_may_not_last_is_not_written_to)
{
	char byte = 'x';
	int fd;

	cr_assert_eq(supply_take(supply, "log/a", &fd), 0);
	cr_assert_eq(disk_write(&scratch.disk, fd, &byte, 1, 100000), 0);
	cr_assert_eq(supply_recycle(supply, "log/a"), 0);
	supply_recycled(supply, false);
	supply_prepare(supply, 1, always, NULL);
	byte = 0;
	cr_assert_eq(disk_read(&scratch.disk, fd, &byte, 1, 100000), 0);
	cr_assert_eq(byte, 'x');
	disk_close(&scratch.disk, fd);
}

/* After a power cut a prepared file may be one that was taken, with records in it. */
Test(supply, a_new_process_trusts_no_file_that_was_prepared)
{
	int fd;

	cr_assert_eq(supply_prepare(supply, 2, always, NULL), 0);
	fd = disk_open(&scratch.disk, "log/filling", O_WRONLY | O_CREAT, 0600);
	disk_close(&scratch.disk, fd);
	supply_free(supply);
	cr_assert_eq(supply_new(&supply, &scratch.disk, SIZE), 0);
	cr_assert_eq(supply_ready(supply), 0);
	cr_assert_eq(size_of("log/prepared.0"), -1);
	cr_assert_eq(size_of("log/prepared.1"), -1);
	cr_assert_eq(size_of("log/filling"), -1);
}

Test(supply, dropping_gives_the_room_back)
{
	cr_assert_eq(supply_prepare(supply, 2, always, NULL), 0);
	supply_drop(supply);
	cr_assert_eq(supply_ready(supply), 0);
	cr_assert_eq(size_of("log/prepared.0"), -1);
	cr_assert_eq(size_of("log/prepared.1"), -1);
}
