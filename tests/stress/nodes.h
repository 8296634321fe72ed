/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodes.h - a primary and its standby in one process, with all the threads that they have in two, and the ledger's topics.
 *
 * Calling  nodes_init(); nodes_open(node, true); ...; nodes_stop(node), with whatever threads use them; nodes_close(node);
 *          nodes_open(node, false) ...
 * Errors   end the process.
 */
#ifndef MQFS_TESTS_NODES_H
#define MQFS_TESTS_NODES_H

#include "ledger.h"
#include "replicator.h"
#include "wire.h"
#include <semaphore.h>

#define PATIENCE_NS INT64_C(90000000000) /* a slow machine is no finding; longer than it takes until what came to nothing is tried again */

struct node {
	struct progress_waiter waiter;   /* the first member; armed, it posts */
	sem_t *moved;
	const char *name, *other;
	char path[128];
	const struct network *network;
	struct store *store;
	struct replicator *replicator;
	struct topic *topic[TOPICS];
};

/* NODE[0] is the primary. Their stores are made below PATH. */
void nodes_init(struct node node[2], struct wire wire[2], const char *path, sem_t *moved);
/* They are a pair, and both have the topics. */
void nodes_open(struct node node[2], bool first);
void nodes_stop(struct node node[2]);
void nodes_close(struct node node[2]);

/* The byte at log position AT on N's disk; made BECOMES, where that is not NULL. */
uint8_t node_byte(struct node *n, uint64_t at, const uint8_t *becomes);

void pause_shortly(void);

#endif
