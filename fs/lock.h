/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - who holds which advisory lock, and who waits for one.
 *
 * The kernel hands us flock and fcntl locks, because the handles of one queue have nodes of their own (node.h), on which its own
 * locks would not meet. A lock belongs to a file, told by its st_ino, and to an owner as the kernel numbers them. flock locks
 * and fcntl locks are two kinds that do not see each other, as in the kernel.
 *
 * Calling  locks_set() either sets the lock, or refuses it with -EAGAIN, or parks the caller's wait, which is ended once by
 *          its granted(): with 0 when the lock is set, or with an error.
 * Units    bytes; END is the last one, LOCK_END for the end of the file wherever that is.
 * Errors   -EAGAIN: held by another. -EINTR: gone(). -EDEADLK: waiting would close a circle (fcntl only). -ENOLCK: LOCKS_MAX are
 *          held. -ENOMEM.
 * Threads  any. Lock: the table's. granted() is called without it, on the thread that gave the lock up.
 * Owns     a wait from parking until granted().
 */
#ifndef MQFS_FS_LOCK_H
#define MQFS_FS_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LOCK_END UINT64_MAX
#define LOCKS_MAX 65536u

struct locks;

enum lock_kind { LOCK_FLOCK, LOCK_FCNTL };
enum lock_type { LOCK_SHARED, LOCK_EXCLUSIVE, LOCK_NONE };

struct lock {
	uint64_t inode;
	enum lock_kind kind;
	enum lock_type type;             /* LOCK_NONE gives up what the owner holds in the range */
	uint64_t start, end;             /* 0 and LOCK_END for LOCK_FLOCK */
	uint64_t owner;
	uint64_t handle;                 /* open file that it was set by: its release gives it up */
	pid_t pid;                       /* for F_GETLK */
};

struct lock_wait {
	/* True: whoever asks has given up. Asked under the table's lock before it is parked, so that locks_cancel(), called from then
	 * on, misses nobody. */
	bool (*gone)(struct lock_wait *w);
	void (*granted)(struct lock_wait *w, int err);
	const void *key;                 /* for locks_cancel() */
	/* the table's */
	struct lock wanted;
	int err;
	struct lock_wait *prev, *next;
};

int locks_new(struct locks **l);
/* Nobody may wait any more. */
void locks_free(struct locks *l);

/* 0: set. -EINPROGRESS: WAIT is parked. With WAIT NULL a lock that is not free is -EAGAIN. An flock lock whose type changes is given
 * up first, as flock(2) says. */
int locks_set(struct locks *l, const struct lock *lock, struct lock_wait *wait);
/* The first lock of another owner that is in the way of LOCK, or LOCK_NONE as its type. */
struct lock locks_get(struct locks *l, const struct lock *lock);
/* Ends the wait with this KEY, if it is parked, with ERR. */
void locks_cancel(struct locks *l, const void *key, int err);
/* close(2) by OWNER: its fcntl locks of the file go. */
void locks_close(struct locks *l, uint64_t inode, uint64_t owner);
/* The open file is gone: what was set by HANDLE goes. */
void locks_release(struct locks *l, uint64_t inode, uint64_t handle);
/* Every wait, and those to come, end with ERR. */
void locks_stop(struct locks *l, int err);

#endif
