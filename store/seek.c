/* SPDX-License-Identifier: Apache-2.0 */
/* From log positions and times to places. Times never decrease along the log, so a time is a position. */
#include "lookup.h"
#include "reader.h"
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The first record at or behind POS, reached by walking from the entry before it. Of damage in front of one behind POS nobody knows which part lies
 * behind POS, too: then it is the damage's beginning, as retention goes by this, and what is damaged here the other node may have.
 */
static int walk_to_pos(struct reader *r, uint64_t from, uint64_t pos, uint64_t *offset)
{
	struct record rec;
	uint64_t at = from;
	int err;

	for (*offset = from;;) {
		err = reader_record(r, at, &rec);
		if (!err && rec.pos > pos)
			return 0;
		if (!err && rec.pos == pos) {
			*offset = rec.offset;
			return 0;
		}
		if (!err)
			*offset = at = rec.offset + rec.length;
		else if (err == -EIO && reader_behind(r) > at)
			at = reader_behind(r);
		else
			return err == -ENOENT ? 0 : err;
	}
}

static int walk_from(struct store *s, struct queue *q, uint64_t from, uint64_t pos, uint64_t *offset)
{
	struct reader *r;
	int err = reader_new(&r, s, q);

	if (err)
		return err;
	err = walk_to_pos(r, from, pos, offset);
	reader_free(r);
	return err;
}

/* Nothing is known of the queue from a position on but what begins at *OFFSET. Where records before that are missing, it is the beginning of what
 * is missing. */
static int back_to_known(struct lookup *l, uint64_t *offset)
{
	uint64_t end, head;
	int err = 0;

	if (*offset > atomic_load(&l->queue->head)) {
		err = lookup_before(l, *offset, &end);
		head = atomic_load(&l->queue->head);           /* behind the look-up: what is before the head may have gone meanwhile */
		end = end > head ? end : head;
		if (!err && end < *offset)
			*offset = end;
	}
	return err;
}

static int offset_at_pos(struct lookup *l, uint64_t pos, uint64_t committed, uint64_t *offset)
{
	struct segment *segment;
	int err = lookup_pos(l, pos, &segment);

	*offset = committed;
	if (err && err != -ENOENT)
		return err;
	if (!err) {
		segment_put(segment);
		if (l->batch.run[0].pos <= pos)
			return walk_from(l->store, l->queue, l->batch.run[0].offset, pos, offset);
		if (l->batch.run[0].offset < committed)
			*offset = l->batch.run[0].offset;
	}
	return back_to_known(l, offset);
}

int queue_offset_at_pos(struct store *s, struct queue *q, uint64_t pos, uint64_t *offset)
{
	uint64_t committed = atomic_load(&q->committed), last = atomic_load(&q->last_pos);
	struct lookup *l;
	int err;

	*offset = committed;
	if (last == UINT64_MAX || pos > last)
		return 0;
	l = malloc(sizeof *l);
	if (!l)
		return -ENOMEM;
	lookup_init(l, s, q);
	err = offset_at_pos(l, pos, committed, offset);
	lookup_free(l);
	free(l);
	return err;
}

/*
 * The segment that holds MIDDLE or, where its header cannot be read, the next one before HIGH whose header can, held; and whether it begins with a
 * time before NS. NULL: there is none.
 */
static int probe(struct segments *all, uint64_t middle, uint64_t high, int64_t ns, struct segment **to, bool *before)
{
	struct segment *s = segments_find(all, middle);
	int64_t time = 0;
	int err = 0;

	while (s && s->head.base < high) {
		err = segment_time(s, &time);
		if (!err || disk_error_passes(err))
			break;
		s = segment_next(s);
	}
	if (s && (err || s->head.base >= high)) {
		segment_put(s);
		s = NULL;
	}
	*to = s;
	*before = s && time < ns;
	return disk_error_passes(err) ? err : 0;
}

/* The last segment whose base lies behind only earlier times, or the first one; held, NULL where there is none. */
static int segment_at_time(struct segments *all, int64_t ns, struct segment **to)
{
	uint64_t low = segments_start(all), high = low, found = low;
	struct segment *s = segments_last(all);
	bool before;
	int err = 0;

	if (s) {
		high = s->head.base + 1;
		segment_put(s);
	}
	while (!err && low < high) {
		uint64_t middle = low + (high - low) / 2;

		err = probe(all, middle, high, ns, &s, &before);
		if (before) {
			found = s->head.base;
			low = s->end;
		} else {
			high = s && s->head.base < middle ? s->head.base : middle;
		}
		if (s)
			segment_put(s);
	}
	*to = err ? NULL : segments_find(all, found);
	return err;
}

/* In the file of BASE before END, behind the last record that is known to be earlier. */
static int pos_at_time(struct store *s, uint64_t base, uint64_t end, int64_t ns, uint64_t *pos)
{
	struct scan *scan;
	enum scan_found found = SCAN_DAMAGED;
	struct record rec;
	const void *body;
	int err = scan_open(&scan, s->disk, s->id.secret, base);

	if (err)
		return err;
	*pos = base < end ? base : end;
	scan_limit(scan, end);
	scan_bodies(scan, false);
	while (!err && found != SCAN_END) {
		err = scan_next(scan, &rec, &body, &found);
		if (err == -EIO) {
			scan_pass_unreadable(scan);
			err = 0;
		} else if (!err && (found == SCAN_RECORD || found == SCAN_BODY)) {
			if (rec.time >= ns)
				break;
			*pos = rec.pos + record_size(rec.length);
		}
	}
	scan_close(scan);
	return err;
}

int log_pos_at_time(struct store *s, int64_t ns, uint64_t *pos)
{
	uint64_t applied = atomic_load(&s->applied);
	struct segment *at;
	int err = segment_at_time(s->segments, ns, &at);

	*pos = applied;
	if (at) {
		err = pos_at_time(s, at->head.base, at->end < applied ? at->end : applied, ns, pos);
		segment_put(at);
	}
	return err;
}

int queue_offset_at_time(struct store *s, struct queue *q, int64_t ns, uint64_t *offset)
{
	uint64_t committed = atomic_load(&q->committed), pos;      /* before the time: what is committed meanwhile may be behind NS */
	int err;

	if (ns > atomic_load(&q->mtime)) {
		*offset = committed;
		return 0;
	}
	err = log_pos_at_time(s, ns, &pos);
	return err ? err : queue_offset_at_pos(s, q, pos, offset);
}

/* The newline before a place in a record's body. */
struct before {
	const uint8_t *body;
	size_t at;
	size_t start;
};

static int find_newline(void *ctx)
{
	struct before *b = ctx;
	const uint8_t *newline = memrchr(b->body, '\n', b->at);

	b->start = newline ? (size_t)(newline - b->body) + 1 : 0;
	return 0;
}

int queue_message_start(struct store *s, struct queue *q, uint64_t offset, uint64_t *start)
{
	struct reader *r;
	struct record rec;
	struct slice slice;
	int err;

	*start = offset;
	if (offset >= atomic_load(&q->committed))
		return 0;
	err = reader_new(&r, s, q);
	if (err)
		return err;
	slice_init(&slice);
	err = reader_load(r, offset, &rec, &slice);
	if (!err && (rec.flags & RECORD_WRITE)) {
		*start = rec.offset;
	} else if (!err) {
		struct before b = {.body = slice.part[0].iov_base, .at = offset - rec.offset};

		err = disk_guard(find_newline, &b);
		*start = rec.offset + b.start;
	}
	slice_free(&slice);
	reader_free(r);
	return err;
}
