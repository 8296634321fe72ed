/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A disk of which only directories can be synced: the first sync takes until `go`, and fails. */
static struct disk disk;
static sem_t begun, go;
static _Atomic int calls;

static int sync_directory(struct disk *d, const char *path)
{
	(void)d;
	(void)path;
	sem_post(&begun);
	if (calls++)
		return 0;
	sem_wait(&go);
	return -EIO;
}

static const struct disk_ops ops = {.sync_directory = sync_directory};

static void begin(void)
{
	disk_init(&disk, &ops);
	sem_init(&begun, 0, 0);
	sem_init(&go, 0, 0);
}

TestSuite(disk, .init = begin, .timeout = 60);

static void *sync_one(void *err)
{
	*(int *)err = disk_sync_directory(&disk, "log");
	return NULL;
}

Test(disk, after_a_directory_sync_that_failed_all_fail)
{
	sem_post(&go);
	cr_assert_eq(disk_sync_directory(&disk, "log"), -EIO);
	cr_assert_eq(disk_sync_directory(&disk, "checkpoint"), -EIO);
	cr_assert_eq(calls, 1);
}

/* The system tells one of them only. */
Test(disk, who_syncs_while_another_sync_fails_is_not_told_that_all_is_well)
{
	pthread_t first, second;
	struct timespec soon;
	int errs[2] = {0};

	pthread_create(&first, NULL, sync_one, &errs[0]);
	sem_wait(&begun);
	pthread_create(&second, NULL, sync_one, &errs[1]);
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 50000000;
	soon.tv_sec += soon.tv_nsec / 1000000000;
	soon.tv_nsec %= 1000000000;
	cr_expect_neq(sem_timedwait(&begun, &soon), 0, "it does not come to its sync");
	sem_post(&go);
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	cr_assert_eq(errs[0], -EIO);
	cr_assert_eq(errs[1], -EIO);
}

/* ---- what is written once ---- */

/* Pieces of all lengths, each where the last one ended, are there in order, whatever of them leaves the page cache. */
static void write_once_in(const char *directory)
{
	enum { PIECES = 40 };
	static uint8_t piece[300000], back[sizeof piece];
	struct disk *d;
	uint64_t at = 4096;
	char path[64];
	int fd;

	snprintf(path, sizeof path, "%s/mqfs-disk-XXXXXX", directory);
	cr_assert(mkdtemp(path));
	cr_assert_eq(disk_open_directory(&d, path), 0);
	fd = disk_open(d, "f", O_RDWR | O_CREAT, 0600);
	cr_assert_geq(fd, 0);
	for (unsigned n = 0; n < PIECES; n++) {
		size_t len = (n * 7919u * 31u) % sizeof piece;

		memset(piece, (int)n + 1, len);
		cr_assert_eq(disk_write_once(d, fd, piece, len, at), 0);
		if (n % 8 == 7)
			cr_assert_eq(disk_sync(d, fd), 0);
		at += len;
	}
	at = 4096;
	for (unsigned n = 0; n < PIECES; n++) {
		size_t len = (n * 7919u * 31u) % sizeof piece;

		cr_assert_eq(disk_read(d, fd, back, len, at), 0);
		for (size_t i = 0; i < len; i++)
			cr_assert_eq(back[i], n + 1, "piece %u, byte %zu", n, i);
		at += len;
	}
	disk_close(d, fd);
	cr_assert_eq(disk_unlink(d, "f"), 0);
	disk_free(d);
	cr_assert_eq(rmdir(path), 0);
}

Test(disk, what_is_written_once_is_there)
{
	write_once_in("/tmp");
}

/* It refuses to leave the page cache. */
Test(disk, what_is_written_once_is_there_on_a_file_system_in_memory)
{
	write_once_in("/dev/shm");
}
