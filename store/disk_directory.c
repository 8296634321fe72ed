/* SPDX-License-Identifier: Apache-2.0 */
/* The real disk: a directory of the system's file system, by the system's calls. */
#include "disk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80             /* linux/fs.h */
#endif
#define KEPT 4                         /* directories whose descriptors are kept: a store has that many */

struct directory {
	struct disk disk;
	int root;
	bool lent;                     /* it is another user's than root's, and root is here */
	uid_t uid;                     /* whose it is */
	gid_t gid;
	pthread_mutex_t lock;
	struct {
		char path[32];
		int fd;
	} kept[KEPT];                  /* guarded by the lock */
	int kept_count;
};

static int root_of(struct disk *d)
{
	return ((struct directory *)d)->root;
}

static int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

/*
 * Root in another user's directory makes what it makes that user's: who mounts the store next must get at it. Its owner might have put links there,
 * though, that lead root to files of others; they are not followed, and only what was made here and now is given away.
 */
static int open_lent(struct directory *dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	int fd;

	if (flags & O_CREAT) {
		how.mode = mode;
		how.flags |= O_EXCL;
		fd = (int)syscall(SYS_openat2, dir->root, path, &how, sizeof how);
		if (fd >= 0 && fchownat(fd, "", dir->uid, dir->gid, AT_EMPTY_PATH)) {
			int err = -errno;
			close(fd);
			return err;
		}
		if (fd >= 0 || errno != EEXIST || flags & O_EXCL)
			return result(fd);
		how.mode = 0;
		how.flags &= ~(uint64_t)(O_CREAT | O_EXCL);
	}
	return result((int)syscall(SYS_openat2, dir->root, path, &how, sizeof how));
}

static int real_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	if (((struct directory *)d)->lent)
		return open_lent((struct directory *)d, path, flags, mode);
	return result(openat(root_of(d), path, flags | O_CLOEXEC, mode));
}

static int real_close(struct disk *d, int fd)
{
	(void)d;
	return result(close(fd));
}

static ssize_t real_pread(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	ssize_t n = pread(fd, to, len, (off_t)at);

	(void)d;
	return n < 0 ? -errno : n;
}

/* Which of the file's pages from AT on, a page's beginning, are in the cache: a byte a page, malloc'ed. NULL: not to be known. */
static unsigned char *cached_pages(int fd, uint64_t at, size_t pages, size_t page)
{
	unsigned char *there = malloc(pages);
	void *map = there ? mmap(NULL, pages * page, PROT_READ, MAP_SHARED, fd, (off_t)at) : MAP_FAILED;
	int err = map == MAP_FAILED ? -1 : mincore(map, pages * page, there);

	if (map != MAP_FAILED)
		munmap(map, pages * page);
	if (!err)
		return there;
	free(there);
	return NULL;
}

/* Reading ahead would bring pages in that the next call takes for somebody else's. */
static ssize_t real_pread_once(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages, i, n;
	uint64_t from = at / page * page;
	unsigned char *there;
	ssize_t got;

	pages = (size_t)((at + len - from + page - 1) / page);
	there = cached_pages(fd, from, pages, page);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	got = real_pread(d, fd, to, len, at);
	for (i = 0; there && i < pages; i += n) {
		for (n = 1; i + n < pages && (there[i + n] & 1) == (there[i] & 1);)
			n++;
		if (!(there[i] & 1))
			posix_fadvise(fd, (off_t)(from + i * page), (off_t)(n * page), POSIX_FADV_DONTNEED);
	}
	free(there);
	return got;
}

static ssize_t real_pwritev(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	ssize_t put = pwritev(fd, iov, n, (off_t)at);

	(void)d;
	return put < 0 ? -errno : put;
}

/* Since Linux 6.14, on file systems that take part; others refuse the flag, and write nothing. */
static ssize_t real_pwritev_once(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	ssize_t put = pwritev2(fd, iov, n, (off_t)at, RWF_DONTCACHE);

	return put < 0 ? real_pwritev(d, fd, iov, n, at) : put;
}

static int real_sync(struct disk *d, int fd)
{
	(void)d;
	return result(fdatasync(fd));
}

static int real_forget(struct disk *d, int fd)
{
	(void)d;
	return -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int real_allocate(struct disk *d, int fd, uint64_t len)
{
	(void)d;
	if (fallocate(fd, 0, 0, (off_t)len) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	return -posix_fallocate(fd, 0, (off_t)len);
}

static int real_truncate(struct disk *d, int fd, uint64_t len)
{
	(void)d;
	return result(ftruncate(fd, (off_t)len));
}

static int real_stat(struct disk *d, const char *path, struct stat *st)
{
	return result(fstatat(root_of(d), path, st, 0));
}

static int real_rename(struct disk *d, const char *from, const char *to)
{
	return result(renameat(root_of(d), from, root_of(d), to));
}

static int real_unlink(struct disk *d, const char *path)
{
	return result(unlinkat(root_of(d), path, 0));
}

static int real_mkdir(struct disk *d, const char *path, mode_t mode)
{
	struct directory *dir = (struct directory *)d;
	int err = result(mkdirat(dir->root, path, mode));

	if (!err && dir->lent)
		err = result(fchownat(dir->root, path, dir->uid, dir->gid, AT_SYMLINK_NOFOLLOW));
	return err;
}

/* For calls of ours that are more than one of the system's: only the opening may be begun anew. */
static int open_directory(struct disk *d, const char *path)
{
	int fd;

	do {
		fd = real_open(d, path, O_RDONLY | O_DIRECTORY, 0);
	} while (fd == -EINTR);
	return fd;
}

static int real_list(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	int fd = open_directory(d, path), stop = 0;
	struct dirent *e;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		stop = -errno;
		close(fd);
		return stop;
	}
	for (errno = 0; !stop && (e = readdir(dir)); errno = 0)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			stop = each(ctx, e->d_name);
	if (!stop && errno)
		stop = -errno;
	closedir(dir);
	return stop;
}

/* Kept from the first sync on: a process that has used up its descriptors must not take that for a sync that failed. */
static int directory_fd(struct directory *dir, const char *path, bool *kept)
{
	int fd = -1;

	*kept = false;
	pthread_mutex_lock(&dir->lock);
	for (int i = 0; i < dir->kept_count && !*kept; i++) {
		*kept = !strcmp(dir->kept[i].path, path);
		fd = dir->kept[i].fd;
	}
	if (!*kept) {
		fd = open_directory(&dir->disk, path);
		*kept = fd >= 0 && dir->kept_count < KEPT && strlen(path) < sizeof dir->kept->path;
		if (*kept) {
			strcpy(dir->kept[dir->kept_count].path, path);
			dir->kept[dir->kept_count++].fd = fd;
		}
	}
	pthread_mutex_unlock(&dir->lock);
	return fd;
}

static int real_sync_directory(struct disk *d, const char *path)
{
	bool kept;
	int err, fd = directory_fd((struct directory *)d, path, &kept);

	if (fd < 0)
		return fd;
	err = result(fsync(fd));
	if (!kept)
		close(fd);
	return err;
}

static int real_map(struct disk *d, int fd, size_t len, const void **at)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

	(void)d;
	if (p == MAP_FAILED)
		return -errno;
	*at = p;
	return 0;
}

static int real_unmap(struct disk *d, const void *at, size_t len)
{
	(void)d;
	return result(munmap((void *)at, len));
}

static int real_space(struct disk *d, struct disk_space *space)
{
	struct statvfs v;

	if (fstatvfs(root_of(d), &v))
		return -errno;
	space->total = (uint64_t)v.f_blocks * v.f_frsize;
	space->free = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

static int real_lock(struct disk *d, int fd)
{
	(void)d;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

static void real_free(struct disk *d)
{
	struct directory *dir = (struct directory *)d;

	for (int i = 0; i < dir->kept_count; i++)
		close(dir->kept[i].fd);
	close(dir->root);
	pthread_mutex_destroy(&dir->lock);
	pthread_mutex_destroy(&d->names);
	free(dir);
}

static const struct disk_ops real_ops = {
	.open = real_open,
	.close = real_close,
	.pread = real_pread,
	.pread_once = real_pread_once,
	.pwritev = real_pwritev,
	.pwritev_once = real_pwritev_once,
	.sync = real_sync,
	.forget = real_forget,
	.allocate = real_allocate,
	.truncate = real_truncate,
	.stat = real_stat,
	.rename = real_rename,
	.unlink = real_unlink,
	.mkdir = real_mkdir,
	.list = real_list,
	.sync_directory = real_sync_directory,
	.map = real_map,
	.unmap = real_unmap,
	.space = real_space,
	.lock = real_lock,
	.free = real_free,
};

int disk_open_directory(struct disk **d, const char *path)
{
	struct directory *dir = calloc(1, sizeof *dir);
	struct stat st;

	if (!dir)
		return -ENOMEM;
	disk_init(&dir->disk, &real_ops);
	pthread_mutex_init(&dir->lock, NULL);
	dir->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->root < 0 || fstatat(dir->root, ".", &st, 0)) {
		int err = -errno;
		if (dir->root >= 0)
			close(dir->root);
		pthread_mutex_destroy(&dir->lock);
		pthread_mutex_destroy(&dir->disk.names);
		free(dir);
		return err;
	}
	dir->uid = st.st_uid;
	dir->gid = st.st_gid;
	dir->lent = geteuid() == 0 && st.st_uid != 0;
	*d = &dir->disk;
	return 0;
}
