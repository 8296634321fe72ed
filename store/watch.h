/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - who waits for more of a queue or topic: parked readers and polls.
 *
 * A watcher is told once, by the deliverer thread, that its queue is committed beyond the offset it has seen, that its
 * topic was removed, or that its deadline has passed. The deliverer is a thread of its own, so that a delivery to many
 * readers never runs inside a writer's request or in front of the next sync. While anyone watches, appends to the
 * queue are synced at once.
 *
 * Threads  any; ready() runs on the deliverer, holds no lock, and may call watch_queue() again.
 * Owns     nothing: a watcher is its caller's, who takes it back (unwatch()) or is told, before freeing it.
 */
#ifndef MQFS_STORE_WATCH_H
#define MQFS_STORE_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct queue;
struct topic;
struct store;

struct watcher {
	/* ERR is 0, -ETIMEDOUT at the deadline, -ENOTCONN when the store stops, -EIO when the log failed */
	void (*ready)(struct watcher *w, int err);
	int64_t deadline;            /* CLOCK_MONOTONIC ns, 0: none */
	/* watch.c's, guarded by the watch lock */
	struct watch_list *on;
	const _Atomic uint64_t *grows;       /* what it waits for to be more than `seen` */
	uint64_t seen;
	struct watcher *prev, *next;         /* in on->watchers, then among those that are due */
	struct watcher *all_prev, *all_next; /* among all that are parked */
	enum { WATCH_IDLE, WATCH_PARKED, WATCH_DUE } state;
	int err;
};

/* The watchers of one queue, or of one topic as a whole. */
struct watch_list {
	struct topic *topic;
	struct watcher *watchers;            /* guarded by the watch lock */
	struct watch_list *next;             /* guarded by the watch lock: the next one the deliverer has to look at */
	_Atomic bool delivering;             /* it is among those */
	_Atomic uint32_t watched;            /* how many; see queue_watched() */
};

/* 0: parked, w->ready() will be called or was. 1: nothing to wait for, the queue is committed beyond OFFSET or its topic
 * removed. -ENOTCONN: the store stops; -EIO: the log has failed. The topic must be held until w is told or taken back. */
int watch_queue(struct queue *q, uint64_t offset, struct watcher *w);
/* The same for any queue of T: SEEN is topic->readable as read before the caller last found nothing. */
int watch_topic(struct topic *t, uint64_t seen, struct watcher *w);
/* Why nothing will be told any more, for who does not wait: -ENOTCONN or -EIO as above, or 0. */
int watch_error(struct store *s);
/* True: taken back, ready() will not be called. False: it was called, or is being called right now. */
bool unwatch(struct store *s, struct watcher *w);

#endif
