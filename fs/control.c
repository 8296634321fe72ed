/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"
#include "change.h"
#include "snapshot.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* An open file. */
struct control_file {
	pthread_mutex_t lock;            /* of NOW: reads of one file come at the same time */
	struct snapshot *now;            /* NULL: opened for writing only */
};

static struct control_file *file_of(struct fuse_file_info *fi)
{
	return (struct control_file *)(uintptr_t)fi->fh;
}

static struct control_file *file_new(struct snapshot *s)
{
	struct control_file *f = malloc(sizeof *f);

	if (f) {
		pthread_mutex_init(&f->lock, NULL);
		f->now = s;
	}
	return f;
}

static void file_free(struct control_file *f)
{
	pthread_mutex_destroy(&f->lock);
	snapshot_put(f->now);
	free(f);
}

/* A value is read from its beginning as it is then. */
static int file_renew(struct mount *m, struct node *n, struct control_file *f)
{
	struct snapshot *s, *before;
	int err = snapshot_take_for_handle(m, n, &s);

	if (err)
		return err;
	pthread_mutex_lock(&f->lock);
	before = f->now;
	f->now = s;
	pthread_mutex_unlock(&f->lock);
	snapshot_put(before);
	return 0;
}

static struct snapshot *file_snapshot(struct control_file *f)
{
	struct snapshot *s;

	pthread_mutex_lock(&f->lock);
	s = f->now;
	if (s)
		s->users++;
	pthread_mutex_unlock(&f->lock);
	return s;
}

bool control_entry(const struct node *dir, uint32_t index, struct control_entry *e)
{
	return dir->kind == NODE_CONFIG_DIR ? config_entry(dir->topic, index, e) : status_entry(index, e);
}

int control_lookup(struct mount *m, struct node *dir, const char *name, struct node **n)
{
	struct snapshot *s;
	struct control_entry e;
	bool found;
	int err;

	found = dir->kind == NODE_CONFIG_DIR ? config_find(dir->topic, name, &e) : status_find(name, &e);
	if (!found)
		return -ENOENT;
	*n = node_new(m, control_kind(dir), dir->topic, e.queue);
	if (!*n)
		return -ENOMEM;
	(*n)->control = e.control;
	(*n)->start = e.which;
	(*n)->inode = node_inode(control_kind(dir), dir->topic, e.index);
	err = snapshot_take(m, *n, &s);
	if (err)
		node_forget(m, *n, 1);
	else
		snapshot_put(s);
	return err;
}

static void control_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	struct mount *m = mount_of(req);
	struct control_file *f = NULL;
	struct snapshot *s = NULL;
	int err = 0;

	if ((fi->flags & O_ACCMODE) != O_RDONLY && !n->control->set) {
		fuse_reply_err(req, EACCES);
		return;
	}
	if ((fi->flags & O_ACCMODE) != O_WRONLY)
		err = snapshot_take_for_handle(m, n, &s);
	if (!err && !(f = file_new(s))) {
		snapshot_put(s);
		err = -ENOMEM;
	}
	if (err) {
		fuse_reply_err(req, -err);
		return;
	}
	fi->fh = (uintptr_t)f;
	fi->direct_io = 1;
	m->handles++;
	if (fuse_reply_open(req, fi) < 0) {
		m->handles--;
		file_free(f);
	}
}

static void control_read(fuse_req_t req, struct node *n, size_t size, off_t at, struct fuse_file_info *fi)
{
	struct control_file *f = file_of(fi);
	struct snapshot *s;
	size_t from;
	int err = n->kind == NODE_CONFIG && at == 0 ? file_renew(mount_of(req), n, f) : 0;

	s = err ? NULL : file_snapshot(f);
	if (!s) {
		fuse_reply_err(req, err ? -err : EBADF);
		return;
	}
	from = (uint64_t)at < s->size ? (size_t)at : s->size;
	if (size > s->size - from)
		size = s->size - from;
	fuse_reply_buf(req, s->text ? s->text + from : NULL, size);
	snapshot_put(s);
}

int control_value(const char *from, size_t size, char to[CONTROL_TEXT])
{
	while (size > 0 && isspace((unsigned char)from[size - 1]))
		size--;
	while (size > 0 && isspace((unsigned char)*from)) {
		from++;
		size--;
	}
	if (size == 0 || size >= CONTROL_TEXT || memchr(from, '\0', size))
		return -EINVAL;
	memcpy(to, from, size);
	to[size] = '\0';
	return 0;
}

static void write_answer(struct change *c)
{
	fuse_reply_write(c->req, c->size);
}

static void control_write(
	fuse_req_t req, struct node *n, const char *from, size_t size, off_t at, struct fuse_file_info *fi)
{
	struct mount *m = mount_of(req);
	char text[CONTROL_TEXT];
	struct command *c;

	(void)at;
	(void)fi;
	if (control_value(from, size, text) < 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	c = change_new(req, n, write_answer);
	if (!c)
		return;
	change_of(c)->size = size;
	change_logged(c, n->control->set(m, n, text, c));
}

/* A write is committed when it returns. */
static void control_fsync(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	(void)n;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void control_release(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	(void)n;
	file_free(file_of(fi));
	mount_of(req)->handles--;
	fuse_reply_err(req, 0);
}

const struct file_ops control_file = {
	.open = control_open,
	.read = control_read,
	.write = control_write,
	.fsync = control_fsync,
	.release = control_release,
};
