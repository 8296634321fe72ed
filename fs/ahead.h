/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - what a handle will be asked for next, gathered while its program is busy with what it got.
 *
 * Where queues interleave, gathering and verifying the short records of a read takes longer than all the rest of it. A program that
 * reads a long backlog in order is away between two reads, to copy and to look at what it got; so the worker that has answered
 * such a read gathers the next one's bytes before it looks for other requests. Only bytes that are copied together are kept, never a
 * segment; and AHEAD_MAX of them in all.
 *
 * Calling  under the handle's `reading`: ahead_take() instead of a read, then ahead_follow(); after the answer, without it, ahead_run()
 *          when the latter said so.
 * Threads  ahead_run() comes after the answer, when the handle may be closed already: ahead_end(), before anything of it is freed,
 *          waits for it.
 */
#ifndef MQFS_FS_AHEAD_H
#define MQFS_FS_AHEAD_H

#include "reader.h"
#include <pthread.h>

#define AHEAD_MAX (16u << 20)

struct handle;

/* Guarded by the handle's `reading`. */
struct ahead {
	uint64_t next;                   /* queue offset behind the last read */
	struct slice slice;              /* of the bytes from there on; empty: none were gathered */
	bool due;                        /* ahead_run() is to come, or runs */
	pthread_cond_t done;
};

void ahead_init(struct ahead *a);
/* For who closes the handle and holds nothing. */
void ahead_end(struct handle *h);
/* True: *TO has what is wanted at OFFSET, SIZE bytes. */
bool ahead_take(struct handle *h, uint64_t offset, size_t size, struct slice *to);
/* READ was answered from OFFSET on, SIZE bytes were asked for. True: call ahead_run(). */
bool ahead_follow(struct handle *h, uint64_t offset, size_t size, const struct slice *read);
void ahead_run(struct handle *h, size_t size);

#endif
