/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir.h - the requests on directories: lookup, listing, the making and removing of topics, and what is refused.
 *
 * A listing's cookies are topic ids and numbers of queues and settings, never an index: what comes and goes meanwhile neither
 * repeats nor hides another name. `.follow` and `.retained` list as empty: what blocks or waits is reached by name only.
 */
#ifndef MQFS_FS_DIR_H
#define MQFS_FS_DIR_H

#include "node.h"

void dir_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void dir_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void dir_readlink(fuse_req_t req, fuse_ino_t ino);

void dir_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void dir_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

/* EPERM, all of them: queues come with their topic and stay. */
void dir_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void dir_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void dir_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void dir_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void dir_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void dir_rename(
	fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *new_name, unsigned int flags);

#endif
