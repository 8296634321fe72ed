/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quorum.h - who counts: how far a primary's commit point may go, given what it has synced and what others have acknowledged.
 *
 * The rules are those of mqfs-replication(7), in brackets the names they have in the model that they were checked with:
 *
 *	own disk first [primary-sync]; min_standbys other nodes of the pair have synced it too [standby-sync]; nothing before the first
 *	record of the own epoch is [own-epoch]; while a new pair is not committed, the old one counts as well [joint], where a node said to
 *	be stopped counts as an acknowledgement; and a restarted primary, which does not know whether the other node has gone on
 *	without it, needs an answer of that node first, or the operator's word [current].
 *
 * Pure: no lock, no clock, no file. Its caller guards it.
 *
 * Units    log positions, at records' ends.
 */
#ifndef MQFS_STORE_QUORUM_H
#define MQFS_STORE_QUORUM_H

#include "annals.h"

#define QUORUM_PAIRS 16u               /* pairs in force at once, at most; a change is refused when there are more */
#define QUORUM_NODES 8u                /* other nodes that are known, at most; one that is not linked makes room */

struct quorum_node {
	uint64_t node;
	uint64_t acknowledged;         /* synced there, in this session */
	bool answered;                 /* it has acknowledged anything since this node is primary */
	bool current;                  /* it was current when it did */
	bool linked;
};

struct quorum {
	uint64_t self;
	uint64_t first_end;            /* behind the first record of the own epoch; UINT64_MAX: not primary */
	bool current;                  /* this node is */
	struct quorum_node nodes[QUORUM_NODES];
	size_t count;
};

/* This node is the primary of an epoch whose first record ends at FIRST_END. Nobody has acknowledged anything. */
void quorum_begin(struct quorum *q, uint64_t self, uint64_t first_end, bool current);
/* NODE's session begins: what it acknowledged in an earlier one does not count any more. False: there is no place for it. */
bool quorum_linked(struct quorum *q, uint64_t node, bool linked);
void quorum_acknowledge(struct quorum *q, uint64_t node, uint64_t pos, bool current);
const struct quorum_node *quorum_node(const struct quorum *q, uint64_t node);    /* NULL: not known */

/* The commit point, at least COMMITTED; PAIRS are those in force at it (annals_pairs()). This node becomes current once its first record is
 * committed and the other one has answered, which with min_standbys=0 nothing waits for. */
uint64_t quorum_commit(struct quorum *q, const struct pair_row *pairs, size_t count, uint64_t synced, uint64_t committed);
/* Whether those who are linked are enough to commit what is appended now. */
bool quorum_reachable(const struct quorum *q, const struct pair_row *pairs, size_t count);
/* Whether a primary that has just started commits without any other node. Where the word that the other one is stopped stands in its log and
 * is not committed, it does not: it has to hear first whether that one has gone on without it. */
bool quorum_alone(uint64_t self, const struct pair_row *pairs, size_t count);

#endif
