/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts.h - the mounts that this process sees, for mqfs and for mqctl.
 *
 * Calling  FILE *mounts = setmntent(MOUNTS_FILE, "re"); while ((e = mounts_next(mounts))) ...; endmntent(mounts), if it is not NULL
 * Threads  one: getmntent(3) has one buffer.
 */
#ifndef MQFS_FS_MOUNTS_H
#define MQFS_FS_MOUNTS_H

#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>

#define MOUNTS_FILE "/proc/self/mounts"
#define MOUNTS_TYPE "fuse.mqfs"
/* How long, in seconds, an mqfs that is not mounted any more is waited for to leave its store, which takes it some syncs of a busy disk. */
#define MOUNTS_LEAVING 30

/* The next one; NULL: there is none, or MOUNTS is NULL. */
struct mntent *mounts_next(FILE *mounts);
/* Its daemon is gone. Asks it, for ten seconds at most, or until a blocked signal is there that ends this process; of one that is being killed it
 * waits for the end. */
bool mounts_dead(const char *mountpoint);
/* Whether some mqfs serves STORE, an absolute path without links. */
bool mounts_serve(const char *store);

#endif
