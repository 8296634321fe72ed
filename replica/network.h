/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.h - how a node gets its links: over TLS (network_tls()), or however a test plays the network.
 *
 * Errors   negative errno with one line in WHY.
 * Threads  connect: any number at once. accepted() and refused() run on a thread of the network's and must not wait.
 */
#ifndef MQFS_REPLICA_NETWORK_H
#define MQFS_REPLICA_NETWORK_H

#include "link.h"

struct network_handlers {
	void (*accepted)(void *ctx, struct link *l);       /* the link is its receiver's, to close too */
	/* A caller was turned away; at most one call a second, COUNT says how many times since the last. */
	void (*refused)(void *ctx, const char *address, const char *why, uint64_t count);
	void *ctx;
};

struct network {
	/* Calls ADDRESS, the first of a list as in address.h. -ECANCELED when the descriptor STOP becomes readable. */
	int (*connect)(const struct network *n, const char *address, int stop, int64_t deadline, struct link **l, char why[LINK_WHY]);
	/* Links that come are handed on until unlisten() returns. NULL: this node is not called. */
	int (*listen)(const struct network *n, const struct network_handlers *h, char why[LINK_WHY]);
	void (*unlisten)(const struct network *n);
	/* The addresses are this node's from here on, until unlisten(); nobody is answered before listen(). Any number of times before that; may be NULL. */
	int (*claim)(const struct network *n, char why[LINK_WHY]);
};

struct network_tls;

/* LISTEN: addresses to listen on, NULL: none. The node's name is its certificate's: network_tls_name(). */
int network_tls(struct network_tls **t, const char *listen, const char *cert, const char *key, const char *ca, char why[LINK_WHY]);
void network_tls_free(struct network_tls *t);
const struct network *network_tls_network(struct network_tls *t);
const char *network_tls_name(const struct network_tls *t);

#endif
