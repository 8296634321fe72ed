/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"
#include "network.h"
#include "tls.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct network_tls {
	struct network network;            /* the first member: see of() */
	struct tls *tls;
	char *addresses;                   /* to listen on, or NULL */
	struct listener *listener;
};

static struct network_tls *of(const struct network *n)
{
	return (struct network_tls *)n;
}

static int connect_tls(const struct network *n, const char *address, int stop, int64_t deadline, struct link **l, char why[LINK_WHY])
{
	return tls_connect(of(n)->tls, address, NULL, stop, deadline, l, why);
}

static int claim_tls(const struct network *n, char why[LINK_WHY])
{
	return of(n)->listener ? 0 : listen_claim(&of(n)->listener, of(n)->addresses, why);
}

static int listen_tls(const struct network *n, const struct network_handlers *h, char why[LINK_WHY])
{
	const struct listen_handlers handlers = {.accepted = h->accepted, .refused = h->refused, .ctx = h->ctx};

	if (of(n)->listener)
		return listen_begin(of(n)->listener, of(n)->tls, &handlers, why);
	return listen_start(&of(n)->listener, of(n)->tls, of(n)->addresses, &handlers, why);
}

static void unlisten_tls(const struct network *n)
{
	listen_stop(of(n)->listener);
	of(n)->listener = NULL;
}

int network_tls(struct network_tls **to, const char *listen, const char *cert, const char *key, const char *ca, char why[LINK_WHY])
{
	struct network_tls *t = calloc(1, sizeof *t);
	int err = t ? 0 : -ENOMEM;

	if (!err && listen && !(t->addresses = strdup(listen)))
		err = -ENOMEM;
	if (err)
		snprintf(why, LINK_WHY, "%s", strerror(-err));
	else
		err = tls_new(&t->tls, cert, key, ca, NULL, why);
	if (err) {
		network_tls_free(t);
		return err;
	}
	t->network = (struct network){connect_tls, t->addresses ? listen_tls : NULL, unlisten_tls, t->addresses ? claim_tls : NULL};
	*to = t;
	return 0;
}

void network_tls_free(struct network_tls *t)
{
	if (!t)
		return;
	if (t->listener)                   /* addresses that nobody has come to listen on */
		listen_stop(t->listener);
	if (t->tls)
		tls_free(t->tls);
	free(t->addresses);
	free(t);
}

const struct network *network_tls_network(struct network_tls *t)
{
	return &t->network;
}

const char *network_tls_name(const struct network_tls *t)
{
	return tls_name(t->tls);
}
