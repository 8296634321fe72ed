/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery
 *
 * 1. The newest valid checkpoint gives the state at its position K. Only the log from K on is read (from the start of K's segment when
 *    that is unsealed, for its runs are only in memory; of older segments not even the headers), so the cost does not follow
 *    the size of the store.
 * 2. The survey walks that part once. It finds every place that holds no valid record, and C, the greatest commit
 *    point that any valid record, the checkpoint or the end of a sealed segment tells of. C was durable before it was written down, so
 *    everything before C was once synced: what is invalid there has rotted. It is reported and stays; what stands behind it is readable.
 * 3. The first invalid place at or behind C is where the last process was interrupted: the torn tail, P. Pages reach the disk in any
 *    order, so valid records may stand behind it. None of them was acknowledged, because none was committed: whoever follows P
 *    cannot have been told before P was synced. They are cut too, for a queue with a hole in it would be worse.
 *    The tail is copied to lost/, then zeroed, then synced, before anything is appended: no record of the old end can
 *    be taken for the new end's.
 * 4. What stands between C and P may be in the page cache only, and may have failed to reach the disk without anybody knowing: the error
 *    went to a process that is gone. So it is written again, the same bytes, and synced, before it is shown. When that fails, the store
 *    opens for reading, up to C.
 * 5. The records from K to P are applied, and make the runs of the unsealed segments.
 */
#include "recover.h"
#include "checkpoint.h"
#include "index.h"
#include "lost.h"
#include "runs.h"
#include "scan.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define PIECE (1u << 20)               /* bytes written again at a time */
#define UNREADABLE 4096u               /* bytes passed over where the disk does not read */

struct found_segment {
	struct segment_head head;
	bool head_valid;
	bool sealed;
	uint64_t sealed_end;
};

struct invalid {
	uint64_t begin;
	const char *what;
	bool unreadable;
};

struct survey {
	struct store *store;
	struct found_segment *segments;
	size_t count;
	size_t from;                   /* the first segment that is walked */
	struct checkpoint_info at;     /* K */
	struct invalid *invalid;
	size_t invalids;
	uint64_t committed;            /* C */
	uint64_t end;                  /* behind the last valid record */
	uint64_t tail;                 /* P */
	bool unreadable_tail;
};

/* ---- what files there are ---- */

static int note_segment(void *ctx, const char *name)
{
	struct survey *v = ctx;
	struct found_segment *grown;
	char *end;

	if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16)
		return 0;
	grown = realloc(v->segments, (v->count + 1) * sizeof *grown);
	if (!grown)
		return -ENOMEM;
	v->segments = grown;
	v->segments[v->count++] = (struct found_segment){.head.base = strtoull(name, &end, 16)};
	return 0;
}

static int by_base(const void *a, const void *b)
{
	const struct found_segment *x = a, *y = b;

	return x->head.base < y->head.base ? -1 : x->head.base > y->head.base;
}

static int read_head(struct store *s, struct found_segment *f)
{
	struct segment_head h = {.cluster = s->id.cluster};
	uint64_t base = f->head.base;
	char name[32];
	int fd, err;

	segment_name(name, base);
	fd = disk_open(s->disk, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	err = segment_head_read(s->disk, fd, &h, s->id.secret);
	disk_close(s->disk, fd);
	if (h.cluster != s->id.cluster)
		return -EXDEV;
	if (err && err != -EBADMSG && err != -EIO)
		return err;
	f->head_valid = !err && h.base == base && h.cluster == s->id.cluster;
	if (f->head_valid)
		f->head = h;
	return 0;
}

/* Sealed: its index is there, and ends where the next segment begins. */
static int read_seal(struct survey *v, size_t n)
{
	struct found_segment *f = &v->segments[n];
	struct index *index;
	int err = index_open(v->store->disk, v->store->id.secret, f->head.base, &index);

	if (err)
		return err == -ENOENT || err == -EBADMSG || err == -EIO ? 0 : err;
	f->sealed_end = index_end(index);
	f->sealed = f->head_valid && (n + 1 == v->count || v->segments[n + 1].head.base == f->sealed_end);
	index_close(index);
	return 0;
}

static size_t segment_of(const struct survey *v, uint64_t pos)
{
	size_t n = v->count;

	while (n > 1 && v->segments[n - 1].head.base > pos)
		n--;
	return n ? n - 1 : 0;
}

static int head_of(struct survey *v, size_t n, char *why)
{
	int err = read_head(v->store, &v->segments[n]);

	if (err == -EPROTONOSUPPORT)
		snprintf(why, STORE_WHY, "segment %016" PRIx64 " is of a newer format than this mqfs knows", v->segments[n].head.base);
	if (err == -EXDEV)
		snprintf(why, STORE_WHY, "segment %016" PRIx64 " is another store's than the file \"%s\"", v->segments[n].head.base, IDENTITY_FILE);
	return err;
}

static int list_segments(struct survey *v, char *why)
{
	int err = disk_list(v->store->disk, "log", note_segment, v);

	if (err == -ENOENT)
		snprintf(why, STORE_WHY, "its directory log/ is missing: put it back from a copy");
	if (err || !v->count)
		return err;
	qsort(v->segments, v->count, sizeof *v->segments, by_base);
	return head_of(v, v->count - 1, why);          /* before its secret makes everything look damaged: is it ours? */
}

static int find_files(struct survey *v, char *why)
{
	int err = list_segments(v, why);

	if (err)
		return err;
	err = checkpoint_load(v->store, UINT64_MAX, &v->at);
	if (err && err != -ENOENT)
		return err;
	if (v->count ? v->segments[0].head.base > v->at.pos : v->at.pos > 0) {
		snprintf(why, STORE_WHY, "the log's segments from position %" PRIu64 " on are missing: put them back, or see mqctl check", v->at.pos);
		return -EUCLEAN;
	}
	v->from = segment_of(v, v->at.pos);
	err = 0;
	for (size_t n = 0; !err && n < v->count; n++) {
		if (n < v->from)
			v->segments[n].head.time = TIME_UNKNOWN;
		else if (!(err = head_of(v, n, why)))
			err = read_seal(v, n);
	}
	return err;
}

/* ---- the survey ---- */

static int add_invalid(struct survey *v, uint64_t begin, const char *what, bool unreadable)
{
	struct invalid *grown = realloc(v->invalid, (v->invalids + 1) * sizeof *grown);

	if (!grown)
		return -ENOMEM;
	v->invalid = grown;
	v->invalid[v->invalids++] = (struct invalid){begin, what, unreadable};
	return 0;
}

static uint64_t next_base(const struct survey *v, size_t n)
{
	return n + 1 < v->count ? v->segments[n + 1].head.base : UINT64_MAX;
}

/* Where the walk of segment N begins: at K in a sealed one, whose runs its index has. */
static uint64_t walk_from(const struct survey *v, size_t n)
{
	const struct found_segment *f = &v->segments[n];

	return f->sealed && v->at.pos > f->head.base ? v->at.pos : f->head.base;
}

static int open_walk(const struct survey *v, size_t n, struct scan **scan)
{
	const struct found_segment *f = &v->segments[n];
	int err = scan_open(scan, v->store->disk, v->store->id.secret, f->head.base);

	if (err)
		return err;
	scan_limit(*scan, next_base(v, n));
	if (walk_from(v, n) == v->at.pos) {
		scan_seek(*scan, v->at.pos);
		scan_expect_chain(*scan, v->at.chain);
	} else if (f->head_valid) {
		scan_expect_chain(*scan, f->head.chain);
	}
	return 0;
}

static int survey_record(struct survey *v, struct scan *scan, const struct record *r, enum scan_found found)
{
	int err = 0;

	if (!scan_chained(scan))
		err = add_invalid(v, r->pos, "a record that does not follow the one before it", false);
	else if (found == SCAN_BODY)
		err = add_invalid(v, r->pos, "a record's body", false);
	if (r->committed > v->committed)
		v->committed = r->committed;
	v->end = scan_pos(scan);
	return err;
}

static int survey_segment(struct survey *v, size_t n)
{
	const struct found_segment *f = &v->segments[n];
	const void *body;
	struct scan *scan;
	struct record r;
	int err = open_walk(v, n, &scan);

	if (err)
		return err;
	if (!f->head_valid)
		err = add_invalid(v, f->head.base, "a segment's header", false);
	if (f->sealed && f->sealed_end > v->committed)
		v->committed = f->sealed_end;
	while (!err) {
		enum scan_found found;
		uint64_t at = scan_pos(scan);
		err = scan_next(scan, &r, &body, &found);
		if (err == -EIO) {
			err = add_invalid(v, at, "a place that the disk does not read", true);
			scan_seek(scan, (at + UNREADABLE) & ~(uint64_t)(UNREADABLE - 1));
			continue;
		}
		if (err || found == SCAN_END)
			break;
		if (found == SCAN_DAMAGED)
			err = add_invalid(v, scan_begin(scan), "a record", false);
		else
			err = survey_record(v, scan, &r, found);
	}
	if (!err && n + 1 < v->count && scan_pos(scan) < next_base(v, n) && !(f->sealed && scan_pos(scan) == f->sealed_end))
		err = add_invalid(v, scan_pos(scan), "the end of a segment", false);
	scan_close(scan);
	return err;
}

/* C, P, and what is damaged before C. */
static int survey(struct survey *v)
{
	int err = 0;

	v->committed = v->end = v->at.pos;
	for (size_t n = v->from; !err && n < v->count; n++) {
		if (v->segments[n].head.base > v->end)
			v->end = v->segments[n].head.base;
		err = survey_segment(v, n);
	}
	if (err)
		return err;
	v->tail = v->end > v->committed ? v->end : v->committed;
	for (size_t i = v->invalids; i > 0; i--) {
		const struct invalid *bad = &v->invalid[i - 1];
		if (bad->begin >= v->committed && bad->begin < v->tail) {
			v->tail = bad->begin;
			v->unreadable_tail = bad->unreadable;
		}
	}
	for (size_t i = 0; i < v->invalids; i++)
		if (v->invalid[i].begin < v->committed)
			store_damaged(v->store, v->invalid[i].begin, v->invalid[i].what);
	return 0;
}

/* ---- the tail ---- */

static int cut_tail(struct survey *v)
{
	uint64_t bytes = 0, all = 0;
	int err = 0;

	while (!err && v->count && (v->segments[v->count - 1].head.base > v->tail ||
			(v->segments[v->count - 1].head.base == v->tail && !v->segments[v->count - 1].head_valid))) {
		err = lost_move(v->store->disk, v->segments[v->count - 1].head.base, &bytes);
		all += bytes;
		if (!err)
			v->count--;
	}
	if (!err && v->count && !v->segments[v->count - 1].sealed) {
		err = lost_cut(v->store->disk, v->segments[v->count - 1].head.base, v->tail, &bytes);
		all += bytes;
	}
	if (!err && all)
		store_say(v->store, LOG_NOTICE, "the last run was interrupted: %" PRIu64 " bytes that were never committed are in lost/", all);
	return err;
}

/* A file that was cut short within the padding of its last record has lost nothing. */
static int lengthen(struct disk *d, const char *name, int fd, uint64_t size)
{
	struct stat st;
	int err = disk_stat(d, name, &st);

	return !err && (uint64_t)st.st_size < size ? disk_truncate(d, fd, size) : err;
}

/* The same bytes from FROM to TO of the file of segment BASE. */
static int write_again(struct disk *d, uint64_t base, uint64_t from, uint64_t to)
{
	uint8_t *piece = malloc(PIECE);
	char name[32];
	int err = piece ? 0 : -ENOMEM, fd;

	segment_name(name, base);
	fd = err ? err : disk_open(d, name, O_RDWR, 0);
	if (fd < 0)
		err = fd;
	if (!err)
		err = lengthen(d, name, fd, SEGMENT_HEADER + to - base);
	while (!err && from < to) {
		size_t n = to - from < PIECE ? (size_t)(to - from) : PIECE;
		err = disk_read(d, fd, piece, n, SEGMENT_HEADER + from - base);
		if (!err)
			err = disk_write(d, fd, piece, n, SEGMENT_HEADER + from - base);
		from += n;
	}
	if (!err)
		err = disk_sync(d, fd);
	disk_close(d, fd);
	free(piece);
	return err;
}

static int make_tail_durable(struct survey *v)
{
	int err = 0;

	if (v->committed >= v->tail)
		return 0;
	for (size_t n = segment_of(v, v->committed); !err && n < v->count; n++) {
		const struct found_segment *f = &v->segments[n];
		uint64_t from = f->head.base > v->committed ? f->head.base : v->committed;
		uint64_t to = next_base(v, n) < v->tail ? next_base(v, n) : v->tail;
		int fd;
		char name[32];
		segment_name(name, f->head.base);
		if (f->head.base >= v->committed) {
			fd = disk_open(v->store->disk, name, O_RDWR, 0);
			err = fd < 0 ? fd : segment_head_write(v->store->disk, fd, &f->head, v->store->id.secret);
			disk_close(v->store->disk, fd);
		}
		if (!err && !f->sealed)
			err = write_again(v->store->disk, f->head.base, from, to);
	}
	return err ? err : disk_sync_directory(v->store->disk, "log");
}

/* ---- replay ---- */

static int replay_record(struct store *s, const struct record *r, const void *body, bool body_valid, struct runs *runs, struct recovered *to)
{
	struct run_queue *cache = NULL;
	int err = 0;

	if (runs && r->type == RECORD_MESSAGES)
		err = runs_add(runs, &cache, r->queue, r->offset, r->pos, r->length, r->messages);
	if (!err && r->pos >= to->start.pos) {
		if (r->type == RECORD_MESSAGES || body_valid)
			err = state_apply(s, r, body);
		if (err && err != -ENOMEM) {
			if (err == -EBADMSG)
				store_damaged(s, r->pos, "a command");
			err = 0;
		}
		to->start = (struct log_start){.pos = r->pos + record_size(r->length), .chain = r->sum, .epoch = r->epoch, .time = r->time};
		to->replayed += record_size(r->length);
	}
	return err;
}

/* Applies segment N up to LIMIT and fills RUNS, which is NULL for a sealed one. */
static int replay_segment(struct survey *v, size_t n, uint64_t limit, struct runs *runs, struct recovered *to)
{
	struct store *s = v->store;
	const void *body;
	struct scan *scan;
	struct record r;
	int err = open_walk(v, n, &scan);

	if (err)
		return err;
	scan_limit(scan, next_base(v, n) < limit ? next_base(v, n) : limit);
	scan_bodies(scan, false);
	for (;;) {
		enum scan_found found;
		uint64_t at = scan_pos(scan);
		err = scan_next(scan, &r, &body, &found);
		if (err == -EIO) {
			scan_seek(scan, (at + UNREADABLE) & ~(uint64_t)(UNREADABLE - 1));
			continue;
		}
		if (err || found == SCAN_END)
			break;
		if (found == SCAN_DAMAGED)
			continue;
		bool command = r.type != RECORD_MESSAGES;
		bool valid = body && (!command || record_check_body(&r, s->id.secret, body) == 0);
		err = replay_record(s, &r, body, valid, runs, to);
		if (err)
			break;
	}
	scan_close(scan);
	return err;
}

static int add_segment(struct survey *v, size_t n, uint64_t limit, struct recovered *to)
{
	const struct found_segment *f = &v->segments[n];
	bool last = n + 1 == v->count;
	struct runs *runs = NULL;
	int err = 0;

	if (n >= v->from && !f->sealed)
		err = runs_new(&runs);
	if (!err && n >= v->from)
		err = replay_segment(v, n, limit, runs, to);
	if (!err)
		err = segments_add(v->store->segments, &f->head, last ? (f->sealed ? f->sealed_end : UINT64_MAX) : next_base(v, n), runs, NULL);
	if (err)
		runs_free(runs);
	return err;
}

static int replay(struct survey *v, uint64_t limit, struct recovered *to)
{
	int err = 0;

	to->start = (struct log_start){.pos = v->at.pos, .chain = v->at.chain, .epoch = v->at.epoch, .time = v->at.time};
	for (size_t n = 0; !err && n < v->count; n++)
		if (v->segments[n].head.base < limit || n == 0 || !to->read_only)
			err = add_segment(v, n, limit, to);
	if (!err && to->start.pos < limit)
		to->start.pos = limit;         /* the records before it are lost to damage; positions are never given twice */
	return err;
}

/* The last segment goes on where it is unsealed, sound, and has its room on the disk. */
static int adopt(struct survey *v, struct recovered *to)
{
	const struct found_segment *f = v->count ? &v->segments[v->count - 1] : NULL;
	uint64_t size = SEGMENT_HEADER + v->store->options.segment_size;
	char name[32];
	struct stat st;
	int err;

	if (!f || f->sealed || !f->head_valid || v->end < v->committed)
		return 0;
	segment_name(name, f->head.base);
	err = disk_stat(v->store->disk, name, &st);
	if (err)
		return err;
	to->active_fd = disk_open(v->store->disk, name, O_RDWR, 0);
	if (to->active_fd < 0)
		return to->active_fd;
	if ((uint64_t)st.st_size < size && disk_allocate(v->store->disk, to->active_fd, size)) {
		disk_close(v->store->disk, to->active_fd);
		to->active_fd = -1;
		return 0;
	}
	to->active = segments_last(v->store->segments);
	return 0;
}

static void explain(int err, char *why)
{
	if (!why[0])
		snprintf(why, STORE_WHY, "recovery failed: %s", strerror(-err));
}

int recover(struct store *s, struct recovered *r, char why[STORE_WHY])
{
	struct survey v = {.store = s};
	int err, tail = 0;

	*r = (struct recovered){.active_fd = -1, .read_only = s->options.read_only};
	why[0] = 0;
	err = find_files(&v, why);
	if (!err)
		err = survey(&v);
	if (err)
		goto done;
	r->committed = v.committed;
	if (!r->read_only) {
		tail = v.unreadable_tail ? -EIO : cut_tail(&v);
		if (!tail)
			tail = make_tail_durable(&v);
		if (tail) {
			store_say(s, LOG_ERR, "the log's tail could not be made durable (%s): the store is read-only, up to what is committed", strerror(-tail));
			r->read_only = true;
		}
	}
	err = replay(&v, r->read_only ? v.committed : v.tail, r);
	if (!err && !r->read_only)
		err = adopt(&v, r);
done:
	if (err)
		explain(err, why);
	free(v.segments);
	free(v.invalid);
	return err;
}
