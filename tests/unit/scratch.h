/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch.h - a directory for one test, and a disk on it whose calls can be made to fail.
 *
 * Calling  scratch_init() ... scratch_end(). faulty.fail[CALL] = n: the nth call from now on returns faulty.error; faulty.calls[CALL] counts.
 *          faulty.fail_any = n: the same over all kinds of calls that are in faulty.kinds, and with faulty.stays each one after it.
 */
#ifndef MQFS_TESTS_SCRATCH_H
#define MQFS_TESTS_SCRATCH_H

#include "disk.h"

enum faulty_call { CALL_OPEN, CALL_PREAD, CALL_PWRITEV, CALL_SYNC, CALL_FORGET, CALL_ALLOCATE, CALL_RENAME, CALL_SYNC_DIRECTORY, CALL_TRUNCATE, CALL_STAT,
	CALL_UNLINK, CALL_MKDIR, CALL_LIST, CALL_MAP, CALL_SPACE, CALL_LOCK, CALLS };

#define SCRATCH_FILES 1024             /* descriptors that are looked after */

struct faulty {
	struct disk disk;
	struct disk *under;
	_Atomic int calls[CALLS];
	_Atomic int fail[CALLS];       /* counts down to the call that fails; 0: none */
	_Atomic int fail_any;          /* the same for any call of `kinds` */
	_Atomic bool stays;            /* once fail_any has come to its call, all further ones fail as well */
	_Atomic int failed;            /* the kind of call that fail_any has come to last */
	unsigned kinds;                /* bit CALL: it counts for fail_any */
	_Atomic int error;             /* what it returns */
	_Atomic bool halved;           /* instead of failing, a transfer moves half of its bytes */
	_Atomic uint64_t free;         /* what the disk says is free; 0: what is */
	_Atomic int opened;            /* descriptors that are open */
	_Atomic int retried;           /* syncs of a descriptor whose sync has failed before, and of directories after one that failed */
	_Atomic bool names_unsound;    /* a sync of a directory has failed */
	_Atomic bool unsound[SCRATCH_FILES];   /* by descriptor: a sync of it has failed */
	void (*before_sync)(void *ctx);        /* runs in front of each sync */
	void (*before_call)(void *ctx);        /* runs in front of each call */
	bool (*chosen)(void);                  /* this call fails, whatever the counts say */
	void (*sync_failed)(void *ctx, int fd);        /* a sync of FD is made to fail */
	void *ctx;
};

extern char scratch_path[64];          /* the directory */
extern struct faulty scratch;          /* its disk; never freed by disk_free() */
extern uint8_t scratch_secret[];       /* RECORD_SECRET bytes */

void scratch_init(void);
void scratch_init_in(const char *parent);        /* where the directory is to be */
void scratch_end(void);
/* The regular files and directories below FROM, as the new directory TO. */
void scratch_copy(const char *from, const char *to);
/* Takes PATH and all below it away. */
void scratch_remove(const char *path);

#endif
