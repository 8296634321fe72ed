/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simdisk.h - a disk in memory that knows what a power cut may leave of it.
 *
 * What it assumes of a disk and its file system, and nothing more:
 *
 *  Bytes      What is written is in the cache, where everybody sees it. What was written before a sync of the file began is on the disk
 *             when the sync has returned 0. Of what was written later, any part may be: each sector of 512 bytes, or each page of 4 KiB,
 *             is as some moment since the last sync had it, in no order among each other. A sector is never half written.
 *  Size       It becomes durable with the file's next sync; before that, a power cut leaves any size the file had since its last one. Bytes
 *             behind the size that is left are gone; bytes that no write has reached are zeros.
 *  Names      Creating, renaming and removing a name are atomic each. They are durable when a later sync of their directory has returned 0
 *             (of a rename between two, of either one); a sync of the file does not do it. Of those that are not, a power cut leaves, with
 *             `ordered`, the first so many: ext4 and XFS journal them in order, and a directory's sync makes durable whatever was before
 *             it. Without, it leaves any of them: that is harsher than these two.
 *  Failed     A sync that fails may have written any part of what it should; the cache takes all of it for clean and a later sync writes
 *  syncs      nothing of it ("fsyncgate"). Whoever reads finds it in the cache still, until the cache is dropped. A page that it has not
 *             written is stuck: what is written to it later is synced without an error and is not on the disk, until the page has left the
 *             cache, which only a clean one does (ext4, where blocks were allocated and not written yet).
 *             So it is with names: those that a failed sync of their directory has left out, and what depends on them, no later one makes
 *             durable, until another process does it (a file system whose journal has failed takes nothing more before it is mounted again).
 *  Full       There is a budget of bytes. Blocks are taken by writes and allocations, and given back with the last name and descriptor;
 *             what is refused with -ENOSPC changes nothing.
 *  Kill       A process that dies leaves cache, names and their state as they are.
 *
 * A crash stops the disk: from then on every call is -EIO, so that the store on it winds down by itself, and nothing changes any
 * more. What is left can be looked at any number of times: clone the disk, cut its power or not, start a store on the clone.
 *
 * Calling  simdisk_new(&d, w); store_open_disk(&s, &d->disk, ...); d->crash_at = d->calls + 17; ... store_close(s);
 *          simdisk_clone(d, &left); simdisk_power_cut(left); simdisk_start(left); store_open_disk(&s, &left->disk, ...)
 * Units    bytes.
 * Threads  fibers of its world (world.h); there is nothing that two disks share.
 * Owns     a store's disk_free() only closes what the store has open: the disk stays until simdisk_free().
 */
#ifndef MQFS_TESTS_SIMDISK_H
#define MQFS_TESTS_SIMDISK_H

#include "disk.h"
#include "world.h"

#define SIM_PATH 48
#define SIM_NAMES 256
#define SIM_FILES 128                  /* descriptors */
#define SIM_CHANGES 512                /* names made, moved and removed since their directories' syncs */

enum sim_call { SIM_OPEN, SIM_CLOSE, SIM_READ, SIM_WRITE, SIM_SYNC, SIM_ALLOCATE, SIM_TRUNCATE, SIM_STAT, SIM_RENAME, SIM_UNLINK, SIM_MKDIR,
	SIM_LIST, SIM_SYNC_DIRECTORY, SIM_MAP, SIM_SPACE, SIM_LOCK, SIM_CALLS };
extern const char *const sim_call_names[SIM_CALLS];

struct sim_file;

struct sim_name {
	char path[SIM_PATH];
	struct sim_file *file;         /* NULL: a directory */
};

struct sim_tree {
	struct sim_name at[SIM_NAMES];
	int count;
};

/* A change of names: FROM goes, TO comes; either may be empty. */
struct sim_change {
	uint64_t number;               /* counted from the disk's beginning */
	char from[SIM_PATH], to[SIM_PATH];
	struct sim_file *file;
	bool forgotten;                /* a sync has failed to make it durable */
};

struct sim_fd {
	struct sim_file *file;
	bool locked;
};

struct simdisk {
	struct disk disk;
	struct world *world;
	bool ordered;                  /* what is left of names; see above */
	uint64_t budget;               /* bytes; what is used beyond it stays */
	uint64_t used;
	/* chance of faults: once in so many calls; 0: never */
	unsigned sync_fails;           /* -EIO */
	unsigned sync_hangs;           /* for seconds */
	unsigned write_fails;          /* -EIO, a part of it written */
	unsigned write_short;
	uint64_t calls;                /* that may change something, since simdisk_start() */
	uint64_t crash_at;             /* the call that crashes; 0: none */
	unsigned crash_near;           /* once in so many changes of names, and slow writes, one of the next calls crashes; 0: never */
	bool stopped;
	bool was_full;                 /* something was refused for want of room; the user's to take back */
	uint64_t failed;               /* syncs that were made to fail */
	/* Told of each call that works, before it does: for the story, and to count. */
	void (*saw)(void *ctx, enum sim_call call, const char *path, uint64_t at, uint64_t len);
	/* Told when it stops; may be NULL. */
	void (*stops)(void *ctx);
	void *ctx;
	/* simdisk.c's */
	struct sim_tree now, durable;
	struct sim_change *changes;
	int change_count;
	uint64_t change_next;          /* number of the next one */
	struct sim_fd fds[SIM_FILES];
	struct sim_file *files;
	uint64_t next_id;
};

int simdisk_new(struct simdisk **d, struct world *w);
void simdisk_free(struct simdisk *d);
/* An equal one, without what a process has: descriptors and locks. -ENOMEM. */
int simdisk_clone(const struct simdisk *d, struct simdisk **to);
/* The machine goes down: what is not durable is left or not, by chance. */
int simdisk_power_cut(struct simdisk *d);
/* The cache forgets what a failed sync has left in it. */
int simdisk_drop_cache(struct simdisk *d);
/* Another process may use it. */
void simdisk_start(struct simdisk *d);
/* Of all that makes two of them differ for a store. */
uint64_t simdisk_hash(struct simdisk *d);
/* Stops as it would at `crash_at`. */
void simdisk_stop(struct simdisk *d);
/* Removes a file, durably: what a person did while no process was there. */
void simdisk_remove(struct simdisk *d, const char *path);
/* A byte rots. No process is there, and the cache has nothing that the disk has not. -ENOENT. */
int simdisk_flip(struct simdisk *d, const char *path, uint64_t at);
/* Finds LEN bytes in the files whose names begin with PREFIX; NULL: they are in none. */
const char *simdisk_find(struct simdisk *d, const char *prefix, const void *bytes, size_t len, uint64_t *at);
/* What PATH has from AT to END, but for zeros at its end, is on the disk in a file whose durable name begins with PREFIX; or there is nothing. */
bool simdisk_keeps(struct simdisk *d, const char *path, uint64_t at, uint64_t end, const char *prefix);
/* A file whose name, or what it holds, a power cut could change, of those that CONCERNS() names; NULL: none. */
const char *simdisk_unsettled(struct simdisk *d, bool (*concerns)(const char *path));
/* Calls EACH for the names of all files. */
void simdisk_each(struct simdisk *d, void (*each)(void *ctx, const char *path, uint64_t size), void *ctx);

#endif
