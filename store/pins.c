/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps the segments: for people, who are told how much of the log stays for want of a limit, and whose it is.
 *
 * To ask it of a segment takes a walk over all queues of its index, so the keeper does, once a segment, and remembers who holds it: one
 * queue, one of another topic, and one of a topic with a limit. Heads only grow. So while limits are what they were and these three
 * still hold the segment, all that follows of them is as it was, and who did not hold it then does not now.
 */
#include "index.h"
#include "retain.h"
#include <stdlib.h>
#include <string.h>

#define LOOK_NS 100000000              /* for which the keeper walks at most, before it looks at other things again */

static enum hold hold_of(struct store *s, const struct holder *h)
{
	uint64_t topic;

	return retain_hold(s, &(struct index_queue){.queue = h->queue, .end = h->end}, &topic);
}

static bool still_holds(struct store *s, const struct holder *h)
{
	return !h->queue || hold_of(s, h) != HOLD_NONE;
}

static bool still_so(struct store *s, const struct holders *h)
{
	return h->known && h->limits == atomic_load(&s->limits) && still_holds(s, &h->one) && still_holds(s, &h->other) &&
		still_holds(s, &h->limited);
}

static uint64_t topic_of(const struct holder *h)
{
	return h->queue >> QUEUE_BITS;
}

static void note(struct store *s, struct holders *h, const struct index_queue *of)
{
	struct holder holder = {of->queue, of->end};
	enum hold hold = hold_of(s, &holder);

	if (hold == HOLD_NONE)
		return;
	if (!h->one.queue)
		h->one = holder;
	else if (!h->other.queue && topic_of(&holder) != topic_of(&h->one))
		h->other = holder;
	if (hold == HOLD_LIMITED && !h->limited.queue)
		h->limited = holder;
}

/* The index is opened for this only: all segments are asked, and those of the log's own would stay mapped, each opened under the segments'
 * lock. */
static int walk(struct store *s, struct segment *g, struct holders *h)
{
	struct index_queue row[INDEX_ROWS];
	struct index *index;
	int rows = index_open(s->disk, s->id.secret, g->head.base, &index);

	if (rows < 0)
		return rows;
	for (size_t n = 0; !(h->other.queue && h->limited.queue) && (rows = index_queues_from(index, n, row)) > 0; n += (size_t)rows)
		for (int i = 0; i < rows; i++)
			note(s, h, &row[i]);
	index_close(index);
	return rows < 0 ? rows : 0;
}

/* What cannot be read counts for nothing, and is tried again. */
static void look_at(struct store *s, struct segment *g)
{
	struct holders *h = &g->holders, now = {.limits = atomic_load(&s->limits)};

	now.known = walk(s, g, &now) == 0;
	h->known = now.known;
	h->limits = now.limits;
	h->one = now.one;
	h->other = now.other;
	h->limited = now.limited;
	atomic_store(&h->topic, h->known && !h->other.queue ? topic_of(&h->one) : 0);
	atomic_store(&h->pinned, h->known && h->one.queue && !h->limited.queue);
}

/* The queues of what is not applied may not be there yet. */
static bool can_be_told(struct store *s, struct segment *g)
{
	return atomic_load(&g->sealed) && atomic_load(&g->end) <= atomic_load(&s->applied);
}

/* A pass in pieces is followed by another one: what it had looked at first may have changed. */
bool retain_pins(struct store *s)
{
	int64_t until = commit_clock() + LOOK_NS;
	bool in_pieces = s->pins_from > 0;
	struct segment *g;

	for (g = segments_find(s->segments, s->pins_from); g; g = segment_next(g)) {
		if (!can_be_told(s, g) || still_so(s, &g->holders))
			continue;
		if (atomic_load(&s->stopping) || commit_clock() >= until)
			break;
		look_at(s, g);
	}
	s->pins_from = g ? g->head.base : 0;
	if (g)
		segment_put(g);
	return in_pieces || g;
}

uint64_t retain_pinned(struct store *s)
{
	uint64_t bytes = 0;

	for (struct segment *g = segments_first(s->segments); g; g = segment_next(g))
		if (atomic_load(&g->holders.pinned))
			bytes += atomic_load(&g->end) - g->head.base;
	return bytes;
}

struct count {
	uint64_t topic;
	uint64_t bytes;
};

static int by_topic(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return x->topic < y->topic ? -1 : x->topic > y->topic;
}

static int most_first(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : -(x->bytes > y->bytes);
}

/* One for each segment that a topic keeps alone, at most MAX. */
static size_t count_segments(struct store *s, struct count *to, size_t max)
{
	struct segment *g;
	size_t n = 0;

	for (g = segments_first(s->segments); g && n < max; g = segment_next(g)) {
		uint64_t topic = atomic_load(&g->holders.topic);

		if (topic)
			to[n++] = (struct count){topic, atomic_load(&g->end) - g->head.base};
	}
	if (g)
		segment_put(g);
	return n;
}

/* Of the COUNT sorted ones, those of one topic become one. */
static size_t sum_up(struct count *counts, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (n && counts[n - 1].topic == counts[i].topic)
			counts[n - 1].bytes += counts[i].bytes;
		else
			counts[n++] = counts[i];
	}
	return n;
}

/* Without memory there are none; it is for people. */
size_t store_pins(struct store *s, struct pin *to, size_t max)
{
	size_t n, told = 0, segments = segments_count(s->segments);
	struct count *counts = calloc(segments, sizeof *counts);

	if (!counts)
		return 0;
	n = count_segments(s, counts, segments);
	qsort(counts, n, sizeof *counts, by_topic);
	n = sum_up(counts, n);
	qsort(counts, n, sizeof *counts, most_first);
	for (size_t i = 0; i < n && told < max; i++) {
		struct topic *t = topic_by_id(s, counts[i].topic);

		if (!t)
			continue;
		strcpy(to[told].topic, t->name);
		to[told++].bytes = counts[i].bytes;
		topic_put(t);
	}
	free(counts);
	return told;
}
