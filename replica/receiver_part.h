/* SPDX-License-Identifier: Apache-2.0 */
/*
 * receiver_part.h - what a receiver is made of. For its own files only: receiver.c has what is heard, receiver_say.c what is said.
 */
#ifndef MQFS_REPLICA_RECEIVER_PART_H
#define MQFS_REPLICA_RECEIVER_PART_H

#include "ending.h"
#include "fetch.h"
#include "lag.h"
#include "member.h"
#include "pieces.h"
#include "receiver.h"
#include <pthread.h>

enum receiver_state { RECEIVER_HELLO, RECEIVER_LOG };

struct receiver {
	struct store *store;
	char name[FRAME_NAME], peer[FRAME_NAME];
	struct ending ending;
	struct fetch *fetch;
	/* the sending thread's */
	_Atomic bool greeted;
	bool mirror;
	uint8_t *talk;                 /* FRAME_TALK bytes: a body */
	/* the receiving thread's */
	struct pieces pieces;
	uint64_t committed;            /* as last heard */
	uint64_t aside;                /* of a log that is given up */
	pthread_mutex_t lock;          /* all below */
	enum receiver_state state;
	uint64_t node;                 /* the primary */
	struct epoch epoch;            /* of the link */
	uint64_t acknowledged;         /* as last said */
	bool current;                  /* the same */
	bool full, said_full;          /* the disk, for what is to be received; and as last said */
	bool owed;                     /* an ACK, to a COMMIT */
	bool asking;                   /* for a hand-over, not said yet */
	char refusal[FRAME_REASON];    /* of that */
	int64_t due;
	int64_t time;                  /* of the last COMMIT */
	uint64_t said_end, said_messages;        /* of the first COMMIT whose end is not synced here yet; 0: there is none */
	uint64_t messages;             /* of the last one whose end is */
	uint64_t primary_messages;     /* of the last one */
	struct lag lag;
	uint64_t primary_end;          /* written by the receiving thread alone */
	int64_t heard;
};

/* This node, and as many of its epochs as are said; ROWS is to be freed. */
int receiver_look_at_self(struct receiver *r, struct hello_self *self, struct epoch_row **rows);
/* Is this node still the standby of the link's primary? */
int receiver_check_obedience(struct receiver *r, const struct member_view *v);

#endif
