/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pair_rig.h - two stores and a link in memory between them, driven step by step by the test.
 *
 * Calling  rig_begin(); rig_open(&a, false) ...; rig_connect(); rig_settle(); rig_cut(); rig_end().
 *          Each frame goes through link_send() and link_receive(); rig.frames counts them. With rig.lose = n the link is cut in place of
 *          the nth frame from now on. Whatever a frame changes, the rules of a pair are checked behind it.
 */
#ifndef MQFS_TESTS_PAIR_RIG_H
#define MQFS_TESTS_PAIR_RIG_H

#include "member.h"
#include "receiver.h"
#include "sender.h"
#include "store.h"
#include <semaphore.h>

/* One end of the link: what it writes the other end reads. */
struct rig_end {
	struct link link;
	uint8_t *bytes;                /* on the way to this end */
	size_t len, room, at;
	struct rig_end *other;
};

struct rig_node {
	char path[128], name[8];
	struct store *store;
	struct progress_waiter waiter;
	struct rig_end at;
};

struct rig {
	struct store_options options;
	struct rig_node a, b;
	struct rig_node *primary, *standby;
	struct sender *sender;
	struct receiver *receiver;
	bool connected;
	int sender_err, receiver_err;          /* why the link ended */
	int64_t now;
	unsigned frames, lose;
	bool guarded;                  /* min_standbys is 1: what is committed is on both disks */
	struct frame frame;            /* the last one that was delivered */
	uint8_t *body;
	sem_t moved;
	unsigned still;                /* waits in a row in which nothing moved */
};

extern struct rig rig;

void rig_begin(void);
void rig_end(void);
void rig_open(struct rig_node *n, bool standby);
void rig_close(struct rig_node *n);
struct member_view rig_view(const struct rig_node *n);
/* The other node, promoted: it begins reign 2, whose first record has FLAGS. */
void rig_promote(struct rig_node *n, uint8_t flags);
/* B becomes an empty standby of A. */
void rig_join(void);
/* They are the pair from now on, by a link between them. */
void rig_pair(uint8_t min_standbys);
/* STANDBY calls PRIMARY. */
void rig_connect(struct rig_node *primary, struct rig_node *standby);
void rig_cut(void);
/* One frame, from either side. False: nobody has anything to say, or the link has ended. */
bool rig_step(void);
/* Until one of this type is delivered; it is rig.frame, with rig.body. */
void rig_frame(uint8_t type);
/* Until REACHED says so, of POS; or the link ends. */
void rig_until(bool (*reached)(uint64_t pos), uint64_t pos);
/* Until all is synced, acknowledged, committed and announced. */
void rig_settle(void);
/* Until POS is committed at the primary. */
void rig_settle_to(uint64_t pos);
/* Both logs are the same, byte for byte. */
void rig_same_logs(void);
/* Appends TEXT to queue 0 of the topic "orders" of N; *POS is the record's end. */
int rig_append(struct rig_node *n, const char *text, size_t len, uint64_t *pos);
/* Makes the topic at A, which has no pair yet. */
void rig_topic(void);

#endif
