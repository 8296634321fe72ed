/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written, and in which order
 *
 * Only the bytes of a span are written. They lie below the commit point, where neither an append, nor the cut of a standby's log comes, and
 * hold no whole valid record: so whatever a crash leaves of the write, damaged as before, or half of it, or all, nothing valid was
 * touched, and what is not valid is found again by the scrub, or the start, and asked for again. A start takes none of it for a torn tail
 * that it did not take for one before: what tells it how far the log was synced lies outside of the span.
 *
 * Where a header had rotted, an index that was made since does not know of its record. It is made to know before the bytes are written: an
 * index that points to a damaged place costs a reader an error that it would get anyhow, while one that does not know of a sound record
 * would hide it, and nobody would look for it any more.
 *
 * A mapping is of the same pages that are written, so readers see the repaired bytes at once. What this process reads back to be sure comes from
 * the disk, where the system lets go of the pages.
 */
#include "repair.h"
#include "keeper.h"
#include "runs.h"
#include "seal.h"
#include "spans.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define PIECE (64u << 10)              /* bytes read back at a time */

/* ---- what is wanted, and what comes ---- */

bool store_damaged_span(struct store *s, uint64_t pos, struct span *to)
{
	struct damage d;
	bool found = damage_span(s, pos, &d);

	if (found)
		*to = (struct span){d.pos, d.end};
	return found;
}

uint64_t store_damage_news(struct store *s)
{
	return s->damage_news;
}

static bool zeros(const uint8_t *from, const uint8_t *to)
{
	while (from < to && !*from)
		from++;
	return from == to;
}

/* The record at AT of the span's bytes, after one whose header checksum is CHAIN. */
static int check_record(const uint8_t *secret, const struct damage *d, const uint8_t *bytes, uint64_t at, const uint64_t *chain, struct record *r)
{
	size_t need;
	int err = raw_record(r, secret, bytes + at, d->end - d->pos - at, d->pos + at, &need);

	if (err || (chain && r->prev != *chain))
		return -EBADMSG;
	return zeros(bytes + at + RECORD_HEADER + r->length, bytes + at + need) ? 0 : -EBADMSG;
}

int repair_check(const uint8_t *secret, const struct damage *d, const uint8_t *bytes)
{
	const uint64_t *chain = d->chain_known ? &d->chain : NULL;
	uint64_t sum = 0;
	struct record r;

	for (uint64_t at = 0; at < d->end - d->pos; at += record_size(r.length)) {
		if (check_record(secret, d, bytes, at, chain, &r))
			return -EBADMSG;
		sum = r.sum;
		chain = &sum;
	}
	return sum == d->next ? 0 : -EBADMSG;
}

int store_repair(struct store *s, const struct span *span, uint8_t *bytes)
{
	struct damage d;
	int err = 0;

	if (s->read_only)
		return -EROFS;
	if (!damage_span(s, span->from, &d) || d.pos != span->from || d.end != span->to)
		return -ENOENT;
	if (repair_check(s->id.secret, &d, bytes))
		return -EBADMSG;
	pthread_mutex_lock(&s->damage_lock);
	if (s->repair.bytes) {
		err = -EBUSY;
	} else {
		s->repair.span = d;
		s->repair.bytes = bytes;
	}
	pthread_mutex_unlock(&s->damage_lock);
	if (!err)
		keeper_poke(s->keeper);
	return err;
}

void store_absent(struct store *s, const struct span *span)
{
	damage_absent(s, span->from);
	if (s->commit)
		commit_look(s->commit);
}

static bool take(struct store *s, struct damage *d, uint8_t **bytes)
{
	pthread_mutex_lock(&s->damage_lock);
	*d = s->repair.span;
	*bytes = s->repair.bytes;
	s->repair.bytes = NULL;
	pthread_mutex_unlock(&s->damage_lock);
	return *bytes;
}

void repair_drop(struct store *s)
{
	struct damage d;
	uint8_t *bytes;

	take(s, &d, &bytes);
	free(bytes);
}

/* ---- the index ---- */

typedef int each_record(void *ctx, const struct record *r, const uint8_t *body);

/* For all records of BYTES, which are valid. */
static int for_each(struct store *s, const struct damage *d, const uint8_t *bytes, each_record *each, void *ctx)
{
	struct record r;
	int err = 0;

	for (uint64_t at = 0; !err && at < d->end - d->pos; at += record_size(r.length)) {
		err = record_decode(&r, s->id.secret, bytes + at, d->pos + at);
		if (!err)
			err = each(ctx, &r, bytes + at + RECORD_HEADER);
	}
	return err;
}

static int insert(void *ctx, const struct record *r, const uint8_t *body)
{
	(void)body;
	return r->type == RECORD_MESSAGES ? runs_insert(ctx, r->queue, r->offset, r->pos, r->length, r->messages) : 0;
}

struct adding {
	struct runs *runs;
	int64_t last_time;
};

static int add(void *ctx, const struct record *r, const uint8_t *body)
{
	struct run_queue *cache = NULL;
	struct adding *a = ctx;
	int err = 0;

	(void)body;
	a->last_time = r->time;
	if (r->type == RECORD_MESSAGES)
		err = runs_add(a->runs, &cache, r->queue, r->offset, r->pos, r->length, r->messages);
	return err == -EINVAL ? 0 : err;       /* it overlaps what its queue has: whoever reads it passes it over as well */
}

/* As walking the segment will make it, once the span is written. */
static int renew_index(struct store *s, struct segment *seg, const struct damage *d, const uint8_t *bytes)
{
	uint64_t base = seg->head.base;
	struct adding a = {0};
	int err = runs_new(&a.runs);

	if (err)
		return err;
	err = runs_scan_part(a.runs, s->disk, s->id.secret, base, base, d->pos, &a.last_time);
	if (!err)
		err = for_each(s, d, bytes, add, &a);
	if (!err)
		err = runs_scan_part(a.runs, s->disk, s->id.secret, base, d->end, seg->end, &a.last_time);
	if (!err)
		err = seal_renew(s, seg, a.last_time, a.runs);
	runs_free(a.runs);
	return err;
}

static int make_known(struct store *s, struct segment *seg, const struct damage *d, const uint8_t *bytes)
{
	if (!d->header)
		return 0;
	return seg->sealed ? renew_index(s, seg, d, bytes) : for_each(s, d, bytes, insert, seg->runs);
}

/* ---- the bytes ---- */

/* -EIO: the disk has other bytes. */
static int read_again(struct store *s, int fd, const uint8_t *bytes, uint64_t len, uint64_t at)
{
	uint8_t *there = malloc(PIECE);
	int err = there ? 0 : -ENOMEM;

	for (uint64_t done = 0, n; !err && done < len; done += n) {
		n = len - done < PIECE ? len - done : PIECE;
		err = disk_read(s->disk, fd, there, n, at + done);
		if (!err && memcmp(there, bytes + done, n))
			err = -EIO;
	}
	free(there);
	return err;
}

static int write_bytes(struct store *s, struct segment *seg, const struct damage *d, const uint8_t *bytes)
{
	uint64_t at = SEGMENT_HEADER + d->pos - seg->head.base, len = d->end - d->pos;
	char name[32];
	int fd, err;

	segment_name(name, seg->head.base);
	fd = disk_open(s->disk, name, O_RDWR, 0);
	if (fd < 0)
		return fd;
	err = disk_write(s->disk, fd, bytes, len, at);
	if (!err)
		err = disk_sync(s->disk, fd);
	if (!err)
		err = disk_forget(s->disk, fd);
	if (!err)
		err = read_again(s, fd, bytes, len, at);
	disk_close(s->disk, fd);
	if (!err)
		segment_map_again(seg);        /* its file may be longer now */
	return err;
}

/* ---- the keeper ---- */

/* Of the epochs and the pairs of the log it was known only what stood around the damage. */
static int count(void *ctx, const struct record *r, const uint8_t *body)
{
	struct store *s = ctx;

	s->repair.records++;
	return r->type == RECORD_EPOCH || r->type == RECORD_PAIR ? annals_mend(s->annals, r, body) : 0;
}

static void done(struct store *s, const struct damage *d, const uint8_t *bytes)
{
	uint64_t before = s->repair.records;

	for_each(s, d, bytes, count, s);
	s->repair.written += d->end - d->pos;
	damage_mended(s, d->pos, d->end);
	store_say(s, LOG_NOTICE, "the log from position %" PRIu64 " to %" PRIu64 " was damaged: %" PRIu64 " records are repaired, from another node",
		d->pos, d->end, s->repair.records - before);
	progress_moved(&s->progress);
}

static bool heals(int err)
{
	return disk_error_passes(err) || disk_error_full(err);
}

/* It may have been given a second time while it was being written. */
static bool is_wanted(struct store *s, const struct damage *d)
{
	struct damage now;

	return damage_span(s, d->pos, &now) && now.pos == d->pos && now.end == d->end;
}

int repair_write(struct store *s)
{
	struct segment *seg;
	struct damage d;
	uint8_t *bytes;
	int err;

	if (!take(s, &d, &bytes))
		return -ENOENT;
	if (!is_wanted(s, &d)) {
		free(bytes);
		return 0;
	}
	seg = segments_find(s->segments, d.pos);
	err = seg && seg->head.base <= d.pos && d.end <= seg->end ? make_known(s, seg, &d, bytes) : -ENOENT;
	if (!err)
		err = write_bytes(s, seg, &d, bytes);
	if (seg)
		segment_put(seg);
	if (!err)
		done(s, &d, bytes);
	else if (!heals(err))
		damage_stays(s, d.pos);
	commit_look(s->commit);                /* what is committed may have waited for it to be applied */
	free(bytes);
	return err;
}
