/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replicator.h - this node among others: its links, its role, what its operator asks of it. What main() sees of replica/.
 *
 * Which role a store starts in is in the store, not in the options: who rules its reign starts as its primary, who has promised to follow
 * another one as a standby. Options say where others are reached. Only a store that is not there yet asks them: with standby_of it is made
 * from the primary's (replicator_join()), else it is a new one.
 *
 * Calling, in main()'s start-up list
 *	replicator_new(&r, &options, why)             addresses; the network is there already
 *	replicator_look(r, path, &start, why)         what PATH has: how to go on
 *	replicator_join(r, path, o, again, stop, why) REPLICATOR_JOIN: a store is made from the primary's; waits for one until STOP is readable
 *	store_open(&s, path, ...)                     options.standby: REPLICATOR_STANDBY, or it was just joined; options.ready: replicator_claim()
 *	replicator_start(r, s, stop, why)             listens, calls; from here on roles may change by themselves
 *	... the mount ...
 *	replicator_stop(r)                            orders end, links are closed; replicator_start() may follow with a store made anew
 *	store_stop(s); store_close(s); replicator_free(r)
 *
 * Threads of its own: the listener's; two for each link that came (one receives, one sends); the minder, who calls and receives as a standby
 * (another one sends), looks for a higher reign and takes standbys into the pair as a primary, and carries out orders. Only the minder
 * changes the role, promises and cuts, so these need no lock among themselves: see minder.c.
 *
 * Errors   negative errno with one line in WHY for people.
 * Threads  any, but for the calls of the start-up list.
 */
#ifndef MQFS_REPLICA_REPLICATOR_H
#define MQFS_REPLICA_REPLICATOR_H

#include "network.h"
#include "receiver.h"
#include "sender.h"
#include "store.h"

#define REPLICATOR_WHY 512u
#define REPLICATOR_LINKS 64u             /* standbys and mirrors of one primary, at most */

struct replicator;

struct replicator_options {
	const struct network *network;   /* how links are made; NULL: this node has none, and is alone */
	const char *name;                /* as its certificate says; "" without a network */
	const char *others;              /* addresses of the other nodes (address.h), NULL: none are known */
	bool joins;                      /* a store that is not there is made from another node's */
	bool mirror;                     /* never of the pair */
	int min_standbys;                /* wanted while this node is the primary of a pair of two; -1: what the log says */
	void (*say)(void *ctx, int priority, const char *text);
	/* The store has to be made anew from the primary's: main() ends the mount, stops and closes all, and begins with replicator_join(again). */
	void (*start_again)(void *ctx);
	void *ctx;
};

enum replicator_start { REPLICATOR_PRIMARY, REPLICATOR_STANDBY, REPLICATOR_JOIN };

int replicator_new(struct replicator **r, const struct replicator_options *o, char why[REPLICATOR_WHY]);
void replicator_free(struct replicator *r);
int replicator_look(struct replicator *r, const char *path, enum replicator_start *to, char why[REPLICATOR_WHY]);
/* AGAIN: PATH has a store, which is given up. -ECANCELED: STOP, a descriptor, has become readable. The addresses to
 * listen on are taken first. */
int replicator_join(struct replicator *r, const char *path, const struct store_options *o, bool again, int stop, char why[REPLICATOR_WHY]);
/* The addresses to listen on are this node's from here on: a start that cannot have them is to end before it appends anything. */
int replicator_claim(struct replicator *r, char why[REPLICATOR_WHY]);
/* A primary that commits alone returns when the other nodes were asked, or cannot be. -ECANCELED: STOP has become readable, all has ended again. */
int replicator_start(struct replicator *r, struct store *s, int stop, char why[REPLICATOR_WHY]);
void replicator_stop(struct replicator *r);

/* ---- what it is at ---- */

struct replicator_status {
	char name[FRAME_NAME];
	struct member_view view;
	bool alone;                      /* no network: nobody can be linked */
	bool rival;                      /* primary: another node commits alone as this one does, both on an operator's word */
	bool linked;                     /* standby: to a primary that has accepted it */
	struct receiver_status receiver; /* of the link to the primary, or of the last one */
	char calling[LINK_ADDRESS];      /* the address of that link */
	size_t senders;
	struct sender_status sender[REPLICATOR_LINKS];
	char why[REPLICATOR_WHY];        /* why there is no link, or appends are refused; "": all is well */
	char last_order[REPLICATOR_WHY]; /* the last order and what came of it */
};

void replicator_status(struct replicator *r, struct replicator_status *to);

/* ---- orders of the operator ---- */

enum order_kind {
	ORDER_PROMOTE,                   /* a standby becomes the primary; STOPPED "": the other node is not said to be down */
	ORDER_ALONE,                     /* the primary goes on without STOPPED */
	ORDER_SWITCHOVER,                /* primary and standby change places; on either of them */
	ORDER_MIN_STANDBYS,              /* the primary's pair waits for COUNT others */
};

struct order {
	enum order_kind kind;
	char stopped[FRAME_NAME];        /* a node's name; "" none */
	bool accept_loss;
	uint8_t count;
	/* On the minder, or before replicator_order() returns. ERR: 0 done; -EPERM refused, and whether accept_loss would help is said in WHY;
	 * -EBUSY another order is under way; -EINVAL; -EROFS not in this role; -ETIMEDOUT; -ENOTCONN: it stops. WHY says what came of it, also when
	 * it is good. */
	void (*done)(struct order *o, int err, const char *why);
};

/* O is the replicator's until done(). */
void replicator_order(struct replicator *r, struct order *o);

#endif
