/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.h - where a node is reached: HOST, HOST:PORT, [IPV6]:PORT, :PORT for all of this machine's addresses; a list has commas.
 *
 * Errors   -EINVAL for text that is none, with one line in WHY.
 */
#ifndef MQFS_REPLICA_ADDRESS_H
#define MQFS_REPLICA_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_PORT 6737                 /* "mqfs" on a telephone's keys */
#define ADDRESS_HOST 256
#define ADDRESS_WHY 512

struct address {
	char host[ADDRESS_HOST];          /* "": all addresses of this machine */
	char port[6];
};

/* The first of the list TEXT; returns where the next one begins, or NULL behind the last. */
int address_parse(struct address *a, const char *text, const char **next, char why[ADDRESS_WHY]);
/* The list behind its first address; NULL: that was the last. */
const char *address_behind(const char *list);
/* All of the list. CALLED: they are to be called, so each has a host and a port. */
int address_check(const char *list, bool called, char why[ADDRESS_WHY]);

#endif
