/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.h - all derived state at one log position, so that recovery need not read the log from its beginning.
 *
 * The file checkpoint/POS (16 hex digits) holds topics with settings and owners, queues with ends, heads, counts and
 * times, and the counters that ids come from, as of position POS: all before it is applied, nothing behind it. It
 * is written aside, synced, renamed, and its directory synced. The two newest valid ones are kept. Layout: table at the top of
 * checkpoint.c.
 *
 * Errors   negative errno; -EBADMSG for a damaged one.
 */
#ifndef MQFS_STORE_CHECKPOINT_H
#define MQFS_STORE_CHECKPOINT_H

#include "parts.h"

struct checkpoint_info {
	uint64_t pos;                  /* log position it stands for, all of it committed */
	uint64_t chain;                /* header checksum of the record before it */
	struct epoch epoch;            /* of that record */
	int64_t time;                  /* of that record, ns */
	uint64_t size;                 /* bytes of the file */
	uint64_t unneeded;             /* no queue's head lies before this log position */
};

/* The file's bytes as of now, malloc'ed, info->size of them. */
int checkpoint_encode(struct store *s, struct checkpoint_info *info, uint8_t **to);
/* Into S's tables; with S == NULL it is only checked. With bytes that were not, S may be left with some of them. */
int checkpoint_decode(const uint8_t *from, size_t len, const uint8_t *secret, struct store *s, struct checkpoint_info *info);
/* Takes the state at the applied position (a copy under the apply lock) and writes it. The keeper calls it, or who closes. */
int checkpoint_write(struct store *s, struct checkpoint_info *info);
/* The newest valid one at or below LIMIT into the store's (empty) tables. Damaged ones are told by store_damaged() and passed over.
 * -ENOENT: there is none, INFO is left alone. -EUCLEAN: the tables are no longer empty, and no use. */
int checkpoint_load(struct store *s, uint64_t limit, struct checkpoint_info *info);
/* Positions of those there, newest first, at most MAX; a name is no proof of validity. */
int checkpoint_list(struct disk *d, uint64_t *pos, size_t max, size_t *count);
/* Reads and checks one without loading it: for a store that is not open. */
int checkpoint_check(struct disk *d, const uint8_t *secret, uint64_t pos, struct checkpoint_info *info);
/* When the one of POS was written, ns since 1970; 0: that is not known. */
int64_t checkpoint_made(struct disk *d, uint64_t pos);
/* Removes all but the newest KEEP that are valid, and what a crash left half written. */
int checkpoint_prune(struct store *s, size_t keep);
/* Bytes that one would take now. */
uint64_t checkpoint_size(struct store *s);
/* Those of them that are the topics'. It waits for no command that is being applied. */
uint64_t checkpoint_topics(struct store *s);

#define CHECKPOINT_QUEUE 60u           /* bytes of it for each queue */
#define RESERVE_FILE "reserve"

/* Room for two of them is kept on the disk as that file, so that retention works when the disk is full. Any thread. */
int reserve_keep(struct disk *d, uint64_t bytes);
/* A part of it, for what has met a full disk and is tried again then. -ENOENT: nothing is left. */
int reserve_release(struct store *s);

#endif
