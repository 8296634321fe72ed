/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub.h - reads the whole store in the background, slowly, and verifies it: damage is found while there is still a copy to mend it from.
 *
 * A pass verifies the checkpoints, then every segment from the front of the log to what was committed when the pass began: its header,
 * each record's header, chain and body, and its index when it is sealed. A pass begins a week after the last one began. What is
 * damaged is told by store_damaged(); that makes again what is derived.
 *
 * It is a thread of its own, because the keeper must not wait for a slow disk while a segment fills up. It wakes at most once a
 * second, and reads as much as `scrub_rate` allows for that second; a quarter of it while messages come in. Its reads have
 * the lowest priority on the disk, and leave the page cache as it was.
 *
 * Where it is, is kept in the file "scrub" in the store: not in the checkpoint, which is the log's state and the same on
 * every node, as this is a node's own. It is written at the end of a pass or of the mount, and otherwise so rarely that nobody waits for its
 * sync; a start that finds an old, damaged or no file verifies something again.
 *
 * Calling  scrub_start(&c, store); ...; scrub_stop(c); scrub_free(c). Or scrub_new(), and scrub_step() until it returns 0.
 * Units    bytes, log positions, ns since 1970.
 * Errors   negative errno.
 * Threads  any for scrub_status(), scrub_now() and scrub_stop(); one at a time for scrub_step().
 */
#ifndef MQFS_STORE_SCRUB_H
#define MQFS_STORE_SCRUB_H

#define SCRUB_FILE "scrub"

#include "parts.h"

struct scrub;

int scrub_new(struct scrub **c, struct store *s);
void scrub_free(struct scrub *c);
/* scrub_new() and the thread, at the store's scrub_rate. */
int scrub_start(struct scrub **c, struct store *s);
/* Ends the thread and keeps the place. */
void scrub_stop(struct scrub *c);
/* Verifies some MAX bytes more, or a pass's beginning: 1; 0: the pass is over. -ENOMEM and the like: go on later. For the thread, or
 * for who has none. */
int scrub_step(struct scrub *c, uint64_t max);
/* One second's work of a pass that is under way or due, at the store's scrub_rate; a quarter of it when the log's end is not LOG_SEEN, which
 * becomes that. Returns when the next one's is, on CLOCK_MONOTONIC. For the thread, or for who has none. */
int64_t scrub_work(struct scrub *c, uint64_t *log_seen);
/* The next pass is due now. */
void scrub_now(struct scrub *c);
void scrub_status(struct scrub *c, struct scrub_status *to);

#endif
