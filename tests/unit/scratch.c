/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"
#include "record.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <ftw.h>

char scratch_path[64];
struct faulty scratch;
uint8_t scratch_secret[RECORD_SECRET];

static bool fails_any(enum faulty_call call)
{
	int left = scratch.fail_any;

	if (!left || !(scratch.kinds & 1u << call))
		return false;
	while (left > 1 && !atomic_compare_exchange_weak(&scratch.fail_any, &left, left - 1))
		;
	if (left > 1)
		return false;
	scratch.failed = call;
	if (!scratch.stays)
		scratch.fail_any = 0;
	return true;
}

static bool fails(enum faulty_call call)
{
	if (scratch.before_call)
		scratch.before_call(scratch.ctx);
	scratch.calls[call]++;
	if (scratch.chosen && scratch.chosen())
		return true;
	return (scratch.fail[call] && --scratch.fail[call] == 0) || fails_any(call);
}

static int f_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	int fd = fails(CALL_OPEN) ? scratch.error : scratch.under->ops->open(scratch.under, path, flags, mode);

	(void)d;
	if (fd >= 0) {
		scratch.opened++;
		scratch.unsound[fd % SCRATCH_FILES] = false;
	}
	return fd;
}

static int f_close(struct disk *d, int fd)
{
	(void)d;
	scratch.opened--;
	return scratch.under->ops->close(scratch.under, fd);
}

static ssize_t f_pread(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	(void)d;
	if (fails(CALL_PREAD)) {
		if (!scratch.halved)
			return scratch.error;
		len = (len + 1) / 2;
	}
	return scratch.under->ops->pread(scratch.under, fd, to, len, at);
}

static ssize_t f_pread_once(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	(void)d;
	if (!scratch.under->ops->pread_once)
		return f_pread(d, fd, to, len, at);
	if (fails(CALL_PREAD)) {
		if (!scratch.halved)
			return scratch.error;
		len = (len + 1) / 2;
	}
	return scratch.under->ops->pread_once(scratch.under, fd, to, len, at);
}

typedef ssize_t pwritev_call(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at);

static ssize_t put(pwritev_call *call, int fd, const struct iovec *iov, int n, uint64_t at)
{
	if (fails(CALL_PWRITEV)) {
		if (!scratch.halved)
			return scratch.error;
		struct iovec half = {iov->iov_base, (iov->iov_len + 1) / 2};
		return call(scratch.under, fd, &half, 1, at);
	}
	return call(scratch.under, fd, iov, n, at);
}

static ssize_t f_pwritev(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	(void)d;
	return put(scratch.under->ops->pwritev, fd, iov, n, at);
}

static ssize_t f_pwritev_once(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	(void)d;
	return put(scratch.under->ops->pwritev_once ? scratch.under->ops->pwritev_once : scratch.under->ops->pwritev, fd, iov, n, at);
}

static int f_sync(struct disk *d, int fd)
{
	bool failed;
	int err;

	(void)d;
	if (scratch.before_sync)
		scratch.before_sync(scratch.ctx);
	failed = fails(CALL_SYNC);
	scratch.retried += scratch.unsound[fd % SCRATCH_FILES];
	err = failed ? scratch.error : scratch.under->ops->sync(scratch.under, fd);
	if (err)
		scratch.unsound[fd % SCRATCH_FILES] = true;
	if (failed && scratch.sync_failed)
		scratch.sync_failed(scratch.ctx, fd);
	return err;
}

static int f_forget(struct disk *d, int fd)
{
	(void)d;
	return fails(CALL_FORGET) ? scratch.error : disk_forget(scratch.under, fd);
}

static int f_allocate(struct disk *d, int fd, uint64_t len)
{
	(void)d;
	return fails(CALL_ALLOCATE) ? scratch.error : scratch.under->ops->allocate(scratch.under, fd, len);
}

static int f_truncate(struct disk *d, int fd, uint64_t len)
{
	(void)d;
	return fails(CALL_TRUNCATE) ? scratch.error : scratch.under->ops->truncate(scratch.under, fd, len);
}

static int f_stat(struct disk *d, const char *path, struct stat *st)
{
	(void)d;
	return fails(CALL_STAT) ? scratch.error : scratch.under->ops->stat(scratch.under, path, st);
}

static int f_rename(struct disk *d, const char *from, const char *to)
{
	(void)d;
	return fails(CALL_RENAME) ? scratch.error : scratch.under->ops->rename(scratch.under, from, to);
}

static int f_unlink(struct disk *d, const char *path)
{
	(void)d;
	return fails(CALL_UNLINK) ? scratch.error : scratch.under->ops->unlink(scratch.under, path);
}

static int f_mkdir(struct disk *d, const char *path, mode_t mode)
{
	(void)d;
	return fails(CALL_MKDIR) ? scratch.error : scratch.under->ops->mkdir(scratch.under, path, mode);
}

static int f_list(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	(void)d;
	return fails(CALL_LIST) ? scratch.error : scratch.under->ops->list(scratch.under, path, each, ctx);
}

static int f_sync_directory(struct disk *d, const char *path)
{
	bool failed = fails(CALL_SYNC_DIRECTORY);
	int err = failed ? scratch.error : scratch.under->ops->sync_directory(scratch.under, path);

	(void)d;
	scratch.retried += scratch.names_unsound;
	if (err && err != -EMFILE)
		scratch.names_unsound = true;
	return err;
}

static int f_map(struct disk *d, int fd, size_t len, const void **at)
{
	(void)d;
	return fails(CALL_MAP) ? scratch.error : scratch.under->ops->map(scratch.under, fd, len, at);
}

static int f_unmap(struct disk *d, const void *at, size_t len)
{
	(void)d;
	return scratch.under->ops->unmap(scratch.under, at, len);
}

static int f_space(struct disk *d, struct disk_space *space)
{
	int err = fails(CALL_SPACE) ? scratch.error : scratch.under->ops->space(scratch.under, space);

	(void)d;
	if (scratch.free)
		space->free = scratch.free;
	return err;
}

static int f_lock(struct disk *d, int fd)
{
	(void)d;
	return fails(CALL_LOCK) ? scratch.error : scratch.under->ops->lock(scratch.under, fd);
}

static void f_free(struct disk *d)
{
	(void)d;
}

static const struct disk_ops faulty_ops = {
	.open = f_open,
	.close = f_close,
	.pread = f_pread,
	.pread_once = f_pread_once,
	.pwritev = f_pwritev,
	.pwritev_once = f_pwritev_once,
	.sync = f_sync,
	.forget = f_forget,
	.allocate = f_allocate,
	.truncate = f_truncate,
	.stat = f_stat,
	.rename = f_rename,
	.unlink = f_unlink,
	.mkdir = f_mkdir,
	.list = f_list,
	.sync_directory = f_sync_directory,
	.map = f_map,
	.unmap = f_unmap,
	.space = f_space,
	.lock = f_lock,
	.free = f_free,
};

void scratch_init(void)
{
	scratch_init_in("/tmp");
}

void scratch_init_in(const char *parent)
{
	snprintf(scratch_path, sizeof scratch_path, "%s/mqfs-test.XXXXXX", parent);
	if (!mkdtemp(scratch_path))
		abort();
	memset(&scratch, 0, sizeof scratch);
	disk_init(&scratch.disk, &faulty_ops);
	scratch.error = -EIO;
	if (disk_open_directory(&scratch.under, scratch_path))
		abort();
	for (unsigned i = 0; i < RECORD_SECRET; i++)
		scratch_secret[i] = (uint8_t)(i * 73 + 5);
}

static size_t copy_from;               /* bytes of the path that is copied */
static const char *copy_to;

static int copy_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	char to[PATH_MAX];
	int from_fd, to_fd;
	ssize_t n;

	(void)walk;
	snprintf(to, sizeof to, "%s%s", copy_to, path + copy_from);
	if (kind == FTW_D)
		return mkdir(to, 0700);
	from_fd = open(path, O_RDONLY | O_CLOEXEC);
	to_fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (from_fd < 0 || to_fd < 0 || ftruncate(to_fd, st->st_size))
		abort();
	while ((n = copy_file_range(from_fd, NULL, to_fd, NULL, (size_t)st->st_size, 0)) > 0)
		;
	close(from_fd);
	close(to_fd);
	return (int)n;
}

void scratch_copy(const char *from, const char *to)
{
	copy_from = strlen(from);
	copy_to = to;
	if (nftw(from, copy_one, 16, FTW_PHYS))
		abort();
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	(void)st;
	(void)kind;
	(void)walk;
	return remove(path);
}

void scratch_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_end(void)
{
	disk_free(scratch.under);
	scratch_remove(scratch_path);
}
