/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records are applied in log order. So once a queue was looked at after `applied` had reached a position, all its records
 * before that position are known, and what is lowest in the heap is the next of the whole topic if it lies before it.
 */
#include "merge.h"
#include "parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One queue's place. */
struct source {
	struct queue *queue;
	struct reader *reader;         /* NULL while idle */
	bool begun;                    /* offset is known */
	bool waiting;                  /* in the heap */
	bool inside;                   /* of rec a part is given, and the rest is to come */
	uint64_t offset;               /* of its next byte */
	struct record rec;             /* while waiting: the record that has it */
};

struct merge {
	struct store *store;
	struct topic *topic;
	uint64_t from;
	uint64_t limit;                /* what lies before this position is in the heap */
	bool looked;                   /* and commits are the topic's of then */
	uint64_t commits;
	int error;                     /* to be told once the bytes before it are */
	struct source *sources;
	uint32_t count;
	uint32_t *heap;                /* sources by position of their next record */
	uint32_t heaped;
};

int merge_new(struct merge **m, struct store *s, struct topic *t, uint64_t pos)
{
	struct merge *new = calloc(1, sizeof *new);

	if (!new)
		return -ENOMEM;
	new->store = s;
	new->topic = t;
	new->from = pos;
	*m = new;
	return 0;
}

void merge_free(struct merge *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->count; i++)
		reader_free(m->sources[i].reader);
	free(m->sources);
	free(m->heap);
	free(m);
}

/* ---- the heap ---- */

static uint64_t key(const struct merge *m, uint32_t place)
{
	return m->sources[m->heap[place]].rec.pos;
}

static void swap(struct merge *m, uint32_t a, uint32_t b)
{
	uint32_t source = m->heap[a];

	m->heap[a] = m->heap[b];
	m->heap[b] = source;
}

static void heap_add(struct merge *m, uint32_t source)
{
	uint32_t at = m->heaped++;

	m->heap[at] = source;
	for (; at && key(m, at) < key(m, (at - 1) / 2); at = (at - 1) / 2)
		swap(m, at, (at - 1) / 2);
}

/* The first one's position has grown, or it is replaced by the last. */
static void heap_sink(struct merge *m)
{
	uint32_t at = 0;

	for (;;) {
		uint32_t least = at;

		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < m->heaped; child++)
			if (key(m, child) < key(m, least))
				least = child;
		if (least == at)
			return;
		swap(m, at, least);
		at = least;
	}
}

static void heap_remove_first(struct merge *m)
{
	m->heap[0] = m->heap[--m->heaped];
	heap_sink(m);
}

/* ---- the queues ---- */

static int source_begin(struct merge *m, struct source *s)
{
	uint64_t head;
	int err = 0;

	if (m->from)
		err = queue_offset_at_pos(m->store, s->queue, m->from, &s->offset);
	head = atomic_load(&s->queue->head);
	if (s->offset < head)
		s->offset = head;
	s->begun = !err;
	return err;
}

static void skip_to(struct source *s, uint64_t offset)
{
	atomic_fetch_add(&s->queue->skips, 1);
	atomic_fetch_add(&s->queue->skipped, offset - s->offset);
	s->offset = offset;
}

/* The record at the source's place, which moves on to the head where that has passed it. -ENOENT: that is the committed end. */
static int find_record(struct merge *m, struct source *s)
{
	int err = 0;

	while (s->offset < atomic_load(&s->queue->committed)) {
		if (!s->reader)
			err = reader_new(&s->reader, m->store, s->queue);
		if (!err)
			err = reader_record(s->reader, s->offset, &s->rec);
		if (err != -ENODATA)
			return err;
		skip_to(s, atomic_load(&s->queue->head));
		err = 0;
	}
	return -ENOENT;
}

/* Finds the source's next record: 1 it waits for its turn, 0 it is idle, -EIO: damage was passed over. */
static int source_next(struct merge *m, struct source *s)
{
	uint64_t head = atomic_load(&s->queue->head);
	int err = 0;

	s->waiting = s->inside = false;
	if (!s->begun)
		err = source_begin(m, s);
	if (err)
		return err;
	if (s->offset < head)
		skip_to(s, head);
	err = find_record(m, s);
	if (err == -ENOENT) {
		reader_free(s->reader);
		s->reader = NULL;
		return 0;
	}
	if (err == -EIO && reader_behind(s->reader) > s->offset)
		s->offset = reader_behind(s->reader);
	s->waiting = !err;
	return err ? err : 1;
}

static int join_queues(struct merge *m)
{
	uint32_t count = atomic_load(&m->topic->count);
	struct source *sources;
	uint32_t *heap;

	if (count == m->count)
		return 0;
	heap = reallocarray(m->heap, count, sizeof *heap);
	if (!heap)
		return -ENOMEM;
	m->heap = heap;
	sources = reallocarray(m->sources, count, sizeof *sources);
	if (!sources)
		return -ENOMEM;
	m->sources = sources;
	for (; m->count < count; m->count++)
		m->sources[m->count] = (struct source){.queue = topic_queue(m->topic, m->count)};
	return 0;
}

/* Moves the limit to what is applied, when every queue without a record in the heap has been asked for one. */
static int look_for_more(struct merge *m)
{
	uint64_t applied = atomic_load(&m->store->applied), commits = atomic_load(&m->topic->commits);
	int err = join_queues(m);

	if (err)
		return err;
	if (!m->looked || commits != m->commits) {
		for (uint32_t i = 0; i < m->count; i++) {
			int there = m->sources[i].waiting ? 0 : source_next(m, &m->sources[i]);

			if (there < 0)
				return there;
			if (there)
				heap_add(m, i);
		}
	}
	m->limit = applied;
	m->looked = true;
	m->commits = commits;
	return 0;
}

/* The first source is through with a record, or must look again. When that fails, nothing is certain before all are asked again. */
static int advance(struct merge *m)
{
	int there = source_next(m, &m->sources[m->heap[0]]);

	if (there > 0)
		heap_sink(m);
	else
		heap_remove_first(m);
	if (there >= 0)
		return 0;
	m->limit = 0;
	m->looked = false;
	return there;
}

/* Gives of the first source's record: 1 go on, 0 the slice has enough. */
static int give_first(struct merge *m, size_t max, struct slice *to)
{
	struct source *s = &m->sources[m->heap[0]];
	uint64_t end = s->rec.offset + s->rec.length;
	bool whole = s->rec.flags & RECORD_WRITE;
	ssize_t n;
	int err;

	if (!s->inside && s->offset < atomic_load(&s->queue->head)) {
		err = advance(m);
		return err ? err : 1;
	}
	if (to->bytes && (whole || end - s->offset > max - to->bytes))
		return 0;
	n = reader_read_record(s->reader, s->offset, max - to->bytes, to);
	if (n == -EIO)
		s->offset = reader_behind(s->reader);
	if (n == -ENODATA && s->inside)
		n = -EPIPE;
	if (n == -EIO || n == -EPIPE || n == -ENODATA) {
		err = advance(m);
		return err ? err : n == -ENODATA ? 1 : (int)n;
	}
	if (n <= 0)
		return (int)n;
	s->offset += (uint64_t)n;
	s->inside = s->offset < end;
	if (s->inside)
		return 0;
	err = advance(m);
	return err ? err : !whole;
}

ssize_t merge_read(struct merge *m, size_t max, struct slice *to)
{
	int more = m->error ? m->error : slice_reserve(to, max) ? -ENOMEM : 1;

	while (more > 0 && to->bytes < max) {
		if (m->heaped && key(m, 0) < m->limit) {
			more = give_first(m, max, to);
		} else if (m->looked && atomic_load(&m->store->applied) == m->limit) {
			break;
		} else {
			more = look_for_more(m);
			more = more ? more : 1;
		}
	}
	m->error = more < 0 && to->bytes ? more : 0;
	return more < 0 && !to->bytes ? more : (ssize_t)to->bytes;
}
