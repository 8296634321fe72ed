/* SPDX-License-Identifier: Apache-2.0 */
#include "runs.h"
#include "record.h"
#include "scan.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct entry {
	struct run_queue q;
	UT_hash_handle hh;
};

struct runs {
	pthread_mutex_t lock;
	struct entry *queues;
	size_t runs;                   /* capacity of all arrays together */
	bool inserted;
	uint64_t unread;               /* of the first place that was passed over */
};

int runs_new(struct runs **r)
{
	struct runs *new = calloc(1, sizeof *new);

	if (!new)
		return -ENOMEM;
	new->unread = RUNS_READ;
	pthread_mutex_init(&new->lock, NULL);
	*r = new;
	return 0;
}

void runs_free(struct runs *r)
{
	struct entry *e, *next;

	if (!r)
		return;
	HASH_ITER(hh, r->queues, e, next) {
		HASH_DEL(r->queues, e);
		free(e->q.runs);
		free(e);
	}
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct run_queue *find(struct runs *r, uint64_t queue)
{
	struct entry *e;

	HASH_FIND(hh, r->queues, &queue, sizeof queue, e);
	return e ? &e->q : NULL;
}

/* One more entry; most queues of a segment that many share have only a few. */
static int push(struct runs *r, struct run_queue *q, uint64_t offset, uint64_t pos)
{
	if (q->count == q->capacity) {
		size_t capacity = q->capacity ? 2 * q->capacity : 2;
		struct run *runs = reallocarray(q->runs, capacity, sizeof *runs);

		if (!runs)
			return -ENOMEM;
		r->runs += capacity - q->capacity;
		q->runs = runs;
		q->capacity = capacity;
	}
	q->runs[q->count++] = (struct run){.offset = offset, .pos = pos};
	return 0;
}

static int add_queue(struct runs *r, uint64_t queue, uint64_t offset, uint64_t pos, struct run_queue **to)
{
	struct entry *e = calloc(1, sizeof *e);

	if (!e)
		return -ENOMEM;
	e->q.queue = queue;
	e->q.first = e->q.end = offset;
	if (push(r, &e->q, offset, pos)) {
		free(e);
		return -ENOMEM;
	}
	HASH_ADD(hh, r->queues, q.queue, sizeof e->q.queue, e);
	if (!e->hh.tbl) {
		r->runs -= e->q.capacity;
		free(e->q.runs);
		free(e);
		return -ENOMEM;
	}
	*to = &e->q;
	return 0;
}

static int add(struct runs *r, struct run_queue **cache, uint64_t queue, uint64_t offset, uint64_t pos, uint32_t length,
	uint32_t messages)
{
	struct run_queue *q = *cache ? *cache : find(r, queue);
	int err = 0;

	if (!q)
		err = add_queue(r, queue, offset, pos, &q);
	else if (offset < q->end || pos < q->next_pos)
		err = -EINVAL;
	else if (pos != q->next_pos || offset != q->end || pos - q->runs[q->count - 1].pos >= RUN_SPAN)
		err = push(r, q, offset, pos);
	if (err)
		return err;
	q->end = offset + length;
	q->messages += messages;
	q->next_pos = pos + record_size(length);
	*cache = q;
	return 0;
}

int runs_add(struct runs *r, struct run_queue **cache, uint64_t queue, uint64_t offset, uint64_t pos, uint32_t length, uint32_t messages)
{
	int err;

	pthread_mutex_lock(&r->lock);
	err = add(r, cache, queue, offset, pos, length, messages);
	pthread_mutex_unlock(&r->lock);
	return err;
}

/* Its entry may cut a run in two, of which the second part then begins with it: as right as before. */
static int insert(struct runs *r, uint64_t queue, uint64_t offset, uint64_t pos, uint32_t length, uint32_t messages)
{
	struct run_queue *q = find(r, queue), *cache = q;
	size_t at;
	int err;

	if (!q || pos >= q->next_pos)
		return add(r, &cache, queue, offset, pos, length, messages);
	for (at = q->count; at > 0 && q->runs[at - 1].pos >= pos; at--)
		;
	if (at < q->count && q->runs[at].pos == pos)
		return 0;
	if ((at < q->count && q->runs[at].offset < offset + length) || (at > 0 && q->runs[at - 1].offset >= offset))
		return -EINVAL;
	err = push(r, q, offset, pos);
	if (err)
		return err;
	memmove(q->runs + at + 1, q->runs + at, (q->count - 1 - at) * sizeof *q->runs);
	q->runs[at] = (struct run){.offset = offset, .pos = pos};
	if (at == 0)
		q->first = offset;
	q->messages += messages;
	return 0;
}

int runs_insert(struct runs *r, uint64_t queue, uint64_t offset, uint64_t pos, uint32_t length, uint32_t messages)
{
	int err;

	pthread_mutex_lock(&r->lock);
	err = insert(r, queue, offset, pos, length, messages);
	r->inserted |= err != -EINVAL;
	pthread_mutex_unlock(&r->lock);
	return err == -EINVAL ? 0 : err;       /* it overlaps what its queue has: whoever reads it passes it over as well */
}

bool runs_inserted(struct runs *r)
{
	bool is;

	pthread_mutex_lock(&r->lock);
	is = r->inserted;
	pthread_mutex_unlock(&r->lock);
	return is;
}

static bool by_offset(const struct run *run, uint64_t offset)
{
	return run->offset <= offset;
}

static bool by_pos(const struct run *run, uint64_t pos)
{
	return run->pos <= pos;
}

static bool from(struct runs *r, uint64_t queue, uint64_t key, bool (*reached)(const struct run *, uint64_t), struct run_batch *to)
{
	struct run_queue *q;
	size_t low = 0, high;

	pthread_mutex_lock(&r->lock);
	q = find(r, queue);
	if (q) {
		for (high = q->count; high - low > 1;) {
			size_t middle = low + (high - low) / 2;

			if (reached(&q->runs[middle], key))
				low = middle;
			else
				high = middle;
		}
		to->first = q->first;
		to->end = q->end;
		to->count = q->count - low < RUN_BATCH ? q->count - low : RUN_BATCH;
		memcpy(to->run, q->runs + low, to->count * sizeof *to->run);
		to->until = low + to->count < q->count ? q->runs[low + to->count].offset : q->end;
	}
	pthread_mutex_unlock(&r->lock);
	return q;
}

bool runs_from_offset(struct runs *r, uint64_t queue, uint64_t offset, struct run_batch *to)
{
	return from(r, queue, offset, by_offset, to);
}

bool runs_from_pos(struct runs *r, uint64_t queue, uint64_t pos, struct run_batch *to)
{
	return from(r, queue, pos, by_pos, to);
}

static int by_id(const void *a, const void *b)
{
	const struct run_queue *x = *(struct run_queue *const *)a, *y = *(struct run_queue *const *)b;

	return (x->queue > y->queue) - (x->queue < y->queue);
}

int runs_sorted(struct runs *r, struct run_queue ***to, size_t *count)
{
	struct run_queue **all;
	struct entry *e, *next;
	size_t n = 0;

	pthread_mutex_lock(&r->lock);
	all = reallocarray(NULL, HASH_COUNT(r->queues) + 1, sizeof(struct run_queue *));
	if (all)
		HASH_ITER(hh, r->queues, e, next)
			all[n++] = &e->q;
	pthread_mutex_unlock(&r->lock);
	if (!all)
		return -ENOMEM;
	qsort(all, n, sizeof(struct run_queue *), by_id);
	*to = all;
	*count = n;
	return 0;
}

/* Offsets that were given again, as a start did not read who had them: they are the later record's. */
static int add_again(struct runs *r, const struct record *rec)
{
	struct run_queue *q;
	int err = -EINVAL;

	pthread_mutex_lock(&r->lock);
	q = find(r, rec->queue);
	if (q && rec->pos >= q->next_pos && rec->offset < q->end) {
		while (q->count && q->runs[q->count - 1].offset >= rec->offset)
			q->count--;
		if (!q->count)
			q->first = rec->offset;
		err = push(r, q, rec->offset, rec->pos);
	}
	if (!err) {
		q->end = rec->offset + rec->length;
		q->messages += rec->messages;
		q->next_pos = rec->pos + record_size(rec->length);
	}
	pthread_mutex_unlock(&r->lock);
	return err;
}

static int scan_into(struct runs *r, struct scan *s, uint64_t end, int64_t *last_time)
{
	enum scan_found found = SCAN_RECORD;
	struct record rec;
	const void *body;

	scan_limit(s, end);
	scan_bodies(s, false);
	while (found != SCAN_END) {
		struct run_queue *cache = NULL;
		int err = scan_next(s, &rec, &body, &found);

		if (err == -EIO) {
			if (r->unread == RUNS_READ)
				r->unread = scan_begin(s);
			scan_pass_unreadable(s);
			continue;
		}
		if (err)
			return err;
		if (found != SCAN_RECORD && found != SCAN_BODY)
			continue;
		*last_time = rec.time;
		if (rec.type == RECORD_MESSAGES)
			err = runs_add(r, &cache, rec.queue, rec.offset, rec.pos, rec.length, rec.messages);
		if (err == -EINVAL)
			err = add_again(r, &rec);
		if (err && err != -EINVAL)
			return err;
	}
	return 0;
}

int runs_scan_part(struct runs *r, struct disk *d, const uint8_t *secret, uint64_t base, uint64_t from, uint64_t end, int64_t *last_time)
{
	struct scan *s;
	int err = scan_open(&s, d, secret, base);

	if (err)
		return err;
	scan_seek(s, from);
	err = scan_into(r, s, end, last_time);
	scan_close(s);
	return err;
}

int runs_scan(struct disk *d, const uint8_t *secret, uint64_t base, uint64_t end, struct runs **r, int64_t *last_time)
{
	int err = runs_new(r);

	if (err)
		return err;
	*last_time = 0;
	err = runs_scan_part(*r, d, secret, base, base, end, last_time);
	if (err) {
		runs_free(*r);
		*r = NULL;
	}
	return err;
}

uint64_t runs_unread(const struct runs *r)
{
	return r->unread;
}

void runs_exchange(struct runs *a, struct runs *b)
{
	struct entry *queues;
	size_t runs;

	pthread_mutex_lock(&a->lock);
	queues = a->queues;
	runs = a->runs;
	a->queues = b->queues;
	a->runs = b->runs;
	b->queues = queues;
	b->runs = runs;
	pthread_mutex_unlock(&a->lock);
}

size_t runs_memory(struct runs *r)
{
	size_t bytes;

	pthread_mutex_lock(&r->lock);
	bytes = sizeof *r + r->runs * sizeof(struct run) + HASH_COUNT(r->queues) * sizeof(struct entry) + HASH_OVERHEAD(hh, r->queues);
	pthread_mutex_unlock(&r->lock);
	return bytes;
}
