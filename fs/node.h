/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.h - what a nodeid of the kernel stands for: one place in the tree.
 *
 * Each LOOKUP of a queue (live, .follow, .retained) answers with a fresh node of the same st_ino, so that the handles of one
 * queue do not share a lock in the kernel (section 5 of the design). A node lives until the kernel forgets it; it holds its topic.
 */
#ifndef MQFS_FS_NODE_H
#define MQFS_FS_NODE_H

#include "mount.h"

enum node_kind {
	NODE_ROOT,
	NODE_TOPIC,              /* T/ */
	NODE_QUEUE,              /* T/0: the live view */
	NODE_ANY,                /* T/any */
	NODE_FOLLOW_DIR,         /* T/.follow/ */
	NODE_FOLLOW,             /* T/.follow/0, T/.follow/0@START */
	NODE_FOLLOW_ALL,         /* T/.follow/all, T/.follow/all@START */
	NODE_RETAINED_DIR,       /* T/.retained/ */
	NODE_RETAINED,           /* T/.retained/0 */
	NODE_CONFIG_DIR,         /* T/.config/ */
	NODE_CONFIG,             /* T/.config/NAME */
	NODE_STATUS_DIR,         /* .mqfs/ */
	NODE_STATUS,             /* .mqfs/NAME */
};

struct file_ops;
struct control;

struct node {
	enum node_kind kind;
	struct topic *topic;             /* held; NULL for the root's own */
	struct queue *queue;             /* of the kinds that have one */
	const struct file_ops *file;     /* NULL for directories and links */
	const struct control *control;   /* of NODE_CONFIG and NODE_STATUS */
	/* NODE_FOLLOW: queue offset to start at; NODE_FOLLOW_ALL: log position to start at; NODE_CONFIG head.Q: the queue's number;
	 * NODE_RETAINED: the head at lookup */
	uint64_t start;
	uint64_t inode;                  /* st_ino */
	_Atomic uint64_t lookups;        /* that the kernel has not forgotten */
};

/* What opening, reading and writing mean for a kind of file. Each answers its request or parks it; none blocks on a commit.
 * A NULL member means that the request is refused (EPERM) or, for flush and release, has nothing to do. */
struct file_ops {
	void (*open)(fuse_req_t req, struct node *n, struct fuse_file_info *fi);
	void (*read)(fuse_req_t req, struct node *n, size_t size, off_t at, struct fuse_file_info *fi);
	void (*write)(fuse_req_t req, struct node *n, const char *from, size_t size, off_t at, struct fuse_file_info *fi);
	void (*fsync)(fuse_req_t req, struct node *n, struct fuse_file_info *fi);
	void (*flush)(fuse_req_t req, struct node *n, struct fuse_file_info *fi);
	void (*release)(fuse_req_t req, struct node *n, struct fuse_file_info *fi);
	void (*poll)(fuse_req_t req, struct node *n, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
};

extern const struct file_ops queue_file;         /* append.c, read.c: the live view */
extern const struct file_ops follow_file;        /* follow.c */
extern const struct file_ops follow_all_file;    /* follow_all.c */
extern const struct file_ops retained_file;      /* retained.c */
extern const struct file_ops control_file;       /* control.c: .config/NAME and .mqfs/NAME */

extern struct node node_root;

/* The nodeid is the node's address but for the root. */
struct node *node_of(fuse_ino_t ino);
/* A new node with one lookup, holding T when that is not NULL. NULL: out of memory. */
struct node *node_new(struct mount *m, enum node_kind kind, struct topic *t, struct queue *q);
void node_forget(struct mount *m, struct node *n, uint64_t lookups);

#endif
