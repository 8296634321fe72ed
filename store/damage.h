/* SPDX-License-Identifier: Apache-2.0 */
/*
 * damage.h - the places that were found damaged, and what is known of each: in memory only, as the scrub and the start find them again.
 *
 * Whoever meets damage tells the place by store_damaged() (parts.h), once each; what was found to be none may be told again after a while, as it
 * may have rotted since, and what the keeper makes again whenever it is damaged again. Where it is in the log's records, the keeper looks where
 * the damage begins and ends (spans.c): then it is a span, whose bytes another node may have (repair.h).
 *
 * A span lies between two places where the chain is known, so that what comes from elsewhere can be held to both. Its bytes hold no
 * whole valid record.
 *
 * Units    log positions, at records' ends.
 * Threads  any; the list has a lock of its own, inside all others but the disk's.
 */
#ifndef MQFS_STORE_DAMAGE_H
#define MQFS_STORE_DAMAGE_H

#include "record.h"

struct store;

enum damage_kind {
	DAMAGE_RECORD,         /* a record, or what stands where one should: only a copy of the log can mend it */
	DAMAGE_HEADER,         /* a segment's header */
	DAMAGE_INDEX,          /* a segment's index, which the keeper makes again */
	DAMAGE_CHECKPOINT,     /* in place of which the keeper makes another */
};

/* Of DAMAGE_RECORD. */
enum damage_state {
	DAMAGE_NEW,            /* nobody has looked yet where it begins and ends, or it is not committed yet */
	DAMAGE_SPAN,           /* that is known */
	DAMAGE_STAYS,          /* it is damage, and cannot be repaired while the store is open */
	DAMAGE_TOLD,           /* a place within a span, or not in the records at all */
};

struct damage {
	uint64_t pos;          /* of the record, or of the segment's base, or of the checkpoint */
	enum damage_kind kind;
	enum damage_state state;
	/* of a span, which begins at pos */
	uint64_t end;          /* of a new place that a start did not read: up to where it passed over what begins there; else 0 */
	uint64_t chain, next;  /* header checksums of the record before it, and of its last one, as the record behind it says */
	uint64_t told;         /* how many places were told before it */
	bool chain_known;      /* false: nothing before it can tell, as the log begins with it */
	bool absent;           /* another node has it not either */
	bool unsaid;           /* told again, and not yet known to be damage now */
	int64_t looked;        /* when a look found it to be none, or a part of a span; CLOCK_MONOTONIC, ns */
	bool header;           /* a record's header is, so that an index made since may not know of the record */
};

/* The first place at or behind POS whose extent is not known, below LIMIT. False: there is none. */
bool damage_new(struct store *s, uint64_t pos, uint64_t limit, uint64_t *at);
/* Some place whose extent is not known, wherever. */
bool damage_any_new(struct store *s);
/* The start has passed over the records that begin from the new place BEGIN up to END, as the disk did not read them. */
void damage_unread(struct store *s, uint64_t begin, uint64_t end);
/* The record at POS is one of them. */
bool damage_passed_over(struct store *s, uint64_t pos);
/* D is a span, or damage that stays. Told, where it is not known yet. */
void damage_found(struct store *s, const struct damage *d, const char *what);
/* Places told so far: asked for before a look begins. */
uint64_t damage_told(struct store *s);
/* All from BASE up to LIMIT was looked at: what is new there, and was among the first TOLD places, is no more than what damage_found() was
 * told of. What was told since may have rotted when the look was past it. */
void damage_looked(struct store *s, uint64_t base, uint64_t limit, uint64_t told);
/* The first span at or behind POS. */
bool damage_span(struct store *s, uint64_t pos, struct damage *to);
/* The span at FROM is sound again; or cannot be repaired; or another node has it not either. */
void damage_mended(struct store *s, uint64_t from, uint64_t end);
void damage_stays(struct store *s, uint64_t from);
/* What was before END has gone with its segments. */
void damage_gone(struct store *s, uint64_t end);
void damage_absent(struct store *s, uint64_t from);
/* The span, or what stays, that holds POS. False: there is none. */
bool damage_at(struct store *s, uint64_t pos, struct damage *to);
/* Places of the log that are damaged now. */
uint64_t damage_open(struct store *s);

#endif
