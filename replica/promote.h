/* SPDX-License-Identifier: Apache-2.0 */
/*
 * promote.h - may this node rule? The rules of promotion for a pair; pure, like hello.h.
 *
 * The order of things (orders.c): promote_judge() says whether what is known here is enough; where it is not, promote_reign() is promised here,
 * durably [fence-durable], and the other node is asked for its promise, which counts where its log is no better (promote_compare()): what the
 * model calls take-best is a refusal. promote_judge() again; store_begin_reign().
 * A primary that was told that the other node is stopped then says so in the log: promote_alone(), store_set_pair().
 *
 * Units    log positions.
 */
#ifndef MQFS_REPLICA_PROMOTE_H
#define MQFS_REPLICA_PROMOTE_H

#include "frame.h"
#include "member.h"

/* What the other node has answered. */
struct promised {
	uint64_t node;
	bool granted;
	bool current;
};

struct promotion {
	struct member_view view;               /* of the candidate */
	const struct pair_row *pairs;          /* in force: store_pairs() */
	size_t count;
	const struct promised *promises;       /* of others */
	size_t promised;
	bool accept_loss;
	struct reign heard;                    /* the highest one that others are known to have promised */
	uint64_t missing;                      /* bytes that its primary had when last heard and that are not here, at least */
	bool lossy;                            /* it has begun its reign by consent to a loss */
};

/* [epoch-id] Above every reign known. */
struct reign promote_reign(uint64_t node, struct reign promised, struct reign heard);
/* [best-by-epoch] Less than, equal to or greater than 0, as log A is worse, as good or better than B: the last epoch, then the length. */
int promote_compare(const struct epoch *a, uint64_t a_end, const struct epoch *b, uint64_t b_end);
/* [members-only] Does a node with this VIEW give its promise for R to NODE, whose log ends at END in epoch LAST? 0, or -EPERM with the reason. */
int promote_grant(const struct member_view *view, uint64_t node, struct reign r, char reason[FRAME_REASON]);
/* [fence-count, current, joint] 0: it may begin its reign. -EPERM: not without --accept-loss, REASON says why in the words of rule 6.
 * *CURRENT: what store_begin_reign() is told; *FLAGS: RECORD_ACCEPTED_LOSS where the operator's consent was needed. */
int promote_judge(const struct promotion *p, bool *current, uint8_t *flags, char reason[FRAME_REASON]);

/* [true-words] The pair without NAME, who is stopped: this node alone. PAIRS are those in force. -ENOENT: no node of that name is of them. -EPERM: NAME is this
 * node, or it is not current and the loss is not accepted. */
int promote_alone(const struct member_view *view, const struct pair_row *pairs, size_t count, const char *name, bool accept_loss, struct pair *to,
	char reason[FRAME_REASON]);
/* The pair with NODE in it, which has caught up to the commit point. OWN is this node's name. MIN_STANDBYS -1: as it was when there were two. -EALREADY; -ENOSPC: two are in it already. */
int promote_join(const struct member_view *view, const char *own, uint64_t node, const char *name, int min_standbys, struct pair *to);

#endif
