/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.h - answers calls: accepts connections, sees them through their handshake, hands the links on.
 *
 * One thread serves the listening sockets and all handshakes, none of which it ever waits for. At most LISTEN_HANDSHAKES are
 * under way: when one more comes, one of the address that has most of them goes, the one that has said nothing for the longest
 * before one that has. So thousands of half-open connections cost a bounded number of descriptors and bytes, and a good node
 * gets in among them.
 *
 * Calling  listen_start(); ...; listen_stop(), after which nothing is handed on any more. In two steps: listen_claim() takes the addresses, where
 *          callers are turned away by the kernel until listen_begin(); listen_stop() behind either.
 * Errors   negative errno with one line in WHY.
 * Threads  accepted() and refused() run on the listener's thread, and must not wait.
 */
#ifndef MQFS_REPLICA_LISTEN_H
#define MQFS_REPLICA_LISTEN_H

#include "tls.h"

#define LISTEN_HANDSHAKES 128u            /* under way at once */

struct listener;

struct listen_handlers {
	void (*accepted)(void *ctx, struct link *l);       /* the link is its receiver's, to close too */
	/* A caller was turned away; at most one call a second, COUNT says how many times since the last. */
	void (*refused)(void *ctx, const char *address, const char *why, uint64_t count);
	void *ctx;
	int64_t handshake;               /* ns that one may take; 0: TLS_HANDSHAKE */
};

/* ADDRESSES is a list as in address.h; each of them is listened on. -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL. */
int listen_start(struct listener **n, struct tls *t, const char *addresses, const struct listen_handlers *h, char why[TLS_WHY]);
int listen_claim(struct listener **n, const char *addresses, char why[TLS_WHY]);
int listen_begin(struct listener *n, struct tls *t, const struct listen_handlers *h, char why[TLS_WHY]);
void listen_stop(struct listener *n);
/* The port of the first address: where that said 0, the one that the kernel chose. */
uint16_t listen_port(const struct listener *n);

#endif
