/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 8u                      /* of an intent's number, at the beginning of its body */
#define LATELY 32u                     /* intents */
#define SHIFTS (16u << 10)

int model_init(struct model *m, struct world *w, void (*fail)(void *ctx, const char *what), void *ctx)
{
	m->world = w;
	m->fail = fail;
	m->ctx = ctx;
	m->rotten = UINT32_MAX;
	m->settled = calloc(IDS, sizeof *m->settled);
	m->pattern = malloc(SHIFTS + BODY_MOST);
	m->expected = malloc(BODY_MOST);
	if (!m->settled || !m->pattern || !m->expected) {
		model_end(m);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < SHIFTS + BODY_MOST; i++)
		m->pattern[i] = (uint8_t)('0' + (i * 2654435761u >> 20) % 70);
	for (int id = 0; id < IDS; id++)
		for (int n = 0; n < QUEUES; n++)
			m->queues[id][n] = (struct queue_model){.counted = true, .least_age = SETTING_NONE, .least_size = SETTING_NONE};
	return 0;
}

void model_end(struct model *m)
{
	if (m->settled)
		for (int id = 0; id < IDS; id++)
			for (int n = 0; n < QUEUES; n++)
				free(m->settled[id][n].at);
	free(m->settled);
	free(m->pattern);
	free(m->expected);
	free(m->intents);
}

void model_fail(struct model *m, const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	m->fail(m->ctx, what);
	abort();
}

/* ---- appends ---- */

int model_intend(struct model *m, const struct intent *i, uint32_t *number)
{
	struct queue_model *q = &m->queues[i->topic][i->queue];

	if (m->count == m->room) {
		uint32_t room = m->room ? 2 * m->room : 256;
		struct intent *grown = realloc(m->intents, room * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		m->intents = grown;
		m->room = room;
	}
	m->intents[m->count] = *i;
	m->intents[m->count].outcome = TRIED;
	m->intents[m->count].time = world_time(m->world);
	q->longest = i->len > q->longest ? i->len : q->longest;
	*number = m->count++;
	return 0;
}

static bool lasts(const struct intent *i)
{
	return i->outcome == ACKED || i->outcome == SETTLED;
}

bool model_any_proved(struct model *m, uint64_t proved, uint32_t *number)
{
	for (uint32_t n = m->count; n > 0 && m->count - n < 2 * LATELY; n--)
		if (lasts(&m->intents[n - 1]) && m->intents[n - 1].committed > proved)
			proved = m->intents[n - 1].committed;
	for (int tries = 0; tries < 8 && m->count; tries++) {
		/* Of the last ones the fewest others tell. */
		uint32_t from = once_in(m->world, 2) && m->count > LATELY ? m->count - LATELY : 0;
		const struct intent *i = &m->intents[*number = from + (uint32_t)chance_of(m->world, m->count - from)];
		if (lasts(i) && i->end && i->end <= proved)
			return true;
	}
	return false;
}

bool model_is_followed(struct model *m, uint32_t number)
{
	const struct intent *i = &m->intents[number];

	for (uint32_t n = m->count; n > 0; n--) {
		const struct intent *later = &m->intents[n - 1];
		if (later->topic == i->topic && later->queue == i->queue && lasts(later) && later->offset > i->offset)
			return true;
	}
	return false;
}

static uint32_t message_end(const struct intent *i, uint32_t n)
{
	return (uint32_t)((uint64_t)i->len * (n + 1) / i->messages);
}

void model_body(struct model *m, uint32_t number, uint8_t *to)
{
	static const char digits[] = "0123456789abcdef";
	const struct intent *i = &m->intents[number];

	memcpy(to, m->pattern + number * 131 % SHIFTS, i->len);
	for (unsigned d = 0; d < DIGITS; d++)
		to[d] = (uint8_t)digits[number >> (4 * (DIGITS - 1 - d)) & 15];
	for (uint32_t n = 0; n < i->messages; n++)
		to[message_end(i, n) - 1] = '\n';
}

static void place(struct model *m, uint32_t number, uint64_t offset)
{
	struct intent *i = &m->intents[number];

	if (i->placed && i->offset != offset)
		model_fail(m, "append %u is at offset %" PRIu64 " of queue %" PRIu64 "/%u and at %" PRIu64 " too", number, offset, i->topic, i->queue, i->offset);
	i->placed = true;
	i->offset = offset;
}

void model_answered(struct model *m, uint32_t number, int err, const struct place *at)
{
	struct intent *i = &m->intents[number];

	if (!err) {
		place(m, number, at->offset);
		i->outcome = LOGGED;
		i->end = at->end;
		return;
	}
	if (err == -EIO || err == -ENOTCONN)
		return;
	if (i->placed)
		model_fail(m, "append %u was refused (%s) and can be read", number, strerror(-err));
	i->outcome = REFUSED;
}

void model_acked(struct model *m, uint32_t number)
{
	m->intents[number].outcome = ACKED;
}

void model_written(struct model *m, uint32_t number)
{
	m->intents[number].written = true;
}

void model_memory_lost(struct model *m)
{
	for (uint32_t number = m->life; number < m->count; number++)
		m->intents[number].written = false;
}

/* ---- reads ---- */

static bool number_at(const uint8_t *bytes, uint32_t *number)
{
	*number = 0;
	for (unsigned d = 0; d < DIGITS; d++) {
		uint32_t digit = bytes[d] >= 'a' ? bytes[d] - 'a' + 10u : bytes[d] - 0u - '0';
		if (digit > 15)
			return false;
		*number = *number << 4 | digit;
	}
	return true;
}

static void begin_intent(struct model *m, struct cursor *c, const uint8_t *bytes)
{
	static const char *const never[] = {[REFUSED] = "was refused", [ABSENT] = "was gone after an earlier start",
		[REMOVED] = "was gone with its topic after an earlier start"};
	const struct intent *i;
	uint32_t number;

	if (!number_at(bytes, &number) || number >= m->count)
		model_fail(m, "nobody wrote what is at offset %" PRIu64 " of queue %" PRIu64 "/%u: %.8s", c->offset, c->topic, c->queue, bytes);
	i = &m->intents[number];
	if (i->topic != c->topic || i->queue != c->queue)
		model_fail(m, "append %u of queue %" PRIu64 "/%u is in queue %" PRIu64 "/%u, at %" PRIu64, number, i->topic, i->queue, c->topic, c->queue,
			c->offset);
	if (i->outcome == REFUSED || i->outcome == ABSENT || (i->outcome == REMOVED && !m->shows_less))
		model_fail(m, "append %u %s and is at offset %" PRIu64 " of queue %" PRIu64 "/%u", number, never[i->outcome], c->offset, c->topic, c->queue);
	place(m, number, c->offset);
	c->intent = number;
	c->into = 0;
}

void model_head(struct model *m, uint64_t topic, uint32_t queue, uint64_t head)
{
	struct queue_model *q = &m->queues[topic][queue];

	if (!m->free_limit && head > q->head)
		q->head = head;
}

void model_read(struct model *m, struct cursor *c, const uint8_t *bytes, size_t len)
{
	struct queue_model *q = &m->queues[c->topic][c->queue];

	while (len) {
		if (c->intent == UINT32_MAX) {
			if (len < DIGITS)
				break;
			begin_intent(m, c, bytes);
		}
		const struct intent *i = &m->intents[c->intent];
		size_t part = i->len - c->into < len ? i->len - c->into : len;
		model_body(m, c->intent, m->expected);
		if (memcmp(m->expected + c->into, bytes, part))
			model_fail(m, "append %u is not what was written: at offset %" PRIu64 " of queue %" PRIu64 "/%u", c->intent, c->offset, c->topic, c->queue);
		c->offset += part;
		c->into += (uint32_t)part;
		bytes += part;
		len -= part;
		if (c->into == i->len)
			c->intent = UINT32_MAX;
	}
	q->seen = c->offset > q->seen ? c->offset : q->seen;
}

static bool holds(const struct intent *i, uint64_t offset)
{
	return i->placed && i->offset <= offset && offset < i->offset + i->len;
}

static bool find_settled(struct model *m, uint64_t topic, uint32_t queue, uint64_t offset, uint32_t *number)
{
	const uint32_t *at = m->settled[topic][queue].at;
	uint32_t low = 0, high = m->queues[topic][queue].settled;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (m->intents[at[middle]].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	if (high == 0 || !holds(&m->intents[at[low]], offset))
		return false;
	*number = at[low];
	return true;
}

/* Not settled, and it may be seen nevertheless. */
static bool is_open(const struct model *m, uint32_t number)
{
	return number >= m->life || (m->shows_less && m->intents[number].outcome == REMOVED);
}

bool model_cursor(struct model *m, uint64_t topic, uint32_t queue, uint64_t offset, struct cursor *c)
{
	const struct queue_model *q = &m->queues[topic][queue];
	uint32_t n;

	*c = (struct cursor){.topic = topic, .queue = queue, .offset = offset, .intent = UINT32_MAX};
	if (offset == q->end)
		return true;
	if (!find_settled(m, topic, queue, offset, &n)) {
		for (n = m->shows_less ? 0 : m->life; n < m->count; n++)
			if (is_open(m, n) && m->intents[n].topic == topic && m->intents[n].queue == queue && holds(&m->intents[n], offset))
				break;
		if (n == m->count)
			return false;
	}
	if (m->intents[n].offset < offset) {
		c->intent = n;
		c->into = (uint32_t)(offset - m->intents[n].offset);
	}
	return true;
}

/* ---- changes ---- */

void model_name(int name, char to[8])
{
	snprintf(to, 8, "topic%d", name);
}

bool model_has_id(const struct model *m, uint64_t number, uint64_t id)
{
	if (number >= IDS || m->ids[number])
		return number < IDS && m->ids[number] == id;
	for (uint64_t n = 1; n < number; n++)
		if (m->ids[n] >= id)
			return false;
	return true;
}

/* It is seen as soon as it is there, which may be before who has made it is told. */
static uint64_t number_by_name(const struct model *m, const char *name)
{
	char text[8];

	for (int k = 0; k < NAMES; k++) {
		model_name(k, text);
		if (strcmp(name, text) != 0)
			continue;
		if (m->state.at[k].id)
			return m->state.at[k].id;
		return m->open.kind == MAKE && m->open.name == k ? m->state.last_id + 1 : 0;
	}
	return 0;
}

uint64_t model_topic(struct model *m, const struct topic *t)
{
	uint64_t number;

	for (uint64_t n = 1; n < IDS; n++)
		if (m->ids[n] == t->id)
			return n;
	number = m->shows_less ? 0 : number_by_name(m, t->name);
	if (!number || !model_has_id(m, number, t->id))
		return 0;
	m->ids[number] = t->id;
	return number;
}

static void apply_make(struct state_model *s, struct topic_model *t, const struct change_model *c)
{
	*t = (struct topic_model){.id = ++s->last_id, .count = 1, .owner = c->owner};
	t->owners[0] = (struct owner){c->owner.uid, c->owner.gid, c->owner.mode & 0666};
}

static void apply_owner(struct owner *to, const struct change_model *c)
{
	to->uid = c->mask & OWNER_UID ? c->owner.uid : to->uid;
	to->gid = c->mask & OWNER_GID ? c->owner.gid : to->gid;
	to->mode = c->mask & OWNER_MODE ? c->owner.mode : to->mode;
}

void change_apply(struct state_model *s, const struct change_model *c)
{
	struct topic_model *t = &s->at[c->name];

	switch (c->kind) {
	case CHANGE_NONE:
		break;
	case MAKE:
		apply_make(s, t, c);
		break;
	case REMOVE:
		*t = (struct topic_model){0};
		break;
	case GROW:
		for (; t->count < c->queue; t->count++)
			t->owners[t->count] = t->owners[0];
		break;
	case RETIRE:
		t->retired = c->value;
		break;
	case SET:
		t->own_set = c->inherit ? t->own_set & ~(1u << c->setting) : t->own_set | 1u << c->setting;
		t->own[c->setting] = c->inherit ? 0 : c->value;
		break;
	case OWN:
		apply_owner(c->queue < QUEUES ? &t->owners[c->queue] : &t->owner, c);
		break;
	case OWN_ROOT:
		apply_owner(&s->root, c);
		break;
	case HEAD:
		t->heads[c->queue] = c->value > t->heads[c->queue] ? c->value : t->heads[c->queue];
		break;
	}
}

/* Limits count from when they are asked for. */
void model_change(struct model *m, const struct change_model *c)
{
	m->open = *c;
	if (c->kind != SET || c->inherit)
		return;
	for (int n = 0; n < QUEUES; n++) {
		struct queue_model *q = &m->queues[m->state.at[c->name].id][n];
		if (c->setting == SETTING_RETENTION_AGE && c->value < q->least_age)
			q->least_age = c->value;
		if (c->setting == SETTING_RETENTION_SIZE && c->value < q->least_size)
			q->least_size = c->value;
		if (c->setting == SETTING_RETENTION_PINNED && c->value == PINNED_DROP)
			q->may_drop = true;
	}
}

void model_changed(struct model *m, int err)
{
	if (err == -EIO || err == -ETIMEDOUT || err == -ENOTCONN)
		return;
	if (!err)
		change_apply(&m->state, &m->open);
	m->open.kind = CHANGE_NONE;
}

/* ---- what a check changes ---- */

struct model_save {
	struct model model;
	struct intent life[];
};

int model_save(struct model *m, struct model_save **to)
{
	size_t bytes = (m->count - m->life) * sizeof(struct intent);

	*to = malloc(sizeof **to + bytes);
	if (!*to)
		return -ENOMEM;
	(*to)->model = *m;
	if (bytes)
		memcpy((*to)->life, m->intents + m->life, bytes);
	return 0;
}

void model_restore(struct model *m, struct model_save *from)
{
	struct intent *intents = m->intents;
	uint32_t room = m->room;

	*m = from->model;
	m->intents = intents;
	m->room = room;
	if (m->count > m->life)
		memcpy(m->intents + m->life, from->life, (m->count - m->life) * sizeof(struct intent));
	free(from);
}
