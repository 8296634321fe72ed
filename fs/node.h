/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.h - what a nodeid of the kernel stands for: one place in the tree.
 *
 * Each LOOKUP of a queue (live, .follow, .retained) answers with a fresh node of the same st_ino, so that the handles of one
 * queue do not share a lock in the kernel (section 5 of the design). So do the other files. A directory has one node as long as the
 * kernel knows it: another one would make the kernel drop what stands on it (a shell's working directory, a mount).
 * A node lives until the kernel forgets it; it holds its topic.
 *
 * Threads  any. Lock: the table's, which stands below all others of fs/. What has no guard is constant.
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

struct control;
struct file_ops;

struct node {
	enum node_kind kind;
	struct topic *topic;             /* held; NULL for the root's own */
	struct queue *queue;             /* of the kinds that have one */
	const struct file_ops *file;     /* NULL for directories and links */
	const struct control *control;   /* of NODE_CONFIG and NODE_STATUS */
	/* NODE_FOLLOW: queue offset to start at; NODE_FOLLOW_ALL: log position to start at; NODE_CONFIG, NODE_STATUS: which one;
	 * NODE_RETAINED: the head at lookup */
	uint64_t start;
	/* NODE_RETAINED: the queue's committed end and time of change at lookup, so that the file does not change */
	uint64_t end;
	int64_t time;                    /* ns since 1970 */
	uint64_t inode;                  /* st_ino */
	/* NODE_CONFIG and NODE_STATUS: bytes of the text as last made for this node; of a queue: st_size as the kernel was last told */
	_Atomic uint64_t size;
	/* guarded by the table's lock */
	uint64_t lookups;                /* that the kernel has not forgotten */
	struct node *prev, *next;
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
fuse_ino_t node_id(const struct node *n);
bool node_is_directory(enum node_kind kind);
/* A node with one lookup more, a new one but for directories, holding T when that is not NULL. NULL: out of memory. */
struct node *node_new(struct mount *m, enum node_kind kind, struct topic *t, struct queue *q);
void node_forget(struct mount *m, struct node *n, uint64_t lookups);
/* The st_ino of what is neither a topic nor a live queue. INDEX, below 2048, tells apart files of one kind and topic. */
uint64_t node_inode(enum node_kind kind, const struct topic *t, uint32_t index);

int node_table_new(struct node_table **t);
/* With the nodes that the kernel has not forgotten; before the store is closed. */
void node_table_free(struct node_table *t);

#endif
