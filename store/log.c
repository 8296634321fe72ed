/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an append runs
 *
 *   1. outside every lock: the body's checksum
 *   2. under the log's lock: is there room (else a new segment, else -ENOSPC), a place in the ring of entries, a
 *      run; then position, time, chain and queue offset are given. Nothing after this point can refuse.
 *   3. outside: header and body are written at the position; small ones that may come later are gathered under the lock instead, and
 *      written together (log_gather.c)
 *   4. under the lock: the entry is marked as written, and the written prefix moves over all marked ones
 *
 * Writes of several appends run at once and return in any order; the prefix moves only over those that have all
 * returned, so what the committer syncs has no holes. When a write fails its entry stays unmarked for ever, so
 * nothing behind it can ever be committed, and the log has failed.
 */
#include "log_part.h"
#include "commit.h"
#include "annals.h"
#include "progress.h"
#include "runs.h"
#include "state.h"
#include "supply.h"
#include "topic.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RING_START 1024u
#define RING_MAX (1u << 20)            /* entries: appends that are not committed yet */
#define RING_OWN 64u                   /* of them for the node's own records: where nobody else acknowledges, only one of these commits the rest */

static bool ring_grow(struct log *l)
{
	struct log_entry *ring = l->ring_size < RING_MAX ? malloc(2 * l->ring_size * sizeof *ring) : NULL;

	if (!ring)
		return false;
	for (uint64_t n = l->first; n < l->next; n++)
		ring[n & (2 * l->ring_size - 1)] = *log_entry_at(l, n);
	free(l->ring);
	l->ring = ring;
	l->ring_size *= 2;
	return true;
}

static bool has_entry(struct log *l, const struct append *a)
{
	uint64_t left = l->ring_size - (l->next - l->first);

	return left > (a->own ? 0 : RING_OWN) || ring_grow(l);
}

void log_fail(struct log *l, int err)
{
	int none = 0;

	atomic_compare_exchange_strong(&l->failed, &none, err);
}

/* Where the clock is behind the last record's time, times go on by the least there is: who looks at them alone sees that something came. */
static int64_t now(struct log *l)
{
	struct timespec t;
	int64_t ns;

	clock_gettime(CLOCK_REALTIME, &t);
	ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	if (ns > l->time)
		return ns;
	return l->time < INT64_MAX ? l->time + 1 : l->time;
}

int log_new(struct log **to, struct disk *d, const uint8_t *secret, uint64_t cluster, struct segments *segments,
	struct supply *supply, const struct log_start *start, const struct log_settings *settings)
{
	struct log *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	l->ring = malloc(RING_START * sizeof *l->ring);
	if (!l->ring) {
		free(l);
		return -ENOMEM;
	}
	l->ring_size = RING_START;
	l->disk = d;
	l->secret = secret;
	l->cluster = cluster;
	l->segments = segments;
	l->supply = supply;
	l->settings = *settings;
	l->end = start->pos;
	l->written = start->pos;
	l->synced = start->pos;
	l->chain = start->chain;
	l->epoch = l->last_epoch = start->epoch;
	l->time = start->time;
	pthread_mutex_init(&l->writing_out, NULL);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->prefix, NULL);
	*to = l;
	return 0;
}

void log_free(struct log *l)
{
	if (!l)
		return;
	while (l->files) {
		struct open_segment *file = l->files;
		l->files = file->next;
		disk_close(l->disk, file->fd);
		free(file);
	}
	for (; l->first < l->next; l->first++)
		command_free(log_entry_at(l, l->first)->command);
	if (l->active)
		segment_put(l->active);
	pthread_cond_destroy(&l->prefix);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->writing_out);
	free(l->received.of);
	free(l->ring);
	free(l);
}

static bool closed(const struct append *a)
{
	const struct topic *t = a->queue ? a->queue->topic : NULL;

	return t && (t->closing || t->retired || t->removed);
}

/* What must be left behind A in its segment. */
static uint64_t room_behind(const struct log *l, const struct append *a)
{
	uint64_t room = log_state_room(l);

	if (a->queue)
		return room;
	return a->claim == CLAIM_LAST ? 0 : a->claim == CLAIM_RELIEF ? room / 4 : room - room / 4;
}

void log_note_full(struct log *l, uint64_t size, int err)
{
	struct disk_space space;

	l->stats.refused++;
	l->refused = size;
	l->refused_by = err;
	l->refused_free = disk_space(l->disk, &space) == 0 ? space.free : 0;
}

/* Everything that an append can be refused for. */
static int admit(struct log *l, const struct append *a, uint64_t size)
{
	uint64_t reserved = room_behind(l, a);
	int err;

	if (l->failed)
		return -EIO;
	if (l->refuse && !a->own)
		return l->refuse;
	if (closed(a))
		return -EROFS;
	if (!has_entry(l, a))
		return -ENOBUFS;
	if (!l->active || l->end + size + reserved > l->limit) {
		err = log_roll(l, size);
		if (disk_error_full(err) && a->queue)
			log_note_full(l, size, err);
		if (err)
			return err;
		l->refused = 0;
	}
	if (a->queue && size >= l->refused)
		l->refused = 0;
	if (a->own)
		return annals_reserve(l->settings.annals);
	if (!a->queue)
		return 0;
	if (a->queue->run_segment != l->active->head.base) {
		a->queue->run_segment = l->active->head.base;
		a->queue->run_cache = NULL;
	}
	return 0;
}

/* Position, time, chain and queue offset. From here on the append must succeed. */
static int give(struct log *l, struct append *a, struct record *r, uint8_t header[RECORD_HEADER], uint64_t size)
{
	struct queue *q = a->queue;

	r->pos = l->end;
	r->epoch = l->epoch;
	r->time = now(l);
	r->prev = l->chain;
	if (q) {
		r->queue = q->id;
		r->offset = q->appended;
		int err = runs_add(l->active->runs, &q->run_cache, q->id, r->offset, r->pos, r->length, r->messages);
		if (err)
			return err;
		q->appended += r->length;
	}
	if (a->topic && a->type == RECORD_TOPIC_REMOVE)
		a->topic->closing++;
	record_encode(r, l->secret, header);
	if (a->own)                    /* before anything behind it is given a position, and so before it can be committed */
		annals_note(l->settings.annals, r, a->iovcnt ? a->iov->iov_base : NULL);
	l->chain = r->sum;
	l->last_epoch = r->epoch;
	l->time = r->time;
	l->end += size;
	a->pos = r->pos;
	a->end = l->end;
	a->offset = r->offset;
	*log_entry_at(l, l->next) = (struct log_entry){.end = l->end, .pos = r->pos, .queue = q, .queue_end = r->offset + r->length,
		.time = r->time, .messages = r->messages, .flags = r->flags, .command = a->command, .chain = r->sum, .epoch = r->epoch};
	return 0;
}

static int put(struct log *l, int fd, uint64_t base, const struct append *a, const uint8_t *header, uint64_t size)
{
	static const uint8_t zeros[8];
	struct iovec iov[APPEND_PARTS + 2] = {{(void *)header, RECORD_HEADER}};
	size_t length = 0;

	for (int i = 0; i < a->iovcnt; i++) {
		iov[i + 1] = a->iov[i];
		length += a->iov[i].iov_len;
	}
	iov[a->iovcnt + 1] = (struct iovec){(void *)zeros, (size_t)(size - RECORD_HEADER - length)};
	return disk_writev(l->disk, fd, iov, a->iovcnt + 2, SEGMENT_HEADER + a->pos - base);
}

int log_wrote(struct log *l, uint64_t first, uint64_t count, int err)
{
	pthread_mutex_lock(&l->lock);
	if (!err && !l->failed) {
		for (uint64_t n = first; n < first + count; n++)
			log_entry_at(l, n)->written = true;
		while (l->marked < l->next && log_entry_at(l, l->marked)->written)
			l->written = log_entry_at(l, l->marked++)->end;
	} else {
		log_fail(l, -EIO);
		err = -EIO;
	}
	if (l->waiting)
		pthread_cond_broadcast(&l->prefix);
	pthread_mutex_unlock(&l->lock);
	progress_moved(l->settings.progress);
	return err;
}

static void count(struct log *l, const struct record *r)
{
	l->stats.records++;
	l->stats.messages += r->messages;
	if (r->type == RECORD_MESSAGES)
		l->stats.bytes += r->length;
}

int log_append(struct log *l, struct append *a, uint64_t committed)
{
	struct record r = {.type = a->type, .flags = a->flags, .messages = a->messages, .uid = a->uid, .pid = a->pid, .committed = committed};
	uint8_t header[RECORD_HEADER];
	uint64_t size, number, base;
	size_t length = 0;
	bool gathered;
	int err, fd;

	for (int i = 0; i < a->iovcnt; i++)
		length += a->iov[i].iov_len;
	if (length > RECORD_BODY_MAX || a->iovcnt > APPEND_PARTS)
		return -EMSGSIZE;
	r.length = (uint32_t)length;
	r.body_sum = record_body_sum(l->secret, a->iov, a->iovcnt);
	size = record_size(r.length);

	pthread_mutex_lock(&l->lock);
	err = admit(l, a, size);
	if (!err)
		err = give(l, a, &r, header, size);
	if (err) {
		pthread_mutex_unlock(&l->lock);
		return err;
	}
	number = l->next++;
	count(l, &r);
	gathered = a->later && log_gather(l, a, number, header, size);
	fd = l->file->fd;
	base = l->file->base;
	pthread_mutex_unlock(&l->lock);
	if (gathered)
		return 0;
	return log_wrote(l, number, 1, put(l, fd, base, a, header, size));
}

static int wait_prefix(struct log *l, uint64_t end)
{
	int err;

	pthread_mutex_lock(&l->lock);
	l->waiting++;
	while (l->written < end && l->end >= end && !l->failed)
		pthread_cond_wait(&l->prefix, &l->lock);
	l->waiting--;
	err = l->written < end ? -EIO : 0;
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* What is gathered in front is written here; the rest is in its own write, and waits for nothing but the disk. */
int log_wait_written(struct log *l, uint64_t end)
{
	int err;

	if (l->written >= end)
		return 0;
	err = log_write_out(l);
	return err ? err : wait_prefix(l, end);
}

void log_refuse(struct log *l, int err)
{
	pthread_mutex_lock(&l->lock);
	l->refuse = err;
	pthread_mutex_unlock(&l->lock);
}

int log_refusing(struct log *l)
{
	return l->refuse;
}

void log_set_epoch(struct log *l, const struct epoch *epoch)
{
	pthread_mutex_lock(&l->lock);
	l->epoch = *epoch;
	pthread_mutex_unlock(&l->lock);
}

uint64_t log_end(struct log *l)
{
	uint64_t end;

	pthread_mutex_lock(&l->lock);
	end = l->end;
	pthread_mutex_unlock(&l->lock);
	return end;
}

uint64_t log_written(struct log *l)
{
	return l->written;
}

struct log_start log_tail(struct log *l)
{
	struct log_start tail;

	pthread_mutex_lock(&l->lock);
	tail = (struct log_start){.pos = l->end, .chain = l->chain, .epoch = l->last_epoch, .time = l->time};
	pthread_mutex_unlock(&l->lock);
	return tail;
}

uint64_t log_active(struct log *l)
{
	uint64_t base;

	pthread_mutex_lock(&l->lock);
	base = l->file ? l->file->base : l->end;
	pthread_mutex_unlock(&l->lock);
	return base;
}

bool log_full(struct log *l)
{
	uint64_t refused, refused_free, file = SEGMENT_HEADER + l->settings.segment_size;
	struct disk_space space;
	bool room, quota;

	pthread_mutex_lock(&l->lock);
	refused = l->refused;
	refused_free = l->refused_free;
	quota = l->refused_by == -EDQUOT;
	room = !refused && l->active && l->end + record_size(1) + log_state_room(l) <= l->limit;
	pthread_mutex_unlock(&l->lock);
	if (room || supply_ready(l->supply))
		return false;
	if (disk_space(l->disk, &space))
		return refused;
	return space.free < file || (refused && (quota || space.free <= refused_free));
}

void log_reserve(struct log *l, uint64_t bytes)
{
	pthread_mutex_lock(&l->lock);
	l->reserve = bytes;
	pthread_mutex_unlock(&l->lock);
}

void log_reserve_more(struct log *l, uint64_t bytes)
{
	pthread_mutex_lock(&l->lock);
	if (l->reserve < bytes)
		l->reserve = bytes;
	pthread_mutex_unlock(&l->lock);
}

void log_relieved(struct log *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->refused_by == -EDQUOT)
		l->refused = 0;
	pthread_mutex_unlock(&l->lock);
}

bool log_failed(struct log *l)
{
	return l->failed != 0;
}

size_t log_take(struct log *l, uint64_t pos, struct log_entry *to, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&l->lock);
	while (n < max && l->first < l->next && log_entry_at(l, l->first)->end <= pos &&
		(!n || log_entry_at(l, l->first)->pos == to[n - 1].end))
		to[n++] = *log_entry_at(l, l->first++);
	pthread_mutex_unlock(&l->lock);
	return n;
}

uint64_t log_first_entry(struct log *l)
{
	uint64_t pos;

	pthread_mutex_lock(&l->lock);
	pos = l->first < l->next ? log_entry_at(l, l->first)->pos : UINT64_MAX;
	pthread_mutex_unlock(&l->lock);
	return pos;
}

void log_stats(struct log *l, struct log_stats *to)
{
	pthread_mutex_lock(&l->lock);
	*to = l->stats;
	pthread_mutex_unlock(&l->lock);
}
