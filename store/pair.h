/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pair.h - the pair: which nodes count for commit and promotion, and how many others a commit waits for.
 *
 * Body of its record (RECORD_PAIR), little endian:
 *
 *      0  u8   min_standbys          8  u64  node said to be stopped ("alone"), 0: none
 *      1  u8   nodes, 1 or 2        16  for each node: u64 id, u8 bytes of its name, the name
 *      2  u8   of a pair of one: min_standbys of the next pair of two
 *      3  5 bytes, 0
 *
 * A name is the one in the node's certificate.
 *
 * Errors   -EBADMSG for bytes that are no pair.
 */
#ifndef MQFS_STORE_PAIR_H
#define MQFS_STORE_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAIR_NODES 2u
#define PAIR_NAME 63u            /* bytes of a name, at most */
#define PAIR_MAX (16u + PAIR_NODES * (9u + PAIR_NAME))   /* bytes of a body, at most */

struct pair {
	uint8_t min_standbys;          /* less than `nodes` */
	uint8_t nodes;
	uint8_t wanted;                /* of one node: min_standbys once there are two again; of two: 0 */
	uint64_t stopped;              /* left out of this pair on the operator's word that it is down; 0: nobody */
	uint64_t node[PAIR_NODES];
	char name[PAIR_NODES][PAIR_NAME + 1];
};

/* Returns the bytes written, at most PAIR_MAX. */
size_t pair_encode(const struct pair *p, uint8_t *to);
int pair_decode(struct pair *p, const uint8_t *from, size_t len);
bool pair_has(const struct pair *p, uint64_t node);
/* The node that is not NODE; 0: there is none. */
uint64_t pair_other(const struct pair *p, uint64_t node);
/* By name; 0: there is none. */
uint64_t pair_named(const struct pair *p, const char *name);

#endif
