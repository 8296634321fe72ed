/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of commands, little endian. A topic is named by its id, a queue by its own; a body of any other length is
 * malformed. command.c writes them.
 *
 *      TOPIC_CREATE   0 u32 uid, 4 u32 gid, 8 u32 mode, 12 the name's bytes to the end. Its id is the record's position / 64, its
 *                     first queue has number 0.
 *      TOPIC_REMOVE   0 u64 topic
 *      TOPIC_QUEUES   0 u64 topic, 8 u32 how many queues
 *      TOPIC_SET      0 u64 topic, 8 name, NUL, value, NUL: a setting and its text or "default", or "retired" and 0 or 1
 *      OWNER          0 u64 topic, 0 for the root; 8 u64 queue, 0 for the topic itself; 16 u32 mask: 1 uid, 2 gid, 4 mode
 *                     are to change; 20 u32 uid, 24 u32 gid, 28 u32 mode
 *      HEADS          any number of: u64 queue, u64 head
 *
 * A command that does not fit the state it meets changes nothing, here and wherever the log is replayed: what comes of
 * it depends on the log alone.
 *
 * Nor does a topic's id depend on what was applied before: with a damaged TOPIC_CREATE passed over, all later topics would get other ids
 * than their messages have. No record is as short as 64 bytes, so positions give ids that only grow and are never the same. Without
 * RECORD_ID_BY_POSITION, in a log of before it, the id is one more than the last topic's ever made; each of these took more than 64 bytes
 * of log as well.
 *
 * And a record that names a queue of a topic was written when the topic had it: where a damaged TOPIC_QUEUES has hidden that, it is told by the
 * first of them. Or the queue's messages would be lost with it, and who adds the queue again would write to offsets that they have.
 *
 * Just so a record of messages was written when its topic was there. Where a damaged TOPIC_CREATE has hidden that, or a damaged removal the name's
 * last topic, so that the TOPIC_CREATE is refused, the first of them makes the topic, by a name that says so.
 */
#include "state.h"
#include "bytes.h"
#include "parts.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define MODE_BITS 07777u
#define ID_SPAN 64u                    /* bytes of log that have one topic's id among them */

struct change {
	const uint8_t *body;
	uint32_t length;
	/* of its record */
	uint8_t flags;
	uint64_t pos;
	int64_t time;
};

static uint64_t new_id(struct store *s, const struct change *c)
{
	uint64_t next = *topics_counter(s->topics) + 1, id = c->pos / ID_SPAN;

	return c->flags & RECORD_ID_BY_POSITION && id > next ? id : next;
}

static int make(struct store *s, uint64_t id, const char *name, const struct owner *owner, const struct owner *queue, int64_t time)
{
	struct topic *t;
	int err;

	if (topic_with_name(s->topics, name, strlen(name)))
		return -EEXIST;
	if (id > TOPIC_ID_MAX)
		return -EOVERFLOW;
	err = topic_add(s->topics, id, name, strlen(name), owner, time, &t);
	if (err)
		return err;
	err = topic_grow(t, 1, queue, time);
	if (err)
		topic_remove(s->topics, t);
	return err;
}

static int create(struct store *s, const struct change *c)
{
	char name[TOPIC_NAME_MAX + 1] = {0};
	uint32_t len = c->length - 12;
	uint64_t id = new_id(s, c);
	struct owner owner, queue;
	int err;

	if (c->length < 12 || len > TOPIC_NAME_MAX)
		return -EBADMSG;
	memcpy(name, c->body + 12, len);
	if (strlen(name) != len || topic_name_check(name) != 0)
		return -EBADMSG;
	owner = (struct owner){get32(c->body), get32(c->body + 4), get32(c->body + 8) & MODE_BITS};
	queue = (struct owner){owner.uid, owner.gid, owner.mode & 0666};
	err = make(s, id, name, &owner, &queue, c->time);
	if (!err)
		*topics_counter(s->topics) = id;
	return err;
}

static int remove_topic(struct store *s, const struct change *c)
{
	struct topic *t;

	if (c->length != 8)
		return -EBADMSG;
	t = topic_with_id(s->topics, get64(c->body));
	if (!t)
		return -ENOENT;
	if (!atomic_load(&t->retired))
		return -ENOTEMPTY;
	atomic_store(&t->removed, true);
	watch_removed(s, t);
	topic_remove(s->topics, t);
	return 0;
}

static int grow(struct topic *t, uint32_t count, int64_t time)
{
	int err = topic_grow(t, count, &topic_queue(t, 0)->owner, time);

	if (!err)
		atomic_store(&t->ctime, time);
	return err;
}

/* The queue that a record of this TIME names by its ID. */
static int named_queue(struct store *s, uint64_t id, int64_t time, struct queue **to)
{
	struct topic *t = topic_with_id(s->topics, id >> QUEUE_BITS);
	uint32_t number = (uint32_t)(id & (QUEUES_MAX - 1));
	int err = t ? 0 : -ENOENT;

	if (!err && number >= atomic_load(&t->count))
		err = grow(t, number + 1, time);
	*to = err ? NULL : topic_queue(t, number);
	return err;
}

static int add_queues(struct store *s, const struct change *c)
{
	struct topic *t;
	uint32_t count;

	if (c->length != 12)
		return -EBADMSG;
	t = topic_with_id(s->topics, get64(c->body));
	if (!t)
		return -ENOENT;
	count = get32(c->body + 8);
	if (count < atomic_load(&t->count) || count > QUEUES_MAX)
		return -EINVAL;
	if (count == atomic_load(&t->count))
		return 0;
	return grow(t, count, c->time);
}

static int set_retired(struct topic *t, const char *value)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return -EINVAL;
	atomic_store(&t->retired, *value == '1');
	return 0;
}

static bool is_limit(int id)
{
	return id == SETTING_RETENTION_AGE || id == SETTING_RETENTION_SIZE || id == SETTING_RETENTION_PINNED;
}

static void set_own(struct topic *t, enum setting_id id, uint64_t value)
{
	atomic_store(&t->own[id], value);
	atomic_fetch_or(&t->own_set, 1u << id);
	atomic_fetch_add(&t->store->limits, is_limit(id));
}

static int set_setting(struct topic *t, const char *name, const char *value)
{
	int id = setting_find(name);
	uint64_t v;
	int err;

	if (id < 0)
		return id;
	if (strcmp(value, "default") == 0) {
		atomic_fetch_and(&t->own_set, ~(1u << id));
		atomic_fetch_add(&t->store->limits, is_limit(id));
		return 0;
	}
	err = setting_parse(id, value, &v);
	if (!err)
		set_own(t, (enum setting_id)id, v);
	return err;
}

static int set(struct store *s, const struct change *c)
{
	const char *name, *value;
	struct topic *t;
	size_t len;
	int err;

	if (c->length < 8 + 2)
		return -EBADMSG;
	name = (const char *)c->body + 8;
	len = strnlen(name, c->length - 8);
	if (8 + len + 1 >= c->length)
		return -EBADMSG;
	value = name + len + 1;
	if (strnlen(value, c->length - 8 - len - 1) + 1 != c->length - 8 - len - 1)
		return -EBADMSG;
	t = topic_with_id(s->topics, get64(c->body));
	if (!t)
		return -ENOENT;
	err = strcmp(name, "retired") == 0 ? set_retired(t, value) : set_setting(t, name, value);
	if (!err)
		atomic_store(&t->ctime, c->time);
	return err;
}

static int own(struct store *s, const struct change *c)
{
	struct topic *t = NULL;
	struct queue *q = NULL;
	struct owner *o;
	uint32_t mask;
	int err;

	if (c->length != 32)
		return -EBADMSG;
	if (get64(c->body)) {
		t = topic_with_id(s->topics, get64(c->body));
		if (!t)
			return -ENOENT;
	}
	if (get64(c->body + 8)) {
		if (!t || get64(c->body + 8) >> QUEUE_BITS != t->id)
			return -ENOENT;
		err = named_queue(s, get64(c->body + 8), c->time, &q);
		if (err)
			return err;
	}
	o = q ? &q->owner : t ? &t->owner : topics_root(s->topics);
	mask = get32(c->body + 16);
	if (mask & OWNER_UID)
		o->uid = get32(c->body + 20);
	if (mask & OWNER_GID)
		o->gid = get32(c->body + 24);
	if (mask & OWNER_MODE)
		o->mode = get32(c->body + 28) & MODE_BITS;
	if (t)
		atomic_store(&t->ctime, c->time);
	return 0;
}

/* A head stands where the queue's end was once: where a damaged record has hidden that, this tells it. What is lost lies before the head. */
static void move_head(struct queue *q, uint64_t head)
{
	if (head > atomic_load(&q->committed)) {
		q->appended = head;
		atomic_store(&q->committed, head);
	}
	queue_raise_head(q, head);
}

static int move_heads(struct store *s, const struct change *c)
{
	if (c->length % 16 != 0)
		return -EBADMSG;
	for (uint32_t at = 0; at < c->length; at += 16)
		if (get64(c->body + at + 8) > INT64_MAX)
			return -EBADMSG;
	for (uint32_t at = 0; at < c->length; at += 16) {
		struct queue *q;
		int err = named_queue(s, get64(c->body + at), c->time, &q);

		if (err == -ENOENT)            /* it may have gone */
			continue;
		if (err)
			return err;
		move_head(q, get64(c->body + at + 8));
	}
	return 0;
}

static int change(struct store *s, uint8_t type, const struct change *c)
{
	int err;

	topics_write_lock(s->topics);
	switch (type) {
	case RECORD_TOPIC_CREATE:
		err = create(s, c);
		break;
	case RECORD_TOPIC_REMOVE:
		err = remove_topic(s, c);
		break;
	case RECORD_TOPIC_QUEUES:
		err = add_queues(s, c);
		break;
	case RECORD_TOPIC_SET:
		err = set(s, c);
		break;
	case RECORD_OWNER:
		err = own(s, c);
		break;
	case RECORD_HEADS:
		err = move_heads(s, c);
		break;
	default:
		err = -EBADMSG;
	}
	topics_unlock(s->topics);
	return err;
}

/* Only the committer, or recovery before there is one, writes these: no read-modify-write needs to be atomic. The end comes
 * last: who sees it finds the rest. */
void state_messages(struct queue *q, uint64_t end, uint32_t messages, uint64_t pos, int64_t time, uint8_t flags)
{
	atomic_store_explicit(&q->messages, atomic_load(&q->messages) + messages, memory_order_relaxed);
	if (flags & RECORD_PARTIAL)
		atomic_store_explicit(&q->partial, atomic_load(&q->partial) + 1, memory_order_relaxed);
	atomic_store_explicit(&q->last_pos, pos, memory_order_relaxed);
	atomic_store_explicit(&q->mtime, time, memory_order_relaxed);
	atomic_store(&q->committed, end);
	atomic_store(&q->topic->commits, atomic_load(&q->topic->commits) + 1);
}

void state_reaches(struct store *s, uint64_t id, uint64_t end, uint64_t pos)
{
	struct queue *q = queue_by_id(s, id);

	if (!q || end <= atomic_load(&q->committed))
		return;
	q->appended = end;
	atomic_store(&q->last_pos, pos);
	atomic_store(&q->committed, end);
}

/*
 * The topic that has R's messages, under a name made of its id. What it was called, whose it was and what had been set is not known: so only the
 * store's owner may read it, and nothing of it goes before somebody says so. An id of a place behind R was given to nobody.
 */
static int make_hidden(struct store *s, const struct record *r)
{
	struct owner owner = *topics_root(s->topics), queue;
	uint64_t id = r->queue >> QUEUE_BITS, *counter = topics_counter(s->topics);
	char name[TOPIC_NAME_MAX + 1];
	struct topic *t;
	int err;

	if (!id || id > r->pos / ID_SPAN)
		return -ENOENT;
	snprintf(name, sizeof name, "recovered.%" PRIx64, id);
	if (owner.uid == OWNER_NOBODY)
		owner.uid = s->options.owner.uid;
	owner.mode = 0700;
	queue = (struct owner){owner.uid, owner.gid, 0600};
	err = make(s, id, name, &owner, &queue, r->time);
	if (err)
		return err;
	t = topic_with_id(s->topics, id);
	set_own(t, SETTING_RETENTION_AGE, SETTING_NONE);
	set_own(t, SETTING_RETENTION_SIZE, SETTING_NONE);
	set_own(t, SETTING_RETENTION_PINNED, PINNED_KEEP);
	if (*counter < id)
		*counter = id;
	store_say(s, LOG_WARNING, "there are messages of a topic whose creation is damaged, or the removal of one of its name: it is now %s", name);
	return 0;
}

/* The queue of R's messages, that is not there. */
static int hidden_queue(struct store *s, const struct record *r, struct queue **to)
{
	int err = 0;

	topics_write_lock(s->topics);
	if (!topic_with_id(s->topics, r->queue >> QUEUE_BITS))
		err = make_hidden(s, r);
	if (!err)
		err = named_queue(s, r->queue, r->time, to);
	topics_unlock(s->topics);
	return err;
}

static int replay_messages(struct store *s, const struct record *r)
{
	struct queue *q = queue_by_id(s, r->queue);
	uint64_t end;
	int err = 0;

	if (__builtin_add_overflow(r->offset, r->length, &end) || end > INT64_MAX)
		return -EBADMSG;
	if (!q)
		err = hidden_queue(s, r, &q);
	if (err)
		return err;
	if (r->offset < atomic_load(&q->committed))
		return -EBADMSG;
	state_messages(q, end, r->messages, r->pos, r->time, r->flags);
	q->appended = end;
	return 0;
}

int state_apply(struct store *s, const struct record *r, const void *body)
{
	int err = 0;

	if (r->pos < atomic_load(&s->applied))
		return 0;
	if (r->type == RECORD_MESSAGES)
		err = replay_messages(s, r);
	else if (r->type != RECORD_EPOCH && r->type != RECORD_PAIR)      /* these count when they are in the log: annals.h */
		err = change(s, r->type, &(struct change){.body = body, .length = r->length, .flags = r->flags, .pos = r->pos, .time = r->time});
	if (err == -ENOMEM)
		return err;
	s->applied_at = (struct log_start){
		.pos = r->pos + record_size(r->length), .chain = r->sum, .epoch = r->epoch, .time = r->time};
	atomic_store(&s->applied, s->applied_at.pos);
	return err;
}

/* A removal that came to nothing no longer keeps appends out; a topic that was removed does by itself. */
static void open_again(struct store *s, const struct change *c)
{
	struct topic *t = topic_by_id(s, get64(c->body));

	if (t)
		atomic_fetch_sub(&t->closing, 1);
	topic_put(t);
}

void state_command(struct store *s, struct command *command, const struct log_entry *e)
{
	struct change c = {.body = command->body, .length = command->length, .flags = e->flags, .pos = e->pos, .time = e->time};

	command->result = change(s, command->type, &c);
	if (command->type == RECORD_TOPIC_REMOVE)
		open_again(s, &c);
	if (command->result == -ENOMEM) {
		store_say(s, LOG_CRIT, "out of memory for a change that is in the log: appends are refused until mqfs is started again");
		atomic_store(&s->read_only, true);
	}
	command_free(command);
}

void state_command_lost(struct store *s, struct command *command)
{
	if (command->type == RECORD_TOPIC_REMOVE)
		open_again(s, &(struct change){.body = command->body});
	command->result = -ETIMEDOUT;        /* for who comes to follow its position only now, when other records are there */
	command_free(command);
}
