/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"
#include "retain.h"
#include <stdlib.h>
#include <string.h>

/* Who keeps one segment. */
struct keepers {
	uint64_t topic;                /* the only one */
	bool several;
	enum hold least;               /* the loosest hold but none */
};

/*
 * ALONE: it is enough to know that there are several. The index is opened for this only: whoever asks, asks of all segments, and those of the log's
 * own would stay mapped, each opened under the segments' lock.
 */
static struct keepers keepers_of(struct store *s, struct segment *g, bool alone)
{
	struct keepers k = {.least = HOLD_NONE};
	struct index_queue of;
	struct index *index;
	uint64_t topic;

	if (!atomic_load(&g->sealed) || index_open(s->disk, s->id.secret, g->head.base, &index) != 0)
		return k;
	for (size_t n = 0; n < index_queues(index) && index_queue_at(index, n, &of) == 0; n++) {
		enum hold hold = retain_hold(s, &of, &topic);

		if (hold == HOLD_NONE)
			continue;
		k.several = k.several || (k.topic && k.topic != topic);
		k.topic = topic;
		if (k.least == HOLD_NONE || hold < k.least)
			k.least = hold;
		if (alone ? k.several : k.least == HOLD_LIMITED)
			break;
	}
	index_close(index);
	return k;
}

uint64_t retain_pinned(struct store *s)
{
	uint64_t bytes = 0;

	for (struct segment *g = segments_first(s->segments); g; g = segment_next(g))
		if (keepers_of(s, g, false).least > HOLD_LIMITED)
			bytes += atomic_load(&g->end) - g->head.base;
	return bytes;
}

struct count {
	uint64_t topic;
	uint64_t bytes;
};

static int add(struct count **counts, size_t *n, uint64_t topic, uint64_t bytes)
{
	struct count *more;

	for (size_t i = 0; i < *n; i++)
		if ((*counts)[i].topic == topic) {
			(*counts)[i].bytes += bytes;
			return 0;
		}
	more = reallocarray(*counts, *n + 1, sizeof *more);
	if (!more)
		return -1;
	*counts = more;
	more[(*n)++] = (struct count){topic, bytes};
	return 0;
}

static int most_first(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : -(x->bytes > y->bytes);
}

size_t store_pins(struct store *s, struct pin *to, size_t max)
{
	struct count *counts = NULL;
	size_t n = 0, told = 0;

	for (struct segment *g = segments_first(s->segments); g; g = segment_next(g)) {
		struct keepers k = keepers_of(s, g, true);

		/* Without memory the list is shorter; it is for people. */
		if (k.topic && !k.several)
			add(&counts, &n, k.topic, atomic_load(&g->end) - g->head.base);
	}
	if (n)
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
