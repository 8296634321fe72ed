/* SPDX-License-Identifier: Apache-2.0 */
/*
 * powercut.h - a disk that knows what would be left of it if the power went now.
 *
 * Of a file that is what was there at its last sync, of a directory the names that it had at its last sync: what the system
 * promises, and no more. In /dev/shm it is fast.
 *
 * Calling  powercut_open(&d, "/tmp/x"); ... powercut_copy("/tmp/y", CUT_LEAST); ... disk_free(d);
 * Threads  any. There is one such disk at a time.
 */
#ifndef MQFS_TESTS_POWERCUT_H
#define MQFS_TESTS_POWERCUT_H

#include "disk.h"

enum cut {
	CUT_LEAST,             /* only what was synced */
	CUT_SOME_PAGES,        /* and of the rest every other page or so: pages get to the disk in any order */
	CUT_NEW_NAMES,         /* what was synced of the files, under the names of now: the file system's journal was ahead */
	CUT_SOME_PAGES_NEW_NAMES,
	CUTS
};

/* What PATH has already is durable. */
int powercut_open(struct disk **d, const char *path);
/* What was written to FD since its last sync will never get to the disk: its sync has failed. */
void powercut_forget(int fd);
/* What is left, as the new directory TO. */
void powercut_copy(const char *to, enum cut how);

#endif
