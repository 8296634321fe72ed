/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - verifies a stopped store: every record with its body, the chain, queues' offsets, segments' headers, indexes and
 * checkpoints, and the promise.
 *
 * It reads everything once, in bounded memory, and changes nothing. The store's lock is held meanwhile. What is told is
 * damage, or a note: something that the next start of mqfs puts right without losing what was committed.
 *
 * repair_store() also makes again what can be made from the records: segments' indexes and headers, checkpoints; and removes what
 * an interrupted process left on its way. It never touches a record. What it cannot repair stays as it is, and is told. Each
 * step leaves a store that opens, whenever it is interrupted, and a second repair finds nothing to do.
 *
 * Calling  err = check_store("/var/lib/mq", &calls, &totals, why); damage was found when totals.damage > 0
 * Units    bytes and log positions.
 * Errors   negative errno with one line in WHY when the store could not be checked: -EBUSY it is in use, -ENOENT it is none,
 *          -EPROTONOSUPPORT of a newer format.
 * Threads  calls are made from within check_store().
 */
#ifndef MQFS_STORE_CHECK_H
#define MQFS_STORE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check_calls {
	/* WHERE is a file of the store, with position and byte where that means something. */
	void (*found)(void *ctx, bool damage, const char *where, const char *what);
	void (*repaired)(void *ctx, const char *where, const char *what);     /* for repair_store() */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);   /* bytes; may be NULL */
	void *ctx;
};

struct check_totals {
	uint64_t damage;                  /* findings that are damage, and were not repaired */
	uint64_t notes;
	uint64_t repaired;
	uint64_t segments, indexes, checkpoints;
	uint64_t records, messages;
	uint64_t bytes;                   /* of messages */
	uint64_t queues;
	uint64_t start, end;              /* the valid log */
	uint64_t committed;               /* what it proves to be committed */
	uint64_t lost_files, lost_bytes;
};

int repair_store(const char *path, const struct check_calls *calls, struct check_totals *totals, char *why, size_t why_len);
int check_store(const char *path, const struct check_calls *calls, struct check_totals *totals, char *why, size_t why_len);

#endif
