/* SPDX-License-Identifier: Apache-2.0 */
/*
 * together.h - small WRITEs that queue up, logged by one write(2) and then answered.
 *
 * A worker that finds requests waiting runs one small WRITE after the other without answering: their records are gathered (store_append() with
 * `later`). When there is no further one, or TOGETHER_MAX are unanswered, or another kind of request comes, they are written and
 * answered. Nobody waits for what may not come: a worker ends them before it does anything but run the next small WRITE.
 *
 * Threads  each worker has its own; a request finds its worker's by together_here(), as libfuse says nothing of it.
 */
#ifndef MQFS_FS_TOGETHER_H
#define MQFS_FS_TOGETHER_H

#include "mount.h"
#include <stdbool.h>

#define TOGETHER_MAX 16

struct handle;

/* A WRITE that is appended and not answered. */
struct unanswered {
	void (*written)(const struct unanswered *u, int err);      /* answers it */
	fuse_req_t req;
	struct handle *handle;           /* not released before the answer */
	uint64_t pos;                    /* log position behind it */
	off_t at;
	size_t size;
};

struct together {
	unsigned count;
	struct unanswered write[TOGETHER_MAX];
};

/* What the request that this thread runs may be added to; NULL: it has to be answered by itself. */
struct together *together_here(void);
/* The next request is run with T, which has room, or with NULL. */
void together_set(struct together *t);
void together_add(struct together *t, const struct unanswered *u);
/* All of them are written and answered. */
void together_end(struct together *t);

#endif
