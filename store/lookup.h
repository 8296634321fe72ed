/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h - which segment has a queue's byte or its records from a log position on, and the entries that lead there.
 *
 * A sealed segment is asked by its index, an unsealed one by its runs. Where an index is missing or damaged that is reported and the
 * segment's records are read through instead: slow, and right. A lookup remembers what it found last, so that going on from there, either
 * way, costs little; it holds no segment meanwhile.
 *
 * Units    queue offsets and log positions, bytes.
 * Errors   negative errno. -ENODATA: below the head. -EIO: the byte is damaged or missing, see `until`. -ENOENT: no
 *          record at or behind the position.
 * Threads  one at a time.
 */
#ifndef MQFS_STORE_LOOKUP_H
#define MQFS_STORE_LOOKUP_H

#include "parts.h"
#include "runs.h"

struct lookup {
	struct store *store;
	struct queue *queue;
	bool found;                    /* base and batch are the last answer */
	bool remembered;               /* lookup_offset() did not look, as that had it */
	uint64_t base;                 /* of the segment that it is about */
	uint64_t until;                /* after an error: the queue offset where what is known goes on; where nothing is, the one asked for */
	struct runs *read;             /* of the segment whose index could not be used last */
	uint64_t read_base;
	struct run_batch batch;
};

void lookup_init(struct lookup *l, struct store *s, struct queue *queue);
void lookup_free(struct lookup *l);
/* The segment that has OFFSET, which is committed, held; l->batch begins with the last entry at or before it, all of it committed. */
int lookup_offset(struct lookup *l, uint64_t offset, struct segment **s);
/* The queue offset behind the last record known before OFFSET, which is OFFSET where none is missing; 0: none is known. */
int lookup_before(struct lookup *l, uint64_t offset, uint64_t *end);
/* The first segment that has a record of the queue at or behind POS, held; l->batch begins with the last entry at or before it. */
int lookup_pos(struct lookup *l, uint64_t pos, struct segment **s);

#endif
