/* SPDX-License-Identifier: Apache-2.0 */
#include "simdisk.h"
#include "simfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <xxhash.h>

#define BUDGET ((uint64_t)1 << 30)
#define SYNC_TIME 200000               /* ns, at most */
#define HANG (7 * SECOND)

const char *const sim_call_names[SIM_CALLS] = {"open", "close", "read", "write", "sync", "allocate", "truncate", "stat", "rename", "unlink",
	"mkdir", "list", "sync_directory", "map", "space", "lock"};

static struct simdisk *of(struct disk *d)
{
	return (struct simdisk *)d;
}

/* ---- names ---- */

static struct sim_name *find(struct sim_tree *t, const char *path)
{
	for (int i = 0; i < t->count; i++)
		if (!strcmp(t->at[i].path, path))
			return &t->at[i];
	return NULL;
}

static struct sim_name *find_file(struct sim_tree *t, const struct sim_file *f)
{
	for (int i = 0; i < t->count; i++)
		if (t->at[i].file == f)
			return &t->at[i];
	return NULL;
}

static void take_out(struct sim_tree *t, struct sim_name *n)
{
	memmove(n, n + 1, (size_t)(&t->at[t->count] - (n + 1)) * sizeof *n);
	t->count--;
}

static void add(struct sim_tree *t, const char *path, struct sim_file *f)
{
	struct sim_name *n = &t->at[t->count];

	if (t->count++ == SIM_NAMES)
		abort();
	strcpy(n->path, path);
	n->file = f;
}

static bool lies_in(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	const char *slash = strchr(path, '/');

	if (!strcmp(directory, "."))
		return *path && !slash;
	return slash && (size_t)(slash - path) == len && !strncmp(path, directory, len);
}

static bool has_parent(struct sim_tree *t, const char *path)
{
	char parent[SIM_PATH];
	const char *slash = strchr(path, '/');
	struct sim_name *n;

	if (!slash)
		return true;
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = 0;
	n = find(t, parent);
	return n && !n->file;
}

/* A file has one name: it goes there from wherever it is. */
static void make_change(struct sim_tree *t, const struct sim_change *c)
{
	struct sim_name *n = *c->from ? find(t, c->from) : NULL;

	if (n && (!*c->to || n->file == c->file))
		take_out(t, n);
	if (!*c->to)
		return;
	n = c->file ? find_file(t, c->file) : NULL;
	if (n)
		take_out(t, n);
	n = find(t, c->to);
	if (n)
		n->file = c->file;
	else
		add(t, c->to, c->file);
}

static bool same_path(const char *a, const char *b)
{
	return *a && !strcmp(a, b);
}

static bool depends(const struct sim_change *later, const struct sim_change *c)
{
	return (c->file && c->file == later->file) || same_path(c->from, later->from) || same_path(c->from, later->to) || same_path(c->to, later->from) ||
		same_path(c->to, later->to);
}

/* Those before number BEFORE that concern DIRECTORY, or all with NULL, are on the disk now, and what they depend on. */
static void sync_changes(struct simdisk *d, uint64_t before, const char *directory)
{
	bool on[SIM_CHANGES] = {false};
	int kept = 0;

	for (int i = d->change_count - 1; i >= 0; i--) {
		const struct sim_change *c = &d->changes[i];
		if (c->number >= before)
			continue;
		on[i] = on[i] || !directory || d->ordered || lies_in(c->from, directory) || lies_in(c->to, directory);
		for (int n = 0; on[i] && n < i; n++)
			on[n] = on[n] || depends(c, &d->changes[n]);
	}
	for (int i = 0; i < d->change_count; i++) {
		if (on[i])
			make_change(&d->durable, &d->changes[i]);
		else
			d->changes[kept++] = d->changes[i];
	}
	d->change_count = kept;
}

static int change(struct simdisk *d, const char *from, const char *to, struct sim_file *f)
{
	struct sim_change *c;

	if (d->change_count == SIM_CHANGES)    /* a journal has an end: it is written out by itself */
		sync_changes(d, d->changes[SIM_CHANGES / 2].number, NULL);
	c = &d->changes[d->change_count++];
	*c = (struct sim_change){.number = d->change_next++, .file = f};
	strcpy(c->from, from);
	strcpy(c->to, to);
	make_change(&d->now, c);
	if (once_in(d->world, d->crash_near))
		d->crash_at = d->calls + 1 + chance_of(d->world, 4);
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
	d->stopped = true;
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

/* After it: whoever called does not know. */
static bool stopped_behind(struct simdisk *d)
{
	if (d->crash_at && d->calls >= d->crash_at)
		simdisk_stop(d);
	return d->stopped;
}

static const char *path_of(struct simdisk *d, struct sim_file *f)
{
	struct sim_name *n = find_file(&d->now, f);

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

	if (flags & (O_CREAT | O_TRUNC) ? stops(d, SIM_OPEN, path, 0, 0) : d->stopped)
		return -EIO;
	n = find(&d->now, path);
	if (n && !n->file)
		return -EISDIR;
	if (n && flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	if (!n && (!(flags & O_CREAT) || !has_parent(&d->now, path)))
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

	world_pause_once_in(d->world, 16);
	if (d->stopped)
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

	return blocks <= f->cache.blocks || d->used + (blocks - f->cache.blocks) <= d->budget;
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

static enum sim_part any_part(struct world *w)
{
	static const enum sim_part parts[8] = {PART_NONE, PART_ALL, PART_FIRST, PART_FIRST, PART_PAGES, PART_PAGES, PART_SECTORS, PART_SECTORS};

	return parts[chance_of(w, 8)];
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
		err = sim_file_settle(f, any_part(d->world), d->world);
		err = err ? err : -EIO;
	} else if (before > f->write_first) {
		err = sim_file_sync(f, (size_t)(before - f->write_first));
	}
	give_back(d, f);
	return end(d, err);
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

	if (d->stopped)
		return -EIO;
	n = find(&d->now, path);
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
	n = find(&d->now, from);
	if (!n || !has_parent(&d->now, to))
		return -ENOENT;
	f = n->file;
	over = find(&d->now, to);
	old = over ? over->file : NULL;
	if (over)
		take_out(&d->now, over);
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
	n = find(&d->now, path);
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
	if (find(&d->now, path))
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
	if (strcmp(path, ".") && !find(&d->now, path))
		return -ENOENT;
	t = malloc(sizeof *t);                 /* EACH may change the directory */
	if (!t)
		return -ENOMEM;
	t->count = d->now.count;
	memcpy(t->at, d->now.at, (size_t)t->count * sizeof *t->at);
	for (int i = 0; !stop && i < t->count; i++)
		if (lies_in(t->at[i].path, path))
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
	if (strcmp(path, ".") && !find(&d->now, path))
		return -ENOENT;
	before = d->change_next;
	world_sleep(d->world, (int64_t)chance_of(d->world, SYNC_TIME));
	if (d->stopped)
		return -EIO;
	if (once_in(d->world, d->sync_fails)) {
		d->failed++;
		return end(d, -EIO);
	}
	sync_changes(d, before, path);
	return end(d, 0);
}

/* ---- the rest ---- */

static int d_map(struct disk *disk, int fd, size_t len, const void **at)
{
	struct simdisk *d = of(disk);

	if (d->stopped)
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
	d->disk.ops = &ops;
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
}

/* ---- what is left ---- */

static int clone_of(struct simdisk *to, struct sim_file *f, struct sim_file **copy)
{
	int err = 0;

	if (f && !f->copy) {
		err = sim_file_clone(f, &f->copy);
		if (!err)
			DL_APPEND(to->files, f->copy);
	}
	*copy = f ? f->copy : NULL;
	return err;
}

static int clone_tree(struct simdisk *to, struct sim_tree *t, const struct sim_tree *from)
{
	int err = 0;

	t->count = from->count;
	for (int i = 0; !err && i < from->count; i++) {
		memcpy(t->at[i].path, from->at[i].path, SIM_PATH);
		err = clone_of(to, from->at[i].file, &t->at[i].file);
	}
	return err;
}

/* Blocks are those of the files that have a name; what only a process held is free again. */
static void count_blocks(struct simdisk *d)
{
	struct sim_file *f;

	DL_FOREACH(d->files, f)
		f->users = 0;
	d->used = 0;
	for (int i = 0; i < d->now.count; i++)
		if ((f = d->now.at[i].file)) {
			f->users++;
			d->used += f->cache.blocks;
		}
}

int simdisk_clone(const struct simdisk *d, struct simdisk **to)
{
	struct simdisk *c;
	struct sim_file *f;
	int err = simdisk_new(&c, d->world);

	if (err)
		return err;
	DL_FOREACH(d->files, f)
		f->copy = NULL;
	c->ordered = d->ordered;
	c->budget = d->budget;
	c->sync_fails = d->sync_fails;
	c->sync_hangs = d->sync_hangs;
	c->write_fails = d->write_fails;
	c->write_short = d->write_short;
	c->saw = d->saw;
	c->ctx = d->ctx;
	c->next_id = d->next_id;
	err = clone_tree(c, &c->now, &d->now);
	if (!err)
		err = clone_tree(c, &c->durable, &d->durable);
	for (int i = 0; !err && i < d->change_count; i++) {
		c->changes[i] = d->changes[i];
		err = clone_of(c, d->changes[i].file, &c->changes[i].file);
		c->change_count++;
	}
	c->change_next = d->change_next;
	if (err) {
		simdisk_free(c);
		return err;
	}
	count_blocks(c);
	*to = c;
	return 0;
}

static void settle_names(struct simdisk *d)
{
	int first = (int)chance_of(d->world, (uint64_t)d->change_count + 1);
	bool some = !d->ordered && !once_in(d->world, 3);
	int orphans = 0;

	if (once_in(d->world, 4))
		first = once_in(d->world, 2) ? 0 : d->change_count;
	for (int i = 0; i < d->change_count; i++)
		if (some ? once_in(d->world, 2) : i < first)
			make_change(&d->durable, &d->changes[i]);
	d->change_count = 0;
	for (int i = 0; i < d->durable.count; i++)
		if (has_parent(&d->durable, d->durable.at[i].path))
			d->durable.at[orphans++] = d->durable.at[i];
	d->durable.count = orphans;
	d->now.count = d->durable.count;
	memcpy(d->now.at, d->durable.at, (size_t)d->now.count * sizeof *d->now.at);
}

int simdisk_power_cut(struct simdisk *d)
{
	enum sim_part all = any_part(d->world);
	bool each = once_in(d->world, 2);
	struct sim_file *f, *next;
	int err = 0;

	settle_names(d);
	count_blocks(d);
	DL_FOREACH_SAFE(d->files, f, next) {
		if (!f->users) {
			DL_DELETE(d->files, f);
			sim_file_free(f);
			continue;
		}
		if (!err)
			err = sim_file_settle(f, each ? any_part(d->world) : all, d->world);
		if (!err)
			err = sim_file_drop_cache(f);
	}
	count_blocks(d);
	return err;
}

int simdisk_drop_cache(struct simdisk *d)
{
	struct sim_file *f;
	int err = 0;

	DL_FOREACH(d->files, f)
		if (!err)
			err = sim_file_drop_cache(f);
	count_blocks(d);
	return err;
}

static uint64_t tree_hash(struct sim_tree *t)
{
	uint64_t sum = 0;

	for (int i = 0; i < t->count; i++) {
		uint64_t of_name[2] = {XXH3_64bits(t->at[i].path, strlen(t->at[i].path)), 0};
		of_name[1] = t->at[i].file ? sim_file_hash(t->at[i].file) : 1;
		sum += XXH3_64bits(of_name, sizeof of_name);
	}
	return sum;
}

uint64_t simdisk_hash(struct simdisk *d)
{
	uint64_t all[3] = {tree_hash(&d->now), tree_hash(&d->durable), d->budget};

	return XXH3_64bits(all, sizeof all);
}

void simdisk_remove(struct simdisk *d, const char *path)
{
	struct sim_name *n = find(&d->now, path);

	if (n)
		take_out(&d->now, n);
	n = find(&d->durable, path);
	if (n)
		take_out(&d->durable, n);
	count_blocks(d);
}

int simdisk_flip(struct simdisk *d, const char *path, uint64_t at)
{
	struct sim_name *n = find(&d->now, path);

	return n && n->file ? sim_file_flip(n->file, at) : -ENOENT;
}

const char *simdisk_find(struct simdisk *d, const char *prefix, const void *bytes, size_t len, uint64_t *at)
{
	for (int i = 0; i < d->now.count; i++) {
		const struct sim_name *n = &d->now.at[i];
		if (n->file && !strncmp(n->path, prefix, strlen(prefix)) && sim_file_find(n->file, bytes, len, at))
			return n->path;
	}
	return NULL;
}

void simdisk_each(struct simdisk *d, void (*each)(void *ctx, const char *path, uint64_t size), void *ctx)
{
	for (int i = 0; i < d->now.count; i++)
		if (d->now.at[i].file)
			each(ctx, d->now.at[i].path, d->now.at[i].file->cache.size);
}
