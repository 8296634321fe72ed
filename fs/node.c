/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1              /* before uthash.h: an entry that could not be added has no table */
#include "node.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#define INODE_OURS ((uint64_t)1 << 63)
#define INODE_TOPIC_SHIFT 16
#define INODE_KIND_SHIFT 11

struct directory {
	struct node node;                /* first: a directory's node is cast to this */
	UT_hash_handle hh;               /* by inode */
};

struct node_table {
	pthread_mutex_t lock;
	struct node *all;
	struct directory *directories;
};

struct node node_root = {.kind = NODE_ROOT, .inode = FUSE_ROOT_ID};

struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &node_root : (struct node *)ino;
}

fuse_ino_t node_id(const struct node *n)
{
	return n == &node_root ? FUSE_ROOT_ID : (fuse_ino_t)n;
}

bool node_is_directory(enum node_kind kind)
{
	switch (kind) {
	case NODE_ROOT:
	case NODE_TOPIC:
	case NODE_FOLLOW_DIR:
	case NODE_RETAINED_DIR:
	case NODE_CONFIG_DIR:
	case NODE_STATUS_DIR:
		return true;
	default:
		return false;
	}
}

uint64_t node_inode(enum node_kind kind, const struct topic *t, uint32_t index)
{
	uint64_t topic = t ? t->id : 0;

	return INODE_OURS | topic << INODE_TOPIC_SHIFT | (uint64_t)kind << INODE_KIND_SHIFT | index;
}

static uint64_t inode_of(enum node_kind kind, struct topic *t, struct queue *q)
{
	switch (kind) {
	case NODE_ROOT:
		return FUSE_ROOT_ID;
	case NODE_TOPIC:
		return topic_ino(t);
	case NODE_QUEUE:
		return queue_ino(q);
	default:
		return node_inode(kind, t, q ? queue_number(q) : 0);
	}
}

static const struct file_ops *file_of(enum node_kind kind)
{
	switch (kind) {
	case NODE_QUEUE:
		return &queue_file;
	case NODE_FOLLOW:
		return &follow_file;
	case NODE_FOLLOW_ALL:
		return &follow_all_file;
	case NODE_RETAINED:
		return &retained_file;
	case NODE_CONFIG:
	case NODE_STATUS:
		return &control_file;
	default:
		return NULL;
	}
}

/* A new node or NULL; under the table's lock. */
static struct node *node_add(struct mount *m, enum node_kind kind, struct topic *t, struct queue *q)
{
	struct node_table *table = m->table;
	struct directory *d = NULL;
	struct node *n;

	if (node_is_directory(kind)) {
		d = calloc(1, sizeof *d);
		n = d ? &d->node : NULL;
	} else {
		n = calloc(1, sizeof *n);
	}
	if (!n)
		return NULL;
	n->inode = inode_of(kind, t, q);
	if (d) {
		HASH_ADD(hh, table->directories, node.inode, sizeof n->inode, d);
		if (!d->hh.tbl) {
			free(d);
			return NULL;
		}
	}
	n->kind = kind;
	n->topic = t ? topic_hold(t) : NULL;
	n->queue = q;
	n->file = file_of(kind);
	DL_APPEND(table->all, n);
	m->nodes++;
	return n;
}

static struct node *directory_find(struct node_table *table, enum node_kind kind, struct topic *t)
{
	uint64_t inode = inode_of(kind, t, NULL);
	struct directory *d;

	HASH_FIND(hh, table->directories, &inode, sizeof inode, d);
	return d ? &d->node : NULL;
}

struct node *node_new(struct mount *m, enum node_kind kind, struct topic *t, struct queue *q)
{
	struct node *n = NULL;

	pthread_mutex_lock(&m->table->lock);
	if (node_is_directory(kind))
		n = directory_find(m->table, kind, t);
	if (!n)
		n = node_add(m, kind, t, q);
	if (n)
		n->lookups++;
	pthread_mutex_unlock(&m->table->lock);
	return n;
}

static void node_free(struct node *n)
{
	if (n->topic)
		topic_put(n->topic);
	free(n);
}

void node_forget(struct mount *m, struct node *n, uint64_t lookups)
{
	bool last = false;

	if (n == &node_root)
		return;
	pthread_mutex_lock(&m->table->lock);
	n->lookups -= lookups;
	if (n->lookups == 0) {
		last = true;
		if (node_is_directory(n->kind))
			HASH_DEL(m->table->directories, (struct directory *)n);
		DL_DELETE(m->table->all, n);
		m->nodes--;
	}
	pthread_mutex_unlock(&m->table->lock);
	if (last)
		node_free(n);
}

int node_table_new(struct node_table **t)
{
	*t = calloc(1, sizeof **t);
	if (!*t)
		return -ENOMEM;
	pthread_mutex_init(&(*t)->lock, NULL);
	return 0;
}

void node_table_free(struct node_table *t)
{
	struct node *n, *next;

	if (!t)
		return;
	HASH_CLEAR(hh, t->directories);
	DL_FOREACH_SAFE(t->all, n, next)
		node_free(n);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
