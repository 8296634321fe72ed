/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include "checkpoint.h"
#include "parts.h"
#include "state.h"
#include "supply.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct command *command_new(void (*done)(struct command *c, int err), void *ctx)
{
	struct command *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->done = done;
	c->ctx = ctx;
	atomic_init(&c->users, 1);
	return c;
}

void command_free(struct command *c)
{
	if (!c || atomic_fetch_sub(&c->users, 1) > 1)
		return;
	free(c->body);
	free(c);
}

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int err;
};

static void stop_waiting(struct command *c, int err)
{
	struct waiting *w = c->ctx;

	pthread_mutex_lock(&w->lock);
	w->err = err;
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

struct command *command_new_waited(void)
{
	struct waiting *w = calloc(1, sizeof *w);
	struct command *c = w ? command_new(stop_waiting, w) : NULL;

	if (!c) {
		free(w);
		return NULL;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	return c;
}

int command_wait(struct command *c, int err)
{
	struct waiting *w = c->ctx;

	if (!err) {
		pthread_mutex_lock(&w->lock);
		while (!w->done)
			pthread_cond_wait(&w->cond, &w->lock);
		err = w->err;
		pthread_mutex_unlock(&w->lock);
	}
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	free(w);
	command_free(c);
	return err;
}

/* A body of LENGTH bytes for C, to be filled in. */
static uint8_t *body_of(struct command *c, uint8_t type, size_t length)
{
	c->type = type;
	c->length = (uint32_t)length;
	c->body = length <= RECORD_BODY_MAX ? malloc(length + 1) : NULL;
	return c->body;
}

static void followed(struct follower *f, int err)
{
	struct command *c = (struct command *)((char *)f - offsetof(struct command, follow));

	c->done(c, err ? err : c->result);
}

static int closed(struct store *s)
{
	if (atomic_load(&s->stopping))
		return -ENOTCONN;
	return atomic_load(&s->read_only) ? -EROFS : 0;
}

/* Nothing in the log is still to be applied, which may change what is so. To be asked before that is looked at. */
static bool settled(struct store *s)
{
	uint64_t applied = atomic_load(&s->applied);

	return s->log && applied == log_end(s->log);
}

/* Why nothing is taken, whatever room there is. */
static int refusal(struct store *s)
{
	int err = closed(s);

	if (err)
		return err;
	return log_failed(s->log) ? -EIO : log_refusing(s->log);
}

/* What is so already takes no room of the log: a script that says it again may do so on a full disk. */
static int already_so(struct store *s, struct command *c)
{
	int err = refusal(s);

	if (!err)
		c->done(c, 0);
	return err;
}

/* LEFT of WAS bytes or ns that may be retained. Who takes the disk's last room must free something, and in few steps: see log_roll.c. */
static bool relieves(uint64_t was, uint64_t left)
{
	return left < was && was - left >= was / 4;
}

/* Into the log. Two hold the command then: the log's entry until it is applied, and whoever is told. */
static int log_command(struct store *s, struct command *c, struct topic *t)
{
	struct iovec iov = {c->body, c->length};
	struct append a = {.type = c->type, .topic = t, .command = c, .iov = &iov, .iovcnt = 1, .uid = c->uid, .pid = c->pid,
		.flags = c->type == RECORD_TOPIC_CREATE ? RECORD_ID_BY_POSITION : 0, .claim = c->claim};
	int err = closed(s);

	if (err)
		return err;
	atomic_fetch_add(&c->users, 1);
	err = log_append(s->log, &a, commit_point(s->commit));
	if (err == -EIO)
		commit_hurry(s->commit);                 /* so that everyone who waits hears of it now */
	if (err) {
		if (!a.end)                              /* no position was given, so there is no entry */
			atomic_fetch_sub(&c->users, 1);
		return err;
	}
	c->follow.pos = a.end;
	c->follow.done = followed;
	commit_appended(s->commit, true);
	err = commit_follow(s->commit, &c->follow);
	if (err)                                         /* it is in the log: what comes of it is unknown, not refused */
		c->done(c, err);
	return 0;
}

int store_mkdir(struct store *s, struct command *c, const char *name, const struct owner *owner)
{
	int err = topic_name_check(name);
	struct topic *there;
	uint8_t *body;

	if (err)
		return err;
	there = topic_find(s, name);
	topic_put(there);
	if (there)
		return -EEXIST;
	body = body_of(c, RECORD_TOPIC_CREATE, 12 + strlen(name));
	if (!body)
		return -ENOMEM;
	put32(body, owner->uid);
	put32(body + 4, owner->gid);
	put32(body + 8, owner->mode);
	memcpy(body + 12, name, strlen(name));
	return log_command(s, c, NULL);
}

int store_rmdir(struct store *s, struct command *c, struct topic *t)
{
	uint8_t *body;

	if (atomic_load(&t->removed))
		return -ENOENT;
	if (store_refusing(s) == -EROFS)       /* whatever state the topic is in */
		return -EROFS;
	if (!atomic_load(&t->retired))
		return -ENOTEMPTY;
	body = body_of(c, RECORD_TOPIC_REMOVE, 8);
	if (!body)
		return -ENOMEM;
	put64(body, t->id);
	c->claim = CLAIM_RELIEF;
	return log_command(s, c, t);
}

/* A few bytes of log make checkpoints longer by COUNT queues: on a full disk they would find no room. */
static int leave_room(struct store *s, uint32_t count)
{
	uint64_t bytes = 2 * (checkpoint_topics(s) + (uint64_t)count * CHECKPOINT_QUEUE);
	int err = refusal(s);

	if (err)
		return err;
	log_reserve_more(s->log, bytes);
	return supply_leave(s->supply, bytes, false);
}

int store_set_queues(struct store *s, struct command *c, struct topic *t, uint32_t count)
{
	uint32_t has = atomic_load(&t->count);
	bool is_settled = settled(s);
	uint8_t *body;
	int err;

	if (atomic_load(&t->removed))
		return -ENOENT;
	if (count < has || count > QUEUES_MAX)
		return -EINVAL;
	if (is_settled && count == has)
		return already_so(s, c);
	err = leave_room(s, count - has);
	if (err)
		return err;
	body = body_of(c, RECORD_TOPIC_QUEUES, 12);
	if (!body)
		return -ENOMEM;
	put64(body, t->id);
	put32(body + 8, count);
	return log_command(s, c, NULL);
}

static int set_text(struct store *s, struct command *c, struct topic *t, const char *name, const char *value)
{
	size_t name_len = strlen(name) + 1, value_len = strlen(value) + 1;
	uint8_t *body;

	if (atomic_load(&t->removed))
		return -ENOENT;
	body = body_of(c, RECORD_TOPIC_SET, 8 + name_len + value_len);
	if (!body)
		return -ENOMEM;
	put64(body, t->id);
	memcpy(body + 8, name, name_len);
	memcpy(body + 8 + name_len, value, value_len);
	return log_command(s, c, NULL);
}

int store_set_retired(struct store *s, struct command *c, struct topic *t, bool retired)
{
	if (settled(s) && atomic_load(&t->retired) == retired && !atomic_load(&t->removed))
		return already_so(s, c);
	if (retired)
		c->claim = CLAIM_RELIEF;
	return set_text(s, c, t, "retired", retired ? "1" : "0");
}

int store_set(struct store *s, struct command *c, struct topic *t, enum setting_id id, const char *text)
{
	bool own = strcmp(text, "default") != 0, is_settled = settled(s);
	uint64_t value = s->options.settings.value[id], now = topic_setting(t, id);
	int err = own ? setting_parse(id, text, &value) : 0;

	if (err)
		return err;
	if (is_settled && topic_has_own(t, id) == own && value == now && !atomic_load(&t->removed))
		return already_so(s, c);
	if (id == SETTING_RETENTION_PINNED ? value == PINNED_DROP :
			(id == SETTING_RETENTION_AGE || id == SETTING_RETENTION_SIZE) && relieves(now, value))
		c->claim = CLAIM_RELIEF;
	return set_text(s, c, t, setting_table[id].name, text);
}

int store_set_owner(struct store *s, struct command *c, struct topic *t, struct queue *q, unsigned mask, const struct owner *o)
{
	uint8_t *body;

	if (t && atomic_load(&t->removed))
		return -ENOENT;
	body = body_of(c, RECORD_OWNER, 32);
	if (!body)
		return -ENOMEM;
	put64(body, t ? t->id : 0);
	put64(body + 8, q ? q->id : 0);
	put32(body + 16, mask);
	put32(body + 20, o->uid);
	put32(body + 24, o->gid);
	put32(body + 28, o->mode);
	return log_command(s, c, NULL);
}

/* Does M free something of its queue? */
static bool head_relieves(struct store *s, const struct head_move *m)
{
	uint64_t head, end;
	struct queue *q;

	topics_read_lock(s->topics);
	q = queue_by_id(s, m->queue);
	head = q ? atomic_load(&q->head) : 0;
	end = q ? atomic_load(&q->committed) : 0;
	topics_unlock(s->topics);
	return m->head <= end && head <= end && relieves(end - head, end - m->head);
}

int store_set_heads(struct store *s, struct command *c, const struct head_move *moves, size_t count)
{
	bool relief = count > 0;
	uint8_t *body;

	if (count > RECORD_BODY_MAX / 16)
		return -EMSGSIZE;
	/* Always logged: a head may be there already by this node's own doing, which the log does not know. */
	for (size_t i = 0; i < count; i++)
		relief = relief && head_relieves(s, &moves[i]);
	if (relief && c->claim == CLAIM_ORDINARY)
		c->claim = CLAIM_RELIEF;
	body = body_of(c, RECORD_HEADS, count * 16);
	if (!body)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		put64(body + i * 16, moves[i].queue);
		put64(body + i * 16 + 8, moves[i].head);
	}
	return log_command(s, c, NULL);
}
