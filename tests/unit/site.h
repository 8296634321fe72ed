/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site.h - every place in store/ that asks something of the disk, of memory or of the system, known by file and line, and
 * made to fail at will.
 *
 * The store that the fault tests link is compiled with this header in front of each file (-include). The macros below put a struct site into a
 * section of its own wherever one of the calls is written, so the linker's list of them is complete, reached or not.
 *
 * Calling  site_arm(site, 3, -EIO, false); ... site_fired(); site_disarm()
 * Units    a hit is one call that can fail: of a site that calls the disk several times (disk_replace()), each of them.
 * Threads  any may hit; one arms.
 */
#ifndef MQFS_TESTS_SITE_H
#define MQFS_TESTS_SITE_H

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum site_kind {
	SITE_DISK,             /* one operation of the disk */
	SITE_FILE,             /* a function of disk_file.c: several, which have sites of their own */
	SITE_DIRECTORY,        /* opens a disk */
	SITE_MEMORY,
	SITE_SYSTEM,           /* a call of the system; a thread's start is one too */
};

struct site {
	const char *file;
	int line;
	const char *call;
	enum site_kind kind;
	_Atomic int hits;
};

/* The sites that a thread is in, the innermost first. */
struct site_frame {
	struct site *site;
	struct site_frame *outer;
};
extern _Thread_local struct site_frame *site_frame;

extern struct site *const __start_sites[], *const __stop_sites[];

/* The NTH hit of S from now on fails with ERROR, a negative errno; with HALVED it moves half its bytes instead. */
void site_arm(struct site *s, int nth, int error, bool halved);
/* And, besides that one, the first hit of S: what is done about a failure fails as well. */
void site_arm_also(struct site *s, int error);
/* The NTH allocation of all, and with STAYS each one after it. */
void site_arm_memory(int nth, bool stays);
void site_disarm(void);
bool site_fired(void);
/* The error of the failure that this thread has met last; 0: it was a short transfer. */
int site_error(void);

/* Hits, for the macros: true when the call is to fail, with errno set. */
bool site_fails(struct site *s);
/* The disk's operation that runs now is a hit of the sites that this thread is in. */
bool site_disk_fails(void);
/* What of LEN bytes a transfer may move. */
size_t site_most(size_t len);
ssize_t site_pwritev(int fd, const struct iovec *iov, int n, off_t at);

#define SITE(KIND, CALL) \
	static struct site site_here = {__FILE__, __LINE__, CALL, KIND, 0}; \
	static struct site *const site_entry __attribute__((section("sites"), used)) = &site_here

#define SITE_WITHIN(KIND, NAME, ...) __extension__({ \
	SITE(KIND, #NAME); \
	struct site_frame site_own = {&site_here, site_frame}; \
	(void)site_entry; \
	site_frame = &site_own; \
	__auto_type site_got = NAME(__VA_ARGS__); \
	site_frame = site_own.outer; \
	site_got; })

#define SITE_INSTEAD(KIND, FAILED, NAME, ...) __extension__({ \
	SITE(KIND, #NAME); \
	(void)site_entry; \
	site_fails(&site_here) ? (FAILED) : NAME(__VA_ARGS__); })

#if defined SITES_STORE || defined SITES_WHOLE || defined SITES_DISK || defined SITES_SYSTEM
#define malloc(...) SITE_INSTEAD(SITE_MEMORY, NULL, malloc, __VA_ARGS__)
#define calloc(...) SITE_INSTEAD(SITE_MEMORY, NULL, calloc, __VA_ARGS__)
#define realloc(...) SITE_INSTEAD(SITE_MEMORY, NULL, realloc, __VA_ARGS__)
#define reallocarray(...) SITE_INSTEAD(SITE_MEMORY, NULL, reallocarray, __VA_ARGS__)
#define pthread_create(...) SITE_INSTEAD(SITE_SYSTEM, EAGAIN, pthread_create, __VA_ARGS__)
#endif

#ifdef SITES_SYSTEM                    /* the files that make the disk itself */

#define open(...) SITE_INSTEAD(SITE_SYSTEM, -1, open, __VA_ARGS__)
#define openat(...) SITE_INSTEAD(SITE_SYSTEM, -1, openat, __VA_ARGS__)
#define pread(FD, TO, LEN, AT) SITE_INSTEAD(SITE_SYSTEM, -1, pread, FD, TO, site_most(LEN), AT)
#define pwritev(...) __extension__({ SITE(SITE_SYSTEM, "pwritev"); (void)site_entry; site_fails(&site_here) ? -1 : site_pwritev(__VA_ARGS__); })
#define pwritev2(...) SITE_INSTEAD(SITE_SYSTEM, -1, pwritev2, __VA_ARGS__)
#define posix_fadvise(...) SITE_INSTEAD(SITE_SYSTEM, errno, posix_fadvise, __VA_ARGS__)
#define fdatasync(...) SITE_INSTEAD(SITE_SYSTEM, -1, fdatasync, __VA_ARGS__)
#define fsync(...) SITE_INSTEAD(SITE_SYSTEM, -1, fsync, __VA_ARGS__)
#define fallocate(...) SITE_INSTEAD(SITE_SYSTEM, -1, fallocate, __VA_ARGS__)
#define posix_fallocate(...) SITE_INSTEAD(SITE_SYSTEM, errno, posix_fallocate, __VA_ARGS__)
#define ftruncate(...) SITE_INSTEAD(SITE_SYSTEM, -1, ftruncate, __VA_ARGS__)
#define fstatat(...) SITE_INSTEAD(SITE_SYSTEM, -1, fstatat, __VA_ARGS__)
#define renameat(...) SITE_INSTEAD(SITE_SYSTEM, -1, renameat, __VA_ARGS__)
#define unlinkat(...) SITE_INSTEAD(SITE_SYSTEM, -1, unlinkat, __VA_ARGS__)
#define mkdirat(...) SITE_INSTEAD(SITE_SYSTEM, -1, mkdirat, __VA_ARGS__)
#define fdopendir(...) SITE_INSTEAD(SITE_SYSTEM, NULL, fdopendir, __VA_ARGS__)
#define readdir(...) SITE_INSTEAD(SITE_SYSTEM, NULL, readdir, __VA_ARGS__)
#define mmap(...) SITE_INSTEAD(SITE_SYSTEM, MAP_FAILED, mmap, __VA_ARGS__)
#define mincore(...) SITE_INSTEAD(SITE_SYSTEM, -1, mincore, __VA_ARGS__)
#define fstatvfs(...) SITE_INSTEAD(SITE_SYSTEM, -1, fstatvfs, __VA_ARGS__)
#define flock(...) SITE_INSTEAD(SITE_SYSTEM, -1, flock, __VA_ARGS__)

#elif defined SITES_STORE || defined SITES_WHOLE

#include "disk.h"

#define disk_open(...) SITE_WITHIN(SITE_DISK, disk_open, __VA_ARGS__)
#define disk_read(...) SITE_WITHIN(SITE_DISK, disk_read, __VA_ARGS__)
#define disk_read_once(...) SITE_WITHIN(SITE_DISK, disk_read_once, __VA_ARGS__)
#define disk_write(...) SITE_WITHIN(SITE_DISK, disk_write, __VA_ARGS__)
#define disk_write_once(...) SITE_WITHIN(SITE_DISK, disk_write_once, __VA_ARGS__)
#define disk_writev(...) SITE_WITHIN(SITE_DISK, disk_writev, __VA_ARGS__)
#define disk_sync(...) SITE_WITHIN(SITE_DISK, disk_sync, __VA_ARGS__)
#define disk_forget(...) SITE_WITHIN(SITE_DISK, disk_forget, __VA_ARGS__)
#define disk_allocate(...) SITE_WITHIN(SITE_DISK, disk_allocate, __VA_ARGS__)
#define disk_truncate(...) SITE_WITHIN(SITE_DISK, disk_truncate, __VA_ARGS__)
#define disk_stat(...) SITE_WITHIN(SITE_DISK, disk_stat, __VA_ARGS__)
#define disk_rename(...) SITE_WITHIN(SITE_DISK, disk_rename, __VA_ARGS__)
#define disk_unlink(...) SITE_WITHIN(SITE_DISK, disk_unlink, __VA_ARGS__)
#define disk_mkdir(...) SITE_WITHIN(SITE_DISK, disk_mkdir, __VA_ARGS__)
#define disk_list(...) SITE_WITHIN(SITE_DISK, disk_list, __VA_ARGS__)
#define disk_sync_directory(...) SITE_WITHIN(SITE_DISK, disk_sync_directory, __VA_ARGS__)
#define disk_map(...) SITE_WITHIN(SITE_DISK, disk_map, __VA_ARGS__)
#define disk_space(...) SITE_WITHIN(SITE_DISK, disk_space, __VA_ARGS__)
#define disk_lock(...) SITE_WITHIN(SITE_DISK, disk_lock, __VA_ARGS__)
#define disk_open_directory(...) SITE_INSTEAD(SITE_DIRECTORY, site_error(), disk_open_directory, __VA_ARGS__)
#define disk_open_slow(...) SITE_INSTEAD(SITE_DIRECTORY, site_error(), disk_open_slow, __VA_ARGS__)

#ifdef SITES_STORE
#define disk_replace(...) SITE_WITHIN(SITE_FILE, disk_replace, __VA_ARGS__)
#define disk_load(...) SITE_WITHIN(SITE_FILE, disk_load, __VA_ARGS__)
#endif

/* make.c: the directory of the store itself has no disk yet */
#define open(...) SITE_INSTEAD(SITE_SYSTEM, -1, open, __VA_ARGS__)
#define fsync(...) SITE_INSTEAD(SITE_SYSTEM, -1, fsync, __VA_ARGS__)
#define mkdir(...) SITE_INSTEAD(SITE_SYSTEM, -1, mkdir, __VA_ARGS__)
#define stat(...) SITE_INSTEAD(SITE_SYSTEM, -1, stat, __VA_ARGS__)
#define getrandom(...) SITE_INSTEAD(SITE_SYSTEM, -1, getrandom, __VA_ARGS__)

#endif
#endif
