/* SPDX-License-Identifier: Apache-2.0 */
/* What uses the store in a life: writers, readers, and one administrator. Each tells the model what it asks before it asks. */
#include "run.h"
#include "parts.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READ_MOST 9000u

static bool ended(struct run *r)
{
	return r->over || r->disk->stopped;
}

static void done_one(struct run *r)
{
	if (--r->left <= 0)
		r->over = true;
}

/* A topic that there is, held, and its name's number. */
static struct topic *any_topic(struct run *r, int *name)
{
	char text[8];

	for (int tries = 0; tries < 4; tries++) {
		*name = (int)chance_of(r->world, NAMES);
		model_name(*name, text);
		struct topic *t = topic_find(r->store, text);
		if (t && model_topic(&r->model, t))
			return t;
		topic_put(t);
	}
	return NULL;
}

/* ---- writers ---- */

struct follow {
	struct follower follower;
	struct run *run;
	uint32_t number;
	bool *told;                    /* of who waits; NULL: nobody does */
};

static void told(struct follower *f, int err)
{
	struct follow *w = (struct follow *)f;
	struct run *r = w->run;

	if (!r->disk->stopped && !err) {
		model_acked(&r->model, w->number);
		r->counts->acked++;
		run_say(r, "append %u is acknowledged", w->number);
	}
	if (err == -ETIMEDOUT)
		r->counts->branches[TIMED_OUT]++;
	if (w->told) {
		*w->told = true;
		world_wake(r->world, w->told, true);
	}
	free(w);
}

static void follow(struct run *r, uint32_t number, uint64_t end, bool wait)
{
	struct follow *w = calloc(1, sizeof *w);
	bool is_told = false;

	if (!w)
		model_fail(&r->model, "out of memory");
	*w = (struct follow){.follower = {.pos = end, .done = told}, .run = r, .number = number, .told = wait ? &is_told : NULL};
	if (store_follow(r->store, &w->follower)) {
		free(w);
		return;
	}
	while (wait && !is_told)
		world_wait(r->world, &is_told, WORLD_NEVER);
}

/* As write(2) does, where it does not wait for a commit. */
static void wait_written(struct run *r, uint32_t number, uint64_t end)
{
	int err = store_wait_written(r->store, end);

	if (err || r->disk->stopped)
		return;
	model_written(&r->model, number);
	run_say(r, "append %u is written", number);
}

static uint32_t any_length(struct world *w, uint32_t messages)
{
	static const uint32_t most[8] = {40, 200, 200, 600, 600, 2000, 6000, BODY_MOST};
	uint32_t least = BODY_LEAST * messages, limit = most[chance_of(w, once_in(w, 16) ? 8 : 7)];

	return least + (uint32_t)chance_of(w, limit > least ? limit - least : 1);
}

static void append(struct run *r)
{
	struct world *w = r->world;
	struct place at = {0};
	struct intent i;
	uint8_t *body;
	uint32_t number;
	int name, err;
	struct topic *t = any_topic(r, &name);

	if (!t)
		return;
	i = (struct intent){.topic = model_topic(&r->model, t), .queue = (uint32_t)chance_of(w, t->count), .messages = 1, .committed = store_committed(r->store)};
	if (once_in(w, 4))
		i.messages = 1 + (uint32_t)chance_of(w, 4);
	i.flags = once_in(w, 8) ? RECORD_PARTIAL : 0;
	i.len = any_length(w, i.messages);
	body = malloc(i.len);
	if (!body || model_intend(&r->model, &i, &number))
		model_fail(&r->model, "out of memory");
	model_body(&r->model, number, body);
	/* In two parts, as lines come from a handle and from a request. */
	struct iovec iov[2] = {{body, i.len / 3}, {body + i.len / 3, i.len - i.len / 3}};
	run_say(r, "append %u: %u bytes to topic%d/%u", number, i.len, name, i.queue);
	struct batch batch = {.iov = iov, .iovcnt = 2, .messages = i.messages, .flags = i.flags, .later = once_in(w, 3)};
	err = store_append(topic_queue(t, i.queue), &batch, &at);
	if (!err && batch.later) {
		if (once_in(w, 2))
			world_sleep(w, (int64_t)chance_of(w, SECOND / 1000));
		err = store_append_end(topic_queue(t, i.queue), at.end);
	}
	free(body);
	r->counts->appends++;
	if (!r->disk->stopped) {
		run_say(r, "append %u: %s, offset %" PRIu64 ", up to position %" PRIu64, number, err ? strerror(-err) : "in the log", at.offset, at.end);
		model_answered(&r->model, number, err, &at);
		if (err == -ENOSPC) {
			r->counts->branches[DISK_FULL]++;
			if (r->healthy)
				model_fail(&r->model, "append %u: there is room on the disk, and it is refused", number);
		}
		r->counts->refused += err && err != -EIO;
		if (!err && once_in(w, 2))
			wait_written(r, number, at.end);
		if (!err && !once_in(w, 4))
			follow(r, number, at.end, !once_in(w, 3));
	}
	topic_put(t);
}

static void *writer(void *arg)
{
	struct run *r = arg;

	while (!ended(r)) {
		append(r);
		done_one(r);
		if (once_in(r->world, 3))
			world_sleep(r->world, (int64_t)chance_of(r->world, SECOND / (once_in(r->world, 4) ? 1 : 100)));
	}
	return NULL;
}

/* ---- readers ---- */

static void read_some(struct run *r, struct topic *t, uint32_t n)
{
	static _Thread_local uint8_t bytes[READ_MOST];
	struct queue *q = topic_queue(t, n);
	uint64_t topic = model_topic(&r->model, t);
	struct reader *reader;
	struct cursor at;
	struct slice s;
	int reads = 1 + (int)chance_of(r->world, 6);

	if (!r->disk->was_full)                /* heads may have moved that come back with the next start */
		model_head(&r->model, topic, n, q->head);
	if (!model_cursor(&r->model, topic, n, q->head, &at) || reader_new(&reader, r->store, q))
		return;
	if (once_in(r->world, 2) && q->committed > at.offset) {
		struct cursor later;
		uint64_t from = r->model.queues[topic][n].end;
		if (from > at.offset && model_cursor(&r->model, topic, n, from, &later))
			at = later;
	}
	while (reads-- && !ended(r)) {
		slice_init(&s);
		/* A number must not be cut, or nobody knows whose bytes these are. */
		ssize_t len = reader_read(reader, at.offset, 64 + (size_t)chance_of(r->world, READ_MOST - 64), &s);
		if (len <= 0 || slice_copy(&s, bytes) || r->disk->stopped) {
			slice_free(&s);
			if (len < 0 && len != -ENODATA && r->healthy && !ended(r) && !log_failed(r->store->log))
				model_fail(&r->model, "queue %" PRIu64 "/%u cannot be read at %" PRIu64 ": %s", topic, n, at.offset, strerror((int)-len));
			break;
		}
		run_say(r, "read %zd bytes at %" PRIu64 " of queue %" PRIu64 "/%u", len, at.offset, topic, n);
		model_read(&r->model, &at, bytes, (size_t)len);
		r->counts->reads++;
		slice_free(&s);
	}
	reader_free(reader);
}

struct watching {
	struct watcher watcher;
	struct run *run;
	bool ready;
};

static void ready(struct watcher *w, int err)
{
	struct watching *x = (struct watching *)w;

	(void)err;
	x->ready = true;
	world_wake(x->run->world, &x->ready, true);
}

static void watch_and_read(struct run *r, struct topic *t, uint32_t n)
{
	struct watching w = {.watcher = {.ready = ready, .deadline = world_now(r->world) + SECOND}, .run = r};
	int err = watch_queue(topic_queue(t, n), topic_queue(t, n)->committed, &w.watcher);

	while (!err && !w.ready)
		world_wait(r->world, &w.ready, WORLD_NEVER);
	if (!ended(r))
		read_some(r, t, n);
}

static void *reader(void *arg)
{
	struct run *r = arg;

	while (!ended(r)) {
		int name;
		struct topic *t = any_topic(r, &name);
		if (t) {
			uint32_t n = (uint32_t)chance_of(r->world, t->count);
			if (once_in(r->world, 2))
				watch_and_read(r, t, n);
			else
				read_some(r, t, n);
			topic_put(t);
		}
		world_sleep(r->world, (int64_t)chance_of(r->world, SECOND / 10));
	}
	return NULL;
}

/* ---- the administrator ---- */

struct asking {
	struct run *run;
	bool done;
	int err;
};

static void changed(struct command *c, int err)
{
	struct asking *a = c->ctx;
	struct run *r = a->run;

	a->done = true;
	a->err = err;
	world_wake(r->world, a, true);
}

static struct owner any_owner(struct world *w)
{
	return (struct owner){(uint32_t)chance_of(w, 1000), (uint32_t)chance_of(w, 1000), (uint32_t)chance_of(w, 512)};
}

static void choose_setting(struct run *r, struct change_model *c, char text[SETTING_TEXT])
{
	static const char *const ages[] = {"2s", "10s", "1m"}, *const sizes[] = {"3000", "20K", "60K"};
	static const char *const others[][2] = {{"commit", "close"}, {"commit", "fsync"}, {"framing", "write"}, {"partial", "keep"}, {"max_message", "1M"},
		{"retention.pinned", "drop"}};
	struct world *w = r->world;
	const char *value;

	if (r->sized && once_in(w, 2)) {
		c->setting = once_in(w, 2) ? SETTING_RETENTION_AGE : SETTING_RETENTION_SIZE;
		value = c->setting == SETTING_RETENTION_AGE ? ages[chance_of(w, 3)] : sizes[chance_of(w, 3)];
	} else {
		int k = (int)chance_of(w, 6);
		c->setting = (enum setting_id)setting_find(others[k][0]);
		value = others[k][1];
	}
	c->inherit = once_in(w, 4);
	strcpy(text, c->inherit ? "default" : value);
	if (!c->inherit && setting_parse(c->setting, text, &c->value))
		model_fail(&r->model, "%s is no setting", text);
}

/* A message's beginning that is known to be there. */
static bool choose_head(struct run *r, struct topic *t, struct change_model *c)
{
	struct model *m = &r->model;
	uint64_t topic = model_topic(m, t);
	const struct queue_model *q;

	c->queue = (uint32_t)chance_of(r->world, t->count);
	q = &m->queues[topic][c->queue];
	if (!q->settled)
		return false;
	c->value = m->intents[m->settled[topic][c->queue].at[chance_of(r->world, q->settled)]].offset;
	return true;
}

/* What is to change of topic T; false: nothing. */
static bool choose_change(struct run *r, struct topic *t, struct change_model *c, char text[SETTING_TEXT])
{
	struct world *w = r->world;
	const struct topic_model *known = &r->model.state.at[c->name];

	if (known->retired) {
		c->kind = once_in(w, 2) ? REMOVE : RETIRE;
		return true;
	}
	switch (chance_of(w, 8)) {
	case 0:
		c->kind = once_in(w, 3) ? RETIRE : OWN;
		c->value = 1;
		break;
	case 1:
		c->kind = GROW;
		c->queue = known->count + (uint32_t)chance_of(w, QUEUES - known->count + 1);
		return true;
	case 2:
		c->kind = OWN_ROOT;
		break;
	case 3:
		c->kind = HEAD;
		return choose_head(r, t, c);
	case 4:
		c->kind = OWN;
		c->queue = QUEUES;
		break;
	default:
		c->kind = SET;
		choose_setting(r, c, text);
		return true;
	}
	if (c->kind == OWN)
		c->queue = once_in(w, 2) ? QUEUES : (uint32_t)chance_of(w, known->count);
	c->mask = 1 + (unsigned)chance_of(w, 7);
	c->owner = any_owner(w);
	return true;
}

static int ask(struct run *r, struct command *cmd, struct topic *t, const struct change_model *c, const char *text)
{
	struct store *s = r->store;
	char name[8];

	model_name(c->name, name);
	switch (c->kind) {
	case MAKE:
		return store_mkdir(s, cmd, name, &c->owner);
	case REMOVE:
		return store_rmdir(s, cmd, t);
	case GROW:
		return store_set_queues(s, cmd, t, c->queue);
	case RETIRE:
		return store_set_retired(s, cmd, t, c->value);
	case SET:
		return store_set(s, cmd, t, c->setting, text);
	case OWN:
		return store_set_owner(s, cmd, t, c->queue < QUEUES ? topic_queue(t, c->queue) : NULL, c->mask, &c->owner);
	case OWN_ROOT:
		return store_set_owner(s, cmd, NULL, NULL, c->mask, &c->owner);
	case HEAD:
		return store_set_heads(s, cmd, &(struct head_move){topic_queue(t, c->queue)->id, c->value}, 1);
	default:
		return -EINVAL;
	}
}

/* False: what came of it is not known, and nothing more is asked in this life. */
static bool change(struct run *r)
{
	static const char *const kinds[] = {"nothing", "make", "remove", "grow", "retire", "set", "own", "own root", "head"};
	struct change_model c = {.name = (int)chance_of(r->world, NAMES)};
	char text[SETTING_TEXT] = "", name[8];
	struct asking a = {.run = r};
	struct command *cmd;
	struct topic *t;
	int err;

	model_name(c.name, name);
	t = topic_find(r->store, name);
	if (!t) {
		if (r->model.state.last_id + 2 >= IDS)
			return true;
		c.kind = MAKE;
		c.owner = any_owner(r->world);
	} else if (!choose_change(r, t, &c, text)) {
		topic_put(t);
		return true;
	}
	cmd = command_new(changed, &a);
	if (!cmd)
		model_fail(&r->model, "out of memory");
	run_say(r, "change: %s %s %s %" PRIu64, kinds[c.kind], name, text, c.value);
	model_change(&r->model, &c);
	err = ask(r, cmd, t, &c, text);
	if (!err) {
		if (!r->disk->stopped && !a.done)
			r->model.open.end = cmd->follow.pos;
		while (!a.done)
			world_wait(r->world, &a, WORLD_NEVER);
		err = a.err;
	}
	command_free(cmd);
	topic_put(t);
	r->counts->changes++;
	if (r->disk->stopped)
		return false;
	run_say(r, "change: %s", err ? strerror(-err) : "done");
	if (err && err != -EIO && err != -ETIMEDOUT && err != -ENOTCONN && err != -ENOSPC && err != -EINVAL)
		model_fail(&r->model, "change: %s %s: %s", kinds[c.kind], name, strerror(-err));
	model_changed(&r->model, err);
	return r->model.open.kind == CHANGE_NONE;
}

static void *administrator(void *arg)
{
	struct run *r = arg;

	while (!ended(r) && change(r))
		world_sleep(r->world, (int64_t)chance_of(r->world, SECOND / 4));
	return NULL;
}

void programs_start(struct run *r)
{
	for (int n = 0; n < PROGRAMS; n++) {
		void *(*run)(void *arg) = n < WRITERS ? writer : n < WRITERS + READERS ? reader : administrator;
		r->programs[n] = world_start(r->world, run, r);
		if (!r->programs[n])
			model_fail(&r->model, "out of memory");
	}
}

void programs_join(struct run *r)
{
	for (int n = 0; n < PROGRAMS; n++)
		world_join(r->world, r->programs[n]);
}
