/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge.h - a topic's messages in log order, whole: what .follow/all reads.
 *
 * It merges the topic's queues by the log position of their records; queues that are added later join in. A queue whose head has
 * moved past what was to come next goes on at its head; that is counted in its skips. A record that is given in part is given to its end.
 *
 * Errors   as reader.h; after -EIO the next call goes on behind the damage. -EPIPE: the rest of a record that was given in part has gone;
 *          the next call goes on at the head.
 * Threads  one at a time.
 */
#ifndef MQFS_STORE_MERGE_H
#define MQFS_STORE_MERGE_H

#include "reader.h"

struct merge;

/* From log position POS on, or from the heads where those are later. T must be held as long. */
int merge_new(struct merge **m, struct store *s, struct topic *t, uint64_t pos);
void merge_free(struct merge *m);
/* The next committed bytes, at most MAX: whole records; one longer than MAX comes in pieces. 0: nothing more is committed now. With
 * framing=write a call never crosses a message's end. TO is empty. */
ssize_t merge_read(struct merge *m, size_t max, struct slice *to);

#endif
