/* SPDX-License-Identifier: Apache-2.0 */
#include "supply.h"
#include "checkpoint.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILLING "log/filling"          /* the file that is being filled with zeros */
#define PREPARED_MAX 4u
#define PIECE (4u << 20)               /* bytes of zeros a write: long ones leave large folios, which map with fewer faults */

struct supply {
	struct disk *disk;
	uint64_t file_size;
	_Atomic bool spending;         /* what the reserve has released is the keeper's */
	pthread_mutex_t lock;
	unsigned ready;                /* log/prepared.0 ... log/prepared.READY-1 are there */
	/* the keeper's */
	int filling;                   /* descriptor of FILLING, -1: none */
	bool recycled;                 /* FILLING has old bytes */
	bool moved;                    /* FILLING is a segment whose old name may come back */
};

static void prepared_name(char to[32], unsigned n)
{
	snprintf(to, 32, "log/prepared.%u", n);
}

static bool fits(struct supply *p, const char *name)
{
	struct stat st;

	return disk_stat(p->disk, name, &st) == 0 && (uint64_t)st.st_size == p->file_size;
}

/*
 * What an earlier process left behind goes. A prepared file that was taken had another name, and a power cut may have given it the old one
 * back, with a part of what was written to it meanwhile: at the positions that come next, where it would look like a torn tail.
 */
int supply_drop_old(struct disk *d)
{
	char name[32];
	int err = 0;

	disk_unlink(d, FILLING);
	disk_unlink(d, FILLING ".new");
	for (unsigned n = 0; n < PREPARED_MAX && (!err || err == -ENOENT); n++) {
		prepared_name(name, n);
		err = disk_unlink(d, name);
	}
	return err == -ENOENT ? 0 : err;
}

int supply_new(struct supply **to, struct disk *d, uint64_t file_size)
{
	struct supply *p = calloc(1, sizeof *p);
	int err;

	if (!p)
		return -ENOMEM;
	p->disk = d;
	p->file_size = file_size;
	p->filling = -1;
	pthread_mutex_init(&p->lock, NULL);
	err = supply_drop_old(d);
	if (err) {
		supply_free(p);
		return err;
	}
	*to = p;
	return 0;
}

void supply_free(struct supply *p)
{
	if (!p)
		return;
	disk_close(p->disk, p->filling);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Where there is room for a part only, the disk may give that before it says so, and who writes a checkpoint meanwhile would find it full. After an
 * error the file may be there. */
static int allocate(struct supply *p, const char *path, int *fd)
{
	struct disk_space space;
	int err;

	if (disk_space(p->disk, &space) == 0 && space.total && space.free < p->file_size)
		return -ENOSPC;
	*fd = disk_open(p->disk, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (*fd < 0)
		return *fd;
	err = disk_allocate(p->disk, *fd, p->file_size);
	if (err)
		disk_close(p->disk, *fd);
	return err;
}

int supply_take(struct supply *p, const char *path, int *fd)
{
	char name[32];
	int err = -ENOENT;

	pthread_mutex_lock(&p->lock);
	if (p->ready) {
		prepared_name(name, p->ready - 1);
		*fd = disk_open(p->disk, name, O_RDWR, 0);
		err = *fd < 0 ? *fd : disk_rename(p->disk, name, path);
		if (!err)
			p->ready--;
		else
			disk_close(p->disk, *fd);
	}
	pthread_mutex_unlock(&p->lock);
	return err ? allocate(p, path, fd) : 0;
}

int supply_recycle(struct supply *p, const char *path)
{
	p->moved = p->filling < 0 && p->ready < PREPARED_MAX && fits(p, path) && disk_rename(p->disk, path, FILLING) == 0;
	return p->moved ? 0 : disk_unlink(p->disk, path);
}

/*
 * The old name must be gone for good before the file is written to under another: after a crash a segment's name that
 * came back with another's content would be damage. Where it is not, nobody writes to the file any more.
 */
void supply_recycled(struct supply *p, bool well)
{
	if (p->moved && !well)
		disk_unlink(p->disk, FILLING);
	if (p->moved && well) {
		p->filling = disk_open(p->disk, FILLING, O_RDWR, 0);
		p->recycled = true;
	}
	p->moved = false;
}

/*
 * When appends need the disk, a new file is good as it is: allocated, it reads as zeros. A recycled one is not, its old bytes would
 * be taken for a torn tail; a new one takes its place, unless there is no room: then it must be filled.
 */
static bool give_way(struct supply *p)
{
	int fd;

	if (p->recycled) {
		int err = allocate(p, FILLING ".new", &fd);

		if (!err && (err = disk_rename(p->disk, FILLING ".new", FILLING)))
			disk_close(p->disk, fd);
		if (err) {
			disk_unlink(p->disk, FILLING ".new");
			return false;
		}
		disk_close(p->disk, p->filling);
		p->filling = fd;
		p->recycled = false;
	}
	return true;
}

/*
 * Recycled files are filled with zeros like new ones: that leaves their pages in the cache, and a record that
 * covers a part of a page which is not there would have to wait for it to be read.
 */
static int fill(struct supply *p, bool (*keep_going)(void *ctx), void *ctx)
{
	size_t piece = p->file_size < PIECE ? (size_t)p->file_size : PIECE;
	void *zeros = calloc(1, piece);        /* never touched, so all of it is the kernel's one page of zeros */
	uint64_t filled = 0;
	int err = zeros ? 0 : -ENOMEM;

	if (!err && p->filling < 0) {
		err = allocate(p, FILLING, &p->filling);
		if (err)
			p->filling = -1;
		p->recycled = false;
	}
	while (!err && filled < p->file_size && (keep_going(ctx) || !give_way(p))) {
		size_t n = p->file_size - filled < piece ? (size_t)(p->file_size - filled) : piece;
		err = disk_write(p->disk, p->filling, zeros, n, filled);
		if (!err)
			err = disk_sync(p->disk, p->filling);  /* piece by piece: a commit waits behind one of them at most */
		filled += n;
	}
	free(zeros);
	disk_close(p->disk, p->filling);
	p->filling = -1;
	return err;
}

int supply_prepare(struct supply *p, unsigned want, bool (*keep_going)(void *ctx), void *ctx)
{
	char name[32];
	int err = 0;

	while (!err && (supply_ready(p) < want || p->filling >= 0) && supply_ready(p) < PREPARED_MAX) {
		err = fill(p, keep_going, ctx);
		if (err) {
			disk_unlink(p->disk, FILLING);
			break;
		}
		pthread_mutex_lock(&p->lock);
		prepared_name(name, p->ready);
		err = disk_rename(p->disk, FILLING, name);
		if (!err)
			p->ready++;
		pthread_mutex_unlock(&p->lock);
	}
	return err;
}

bool supply_filling(struct supply *p)
{
	return p->filling >= 0;
}

unsigned supply_ready(struct supply *p)
{
	unsigned ready;

	pthread_mutex_lock(&p->lock);
	ready = p->ready;
	pthread_mutex_unlock(&p->lock);
	return ready;
}

static void drop_one(struct supply *p)
{
	char name[32];

	prepared_name(name, --p->ready);
	disk_unlink(p->disk, name);
}

void supply_spending(struct supply *p, bool is)
{
	if (p)                         /* a store that is not open for appends has none */
		p->spending = is;
}

int supply_leave(struct supply *p, uint64_t bytes, bool drop)
{
	int err;

	if (p->spending)
		return drop ? 0 : -ENOSPC;
	pthread_mutex_lock(&p->lock);
	while (disk_error_full(err = reserve_keep(p->disk, bytes)) && p->ready && drop)
		drop_one(p);
	pthread_mutex_unlock(&p->lock);
	return disk_error_full(err) ? err : 0;
}

void supply_drop(struct supply *p)
{
	pthread_mutex_lock(&p->lock);
	while (p->ready)
		drop_one(p);
	pthread_mutex_unlock(&p->lock);
	if (p->filling >= 0) {
		disk_close(p->disk, p->filling);
		p->filling = -1;
		disk_unlink(p->disk, FILLING);
	}
}
