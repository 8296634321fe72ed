/* SPDX-License-Identifier: Apache-2.0 */
/* Each file has an image beside the directory, in PATH-images: what is durable of it. All tables are of fixed size: memory that
 * is made to fail is the store's, not ours. */
#include "powercut.h"
#include "scratch.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES 2048
#define EXTENTS 256
#define NAMES 1024
#define PAGE 4096u

struct extent {
	uint64_t from, to;
};

struct file {
	ino_t ino;
	int image;
	struct extent dirty[EXTENTS];
	int extents;
};

struct name {
	char path[64];
	struct file *file;
};

static struct {
	struct disk disk;
	struct disk *under;
	char path[64], images[96];
	pthread_mutex_t lock;
	struct file *files;
	int file_count;
	struct file *opened[SCRATCH_FILES];
	struct name names[NAMES];
	int name_count;
} cut = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What is there, asked of the system itself: that is no call of the store's. */
static int look_at(const char *name, struct stat *st)
{
	char path[PATH_MAX + 65];

	snprintf(path, sizeof path, "%s/%s", cut.path, name);
	return stat(path, st);
}

static void each_name(const char *directory, void (*each)(const char *directory, const char *name))
{
	char path[PATH_MAX + 65];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof path, "%s/%s", cut.path, directory);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			each(directory, e->d_name);
	if (dir)
		closedir(dir);
}

static int open_file(const char *name)
{
	char path[PATH_MAX + 65];

	snprintf(path, sizeof path, "%s/%s", cut.path, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static struct file *file_of(ino_t ino)
{
	for (int i = cut.file_count; i > 0; i--)
		if (cut.files[i - 1].ino == ino)
			return &cut.files[i - 1];
	return NULL;
}

static struct file *new_file(ino_t ino)
{
	struct file *f = &cut.files[cut.file_count];
	char name[PATH_MAX];

	if (cut.file_count++ == FILES)
		abort();
	f->ino = ino;
	snprintf(name, sizeof name, "%s/%d", cut.images, cut.file_count);
	f->image = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (f->image < 0)
		abort();
	return f;
}

static int c_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	struct stat st;
	bool there;
	int fd;

	(void)d;
	pthread_mutex_lock(&cut.lock);
	there = look_at(path, &st) == 0;
	if ((flags & O_ACCMODE) == O_WRONLY)           /* its sync reads what was written */
		flags ^= O_WRONLY ^ O_RDWR;
	fd = cut.under->ops->open(cut.under, path, flags, mode);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		struct file *f = there ? file_of(st.st_ino) : NULL;
		if (fd >= SCRATCH_FILES)
			abort();
		cut.opened[fd] = f ? f : new_file(st.st_ino);
	}
	pthread_mutex_unlock(&cut.lock);
	return fd;
}

static int c_close(struct disk *d, int fd)
{
	(void)d;
	return cut.under->ops->close(cut.under, fd);
}

static ssize_t c_pread(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	(void)d;
	return cut.under->ops->pread(cut.under, fd, to, len, at);
}

static ssize_t c_pread_once(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	(void)d;
	return cut.under->ops->pread_once(cut.under, fd, to, len, at);
}

static void soil(struct file *f, uint64_t from, uint64_t to)
{
	for (int i = 0; i < f->extents; i++) {
		struct extent *e = &f->dirty[i];
		if (from <= e->to && to >= e->from) {
			e->from = from < e->from ? from : e->from;
			e->to = to > e->to ? to : e->to;
			return;
		}
	}
	if (f->extents == EXTENTS)
		abort();
	f->dirty[f->extents++] = (struct extent){from, to};
}

static ssize_t put(ssize_t (*pwritev)(struct disk *, int, const struct iovec *, int, uint64_t), int fd, const struct iovec *iov, int n, uint64_t at)
{
	ssize_t got;

	pthread_mutex_lock(&cut.lock);
	got = pwritev(cut.under, fd, iov, n, at);
	if (got > 0)
		soil(cut.opened[fd], at, at + (uint64_t)got);
	pthread_mutex_unlock(&cut.lock);
	return got;
}

static ssize_t c_pwritev(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	(void)d;
	return put(cut.under->ops->pwritev, fd, iov, n, at);
}

static ssize_t c_pwritev_once(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	(void)d;
	return put(cut.under->ops->pwritev_once, fd, iov, n, at);
}

static void copy_bytes(int from, int to, uint64_t at, uint64_t end)
{
	static char bytes[64 << 10];
	ssize_t n;

	while (at < end && (n = pread(from, bytes, end - at < sizeof bytes ? end - at : sizeof bytes, (off_t)at)) != 0) {
		if (n < 0)
			abort();
		if (pwrite(to, bytes, (size_t)n, (off_t)at) != n)
			abort();
		at += (uint64_t)n;
	}
}

static int c_sync(struct disk *d, int fd)
{
	struct file *f = cut.opened[fd];
	struct stat st;

	(void)d;
	pthread_mutex_lock(&cut.lock);
	int err = cut.under->ops->sync(cut.under, fd);
	for (int i = 0; !err && i < f->extents; i++)
		copy_bytes(fd, f->image, f->dirty[i].from, f->dirty[i].to);
	f->extents = 0;                /* written, or never */
	if (fstat(fd, &st) || (!err && ftruncate(f->image, st.st_size)))
		abort();
	pthread_mutex_unlock(&cut.lock);
	return err;
}

void powercut_forget(int fd)
{
	pthread_mutex_lock(&cut.lock);
	cut.opened[fd]->extents = 0;
	pthread_mutex_unlock(&cut.lock);
}

static int c_forget(struct disk *d, int fd)
{
	(void)d;
	return disk_forget(cut.under, fd);
}

static int c_allocate(struct disk *d, int fd, uint64_t len)
{
	(void)d;
	return cut.under->ops->allocate(cut.under, fd, len);
}

static int c_truncate(struct disk *d, int fd, uint64_t len)
{
	(void)d;
	return cut.under->ops->truncate(cut.under, fd, len);
}

static int c_stat(struct disk *d, const char *path, struct stat *st)
{
	(void)d;
	return cut.under->ops->stat(cut.under, path, st);
}

static int c_rename(struct disk *d, const char *from, const char *to)
{
	int err;

	(void)d;
	pthread_mutex_lock(&cut.lock);
	err = cut.under->ops->rename(cut.under, from, to);
	pthread_mutex_unlock(&cut.lock);
	return err;
}

static int c_unlink(struct disk *d, const char *path)
{
	int err;

	(void)d;
	pthread_mutex_lock(&cut.lock);
	err = cut.under->ops->unlink(cut.under, path);
	pthread_mutex_unlock(&cut.lock);
	return err;
}

static int c_mkdir(struct disk *d, const char *path, mode_t mode)
{
	(void)d;
	return cut.under->ops->mkdir(cut.under, path, mode);
}

static int c_list(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	(void)d;
	return cut.under->ops->list(cut.under, path, each, ctx);
}

static void add_name(const char *directory, const char *name)
{
	struct name *n = &cut.names[cut.name_count];
	struct stat st;

	if (cut.name_count == NAMES)
		abort();
	if (strcmp(directory, "."))
		snprintf(n->path, sizeof n->path, "%s/%s", directory, name);
	else
		snprintf(n->path, sizeof n->path, "%s", name);
	if (look_at(n->path, &st) == 0 && S_ISREG(st.st_mode) && (n->file = file_of(st.st_ino)))
		cut.name_count++;
}

static bool lies_in(const char *path, const char *directory)
{
	const char *slash = strchr(path, '/');

	if (!strcmp(directory, "."))
		return !slash;
	return slash && (size_t)(slash - path) == strlen(directory) && !strncmp(path, directory, strlen(directory));
}

static void note_names(const char *directory)
{
	int kept = 0;

	for (int i = 0; i < cut.name_count; i++)
		if (!lies_in(cut.names[i].path, directory))
			cut.names[kept++] = cut.names[i];
	cut.name_count = kept;
	each_name(directory, add_name);
}

static int c_sync_directory(struct disk *d, const char *path)
{
	(void)d;
	pthread_mutex_lock(&cut.lock);
	int err = cut.under->ops->sync_directory(cut.under, path);
	if (!err)
		note_names(path);
	pthread_mutex_unlock(&cut.lock);
	return err;
}

static int c_map(struct disk *d, int fd, size_t len, const void **at)
{
	(void)d;
	return cut.under->ops->map(cut.under, fd, len, at);
}

static int c_unmap(struct disk *d, const void *at, size_t len)
{
	(void)d;
	return cut.under->ops->unmap(cut.under, at, len);
}

static int c_space(struct disk *d, struct disk_space *space)
{
	(void)d;
	return cut.under->ops->space(cut.under, space);
}

static int c_lock(struct disk *d, int fd)
{
	(void)d;
	return cut.under->ops->lock(cut.under, fd);
}

static void c_free(struct disk *d)
{
	(void)d;
	for (int i = 0; i < cut.file_count; i++)
		close(cut.files[i].image);
	free(cut.files);
	disk_free(cut.under);
	scratch_remove(cut.images);
}

static const struct disk_ops cut_ops = {
	.open = c_open,
	.close = c_close,
	.pread = c_pread,
	.pread_once = c_pread_once,
	.pwritev = c_pwritev,
	.pwritev_once = c_pwritev_once,
	.sync = c_sync,
	.forget = c_forget,
	.allocate = c_allocate,
	.truncate = c_truncate,
	.stat = c_stat,
	.rename = c_rename,
	.unlink = c_unlink,
	.mkdir = c_mkdir,
	.list = c_list,
	.sync_directory = c_sync_directory,
	.map = c_map,
	.unmap = c_unmap,
	.space = c_space,
	.lock = c_lock,
	.free = c_free,
};

static const char *const directories[] = {".", "log", "checkpoint", "lost"};
#define DIRECTORIES (sizeof directories / sizeof *directories)

static void adopt_one(const char *directory, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	struct file *f;
	int fd;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	if (look_at(path, &st) || !S_ISREG(st.st_mode))
		return;
	f = new_file(st.st_ino);
	fd = open_file(path);
	if (fd < 0 || ftruncate(f->image, st.st_size))
		abort();
	copy_bytes(fd, f->image, 0, (uint64_t)st.st_size);
	close(fd);
}

int powercut_open(struct disk **d, const char *path)
{
	int err;

	disk_init(&cut.disk, &cut_ops);
	cut.file_count = cut.name_count = 0;
	snprintf(cut.path, sizeof cut.path, "%s", path);
	snprintf(cut.images, sizeof cut.images, "%s-images", path);
	cut.files = calloc(FILES, sizeof *cut.files);
	if (!cut.files || mkdir(cut.images, 0700))
		abort();
	*d = &cut.disk;
	err = disk_open_directory(&cut.under, path);
	for (size_t i = 0; !err && i < DIRECTORIES; i++) {
		each_name(directories[i], adopt_one);
		note_names(directories[i]);
	}
	return err;
}

/* About every other page of what is dirty. */
static void copy_pages(const struct file *f, int from, int to, unsigned *random)
{
	for (int i = 0; i < f->extents; i++)
		for (uint64_t at = f->dirty[i].from; at < f->dirty[i].to; at = (at / PAGE + 1) * PAGE) {
			uint64_t end = (at / PAGE + 1) * PAGE;
			*random = *random * 1103515245u + 12345u;
			if (*random >> 30 & 1)
				copy_bytes(from, to, at, end < f->dirty[i].to ? end : f->dirty[i].to);
		}
}

static void copy_file(const struct name *n, const char *to, bool pages, unsigned *random)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, from;

	snprintf(path, sizeof path, "%s/%s", to, n->path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(n->file->image, &st) || ftruncate(fd, st.st_size))
		abort();
	if (strcmp(n->path, "reserve"))
		copy_bytes(n->file->image, fd, 0, (uint64_t)st.st_size);
	from = open_file(n->path);
	/* Under its name of then there may be another file now. */
	if (pages && from >= 0 && fstat(from, &st) == 0 && st.st_ino == n->file->ino) {
		copy_pages(n->file, from, fd, random);
		if (ftruncate(fd, st.st_size))
			abort();
	}
	if (from >= 0)
		close(from);
	close(fd);
}

void powercut_copy(const char *to, enum cut how)
{
	static unsigned random = 1;
	static struct name saved[NAMES];
	char path[PATH_MAX];
	int count;

	pthread_mutex_lock(&cut.lock);
	mkdir(to, 0700);
	for (size_t i = 1; i < DIRECTORIES; i++) {
		snprintf(path, sizeof path, "%s/%s", to, directories[i]);
		mkdir(path, 0700);
	}
	memcpy(saved, cut.names, sizeof saved);
	count = cut.name_count;
	if (how == CUT_NEW_NAMES || how == CUT_SOME_PAGES_NEW_NAMES) {
		for (size_t i = 0; i < DIRECTORIES; i++)
			note_names(directories[i]);
	}
	for (int i = 0; i < cut.name_count; i++)
		copy_file(&cut.names[i], to, how == CUT_SOME_PAGES || how == CUT_SOME_PAGES_NEW_NAMES, &random);
	memcpy(cut.names, saved, sizeof saved);
	cut.name_count = count;
	pthread_mutex_unlock(&cut.lock);
}
