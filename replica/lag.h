/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lag.h - since when a log that follows another one has lacked some of it.
 *
 * From time to time it is marked where the log that is followed ended. What is not reached yet of these marks tells: the oldest one stands
 * for what has been lacking the longest.
 *
 * Memory   LAG_MARKS marks, whatever the lag: the longer it is, the further they stand apart. So the answer may be short by a LAG_MARKS / 2th.
 * Units    CLOCK_MONOTONIC nanoseconds; log positions.
 * Threads  its caller guards it. A lag of zeros is one.
 */
#ifndef MQFS_REPLICA_LAG_H
#define MQFS_REPLICA_LAG_H

#include <stddef.h>
#include <stdint.h>

#define LAG_MARKS 32

struct lag {
	struct lag_mark {
		int64_t time;
		uint64_t end;
	} mark[LAG_MARKS];             /* that are not reached, oldest first */
	size_t count;
	int64_t apart;                 /* the least time between two of them */
};

/* At NOW the log that is followed ends at END. */
void lag_mark(struct lag *l, int64_t now, uint64_t end);
/* Everything before POS has followed. */
void lag_reach(struct lag *l, uint64_t pos);
/* Since when it has lacked something; 0: nothing is known to be lacking. */
int64_t lag_since(const struct lag *l);

#endif
