/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .mqfs/role and .mqfs/order: what is written to them is an order of the operator, which takes as long as it takes. A signal ends the
 * wait of who wrote it, with EINTR, and not the order.
 *
 * So two may answer the write, the order's end and INTERRUPT: whoever claims it first. INTERRUPT can only come while its function is set: from
 * before the order is given, until its end has taken it away, which waits for an INTERRUPT that is looking (see park.c), so that nobody
 * looks at what is freed then. One that comes before the order is given is left to the thread that would have given it.
 */
#include "change.h"
#include "control.h"
#include "others.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ORDER_NEW, ORDER_INTERRUPTED, ORDER_GIVEN, ORDER_ANSWERED };

struct given {
	struct command *command;         /* completing it answers the request */
	fuse_req_t req;
	_Atomic int phase;
};

static bool claim(struct given *g, int from, int to)
{
	return atomic_compare_exchange_strong(&g->phase, &from, to);
}

/* What it needs of G it has before it claims, for then G may be freed. */
static void interrupted(fuse_req_t req, void *data)
{
	struct given *g = data;
	struct command *c = g->command;

	(void)req;
	if (!claim(g, ORDER_NEW, ORDER_INTERRUPTED) && claim(g, ORDER_GIVEN, ORDER_ANSWERED))
		c->done(c, -EINTR);
}

static void carried_out(void *arg, int err)
{
	struct given *g = arg;

	if (claim(g, ORDER_GIVEN, ORDER_ANSWERED)) {
		fuse_req_interrupt_func(g->req, NULL, NULL);
		g->command->done(g->command, err);
	}
	free(g);
}

int order_set(struct mount *m, struct node *n, const char *text, struct command *c)
{
	struct given *g = calloc(1, sizeof *g);

	(void)n;
	if (!g)
		return -ENOMEM;
	g->command = c;
	g->req = change_of(c)->req;
	change_of(c)->parked.elsewhere = true;
	fuse_req_interrupt_func(g->req, interrupted, g);
	if (!claim(g, ORDER_NEW, ORDER_GIVEN)) {
		fuse_req_interrupt_func(g->req, NULL, NULL);
		free(g);
		return -EINTR;
	}
	m->others->order(m->others->ctx, text, carried_out, g);
	return 0;
}

int order_print(struct mount *m, struct node *n, FILE *to)
{
	(void)n;
	return m->others->print_order(m->others->ctx, to);
}

int role_set(struct mount *m, struct node *n, const char *text, struct command *c)
{
	return strcmp(text, "primary") == 0 ? order_set(m, n, "promote", c) : -EINVAL;
}

int role_print(struct mount *m, struct node *n, FILE *to)
{
	(void)n;
	fprintf(to, "%s\n", m->others->role(m->others->ctx));
	return 0;
}
