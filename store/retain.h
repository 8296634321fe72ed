/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retain.h - retention: which messages have had their time, and which segments may go.
 *
 * retain_heads() moves the heads of topics with a limit (age, size) by commands in the log. Segments go from the front of the log
 * once every head has passed them. When the file system has less than retention_free left, segments go before their
 * time, by moving the heads of this node only. The rules stand in retain.c.
 *
 * A topic's messages are pinned when neither age nor size limits them: the operator never said that they may go. Those go
 * only with retention.pinned=drop.
 *
 * Units    bytes, log positions, ns since 1970.
 * Errors   negative errno. One pass that failed is made up for by the next.
 * Threads  the keeper only, but for what says otherwise.
 */
#ifndef MQFS_STORE_RETAIN_H
#define MQFS_STORE_RETAIN_H

#include "parts.h"

/* One pass at NOW_NS. Returns how many segments went, or a negative errno; *NEED_CHECKPOINT tells that a new checkpoint would let one
 * more go: make it and pass again. May block on the log's commit. */
int retain_run(struct store *s, int64_t now_ns, bool *need_checkpoint);
/* When the next message of any topic comes of age; INT64_MAX: never. So an idle store sleeps. */
int64_t retain_next(struct store *s, int64_t now_ns);

/* retain_heads.c: heads by age and size. */
int retain_heads(struct store *s, int64_t now_ns);
/* The log position before which no queue needs anything, as far as whole sealed segments go; it only grows. */
uint64_t retain_unneeded(struct store *s);
/* Whether a queue needs what is before the first segment; where that cannot be told, it does. */
bool retain_before_start(struct store *s);

/* How firmly a queue's messages, or all of a segment's together, keep a segment. */
enum hold {
	HOLD_NONE,             /* not at all: its head is behind them, or it was removed */
	HOLD_LIMITED,          /* its topic has a limit: they will go by themselves */
	HOLD_DROP,             /* pinned, and the operator has said that a full disk may take them */
	HOLD_KEEP,             /* pinned; or not to be told, for want of the segment's index, or as not all of it is applied */
};

struct index_queue;

/* Any thread. *TOPIC is the id of the topic it belongs to. */
enum hold retain_hold(struct store *s, const struct index_queue *of, uint64_t *topic);
/* pins.c. Looks for a moment at what keeps each segment, from where the last call stopped. True: not at all of them yet. */
bool retain_pins(struct store *s);
/* Any thread: bytes of log that only pinned topics keep, as far as they were looked at. */
uint64_t retain_pinned(struct store *s);

#endif
