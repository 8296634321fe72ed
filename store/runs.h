/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runs.h - where each queue's records lie in an unsealed segment, in memory.
 *
 * A run is a stretch of records of one queue that lie directly behind each other in the log. A new entry also
 * starts when RUN_SPAN bytes of log have gone by since the last, so that walking from an entry to any record of it is
 * bounded. Where queues interleave there is an entry a record, where one queue writes alone there is one every RUN_SPAN.
 *
 * Units    queue offsets and log positions, bytes.
 * Errors   -ENOMEM, which changes nothing; -EINVAL for a record that lies before the queue's last one.
 * Threads  runs_add() is called in log order, under the log's lock; reading may happen meanwhile.
 */
#ifndef MQFS_STORE_RUNS_H
#define MQFS_STORE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_SPAN (64u << 10)   /* bytes of log */
#define RUN_BATCH 256u         /* entries copied at a time */
#define RUNS_READ UINT64_MAX

struct run {
	uint64_t offset;       /* queue offset of its first record */
	uint64_t pos;          /* log position of its first record */
};

/* Some of a queue's entries in one segment, in order. */
struct run_batch {
	uint64_t first;        /* queue offset of the queue's first record in the segment */
	uint64_t end;          /* queue offset behind its last one there */
	uint64_t until;        /* queue offset of the entry that follows these, or END */
	size_t count;
	struct run run[RUN_BATCH];
};

/* What a segment has of one queue. */
struct run_queue {
	uint64_t queue;        /* id */
	uint64_t first;        /* queue offset of the first record */
	uint64_t end;          /* queue offset behind the last record */
	uint64_t messages;
	struct run *runs;
	size_t count;
	size_t capacity;
	uint64_t next_pos;     /* log position behind its last record */
};

struct disk;
struct runs;

int runs_new(struct runs **r);
void runs_free(struct runs *r);
/* A record of QUEUE with LENGTH bytes of body, MESSAGES messages, at OFFSET of its queue and POS of the log. CACHE is a place of
 * the caller's for this (runs, queue) pair, NULL at first: it saves the look-up. */
int runs_add(struct runs *r, struct run_queue **cache, uint64_t queue, uint64_t offset, uint64_t pos, uint32_t length, uint32_t messages);
/* A record that was passed over when the others were added: it gets an entry of its own among theirs, if it has none. Any thread. */
int runs_insert(struct runs *r, uint64_t queue, uint64_t offset, uint64_t pos, uint32_t length, uint32_t messages);
bool runs_inserted(struct runs *r);         /* such a record is among them */
/* Entries of QUEUE, beginning with the last one at or before OFFSET (or the first one when all are behind it). False: the
 * queue has nothing here. */
bool runs_from_offset(struct runs *r, uint64_t queue, uint64_t offset, struct run_batch *to);
/* The same by log position. */
bool runs_from_pos(struct runs *r, uint64_t queue, uint64_t pos, struct run_batch *to);
/* All queues, sorted by id, for index_write(): only when nothing is added any more. The array is malloc'ed, what it
 * points to stays the runs'. */
int runs_sorted(struct runs *r, struct run_queue ***to, size_t *count);
/* The runs of the segment of BASE from its file, whatever is damaged in it passed over, and the time of the last record before END. Reads
 * all of the file. */
int runs_scan(struct disk *d, const uint8_t *secret, uint64_t base, uint64_t end, struct runs **r, int64_t *last_time);
/* Its records from FROM to END, added to what R has. */
int runs_scan_part(struct runs *r, struct disk *d, const uint8_t *secret, uint64_t base, uint64_t from, uint64_t end, int64_t *last_time);
/* Log position of the first place that these two passed over because the disk does not read it; RUNS_READ: none. */
uint64_t runs_unread(const struct runs *r);
/* What one has, the other gets; nobody else knows B. Caches of runs_add() for either are void. */
void runs_exchange(struct runs *a, struct runs *b);
size_t runs_memory(struct runs *r);         /* bytes */

#endif
