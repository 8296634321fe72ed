/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opened.h - the open files of a mount, for what must happen to all of them when it stops.
 *
 * A mount that stops may have files open that the kernel never releases any more. What a program has written to them is not lost
 * for that, and what they took is given back.
 *
 * Threads  any. Lock: the mount's opened_lock, before those of the files.
 * Owns     nothing: what a kind of file knows of an open one has a struct opened in it, linked from open to release.
 */
#ifndef MQFS_FS_OPENED_H
#define MQFS_FS_OPENED_H

#include "mount.h"

struct opened {
	struct mount *mount;
	void (*stop)(struct opened *o);    /* the store takes no more appends after this; NULL: never mind */
	void (*free)(struct opened *o);    /* the session is gone */
	struct opened *prev, *next;
};

void opened_add(struct mount *m, struct opened *o);
void opened_remove(struct opened *o);
/* Calls stop() of all; then, when there is no session, free(), which removes them. */
void opened_stop(struct mount *m);
void opened_free(struct mount *m);

#endif
