/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>

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
