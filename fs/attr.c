/* SPDX-License-Identifier: Apache-2.0 */
#include "attr.h"
#include "change.h"
#include "control.h"
#include "handle.h"
#include "path.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u               /* of st_blocks, whatever st_blksize is */
#define READ_SIZE (128u << 10)   /* st_blksize: what programs take for their buffers */
#define DIRECTORY_SECONDS 1.0    /* how long the kernel need not ask again: on a standby, topics come and go without its knowing */
#define TOPIC_SECONDS 10.0       /* a topic, where they come and go by its own requests */
/* The sticky bit is for a root where many make topics. The set-id bits would mean nothing, and are dropped. */
#define PERMISSIONS 01777u

static struct timespec time_of(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void set_times(struct stat *st, int64_t changed)
{
	st->st_mtim = st->st_ctim = st->st_atim = time_of(changed);
}

static void set_owner(struct stat *st, mode_t type, const struct owner *o, uint32_t mode)
{
	st->st_mode = type | (mode & PERMISSIONS);
	st->st_uid = o->uid;
	st->st_gid = o->gid;
}

/* The node's own files are of who runs it, whoever has the root of the tree: orders are written to them. */
static struct owner runner(void)
{
	return (struct owner){.uid = geteuid(), .gid = getegid()};
}

static void set_directory(struct mount *m, struct node *n, struct stat *st)
{
	struct owner o = runner();

	if (n->kind != NODE_STATUS_DIR)
		owner_get(m->store, n->topic, NULL, &o);
	set_owner(st, S_IFDIR, &o, n->kind == NODE_STATUS_DIR ? 0555 : o.mode);
	set_times(st, n->topic ? n->topic->ctime : n->kind == NODE_ROOT ? m->changed : m->started);
}

/* What is read of a queue: its own mode, of which only the reading counts unless it is the live view. */
static void set_queue(struct mount *m, struct node *n, struct stat *st)
{
	struct queue *q = n->queue;
	bool retained = n->kind == NODE_RETAINED;
	uint64_t start = retained ? n->start : 0, end = retained ? n->end : q->committed;
	int64_t changed = retained ? n->time : q->mtime;
	struct owner o;

	owner_get(m->store, n->topic, q, &o);
	set_owner(st, S_IFREG, &o, n->kind == NODE_QUEUE ? o.mode : o.mode & 0444);
	set_times(st, changed);
	if (n->topic->ctime > changed)
		st->st_ctim = time_of(n->topic->ctime);
	st->st_size = (off_t)(end - start);
	n->size = end - start;
	st->st_blocks = (blkcnt_t)(((retained ? end - start : queue_retained(q)) + BLOCK - 1) / BLOCK);
}

/* A stream of all queues, without a size. Only who may read each of them may read it: queues of several owners must all be open to
 * everyone, since no one mode says otherwise. */
static void set_follow_all(struct mount *m, struct node *n, struct stat *st)
{
	struct owner o, one;
	struct queue *q;

	owner_get(m->store, n->topic, topic_queue(n->topic, 0), &o);
	for (uint32_t i = 1; (q = topic_queue(n->topic, i)); i++) {
		owner_get(m->store, n->topic, q, &one);
		o.mode &= one.mode;
		if ((one.uid != o.uid || one.gid != o.gid) && (o.mode & 0444) != 0444)
			o.mode = 0;
	}
	set_owner(st, S_IFREG, &o, o.mode & 0444);
	set_times(st, n->topic->ctime);
}

static void set_control(struct mount *m, struct node *n, struct stat *st)
{
	struct owner o = runner();

	if (n->topic)
		owner_get(m->store, n->topic, NULL, &o);
	set_owner(st, S_IFREG, &o, n->control->set ? 0644 : 0444);
	set_times(st, n->topic ? n->topic->ctime : m->started);
	st->st_size = (off_t)n->size;
	st->st_blocks = (st->st_size + BLOCK - 1) / BLOCK;
}

static void set_any(struct mount *m, struct node *n, struct stat *st)
{
	struct owner o;

	owner_get(m->store, n->topic, NULL, &o);
	set_owner(st, S_IFLNK, &o, 0777);
	set_times(st, n->topic->ctime);
	st->st_size = snprintf(NULL, 0, "%" PRIu32, n->topic->count - 1);
}

void attr_get(struct mount *m, struct node *n, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_ino = n->inode;
	st->st_nlink = 1;
	st->st_blksize = READ_SIZE;
	switch (n->kind) {
	case NODE_QUEUE:
	case NODE_FOLLOW:
	case NODE_RETAINED:
		set_queue(m, n, st);
		break;
	case NODE_FOLLOW_ALL:
		set_follow_all(m, n, st);
		break;
	case NODE_CONFIG:
	case NODE_STATUS:
		set_control(m, n, st);
		break;
	case NODE_ANY:
		set_any(m, n, st);
		break;
	default:
		set_directory(m, n, st);
	}
}

/*
 * Seconds for which the kernel may believe attributes and name of N: a directory's change only through this mount, so that the kernel, which sees
 * mkdir, rmdir and chmod itself, need not ask on each path it walks. The others' change by themselves. What was told before this node became a
 * standby may be a topic that has gone since, for as long: who uses it finds it removed.
 */
static double timeout(struct mount *m, const struct node *n)
{
	if (!node_is_directory(n->kind))
		return 0.0;
	return n->kind == NODE_TOPIC && store_refusing(m->store) != -EROFS ? TOPIC_SECONDS : DIRECTORY_SECONDS;
}

void attr_reply_entry(fuse_req_t req, struct node *n)
{
	struct mount *m = mount_of(req);
	struct fuse_entry_param e = {.ino = node_id(n)};

	e.attr_timeout = e.entry_timeout = timeout(m, n);
	attr_get(m, n, &e.attr);
	if (fuse_reply_entry(req, &e) < 0)
		node_forget(m, n, 1);
}

void attr_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *m = mount_of(req);
	struct node *n = node_of(ino);
	struct stat st;

	(void)fi;
	attr_get(m, n, &st);
	fuse_reply_attr(req, &st, timeout(m, n));
}

static void setattr_answer(struct change *c)
{
	attr_getattr(c->req, node_id(c->node), NULL);
}

static bool has_owner(const struct node *n)
{
	return n->kind == NODE_ROOT || n->kind == NODE_TOPIC || n->kind == NODE_QUEUE;
}

/* The size is nobody's to set (open's O_TRUNC never comes here); the times are the log's, so that touch succeeds and changes
 * nothing. */
void attr_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set, struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);
	struct owner o = {.uid = st->st_uid, .gid = st->st_gid, .mode = st->st_mode & PERMISSIONS};
	unsigned mask = 0;
	struct command *c;

	if (set & FUSE_SET_ATTR_SIZE && fi && n->kind == NODE_QUEUE)
		handle_refuse_cut(handle_of(fi), (uint64_t)st->st_size);
	if (set & FUSE_SET_ATTR_MODE)
		mask |= OWNER_MODE;
	if (set & FUSE_SET_ATTR_UID)
		mask |= OWNER_UID;
	if (set & FUSE_SET_ATTR_GID)
		mask |= OWNER_GID;
	if ((set & FUSE_SET_ATTR_SIZE) || (mask && !has_owner(n))) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (!mask) {
		attr_getattr(req, ino, NULL);
		return;
	}
	c = change_new(req, n, setattr_answer);
	if (c)
		change_logged(c, store_set_owner(mount_of(req)->store, c, n->topic, n->queue, mask, &o));
}

/* Of the file system that the store is on. No count of files: nothing here runs out of them. */
void attr_statfs(fuse_req_t req, fuse_ino_t ino)
{
	uint64_t total, available;
	struct statvfs v = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = TOPIC_NAME_MAX};

	(void)ino;
	store_disk(mount_of(req)->store, &total, &available);
	v.f_blocks = total / v.f_frsize;
	v.f_bfree = v.f_bavail = available / v.f_frsize;
	fuse_reply_statfs(req, &v);
}
