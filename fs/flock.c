/* SPDX-License-Identifier: Apache-2.0 */
#include "flock.h"
#include "lock.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/file.h>

struct parked {
	struct lock_wait wait;
	fuse_req_t req;
	struct mount *mount;
};

static struct parked *parked_of(struct lock_wait *w)
{
	return (struct parked *)((char *)w - offsetof(struct parked, wait));
}

static void granted(struct lock_wait *w, int err)
{
	struct parked *p = parked_of(w);

	p->mount->parked--;
	fuse_reply_err(p->req, -err);
	free(p);
}

static bool gone(struct lock_wait *w)
{
	return fuse_req_interrupted(parked_of(w)->req);
}

static void interrupted(fuse_req_t req, void *m)
{
	locks_cancel(((struct mount *)m)->locks, req, -EINTR);
}

/* The interrupt function is set before the wait can be found by anyone: libfuse calls it under a lock of the request, and who
 * grants the lock may end the request at any time after. */
static void set_or_park(fuse_req_t req, const struct lock *want)
{
	struct mount *m = mount_of(req);
	struct parked *p = calloc(1, sizeof *p);
	int err;

	if (!p) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	p->wait.granted = granted;
	p->wait.gone = gone;
	p->wait.key = req;
	p->req = req;
	p->mount = m;
	fuse_req_interrupt_func(req, interrupted, m);
	m->parked++;
	err = locks_set(m->locks, want, &p->wait);
	if (err == -EINPROGRESS)
		return;
	m->parked--;
	free(p);
	fuse_reply_err(req, -err);
}

static void set(fuse_req_t req, const struct lock *want, bool sleep)
{
	if (sleep && want->type != LOCK_NONE)
		set_or_park(req, want);
	else
		fuse_reply_err(req, -locks_set(mount_of(req)->locks, want, NULL));
}

static struct lock lock_from(fuse_ino_t ino, const struct fuse_file_info *fi, const struct flock *lock)
{
	struct lock to = {.inode = node_of(ino)->inode, .kind = LOCK_FCNTL, .owner = fi->lock_owner, .handle = fi->fh};

	to.type = lock->l_type == F_RDLCK ? LOCK_SHARED : lock->l_type == F_WRLCK ? LOCK_EXCLUSIVE : LOCK_NONE;
	to.start = (uint64_t)lock->l_start;
	to.end = lock->l_len ? to.start + (uint64_t)lock->l_len - 1 : LOCK_END;
	to.pid = lock->l_pid;
	return to;
}

void flock_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
	struct lock want = lock_from(ino, fi, lock), found = locks_get(mount_of(req)->locks, &want);
	struct flock answer = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	if (found.type != LOCK_NONE) {
		answer.l_type = found.type == LOCK_SHARED ? F_RDLCK : F_WRLCK;
		answer.l_start = (off_t)found.start;
		answer.l_len = found.end == LOCK_END ? 0 : (off_t)(found.end - found.start + 1);
		answer.l_pid = found.pid;
	}
	fuse_reply_lock(req, &answer);
}

void flock_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep)
{
	struct lock want = lock_from(ino, fi, lock);

	set(req, &want, sleep);
}

void flock_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	struct lock want = {.inode = node_of(ino)->inode, .kind = LOCK_FLOCK, .end = LOCK_END, .owner = fi->lock_owner,
		.handle = fi->fh};

	want.type = op & LOCK_SH ? LOCK_SHARED : op & LOCK_EX ? LOCK_EXCLUSIVE : LOCK_NONE;
	set(req, &want, !(op & LOCK_NB));
}

void flock_closed(struct mount *m, struct node *n, const struct fuse_file_info *fi)
{
	locks_close(m->locks, n->inode, fi->lock_owner);
}

/* What was set by this handle: its flock lock, and fcntl's locks of the open file (F_OFD_SETLK), which no FLUSH gives up. */
void flock_released(struct mount *m, struct node *n, const struct fuse_file_info *fi)
{
	locks_release(m->locks, n->inode, fi->fh);
}
