/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - the index of a sealed segment: where each queue's runs are in it.
 *
 * An immutable file beside the segment, made from its runs (runs.h) when it is sealed: a header with the segment's base and
 * end, a directory of queues sorted by id, and each queue's entries, delta-coded in blocks of at most INDEX_BLOCK entries
 * with an absolute first one. Every part carries its own checksum (XXH3 with the cluster's secret), so that a
 * look-up on a cold cache reads a few pages, not the file. The layout stands as tables at the top of index.c.
 * It is derived: when missing or damaged it is made again from the segment, by runs_scan() and index_write().
 *
 * Units    queue offsets and log positions, bytes.
 * Errors   negative errno; -EBADMSG for a damaged part, -ENOENT for a queue that is not here, -EIO where the disk fails.
 * Threads  an open index may be read by any number of threads.
 */
#ifndef MQFS_STORE_INDEX_H
#define MQFS_STORE_INDEX_H

#include "disk.h"
#include "runs.h"

#define INDEX_BLOCK RUN_BATCH

#define INDEX_ROWS 85u                 /* queues of one page of the directory */

struct index;

struct index_queue {
	uint64_t queue;
	uint64_t first;      /* queue offset of its first record in the segment */
	uint64_t end;        /* queue offset behind its last */
	uint64_t messages;
};

/* Writes, syncs and renames into place log/BASE.index; the directory is synced too. */
int index_write(struct disk *d, const uint8_t *secret, uint64_t base, uint64_t end, int64_t last_time, struct runs *runs);
/* BASE must match. Maps the file; the descriptor is closed again. */
int index_open(struct disk *d, const uint8_t *secret, uint64_t base, struct index **index);
void index_close(struct index *index);
uint64_t index_end(const struct index *index);          /* position behind the segment's last record */
int64_t index_last_time(const struct index *index);     /* time of the segment's last record, ns */
size_t index_queues(const struct index *index);
/* The Nth queue in order of id. */
int index_queue_at(struct index *index, size_t n, struct index_queue *q);
/* For who wants all of them, as each page is verified once: the Nth and those behind it in its page. How many; 0: there is no Nth. */
int index_queues_from(struct index *index, size_t n, struct index_queue to[INDEX_ROWS]);
int index_find(struct index *index, uint64_t queue, struct index_queue *q);
/* As runs_from_offset() and runs_from_pos(), a block at a time. */
int index_from_offset(struct index *index, uint64_t queue, uint64_t offset, struct run_batch *to);
int index_from_pos(struct index *index, uint64_t queue, uint64_t pos, struct run_batch *to);
/* Reads and checks all of it. */
int index_check(struct index *index);

#endif
