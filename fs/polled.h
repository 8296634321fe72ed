/* SPDX-License-Identifier: Apache-2.0 */
/*
 * polled.h - an open file that somebody polls: how the kernel is told that more can be read.
 *
 * The kernel asks with a POLL whenever somebody begins to wait and whenever it was told; each POLL calls polled_watch_*(), and the next
 * growth is told once, also when there is something to read already. So who waits for edges (EPOLLET, as Go's runtime does)
 * sees one for each growth since the POLL.
 *
 * Threads  any. What is told is told by the deliverer, never in a request.
 * Owns     the kernel's poll handle: one is good for the file as long as it is open.
 */
#ifndef MQFS_FS_POLLED_H
#define MQFS_FS_POLLED_H

#include "mount.h"

struct polled;

/* Takes PH. NULL: out of memory, and PH is destroyed. */
struct polled *polled_new(struct store *s, struct fuse_pollhandle *ph);
/* Nothing is told from here on. */
void polled_free(struct polled *p);
/* 0: growth of Q's committed end beyond SEEN will be told. Else as watch_queue(). */
int polled_watch_queue(struct polled *p, struct queue *q, uint64_t seen);
int polled_watch_topic(struct polled *p, struct topic *t, uint64_t seen);
/* Makes *P where there is none, in any case takes PH, which may be NULL. */
void polled_take(struct polled **p, struct store *s, struct fuse_pollhandle *ph);

#endif
