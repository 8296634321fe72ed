/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - two nodes' networks, within one process: whichever of them calls reaches the other, over a pair of sockets.
 *
 * Calling  wire_init(wire, "a", "b"); &wire[0].network is a's, &wire[1].network b's. A call while the other does not listen is refused.
 *          wire_end(wire) when no link is left.
 * Threads  any.
 */
#ifndef MQFS_TESTS_WIRE_H
#define MQFS_TESTS_WIRE_H

#include "network.h"
#include <pthread.h>

struct wire {
	struct network network;        /* the first member: see wire.c */
	const char *name;
	struct wire *other;
	pthread_mutex_t lock;          /* all below, and while a link is handed on */
	bool listens;
	struct network_handlers handlers;
	int last;                      /* the last link that it made, to be broken; -1: none; guarded by the other's lock */
};

void wire_init(struct wire wire[2], const char *a, const char *b);
void wire_end(struct wire wire[2]);
/* The last link that W made, for both. */
void wire_break(struct wire *w);

#endif
