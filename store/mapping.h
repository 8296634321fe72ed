/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapping.h - a file in memory, read by many at once while it may grow.
 *
 * What it is made of comes from the disk in pieces, of a size that the reads of it ask for: who reads all of a file in order is quickest
 * with the largest pages that the processor has (2 MiB on x86-64), each of which the disk gives whole or not at all. So where the disk
 * fails, the file is read page by page from there on: nothing that the disk can give is lost for what lies next to it.
 *
 * Calling
 *	struct mapping m = {0};
 *	mapping_get(&m, disk, "log/...", min);          before each read of m.bytes[0 .. m.len - 1] under disk_guard()
 *	mapping_in_order(&m);                           somebody reads all of it in order
 *	if (mapping_failed(&m, disk, "log/..."))        disk_guard() has said -EIO
 *		...                                     once more
 *	mapping_free(&m, disk);                         nobody reads it any more
 *
 * Errors   -EIO: the file is too short; and as disk_map().
 * Threads  none of its own: who has it guards it. What was mapped stays until mapping_free(), also when the file has grown.
 */
#ifndef MQFS_STORE_MAPPING_H
#define MQFS_STORE_MAPPING_H

#include "disk.h"

struct outgrown;

struct mapping {
	const uint8_t *bytes;            /* NULL: not mapped */
	size_t len;
	bool is_short;                   /* the file is longer than what is mapped */
	enum { PIECES_USUAL, PIECES_LARGE, PIECES_SMALL } pieces;
	struct outgrown *outgrown;       /* mappings that were too short at last, and may still be read */
};

/* mapping_get() has nothing to do. */
static inline bool mapping_is_whole(const struct mapping *m)
{
	return m->bytes && !m->is_short;
}

/* Of a file that is longer than MIN bytes. */
int mapping_get(struct mapping *m, struct disk *d, const char *name, size_t min);
/* The file may be longer than it was. */
void mapping_grown(struct mapping *m);
void mapping_in_order(struct mapping *m);
/* True, once: the same read may do better now. */
bool mapping_failed(struct mapping *m, struct disk *d, const char *name);
void mapping_free(struct mapping *m, struct disk *d);

#endif
