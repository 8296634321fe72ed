/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_disk.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define DESCRIPTORS 64
#define SPACE (UINT64_C(1) << 40)

/* What a name, a descriptor or a mapping stands for. */
struct content {
	uint8_t *bytes;                  /* malloc'ed, of SIZE bytes exactly */
	size_t size;
	unsigned users, maps;
	uint8_t **outgrown;              /* blocks that mappings may still show */
	size_t outgrown_count;
};

struct file {
	char *path;
	struct content *content;         /* NULL: a directory */
	struct file *prev, *next;
};

struct mapping {
	const void *at;
	struct content *content;
	struct mapping *next;
};

struct memory_disk {
	struct disk disk;
	pthread_mutex_t lock;
	unsigned users;
	struct file *files;
	struct mapping *mappings;
	struct content *open[DESCRIPTORS];
};

static struct memory_disk *lock(struct disk *d)
{
	struct memory_disk *m = (struct memory_disk *)d;

	pthread_mutex_lock(&m->lock);
	return m;
}

static int unlock(struct memory_disk *m, int result)
{
	pthread_mutex_unlock(&m->lock);
	return result;
}

static void *must_have(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void content_put(struct content *c)
{
	if (--c->users > 0)
		return;
	for (size_t i = 0; i < c->outgrown_count; i++)
		free(c->outgrown[i]);
	free(c->outgrown);
	free(c->bytes);
	free(c);
}

/* What a mapping shows must stay where it is. */
static void resize(struct content *c, size_t size)
{
	uint8_t *bytes = must_have(malloc(size ? size : 1));

	memcpy(bytes, c->bytes, size < c->size ? size : c->size);
	if (size > c->size)
		memset(bytes + c->size, 0, size - c->size);
	if (c->maps) {
		c->outgrown = must_have(realloc(c->outgrown, (c->outgrown_count + 1) * sizeof *c->outgrown));
		c->outgrown[c->outgrown_count++] = c->bytes;
	} else {
		free(c->bytes);
	}
	c->bytes = bytes;
	c->size = size;
}

static struct file *find(struct memory_disk *m, const char *path)
{
	struct file *f;

	DL_FOREACH(m->files, f)
		if (strcmp(f->path, path) == 0)
			return f;
	return NULL;
}

static struct file *add(struct memory_disk *m, const char *path, bool directory)
{
	struct file *f = must_have(calloc(1, sizeof *f));

	f->path = must_have(strdup(path));
	if (!directory) {
		f->content = must_have(calloc(1, sizeof *f->content));
		f->content->bytes = must_have(malloc(1));
		f->content->users = 1;
	}
	DL_APPEND(m->files, f);
	return f;
}

static void drop(struct memory_disk *m, struct file *f)
{
	DL_DELETE(m->files, f);
	if (f->content)
		content_put(f->content);
	free(f->path);
	free(f);
}

static int m_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	struct memory_disk *m = lock(d);
	struct file *f = find(m, path);
	int fd = 0;

	(void)mode;
	if (f && !f->content)
		return unlock(m, -EISDIR);
	if (f && (flags & O_CREAT) && (flags & O_EXCL))
		return unlock(m, -EEXIST);
	if (!f && !(flags & O_CREAT))
		return unlock(m, -ENOENT);
	while (fd < DESCRIPTORS && m->open[fd])
		fd++;
	if (fd == DESCRIPTORS)
		return unlock(m, -EMFILE);
	if (!f)
		f = add(m, path, false);
	if (flags & O_TRUNC)
		resize(f->content, 0);
	f->content->users++;
	m->open[fd] = f->content;
	return unlock(m, fd);
}

static int m_close(struct disk *d, int fd)
{
	struct memory_disk *m = lock(d);

	content_put(m->open[fd]);
	m->open[fd] = NULL;
	return unlock(m, 0);
}

static ssize_t m_pread(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	struct memory_disk *m = lock(d);
	const struct content *c = m->open[fd];
	size_t rest = at < c->size ? c->size - (size_t)at : 0;

	if (at > INT64_MAX)
		return unlock(m, -EINVAL);
	if (len > rest)
		len = rest;
	if (len)
		memcpy(to, c->bytes + at, len);
	unlock(m, 0);
	return (ssize_t)len;
}

static ssize_t m_pwritev(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	struct memory_disk *m = lock(d);
	struct content *c = m->open[fd];
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (at > INT64_MAX)
		return unlock(m, -EINVAL);
	if (at + len > c->size)
		resize(c, (size_t)at + len);
	for (int i = 0; i < n; i++) {
		memcpy(c->bytes + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	unlock(m, 0);
	return (ssize_t)len;
}

static int m_sync(struct disk *d, int fd)
{
	(void)d;
	(void)fd;
	return 0;
}

static int m_allocate(struct disk *d, int fd, uint64_t len)
{
	struct memory_disk *m = lock(d);

	if (len > m->open[fd]->size)
		resize(m->open[fd], (size_t)len);
	return unlock(m, 0);
}

static int m_truncate(struct disk *d, int fd, uint64_t len)
{
	struct memory_disk *m = lock(d);

	resize(m->open[fd], (size_t)len);
	return unlock(m, 0);
}

static int m_stat(struct disk *d, const char *path, struct stat *st)
{
	struct memory_disk *m = lock(d);
	struct file *f = find(m, path);

	memset(st, 0, sizeof *st);
	if (!f && strcmp(path, ".") != 0)
		return unlock(m, -ENOENT);
	st->st_mode = f && f->content ? S_IFREG | 0600 : S_IFDIR | 0700;
	st->st_size = f && f->content ? (off_t)f->content->size : 0;
	st->st_blocks = (st->st_size + 511) / 512;
	return unlock(m, 0);
}

static int m_rename(struct disk *d, const char *from, const char *to)
{
	struct memory_disk *m = lock(d);
	struct file *f = find(m, from), *old = find(m, to);

	if (!f)
		return unlock(m, -ENOENT);
	if (old && old != f)
		drop(m, old);
	free(f->path);
	f->path = must_have(strdup(to));
	return unlock(m, 0);
}

static int m_unlink(struct disk *d, const char *path)
{
	struct memory_disk *m = lock(d);
	struct file *f = find(m, path);

	if (f)
		drop(m, f);
	return unlock(m, f ? 0 : -ENOENT);
}

static int m_mkdir(struct disk *d, const char *path, mode_t mode)
{
	struct memory_disk *m = lock(d);
	struct file *f = find(m, path);

	(void)mode;
	if (!f)
		add(m, path, true);
	return unlock(m, f ? -EEXIST : 0);
}

/* The name of F in the directory PATH, or NULL. */
static const char *name_in(const struct file *f, const char *path)
{
	size_t len = strcmp(path, ".") == 0 ? 0 : strlen(path);
	const char *name = f->path;

	if (len) {
		if (strncmp(name, path, len) != 0 || name[len] != '/')
			return NULL;
		name += len + 1;
	}
	return strchr(name, '/') ? NULL : name;
}

/* The names are copied, as EACH may change the directory. */
static int m_list(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	struct memory_disk *m = lock(d);
	const struct file *f;
	size_t count = 0;
	char **names;
	int err = 0;

	if (strcmp(path, ".") != 0 && !find(m, path))
		return unlock(m, -ENOENT);
	DL_COUNT(m->files, f, count);
	names = must_have(calloc(count + 1, sizeof *names));
	count = 0;
	DL_FOREACH(m->files, f)
		if (name_in(f, path))
			names[count++] = must_have(strdup(name_in(f, path)));
	unlock(m, 0);
	for (size_t i = 0; i < count; i++) {
		if (!err)
			err = each(ctx, names[i]);
		free(names[i]);
	}
	free(names);
	return err;
}

static int m_sync_directory(struct disk *d, const char *path)
{
	(void)d;
	(void)path;
	return 0;
}

static int m_map(struct disk *d, int fd, size_t len, const void **at)
{
	struct memory_disk *m = lock(d);
	struct content *c = m->open[fd];
	struct mapping *p;

	if (len > c->size)
		return unlock(m, -ENODATA);
	p = must_have(calloc(1, sizeof *p));
	p->at = *at = c->bytes;
	p->content = c;
	c->maps++;
	c->users++;
	LL_PREPEND(m->mappings, p);
	return unlock(m, 0);
}

static int m_unmap(struct disk *d, const void *at, size_t len)
{
	struct memory_disk *m = lock(d);
	struct mapping *p;

	(void)len;
	LL_SEARCH_SCALAR(m->mappings, p, at, at);
	if (!p)
		abort();
	LL_DELETE(m->mappings, p);
	p->content->maps--;
	content_put(p->content);
	free(p);
	return unlock(m, 0);
}

static int m_space(struct disk *d, struct disk_space *space)
{
	(void)d;
	*space = (struct disk_space){.total = SPACE, .free = SPACE / 2};
	return 0;
}

static int m_lock(struct disk *d, int fd)
{
	(void)d;
	(void)fd;
	return 0;
}

static void m_free(struct disk *d)
{
	struct memory_disk *m = lock(d);

	if (unlock(m, --m->users > 0))
		return;
	if (m->mappings)
		abort();
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		if (m->open[fd])
			abort();
	while (m->files)
		drop(m, m->files);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct disk_ops memory_ops = {
	.open = m_open,
	.close = m_close,
	.pread = m_pread,
	.pwritev = m_pwritev,
	.sync = m_sync,
	.allocate = m_allocate,
	.truncate = m_truncate,
	.stat = m_stat,
	.rename = m_rename,
	.unlink = m_unlink,
	.mkdir = m_mkdir,
	.list = m_list,
	.sync_directory = m_sync_directory,
	.map = m_map,
	.unmap = m_unmap,
	.space = m_space,
	.lock = m_lock,
	.free = m_free,
};

struct disk *memory_disk_new(void)
{
	struct memory_disk *m = must_have(calloc(1, sizeof *m));

	disk_init(&m->disk, &memory_ops);
	m->users = 1;
	pthread_mutex_init(&m->lock, NULL);
	add(m, "log", true);
	add(m, "checkpoint", true);
	add(m, "lost", true);
	return &m->disk;
}

struct disk *memory_disk_hold(struct disk *d)
{
	struct memory_disk *m = lock(d);

	m->users++;
	unlock(m, 0);
	return d;
}

struct disk *memory_disk_copy(struct disk *from)
{
	struct memory_disk *m = (struct memory_disk *)from;
	struct disk *to = memory_disk_new();
	const struct file *f;

	DL_FOREACH(m->files, f)
		if (f->content)
			memory_disk_put(to, f->path, f->content->bytes, f->content->size);
	return to;
}

void memory_disk_put(struct disk *d, const char *path, const void *bytes, size_t len)
{
	struct memory_disk *m = lock(d);
	struct file *f = find(m, path);

	if (!f)
		f = add(m, path, false);
	resize(f->content, len);
	if (bytes && len)
		memcpy(f->content->bytes, bytes, len);
	unlock(m, 0);
}

uint8_t *memory_disk_get(struct disk *d, const char *path, size_t *len)
{
	struct memory_disk *m = lock(d);
	struct file *f = find(m, path);

	unlock(m, 0);
	if (!f || !f->content)
		return NULL;
	*len = f->content->size;
	return f->content->bytes;
}

const char *memory_disk_name(struct disk *d, size_t n)
{
	struct memory_disk *m = lock(d);
	struct file *f;

	DL_FOREACH(m->files, f)
		if (f->content && n-- == 0)
			break;
	unlock(m, 0);
	return f ? f->path : NULL;
}
