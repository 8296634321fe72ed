/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retain.h - retention: which messages have had their time, and which segments may go.
 *
 * retain_heads() moves the heads of topics with a limit (age, size) by a command in the log. retain_segments() removes segments
 * from the front that every head has passed and that two valid checkpoints lie behind. When the file system has less
 * than retention.free left, segments go before their time (the order stands in retain.c), by moving the heads of
 * this node only.
 *
 * A topic's messages are pinned when neither age nor size limits them: the operator never said that they may go. Those go
 * only with retention.pinned=drop.
 *
 * Threads  the keeper only.
 */
#ifndef MQFS_STORE_RETAIN_H
#define MQFS_STORE_RETAIN_H

#include "parts.h"

/* One pass at NOW_NS (since 1970). Returns how many segments went, or a negative errno; *NEED_CHECKPOINT tells that a new checkpoint
 * would let one more go. */
int retain_run(struct store *s, int64_t now_ns, bool *need_checkpoint);
/* When the next message of any topic comes of age, ns since 1970; INT64_MAX: never. So an idle store sleeps. */
int64_t retain_next(struct store *s, int64_t now_ns);
/* After recovery: heads below the log's start (segments went on a full disk) are raised to the first record at or behind it. */
int retain_heads_at_start(struct store *s);

#endif
