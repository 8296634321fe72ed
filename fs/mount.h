/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.h - one mounted store: what every request has at hand. Made by main (mqfs.c), passed as libfuse's userdata.
 */
#ifndef MQFS_FS_MOUNT_H
#define MQFS_FS_MOUNT_H

#define FUSE_USE_VERSION 312

#include "store.h"
#include <fuse_lowlevel.h>
#include <semaphore.h>
#include <pthread.h>

struct callers;
struct locks;
struct node_table;
struct opened;
struct others;
struct texts;

struct mount {
	struct store *store;
	struct fuse_session *session;
	sem_t live;                     /* posted when the kernel has said INIT: the mount is served */
	const char *mountpoint;         /* absolute */
	const char *store_path;         /* absolute */
	const struct others *others;    /* this node among others: others.h */
	struct node_table *table;       /* the nodes that the kernel knows: node.c */
	struct locks *locks;            /* flock and fcntl locks, by file: lock.c */
	struct texts *texts;            /* of the node's own files, that are given again: snapshot.c */
	struct callers *callers;        /* whose parked requests only their death ends early: caller.h */
	pthread_mutex_t opened_lock;
	struct opened *opened;          /* the open files, guarded by it: opened.c */
	_Atomic bool stopping;          /* appends are refused: what is unfinished gets no newline any more */
	uint64_t commit_timeout;        /* ns */
	int64_t started;                /* ns since 1970 */
	_Atomic int64_t changed;        /* ns since 1970: when a topic last came or went; the root's mtime */
	/* counters for metrics.prom */
	_Atomic uint64_t handles;       /* open now */
	_Atomic uint64_t nodes;         /* known to the kernel now */
	_Atomic uint64_t parked;        /* requests parked now */
	_Atomic uint64_t ahead;         /* bytes gathered ahead of their reads; at most AHEAD_MAX */
	_Atomic uint64_t held;          /* bytes of texts and histories that handles hold; at most HELD_MAX */
	_Atomic uint64_t unfinished;    /* bytes of lines in memory, see line.h; at most UNFINISHED_MAX */
};

#define UNFINISHED_MAX (256u << 20)
#define HELD_MAX (256u << 20)
#define HISTORIES_MAX (HELD_MAX / 4 * 3)       /* they leave the rest to texts */

static inline struct mount *mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

extern const struct fuse_lowlevel_ops mount_ops;      /* ops.c: the table of requests */

/* ops.c: what the requests need besides the store. */
int mount_start(struct mount *m);       /* before the session is made; 0 or negative errno */
/* Refuses appends, ends lines that were left unfinished, answers who waits for a lock with ENOTCONN. Before the store is stopped. */
void mount_stop(struct mount *m);
void mount_end(struct mount *m);        /* after the session is gone, before the store is closed */

#endif
