/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle.h - an open queue file: the live view, .follow/Q or .retained/Q.
 *
 * The kernel sends the requests of a handle in parallel where they read, and after each other where they write; what a handle
 * knows for either has a lock of its own. Neither is held while something waits for the commit point, or over a reply.
 *
 * Owns     its topic, held; so the queue is there as long as the handle.
 */
#ifndef MQFS_FS_HANDLE_H
#define MQFS_FS_HANDLE_H

#include "ahead.h"
#include "line.h"
#include "node.h"
#include "offset.h"
#include "opened.h"
#include <pthread.h>

struct polled;

struct handle {
	struct opened opened;            /* first: it is cast to this */
	struct queue *queue;

	pthread_mutex_t reading;
	/* guarded by it */
	struct reader *reader;           /* NULL before the first read */
	struct offsets offsets;
	struct ahead ahead;
	struct polled *polled;           /* NULL while nobody has polled it */

	/* A read that meets the committed end below this waits: the queue's appended end at open, at each end of file that a read
	 * returned, and behind each append by this handle. */
	_Atomic uint64_t mark;
	uint64_t end;                    /* of the queue: at lookup for .retained, else as the kernel knew it at open */
	_Atomic uint64_t next;           /* file offset behind its last answered write */
	_Atomic size_t cut_at;           /* bytes: the kernel may cut what is written this way at as many, and no fewer */
	_Atomic bool cut;                /* which was as long as that: what goes on there may be of the same write(2) */

	pthread_mutex_t appending;
	/* guarded by it */
	struct lines lines;
	uint64_t last_pos;               /* log position behind its last record, 0: none */
	uint64_t last_end;               /* queue offset behind it */
	uint64_t told;                   /* log position up to which its outcome has been told, as unknown, with told_err */
	int told_err;
	uint32_t cuts;                   /* the queue's, when it was last looked at */
	bool lost;                       /* a cut has taken what was written through it: for good, as close acknowledges all of that */
	uint32_t cuts_told;              /* the queue's cuts as fsync has told them */
	bool replacing;                  /* it was to be cut before it was written to: handle_refuse_cut() */
	uint32_t uid, pid;               /* who wrote last: RELEASE names nobody */
};

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

static inline struct mount *handle_mount(const struct handle *h)
{
	return h->opened.mount;
}

/* Opens N's queue and answers the request. START: see offset.h. END: see struct handle. STOP: see opened.h. */
void handle_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi, uint64_t start, uint64_t end,
	void (*stop)(struct opened *o));
/* Ends what is polled, drops unfinished lines. */
void handle_free(struct handle *h);
/* A program that wants to cut the queue to SIZE and then write means to replace what is there, as editors do, and does not always look
 * whether it could. What it writes is refused, too, or its copy would be added to the queue. */
void handle_refuse_cut(struct handle *h, uint64_t size);
/* Raises the mark to the queue's appended end. */
void handle_mark(struct handle *h);
void handle_mark_at(struct handle *h, uint64_t offset);

#endif
