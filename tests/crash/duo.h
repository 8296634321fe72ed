/* SPDX-License-Identifier: Apache-2.0 */
/*
 * duo.h - one seed: two nodes on simulated disks with a simulated network between them, what befalls them, and what is checked.
 *
 * A run is a row of schedules. A schedule begins with both nodes at one; then things happen to them (duo_events.c): crashes of the one,
 * the other or both at any call of their disks, power cuts, freezes, cut and slow paths, failing disks, and an operator's orders; while programs
 * write and read at both. Then all faults end, dead nodes are started, and the pair has to be at one again in bounded time, by itself or by
 * what an operator would do (duo_calm.c), and to hold what the ledger says.
 *
 * Errors   a broken rule ends the process by duo->seed->failed().
 */
#ifndef MQFS_TESTS_DUO_H
#define MQFS_TESTS_DUO_H

#include "ledger.h"
#include "replicator.h"
#include "seeds.h"
#include "simdisk.h"
#include "simnet.h"

#define NODES 2
#define NODE_PROGRAMS 4                /* fibers of a node's programs: writers, a reader, who carries out orders */

enum duo_branch {
	PROMOTED, PROMOTED_STOPPED, PROMOTED_LOSS, PROMOTE_REFUSED, WENT_ALONE, ALONE_REFUSED, SWITCHED_OVER, SWITCHOVER_FAILED,
	MIN_STANDBYS_SET, DEPOSED, CUT, BLANK_START, BLANK_AGAIN, HALF_JOIN, TAKEN_IN, HELLO_TURNED_DOWN, CUT_REFUSED, TORN_PROMISE,
	CRASHED_AT_CUT, CRASHED_AT_START, NODE_KILLED, NODE_POWER_CUT, BOTH_DOWN, FROZEN, PATHS_CUT, PATH_CUT_ONE_WAY, FLAPPED, SLOWED,
	HALF_FRAME, DISK_FILLED, SYNCS_FAILED, REPLACED, LIED, LOSS_TOOK_PLACE, LOST_SOME, EXCUSED_NOTHING, OPERATOR_NEEDED,
	REFUSED_HOSTDOWN, REFUSED_STANDBY, UNKNOWN_TIMEOUT, READ_ON_STANDBY, DUO_BRANCHES
};
extern const char *const duo_branch_names[DUO_BRANCHES];

struct duo_counts {
	uint64_t schedules, runs, appends, acked, refused, shown, starts, crashes, orders, checks, lost;
	uint64_t branches[DUO_BRANCHES];
};

/* An order of the operator, while it is under way. */
struct duo_order {
	struct order order;
	struct node *node;
	bool asked, done;
	bool abandoned;                /* nobody waits for it any more */
	int err;
	char why[REPLICATOR_WHY];
};

struct node {
	struct duo *duo;
	int number;
	struct process process;
	struct simdisk *disk;
	struct store *store;           /* NULL: none is open */
	struct replicator *replicator;
	enum { NODE_DOWN, NODE_JOINING, NODE_UP, NODE_ENDING } state;
	bool starting;                 /* its store is not up yet */
	bool dead;                     /* it has crashed: what it still says counts for nothing */
	bool ending;                   /* its programs end, and it is stopped in good order */
	bool joins;                    /* where there is no store, it is made from the other node's */
	bool again;                    /* it has to be made anew from the primary's */
	bool unusable;                 /* its store does not open */
	bool silent;                   /* the crash was the machine's */
	int stop;                      /* a descriptor: readable when it shall end */
	struct fiber *fiber;
	struct fiber *programs[NODE_PROGRAMS];
	struct duo_order *order;       /* to be carried out */
	uint64_t committed[LEDGER_QUEUES];     /* queue offsets that it has shown, in this life */
	char saw_path[SIM_PATH];       /* of the last call of the disk that changes something */
	char why[REPLICATOR_WHY];
};

struct duo {
	const struct seed *seed;
	struct duo_counts *counts;
	struct world *world;
	struct simnet *net;
	struct ledger ledger;
	struct node nodes[NODES];
	struct simdisk *checked;       /* a copy of a disk while it is checked */
	int min_standbys;              /* that nodes are started with */
	bool explained;                /* a status says why the pair is not at one */
	bool quiet;                    /* programs do not begin anything new */
	int left;                      /* appends of this schedule */
	uint32_t reign;                /* when both were last at one */
	int64_t thaw[NODES];           /* when a frozen process goes on */
	uint64_t events;               /* a hash of what happened in this schedule */
};

int duo_run(const struct seed *s);

void duo_say(struct duo *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void duo_meet(struct duo *p, enum duo_branch b);
void duo_meet_if(struct duo *p, enum duo_branch b, bool met);
/* Something happened: two schedules are different where that differs. */
void duo_note(struct duo *p, uint64_t what);
/* Time passes for the operator, and who is frozen goes on in time. */
void duo_pass(struct duo *p, int64_t ns);

/* ---- node.c ---- */

void node_init(struct duo *p, int number);
void node_end(struct node *n);
/* Its process begins; it may be made anew, or join. */
void node_start(struct node *n);
/* At this moment; SILENT: the machine loses its power. */
void node_crash(struct node *n, bool silent);
/* In good order. Returns when it is down, or has crashed meanwhile. */
void node_stop(struct node *n);
/* Until its process is gone, and its disk is what is left. */
void node_wait_down(struct node *n);
void node_wait_down_if_dead(struct node *n);
/* A new disk, nothing on it: the node is down. */
void node_replace(struct node *n);
bool node_is_up(const struct node *n);
/* False: it is not up. */
bool node_view(struct node *n, struct member_view *to);
/* Until it is done, or the node is gone, or TIME is over: -EINPROGRESS. Then it may still be carried out. */
int node_order(struct node *n, const struct order *o, int64_t time, char why[REPLICATOR_WHY]);
/* It does not know of the loss that was accepted. */
bool node_is_outside(struct node *n);
/* On a fiber of its own: hands an order on. */
void node_carry_out(struct node *n);

/* ---- duo_programs.c ---- */

void node_programs_start(struct node *n);
void node_programs_join(struct node *n);

/* ---- duo_events.c ---- */

/* What befalls the pair in one schedule. */
void duo_events(struct duo *p);

/* ---- duo_calm.c ---- */

/* Makes the pair. */
void duo_begin(struct duo *p);
/* All faults end; returns when both nodes are at one and hold what they must. */
void duo_calm(struct duo *p);
/* The operator accepts the loss of what N has not got. */
void duo_accept_loss(struct node *n);
/* Both are stopped, and their disks are checked. */
void duo_end(struct duo *p);

#endif
