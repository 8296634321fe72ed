/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mountpoint.h - the directory at which a store is mounted: looked at, made, mended, mounted, unmounted.
 *
 * Calling  mountpoint_prepare(path, store, &made, why); mountpoint_session(&m, &options, why); mountpoint_mount(&m, why);
 *          ... serving ... mountpoint_await(&m, why); ... no longer serving: mountpoint_unmount(&m)
 * Errors   negative errno, with the refusal as one line in WHY; libfuse and fusermount3 say on stderr why they could not mount.
 * Threads  one.
 */
#ifndef MQFS_FS_MOUNTPOINT_H
#define MQFS_FS_MOUNTPOINT_H

#include "mount.h"
#include "option.h"

/*
 * PATH is an empty directory afterwards, MADE if need be, and apart from STORE. A dead mount of mqfs there, as kill -9 leaves
 * it, is taken away; anything else that is there is refused.
 */
int mountpoint_prepare(const char *path, const char *store, bool *made, char why[STORE_WHY]);
/* Whether some mqfs serves STORE, as far as the mounts that this process sees tell. */
bool mountpoint_serves(const char *store);

/* The session of M, not mounted yet. */
int mountpoint_session(struct mount *m, const struct options *o, char why[STORE_WHY]);
int mountpoint_mount(struct mount *m, char why[STORE_WHY]);
/* Until the kernel has met who serves it: programs may use it. */
int mountpoint_await(struct mount *m, char why[STORE_WHY]);
/* Ends the session. What has been mounted over ours, or in its place, stays. */
void mountpoint_unmount(struct mount *m);

#endif
