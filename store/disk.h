/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - the seam: every call that the store makes to a file system goes through here.
 *
 * A disk is a directory and the operations on the files in it. disk_open_directory() gives the real one; a
 * test gives its own table, to fail, tear, drop, delay or reorder any call. Paths are relative to the
 * directory and never contain "..". Descriptors belong to the disk that gave them.
 *
 * Calling  disk_open_directory(&d, "/var/lib/mq"); fd = disk_open(d, "log/0", O_RDWR, 0); ... disk_free(d);
 * Units    bytes.
 * Errors   negative errno. disk_read() and disk_write() move all bytes or fail: short transfers and EINTR are
 *          continued here, nowhere else. A failed disk_sync() must never be tried again by the caller.
 * Threads  any thread may call. Lock: disk.
 */
#ifndef MQFS_STORE_DISK_H
#define MQFS_STORE_DISK_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

struct disk;

struct disk_space {
	uint64_t total;  /* of the file system, as statvfs(3) tells */
	uint64_t free;   /* what this process may still take of it */
};

struct disk_ops {
	int (*open)(struct disk *d, const char *path, int flags, mode_t mode);
	int (*close)(struct disk *d, int fd);
	ssize_t (*pread)(struct disk *d, int fd, void *to, size_t len, uint64_t at);
	/* may be NULL: then pread does */
	ssize_t (*pread_once)(struct disk *d, int fd, void *to, size_t len, uint64_t at);
	ssize_t (*pwritev)(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at);
	/* may be NULL: then pwritev does */
	ssize_t (*pwritev_once)(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at);
	int (*sync)(struct disk *d, int fd);
	/* may be NULL: nothing is cached */
	int (*forget)(struct disk *d, int fd);
	int (*allocate)(struct disk *d, int fd, uint64_t len);
	int (*truncate)(struct disk *d, int fd, uint64_t len);
	int (*stat)(struct disk *d, const char *path, struct stat *st);
	int (*rename)(struct disk *d, const char *from, const char *to);
	int (*unlink)(struct disk *d, const char *path);
	int (*mkdir)(struct disk *d, const char *path, mode_t mode);
	int (*list)(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx);
	int (*sync_directory)(struct disk *d, const char *path);
	int (*map)(struct disk *d, int fd, size_t len, const void **at);
	int (*unmap)(struct disk *d, const void *at, size_t len);
	int (*space)(struct disk *d, struct disk_space *space);
	int (*lock)(struct disk *d, int fd);
	void (*free)(struct disk *d);
};

struct disk {
	const struct disk_ops *ops;
	pthread_mutex_t names;   /* held while a directory is synced */
	int unsound;             /* what the first of these syncs failed with; 0: none has. Guarded by it */
};

/* For who makes a disk, in memory of its own. */
void disk_init(struct disk *d, const struct disk_ops *ops);

/* The directory PATH, which must exist. What root makes in another user's directory is that user's; links are not followed there. */
int disk_open_directory(struct disk **d, const char *path);
/* UNDER, with every sync made DELAY_NS longer: a slow disk for benchmarks and tests. Frees UNDER with itself. */
int disk_open_slow(struct disk **d, struct disk *under, uint64_t delay_ns);
void disk_free(struct disk *d);

/* FLAGS as for open(2), O_CLOEXEC is added. Returns a descriptor. */
int disk_open(struct disk *d, const char *path, int flags, mode_t mode);
/* Also of a descriptor below 0: does nothing. A void function: what must be durable was synced before. */
void disk_close(struct disk *d, int fd);
/* Exactly LEN bytes, or -ENODATA where the file ends before them. */
int disk_read(struct disk *d, int fd, void *to, size_t len, uint64_t at);
/* The same, leaving in the page cache only what was there before: for reading much that nobody will ask for soon. FD is for such reads
 * alone, as nothing is read ahead on it any more. */
int disk_read_once(struct disk *d, int fd, void *to, size_t len, uint64_t at);
int disk_write(struct disk *d, int fd, const void *from, size_t len, uint64_t at);
/* The same, leaving nothing of it in the page cache once it is on the disk, where the system can: for writing much that nobody will ask for soon. */
int disk_write_once(struct disk *d, int fd, const void *from, size_t len, uint64_t at);
/* As disk_write() from many places; changes IOV. */
int disk_writev(struct disk *d, int fd, struct iovec *iov, int n, uint64_t at);
/* fdatasync(2) */
int disk_sync(struct disk *d, int fd);
/* What the system has in memory of the file and does not take for unsynced goes from there: it is read from the disk again. */
int disk_forget(struct disk *d, int fd);
/* Blocks for the first LEN bytes; the size becomes at least LEN. */
int disk_allocate(struct disk *d, int fd, uint64_t len);
int disk_truncate(struct disk *d, int fd, uint64_t len);
int disk_stat(struct disk *d, const char *path, struct stat *st);
int disk_rename(struct disk *d, const char *from, const char *to);
int disk_unlink(struct disk *d, const char *path);
int disk_mkdir(struct disk *d, const char *path, mode_t mode);
/* EACH for every name but "." and "..", until it returns other than 0; returns what it returned last. */
int disk_list(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx);
/* Once one has failed all later ones do: the system has told of the error and forgotten it, so that one which came back well would say
 * nothing about the names before it. Of two at once only one might be told; so they wait for each other. */
int disk_sync_directory(struct disk *d, const char *path);
/* A shared read-only mapping of the first LEN bytes, which the file must have. Reading where the disk fails, or
 * past the file's end, is a SIGBUS: only under disk_guard(). */
int disk_map(struct disk *d, int fd, size_t len, const void **at);
void disk_unmap(struct disk *d, const void *at, size_t len);
int disk_space(struct disk *d, struct disk_space *space);
/* An exclusive lock on an open file, until it is closed. -EBUSY when another process has it. */
int disk_lock(struct disk *d, int fd);

/* Writes a whole file so that after a crash PATH is either its old or its new content: PATH.new, sync, rename,
 * directory sync. */
int disk_replace(struct disk *d, const char *path, const void *from, size_t len, mode_t mode);
/* A whole file of at most MAX bytes into malloc'ed memory; -EFBIG when it is longer. */
int disk_load(struct disk *d, const char *path, size_t max, void **to, size_t *len);

/* What says nothing about the bytes on the disk, and passes: memory or a descriptor was wanting. */
static inline bool disk_error_passes(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE;
}

/* The file system has no room, or its quota has none: it heals. */
static inline bool disk_error_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

/* Runs WORK, which reads mappings; -EIO when the disk failed under it (SIGBUS). WORK holds no lock and owns no
 * memory that only it knows: it may be left at any read of a mapping. Installs the signal's handler at first use. */
int disk_guard(int (*work)(void *ctx), void *ctx);

#endif
