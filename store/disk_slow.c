/* SPDX-License-Identifier: Apache-2.0 */
/* A disk whose syncs take longer: for benchmarks and tests of group commit. */
#include "disk.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct slow {
	struct disk disk;
	struct disk *under;
	struct timespec delay;
};

static void nap(const struct slow *s)
{
	struct timespec left = s->delay;

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

#define UNDER(d) (((struct slow *)(d))->under)

static int slow_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	return UNDER(d)->ops->open(UNDER(d), path, flags, mode);
}

static int slow_close(struct disk *d, int fd)
{
	return UNDER(d)->ops->close(UNDER(d), fd);
}

static ssize_t slow_pread(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	return UNDER(d)->ops->pread(UNDER(d), fd, to, len, at);
}

static ssize_t slow_pwritev(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	return UNDER(d)->ops->pwritev(UNDER(d), fd, iov, n, at);
}

static int slow_sync(struct disk *d, int fd)
{
	nap((struct slow *)d);
	return UNDER(d)->ops->sync(UNDER(d), fd);
}

static int slow_forget(struct disk *d, int fd)
{
	return disk_forget(UNDER(d), fd);
}

static int slow_allocate(struct disk *d, int fd, uint64_t len)
{
	return UNDER(d)->ops->allocate(UNDER(d), fd, len);
}

static int slow_truncate(struct disk *d, int fd, uint64_t len)
{
	return UNDER(d)->ops->truncate(UNDER(d), fd, len);
}

static int slow_stat(struct disk *d, const char *path, struct stat *st)
{
	return UNDER(d)->ops->stat(UNDER(d), path, st);
}

static int slow_rename(struct disk *d, const char *from, const char *to)
{
	return UNDER(d)->ops->rename(UNDER(d), from, to);
}

static int slow_unlink(struct disk *d, const char *path)
{
	return UNDER(d)->ops->unlink(UNDER(d), path);
}

static int slow_mkdir(struct disk *d, const char *path, mode_t mode)
{
	return UNDER(d)->ops->mkdir(UNDER(d), path, mode);
}

static int slow_list(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	return UNDER(d)->ops->list(UNDER(d), path, each, ctx);
}

static int slow_sync_directory(struct disk *d, const char *path)
{
	nap((struct slow *)d);
	return UNDER(d)->ops->sync_directory(UNDER(d), path);
}

static int slow_map(struct disk *d, int fd, size_t len, const void **at)
{
	return UNDER(d)->ops->map(UNDER(d), fd, len, at);
}

static int slow_unmap(struct disk *d, const void *at, size_t len)
{
	return UNDER(d)->ops->unmap(UNDER(d), at, len);
}

static int slow_space(struct disk *d, struct disk_space *space)
{
	return UNDER(d)->ops->space(UNDER(d), space);
}

static int slow_lock(struct disk *d, int fd)
{
	return UNDER(d)->ops->lock(UNDER(d), fd);
}

static void slow_free(struct disk *d)
{
	disk_free(UNDER(d));
	pthread_mutex_destroy(&d->names);
	free(d);
}

static const struct disk_ops slow_ops = {
	.open = slow_open,
	.close = slow_close,
	.pread = slow_pread,
	.pwritev = slow_pwritev,
	.sync = slow_sync,
	.forget = slow_forget,
	.allocate = slow_allocate,
	.truncate = slow_truncate,
	.stat = slow_stat,
	.rename = slow_rename,
	.unlink = slow_unlink,
	.mkdir = slow_mkdir,
	.list = slow_list,
	.sync_directory = slow_sync_directory,
	.map = slow_map,
	.unmap = slow_unmap,
	.space = slow_space,
	.lock = slow_lock,
	.free = slow_free,
};

int disk_open_slow(struct disk **d, struct disk *under, uint64_t delay_ns)
{
	struct slow *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	disk_init(&s->disk, &slow_ops);
	s->under = under;
	s->delay = (struct timespec){(time_t)(delay_ns / 1000000000u), (long)(delay_ns % 1000000000u)};
	*d = &s->disk;
	return 0;
}
