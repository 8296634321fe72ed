/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survey.h - what recovery finds in a store's files: its segments, the commit point C, the torn tail P. See recover.c.
 *
 * Errors   negative errno, with a line for people in WHY where one is known.
 * Owns     survey_free() frees what the lists hold.
 */
#ifndef MQFS_STORE_SURVEY_H
#define MQFS_STORE_SURVEY_H

#include "checkpoint.h"
#include "parts.h"
#include "scan.h"

struct found_segment {
	struct segment_head head;
	bool head_valid;
	bool head_unreadable;          /* as the disk does not read it */
	bool sealed;
	uint64_t sealed_end;           /* as its index says: what is before was committed; 0: none is there */
};

struct invalid {
	uint64_t begin, end;           /* no valid record begins in between */
	enum damage_kind kind;
	const char *what;
	bool unreadable;
};

struct survey {
	struct store *store;
	struct found_segment *segments;
	size_t count;
	size_t from;                   /* the first segment that is walked */
	struct checkpoint_info at;     /* K */
	struct invalid *invalid;
	size_t invalids;
	uint64_t committed;            /* C */
	uint64_t durable;              /* D: what this node is known to have synced; on a node that was alone all its life, C */
	uint64_t end;                  /* behind the last valid record */
	uint64_t reached;              /* where the walk of the last segment ended */
	uint64_t tail;                 /* P */
	uint64_t unknown;              /* the first damage before D that leaves state unknown: a header's, a command's; UINT64_MAX: none does */
	bool unreadable_tail;
	uint64_t lost;                 /* bytes of segments behind P that were moved to lost/ */
};

/* Finds the files, loads the newest checkpoint, walks the log behind it, and reports what is damaged before C. */
int survey(struct survey *v, char why[STORE_WHY]);
void survey_free(struct survey *v);

/* The segment that holds POS; the first one when all are behind it. */
size_t survey_segment_of(const struct survey *v, uint64_t pos);
/* The base of the one behind segment N; UINT64_MAX for the last. */
uint64_t survey_next_base(const struct survey *v, size_t n);
/* The disk did not read at POS. Where it did then and does not now, recovery must not go on without what is there. */
bool survey_unreadable(const struct survey *v, uint64_t pos);
/* A walk over segment N from where recovery needs it, with the chain known there. */
int survey_walk(const struct survey *v, size_t n, struct scan **scan);

#endif
