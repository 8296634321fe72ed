/* SPDX-License-Identifier: Apache-2.0 */
#include "dir.h"
#include "attr.h"
#include "change.h"
#include "control.h"
#include "path.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void dir_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *n;
	int err = path_lookup(mount_of(req), node_of(parent), name, &n);

	if (err)
		fuse_reply_err(req, -err);
	else
		attr_reply_entry(req, n);
}

/* What of a listing fits into one reply. A name's cookie is where the listing goes on behind it. */
struct listing {
	fuse_req_t req;
	char *bytes;
	size_t size, used;
};

/* False: it is full. */
static bool list(struct listing *l, const char *name, uint64_t inode, mode_t type, off_t cookie)
{
	struct stat st = {.st_ino = inode, .st_mode = type};
	size_t need = fuse_add_direntry(l->req, l->bytes + l->used, l->size - l->used, name, &st, cookie);

	if (need > l->size - l->used)
		return false;
	l->used += need;
	return true;
}

/* Cookies: 1 and 2 of the dots, then the fixed names, then topic ids or numbers above COOKIE_FIRST. */
#define COOKIE_DOTS 2
#define COOKIE_FIRST 16

static bool list_dots(struct listing *l, struct node *dir, off_t off)
{
	uint64_t parent = dir->kind == NODE_ROOT || dir->kind == NODE_TOPIC || dir->kind == NODE_STATUS_DIR ?
		node_root.inode : topic_ino(dir->topic);

	return (off >= 1 || list(l, ".", dir->inode, S_IFDIR, 1)) && (off >= 2 || list(l, "..", parent, S_IFDIR, 2));
}

static void list_root(struct listing *l, struct store *s, off_t off)
{
	uint64_t after = off > COOKIE_FIRST ? (uint64_t)off - COOKIE_FIRST : 0;
	struct topic *t;
	bool more = true;

	if (off < COOKIE_FIRST &&
		!list(l, PATH_STATUS, node_inode(NODE_STATUS_DIR, NULL, 0), S_IFDIR, COOKIE_FIRST))
		return;
	while (more && (t = topic_next(s, after))) {
		after = t->id;
		more = list(l, t->name, topic_ino(t), S_IFDIR, (off_t)(COOKIE_FIRST + t->id));
		topic_put(t);
	}
}

static void list_topic(struct listing *l, struct topic *t, off_t off)
{
	static const struct {
		const char *name;
		enum node_kind kind;
		mode_t type;
	} fixed[] = {
		{PATH_CONFIG, NODE_CONFIG_DIR, S_IFDIR},
		{PATH_FOLLOW, NODE_FOLLOW_DIR, S_IFDIR},
		{PATH_RETAINED, NODE_RETAINED_DIR, S_IFDIR},
		{PATH_ANY, NODE_ANY, S_IFLNK},
	};
	const off_t end = COOKIE_DOTS + sizeof fixed / sizeof *fixed;
	char name[16];
	struct queue *q;

	for (off_t i = off > COOKIE_DOTS ? off : COOKIE_DOTS; i < end; i++) {
		if (!list(l, fixed[i - COOKIE_DOTS].name, node_inode(fixed[i - COOKIE_DOTS].kind, t, 0),
			fixed[i - COOKIE_DOTS].type, i + 1))
			return;
	}
	for (uint32_t i = off > COOKIE_FIRST ? (uint32_t)(off - COOKIE_FIRST) : 0; (q = topic_queue(t, i)); i++) {
		snprintf(name, sizeof name, "%" PRIu32, i);
		if (!list(l, name, queue_ino(q), S_IFREG, COOKIE_FIRST + i + 1))
			return;
	}
}

static void list_controls(struct listing *l, struct node *dir, off_t off)
{
	uint32_t i = off > COOKIE_FIRST ? (uint32_t)(off - COOKIE_FIRST) : 0;
	struct control_entry e;

	for (; control_entry(dir, i, &e); i++) {
		if (!list(l, e.name, node_inode(control_kind(dir), dir->topic, i), S_IFREG, COOKIE_FIRST + i + 1))
			return;
	}
}

void dir_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct node *dir = node_of(ino);
	struct listing l = {.req = req, .bytes = malloc(size), .size = size};

	(void)fi;
	if (!l.bytes) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (off >= 0 && list_dots(&l, dir, off) && !(dir->topic && dir->topic->removed)) {
		if (dir->kind == NODE_ROOT)
			list_root(&l, mount_of(req)->store, off);
		else if (dir->kind == NODE_TOPIC)
			list_topic(&l, dir->topic, off);
		else if (dir->kind == NODE_CONFIG_DIR || dir->kind == NODE_STATUS_DIR)
			list_controls(&l, dir, off);
	}
	fuse_reply_buf(req, l.bytes, l.used);
	free(l.bytes);
}

/* T/any: a queue at random, so that looking keeps no state and producers spread. */
void dir_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char name[16];

	snprintf(name, sizeof name, "%" PRIu32, arc4random_uniform(node_of(ino)->topic->count));
	fuse_reply_readlink(req, name);
}

static void root_changed(struct mount *m)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	m->changed = ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void mkdir_answer(struct change *c)
{
	struct mount *m = mount_of(c->req);
	struct node *n;
	int err = path_lookup(m, &node_root, c->name, &n);

	root_changed(m);
	if (err)
		fuse_reply_err(c->req, -err);
	else
		attr_reply_entry(c->req, n);
}

/* The kernel has applied the umask. */
void dir_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct fuse_ctx *who = fuse_req_ctx(req);
	struct owner owner = {.uid = who->uid, .gid = who->gid, .mode = mode & 01777};
	struct command *c;
	int err;

	err = node_of(parent)->kind == NODE_ROOT ? topic_name_check(name) : -EPERM;
	if (err) {
		fuse_reply_err(req, -err);
		return;
	}
	c = change_new(req, node_of(parent), mkdir_answer);
	if (!c)
		return;
	snprintf(change_of(c)->name, sizeof change_of(c)->name, "%s", name);
	change_logged(c, store_mkdir(mount_of(req)->store, c, name, &owner));
}

static void rmdir_answer(struct change *c)
{
	root_changed(mount_of(c->req));
	fuse_reply_err(c->req, 0);
}

void dir_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct store *s = mount_of(req)->store;
	struct topic *t = NULL;
	struct command *c;

	if (node_of(parent)->kind != NODE_ROOT || strcmp(name, PATH_STATUS) == 0) {
		fuse_reply_err(req, EPERM);
		return;
	}
	t = topic_find(s, name);
	if (!t) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	c = change_new(req, node_of(parent), rmdir_answer);
	if (c)
		change_logged(c, store_rmdir(s, c, t));
	topic_put(t);
}

void dir_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	fuse_reply_err(req, EPERM);
}

void dir_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	fuse_reply_err(req, EPERM);
}

void dir_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link, (void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

void dir_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino, (void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

void dir_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

void dir_rename(
	fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *new_name, unsigned int flags)
{
	(void)parent, (void)name, (void)to, (void)new_name, (void)flags;
	fuse_reply_err(req, EPERM);
}
