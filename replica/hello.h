/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.h - what two nodes make of each other's HELLO: whether they may go on together, and from where in the log.
 *
 * Pure: no file, no clock, no lock, so that tests and the simulator drive every case. The names in brackets are the rules' in the model.
 *
 *	the primary                                    the standby
 *	hello_answer() of the HELLO          ->        hello_accept() of the HELLO_ACK
 *	                                               store_promise(), then store_cut(), then the first ACK
 *
 * Units    log positions.
 */
#ifndef MQFS_REPLICA_HELLO_H
#define MQFS_REPLICA_HELLO_H

#include "frame.h"
#include "member.h"

/* What a node knows of itself when it says or hears a HELLO. */
struct hello_self {
	struct member_view view;
	const struct epoch_row *epochs;    /* store_epochs() */
	size_t count;
};

/* [epoch-table] The last position up to which two logs are the same: the smaller end of the last epoch that both begin at the same place
 * after the same record. 0: they share none. */
uint64_t hello_common(const struct epoch_row *a, size_t a_count, uint64_t a_end, const struct epoch_row *b, size_t b_count, uint64_t b_end);

/* What is said of a table of COUNT epochs. Of one longer than can be said: half from the epoch of the byte before POS on, half the newest.
 * Who says a HELLO knows that up to POS all is committed, so that the logs part behind it; in its answer they part at POS. The last epoch
 * before what is left out seems to end later than it does: should the logs part there, hello_accept() finds a contradiction. */
void hello_say(struct frame_epochs *to, const struct epoch_row *rows, size_t count, uint64_t pos);

#define HELLO_REIGNS (1u << 20)

/* Is R a reign that somebody can have come to? One that is more than HELLO_REIGNS above what is promised here is made up, or a fault, and would
 * use up the numbers that promotions need. */
bool hello_believes(const struct member_view *view, struct reign r);
/* [members-only] May a node with this VIEW follow reign R of NODE? Its own promise it keeps; a higher one it takes only of a member of the last
 * pair in its log, or while there is none. */
bool hello_obeys(const struct member_view *view, uint64_t node, struct reign r);

enum hello_answer {
	HELLO_ACCEPTED,            /* from *POS on */
	HELLO_BLANK,               /* from the oldest segment on, with a checkpoint: what it has is given up, if its cut-guard lets it */
	HELLO_REFUSED,
	HELLO_DEPOSED,             /* refused, and this primary must step down: a higher reign than its own is promised in its pair */
};
/* The primary's; END is the log's end that the HELLO's frame says. REASON is for people on both sides, also with HELLO_BLANK. */
enum hello_answer hello_answer(const struct hello_self *self, const struct frame_hello *h, bool blank, uint64_t end, uint64_t *pos,
	char reason[FRAME_REASON]);

/* The standby's, of an answer FRAME_ACCEPTED with position POS of epoch E. 0: promise E's reign, cut at POS. -ESTALE: E is of an older reign than is promised,
 * or of a node that is not of the pair. -EPERM [cut-guard]: the cut would take what is known here to be committed. -ECANCELED: it would, and
 * the operator has accepted that loss: this node starts blank. -EBADMSG: the answer contradicts this log. */
int hello_accept(const struct hello_self *self, const struct frame_hello_ack *a, const struct epoch *e, uint64_t pos, char reason[FRAME_REASON]);

/* The standby's, of FRAME_BLANK_START where the log begins at POS: it has a log, and gives it up. *ASIDE: what it has behind that is not in the
 * primary's log, or may not be, and is kept for people, UINT64_MAX: nothing is. -EPERM [cut-guard]: it would give up what is known here to be
 * committed. */
int hello_give_up(const struct hello_self *self, const struct frame_hello_ack *a, uint64_t pos, uint64_t *aside, char reason[FRAME_REASON]);

/* A primary's, of a refusal A by who has promised nothing above its reign, and knows of COMMITTED: how many bytes that are committed there and are
 * not in this log, an accepted loss excepted. Then this store is an older copy of itself. */
uint64_t hello_lacks(const struct hello_self *self, const struct frame_hello_ack *a, uint64_t committed);

#endif
