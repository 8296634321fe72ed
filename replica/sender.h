/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sender.h - the primary's side of one link: answers a HELLO, then sends the log and the commit point, and hears acknowledgements.
 *
 * A machine of steps without threads, clocks and links: it says which frame comes next, and is told which frame came. The two threads of a link
 * (replicator.h) run it, and so may a simulator.
 *
 * Calling
 *	sender_new(&s, store, name, peer, &hello, flags, end)    of the HELLO that came; its first frame is the HELLO_ACK
 *	one thread:   while ((err = sender_next(s, now, &f, iov, &n)) == 1) link_send(...)
 *	              0: nothing to say until the store's progress moves (progress_arm() before the call) or sender_due(s)
 *	another one:  sender_hear(s, now, &f, body) for each frame that comes
 *	sender_free(s)                                           the node is not linked any more
 *
 *	state        sends                                        goes on when
 *	ANSWER       HELLO_ACK, its bodies in frame.h             accepted: LOG; blank: CHECKPOINT; refused: the link ends
 *	CHECKPOINT   SEGMENT: where the log begins; then          it is sent: LOG, from the oldest segment on
	             CHECKPOINT, the newest valid one in pieces
 *	LOG          SEGMENT where one begins, RECORDS up to      for ever
 *	             store_sendable(), COMMIT with the commit
 *	             point and as heartbeat
 *	             FETCH, FETCHED: fetch.h, in turns with
 *	             the rest
 *	HANDED_OVER  SWITCHOVER, then nothing                     the other side ends the link
 *	any          ERROR at the end
 *
 * The node counts (store_linked()) from its first ACK on, so that nobody waits for one that is still far behind: while it catches up it is
 * linked as soon as its ACK is within SENDER_NEAR of the log's end. What it acknowledges is told to store_acknowledged(), held by store_hold().
 * That is for a node of the pair, or for any while the pair has not two; mirrors are sent the log, and count for nothing.
 * One node has one sender at a time: an old link's is freed before the new one hears anything.
 *
 * Memory   RAW_CHUNK, or the longest record, and a frame's body, whatever the lag; fetch.h's.
 * Errors   negative errno: the link must end; sender_why() says it for people. -ESTALE: hello_answer() said HELLO_DEPOSED, *and* this node
 *          must step down. -EPERM: the HELLO was refused. -EROFS: this node's epoch is over. -EPROTO: the other side says what has no place
 *          here; -ECONNABORTED: it has ended the link itself.
 * Threads  next and hear may run at the same time, each in one thread.
 * Owns     what iov points to is the sender's until the next sender_next().
 */
#ifndef MQFS_REPLICA_SENDER_H
#define MQFS_REPLICA_SENDER_H

#include "hello.h"
#include "link.h"

#define SENDER_NEAR (1u << 20)           /* bytes */
#define SENDER_PARTS 2                   /* of a body, at most */

struct sender;

/* What a link is at, for status. */
struct sender_status {
	uint64_t node;
	char name[FRAME_NAME];
	enum sender_state { SENDER_ANSWER, SENDER_CHECKPOINT, SENDER_LOG, SENDER_HANDED_OVER } state;
	bool member, linked, current, mirror, blank;
	bool full;                       /* its disk: it takes nothing more until there is room */
	bool unheld;                     /* what it lacks is not kept for it any more */
	uint64_t sent, acknowledged;     /* positions */
	uint64_t end;                    /* of the log now: lag is end - acknowledged */
	uint64_t messages;               /* that it lacks, at most; not known before its first ACK that tells */
	int64_t behind_since;            /* CLOCK_MONOTONIC ns: it has lacked something since, as far as this link has seen; 0: it does not */
	int64_t heard;                   /* CLOCK_MONOTONIC ns of the last frame */
	int64_t round_trip;              /* ns, of the last COMMIT and its ACK; 0: none yet */
	uint64_t blank_end;              /* while it starts blank: where that ends */
};

/* NAME is this node's, PEER the other's, as its certificate says. FLAGS and END are those of the HELLO's frame. */
int sender_new(struct sender **s, struct store *store, const char *name, const char *peer, const struct frame_hello *h, uint8_t flags,
	uint64_t end);
void sender_free(struct sender *s);
/* The primary that this node follows, named ORIGINAL, has the id of the other side's store, which is refused as a copy. */
void sender_copy(struct sender *s, const char *original);
/* NOW is CLOCK_MONOTONIC ns, as everywhere here. */
int sender_next(struct sender *s, int64_t now, struct frame *f, struct iovec iov[SENDER_PARTS], int *n);
int64_t sender_due(struct sender *s);        /* when the heartbeat is to be sent */
/* How long, in ns, nothing needs to be said behind the frame SENT: what is appended meanwhile goes in one frame, where no commit waits for this
 * standby. 0: go on. */
int64_t sender_rest(struct sender *s, const struct frame *sent);
/* 1: the other side's operator asks this primary to hand over. */
int sender_hear(struct sender *s, int64_t now, const struct frame *f, const void *body);
/* As receiver_spoilt(). */
void sender_spoilt(struct sender *s, int err);
/* Nothing is said from here on, until it is said again that something may be: while the store steps down to hand over. */
void sender_pause(struct sender *s, bool pause);
/* The store has stepped down and promised the reign behind its own to the other side: that is said next, and nothing behind it. */
void sender_hand_over(struct sender *s);
/* This node stops: the other side is told. */
void sender_stop(struct sender *s);
/* The answer where it does not hand over. */
void sender_refuse(struct sender *s, const char *reason);
void sender_status(struct sender *s, struct sender_status *to);
void sender_why(struct sender *s, char to[FRAME_REASON]);

#endif
