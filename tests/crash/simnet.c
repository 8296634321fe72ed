/* SPDX-License-Identifier: Apache-2.0 */
#include "simnet_part.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LOOK 50000000                  /* ns after which a caller looks whether it shall stop */
#define DELAY 2000000                  /* ns, of a good path at most */
#define AGAIN 300000000                /* ns after which what stood still is sent again, at most */

/* The caller's, in the list of who is called until that one has taken it or turned it down. */
struct simnet_call {
	int from;
	bool over;                     /* it gets no answer */
	struct end *taken;
	struct simnet_call *prev, *next;
};

const char *simnet_name(int number)
{
	static const char *const names[SIMNET_NODES] = {"a", "b", "c"};

	return names[number];
}

/* ---- calls ---- */

static bool reaches(struct simnet *n, int from, int to)
{
	return !n->cut[from][to] && !n->cut[to][from];
}

static void *listener(void *arg)
{
	struct simnet_door *d = arg;
	struct simnet *n = d->net;

	while (d->handlers) {
		struct simnet_call *c = d->calls;
		struct simnet_line *l;

		if (!c) {
			world_wait(n->world, d, WORLD_NEVER);
			continue;
		}
		DL_DELETE(d->calls, c);
		l = d->up && reaches(n, c->from, d->number) ? sim_line_new(n, c->from, d->number) : NULL;
		c->over = !l;
		c->taken = l ? &l->ends[0] : NULL;
		world_wake(n->world, c, true);
		if (l)
			d->handlers->accepted(d->handlers->ctx, &l->ends[1].link);
	}
	return NULL;
}

static int d_listen(const struct network *network, const struct network_handlers *h, char why[LINK_WHY])
{
	struct simnet_door *d = (struct simnet_door *)network;

	d->copy = *h;
	d->handlers = &d->copy;
	d->listener = world_start(d->net->world, listener, d);
	if (d->listener)
		return 0;
	d->handlers = NULL;
	snprintf(why, LINK_WHY, "out of memory");
	return -ENOMEM;
}

/* Callers hear nothing of it: their time runs out. */
static void forget_calls(struct simnet_door *d)
{
	while (d->calls) {
		struct simnet_call *c = d->calls;
		DL_DELETE(d->calls, c);
		c->over = true;
	}
}

static void d_unlisten(const struct network *network)
{
	struct simnet_door *d = (struct simnet_door *)network;

	if (!d->listener)
		return;
	d->handlers = NULL;
	world_wake(d->net->world, d, true);
	world_join(d->net->world, d->listener);
	d->listener = NULL;
	forget_calls(d);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* The node at the first address of a list. */
static int named(struct simnet *n, const char *address)
{
	for (int i = 0; i < n->nodes; i++)
		if (address[0] == simnet_name(i)[0])
			return i;
	return -1;
}

static int wait_a_little(struct simnet_door *d, const void *on, int stop, int64_t deadline)
{
	struct world *w = d->net->world;
	int64_t until = world_now(w) + LOOK;

	if (readable(stop))
		return -ECANCELED;
	if (!d->up)
		return -ECONNREFUSED;
	if (world_now(w) >= deadline)
		return -ETIMEDOUT;
	world_wait(w, on, until < deadline ? until : deadline);
	return 0;
}

static int call(struct simnet_door *d, struct simnet_door *to, int stop, int64_t deadline, struct link **l)
{
	struct simnet_call *c = calloc(1, sizeof *c);
	int err = c ? 0 : -ENOMEM;

	if (err)
		return err;
	c->from = d->number;
	DL_APPEND(to->calls, c);
	world_wake(d->net->world, to, true);
	while (!err && !c->taken)
		err = wait_a_little(d, c, stop, deadline);
	if (!c->taken && !c->over)
		DL_DELETE(to->calls, c);
	if (c->taken && err)
		link_close(&c->taken->link);
	else if (c->taken)
		*l = &c->taken->link;
	free(c);
	return err;
}

static int d_connect(const struct network *network, const char *address, int stop, int64_t deadline, struct link **l, char why[LINK_WHY])
{
	struct simnet_door *d = (struct simnet_door *)network, *to;
	struct simnet *n = d->net;
	int called = named(n, address), err = 0;

	if (called < 0) {
		snprintf(why, LINK_WHY, "there is no such node");
		return -EHOSTUNREACH;
	}
	to = &n->doors[called];
	world_sleep(n->world, (int64_t)chance_of(n->world, (uint64_t)n->delay[d->number][called] + 1));
	while (!err && (to->silent || !reaches(n, d->number, called)))
		err = wait_a_little(d, d, stop, deadline);
	if (!err && (!to->up || !to->handlers))
		err = -ECONNREFUSED;
	if (!err)
		err = call(d, to, stop, deadline, l);
	if (err)
		snprintf(why, LINK_WHY, "%s: %s", simnet_name(called), strerror(-err));
	return err;
}

/* ---- the network ---- */

int simnet_new(struct simnet **to, struct world *w, int nodes)
{
	struct simnet *n = calloc(1, sizeof *n);

	if (!n)
		return -ENOMEM;
	n->world = w;
	n->nodes = nodes;
	for (int i = 0; i < nodes; i++)
		n->doors[i] = (struct simnet_door){.network = {d_connect, d_listen, d_unlisten}, .net = n, .number = i, .silent = true};
	simnet_heal(n);
	*to = n;
	return 0;
}

void simnet_free(struct simnet *n)
{
	if (n && n->lines)
		abort();                       /* somebody has not closed a link */
	free(n);
}

const struct network *simnet_at(struct simnet *n, int number)
{
	return &n->doors[number].network;
}

void simnet_up(struct simnet *n, int number)
{
	struct simnet_line *l;

	n->doors[number].up = true;
	n->doors[number].silent = false;
	DL_FOREACH(n->lines, l)                /* a machine that knows nothing of a connection says so when it hears from it */
		for (int i = 0; i < 2; i++)
			if (l->ends[i].dead && l->ends[i].node == number)
				sim_end_break_other(&l->ends[i], "the other side was started anew");
}

void simnet_die(struct simnet *n, int number, bool silent)
{
	struct simnet_line *l;

	n->doors[number].up = false;
	n->doors[number].silent = silent;
	DL_FOREACH(n->lines, l)
		for (int i = 0; i < 2; i++)
			if (l->ends[i].node == number)
				sim_end_die(&l->ends[i], silent);
	simnet_changed(n);
}

void simnet_break(struct simnet *n)
{
	struct simnet_line *l;

	DL_FOREACH(n->lines, l)
		sim_line_break(l);
}

void simnet_heal(struct simnet *n)
{
	memset(n->cut, 0, sizeof n->cut);
	memset(n->rate, 0, sizeof n->rate);
	for (int i = 0; i < n->nodes; i++)
		for (int k = 0; k < n->nodes; k++)
			n->delay[i][k] = DELAY;
	n->breaks = 0;
	simnet_changed(n);
}

/* What stood still does not arrive all at once. */
void simnet_changed(struct simnet *n)
{
	struct simnet_line *l;

	DL_FOREACH(n->lines, l)
		for (int i = 0; i < 2; i++) {
			struct end *e = &l->ends[i];
			if (e->pieces && e->pieces->at < world_now(n->world))
				e->pieces->at = world_now(n->world) + (int64_t)chance_of(n->world, AGAIN);
			if (e->pieces && e->pieces->at > e->last)
				e->last = e->pieces->at;
			world_wake(n->world, e, true);
		}
	for (int i = 0; i < n->nodes; i++)
		world_wake(n->world, &n->doors[i], true);
}
