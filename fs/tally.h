/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.h - a topic's queues summed up, for status.json and metrics.prom.
 *
 * Threads  any; the figures of one tally are taken one after the other, not at one moment.
 */
#ifndef MQFS_FS_TALLY_H
#define MQFS_FS_TALLY_H

#include "store.h"

struct tally {
	uint32_t queues;
	uint64_t bytes, messages;        /* committed, since the topic's beginning */
	uint64_t retained;               /* bytes */
	uint64_t partial;                /* lines ended without their newline */
	uint64_t lost;                   /* unfinished lines that were dropped; since the mount */
	uint64_t skips, skipped;         /* reads moved on to the head, bytes that they missed; since the mount */
	int64_t last;                    /* ns since 1970 of the last commit, or of the topic's creation */
};

static inline struct tally tally_of(struct topic *t)
{
	struct tally sum = {.last = t->born};
	struct queue *q;

	for (; (q = topic_queue(t, sum.queues)); sum.queues++) {
		int64_t mtime = q->mtime;

		sum.bytes += q->committed;
		sum.messages += q->messages;
		sum.retained += queue_retained(q);
		sum.partial += q->partial;
		sum.lost += q->lost;
		sum.skips += q->skips;
		sum.skipped += q->skipped;
		if (mtime > sum.last)
			sum.last = mtime;
	}
	return sum;
}

#endif
