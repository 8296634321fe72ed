/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lost.h - the directory lost/: what recovery had to take out of the log, kept for people.
 *
 * lost/POS.N (16 hex digits, a number) holds the log's bytes from position POS on; lost/BASE.N.segment is a whole segment
 * file, its header included. mqctl dump reads both. Nothing here is ever read by the store itself.
 *
 * Errors   negative errno. What returned 0 is durable.
 */
#ifndef MQFS_STORE_LOST_H
#define MQFS_STORE_LOST_H

#include "disk.h"

/* Both set *BYTES to 0 where they fail and have left the segment as it was. */

/* Copies what segment BASE has from position POS to its last byte that is not zero into lost/, then zeroes it there. *BYTES is how much
 * that was; 0: nothing, no file was made. */
int lost_cut(struct disk *d, uint64_t base, uint64_t pos, uint64_t *bytes);
/* Moves a whole segment file there, or unlinks it when it has no byte but zeros behind its header. */
int lost_move(struct disk *d, uint64_t base, uint64_t *bytes);
/* How many files there are, and how long together. */
int lost_count(struct disk *d, uint64_t *files, uint64_t *bytes);

#endif
