/* SPDX-License-Identifier: Apache-2.0 */
#include "simnet_part.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define BUFFER (96u << 10)             /* bytes under way on one connection each way */

static struct end *other(struct end *e)
{
	return e == &e->line->ends[0] ? &e->line->ends[1] : &e->line->ends[0];
}

static void note(struct simnet *n, uint64_t what)
{
	n->hash = (n->hash ^ what) * UINT64_C(0x9e3779b97f4a7c15);
	n->hash ^= n->hash >> 29;
}

/* ---- what is under way ---- */

static void drop(struct end *e)
{
	struct piece *p, *next;

	DL_FOREACH_SAFE(e->pieces, p, next)
		free(p);
	e->pieces = NULL;
	e->waiting = 0;
}

/* A part of what is under way to E still arrives. */
static void drop_some(struct end *e)
{
	struct simnet *n = e->line->net;
	struct piece *p, *next;
	bool all = once_in(n->world, 3);

	DL_FOREACH_SAFE(e->pieces, p, next) {
		all |= once_in(n->world, 3);
		if (!all)
			continue;
		if (p->taken == 0 && p->len > 1 && once_in(n->world, 2)) {
			size_t left = 1 + (size_t)chance_of(n->world, p->len - 1);
			e->waiting -= p->len - left;
			p->len = left;
			n->halves++;
			continue;
		}
		e->waiting -= p->len - p->taken;
		DL_DELETE(e->pieces, p);
		free(p);
	}
}

static void break_end(struct end *e, const char *why)
{
	struct world *w = e->line->net->world;

	if (!e->broken) {
		e->broken = true;
		snprintf(e->why, sizeof e->why, "%s", why);
	}
	world_wake(w, e, true);
}

void sim_line_break(struct simnet_line *l)
{
	for (int i = 0; i < 2; i++) {
		if (l->ends[i].broken || l->ends[i].dead)
			continue;
		drop_some(&l->ends[i]);
		break_end(&l->ends[i], "the connection broke");
	}
}

/* ---- a link ---- */

static int fail(struct end *e, int err, const char *why)
{
	if (!e->why[0])
		snprintf(e->why, sizeof e->why, "%s", why);
	return err;
}

/* The first piece is here. */
static bool arrived(struct end *e)
{
	struct simnet *n = e->line->net;
	struct piece *p = e->pieces;

	return p && p->at <= world_now(n->world) && !n->cut[other(e)->node][e->node];
}

static ssize_t take(struct end *e, void *to, size_t len)
{
	struct simnet *n = e->line->net;
	struct piece *p = e->pieces;

	if (len > p->len - p->taken)
		len = p->len - p->taken;
	memcpy(to, p->bytes + p->taken, len);
	note(n, (uint64_t)world_now(n->world) ^ len << 48 ^ (uint64_t)e->node << 60);
	p->taken += len;
	e->waiting -= len;
	if (p->taken == p->len) {
		DL_DELETE(e->pieces, p);
		free(p);
	}
	world_wake(n->world, other(e), true);
	return (ssize_t)len;
}

static ssize_t end_read(struct link *l, void *to, size_t len, int64_t deadline)
{
	struct end *e = (struct end *)l;
	struct world *w = e->line->net->world;

	for (;;) {
		int64_t until = deadline;

		if (e->shut)
			return fail(e, -ESHUTDOWN, "the link was closed");
		if (e->dead)
			return fail(e, -ECONNRESET, "this process is dead");
		if (arrived(e))
			return take(e, to, len);
		if (e->broken && !e->pieces)
			return fail(e, -ECONNRESET, "the other side is gone");
		if (world_now(w) >= deadline)
			return fail(e, -ETIMEDOUT, "nothing came in time");
		if (e->pieces && e->pieces->at > world_now(w) && e->pieces->at < until)
			until = e->pieces->at;
		world_wait(w, e, until);
	}
}

static int put(struct end *from, const uint8_t *bytes, size_t len)
{
	struct end *to = other(from);
	struct simnet *n = from->line->net;
	int64_t rate = n->rate[from->node][to->node], at;
	struct piece *p = malloc(sizeof *p + len);

	if (!p)
		return -ENOMEM;
	memcpy(p->bytes, bytes, len);
	p->len = len;
	p->taken = 0;
	at = world_now(n->world) + (int64_t)chance_of(n->world, (uint64_t)n->delay[from->node][to->node] + 1);
	at = at > to->last ? at : to->last;
	p->at = to->last = at + (rate ? (int64_t)len * SECOND / rate : 0);
	DL_APPEND(to->pieces, p);
	to->waiting += len;
	world_wake(n->world, to, true);
	return 0;
}

static int end_write(struct link *l, const void *from, size_t len, int64_t deadline)
{
	struct end *e = (struct end *)l, *to = other(e);
	struct simnet *n = e->line->net;
	const uint8_t *bytes = from;

	while (len) {
		size_t part = once_in(n->world, 4) ? 1 + (size_t)chance_of(n->world, len) : len;
		int err;

		if (e->shut)
			return fail(e, -ESHUTDOWN, "the link was closed");
		if (e->dead || e->broken)
			return fail(e, -ECONNRESET, "the other side is gone");
		if (to->waiting >= BUFFER) {
			if (world_now(n->world) >= deadline)
				return fail(e, -ETIMEDOUT, "the other side takes nothing");
			world_wait(n->world, e, deadline);
			continue;
		}
		part = part < BUFFER - to->waiting ? part : BUFFER - to->waiting;
		err = to->dead || to->gone ? 0 : put(e, bytes, part);     /* nobody is there to say that it got lost */
		if (err)
			return err;
		bytes += part;
		len -= part;
		if (once_in(n->world, n->breaks)) {
			n->broken++;
			sim_line_break(e->line);
		}
		world_pause_once_in(n->world, 4);
	}
	return 0;
}

static void end_shutdown(struct link *l)
{
	struct end *e = (struct end *)l;

	if (e->shut)
		return;
	e->shut = true;
	world_wake(e->line->net->world, e, true);
	if (!e->dead)
		break_end(other(e), "the other side has closed the link");
}

static void end_close(struct link *l)
{
	struct end *e = (struct end *)l;
	struct simnet_line *line = e->line;

	end_shutdown(l);
	e->gone = true;
	drop(e);
	if (!other(e)->gone)
		return;
	DL_DELETE(line->net->lines, line);
	free(line);
}

static void end_why(struct link *l, char to[LINK_WHY])
{
	snprintf(to, LINK_WHY, "%s", ((struct end *)l)->why);
}

static const struct link_ops end_ops = {end_read, end_write, end_shutdown, end_close, end_why};

static void end_init(struct simnet_line *l, int i, int node, int peer)
{
	struct end *e = &l->ends[i];

	e->link.ops = &end_ops;
	snprintf(e->link.peer, sizeof e->link.peer, "%s", simnet_name(peer));
	snprintf(e->link.address, sizeof e->link.address, "%s:6737", simnet_name(peer));
	e->line = l;
	e->node = node;
}

struct simnet_line *sim_line_new(struct simnet *n, int caller, int called)
{
	struct simnet_line *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->net = n;
	end_init(l, 0, caller, called);
	end_init(l, 1, called, caller);
	DL_APPEND(n->lines, l);
	return l;
}

void sim_end_break_other(struct end *e, const char *why)
{
	break_end(other(e), why);
}

void sim_end_die(struct end *e, bool silent)
{
	if (e->dead)
		return;
	if (!silent && !e->shut && !e->broken) {
		drop_some(other(e));
		break_end(other(e), "the other side died");
	}
	e->dead = true;
	drop(e);
	world_wake(e->line->net->world, e, true);
}
