/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simfile.h - a file of a simulated disk: what the cache has, what the disk has, and the changes between the two. For simdisk.c only.
 *
 * Bytes that nobody changes are shared by the two, and by the files of cloned disks.
 *
 * Errors   -ENOMEM.
 */
#ifndef MQFS_TESTS_SIMFILE_H
#define MQFS_TESTS_SIMFILE_H

#include "world.h"
#include <sys/uio.h>

#define SECTOR 512u
#define PAGE 4096u

struct sim_bytes {
	unsigned users;                /* sides of files */
	unsigned maps;
	uint64_t hash;                 /* 0: not known */
	size_t room;
	uint8_t at[];
};

/* One side of a file. Behind bytes->room there are zeros. */
struct sim_side {
	struct sim_bytes *bytes;       /* NULL: zeros */
	uint64_t size;
	uint64_t blocks;               /* bytes that are taken of the disk */
};

struct sim_write {
	uint64_t at, len;              /* len of 0: of the size or the blocks only */
	uint64_t data;                 /* where its bytes are in file->data */
	uint64_t size, blocks;         /* after it */
	bool shrinks;
};

struct sim_file {
	uint64_t id;
	unsigned mode;
	unsigned users;                /* names of now and descriptors; at 0 its blocks are given back */
	bool locked;
	struct sim_side cache, disk;
	struct sim_write *writes;      /* since the last sync, in order */
	size_t write_count, write_room;
	uint64_t write_first;          /* number of the first one, counted from the file's beginning */
	uint8_t *data;
	size_t data_len, data_room;
	uint64_t stuck;                /* bit N: what is written to page N in the cache never gets to the disk; of the first 64 */
	struct sim_file *copy;         /* while a disk is cloned */
	struct sim_file *prev, *next;
};

/* What of the writes a side gets. */
enum sim_part { PART_NONE, PART_ALL, PART_FIRST, PART_PAGES, PART_SECTORS, PARTS };

void sim_file_free(struct sim_file *f);
int sim_file_clone(const struct sim_file *f, struct sim_file **to);
int sim_file_write(struct sim_file *f, const struct iovec *iov, int n, uint64_t at, size_t len);
/* Size and blocks. */
int sim_file_resize(struct sim_file *f, uint64_t size, uint64_t blocks);
void sim_file_read(const struct sim_file *f, void *to, size_t len, uint64_t at);
/* The first COUNT writes are on the disk now. */
int sim_file_sync(struct sim_file *f, size_t count);
/* The disk gets a part of all writes, and none is left to be written. */
int sim_file_settle(struct sim_file *f, enum sim_part part, struct world *w);
/* The same when it is a sync that fails: pages that are not on the disk as they are in the cache are stuck. */
int sim_file_fail(struct sim_file *f, enum sim_part part, struct world *w);
/* Pages that are not to be written any more leave the cache. */
int sim_file_forget(struct sim_file *f);
/* The cache becomes what the disk has and the writes that are still to come. */
int sim_file_drop_cache(struct sim_file *f);
/* Bytes that stay in place while they are mapped. */
int sim_file_map(struct sim_file *f, size_t len, const void **at);
void sim_file_unmap(const void *at);
/* A byte that the disk changes by itself. There must be no writes left. */
int sim_file_flip(struct sim_file *f, uint64_t at);
/* Where LEN bytes stand in the cache; false: nowhere. */
bool sim_file_find(const struct sim_file *f, const void *bytes, size_t len, uint64_t *at);
/* The same, on the disk. */
bool sim_file_has(const struct sim_file *f, const void *bytes, size_t len);
/* The disk has what the cache has, but for zeros at the end. */
bool sim_file_is_durable(const struct sim_file *f);
uint64_t sim_file_hash(struct sim_file *f);

#endif
