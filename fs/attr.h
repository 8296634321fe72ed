/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attr.h - what stat(2) says of a node, and chmod, chown and touch.
 *
 * st_size of a queue is its committed end and st_blocks what is retained of it, so that `ls -s` and du tell how much there is.
 * Owner, group and mode of the root, topics and queues are kept in the log; the others' follow from them.
 *
 * Threads  any.
 */
#ifndef MQFS_FS_ATTR_H
#define MQFS_FS_ATTR_H

#include "node.h"

void attr_get(struct mount *m, struct node *n, struct stat *st);
/* Answers REQ with N as the entry that was looked up. */
void attr_reply_entry(fuse_req_t req, struct node *n);

void attr_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void attr_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set, struct fuse_file_info *fi);
void attr_statfs(fuse_req_t req, fuse_ino_t ino);

#endif
