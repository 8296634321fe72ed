/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.h - a blank node's first link: asks a primary for its checkpoint and its log, and makes a store of them (install.h).
 *
 * Before there is a store to open, so it is not a receiver: no promise, no acknowledgements that count, no commit point. It ends
 * when the log here reaches the checkpoint; the rest comes to the opened store by a receiver.
 *
 * Calling  join(link, name, path, again, ...) on a link just made; it blocks, and shuts the link down where it has been answered.
 * Threads  one, and one of its own that sends.
 * Errors   negative errno with one line in WHY. What was interrupted is begun again by the next.
 */
#ifndef MQFS_REPLICA_JOIN_H
#define MQFS_REPLICA_JOIN_H

#include "link.h"
#include "store.h"

struct join_progress {
	uint64_t start, pos, end;        /* the log: from where, how far, and the end of the primary's */
	uint64_t checkpoint, checkpoint_size;    /* bytes of the checkpoint that are here, of so many */
};

/* AGAIN: PATH has a store of the cluster, which is given up; ASIDE as for install_begin(). TOLD may be NULL. The link is the caller's to close. */
int join(struct link *l, const char *name, const char *path, bool again, uint64_t aside, uint64_t segment_size,
	void (*told)(void *ctx, const struct join_progress *p), void *ctx, char why[STORE_WHY]);

#endif
