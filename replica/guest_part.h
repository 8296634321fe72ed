/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest_part.h - what a guest is. For its own files only: guest.c has its thread and who asks for it, guest_enter.c which of them may be standbys.
 */
#ifndef MQFS_REPLICA_GUEST_PART_H
#define MQFS_REPLICA_GUEST_PART_H

#include "replicator_part.h"

#define LEAVE_NS 1000000000LL            /* that they get to leave by themselves */

struct guest {
	struct replicator *r;
	struct link *link;
	pthread_t thread;
	uint8_t *body;                   /* FRAME_BODY bytes */
	/* under the replicator's lock */
	struct guest *next;
	uint64_t node;                   /* of a standby; 0: it is blank, and known by its link's name */
	bool standby;
	struct sender *sender;
	bool full;                       /* as it said last: its thread's own */
	bool gone;                       /* the thread is at its end */
};

/* G is a standby from here on, as NODE, which no other guest is any more when this returns. False: it may not be, for the reason WHY. */
bool guest_enter(struct guest *g, uint64_t node, char why[FRAME_REASON]);
/* It is none any more. */
void guest_leave(struct guest *g);

#endif
