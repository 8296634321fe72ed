/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch.h - a directory for one test, and a disk on it whose calls can be made to fail.
 *
 * Calling  scratch_init() ... scratch_end(). faulty.fail[CALL] = n: the nth call from now on returns faulty.error; faulty.calls[CALL] counts.
 */
#ifndef MQFS_TESTS_SCRATCH_H
#define MQFS_TESTS_SCRATCH_H

#include "disk.h"

enum faulty_call { CALL_OPEN, CALL_PREAD, CALL_PWRITEV, CALL_SYNC, CALL_ALLOCATE, CALL_RENAME, CALL_SYNC_DIRECTORY, CALLS };

struct faulty {
	struct disk disk;
	struct disk *under;
	_Atomic int calls[CALLS];
	_Atomic int fail[CALLS];       /* counts down to the call that fails; 0: none */
	_Atomic int error;             /* what it returns */
	void (*before_sync)(void *ctx);        /* runs in front of each sync */
	void *ctx;
};

extern char scratch_path[64];          /* the directory */
extern struct faulty scratch;          /* its disk; never freed by disk_free() */
extern uint8_t scratch_secret[];       /* RECORD_SECRET bytes */

void scratch_init(void);
void scratch_end(void);

#endif
