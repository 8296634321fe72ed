/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node's process, from its start to its end, as main() has it: replicator.h says in which order. Its fibers are of its struct process.
 *
 * A crash stops the disk and the network of the node at one moment. The process then winds down by itself, which nobody sees any more:
 * node->dead.
 */
#include "duo.h"
#include "make.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define KiB ((uint64_t)1 << 10)

int __real_disk_open_directory(struct disk **d, const char *path);
int __wrap_disk_open_directory(struct disk **d, const char *path);
int __real_store_make_directory(const char *path, char why[STORE_WHY]);
int __wrap_store_make_directory(const char *path, char why[STORE_WHY]);

/* The functions that are replaced here have no argument that could say it. */
static _Thread_local struct duo *here;

/* A node's directory is named as the node. */
int __wrap_disk_open_directory(struct disk **d, const char *path)
{
	if (!here)
		return __real_disk_open_directory(d, path);
	if (!strcmp(path, "checked")) {
		*d = &here->checked->disk;
		return 0;
	}
	for (int i = 0; i < NODES; i++)
		if (!strcmp(path, simnet_name(i))) {
			*d = &here->nodes[i].disk->disk;
			return 0;
		}
	return -ENOENT;
}

int __wrap_store_make_directory(const char *path, char why[STORE_WHY])
{
	return here ? 0 : __real_store_make_directory(path, why);
}

/* ---- what is seen and said ---- */

static const char *name(const struct node *n)
{
	return simnet_name(n->number);
}

static void saw(void *ctx, enum sim_call call, const char *path, uint64_t at, uint64_t len)
{
	struct node *n = ctx;

	if (call == SIM_READ || call == SIM_CLOSE)
		return;
	snprintf(n->saw_path, sizeof n->saw_path, "%s", path);
	if (n->duo->seed->tell)
		duo_say(n->duo, "    %s's disk: %s %s %" PRIu64 " %" PRIu64, name(n), sim_call_names[call], path, at, len);
}

static void say(void *ctx, int priority, const char *text)
{
	struct node *n = ctx;

	(void)priority;
	duo_say(n->duo, "  %s: %s%s", name(n), text, n->dead ? " (it is dead)" : "");
	if (n->dead)
		return;
	duo_meet_if(n->duo, CUT, strstr(text, "parted from the primary's"));
	duo_meet_if(n->duo, DEPOSED, strstr(text, "it is a standby from now on"));
	duo_meet_if(n->duo, TAKEN_IN, strstr(text, "is of the pair"));
	duo_meet_if(n->duo, HELLO_TURNED_DOWN, strstr(text, "the store has promised reign"));
	duo_meet_if(n->duo, CUT_REFUSED, strstr(text, "is committed here"));
}

/* The moment of a crash. */
static void died(void *ctx)
{
	struct node *n = ctx;
	struct duo *p = n->duo;
	uint64_t one = 1;

	if (n->state == NODE_DOWN || n->dead)
		return;
	n->dead = true;
	p->counts->crashes++;
	duo_say(p, "%s dies: %s", name(n), n->silent ? "no power" : "killed");
	duo_meet(p, n->silent ? NODE_POWER_CUT : NODE_KILLED);
	if (n->state == NODE_JOINING)
		duo_meet(p, HALF_JOIN);
	if (n->starting)
		duo_meet(p, CRASHED_AT_START);
	if (!strncmp(n->saw_path, "lost/", 5))
		duo_meet(p, CRASHED_AT_CUT);
	if (!strncmp(n->saw_path, PROMISE_FILE, strlen(PROMISE_FILE)))
		duo_meet(p, TORN_PROMISE);
	for (int i = 0; i < NODES; i++)
		if (i != n->number && p->nodes[i].state == NODE_DOWN)
			duo_meet(p, BOTH_DOWN);
	simnet_die(p->net, n->number, n->silent);
	n->process.frozen = false;
	if (write(n->stop, &one, sizeof one) < 0)
		ledger_fail(&p->ledger, "no event can be told");
	world_wake(p->world, n, true);
}

static void start_again(void *ctx)
{
	struct node *n = ctx;

	duo_say(n->duo, "%s has to be made anew", name(n));
	n->again = true;
	world_wake(n->duo->world, n, true);
}

/* ---- a process ---- */

static void options(struct node *n, struct store_options *o)
{
	store_options_normal(o);
	o->segment_size = (n->duo->seed->number % 3 ? 8 : 16) * KiB;
	o->checkpoint_every = 24 * KiB;
	o->cache = o->segment_size;
	o->commit_timeout = 5 * (uint64_t)SECOND;
	o->owner = (struct owner){0, 0, 0755};
	o->hold_bytes = n->duo->ledger.limited[0] ? 48 * KiB : 1024 * KiB;
	o->scrub_rate = 0;
	o->create = true;
	o->say = say;
	o->say_ctx = n;
}

static void replicator_options(struct node *n, struct replicator_options *o)
{
	*o = (struct replicator_options){
		.network = simnet_at(n->duo->net, n->number),
		.name = name(n),
		.others = simnet_name(1 - n->number),
		.joins = n->joins,
		.min_standbys = n->duo->min_standbys,
		.say = say,
		.start_again = start_again,
		.ctx = n,
	};
}

static bool goes_on(const struct node *n)
{
	return !n->dead && !n->ending && !n->again;
}

/* What main() does until its store is there. */
static int open_store(struct node *n, const struct store_options *normal)
{
	struct store_options o = *normal;
	enum replicator_start start = REPLICATOR_JOIN;
	char why[STORE_WHY] = "";
	bool again = n->again;
	int err = again ? 0 : replicator_look(n->replicator, name(n), &start, n->why);

	if (!err && start == REPLICATOR_JOIN) {
		n->state = NODE_JOINING;
		n->again = false;
		err = replicator_join(n->replicator, name(n), &o, again, n->stop, n->why);
		if (!err && !n->dead)
			duo_meet(n->duo, again ? BLANK_AGAIN : BLANK_START);
	}
	if (err)
		return err;
	o.standby = start != REPLICATOR_PRIMARY;
	n->state = NODE_UP;
	err = store_open_disk(&n->store, &n->disk->disk, name(n), &o, why);
	if (err)
		snprintf(n->why, sizeof n->why, "%s", why);
	return err;
}

/* ---- orders ---- */

static void order_done(struct order *o, int err, const char *why)
{
	struct duo_order *x = (struct duo_order *)o;
	struct node *n = x->node;

	x->err = err;
	snprintf(x->why, sizeof x->why, "%s", why);
	x->done = true;
	n->order = NULL;
	world_wake(n->duo->world, x, true);
	if (x->abandoned)
		free(x);
}

/* Who had it to carry out is not there any more. */
static void order_lost(struct node *n)
{
	if (n->order && !n->order->asked)
		order_done(&n->order->order, -ENOTCONN, "the node is gone");
}

void node_carry_out(struct node *n)
{
	struct duo_order *x = n->order;

	if (!x || x->asked)
		return;
	x->asked = true;
	replicator_order(n->replicator, &x->order);
}

int node_order(struct node *n, const struct order *o, int64_t time, char why[REPLICATOR_WHY])
{
	static const char *const kinds[] = {[ORDER_PROMOTE] = "promote", [ORDER_ALONE] = "alone", [ORDER_SWITCHOVER] = "switchover",
		[ORDER_MIN_STANDBYS] = "min_standbys"};
	int64_t until = world_now(n->duo->world) + time;
	struct duo_order *x;
	int err = -EINPROGRESS;

	snprintf(why, REPLICATOR_WHY, "no answer");
	if (!node_is_up(n) || n->order)
		return n->order ? -EBUSY : -ENOTCONN;
	x = calloc(1, sizeof *x);
	if (!x)
		ledger_fail(&n->duo->ledger, "out of memory");
	x->order = *o;
	x->order.done = order_done;
	x->node = n;
	n->order = x;
	n->duo->counts->orders++;
	duo_say(n->duo, "order to %s: %s%s%s%s %u", name(n), kinds[o->kind], *o->stopped ? " --stopped " : "", o->stopped,
		o->accept_loss ? " --accept-loss" : "", o->count);
	world_wake(n->duo->world, &n->order, true);
	while (!x->done && !n->dead && world_now(n->duo->world) < until)
		duo_pass(n->duo, SECOND / 20);
	if (x->done && !n->dead) {
		err = x->err;
		snprintf(why, REPLICATOR_WHY, "%s", x->why);
	} else if (n->dead) {
		err = -ENOTCONN;
	}
	x->abandoned = true;
	if (x->done)
		free(x);
	duo_say(n->duo, "order to %s: %s: %s", name(n), err ? strerror(-err) : "done", why);
	return err;
}

/* ---- its store, up ---- */

static void run_store(struct node *n)
{
	struct member_view v;
	int err = replicator_start(n->replicator, n->store, -1, n->why);

	if (err && !n->dead)
		ledger_fail(&n->duo->ledger, "the replicator of %s does not start: %s (%s)", name(n), n->why, strerror(-err));
	n->starting = false;
	store_view(n->store, &v);
	memset(n->committed, 0, sizeof n->committed);
	duo_say(n->duo, "%s is up as %s", name(n), v.role == ROLE_PRIMARY ? "primary" : "standby");
	node_programs_start(n);
	while (goes_on(n))
		world_wait(n->duo->world, n, WORLD_NEVER);
	world_wake(n->duo->world, &n->order, true);
	node_programs_join(n);
	if (!err)
		replicator_stop(n->replicator);
	order_lost(n);
}

static void close_store(struct node *n)
{
	struct store *s = n->store;

	if (!s)
		return;
	store_stop(s);
	n->store = NULL;
	store_close(s);
}

static int run_once(struct node *n)
{
	struct store_options o;
	int err;

	options(n, &o);
	n->starting = true;
	n->why[0] = 0;
	err = open_store(n, &o);
	if (!err)
		run_store(n);
	close_store(n);
	return err;
}

static void *live(void *arg)
{
	struct node *n = arg;
	struct replicator_options o;
	int err;

	world_be(n->duo->world, &n->process);
	replicator_options(n, &o);
	err = replicator_new(&n->replicator, &o, n->why);
	if (err)
		ledger_fail(&n->duo->ledger, "no replicator: %s", n->why);
	do {
		err = run_once(n);
		n->duo->counts->starts++;
	} while (!err && n->again && !n->dead && !n->ending);
	replicator_free(n->replicator);
	n->replicator = NULL;
	if (err && err != -ECANCELED && !n->dead) {
		duo_say(n->duo, "%s does not start: %s (%s)", name(n), n->why, strerror(-err));
		n->unusable = true;
	}
	simnet_die(n->duo->net, n->number, n->silent);
	n->state = NODE_DOWN;
	world_wake(n->duo->world, n, true);
	return NULL;
}

/* ---- its life ---- */

void node_init(struct duo *p, int number)
{
	struct node *n = &p->nodes[number];

	here = p;
	*n = (struct node){.duo = p, .number = number, .stop = -1};
	node_replace(n);
}

void node_end(struct node *n)
{
	simdisk_free(n->disk);
	here = NULL;
}

void node_replace(struct node *n)
{
	struct simdisk *d;

	if (simdisk_new(&d, n->duo->world))
		ledger_fail(&n->duo->ledger, "out of memory");
	n->joins = n->number > 0 || n->disk;
	d->ordered = n->disk ? n->disk->ordered : once_in(n->duo->world, 2);
	d->saw = saw;
	d->stops = died;
	d->ctx = n;
	simdisk_free(n->disk);
	n->disk = d;
	n->unusable = false;
}

void node_start(struct node *n)
{
	duo_say(n->duo, "%s is started", name(n));
	n->dead = n->ending = n->again = n->unusable = n->silent = false;
	n->process.frozen = false;
	n->order = NULL;
	n->saw_path[0] = 0;
	n->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->state = NODE_UP;
	n->starting = true;
	simnet_up(n->duo->net, n->number);
	n->fiber = world_start(n->duo->world, live, n);
	if (n->stop < 0 || !n->fiber)
		ledger_fail(&n->duo->ledger, "out of memory");
}

void node_crash(struct node *n, bool silent)
{
	if (n->state == NODE_DOWN || n->dead)
		return;
	n->silent = silent;
	simdisk_stop(n->disk);
}

/* What is left of the disk, for the next process. */
static void leave_disk(struct node *n)
{
	struct duo *p = n->duo;
	struct simdisk *left;

	if (simdisk_clone(n->disk, &left))
		ledger_fail(&p->ledger, "out of memory");
	simdisk_free(n->disk);
	n->disk = left;
	simdisk_start(left);
	if (n->dead && (n->silent || once_in(p->world, 3))) {
		duo_say(p, "%s's cache is %s", name(n), n->silent ? "lost" : "dropped");
		if (n->silent ? simdisk_power_cut(left) : simdisk_drop_cache(left))
			ledger_fail(&p->ledger, "out of memory");
	}
}

void node_wait_down(struct node *n)
{
	if (!n->fiber)
		return;
	world_join(n->duo->world, n->fiber);
	n->fiber = NULL;
	close(n->stop);
	n->stop = -1;
	leave_disk(n);
	duo_say(n->duo, "%s is down", name(n));
}

void node_wait_down_if_dead(struct node *n)
{
	if (n->dead || (n->fiber && n->state == NODE_DOWN))
		node_wait_down(n);
}

void node_stop(struct node *n)
{
	uint64_t one = 1;

	if (n->fiber && !n->dead) {
		duo_say(n->duo, "%s is stopped in good order", name(n));
		n->ending = true;
		n->process.frozen = false;
		if (write(n->stop, &one, sizeof one) < 0)
			ledger_fail(&n->duo->ledger, "no event can be told");
		world_wake(n->duo->world, n, true);
	}
	node_wait_down(n);
}

bool node_is_up(const struct node *n)
{
	return n->state == NODE_UP && !n->dead && !n->starting && n->store && goes_on(n);
}

bool node_view(struct node *n, struct member_view *to)
{
	if (!node_is_up(n))
		return false;
	store_view(n->store, to);
	return node_is_up(n);
}

bool node_is_outside(struct node *n)
{
	struct epoch_row *rows;
	bool knows = false;
	size_t count;
	uint64_t end;

	if (!n->duo->ledger.loss)
		return false;
	if (store_epochs(n->store, &rows, &count, &end))
		return true;
	/* Rows go with the segments that they are of. */
	knows = count && rows[0].epoch.reign > n->duo->reign;
	for (size_t i = 0; i < count; i++)
		knows |= rows[i].accepted_loss && rows[i].epoch.reign > n->duo->reign;
	free(rows);
	return !knows;
}
