/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flock.h - the requests for flock(2) and fcntl(2) locks.
 *
 * One that has to wait is parked and holds no thread; INTERRUPT ends it with EINTR, the mount's stop with ENOTCONN.
 */
#ifndef MQFS_FS_FLOCK_H
#define MQFS_FS_FLOCK_H

#include "node.h"

void flock_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void flock_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep);
void flock_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op);
/* What FLUSH and RELEASE give up. */
void flock_closed(struct mount *m, struct node *n, const struct fuse_file_info *fi);
void flock_released(struct mount *m, struct node *n, const struct fuse_file_info *fi);

#endif
