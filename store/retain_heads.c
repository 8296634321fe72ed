/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads by age and size. Ages are looked at no more often than at a 64th of the limit, nor more seldom than once a minute
 * while something of the topic is retained: the log should not carry a command for each message that has had its time.
 */
#include "lookup.h"
#include "reader.h"
#include "retain.h"
#include <errno.h>

#define MOVES 1024                     /* heads in one command */
#define SECOND INT64_C(1000000000)
#define EXACT 16u                      /* queues up to which a size is cut to the byte */

struct moves {
	struct store *store;
	struct head_move at[MOVES];
	size_t count;
	/* the last answer of log_pos_at_time(): topics of one age share it */
	bool known;
	int64_t cutoff;
	uint64_t pos;
};

/* A log without room for more: the heads move on this node only, as they do when a nearly full disk takes messages before their time
 * (retain.c). So the age of messages may relieve a full disk for however long it is full. */
static void move_here(struct store *s, const struct head_move *moves, size_t count)
{
	struct queue *q;

	topics_read_lock(s->topics);
	for (size_t i = 0; i < count; i++) {
		q = queue_by_id(s, moves[i].queue);
		if (q)
			queue_raise_head(q, moves[i].head);
	}
	topics_unlock(s->topics);
}

static int send(struct moves *m)
{
	struct command *c;
	size_t count = m->count;
	int err;

	if (!count)
		return 0;
	m->count = 0;
	c = command_new_waited();
	if (!c)
		return -ENOMEM;
	err = command_wait(c, store_set_heads(m->store, c, m->at, count));
	if (!disk_error_full(err))
		return err;
	move_here(m->store, m->at, count);
	return 0;
}

static int move(struct moves *m, struct queue *q, uint64_t head)
{
	if (head <= atomic_load(&q->head))
		return 0;
	m->at[m->count++] = (struct head_move){q->id, head};
	return m->count == MOVES ? send(m) : 0;
}

static int pos_at(struct moves *m, int64_t cutoff, uint64_t *pos)
{
	int err;

	if (!m->known || m->cutoff != cutoff) {
		err = log_pos_at_time(m->store, cutoff, &m->pos);
		m->known = !err;
		m->cutoff = cutoff;
		if (err)
			return err;
	}
	*pos = m->pos;
	return 0;
}

static bool is_empty(const struct queue *q)
{
	return atomic_load(&q->head) >= atomic_load(&q->committed);
}

/* When Q's oldest message was appended; false: it cannot be read. Read once for each head. */
static bool oldest(struct store *s, struct queue *q, int64_t *ns)
{
	uint64_t head = atomic_load(&q->head);
	struct record record;
	struct reader *r;
	int err;

	if (q->oldest_at != head) {
		if (reader_new(&r, s, q) != 0)
			return false;
		err = reader_record(r, head, &record);
		reader_free(r);
		if (err)
			return false;
		q->oldest_at = head;
		q->oldest = record.time;
	}
	*ns = q->oldest;
	return true;
}

static int64_t add_age(int64_t ns, uint64_t age)
{
	int64_t sum;

	return age > INT64_MAX || __builtin_add_overflow(ns, (int64_t)age, &sum) ? INT64_MAX : sum;
}

static int64_t pause_of(uint64_t age)
{
	int64_t pause = (int64_t)(age / 64);

	return pause < SECOND ? SECOND : pause > 60 * SECOND ? 60 * SECOND : pause;
}

/* Nothing of T can be of age before t->ages_at. That is no more than an age ahead, unless it was put down by a clock that has been set back. */
static bool may_wait(const struct topic *t, uint64_t age, int64_t now)
{
	uint64_t pause = (uint64_t)pause_of(age);

	return t->ages_for == age && now < t->ages_at && t->ages_at <= add_age(now, age > pause ? age : pause);
}

static int move_by_age(struct moves *m, struct topic *t, uint64_t age, int64_t now)
{
	int64_t cutoff, time, next = add_age(now, age);
	uint64_t pos, offset;
	struct queue *q;
	int err = 0;

	if (__builtin_sub_overflow(now, (int64_t)age, &cutoff))
		return 0;
	if (may_wait(t, age, now))
		return 0;
	for (uint32_t n = 0; !err && (q = topic_queue(t, n)); n++) {
		if (is_empty(q))
			continue;
		if (oldest(m->store, q, &time) && time >= cutoff) {
			next = add_age(time, age) < next ? add_age(time, age) : next;
			continue;
		}
		next = now;                  /* its next message may be of age at once, or soon where it cannot be read */
		err = pos_at(m, cutoff, &pos);
		if (!err && pos == segments_start(m->store->segments))
			continue;            /* nothing that is there is of age */
		if (!err)
			err = queue_offset_at_pos(m->store, q, pos, &offset);
		if (!err)
			err = move(m, q, offset);
	}
	t->ages_at = next > add_age(now, (uint64_t)pause_of(age)) ? next : add_age(now, (uint64_t)pause_of(age));
	t->ages_for = err ? 0 : age;
	return err;
}

static uint64_t retained(struct topic *t)
{
	uint64_t bytes = 0;
	struct queue *q;

	for (uint32_t n = 0; (q = topic_queue(t, n)); n++)
		if (!is_empty(q))
			bytes += atomic_load(&q->committed) - atomic_load(&q->head);
	return bytes;
}

/* Of what is retained, the bytes at or behind log position POS. */
static int retained_from(struct store *s, struct topic *t, uint64_t pos, uint64_t *bytes)
{
	uint64_t from, end, head;
	struct queue *q;

	*bytes = 0;
	for (uint32_t n = 0; (q = topic_queue(t, n)); n++) {
		if (is_empty(q))
			continue;
		end = atomic_load(&q->committed);
		head = atomic_load(&q->head);
		int err = queue_offset_at_pos(s, q, pos, &from);
		if (err)
			return err;
		from = from > head ? from : head;
		*bytes += end > from ? end - from : 0;
	}
	return 0;
}

/* The least log position behind which no more than LIMIT bytes of T are; with many queues, which take as many look-ups for
 * each guess, a position behind which there are not much fewer. */
static int position_for(struct store *s, struct topic *t, uint64_t limit, uint64_t *pos)
{
	uint64_t tolerance = atomic_load(&t->count) > EXACT ? limit / 64 : 0;
	uint64_t low = segments_start(s->segments), high = atomic_load(&s->applied), bytes;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		int err = retained_from(s, t, middle, &bytes);

		if (err)
			return err;
		if (bytes > limit)
			low = middle + 1;
		else
			high = middle;
		if (bytes <= limit && bytes >= limit - tolerance && tolerance)
			break;
	}
	*pos = high;
	return 0;
}

static int move_by_size(struct moves *m, struct topic *t, uint64_t limit)
{
	uint64_t pos, offset;
	struct queue *q;
	int err;

	if (retained(t) <= limit)
		return 0;
	err = position_for(m->store, t, limit, &pos);
	for (uint32_t n = 0; !err && (q = topic_queue(t, n)); n++) {
		err = queue_offset_at_pos(m->store, q, pos, &offset);
		if (!err)
			err = move(m, q, offset);
	}
	return err;
}

int retain_heads(struct store *s, int64_t now_ns)
{
	struct moves m = {.store = s};
	struct topic *t;
	int err = 0, first = 0;

	for (uint64_t after = 0; (t = topic_next(s, after)); after = t->id, topic_put(t)) {
		uint64_t age = topic_setting(t, SETTING_RETENTION_AGE), size = topic_setting(t, SETTING_RETENTION_SIZE);

		err = age != SETTING_NONE ? move_by_age(&m, t, age, now_ns) : 0;
		if (!err && size != SETTING_NONE)
			err = move_by_size(&m, t, size);
		first = first ? first : err;       /* one topic's damage does not keep the others' messages */
	}
	err = send(&m);
	return first ? first : err;
}

int64_t retain_next(struct store *s, int64_t now_ns)
{
	int64_t next = INT64_MAX;
	struct topic *t;

	for (uint64_t after = 0; (t = topic_next(s, after)); after = t->id, topic_put(t)) {
		uint64_t age = topic_setting(t, SETTING_RETENTION_AGE);

		if (age == SETTING_NONE || retained(t) == 0)
			continue;
		if (!may_wait(t, age, now_ns))
			next = now_ns;
		else if (t->ages_at < next)
			next = t->ages_at;
	}
	return next;
}

/* A segment is known to have the message at Q's head. */
static bool has_head(struct store *s, struct queue *q)
{
	uint64_t head = atomic_load(&q->head), end;
	struct lookup l;

	lookup_init(&l, s, q);
	bool has = lookup_before(&l, head + 1, &end) == 0 && end > head;
	lookup_free(&l);
	return has;
}

bool retain_before_start(struct store *s)
{
	bool needed = false;
	struct topic *t;
	struct queue *q;

	for (uint64_t after = 0; !needed && (t = topic_next(s, after)); after = t->id, topic_put(t))
		for (uint32_t n = 0; !needed && (q = topic_queue(t, n)); n++)
			needed = !is_empty(q) && !has_head(s, q);
	return needed;
}
