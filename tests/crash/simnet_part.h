/* SPDX-License-Identifier: Apache-2.0 */
/* simnet_part.h - the connections of a simulated network. For simnet.c and simlink.c only. */
#ifndef MQFS_TESTS_SIMNET_PART_H
#define MQFS_TESTS_SIMNET_PART_H

#include "simnet.h"

struct piece {
	int64_t at;                    /* it arrives */
	size_t len, taken;
	struct piece *prev, *next;
	uint8_t bytes[];
};

/* One side of a connection. */
struct end {
	struct link link;
	struct simnet_line *line;
	int node;
	struct piece *pieces;          /* on their way to it */
	size_t waiting;                /* bytes of them */
	int64_t last;                  /* the last one's time */
	bool shut;                     /* by its owner */
	bool gone;                     /* it has no owner any more */
	bool broken;                   /* and its owner knows when it has taken what is left */
	bool dead;                     /* its process is: nothing comes or goes */
	char why[80];
};

struct simnet_line {
	struct simnet *net;
	struct end ends[2];
	struct simnet_line *prev, *next;
};

/* One from node CALLER to node CALLED, whose links are its ends. NULL: out of memory. */
struct simnet_line *sim_line_new(struct simnet *n, int caller, int called);
/* Both sides hear of it, when they have taken what still arrives. */
void sim_line_break(struct simnet_line *l);
/* The process of one side is gone; SILENT: nobody says so. */
void sim_end_die(struct end *e, bool silent);
/* The other side of E is told that E is gone. */
void sim_end_break_other(struct end *e, const char *why);

#endif
