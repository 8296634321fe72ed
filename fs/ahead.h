/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - what a handle will be asked for next, gathered while its program is busy with what it got.
 *
 * Verifying the records of a read, and where queues interleave gathering them, takes longer than all the rest of it. A program that
 * reads a long backlog in order is away between two reads, to copy and to look at what it got; so the worker that has answered
 * such a read gathers the next ones' bytes before it looks for other requests, up to AHEAD_SLICES of them, while other workers answer
 * with what it has. Only copies are kept, never a segment; and AHEAD_MAX bytes of them in all.
 *
 * Calling  under the handle's `reading`: ahead_take() instead of a read, then ahead_follow(); after the answer, without it, ahead_run()
 *          when the latter said so. ahead_run() uses the handle's reader without `reading`: only when ahead_take() has said false, or behind
 *          ahead_leave(), and until `reading` is given up, the reader is the caller's.
 * Threads  ahead_run() comes after the answer, when the handle may be closed already: ahead_end(), before anything of it is freed,
 *          waits for it.
 */
#ifndef MQFS_FS_AHEAD_H
#define MQFS_FS_AHEAD_H

#include "reader.h"
#include <pthread.h>

#define AHEAD_MAX (16u << 20)
#define AHEAD_SLICES 2u

struct handle;

/* Guarded by the handle's `reading`. */
struct ahead {
	uint64_t next;                   /* queue offset behind the last read */
	size_t size;                     /* bytes of a slice */
	bool messages;                   /* which has none of two messages of framing=write */
	struct slice slice[AHEAD_SLICES]; /* of the bytes from there on, in order */
	unsigned count;
	bool due;                        /* ahead_run() is to come, or runs */
	bool busy;                       /* it uses the reader */
	bool stop;                       /* what it gathers is not wanted */
	pthread_cond_t moved;            /* one slice more, or it has ended */
};

void ahead_init(struct ahead *a);
/* For who closes the handle and holds nothing. */
void ahead_end(struct handle *h);
/* True: *TO has what is wanted at OFFSET, SIZE bytes. */
bool ahead_take(struct handle *h, uint64_t offset, size_t size, struct slice *to);
/* For a read that ahead_take() is not asked for: the reader is the caller's, what was gathered is dropped. */
void ahead_leave(struct handle *h);
/* READ was answered from OFFSET on, SIZE bytes were asked for. True: call ahead_run(). */
bool ahead_follow(struct handle *h, uint64_t offset, size_t size, const struct slice *read);
void ahead_run(struct handle *h, size_t size, bool messages);

#endif
