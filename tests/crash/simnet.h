/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simnet.h - the network between the nodes of a world, in memory, and what may go wrong in it.
 *
 * What it assumes of a network, and nothing more:
 *
 *  Bytes      On one connection they arrive in order, in pieces of any size, each some time after it was written; as many as fit into the
 *             other side's buffer are on their way at once. Who reads from a node that is gone hears of it, or not.
 *  Cut        A path from one node to another may be cut, each way by itself. What is under way then stands still, and goes on some time
 *             after the path is there again, if neither side has given up.
 *  Slow       A path has a delay and a rate, which change.
 *  Broken     A connection may break at any moment: the other side gets a part of what is under way, maybe half a frame, and an error.
 *  Death      A process that is killed breaks its connections; a machine that loses its power says nothing, until it is up again.
 *  Frozen     A process that stands still (SIGSTOP) answers no call, and what it is sent waits in its buffer.
 *
 * Calling  simnet_new(&net, w, 2); replicator options' network = simnet_at(net, n), of the process that runs there, whose name is
 *          simnet_name(n); net->cut[a][b] = true ...; simnet_heal(net); simnet_die(net, n, silent) when it dies, simnet_up() when it starts.
 * Units    nanoseconds, bytes.
 * Threads  fibers of its world. Links are closed by who has them; a network is freed when all are.
 */
#ifndef MQFS_TESTS_SIMNET_H
#define MQFS_TESTS_SIMNET_H

#include "network.h"
#include "world.h"

#define SIMNET_NODES 3

struct simnet_line;
struct simnet_call;

/* One node's door. */
struct simnet_door {
	struct network network;
	struct simnet *net;
	int number;
	bool up;                       /* its machine has power, and the process that it was given to is there */
	bool silent;                   /* it has none: nobody refuses a call */
	const struct network_handlers *handlers;   /* NULL: nobody listens */
	struct network_handlers copy;
	struct fiber *listener;
	struct simnet_call *calls;     /* that wait to be taken */
};

struct simnet {
	struct world *world;
	int nodes;
	bool cut[SIMNET_NODES][SIMNET_NODES];      /* from, to */
	int64_t delay[SIMNET_NODES][SIMNET_NODES];         /* ns at most */
	int64_t rate[SIMNET_NODES][SIMNET_NODES];          /* bytes a second, 0: no limit */
	unsigned breaks;               /* once in so many pieces a connection breaks; 0: never */
	struct simnet_door doors[SIMNET_NODES];
	struct simnet_line *lines;
	uint64_t broken, halves;       /* connections that broke so; with half a frame delivered */
	uint64_t hash;                 /* of all that was carried: who, how much, when */
};

int simnet_new(struct simnet **n, struct world *w, int nodes);
void simnet_free(struct simnet *n);
const struct network *simnet_at(struct simnet *n, int number);
const char *simnet_name(int number);
/* The process at NUMBER is there, or is gone: SILENT, with its machine. */
void simnet_up(struct simnet *n, int number);
void simnet_die(struct simnet *n, int number, bool silent);
/* All connections break. */
void simnet_break(struct simnet *n);
/* Nothing is wrong any more. */
void simnet_heal(struct simnet *n);
/* Paths have changed: who waits looks again. */
void simnet_changed(struct simnet *n);

#endif
