/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - the text of a control file as it was when it was made: what a handle's reads return.
 *
 * Held by its handle, and by a read that answers from it: the answer lets the reader close the file before the reply's call has
 * returned here.
 *
 * A text of the node's own that took long to make is given again for a while: else a few who ask for one all the time keep every
 * worker busy. What took no time is always made anew, so that who has changed something finds it there.
 *
 * Errors   -ENOBUFS: what handles hold has reached HELD_MAX (mount.h); -ENOMEM.
 * Threads  any.
 */
#ifndef MQFS_FS_SNAPSHOT_H
#define MQFS_FS_SNAPSHOT_H

#include "node.h"

#define SNAPSHOT_FREE 4096u            /* bytes of a text that costs no more than the handle does: it is never refused */
#define SNAPSHOT_LONG 10000000         /* ns of a processor: what takes longer to make is given again, */
#define SNAPSHOT_SHARE 10              /* for this many times as long, */
#define SNAPSHOT_AGE 1000000000        /* ns: but no longer than this */

struct snapshot {
	char *text;
	size_t size;
	_Atomic unsigned users;
	struct mount *charged;           /* its bytes count among what handles hold; NULL: they do not. Guarded by the texts' lock */
};

struct texts;
int texts_new(struct texts **t);
void texts_free(struct texts *t);

/* The text of N now, or as it was lately; the node's size is from then on this text's. */
int snapshot_take(struct mount *m, struct node *n, struct snapshot **s);
/* The same for a handle, which may hold it for as long as it likes. */
int snapshot_take_for_handle(struct mount *m, struct node *n, struct snapshot **s);
void snapshot_put(struct snapshot *s);           /* may be NULL */

#endif
