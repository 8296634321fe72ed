/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mountpoint.h - the directory at which a store is mounted: looked at, made, mended, mounted, unmounted.
 *
 * Calling  mountpoint_prepare(path, store, &claim, why); mountpoint_session(&m, &options, why); mountpoint_mount(&m, why);
 *          mountpoint_release(&claim); ... serving ... mountpoint_await(&m, why); ... no longer serving: mountpoint_unmount(&m)
 * Errors   negative errno, with the refusal as one line in WHY; libfuse and fusermount3 say on stderr why they could not mount.
 * Threads  one.
 */
#ifndef MQFS_FS_MOUNTPOINT_H
#define MQFS_FS_MOUNTPOINT_H

#include "mount.h"
#include "option.h"

/* Nobody else prepares the mountpoint meanwhile. */
struct mountpoint_claim {
	int directory;                  /* below the mount; -1: released */
	int lock;                       /* a file in it; -1: none */
	bool made;                      /* it was not there before */
};

/*
 * PATH is an empty directory afterwards, made if need be, and apart from STORE. A dead mount of mqfs there, as kill -9 leaves
 * it, is taken away; anything else that is there is refused. The claim is the caller's until it is released, once mounted, however this ends.
 */
int mountpoint_prepare(const char *path, const char *store, struct mountpoint_claim *c, char why[STORE_WHY]);
void mountpoint_release(struct mountpoint_claim *c);
/* The mount of the store becomes as the generic options say: read-only or not, and so on. */
int mountpoint_remount(const struct options *o, char why[STORE_WHY]);

/* The session of M, not mounted yet. */
int mountpoint_session(struct mount *m, const struct options *o, char why[STORE_WHY]);
int mountpoint_mount(struct mount *m, char why[STORE_WHY]);
/* Until the kernel has met who serves it: programs may use it. */
int mountpoint_await(struct mount *m, char why[STORE_WHY]);
/* Ends the session. What has been mounted over ours, or in its place, stays. */
void mountpoint_unmount(struct mount *m);

#endif
