/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"
#include "address.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int check_list(const char *name, const char *list, bool called, char why[PEERS_WHY])
{
	char what[ADDRESS_WHY];
	int err = list ? address_check(list, called, what) : 0;

	if (err)
		snprintf(why, PEERS_WHY, "%s: %.400s", name, what);
	return err;
}

int peers_check(const struct node_options *o, char why[PEERS_WHY])
{
	int err = check_list("listen", o->listen, false, why);

	return err ? err : check_list(o->joins ? "standby_of" : "peer", o->others, true, why);
}

static void say(void *ctx, int priority, const char *text)
{
	struct peers *p = ctx;

	p->say(p->say_ctx, priority, text);
}

static void start_again(void *ctx)
{
	struct peers *p = ctx;

	eventfd_write(p->again, 1);
}

static int make(struct peers *p, const struct node_options *o, char why[PEERS_WHY])
{
	struct replicator_options to = {.name = "", .others = o->others, .joins = o->joins, .mirror = o->mirror, .min_standbys = o->min_standbys,
		.say = say, .start_again = start_again, .ctx = p};
	int err = 0;

	if (o->listen || o->others)
		err = network_tls(&p->tls, o->listen, o->cert, o->key, o->ca, why);
	if (err)
		return err;
	if (p->tls) {
		to.network = network_tls_network(p->tls);
		to.name = network_tls_name(p->tls);
	}
	return replicator_new(&p->replicator, &to, why);
}

int peers_begin(struct peers *p, const struct node_options *o, void (*tell)(void *ctx, int priority, const char *text), void *ctx,
	char why[PEERS_WHY])
{
	int err;

	memset(p, 0, sizeof *p);
	p->say = tell;
	p->say_ctx = ctx;
	p->again = eventfd(0, EFD_CLOEXEC);
	if (p->again < 0) {
		snprintf(why, PEERS_WHY, "%s", strerror(errno));
		return -errno;
	}
	err = make(p, o, why);
	if (err)
		peers_end(p);
	p->others = (struct others){.role = peers_role, .ails = peers_ails, .print_standbys = peers_print_standbys, .print_order = peers_print_order,
		.print_metrics = peers_print_metrics, .status = peers_status, .order = peers_order, .ctx = p->replicator};
	return err;
}

void peers_end(struct peers *p)
{
	replicator_free(p->replicator);
	network_tls_free(p->tls);
	close(p->again);
	memset(p, 0, sizeof *p);
}
