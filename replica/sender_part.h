/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sender_part.h - what a sender is made of. For its own files only: sender.c has both threads' ways in, sender_answer.c the HELLO's answer,
 * sender_log.c the checkpoint, the log and the commit point.
 *
 * The two sides of a link meet here only in `lock`: what has been sent and what came back. All else is the sending thread's, but for
 * `linked`, which is the receiving one's: only who hears an ACK says that the node counts.
 */
#ifndef MQFS_REPLICA_SENDER_PART_H
#define MQFS_REPLICA_SENDER_PART_H

#include "ending.h"
#include "fetch.h"
#include "lag.h"
#include "member.h"
#include "seed.h"
#include "sender.h"
#include "store.h"
#include <pthread.h>

/* What has been heard, until it is answered. */
struct greeting {
	struct frame_hello hello;
	struct frame_hello_ack ack;
	uint64_t end;
	bool blank;
	char original[FRAME_NAME];     /* see sender_copy(); "": none */
};

struct sender {
	struct store *store;
	char name[FRAME_NAME], peer[FRAME_NAME];
	uint64_t node;                 /* the other one */
	struct epoch epoch;            /* this primary's, of the whole link */
	_Atomic bool blank;            /* the other one has no store yet, so that its acknowledgements do not count */
	bool mirror;                   /* it is one, so that they do not either */
	struct ending ending;
	struct fetch *fetch;
	/* the sending thread's */
	struct greeting *greeting;
	struct seed *seed;
	struct raw *raw;
	const uint8_t *bytes;          /* of raw, not sent yet */
	size_t left;
	uint64_t base;                 /* of the segment that they lie in */
	uint64_t begun;                /* base of the last one said */
	bool committed_last;           /* the last frame was a COMMIT */
	bool fetched_last;             /* it was a FETCH or a FETCHED */
	uint64_t committed;            /* as last said */
	uint64_t checkpoint_sent;      /* bytes of its file */
	bool member;
	bool handed_over;              /* and it was said */
	uint8_t *talk;                 /* FRAME_TALK bytes: a body; while a checkpoint is sent, FRAME_BODY */
	/* the receiving thread's */
	bool linked;
	pthread_mutex_t lock;          /* all below */
	enum sender_state state;
	uint64_t sent, acknowledged;
	uint64_t blank_end;
	uint64_t acked_messages;
	bool current, full;            /* as its last ACK says */
	bool status_member, status_linked;
	char *refusal;                 /* of an order to hand over, not said yet */
	bool paused;
	int64_t due;                   /* the heartbeat */
	int64_t heard, time_said, round_trip;
	struct lag lag;
};

/* Is the other node one whose acknowledgements may count? Of the pair, or, while there is none, it may become so. */
bool sender_counts(const struct sender *s, const struct member_view *v);
/* A frame of this link's epoch; its body is the LEN bytes that TALK has. */
int sender_say(struct sender *s, struct frame *f, struct iovec *iov, int *n, uint8_t type, uint64_t pos, int len);
enum sender_state sender_state(struct sender *s);
void sender_set_state(struct sender *s, enum sender_state state);
/* The link ends, since the standby cannot have what follows: this node's log has no valid record at POS. -EBADMSG. */
int sender_damaged(struct sender *s, uint64_t pos);

/* The frame that is next, as sender_next(). */
int sender_answer(struct sender *s, struct frame *f, struct iovec *iov, int *n);
int sender_go_on(struct sender *s, const struct member_view *v, int64_t now, struct frame *f, struct iovec *iov, int *n);

#endif
