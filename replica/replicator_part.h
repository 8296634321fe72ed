/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replicator_part.h - what a replicator is made of. For its own files only.
 *
 *	replicator.c    starts and stops it, says what it is at
 *	minder.c        the one thread that changes the role: a standby's links to its primary; what others want of it
 *	rule.c          what a primary minds: the pair, a higher reign
 *	orders.c        the operator's orders; how this node comes to rule
 *	handover.c      the standby takes the primary's place
 *	guest.c         links that came: standbys, and who asks for a promise
 *	guest_enter.c   which of them may be standbys
 *	meet.c          one question and its answer over a link of its own
 *
 * Locks    `lock`, outside of all of the store's and of a talker's. No order's done() is called under it.
 */
#ifndef MQFS_REPLICA_REPLICATOR_PART_H
#define MQFS_REPLICA_REPLICATOR_PART_H

#include "member.h"
#include "promote.h"
#include "replicator.h"
#include <pthread.h>
#include <stdatomic.h>

#define MEET_NS 3000000000LL             /* that a question to another node may take, its answer included */
#define LOOK_NS 20000000LL               /* between two looks at what an order waits for */

struct guest;

/* Another node asks for a promise. On the asking guest's stack until it is answered. */
struct request {
	uint64_t node;
	struct reign reign;
	bool taken, answered;
	bool granted;
	char reason[FRAME_REASON];
};

struct replicator {
	struct replicator_options o;
	char name[FRAME_NAME];
	char *others;                    /* of the options, or NULL */
	struct store *store;
	pthread_t minder;
	int elsewhere;                   /* eventfd: readable while the minder is wanted elsewhere; what it waits for then ends */
	int answered;                    /* eventfd: readable when the first look for a higher reign is over */
	uint64_t aside;                  /* for replicator_join(again): see install_begin() */

	pthread_mutex_t lock;            /* all below */
	pthread_cond_t wake;             /* the minder's */
	pthread_cond_t left;             /* a guest has left, a request was answered */
	bool started, stopping;
	bool poked, wanted;              /* look again; and leave whatever you are at */
	struct order *order;             /* NULL: none is under way */
	bool order_asked;                /* of its primary */
	int64_t order_until;             /* then it has failed */
	struct request *request;
	struct reign deposed;            /* a higher reign that was heard of; number 0: none was */
	uint64_t asked_over;             /* the standby whose operator wants this primary to hand over; 0: none */
	struct guest *guests;
	uint64_t self_calls;             /* hellos that came with the id and the name of this node */
	struct link *up;                 /* to the primary, while there is one */
	struct receiver *receiver;
	char calling[LINK_ADDRESS];
	struct receiver_status last;     /* of the last link to a primary that has ended */
	char why[REPLICATOR_WHY];
	char last_order[REPLICATOR_WHY];
	bool rival_known;                /* a node commits alone as this primary does */
	char said[REPLICATOR_WHY];       /* the last message: it is not repeated */
	char said_ended[REPLICATOR_WHY]; /* nor the last one on the end of a standby's link, which may come between the others each second */

	_Atomic bool attentive;          /* the minder wants to know of every acknowledgement */
	/* the minder's */
	int min_standbys;                /* as the options, or an order in this reign */
	int64_t hurry_until;             /* until then others are called again at once */
	int64_t probe_at;
	bool asking;                     /* a primary has just started, and its first look for a higher reign is not over */
	bool holding_back;               /* appends, see store_hold_back() */
	char rival[REPLICATOR_WHY];      /* who commits alone as this primary does, or is another cluster's, for people; "": nobody is known to */
	uint64_t rival_node;             /* its id */
	char rival_name[FRAME_NAME];
	uint64_t committed_before;       /* the commit point at the last look at the pair */
	bool given_up;                   /* the store is to be made anew */
};

/* replicator.c */
void replicator_say(struct replicator *r, int priority, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same of the end of a standby's link. */
void replicator_say_ended(struct replicator *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void replicator_why(struct replicator *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- minder.c ---- */
void *minder(void *arg);
void minder_poke(struct replicator *r);        /* there is news for it */
void minder_want(struct replicator *r);        /* at once. Under the lock */
bool minder_wanted(struct replicator *r);
/* Until it is poked or wanted, or so many ns. */
void minder_wait(struct replicator *r, int64_t ns);
/* The same amid an order, which who wants it has to wait for. */
void minder_rest(struct replicator *r, int64_t ns);
/* Amid an order, too: who wants it by now breaks off no call that is made from here on. False: this node stops. */
bool minder_stays(struct replicator *r);

/* ---- rule.c ---- */
/* One look of a primary; when the next is due, ns from now. */
int64_t rule(struct replicator *r, const struct member_view *v);
/* An operator's word ends what this primary waits for, and the rival is stopped. */
void rule_go_on(struct replicator *r);
/* The primary has heard of reign R, above its own. */
void rule_depose(struct replicator *r, struct reign reign);
/* P from now on; returns when that is committed, or NS after it is in the log: -ETIMEDOUT. */
int rule_set_pair(struct replicator *r, const struct pair *p, int64_t ns);
/* The pair's other node has a link to this primary. */
bool rule_other_linked(struct replicator *r, const struct member_view *v);

/* ---- orders.c ---- */
void order_carry_out(struct replicator *r, struct order *o);
/* What came of it is kept, logged, and told to who gave it. */
void order_outcome(struct replicator *r, struct order *o, int err, const char *why);
/* The order that was under way ends: the minder calls this once, whatever came of it. */
void order_end(struct replicator *r, int err, const char *why);
/* What there is to say of an order, in WHY; returns ERR. */
int order_tell(char why[REPLICATOR_WHY], int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* This node rules from here on, in a reign above all that are known: by what is known here, by what others have promised as P says, and by what
 * the other node promises when it has to be asked. */
int order_promote(struct replicator *r, struct promotion *p, char why[REPLICATOR_WHY]);
/* This node rules no more: what it was told of min_standbys is in the log, and another primary may be told otherwise. */
void order_forget(struct replicator *r);
/* The primary that has stepped down, and could promise nothing, rules its reign again. */
void order_resume(struct replicator *r);

/* ---- handover.c ---- */
/* To NODE, the pair's other one. WHY says what came of it. */
int handover_give(struct replicator *r, uint64_t node, char why[REPLICATOR_WHY]);
/* The primary has handed over to this node; ends the order where this node's operator asked for it. */
void handover_take(struct replicator *r, uint64_t primary);

/* ---- guest.c ---- */
void guest_accept(void *ctx, struct link *l);
void guest_refused(void *ctx, const char *address, const char *why, uint64_t count);
void guests_leave(struct replicator *r);       /* all, and waits until they have */
/* What the sender to NODE is at; false: there is none. */
bool guest_status(struct replicator *r, uint64_t node, struct sender_status *to);
size_t guests_status(struct replicator *r, struct sender_status *to, size_t max);
/* As sender_hand_over(), sender_pause(), sender_refuse() of the sender to NODE, if there is one. */
void guest_hand_over(struct replicator *r, uint64_t node);
void guest_pause(struct replicator *r, uint64_t node, bool pause);
void guest_refuse(struct replicator *r, uint64_t node, const char *reason);

/* ---- meet.c ---- */
/* What a node answers that was called. */
struct meeting {
	uint64_t cluster, node;
	char name[FRAME_NAME];
	struct reign promise;            /* its own */
	bool rules;                      /* it is a primary, of reign `rule`, that would take this node as its standby */
	struct reign rule;
	bool settled;                    /* it rules on, whether it would or not, and has committed the first record of that reign */
	bool self;                       /* this very process: an address of its own */
	uint64_t lacking;                /* bytes that are committed there and are not in this node's log */
	bool copy;                       /* it follows a primary of another name with the id of this node's store */
	bool granted, current;           /* of a promise */
	struct epoch last;
	uint64_t end;
	char reason[FRAME_REASON];
};

/* The standby's HELLO, for what the answer says of its speaker. */
int meet(struct replicator *r, const char *address, struct meeting *to, char why[LINK_WHY]);
/* Asks for the promise of REIGN. */
int meet_ask(struct replicator *r, const char *address, struct reign reign, struct meeting *to, char why[LINK_WHY]);
/* As meet(), of whoever of the pair can be reached within so many ns an address. Returns its address; NULL: nobody answers, WHY says for the last one
 * why. */
const char *meet_other(struct replicator *r, const struct member_view *v, int64_t ns, struct meeting *to, char why[LINK_WHY]);

#endif
