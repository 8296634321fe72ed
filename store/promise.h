/* SPDX-License-Identifier: Apache-2.0 */
/*
 * promise.h - the file "promise": the highest reign that this node has agreed to, and the one that it rules.
 *
 * A reign is (number, node id), compared in that order. A node takes records and orders only of a reign at or above its promise, so
 * the promise is durable before anybody is told of it. It is a file of its own because it may change when the log may not be written.
 *
 * 56 bytes, little endian: 0 "MQFS-PRM"; 8 u32 format version; 12 u32 1 where that reign was begun with an accepted loss, else 0;
 * 16 u32 promised: number; 20 u32 the number of the reign of its own that this node rules, 0: none; 24 u64 promised: node id; 32 u64 cluster
 * id; 40 u64 `received`; 48 u64 XXH3 of bytes 0-47 with the cluster's secret. It is replaced as a whole, so that a crash leaves the old one or
 * the new one.
 *
 * A store that has no such file never had to do with another node: it has promised what its log says last, see promise_of_log().
 *
 * Errors   -ENOENT no such file; -EBADMSG damaged: what was promised is not known, so nothing may be promised or taken.
 */
#ifndef MQFS_STORE_PROMISE_H
#define MQFS_STORE_PROMISE_H

#include "disk.h"
#include "identity.h"
#include "record.h"

#define PROMISE_FILE "promise"

struct reign {
	uint32_t number;
	uint64_t node;
};

struct promise {
	struct reign reign;            /* promised */
	uint64_t received;             /* before this log position all is a copy of another node's log, even records of an epoch of its own */
	uint32_t own;                  /* this node rules the reign (own, its id); 0: it rules none. Then it has promised that one */
	bool accepted_loss;            /* with the operator's consent to a loss, which its first epoch's record is to say */
};

/* Less than, equal to or greater than 0, as A is below, the same as or above B. */
int reign_compare(struct reign a, struct reign b);
/* The same for epochs: reign number, node, start. */
int epoch_compare(const struct epoch *a, const struct epoch *b);
struct reign epoch_reign(const struct epoch *e);

int promise_load(struct disk *d, const struct identity *id, struct promise *p);
/* Durable when it returns 0. After an error either may be in force after a crash: the old one must not be relied on any more. */
int promise_save(struct disk *d, const struct identity *id, const struct promise *p);
/* Of a store without the file, whose log's last epoch is LAST. */
struct promise promise_of_log(const struct identity *id, const struct epoch *last);

#endif
