/* SPDX-License-Identifier: Apache-2.0 */
/*
 * served.h - a mount without a kernel: a store in memory with topic "orders" of SERVED_QUEUES queues, whose queue 0 has messages and a head
 * behind the first of them. It is stopped: it can be read and looked up in, and what would change it gets -ENOTCONN when all that can
 * be refused was not.
 */
#ifndef MQFS_TESTS_SERVED_H
#define MQFS_TESTS_SERVED_H

#include "mount.h"

#define SERVED_QUEUES 12u
#define SERVED_MESSAGES 100u

struct served {
	struct mount mount;
	struct topic *topic;
	struct queue *queue;                     /* 0 */
	uint64_t offset[SERVED_MESSAGES + 1];    /* of each message, and the end behind the last */
	uint64_t head;
};

/* The one there is; made at the first call. */
struct served *served(void);

#endif
