/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parting.h - where the log that a file in lost/ is of and a store's log have parted, and so which topics both of them have.
 *
 * A topic's id comes from the position of its record. Two logs have the same ids for the same topics up to where they part, and behind that
 * place each gives its own: what has an id there in the one is another topic than what has it in the other. So a topic of the store is the one that the file
 * means by its id when it was made before the first record that the file's log has not; the time of that record tells, as times in a log never
 * go back. At that very time it may be either, and is taken for another one.
 *
 * Calling  parting_find(store, disk, "00000000000c3a60.0.segment", &p); if (parting_had(&p, t)) ...
 * Errors   negative errno: memory, and the directory of the files. What cannot be read is only not known: parting_had() is false.
 * Threads  one, with a store that is open for reading.
 */
#ifndef MQFS_STORE_PARTING_H
#define MQFS_STORE_PARTING_H

#include "disk.h"
#include "store.h"
#include "topic.h"

struct parting {
	bool known;
	int64_t time;              /* of the store's first record behind it, ns since 1970; INT64_MAX: there is none */
};

/* NAME: lost/POS.N has log bytes from *BASE on, lost/BASE.N.segment is a segment file, which has them from its byte *SKIP on. False: neither. */
bool parting_file(const char *name, uint64_t *base, uint64_t *skip);

/* FILE is a name in lost/ of DISK; its neighbours there may tell as well. The store has the same cluster's secret. */
int parting_find(struct store *s, struct disk *d, const char *file, struct parting *to);

/* T, a topic of the store, is the one that the file has under its id. */
bool parting_had(const struct parting *p, const struct topic *t);

#endif
