/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receiver.h - the standby's side of one link: says HELLO, takes the primary's log, acknowledges what is on its disk.
 *
 * Steps without threads, clocks and links, as sender.h.
 *
 * Calling
 *	receiver_new(&r, store, name, peer)                      its first frame is the HELLO
 *	one thread:   receiver_next(r, now, &f, iov, &n)         1: send it; 0: until the store's progress moves, or receiver_due(r)
 *	another one:  receiver_hear(r, now, &f, body)            0; 1: the disk is full, the same frame again a little later
 *	receiver_free(r)
 *
 *	state     hears                                  does
 *	HELLO     HELLO_ACK accepted                     hello_accept(), store_promise(), store_cut() in this order, each durable; then LOG, with an
 *	                                                 ACK of what is there, which says to the primary that it was accepted
 *	          HELLO_ACK blank start                  -ENODATA: the store is given up and made anew, see join.h; -EPERM by the cut guard
 *	LOG       SEGMENT                                where the next segment begins
 *	          RECORDS                                store_receive() of the whole records; what is left of the last one waits for the next frame
 *	          COMMIT                                 store_announce()
 *	          SWITCHOVER                             RECEIVER_TAKE_OVER, RECEIVER_REFUSED
 *	          FETCH, FETCHED                         fetch.h
 *	any       frames of another epoch than HELLO_ACK's, or out of order: -EPROTO
 *
 * It sends ACK when view.synced has moved, and as an answer to each COMMIT. Position: what is synced; never what is merely written.
 * A disk or memory that is full stops the receiving, not the link: the ACKs go on as heartbeats, which say that the disk is full, and the frame
 * goes on where it stopped.
 *
 * Memory   the longest record; fetch.h's.
 * Errors   negative errno: the link must end; receiver_why() says it for people. -EPERM: refused by the cut guard, so not tried again but after a
 *          while. -ECANCELED, -ENODATA: start blank. -ECONNREFUSED: the primary refuses this node; -ESTALE: this node has promised another
 *          reign; -EPROTO, -EBADMSG: what came has no place here, or is not valid; -ECONNABORTED: the other side has ended the link itself.
 * Threads  next and hear may run at the same time, each in one thread. Who promises, or changes the role, ends the hearing first: what is
 *          received after a promise was given would be in nobody's account.
 */
#ifndef MQFS_REPLICA_RECEIVER_H
#define MQFS_REPLICA_RECEIVER_H

#include "hello.h"
#include "link.h"

struct receiver;

struct receiver_status {
	uint64_t node;                   /* the primary */
	char name[FRAME_NAME];
	bool accepted;
	bool full;                       /* this node's disk: nothing more is received until there is room */
	struct epoch epoch;
	uint64_t received, synced, committed, primary_end;
	uint64_t messages;               /* that this node lacks, at most; 0 while it is not known */
	int64_t behind_since;            /* CLOCK_MONOTONIC ns: it has lacked something since, as far as this link has seen; 0: it does not */
	int64_t heard;                   /* CLOCK_MONOTONIC ns of the last frame */
	char why[FRAME_REASON];
};

/* NAME is this node's, PEER the primary's, as its certificate says. */
int receiver_new(struct receiver **r, struct store *store, const char *name, const char *peer);
void receiver_free(struct receiver *r);
int receiver_next(struct receiver *r, int64_t now, struct frame *f, struct iovec *iov, int *n);
int64_t receiver_due(struct receiver *r);
/* Before the HELLO: this node is never of the pair. */
void receiver_mirror(struct receiver *r);
/* After -ENODATA and -ECANCELED: what of this log is to be kept aside, see hello_give_up(). */
uint64_t receiver_aside(const struct receiver *r);
/* This node stops: the other side is told. */
void receiver_stop(struct receiver *r);
/* This node's operator asks the primary to hand over. */
void receiver_ask(struct receiver *r);
#define RECEIVER_TAKE_OVER 2             /* the primary has stepped down for this node, which has all of its log, synced */
#define RECEIVER_REFUSED 3               /* it does not hand over; receiver_why() */
int receiver_hear(struct receiver *r, int64_t now, const struct frame *f, const void *body);
/* link_receive() has said ERR, -EBADMSG or -EMSGSIZE, of what came: the link ends, and the other side is told why. */
void receiver_spoilt(struct receiver *r, int err);
void receiver_status(struct receiver *r, struct receiver_status *to);
void receiver_why(struct receiver *r, char to[FRAME_REASON]);

#endif
