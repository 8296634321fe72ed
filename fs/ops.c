/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.c - the table of requests: from the kernel's nodeids to what each kind of file does (struct file_ops), and to the tree.
 *
 * Not in the table, and so ENOSYS: xattrs, which stops the kernel from asking for security.capability before each write; ioctl;
 * copy_file_range, which the kernel then does by reading and writing; lseek, so that there are no holes.
 */
#include "attr.h"
#include "caller.h"
#include "dir.h"
#include "flock.h"
#include "lock.h"
#include "node.h"
#include "opened.h"
#include "snapshot.h"
#include <errno.h>
#include <poll.h>
#include <time.h>

#define WRITE_SIZE (1u << 20)            /* the most that one write(2) brings, bytes */

static void want(struct fuse_conn_info *conn, unsigned flag)
{
	if (conn->capable & flag)
		conn->want |= flag;
}

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
	struct mount *m = userdata;

	want(conn, FUSE_CAP_ATOMIC_O_TRUNC);     /* or each `>` would come as a truncation, which is refused */
	want(conn, FUSE_CAP_PARALLEL_DIROPS);
	want(conn, FUSE_CAP_POSIX_LOCKS);
	want(conn, FUSE_CAP_FLOCK_LOCKS);
	/* Splicing costs more than it saves on requests that are checked and summed anyway; pieces of one asynchronous
	 * write would come in any order. */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
		FUSE_CAP_ASYNC_DIO);
	conn->max_write = WRITE_SIZE;
	sem_post(&m->live);
}

static void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	node_forget(mount_of(req), node_of(ino), lookups);
	fuse_reply_none(req);
}

static void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(mount_of(req), node_of(forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

static void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	n->file->open(req, n, fi);
}

static void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t at, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	n->file->read(req, n, size, at, fi);
}

static void ops_write(
	fuse_req_t req, fuse_ino_t ino, const char *from, size_t size, off_t at, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	if (n->file->write)
		n->file->write(req, n, from, size, at, fi);
	else
		fuse_reply_err(req, EPERM);
}

static void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	(void)datasync;
	if (n->file->fsync)
		n->file->fsync(req, n, fi);
	else
		fuse_reply_err(req, EPERM);
}

static void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	flock_closed(mount_of(req), n, fi);
	if (n->file->flush)
		n->file->flush(req, n, fi);
	else
		fuse_reply_err(req, 0);
}

static void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);

	flock_released(mount_of(req), n, fi);
	if (n->file->release)
		n->file->release(req, n, fi);
	else
		fuse_reply_err(req, 0);
}

/* Files without a poll of their own never make anyone wait. */
static void ops_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct node *n = node_of(ino);

	if (n->file->poll) {
		n->file->poll(req, n, fi, ph);
		return;
	}
	if (ph)
		fuse_pollhandle_destroy(ph);
	fuse_reply_poll(req, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

/* Not ENOSYS: glibc's posix_fallocate() would write zeros instead. */
static void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t at, off_t size, struct fuse_file_info *fi)
{
	(void)ino, (void)mode, (void)at, (void)size, (void)fi;
	fuse_reply_err(req, EPERM);
}

const struct fuse_lowlevel_ops mount_ops = {
	.init = ops_init,
	.lookup = dir_lookup,
	.forget = ops_forget,
	.forget_multi = ops_forget_multi,
	.getattr = attr_getattr,
	.setattr = attr_setattr,
	.statfs = attr_statfs,
	.readdir = dir_readdir,
	.readlink = dir_readlink,
	.mkdir = dir_mkdir,
	.rmdir = dir_rmdir,
	.create = dir_create,
	.mknod = dir_mknod,
	.symlink = dir_symlink,
	.link = dir_link,
	.unlink = dir_unlink,
	.rename = dir_rename,
	.open = ops_open,
	.read = ops_read,
	.write = ops_write,
	.fsync = ops_fsync,
	.flush = ops_flush,
	.release = ops_release,
	.poll = ops_poll,
	.fallocate = ops_fallocate,
	.getlk = flock_getlk,
	.setlk = flock_setlk,
	.flock = flock_flock,
};

int mount_start(struct mount *m)
{
	struct timespec ts;
	int err;

	clock_gettime(CLOCK_REALTIME, &ts);
	m->changed = m->started = ts.tv_sec * 1000000000LL + ts.tv_nsec;
	err = node_table_new(&m->table);
	if (err)
		return err;
	err = locks_new(&m->locks);
	if (err)
		goto no_locks;
	err = texts_new(&m->texts);
	if (err)
		goto no_texts;
	err = callers_new(&m->callers);
	if (err)
		goto no_callers;
	pthread_mutex_init(&m->opened_lock, NULL);
	sem_init(&m->live, 0, 0);
	return 0;
no_callers:
	texts_free(m->texts);
no_texts:
	locks_free(m->locks);
no_locks:
	node_table_free(m->table);
	return err;
}

void mount_stop(struct mount *m)
{
	m->stopping = true;
	opened_stop(m);
	locks_stop(m->locks, -ENOTCONN);
}

void mount_end(struct mount *m)
{
	opened_free(m);
	pthread_mutex_destroy(&m->opened_lock);
	sem_destroy(&m->live);
	callers_free(m->callers);
	texts_free(m->texts);
	locks_free(m->locks);
	node_table_free(m->table);
}
