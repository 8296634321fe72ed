/* SPDX-License-Identifier: Apache-2.0 */
#include "simnames.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define BUDGET ((uint64_t)1 << 30)
#define SYNC_TIME 200000               /* ns, at most */
#define HANG (7 * SECOND)

const char *const sim_call_names[SIM_CALLS] = {"open", "close", "read", "write", "sync", "allocate", "truncate", "stat", "rename", "unlink",
	"mkdir", "list", "sync_directory", "map", "space", "lock"};

static struct simdisk *of(struct disk *d)
{
	return (struct simdisk *)d;
}

static void crash_soon(struct simdisk *d)
{
	if (once_in(d->world, d->crash_near))
		d->crash_at = d->calls + 1 + chance_of(d->world, 4);
}

static int change(struct simdisk *d, const char *from, const char *to, struct sim_file *f)
{
	struct sim_change *c;

	if (d->change_count == SIM_CHANGES)    /* a journal has an end: it is written out by itself */
		sim_sync_changes(d, d->changes[SIM_CHANGES / 2].number, NULL);
	c = &d->changes[d->change_count++];
	*c = (struct sim_change){.number = d->change_next++, .file = f};
	strcpy(c->from, from);
	strcpy(c->to, to);
	sim_make_change(&d->now, c);
	crash_soon(d);
	return 0;
}

static void give_back(struct simdisk *d, struct sim_file *f)
{
	if (--f->users == 0)
		d->used -= f->cache.blocks;
}

/* ---- what every call begins with ---- */

void simdisk_stop(struct simdisk *d)
{
	if (d->stopped)
		return;
	d->stopped = true;
	if (d->stops)
		d->stops(d->ctx);
}

/* Others go on; and the crash may come before the call does anything. */
static bool stops(struct simdisk *d, enum sim_call call, const char *path, uint64_t at, uint64_t len)
{
	world_pass(d->world, 1000);
	world_pause_once_in(d->world, 3);
	if (d->stopped)
		return true;
	if (d->saw)
		d->saw(d->ctx, call, path, at, len);
	d->calls++;
	/* About half of them are done, and nobody hears of it. */
	if (d->crash_at && d->calls == d->crash_at && once_in(d->world, 2))
		simdisk_stop(d);
	return d->stopped;
}

/* A call that changes nothing. */
static bool looks(struct simdisk *d)
{
	world_pause_once_in(d->world, 16);
	return d->stopped;
}

/* After it: whoever called does not know. */
static bool stopped_behind(struct simdisk *d)
{
	if (d->crash_at && d->calls >= d->crash_at)
		simdisk_stop(d);
	return d->stopped;
}

static const char *path_of(struct simdisk *d, struct sim_file *f)
{
	struct sim_name *n = sim_find_file(&d->now, f);

	return n ? n->path : "(removed)";
}

static int end(struct simdisk *d, int err)
{
	return stopped_behind(d) ? -EIO : err;
}

/* ---- files ---- */

static int take_fd(struct simdisk *d, struct sim_file *f)
{
	for (int fd = 0; fd < SIM_FILES; fd++)
		if (!d->fds[fd].file) {
			d->fds[fd] = (struct sim_fd){.file = f};
			f->users++;
			return fd;
		}
	return -EMFILE;
}

static int make_file(struct simdisk *d, const char *path, mode_t mode, struct sim_file **to)
{
	struct sim_file *f = calloc(1, sizeof *f);

	if (!f)
		return -ENOMEM;
	f->id = d->next_id++;
	f->mode = mode;
	f->users = 1;
	DL_APPEND(d->files, f);
	*to = f;
	return change(d, "", path, f);
}

static int resize(struct simdisk *d, struct sim_file *f, uint64_t size, uint64_t blocks)
{
	d->used += blocks - f->cache.blocks;
	return sim_file_resize(f, size, blocks);
}

static int d_open(struct disk *disk, const char *path, int flags, mode_t mode)
{
	struct simdisk *d = of(disk);
	struct sim_name *n;
	struct sim_file *f;
	int err = 0;

	if (flags & (O_CREAT | O_TRUNC) ? stops(d, SIM_OPEN, path, 0, 0) : looks(d))
		return -EIO;
	n = sim_find(&d->now, path);
	if (n && !n->file)
		return -EISDIR;
	if (n && flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	if (!n && (!(flags & O_CREAT) || !sim_has_parent(&d->now, path)))
		return -ENOENT;
	f = n ? n->file : NULL;
	if (!f)
		err = make_file(d, path, mode, &f);
	else if (flags & O_TRUNC && f->cache.size)
		err = resize(d, f, 0, 0);
	if (!err && flags & (O_CREAT | O_TRUNC))
		err = end(d, 0);
	return err ? err : take_fd(d, f);
}

static int d_close(struct disk *disk, int fd)
{
	struct simdisk *d = of(disk);
	struct sim_fd *of_fd = &d->fds[fd];

	if (d->saw && !d->stopped)
		d->saw(d->ctx, SIM_CLOSE, path_of(d, of_fd->file), 0, 0);
	if (of_fd->locked)
		of_fd->file->locked = false;
	give_back(d, of_fd->file);
	*of_fd = (struct sim_fd){0};
	return 0;
}

static ssize_t d_pread(struct disk *disk, int fd, void *to, size_t len, uint64_t at)
{
	struct simdisk *d = of(disk);
	struct sim_file *f = d->fds[fd].file;

	if (looks(d))
		return -EIO;
	if (d->saw)
		d->saw(d->ctx, SIM_READ, path_of(d, f), at, len);
	if (at >= f->cache.size)
		return 0;
	if (len > f->cache.size - at)
		len = f->cache.size - at;
	sim_file_read(f, to, len, at);
	return (ssize_t)len;
}

static bool has_room(struct simdisk *d, struct sim_file *f, uint64_t end_of)
{
	uint64_t blocks = (end_of + PAGE - 1) / PAGE * PAGE;
	bool has = blocks <= f->cache.blocks || d->used + (blocks - f->cache.blocks) <= d->budget;

	d->was_full |= !has;
	return has;
}

static ssize_t d_pwritev(struct disk *disk, int fd, const struct iovec *iov, int n, uint64_t at)
{
	struct simdisk *d = of(disk);
	struct sim_file *f = d->fds[fd].file;
	size_t len = 0;
	uint64_t blocks;
	bool fails;
	int err;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (stops(d, SIM_WRITE, path_of(d, f), at, len))
		return -EIO;
	if (once_in(d->world, 8)) {            /* slower than a sync */
		crash_soon(d);
		world_sleep(d->world, (int64_t)chance_of(d->world, 2 * SYNC_TIME));
		if (d->stopped)
			return -EIO;
	}
	fails = once_in(d->world, d->write_fails);
	if (fails || once_in(d->world, d->write_short))
		len = (size_t)chance_of(d->world, len + 1);
	if (!fails && !len)
		len = 1;
	if (!has_room(d, f, at + len))
		return -ENOSPC;
	blocks = f->cache.blocks;
	err = len ? sim_file_write(f, iov, n, at, len) : 0;
	d->used += f->cache.blocks - blocks;
	world_pause_once_in(d->world, 3);      /* another one may be back first */
	if (!err && fails)
		err = -EIO;
	return end(d, err) ? (d->stopped ? -EIO : err) : (ssize_t)len;
}

/* Only what was written before it began is sure to be on the disk. */
static int d_sync(struct disk *disk, int fd)
{
	struct simdisk *d = of(disk);
	struct sim_file *f = d->fds[fd].file;
	uint64_t before;
	int err = 0;

	if (stops(d, SIM_SYNC, path_of(d, f), 0, f->write_count))
		return -EIO;
	before = f->write_first + f->write_count;
	f->users++;
	if (once_in(d->world, d->sync_hangs))
		world_sleep(d->world, HANG);
	else
		world_sleep(d->world, (int64_t)chance_of(d->world, SYNC_TIME));
	if (d->stopped) {
		err = -EIO;
	} else if (once_in(d->world, d->sync_fails)) {
		d->failed++;
		err = sim_file_fail(f, sim_any_part(d->world), d->world);
		err = err ? err : -EIO;
	} else if (before > f->write_first) {
		err = sim_file_sync(f, (size_t)(before - f->write_first));
	}
	give_back(d, f);
	return end(d, err);
}

static int d_forget(struct disk *disk, int fd)
{
	struct simdisk *d = of(disk);

	return d->stopped ? -EIO : sim_file_forget(d->fds[fd].file);
}

static int d_allocate(struct disk *disk, int fd, uint64_t len)
{
	struct simdisk *d = of(disk);
	struct sim_file *f = d->fds[fd].file;
	uint64_t blocks = (len + PAGE - 1) / PAGE * PAGE;
	int err;

	if (stops(d, SIM_ALLOCATE, path_of(d, f), 0, len))
		return -EIO;
	if (!has_room(d, f, len))
		return -ENOSPC;
	err = resize(d, f, len > f->cache.size ? len : f->cache.size, blocks > f->cache.blocks ? blocks : f->cache.blocks);
	return end(d, err);
}

static int d_truncate(struct disk *disk, int fd, uint64_t len)
{
	struct simdisk *d = of(disk);
	struct sim_file *f = d->fds[fd].file;
	uint64_t blocks = (len + PAGE - 1) / PAGE * PAGE;

	if (stops(d, SIM_TRUNCATE, path_of(d, f), 0, len))
		return -EIO;
	return end(d, resize(d, f, len, len < f->cache.size ? blocks : f->cache.blocks));
}

static int d_stat(struct disk *disk, const char *path, struct stat *st)
{
	struct simdisk *d = of(disk);
	struct sim_name *n;

	if (looks(d))
		return -EIO;
	n = sim_find(&d->now, path);
	if (!n)
		return -ENOENT;
	memset(st, 0, sizeof *st);
	st->st_mode = n->file ? S_IFREG | (n->file->mode & 07777) : S_IFDIR | 0700;
	if (n->file) {
		st->st_ino = n->file->id;
		st->st_size = (off_t)n->file->cache.size;
		st->st_blocks = (blkcnt_t)(n->file->cache.blocks / 512);
	}
	return 0;
}

/* ---- directories ---- */

static int d_rename(struct disk *disk, const char *from, const char *to)
{
	struct simdisk *d = of(disk);
	struct sim_name *n, *over;
	struct sim_file *f, *old;

	if (stops(d, SIM_RENAME, from, 0, 0))
		return -EIO;
	n = sim_find(&d->now, from);
	if (!n || !sim_has_parent(&d->now, to))
		return -ENOENT;
	f = n->file;
	over = sim_find(&d->now, to);
	old = over ? over->file : NULL;
	if (over)
		sim_take_out(&d->now, over);
	change(d, from, to, f);
	if (old && old != f)
		give_back(d, old);
	return end(d, 0);
}

static int d_unlink(struct disk *disk, const char *path)
{
	struct simdisk *d = of(disk);
	struct sim_name *n;
	struct sim_file *f;

	if (stops(d, SIM_UNLINK, path, 0, 0))
		return -EIO;
	n = sim_find(&d->now, path);
	if (!n)
		return -ENOENT;
	f = n->file;
	if (!f)
		return -EISDIR;
	change(d, path, "", f);
	give_back(d, f);
	return end(d, 0);
}

static int d_mkdir(struct disk *disk, const char *path, mode_t mode)
{
	struct simdisk *d = of(disk);

	(void)mode;
	if (stops(d, SIM_MKDIR, path, 0, 0))
		return -EIO;
	if (sim_find(&d->now, path))
		return -EEXIST;
	change(d, "", path, NULL);
	return end(d, 0);
}

static int d_list(struct disk *disk, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	struct simdisk *d = of(disk);
	struct sim_tree *t;
	int stop = 0;

	if (d->stopped)
		return -EIO;
	if (strcmp(path, ".") && !sim_find(&d->now, path))
		return -ENOENT;
	t = malloc(sizeof *t);                 /* EACH may change the directory */
	if (!t)
		return -ENOMEM;
	t->count = d->now.count;
	memcpy(t->at, d->now.at, (size_t)t->count * sizeof *t->at);
	for (int i = 0; !stop && i < t->count; i++)
		if (sim_lies_in(t->at[i].path, path))
			stop = each(ctx, strcmp(path, ".") ? t->at[i].path + strlen(path) + 1 : t->at[i].path);
	free(t);
	return stop;
}

static int d_sync_directory(struct disk *disk, const char *path)
{
	struct simdisk *d = of(disk);
	uint64_t before;

	if (stops(d, SIM_SYNC_DIRECTORY, path, 0, (uint64_t)d->change_count))
		return -EIO;
	if (strcmp(path, ".") && !sim_find(&d->now, path))
		return -ENOENT;
	before = d->change_next;
	world_sleep(d->world, (int64_t)chance_of(d->world, SYNC_TIME));
	if (d->stopped)
		return -EIO;
	if (once_in(d->world, d->sync_fails)) {
		d->failed++;
		sim_forget_changes(d, before, path);
		return end(d, -EIO);
	}
	sim_sync_changes(d, before, path);
	return end(d, 0);
}

/* ---- the rest ---- */

static int d_map(struct disk *disk, int fd, size_t len, const void **at)
{
	struct simdisk *d = of(disk);

	if (looks(d))
		return -EIO;
	return sim_file_map(d->fds[fd].file, len, at);
}

static int d_unmap(struct disk *disk, const void *at, size_t len)
{
	(void)disk;
	(void)len;
	sim_file_unmap(at);
	return 0;
}

static int d_space(struct disk *disk, struct disk_space *space)
{
	struct simdisk *d = of(disk);

	if (d->stopped)
		return -EIO;
	*space = (struct disk_space){.total = d->budget, .free = d->budget > d->used ? d->budget - d->used : 0};
	return 0;
}

static int d_lock(struct disk *disk, int fd)
{
	struct simdisk *d = of(disk);

	if (d->stopped)
		return -EIO;
	if (d->fds[fd].file->locked)
		return -EBUSY;
	d->fds[fd].file->locked = d->fds[fd].locked = true;
	return 0;
}

static void d_free(struct disk *disk)
{
	struct simdisk *d = of(disk);

	for (int fd = 0; fd < SIM_FILES; fd++)
		if (d->fds[fd].file)
			abort();                       /* the store has not closed it */
}

static const struct disk_ops ops = {
	.open = d_open,
	.close = d_close,
	.pread = d_pread,
	.pwritev = d_pwritev,
	.sync = d_sync,
	.forget = d_forget,
	.allocate = d_allocate,
	.truncate = d_truncate,
	.stat = d_stat,
	.rename = d_rename,
	.unlink = d_unlink,
	.mkdir = d_mkdir,
	.list = d_list,
	.sync_directory = d_sync_directory,
	.map = d_map,
	.unmap = d_unmap,
	.space = d_space,
	.lock = d_lock,
	.free = d_free,
};

int simdisk_new(struct simdisk **to, struct world *w)
{
	struct simdisk *d = calloc(1, sizeof *d);

	if (!d)
		return -ENOMEM;
	d->changes = malloc(SIM_CHANGES * sizeof *d->changes);
	if (!d->changes) {
		free(d);
		return -ENOMEM;
	}
	disk_init(&d->disk, &ops);
	d->world = w;
	d->budget = BUDGET;
	d->next_id = 1;
	*to = d;
	return 0;
}

void simdisk_free(struct simdisk *d)
{
	struct sim_file *f, *next;

	if (!d)
		return;
	DL_FOREACH_SAFE(d->files, f, next)
		sim_file_free(f);
	free(d->changes);
	free(d);
}

void simdisk_start(struct simdisk *d)
{
	d->stopped = false;
	d->calls = d->crash_at = 0;
	d->crash_near = 0;
	for (int i = 0; i < d->change_count; i++)
		d->changes[i].forgotten = false;
}
