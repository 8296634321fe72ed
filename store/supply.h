/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supply.h - segment files prepared ahead of need: recycled ones, or filled with zeros in idle time.
 *
 * fdatasync(2) into blocks that were written before is cheaper than into merely allocated ones, and an append that needs a
 * new segment must know beforehand that there is room for it. Prepared files are log/prepared.N, the one in the making is log/filling; they are as long as a
 * segment file.
 *
 * Threads  any; the keeper prepares, the log takes.
 */
#ifndef MQFS_STORE_SUPPLY_H
#define MQFS_STORE_SUPPLY_H

#include "disk.h"

struct supply;

/* FILE_SIZE: bytes of a segment file. Prepared files of an earlier process go: nobody knows what is in them after a power cut. */
int supply_new(struct supply **p, struct disk *d, uint64_t file_size);
void supply_free(struct supply *p);
/* The same before there is a supply, for the room that they take. */
int supply_drop_old(struct disk *d);
/* A prepared file, renamed to PATH and open for reading and writing; an allocated one when there is none prepared. -ENOSPC.
 * After an error there may be a file at PATH, which is the caller's to remove. */
int supply_take(struct supply *p, const char *path, int *fd);
/* Takes a segment file that is no longer needed away from PATH: to keep it as a prepared one, or unlinked when there are enough. The caller syncs the
 * directory and says whether that went well; only then is the file written to. */
int supply_recycle(struct supply *p, const char *path);
void supply_recycled(struct supply *p, bool well);
/* Prepares until there are WANT. KEEP_GOING is asked before each piece of zeros: once it is false, appends need the disk, and the file is
 * handed over as it is, merely allocated. */
int supply_prepare(struct supply *p, unsigned want, bool (*keep_going)(void *ctx), void *ctx);
/* One is in the making. For the keeper. */
bool supply_filling(struct supply *p);
unsigned supply_ready(struct supply *p);
/* The reserve (checkpoint.h) has BYTES, or gets them; with DROP, for a segment, prepared files go as long as the disk has no room for that. An error
 * only where it is for want of room. While the reserve is being spent it is left alone. */
int supply_leave(struct supply *p, uint64_t bytes, bool drop);
/* The keeper spends the reserve, part by part: until it is done nobody takes what it has released, or who is refused in a loop would make it again
 * as fast as that goes. */
void supply_spending(struct supply *p, bool is);
/* Gives all prepared files back to the file system. */
void supply_drop(struct supply *p);

#endif
