/* SPDX-License-Identifier: Apache-2.0 */
/* The log's part of a check: the segments one behind the other, each record in them, and what runs on from record to record. */
#define HASH_NONFATAL_OOM 1              /* before uthash.h: an entry that could not be added has no table */
#include "check_part.h"
#include "promise.h"
#include "runs.h"
#include "scan.h"
#include "segment.h"
#include "topic.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define PROGRESS_STEP (4u << 20)   /* bytes */

struct queue_end {
	uint64_t queue;
	uint64_t end;             /* queue offset behind its last record */
	uint64_t gap;             /* the walk's gap when that was known */
	UT_hash_handle hh;
};

struct walk {
	struct check *c;
	uint64_t pos;             /* the log is walked up to here */
	uint64_t chain;           /* header checksum of the record before */
	bool chain_known;
	struct epoch epoch;
	int64_t time;
	uint64_t gap;             /* counts what was skipped as damaged */
	struct queue_end *queues;
	size_t next_point;        /* of c->points */
	uint64_t base;            /* of the segment */
	struct runs *runs;        /* of the segment; NULL when it has no index to compare with */
	bool runs_whole;          /* runs has all records of the segment */
};

/* A queue's records continue each other: the first one in the log has the offset 0, unless older ones are gone. */
static int check_offset(struct walk *w, const struct record *r)
{
	struct check *c = w->c;
	struct queue_end *q;
	int err = 0;

	HASH_FIND(hh, w->queues, &r->queue, sizeof r->queue, q);
	if (!q) {
		q = calloc(1, sizeof *q);
		if (!q)
			return -ENOMEM;
		q->queue = r->queue;
		q->gap = w->gap;
		q->end = c->totals->start || w->gap ? r->offset : 0;
		HASH_ADD(hh, w->queues, queue, sizeof q->queue, q);
		if (!q->hh.tbl) {
			free(q);
			return -ENOMEM;
		}
		c->totals->queues++;
	}
	if (q->end != r->offset && q->gap == w->gap)
		err = check_suspect(c, w->base, r->pos, "queue %" PRIu64 " of topic id %" PRIu64 " goes on at offset %" PRIu64
			" instead of %" PRIu64, r->queue & (QUEUES_MAX - 1), r->queue >> QUEUE_BITS, r->offset, q->end);
	q->end = r->offset + r->length;
	q->gap = w->gap;
	return err;
}

/* A checkpoint stands behind a record, and knows which one. */
static int check_points(struct walk *w, const struct record *r)
{
	struct check *c = w->c;
	uint64_t end = r->pos + record_size(r->length);
	int err = 0;

	while (!err && w->next_point < c->point_count && c->points[w->next_point].pos <= end) {
		const struct checkpoint_info *p = &c->points[w->next_point++];
		if (p->pos > r->pos && (p->pos != end || p->chain != r->sum))
			err = check_suspect(c, w->base, p->pos, "checkpoint/%016" PRIx64 " %s", p->pos,
				p->pos == end ? "belongs to another log" : "stands for no record's end");
	}
	return err;
}

static int check_order(struct walk *w, const struct record *r, bool chained)
{
	struct check *c = w->c;
	int err = 0;

	if (!chained)
		err = check_suspect(c, w->base, r->pos, "the chain is broken: the record does not follow the one before it");
	if (!err && epoch_compare(&r->epoch, &w->epoch) < 0)
		err = check_suspect(c, w->base, r->pos, "the record's epoch is older than that of the one before it");
	if (!err && r->time < w->time)
		err = check_suspect(c, w->base, r->pos, "the record's time is before that of the one before it");
	if (!err && r->committed > r->pos)
		err = check_suspect(c, w->base, r->pos, "the record says that more was committed than there was");
	return err;
}

static int check_record(struct walk *w, struct scan *s, const struct record *r, bool body)
{
	struct check *c = w->c;
	struct run_queue *cache = NULL;
	int err = check_order(w, r, scan_chained(s));

	if (!err)
		err = check_points(w, r);
	if (!err && !body)
		err = check_suspect(c, w->base, r->pos, "the record's body is damaged: %u bytes, %u messages, of queue %" PRIu64 " of topic id %" PRIu64
			" at offset %" PRIu64, r->length, r->messages, r->queue & (QUEUES_MAX - 1), r->queue >> QUEUE_BITS, r->offset);
	if (!err && r->type == RECORD_MESSAGES) {
		err = check_offset(w, r);
		if (!err && w->runs)
			err = runs_add(w->runs, &cache, r->queue, r->offset, r->pos, r->length, r->messages);
		if (err == -EINVAL) {          /* told by check_offset() */
			w->runs_whole = false;
			err = 0;
		}
		c->totals->messages += r->messages;
		c->totals->bytes += r->length;
	}
	w->epoch = r->epoch;
	w->time = r->time;
	w->chain = r->sum;
	w->chain_known = true;
	c->totals->records++;
	if (r->committed <= r->pos) {
		check_committed(c, r->committed);
		if (r->epoch.node == c->id.node && r->pos >= c->received)
			check_durable(c, r->committed);
	}
	return err;
}

/* What cannot be read is damage as far as the next place that can. */
static void pass_unreadable(struct walk *w, struct scan *s, uint64_t *skipped)
{
	if (!*skipped)
		*skipped = scan_pos(s) + 1;
	scan_pass_unreadable(s);
	w->gap++;
	w->runs_whole = false;
}

static int check_gap(struct walk *w, uint64_t from, uint64_t to)
{
	w->gap++;
	w->runs_whole = false;
	return check_suspect(w->c, w->base, from, "no valid record for %" PRIu64 " bytes, up to position %" PRIu64, to - from, to);
}

/* The records of a segment up to LIMIT, where the next one begins. */
static int check_records(struct walk *w, struct scan *s, uint64_t limit)
{
	uint64_t start = w->c->done, skipped = 0;
	enum scan_found found = SCAN_RECORD;
	bool passed = false;              /* the end, as it cannot be read */
	int err = 0;

	while (!err && found != SCAN_END) {
		struct record r;
		const void *body;
		err = scan_next(s, &r, &body, &found);
		if (err == -EIO && scan_pos(s) < scan_file_end(s)) {
			pass_unreadable(w, s, &skipped);
			passed = scan_pos(s) > limit;
			err = 0;
			found = SCAN_DAMAGED;
			continue;
		}
		if (err)
			break;
		if (skipped && found != SCAN_DAMAGED) {
			err = check_suspect(w->c, w->base, skipped - 1, "cannot be read: Input/output error, up to position %" PRIu64, scan_begin(s));
			skipped = 0;
		} else if (found == SCAN_DAMAGED && !skipped) {
			err = check_gap(w, scan_begin(s), scan_pos(s));
		}
		if (!err && (found == SCAN_RECORD || found == SCAN_BODY))
			err = check_record(w, s, &r, found == SCAN_RECORD);
		if (start + (scan_pos(s) - w->base) >= w->c->done + PROGRESS_STEP)
			check_progress(w->c, start + (scan_pos(s) - w->base));
	}
	if (err)
		return err;
	w->pos = scan_pos(s);
	if (limit != UINT64_MAX && w->pos < limit)
		err = check_gap(w, w->pos, limit);
	else if (w->pos > limit && !passed)
		err = check_suspect(w->c, w->base, limit, "the last record reaches into the next segment");
	return err;
}

int check_head_fault(struct check *c, const struct log_file *f, int err)
{
	return check_suspect(c, f->base, f->base, "the segment's header %s", err == -EBADMSG ? "is damaged" : strerror(-err));
}

/* The header against the name and against what is before it. */
static int check_head(struct walk *w, struct log_file *f, bool first)
{
	struct check *c = w->c;
	struct segment_head h;
	char path[32];
	int fd, err;

	segment_name(path, f->base);
	fd = disk_open(c->disk, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	err = segment_head_read(c->disk, fd, &h, c->id.secret);
	disk_close(c->disk, fd);
	if (err == -ENOMEM)
		return err;
	if (err && c->repair) {
		f->head_fault = err;
		f->follows = first ? !f->base : w->chain_known && w->pos == f->base;
		f->chain = w->chain;
		f->time = w->time;
		return 0;
	}
	if (err)
		return check_head_fault(c, f, err);
	if (h.base != f->base || h.cluster != c->id.cluster)
		return check_suspect(c, f->base, f->base, "the segment's header is that of another %s", h.base != f->base ? "position" : "cluster");
	if (!first && w->chain_known && w->pos == f->base && h.chain != w->chain)
		err = check_suspect(c, f->base, f->base, "the chain is broken: the segment does not follow the one before it");
	w->chain = h.chain;
	w->chain_known = true;
	if (first) {
		w->epoch = h.epoch;
		w->time = h.time;
	}
	return err;
}

static int check_segment(struct walk *w, size_t n)
{
	struct check *c = w->c;
	struct log_file *f = &c->files[n];
	uint64_t limit = n + 1 < c->file_count ? f[1].base : UINT64_MAX;
	struct scan *s = NULL;
	int err;

	w->base = f->base;
	w->runs = NULL;
	w->runs_whole = true;
	err = check_head(w, f, n == 0);
	if (!err)
		err = scan_open(&s, c->disk, c->id.secret, f->base);
	if (!err && f->index)
		err = runs_new(&w->runs);
	if (!err) {
		scan_limit(s, limit);
		if (w->chain_known)
			scan_expect_chain(s, w->chain);
		err = check_records(w, s, limit);
	}
	if (!err && !f->index && c->point_count && limit <= c->points[c->point_count - 1].pos)
		check_index_fault(c, f, false, "is missing; mqfs makes it again from its segment");
	if (!err && f->index)
		err = check_index(c, f, w->pos, w->time, w->runs_whole ? w->runs : NULL);
	runs_free(w->runs);
	scan_close(s);
	return err;
}

static int points_by_position(const void *a, const void *b)
{
	const struct checkpoint_info *x = a, *y = b;

	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

int check_log(struct check *c)
{
	struct walk w = {.c = c};
	struct queue_end *q, *next;
	uint64_t before = 0;
	int err = 0;

	if (c->point_count)
		qsort(c->points, c->point_count, sizeof *c->points, points_by_position);
	c->totals->start = c->file_count ? c->files[0].base : 0;
	for (size_t n = 0; n < c->file_count && !err; n++) {
		err = check_segment(&w, n);
		c->totals->segments++;
		before += c->files[n].size;
		check_progress(c, before);
	}
	c->totals->end = w.pos;
	HASH_ITER(hh, w.queues, q, next) {
		HASH_DEL(w.queues, q);
		free(q);
	}
	return err;
}
