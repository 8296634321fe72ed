/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of disk.h that are the same for every disk: whole transfers, guarded reads of mappings. */
#include "disk.h"
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <pthread.h>

#define ONCE_PAGE 65536u               /* bytes: no system has larger pages */

void disk_init(struct disk *d, const struct disk_ops *ops)
{
	d->ops = ops;
	d->unsound = 0;
	pthread_mutex_init(&d->names, NULL);
}

void disk_free(struct disk *d)
{
	if (d)
		d->ops->free(d);
}

int disk_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	int fd;

	do {
		fd = d->ops->open(d, path, flags, mode);
	} while (fd == -EINTR);
	return fd;
}

void disk_close(struct disk *d, int fd)
{
	if (fd >= 0)
		d->ops->close(d, fd);
}

typedef ssize_t read_call(struct disk *d, int fd, void *to, size_t len, uint64_t at);

static int read_all(read_call *call, struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = call(d, fd, to, len, at);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ENODATA;
		to = (char *)to + n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

int disk_read(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	return read_all(d->ops->pread, d, fd, to, len, at);
}

int disk_read_once(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	return read_all(d->ops->pread_once ? d->ops->pread_once : d->ops->pread, d, fd, to, len, at);
}

typedef ssize_t write_call(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at);

static int write_all(write_call *call, struct disk *d, int fd, struct iovec *iov, int n, uint64_t at)
{
	while (n) {
		if (iov->iov_len == 0) {
			iov++, n--;
			continue;
		}
		ssize_t put = call(d, fd, iov, n < IOV_MAX ? n : IOV_MAX, at);
		if (put == -EINTR)
			continue;
		if (put < 0)
			return (int)put;
		if (put == 0)
			return -EIO;
		at += (uint64_t)put;
		while (n && (size_t)put >= iov->iov_len) {
			put -= (ssize_t)iov->iov_len;
			iov++, n--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + put;
			iov->iov_len -= (size_t)put;
		}
	}
	return 0;
}

int disk_write(struct disk *d, int fd, const void *from, size_t len, uint64_t at)
{
	struct iovec iov = {(void *)from, len};

	return disk_writev(d, fd, &iov, 1, at);
}

/* The last page, which the next write goes on in, stays: it would be read from the disk again for that. */
int disk_write_once(struct disk *d, int fd, const void *from, size_t len, uint64_t at)
{
	uint64_t edge = (at + len) / ONCE_PAGE * ONCE_PAGE;
	size_t whole = edge > at ? (size_t)(edge - at) : 0;
	struct iovec iov = {(void *)from, whole};
	int err = write_all(d->ops->pwritev_once ? d->ops->pwritev_once : d->ops->pwritev, d, fd, &iov, 1, at);

	return err ? err : disk_write(d, fd, (const char *)from + whole, len - whole, at + whole);
}

int disk_writev(struct disk *d, int fd, struct iovec *iov, int n, uint64_t at)
{
	return write_all(d->ops->pwritev, d, fd, iov, n, at);
}

int disk_sync(struct disk *d, int fd)
{
	return d->ops->sync(d, fd);
}

int disk_forget(struct disk *d, int fd)
{
	return d->ops->forget ? d->ops->forget(d, fd) : 0;
}

int disk_allocate(struct disk *d, int fd, uint64_t len)
{
	int err;

	do {
		err = d->ops->allocate(d, fd, len);
	} while (err == -EINTR);
	return err;
}

int disk_truncate(struct disk *d, int fd, uint64_t len)
{
	int err;

	do {
		err = d->ops->truncate(d, fd, len);
	} while (err == -EINTR);
	return err;
}

int disk_stat(struct disk *d, const char *path, struct stat *st)
{
	return d->ops->stat(d, path, st);
}

int disk_rename(struct disk *d, const char *from, const char *to)
{
	return d->ops->rename(d, from, to);
}

int disk_unlink(struct disk *d, const char *path)
{
	return d->ops->unlink(d, path);
}

int disk_mkdir(struct disk *d, const char *path, mode_t mode)
{
	return d->ops->mkdir(d, path, mode);
}

int disk_list(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	return d->ops->list(d, path, each, ctx);
}

int disk_sync_directory(struct disk *d, const char *path)
{
	int err;

	pthread_mutex_lock(&d->names);
	err = d->unsound ? d->unsound : d->ops->sync_directory(d, path);
	/* Without a descriptor or memory it was not even begun. */
	if (err && !disk_error_passes(err))
		d->unsound = err;
	pthread_mutex_unlock(&d->names);
	return err;
}

int disk_map(struct disk *d, int fd, size_t len, const void **at)
{
	return d->ops->map(d, fd, len, at);
}

void disk_unmap(struct disk *d, const void *at, size_t len)
{
	if (at)
		d->ops->unmap(d, at, len);
}

int disk_space(struct disk *d, struct disk_space *space)
{
	return d->ops->space(d, space);
}

int disk_lock(struct disk *d, int fd)
{
	return d->ops->lock(d, fd);
}

/*
 * A mapping cannot return an error: where the disk fails the read is a SIGBUS. It goes back to the disk_guard() that the
 * thread is in; a thread that is in none has a bug, and dies as it would have. The handler runs on the thread that
 * read, so the jump stays within its own stack.
 */
static _Thread_local sigjmp_buf *guard;
static pthread_once_t guard_once = PTHREAD_ONCE_INIT;

static void on_sigbus(int sig)
{
	if (guard)
		siglongjmp(*guard, 1);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void guard_install(void)
{
	struct sigaction sa = {.sa_handler = on_sigbus, .sa_flags = SA_NODEFER};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, NULL);
}

int disk_guard(int (*work)(void *ctx), void *ctx)
{
	sigjmp_buf here, *outer = guard;
	int err;

	pthread_once(&guard_once, guard_install);
	if (sigsetjmp(here, 0)) {
		guard = outer;
		return -EIO;
	}
	guard = &here;
	err = work(ctx);
	guard = outer;
	return err;
}
