/* SPDX-License-Identifier: Apache-2.0 */
/*
 * annals.h - what the log says about itself: the epochs that wrote it, and the pair that counts.
 *
 * Other state is applied when it is committed. These count from the moment their record is in the log: a commit beyond a new pair
 * needs the old pair's consent and the new one's, and two nodes compare their logs to the ends, not to what is committed.
 * So the log notes such a record when it gives it its position, or takes it from another node, and a cut takes it back.
 *
 * Units    log positions. A record's own position counts: an epoch begins at its record, a pair counts for what is behind it.
 * Errors   -ENOMEM, which changes nothing; -EBADMSG for a body that is no pair.
 * Threads  any, but for what says otherwise. Lock: annals, taken inside the log's.
 */
#ifndef MQFS_STORE_ANNALS_H
#define MQFS_STORE_ANNALS_H

#include "pair.h"
#include "record.h"
#include <stddef.h>

struct epoch_row {
	struct epoch epoch;
	uint64_t start;                /* position of its first record; where that is damaged, of the first one that is not */
	uint64_t chain;                /* header checksum of the record before it, 0 at 0, and where its first record is damaged */
	bool accepted_loss;            /* it was begun with the operator's consent to lose what others had committed */
};

struct pair_row {
	uint64_t pos;                  /* of its record */
	struct pair pair;
};

struct annals;

int annals_new(struct annals **h);
void annals_free(struct annals *h);

/* Room for one more of each, so that the next annals_note() of this thread's cannot fail. Under the log's lock. */
int annals_reserve(struct annals *h);
/* R is now the log's last record. BODY has r->length bytes where r->type is RECORD_PAIR, else it is not looked at. A record that is there
 * already is passed over. */
int annals_note(struct annals *h, const struct record *r, const void *body);
/* R was damaged and is whole again: what it says is put in where annals_note() did not get it. */
int annals_mend(struct annals *h, const struct record *r, const void *body);
/* From a checkpoint, in order, before anything is noted. */
int annals_restore_epoch(struct annals *h, const struct epoch_row *row);
int annals_restore_pair(struct annals *h, const struct pair_row *row);
/* The log ends at POS now. */
void annals_cut(struct annals *h, uint64_t pos);
/* The log begins at POS now: older epochs but the one that POS lies in are forgotten; so are pairs that were replaced at or before COMMITTED. */
void annals_forget(struct annals *h, uint64_t pos, uint64_t committed);

/* A copy of all, oldest first, malloc'ed. */
int annals_epochs(struct annals *h, struct epoch_row **to, size_t *count);
/* The greatest `start` of any epoch of this reign and node; 0: none. */
uint32_t annals_last_start(struct annals *h, uint32_t reign, uint64_t node);
/* The last epoch; zeros when there is none. */
struct epoch_row annals_last_epoch(struct annals *h);

/* The pairs in force, oldest first, at most MAX of them: the last one that is committed, as its record lies before COMMITTED, and every one
 * behind it. A log without one that is committed is that of the lone node that began it: the first is then this node's alone, at
 * position 0. *COUNT is 0 for an empty log. -ENOBUFS when there are more than MAX. */
int annals_pairs(struct annals *h, uint64_t committed, struct pair_row *to, size_t max, size_t *count);
/* Whether there is any pair in the log: without, a node's own disk is all that a commit waits for. Takes no lock. */
bool annals_paired(const struct annals *h);
/* The last one in the log; false: none. */
bool annals_last_pair(struct annals *h, struct pair_row *to);

#endif
