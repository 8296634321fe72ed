/* SPDX-License-Identifier: Apache-2.0 */
/* What a start of the store shows, against the model. */
#include "model.h"
#include "parts.h"
#include "simdisk.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READ_AT_ONCE (64u << 10)

/* A queue as the store has it. */
struct found {
	bool there;
	uint64_t head, end;
	uint64_t messages, partial;
	uint64_t bytes;                /* of the model's intents between head and end */
};

struct check {
	struct model *m;
	struct store *store;
	bool read_only;
	struct found queues[IDS][QUEUES];
	uint64_t last_present, first_absent;   /* log positions behind appends and changes of this life */
};

/* ---- rule 6 ---- */

static bool same_owner(const struct owner *a, const struct owner *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->mode == b->mode;
}

static const char *topic_differs(const struct model *model, struct store *s, struct topic *t, const struct topic_model *m)
{
	struct owner o;

	if (!t != !m->id)
		return t ? "is there" : "is not there";
	if (!t)
		return NULL;
	if (!model_has_id(model, m->id, t->id))
		return "has another id";
	if (t->count != m->count)
		return "has another number of queues";
	if (t->retired != (m->retired ? true : false))
		return t->retired ? "is retired" : "is not retired";
	if (t->own_set != m->own_set)
		return "has other settings of its own";
	for (int id = 0; id < SETTINGS; id++)
		if (m->own_set & 1u << id && t->own[id] != m->own[id])
			return setting_table[id].name;
	owner_get(s, t, NULL, &o);
	if (!same_owner(&o, &m->owner))
		return "has another owner or mode";
	for (uint32_t n = 0; n < m->count; n++) {
		owner_get(s, t, topic_queue(t, n), &o);
		if (!same_owner(&o, &m->owners[n]))
			return "has a queue of another owner or mode";
	}
	return NULL;
}

static const char *state_differs(const struct model *model, struct store *s, const struct state_model *m, int *name)
{
	const char *what = NULL;
	struct owner root;
	size_t count = 0;
	char text[8];

	for (*name = 0; *name < NAMES && !what; ++*name) {
		model_name(*name, text);
		struct topic *t = topic_find(s, text);
		what = topic_differs(model, s, t, &m->at[*name]);
		count += t != NULL;
		topic_put(t);
	}
	--*name;
	owner_get(s, NULL, NULL, &root);
	if (!what && !same_owner(&root, &m->root))
		what = "the root has another owner or mode";
	if (!what && topic_count(s) != count)
		what = "a topic of another name is there";
	return what;
}

static void check_state(struct check *c)
{
	struct model *m = c->m;
	struct state_model after = m->state;
	const char *before_what, *after_what;
	int before_name, after_name;

	before_what = state_differs(m, c->store, &m->state, &before_name);
	if (m->open.kind == CHANGE_NONE) {
		if (before_what)
			model_fail(m, "topic%d: %s", before_name, before_what);
		return;
	}
	change_apply(&after, &m->open);
	after_what = state_differs(m, c->store, &after, &after_name);
	if (before_what && after_what)
		model_fail(m, "topic%d: %s; and with the change that was under way: topic%d: %s", before_name, before_what, after_name, after_what);
	if (!before_what == !after_what)
		return;                        /* a head; or it changes nothing */
	if (before_what && m->open.end)
		c->last_present = m->open.end;
	if (after_what && m->open.end && m->open.end < c->first_absent)
		c->first_absent = m->open.end;
	if (before_what)
		m->state = after;
}

/* ---- rule 8 ---- */

static void check_epoch(struct check *c)
{
	const struct epoch *now = &c->store->epoch, *last = &c->m->epoch;
	struct disk_space space = {0};

	disk_space(c->store->disk, &space);
	if (epoch_compare(now, last) < (space.free >= SEGMENT_HEADER + c->store->options.segment_size))
		model_fail(c->m, "the epoch of this start is %u.%u, and there was %u.%u before", now->reign, now->start, last->reign, last->start);
	c->m->epoch = *now;
}

/* ---- rule 7 ---- */

static void check_dropped_age(struct check *c, uint64_t id, uint32_t n, uint64_t from, uint64_t to)
{
	struct model *m = c->m;
	const struct queue_model *q = &m->queues[id][n];
	const uint32_t *at = m->settled[id][n].at;

	for (uint32_t k = q->settled; k > 0 && m->intents[at[k - 1]].offset >= from; k--) {
		const struct intent *i = &m->intents[at[k - 1]];
		if (at[k - 1] != m->rotten && i->offset + i->len <= to && i->time + (int64_t)q->least_age > world_time(m->world))
			model_fail(m, "append %u of queue %" PRIu64 "/%u is gone before its time", at[k - 1], id, n);
	}
}

static bool is_limited(const struct queue_model *q)
{
	return q->least_age != SETTING_NONE || q->least_size != SETTING_NONE;
}

/* For want of space the store may have moved its head, which only a checkpoint tells. */
static bool may_have_dropped(const struct model *m, const struct queue_model *q)
{
	return m->free_limit && (is_limited(q) || q->may_drop);
}

static void check_head(struct check *c, const struct topic_model *t, uint32_t n)
{
	const struct queue_model *q = &c->m->queues[t->id][n];
	const struct found *f = &c->queues[t->id][n];
	uint64_t set = t->heads[n];

	if (f->head < set)
		model_fail(c->m, "queue %" PRIu64 "/%u: its head is %" PRIu64 ", and was set to %" PRIu64, t->id, n, f->head, set);
	if (c->m->open.kind == HEAD && c->m->open.queue == n && c->m->state.at[c->m->open.name].id == t->id && f->head >= c->m->open.value)
		set = c->m->open.value > set ? c->m->open.value : set;
	if (f->head <= set)
		return;
	if (may_have_dropped(c->m, q))
		return;
	if (!is_limited(q))
		model_fail(c->m, "queue %" PRIu64 "/%u: its head is %" PRIu64 ", and nothing limits it", t->id, n, f->head);
	if (q->least_size == SETTING_NONE)
		check_dropped_age(c, t->id, n, set, f->head);
}

/* Size is the topic's: what is left and one append more are more than the limit. */
static void check_size(struct check *c, const struct topic_model *t)
{
	const struct queue_model *q = &c->m->queues[t->id][0];
	uint64_t left = 0, longest = 0;
	bool moved = false;

	if (q->least_size == SETTING_NONE || q->least_age != SETTING_NONE || c->m->free_limit)
		return;
	for (uint32_t n = 0; n < t->count; n++) {
		const struct found *f = &c->queues[t->id][n];
		if (t->heads[n] || c->m->open.kind == HEAD)
			return;
		moved |= f->head > 0;
		left += f->end - f->head;
		longest = c->m->queues[t->id][n].longest > longest ? c->m->queues[t->id][n].longest : longest;
	}
	if (moved && left + longest <= q->least_size)
		model_fail(c->m, "topic %" PRIu64 " has only %" PRIu64 " bytes left of %" PRIu64, t->id, left, q->least_size);
}

/* ---- what is in the queues ---- */

/* A read that failed at AT, and could go on at BEHIND: for what has rotted, and no more than that. */
static bool pass_rotten(struct model *m, struct cursor *at, uint64_t behind)
{
	const struct intent *i = m->rotten < m->count ? &m->intents[m->rotten] : NULL;

	if (!i || i->topic != at->topic || i->queue != at->queue || at->offset < i->offset || behind <= at->offset || behind > i->offset + i->len)
		return false;
	at->offset = behind;
	at->into = (uint32_t)(behind - i->offset);
	at->intent = at->into < i->len ? m->rotten : UINT32_MAX;
	return true;
}

static void read_all(struct check *c, struct queue *q, const struct found *f, struct cursor *at)
{
	static _Thread_local uint8_t bytes[READ_AT_ONCE];
	struct model *m = c->m;
	struct reader *r;
	struct slice s;

	if (reader_new(&r, c->store, q))
		model_fail(m, "out of memory");
	while (at->offset < f->end) {
		slice_init(&s);
		ssize_t n = reader_read(r, at->offset, sizeof bytes, &s);
		if ((n == -EIO || n == -ENODATA) && pass_rotten(m, at, reader_behind(r))) {
			slice_free(&s);
			continue;
		}
		if (n <= 0 || slice_copy(&s, bytes))
			model_fail(m, "queue %" PRIu64 "/%u cannot be read at %" PRIu64 " of %" PRIu64 ": %s", at->topic, at->queue, at->offset, f->end,
				n < 0 ? strerror((int)-n) : "nothing is there");
		model_read(m, at, bytes, (size_t)n);
		slice_free(&s);
	}
	reader_free(r);
	if (at->intent != UINT32_MAX || at->offset != f->end)
		model_fail(m, "queue %" PRIu64 "/%u ends at %" PRIu64 ", inside of append %u", at->topic, at->queue, f->end, at->intent);
}

static void check_queue(struct check *c, const struct topic_model *t, uint32_t n, struct queue *q)
{
	struct model *m = c->m;
	struct queue_model *known = &m->queues[t->id][n];
	struct found *f = &c->queues[t->id][n];
	uint64_t seen = known->seen, head = known->head;
	struct cursor at;

	*f = (struct found){.there = true, .head = q->head, .end = q->committed, .messages = q->messages, .partial = q->partial};
	if (f->end < known->end && !c->read_only)
		model_fail(m, "queue %" PRIu64 "/%u ends at %" PRIu64 ", and was there up to %" PRIu64 " after an earlier start", t->id, n, f->end, known->end);
	if (f->end < seen && !c->read_only)
		model_fail(m, "queue %" PRIu64 "/%u ends at %" PRIu64 ", and was read up to %" PRIu64, t->id, n, f->end, seen);
	if (f->head < head && !c->read_only && !(m->forgets && (is_limited(known) || may_have_dropped(m, known))))
		model_fail(m, "queue %" PRIu64 "/%u begins at %" PRIu64 ", and began at %" PRIu64 " before", t->id, n, f->head, head);
	if (!((const struct simdisk *)c->store->disk)->was_full)
		model_head(m, t->id, n, f->head);
	if (f->head > f->end)
		model_fail(m, "queue %" PRIu64 "/%u: its head is behind its end", t->id, n);
	if (!c->read_only)
		check_head(c, t, n);
	model_cursor(m, t->id, n, f->head, &at);
	read_all(c, q, f, &at);
}

static void add_bytes(struct found *f, const struct intent *i)
{
	uint64_t end = i->offset + i->len;

	if (end > f->head)
		f->bytes += end - (i->offset > f->head ? i->offset : f->head);
}

static void check_intent(struct check *c, uint32_t number)
{
	struct intent *i = &c->m->intents[number];
	struct found *f = &c->queues[i->topic][i->queue];
	bool present;

	if (i->outcome == REFUSED || !f->there)
		return;                        /* refused, or its topic has gone */
	present = i->placed && i->offset + i->len <= f->end;
	if (i->outcome == ACKED && !present)
		model_fail(c->m, "append %u was acknowledged and is lost: offset %" PRIu64 " of queue %" PRIu64 "/%u, which ends at %" PRIu64, number,
			i->offset, i->topic, i->queue, f->end);
	if (i->written && !present)
		model_fail(c->m, "append %u was written, and a kill has taken it: offset %" PRIu64 " of queue %" PRIu64 "/%u, which ends at %" PRIu64, number,
			i->offset, i->topic, i->queue, f->end);
	if (present) {
		add_bytes(f, i);
		f->messages -= i->messages;
		f->partial -= i->flags & RECORD_PARTIAL ? 1 : 0;
	}
	if (i->end && present && i->end > c->last_present)
		c->last_present = i->end;
	if (i->end && !present && i->end < c->first_absent)
		c->first_absent = i->end;
}

/* ---- what retention took before anybody read it ---- */

/* Places appends of queue ID/N of which no answer came so that they fill FROM to TO exactly. */
static bool fill_gap(struct model *m, uint64_t id, uint32_t n, uint64_t from, uint64_t to)
{
	if (from == to)
		return true;
	for (uint32_t number = m->life; number < m->count; number++) {
		struct intent *i = &m->intents[number];
		if (i->topic != id || i->queue != n || i->placed || i->outcome == REFUSED || i->len > to - from)
			continue;
		i->placed = true;
		i->offset = from;
		if (fill_gap(m, id, n, from + i->len, to))
			return true;
		i->placed = false;
	}
	return false;
}

/* Of this life, in order of their places: what is missing below the head was there, or nothing would stand behind it. */
static void place_taken(struct check *c, uint64_t id, uint32_t n)
{
	struct model *m = c->m;
	const struct found *f = &c->queues[id][n];
	uint64_t at = m->queues[id][n].end;

	while (f->there && at < f->head) {
		const struct intent *next = NULL;
		for (uint32_t number = m->life; number < m->count; number++) {
			const struct intent *i = &m->intents[number];
			if (i->topic == id && i->queue == n && i->placed && i->offset >= at && (!next || i->offset < next->offset))
				next = i;
		}
		uint64_t to = next ? next->offset : f->end;
		if (!fill_gap(m, id, n, at, to))
			return;
		at = next ? to + next->len : to;
	}
}

static void check_totals(struct check *c, uint64_t id, uint32_t n)
{
	struct model *m = c->m;
	struct found *f = &c->queues[id][n];
	const struct queue_model *q = &m->queues[id][n];
	const uint32_t *at = m->settled[id][n].at;

	if (!f->there)
		return;
	for (uint32_t k = q->settled; k > 0; k--) {
		const struct intent *i = &m->intents[at[k - 1]];
		if (i->offset + i->len <= f->head)
			break;
		add_bytes(f, i);
	}
	if (f->bytes != f->end - f->head)
		model_fail(m, "queue %" PRIu64 "/%u has %" PRIu64 " bytes, and %" PRIu64 " were written there", id, n, f->end - f->head, f->bytes);
	/* What a header that has rotted counted is not known. */
	if (m->rotten < m->count && m->intents[m->rotten].topic == id && m->intents[m->rotten].queue == n)
		return;
	if (f->messages != q->messages)
		model_fail(m, "queue %" PRIu64 "/%u counts %" PRId64 " messages more than there were", id, n, (int64_t)(f->messages - q->messages));
	if (f->partial != q->partial)
		model_fail(m, "queue %" PRIu64 "/%u counts %" PRId64 " partial lines more than there were", id, n, (int64_t)(f->partial - q->partial));
}

/* ---- rule 5 ---- */

static void settle_one(struct model *m, uint32_t number)
{
	struct intent *i = &m->intents[number];
	struct queue_model *q = &m->queues[i->topic][i->queue];
	struct settled *s = &m->settled[i->topic][i->queue];
	uint32_t place = q->settled;

	if (q->settled == s->room) {
		size_t room = s->room ? 2 * s->room : 32;
		uint32_t *grown = realloc(s->at, room * sizeof *grown);
		if (!grown)
			model_fail(m, "out of memory");
		s->at = grown;
		s->room = room;
	}
	for (; place > 0 && m->intents[s->at[place - 1]].offset > i->offset; place--)
		s->at[place] = s->at[place - 1];
	s->at[place] = number;
	q->settled++;
	q->messages += i->messages;
	q->partial += i->flags & RECORD_PARTIAL ? 1 : 0;
	i->outcome = SETTLED;
}

static void settle(struct check *c)
{
	struct model *m = c->m;

	for (uint32_t number = m->life; number < m->count; number++) {
		struct intent *i = &m->intents[number];
		const struct found *f = &c->queues[i->topic][i->queue];
		if (i->outcome == REFUSED)
			continue;
		if (f->there && i->placed && i->offset + i->len <= f->end)
			settle_one(m, number);
		else
			i->outcome = f->there ? ABSENT : REMOVED;
	}
	for (int at = 0; at < IDS; at++)
		for (int n = 0; n < QUEUES; n++)
			if (c->queues[at][n].there)
				m->queues[at][n].end = c->queues[at][n].end;
	uint64_t id = m->state.at[m->open.name].id;
	if (m->open.kind == HEAD && id && c->queues[id][m->open.queue].head >= m->open.value && !may_have_dropped(m, &m->queues[id][m->open.queue]))
		change_apply(&m->state, &m->open);
	m->open.kind = CHANGE_NONE;
	m->life = m->count;
}

void model_check(struct model *m, struct store *s, bool read_only)
{
	struct check *c = calloc(1, sizeof *c);
	char name[8];

	if (!c)
		model_fail(m, "out of memory");
	*c = (struct check){.m = m, .store = s, .read_only = read_only, .first_absent = UINT64_MAX};
	m->shows_less = read_only;
	if (!read_only) {                      /* it may show less than there will be */
		check_state(c);
		check_epoch(c);
	}
	for (int k = 0; k < NAMES; k++) {
		model_name(k, name);
		struct topic *t = topic_find(s, name);
		if (!t)
			continue;
		struct topic_model seen = m->state.at[k];
		uint64_t number = model_topic(m, t);
		if (seen.id != number)         /* a read-only store does not settle it */
			seen = (struct topic_model){.id = number};
		for (uint32_t n = 0; n < t->count; n++)
			check_queue(c, &seen, n, topic_queue(t, n));
		if (!read_only)
			check_size(c, &seen);
		topic_put(t);
	}
	for (int id = 0; !read_only && id < IDS; id++)
		for (uint32_t n = 0; n < QUEUES; n++)
			place_taken(c, (uint64_t)id, n);
	for (uint32_t number = m->life; !read_only && number < m->count; number++)
		check_intent(c, number);
	if (c->last_present > c->first_absent)
		model_fail(m, "of the log the record before position %" PRIu64 " is gone, and the one before %" PRIu64 " is there", c->first_absent, c->last_present);
	for (int id = 0; !read_only && id < IDS; id++)
		for (uint32_t n = 0; n < QUEUES; n++)
			check_totals(c, (uint64_t)id, n);
	if (!read_only)
		settle(c);
	free(c);
}
