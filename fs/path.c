/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"
#include "control.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int path_number(const char *name, size_t length, uint32_t *number)
{
	uint32_t n = 0;

	if (length == 0 || length > 4 || (length > 1 && name[0] == '0'))
		return -ENOENT;
	for (size_t i = 0; i < length; i++) {
		if (!isdigit((unsigned char)name[i]))
			return -ENOENT;
		n = n * 10 + (uint32_t)(name[i] - '0');
	}
	*number = n;
	return 0;
}

static struct queue *queue_named(struct topic *t, const char *name, size_t length)
{
	uint32_t number;

	return path_number(name, length, &number) == 0 ? topic_queue(t, number) : NULL;
}

static int parse_offset(const char *text, uint64_t *offset)
{
	uint64_t n = 0;

	if (!*text || strlen(text) > 19)
		return -ENOENT;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return -ENOENT;
		n = n * 10 + (uint64_t)(*text - '0');
	}
	if (n > INT64_MAX)
		return -ENOENT;
	*offset = n;
	return 0;
}

/* "-5" is no time: an offset may have been meant, and a head raised by mistake is raised for good. A span has a unit. */
static int parse_when(const char *text, int64_t *ns)
{
	uint64_t number;

	if (text[0] == '-' && parse_offset(text + 1, &number) == 0)
		return -ENOENT;
	return parse_time(text, now_ns(), ns) < 0 ? -ENOENT : 0;
}

int path_start(struct store *s, struct queue *q, const char *text, uint64_t *offset)
{
	int64_t time;

	if (strcmp(text, "latest") == 0) {
		*offset = q->committed;
		return 0;
	}
	if (parse_offset(text, offset) == 0)
		return 0;
	if (parse_when(text, &time) < 0)
		return -ENOENT;
	return queue_offset_at_time(s, q, time, offset);
}

int path_start_all(struct store *s, const char *text, uint64_t *pos)
{
	int64_t time;

	if (strcmp(text, "latest") == 0) {
		*pos = store_committed(s);
		return 0;
	}
	if (parse_when(text, &time) < 0)
		return -ENOENT;
	return log_pos_at_time(s, time, pos);
}

static int give(struct mount *m, enum node_kind kind, struct topic *t, struct queue *q, uint64_t start, struct node **n)
{
	*n = node_new(m, kind, t, q);
	if (!*n)
		return -ENOMEM;
	if (!node_is_directory(kind))
		(*n)->start = start;
	return 0;
}

static int lookup_in_root(struct mount *m, const char *name, struct node **n)
{
	struct topic *t;
	int err;

	if (strcmp(name, PATH_STATUS) == 0)
		return give(m, NODE_STATUS_DIR, NULL, NULL, 0, n);
	t = topic_find(m->store, name);
	if (!t)
		return -ENOENT;
	err = give(m, NODE_TOPIC, t, NULL, 0, n);
	topic_put(t);
	return err;
}

static int lookup_in_topic(struct mount *m, struct topic *t, const char *name, struct node **n)
{
	static const struct {
		const char *name;
		enum node_kind kind;
	} fixed[] = {
		{PATH_ANY, NODE_ANY},
		{PATH_FOLLOW, NODE_FOLLOW_DIR},
		{PATH_RETAINED, NODE_RETAINED_DIR},
		{PATH_CONFIG, NODE_CONFIG_DIR},
	};
	struct queue *q;

	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
		if (strcmp(name, fixed[i].name) == 0)
			return give(m, fixed[i].kind, t, NULL, 0, n);
	}
	q = queue_named(t, name, strlen(name));
	return q ? give(m, NODE_QUEUE, t, q, 0, n) : -ENOENT;
}

static int lookup_in_follow(struct mount *m, struct topic *t, const char *name, struct node **n)
{
	size_t length = strcspn(name, "@");
	const char *start = name[length] ? name + length + 1 : NULL;
	uint64_t from = 0;
	struct queue *q;
	int err = 0;

	if (length == strlen(PATH_ALL) && strncmp(name, PATH_ALL, length) == 0) {
		if (start)
			err = path_start_all(m->store, start, &from);
		return err ? err : give(m, NODE_FOLLOW_ALL, t, NULL, from, n);
	}
	q = queue_named(t, name, length);
	if (!q)
		return -ENOENT;
	if (start)
		err = path_start(m->store, q, start, &from);
	return err ? err : give(m, NODE_FOLLOW, t, q, from, n);
}

static int lookup_in_retained(struct mount *m, struct topic *t, const char *name, struct node **n)
{
	struct queue *q = queue_named(t, name, strlen(name));
	int err = q ? give(m, NODE_RETAINED, t, q, q->head, n) : -ENOENT;

	if (!err) {
		(*n)->time = q->mtime;
		(*n)->end = q->committed;
	}
	return err;
}

int path_lookup(struct mount *m, struct node *parent, const char *name, struct node **n)
{
	struct topic *t = parent->topic;

	if (t && t->removed)
		return -ENOENT;
	switch (parent->kind) {
	case NODE_ROOT:
		return lookup_in_root(m, name, n);
	case NODE_TOPIC:
		return lookup_in_topic(m, t, name, n);
	case NODE_FOLLOW_DIR:
		return lookup_in_follow(m, t, name, n);
	case NODE_RETAINED_DIR:
		return lookup_in_retained(m, t, name, n);
	case NODE_CONFIG_DIR:
	case NODE_STATUS_DIR:
		return control_lookup(m, parent, name, n);
	default:
		return -ENOTDIR;
	}
}
