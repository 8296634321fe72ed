/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What befalls a pair: one thing after the other, with some time between. The operator among it gives his word only where it is true ("stopped"
 * of a node that is down, and stays so until the order has ended), but for a lie now and then, of which the ledger is told.
 */
#include "duo.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MILLI INT64_C(1000000)
#define ORDER_TIME (20 * SECOND)
#define RESERVE ((uint64_t)1 << 20)    /* bytes that a store keeps for a full disk */

static const char *name(const struct node *n)
{
	return simnet_name(n->number);
}

static struct node *other(struct node *n)
{
	return &n->duo->nodes[1 - n->number];
}

static struct node *any_node(struct duo *p)
{
	return &p->nodes[chance_of(p->world, NODES)];
}

/* The one that is the primary as far as anybody can see, else any. */
static struct node *primary(struct duo *p)
{
	struct member_view v;

	for (int i = 0; i < NODES; i++)
		if (node_view(&p->nodes[i], &v) && v.role == ROLE_PRIMARY)
			return &p->nodes[i];
	return any_node(p);
}

static bool is_down(const struct node *n)
{
	return n->state == NODE_DOWN && !n->fiber;
}

/* ---- nodes ---- */

static void bring_down(struct node *n, bool silent)
{
	node_crash(n, silent);
	node_wait_down(n);
}

static void crash_at_once(struct duo *p)
{
	struct node *n = once_in(p->world, 3) ? any_node(p) : primary(p);

	node_crash(n, once_in(p->world, 2));
}

/* At one of the next calls of the disk, or at one of those that change names: a promise, what is cut, a segment. */
static void crash_soon(struct duo *p, struct node *n)
{
	if (n->state == NODE_DOWN || n->dead)
		return;
	n->silent = once_in(p->world, 2);
	if (once_in(p->world, 3))
		n->disk->sync_hangs = 3;       /* so that others hear of what is not on its disk yet */
	if (once_in(p->world, 2))
		n->disk->crash_near = 1 + (unsigned)chance_of(p->world, 4);
	else
		n->disk->crash_at = n->disk->calls + 1 + chance_of(p->world, once_in(p->world, 2) ? 12 : 60);
}

static void crash_both(struct duo *p)
{
	bool silent = once_in(p->world, 2);

	node_crash(&p->nodes[0], silent);
	if (once_in(p->world, 2))
		duo_pass(p, (int64_t)chance_of(p->world, SECOND));
	node_crash(&p->nodes[1], silent);
}

static void start_down(struct duo *p)
{
	int first = (int)chance_of(p->world, NODES);

	for (int i = 0; i < NODES; i++) {
		struct node *n = &p->nodes[first ^ i];
		if (n->dead)
			node_wait_down(n);
		if (!is_down(n) || once_in(p->world, 3))
			continue;
		node_start(n);
		if (once_in(p->world, 4))
			crash_soon(p, n);
	}
}

/* The first record of its epoch may be with the other node before it is on its own disk, if anything went wrong there. */
static void start_on_hanging_disk(struct duo *p)
{
	struct node *n = primary(p);

	bring_down(n, true);
	n->disk->sync_hangs = 2;
	node_start(n);
	duo_pass(p, (int64_t)chance_of(p->world, 25 * SECOND));
	node_crash(n, true);
}

static void stop_one(struct duo *p)
{
	node_stop(any_node(p));
}

static void freeze(struct duo *p)
{
	struct node *n = any_node(p);
	int64_t time = (int64_t)chance_of(p->world, 15 * SECOND);

	if (n->state == NODE_DOWN || n->dead)
		return;
	duo_say(p, "%s stands still for %" PRId64 " ms", name(n), time / MILLI);
	duo_meet(p, FROZEN);
	n->process.frozen = true;
	p->thaw[n->number] = world_now(p->world) + time;
}

/* What the store has in reserve does not help for long. */
static void fill_disk(struct duo *p, struct node *n)
{
	uint64_t used = n->disk->used;

	duo_say(p, "%s's disk is full", name(n));
	n->disk->budget = (used > RESERVE ? used - RESERVE : used) + chance_of(p->world, 8 << 10);
	p->left += 20;
	duo_pass(p, (int64_t)chance_of(p->world, 3 * SECOND));
}

static void spoil_disk(struct duo *p)
{
	struct node *n = any_node(p);

	switch (chance_of(p->world, 5)) {
	case 0:
		duo_say(p, "%s's disk fails to sync", name(n));
		n->disk->sync_fails = 4 + (unsigned)chance_of(p->world, 20);
		duo_meet(p, SYNCS_FAILED);
		break;
	case 1:
		fill_disk(p, primary(p));
		break;
	case 2:
		duo_say(p, "%s's disk hangs at times", name(n));
		n->disk->sync_hangs = 8;
		break;
	case 3:
		n->disk->write_short = 6;
		break;
	default:
		duo_say(p, "%s's disk fails to write", name(n));
		n->disk->write_fails = 10 + (unsigned)chance_of(p->world, 40);
	}
}

/* ---- paths ---- */

static void cut_paths(struct duo *p)
{
	uint64_t which = 1 + chance_of(p->world, 3);

	p->net->cut[0][1] = which & 1;
	p->net->cut[1][0] = which & 2;
	duo_say(p, "the path is cut: %s%s", which & 1 ? "a to b " : "", which & 2 ? "b to a" : "");
	duo_meet(p, which == 3 ? PATHS_CUT : PATH_CUT_ONE_WAY);
	simnet_changed(p->net);
}

static void heal_paths(struct duo *p)
{
	duo_say(p, "the paths are good again");
	simnet_heal(p->net);
}

static void flap(struct duo *p)
{
	int times = 2 + (int)chance_of(p->world, 5);

	duo_meet(p, FLAPPED);
	while (times--) {
		cut_paths(p);
		duo_pass(p, (int64_t)chance_of(p->world, once_in(p->world, 3) ? 4 * SECOND : SECOND));
		heal_paths(p);
		duo_pass(p, (int64_t)chance_of(p->world, SECOND));
	}
}

static void slow_down(struct duo *p)
{
	int from = (int)chance_of(p->world, 2);

	duo_say(p, "the path from %s is slow", simnet_name(from));
	duo_meet(p, SLOWED);
	p->net->delay[from][1 - from] = (int64_t)chance_of(p->world, 2 * SECOND);
	p->net->rate[from][1 - from] = 2000 + (int64_t)chance_of(p->world, 100000);
}

static void break_connections(struct duo *p)
{
	if (once_in(p->world, 2)) {
		simnet_break(p->net);
		return;
	}
	duo_say(p, "connections break at times");
	p->net->breaks = 4 + (unsigned)chance_of(p->world, 60);
}

/* ---- orders ---- */

static int promote(struct node *n, bool stopped, bool accept_loss)
{
	struct duo *p = n->duo;
	struct order o = {.kind = ORDER_PROMOTE, .accept_loss = accept_loss};
	char why[REPLICATOR_WHY];
	int err;

	if (stopped)
		strcpy(o.stopped, name(other(n)));
	err = node_order(n, &o, ORDER_TIME, why);
	if (err == -EPERM)
		duo_meet(p, PROMOTE_REFUSED);
	if (!err)
		duo_meet(p, accept_loss ? PROMOTED_LOSS : stopped ? PROMOTED_STOPPED : PROMOTED);
	return err;
}

/* A word is true as long as the order may still be carried out: a node that does not answer is ended first. */
static void end_order(struct node *n, int err)
{
	if (err == -EINPROGRESS)
		node_crash(n, true);
	node_wait_down_if_dead(n);
}

static void promote_any(struct duo *p)
{
	struct node *n = once_in(p->world, 4) ? any_node(p) : other(primary(p));

	promote(n, false, false);
}

static void promote_stopped(struct duo *p)
{
	struct node *n = primary(p), *standby = other(n);

	if (!node_is_up(standby))
		standby = n;
	n = other(standby);
	bring_down(n, once_in(p->world, 2));
	end_order(standby, promote(standby, true, false));
}

static int alone(struct node *n, bool accept_loss)
{
	struct order o = {.kind = ORDER_ALONE, .accept_loss = accept_loss};
	char why[REPLICATOR_WHY];
	int err;

	strcpy(o.stopped, name(other(n)));
	err = node_order(n, &o, ORDER_TIME, why);
	duo_meet_if(n->duo, ALONE_REFUSED, err == -EPERM);
	duo_meet_if(n->duo, WENT_ALONE, !err);
	return err;
}

static void go_alone(struct duo *p)
{
	struct node *n = primary(p), *left = other(n);

	bring_down(left, once_in(p->world, 2));
	end_order(n, alone(n, false));
}

static void switch_over(struct duo *p)
{
	struct order o = {.kind = ORDER_SWITCHOVER};
	char why[REPLICATOR_WHY];
	int err = node_order(any_node(p), &o, ORDER_TIME, why);

	duo_meet(p, err ? SWITCHOVER_FAILED : SWITCHED_OVER);
}

static void set_min_standbys(struct duo *p)
{
	struct order o = {.kind = ORDER_MIN_STANDBYS, .count = (uint8_t)chance_of(p->world, 2)};
	char why[REPLICATOR_WHY];

	duo_meet_if(p, MIN_STANDBYS_SET, !node_order(primary(p), &o, ORDER_TIME, why));
}

/* ---- what costs something ---- */

static void accept_loss(struct duo *p)
{
	struct node *n = once_in(p->world, 4) ? any_node(p) : other(primary(p));

	if (p->ledger.loss || !node_is_up(n))
		return;
	duo_accept_loss(n);
	promote(n, is_down(other(n)) && once_in(p->world, 2), true);
}

/* Between a promise and the first record of a reign, most likely. */
static void crash_amid_order(struct duo *p)
{
	struct node *n = other(primary(p));

	if (!node_is_up(n))
		return;
	n->silent = once_in(p->world, 2);
	n->disk->crash_near = 1 + (unsigned)chance_of(p->world, 3);
	switch (chance_of(p->world, 3)) {
	case 0:
		switch_over(p);
		break;
	case 1:
		if (!p->ledger.loss) {
			duo_accept_loss(n);
			promote(n, false, true);
			break;
		}
		/* fall through */
	default:
		promote(n, false, false);
	}
	n->disk->crash_near = 0;
}

static void lie(struct duo *p)
{
	struct node *n = once_in(p->world, 2) ? primary(p) : other(primary(p));

	if (!node_is_up(n))
		return;
	duo_say(p, "the operator lies");
	duo_meet(p, LIED);
	ledger_lie(&p->ledger);
	if (once_in(p->world, 2))
		alone(n, once_in(p->world, 2));
	else
		promote(n, true, once_in(p->world, 2));
}

/* A standby's machine is lost: a blank one takes its place, and the operator tells the primary that the old one is stopped, for good. Not where
 * the one that is lost may be a primary by an accepted loss, of which the other one has not heard. */
static void replace(struct duo *p)
{
	struct node *n = primary(p), *lost = other(n);
	struct member_view v;

	if (p->ledger.loss || !node_view(n, &v) || v.role != ROLE_PRIMARY || !v.settled || !v.current)
		return;
	bring_down(lost, true);
	duo_say(p, "%s is lost, and a blank node takes its place", name(lost));
	duo_meet(p, REPLACED);
	node_replace(lost);
	for (int times = 0; times < 4 && node_is_up(n) && alone(n, false) == -EPERM; times++)
		duo_pass(p, SECOND);           /* it may take a while until that node is known to be away */
	node_wait_down_if_dead(n);
	node_start(lost);
}

/* ---- a schedule ---- */

struct event {
	const char *name;
	void (*come)(struct duo *p);
	unsigned weight;
};

static void crash_one_soon(struct duo *p)
{
	crash_soon(p, any_node(p));
}

static const struct event events[] = {
	{"a crash", crash_at_once, 8},
	{"a crash soon", crash_one_soon, 12},
	{"both crash", crash_both, 3},
	{"who is down is started", start_down, 12},
	{"a start on a hanging disk", start_on_hanging_disk, 2},
	{"a node is stopped", stop_one, 3},
	{"a node stands still", freeze, 5},
	{"a disk is bad", spoil_disk, 3},
	{"a path is cut", cut_paths, 7},
	{"paths are good", heal_paths, 7},
	{"paths flap", flap, 2},
	{"a path is slow", slow_down, 3},
	{"connections break", break_connections, 4},
	{"promote", promote_any, 7},
	{"promote --stopped", promote_stopped, 8},
	{"alone --stopped", go_alone, 5},
	{"switchover", switch_over, 7},
	{"min_standbys", set_min_standbys, 2},
	{"promote --accept-loss", accept_loss, 2},
	{"a crash amid an order", crash_amid_order, 6},
	{"a false word", lie, 1},
	{"a node is replaced", replace, 1},
};

static void any_event(struct duo *p)
{
	unsigned all = 0, n;

	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		all += events[i].weight;
	n = (unsigned)chance_of(p->world, all);
	for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
		if (n < events[i].weight) {
			duo_note(p, i);
			duo_say(p, "---- %s", events[i].name);
			events[i].come(p);
			return;
		}
		n -= events[i].weight;
	}
}

void duo_events(struct duo *p)
{
	static const int64_t pauses[] = {5 * MILLI, 100 * MILLI, 500 * MILLI, SECOND, 5 * SECOND};
	int count = 1 + (int)chance_of(p->world, 6);

	duo_pass(p, (int64_t)chance_of(p->world, 500 * (uint64_t)MILLI));
	while (count--) {
		any_event(p);
		duo_pass(p, (int64_t)chance_of(p->world, (uint64_t)pauses[chance_of(p->world, 5)]));
		for (int i = 0; i < NODES; i++)
			node_wait_down_if_dead(&p->nodes[i]);
		if (once_in(p->world, 3))
			start_down(p);
	}
}
