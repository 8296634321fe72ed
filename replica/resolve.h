/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.h - the addresses of a host. A lookup is made by a thread of its own, as the system's waits for name servers as long as it likes, and nobody
 * who waits for it can be called away: an order to a node must not wait for a name server that is down.
 *
 * A lookup that nobody waited for to its end goes on, and the next one of the same name has what it found. Numbers need no thread.
 *
 * Calling  resolver_new(&r); resolve(r, &address, stop, deadline, &found, why); resolver_free(r), while a lookup may still be under way.
 * Units    deadlines are CLOCK_MONOTONIC nanoseconds.
 * Errors   negative errno, with one line in WHY: -ETIMEDOUT, -ECANCELED once STOP is readable, -EHOSTUNREACH when there is no such host,
 *          -EAGAIN while too many names are being looked up.
 * Threads  any.
 */
#ifndef MQFS_REPLICA_RESOLVE_H
#define MQFS_REPLICA_RESOLVE_H

#include "address.h"
#include <sys/socket.h>

#define RESOLVE_MOST 16u                  /* addresses of a host; others are not tried */
#define RESOLVE_WHY 512u

struct resolved {
	unsigned count;
	struct {
		int family;
		socklen_t len;
		struct sockaddr_storage at;
	} of[RESOLVE_MOST];
};

struct resolver;

int resolver_new(struct resolver **to);
void resolver_free(struct resolver *r);
int resolve(struct resolver *r, const struct address *a, int stop, int64_t deadline, struct resolved *to, char why[RESOLVE_WHY]);

#endif
