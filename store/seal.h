/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal.h - makes full segments immutable: their runs go from memory into an index file.
 *
 * Threads  the keeper only.
 */
#ifndef MQFS_STORE_SEAL_H
#define MQFS_STORE_SEAL_H

#include "parts.h"
#include "runs.h"

/* Seals every segment before the active one that is committed to its end. */
int seal_committed(struct store *s);
/* Makes the index of sealed segments again where it is missing or damaged, by walking their records: one segment a call, from *FROM
 * on, which moves behind it, but for an error that may pass. 1: it is made; 0: none is left. */
int seal_rebuild(struct store *s, uint64_t *from);
/* The index of SEG cannot be used: the keeper makes it again, and where it is damaged, not only missing, that is told. */
void seal_index_bad(struct store *s, struct segment *seg);
/* All of SEG's index file: -ENOENT, -EBADMSG or -EIO where it is of no use. */
int seal_check_index(struct store *s, struct segment *seg);
/* The index of SEG, which is sealed, from its records: 1; 0 where the disk does not read all of them. */
int seal_again(struct store *s, struct segment *seg);
/* The index of SEG, which is sealed, from RUNS. */
int seal_renew(struct store *s, struct segment *seg, int64_t last_time, struct runs *runs);

#endif
