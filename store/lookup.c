/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"
#include "index.h"
#include "seal.h"

#include <errno.h>
#include <stdlib.h>

void lookup_init(struct lookup *l, struct store *s, struct queue *queue)
{
	l->store = s;
	l->queue = queue;
	l->found = false;
	l->read = NULL;
}

void lookup_free(struct lookup *l)
{
	runs_free(l->read);
	l->read = NULL;
}

/* What is asked of a segment: the entries for an offset or for a position. */
struct key {
	bool by_pos;
	uint64_t at;
};

static int ask_runs(struct lookup *l, struct runs *r, const struct key *key)
{
	bool there = key->by_pos ? runs_from_pos(r, l->queue->id, key->at, &l->batch) : runs_from_offset(r, l->queue->id, key->at, &l->batch);

	return there ? 0 : -ENOENT;
}

static int ask_records(struct lookup *l, struct segment *s, const struct key *key)
{
	if (!l->read || l->read_base != s->head.base) {
		int64_t time;
		int err;

		seal_index_bad(l->store, s);
		runs_free(l->read);
		l->read = NULL;
		err = runs_scan(l->store->disk, l->store->id.secret, s->head.base, s->end, &l->read, &time);
		if (err)
			return err;
		l->read_base = s->head.base;
	}
	return ask_runs(l, l->read, key);
}

/* Into l->batch; -ENOENT: S has nothing of the queue. The runs of a segment that was unsealed while held stay as long. */
static int ask(struct lookup *l, struct segment *s, const struct key *key)
{
	struct index *x;
	int err;

	l->found = false;
	if (!s->sealed) {
		err = ask_runs(l, s->runs, key);
	} else {
		err = segment_index(s, &x);
		if (!err)
			err = key->by_pos ? index_from_pos(x, l->queue->id, key->at, &l->batch) : index_from_offset(x, l->queue->id, key->at, &l->batch);
		if (err == -ENODATA || err == -EBADMSG || err == -EIO)
			err = ask_records(l, s, key);
	}
	if (!err) {
		l->found = true;
		l->base = s->head.base;
	}
	return err;
}

/* Asks S and the segments behind it whose base is below LIMIT until one has the queue. *S is put where none has. */
static int ask_on(struct lookup *l, struct segment **s, uint64_t limit, const struct key *key)
{
	while (*s && (*s)->head.base < limit) {
		int err = ask(l, *s, key);

		if (err != -ENOENT) {
			if (err)
				segment_put(*s);
			return err;
		}
		*s = segment_next(*s);
	}
	if (*s)
		segment_put(*s);
	return -ENOENT;
}

/* Where the wanted segment can still be: log positions. */
struct bounds {
	uint64_t low, high;
	uint64_t until;        /* queue offset of the first record known behind the wanted one */
	uint64_t behind;       /* base of the segment that has it */
	uint64_t before;       /* queue offset behind the last record known before the wanted one; 0: none is */
};

/* Looks into the segment that has POS, or those behind it: 1 found and held, 0 the bounds are narrower now. */
static int probe(struct lookup *l, struct bounds *b, uint64_t pos, const struct key *key, struct segment **s)
{
	struct segment *at = segments_find(l->store->segments, pos);
	uint64_t base = at ? at->head.base : pos;
	int err = ask_on(l, &at, b->high, key);

	if (err && err != -ENOENT)
		return err;
	if (err || key->at < l->batch.first) {
		b->high = base < pos ? base : pos;
		if (!err) {
			b->until = l->batch.first;
			b->behind = at->head.base;
		}
	} else if (key->at >= l->batch.end) {
		b->low = at->end;
		b->before = l->batch.end;
	} else {
		*s = at;
		return 1;
	}
	if (!err)
		segment_put(at);
	return 0;
}

/* Nothing keeps the segments of a topic that was removed: what has gone with them is below the head, for who still reads it. */
static int gone(struct queue *q, uint64_t until)
{
	uint64_t committed = atomic_load(&q->committed);

	queue_raise_head(q, until < committed ? until : committed);
	return -ENODATA;
}

/*
 * No segment has it. A head moves before segments go: what is behind the head was not let go, but is missing. A place in the segment where it should be
 * is told: behind the queue's records before it, or at its last one, or before those that are known.
 */
static int missing(struct lookup *l, const struct bounds *b, uint64_t last_pos, uint64_t offset)
{
	uint64_t pos = last_pos;

	if (atomic_load(&l->queue->topic->removed))
		return gone(l->queue, b->until);
	if (offset < atomic_load(&l->queue->head))
		return -ENODATA;
	if (b->before)
		pos = b->low <= last_pos ? b->low - 1 : last_pos;
	else if (b->until != UINT64_MAX)
		pos = b->behind ? b->behind - 1 : 0;
	if (pos >= segments_start(l->store->segments))         /* what is before that was told at start: spans_tell_missing() */
		store_damaged(l->store, DAMAGE_RECORD, pos, "a record that should be there or before");
	return -EIO;
}

/* The likely places, then halving: 1 found and held, 0 no segment has it. */
static int search(struct lookup *l, struct bounds *b, const struct key *key, struct segment **s)
{
	uint64_t last_pos = atomic_load(&l->queue->last_pos), place = l->base;
	bool near = l->found, below = near && key->at < l->batch.first;
	int found = 0;

	*b = (struct bounds){.low = segments_start(l->store->segments), .high = last_pos + 1, .until = UINT64_MAX};
	if (near && !below)
		found = probe(l, b, place, key, s);            /* it may have grown */
	if (near && below && place > b->low)
		found = probe(l, b, place - 1, key, s);
	else if (near && !below && !found && b->low < b->high)
		found = probe(l, b, b->low, key, s);
	else if (!near)
		found = probe(l, b, last_pos, key, s);
	if (!near && !found && b->low < b->high)
		found = probe(l, b, b->low, key, s);
	while (!found && b->low < b->high)
		found = probe(l, b, b->low + (b->high - b->low) / 2, key, s);
	return found;
}

/* The segment of the last answer, held, when it is still there. */
static struct segment *again(struct lookup *l)
{
	struct segment *s = segments_find(l->store->segments, l->base);

	if (s && s->head.base != l->base) {
		segment_put(s);
		s = NULL;
	}
	return s;
}

/* What is not committed may be cut, and other records come to stand in its place: of that an answer keeps nothing. */
static void keep_below(struct run_batch *b, uint64_t committed)
{
	while (b->count > 1 && b->run[b->count - 1].offset >= committed)
		b->count--;
	b->until = b->until < committed ? b->until : committed;
	b->end = b->end < committed ? b->end : committed;
}

int lookup_offset(struct lookup *l, uint64_t offset, struct segment **s)
{
	const struct key key = {.at = offset};
	uint64_t committed = atomic_load(&l->queue->committed), last_pos = atomic_load(&l->queue->last_pos);
	struct bounds b;
	int found;

	if (l->found && offset >= l->batch.run[0].offset && offset < l->batch.until) {
		*s = again(l);
		l->remembered = *s != NULL;
		if (*s)
			return 0;
	}
	l->remembered = false;
	l->until = offset;
	found = search(l, &b, &key, s);
	if (found > 0)
		keep_below(&l->batch, committed);
	if (found)
		return found < 0 ? found : 0;
	l->found = false;
	l->until = b.until;
	return missing(l, &b, last_pos, offset);
}

int lookup_before(struct lookup *l, uint64_t offset, uint64_t *end)
{
	const struct key key = {.at = offset - 1};
	struct segment *s;
	struct bounds b;
	int found = search(l, &b, &key, &s);

	if (found > 0)
		segment_put(s);
	*end = found ? offset : b.before;
	return found < 0 ? found : 0;
}

int lookup_pos(struct lookup *l, uint64_t pos, struct segment **s)
{
	const struct key key = {.by_pos = true, .at = pos};

	*s = segments_find(l->store->segments, pos);
	return ask_on(l, s, UINT64_MAX, &key);
}
