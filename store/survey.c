/* SPDX-License-Identifier: Apache-2.0 */
#include "survey.h"
#include "index.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what files there are ---- */

static int note_segment(void *ctx, const char *name)
{
	struct survey *v = ctx;
	struct found_segment *grown;
	uint64_t base;

	if (!position_named(name, 0, &base))
		return 0;
	grown = realloc(v->segments, (v->count + 1) * sizeof *grown);
	if (!grown)
		return -ENOMEM;
	v->segments = grown;
	v->segments[v->count++] = (struct found_segment){.head = {.base = base, .time = TIME_UNKNOWN}};
	return 0;
}

static int by_base(const void *a, const void *b)
{
	const struct found_segment *x = a, *y = b;

	return x->head.base < y->head.base ? -1 : x->head.base > y->head.base;
}

/* The first record is valid, which no other cluster's is. */
static bool holds_ours(struct store *s, int fd, uint64_t base)
{
	uint8_t bytes[RECORD_HEADER];
	struct record r;

	return disk_read(s->disk, fd, bytes, sizeof bytes, SEGMENT_HEADER) == 0 && record_decode(&r, s->id.secret, bytes, base) == 0;
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
	if (h.cluster != s->id.cluster)
		err = holds_ours(s, fd, base) ? -EBADMSG : -EXDEV;
	disk_close(s->disk, fd);
	if (err && err != -EBADMSG && err != -EIO)
		return err;
	f->head_unreadable = err == -EIO;
	f->head_valid = !err && h.base == base && h.cluster == s->id.cluster;
	if (f->head_valid)
		f->head = h;
	return 0;
}

/* Sealed: its index is there, of some record, and ends where the next segment begins. */
static int read_seal(struct survey *v, size_t n)
{
	struct found_segment *f = &v->segments[n];
	struct index *index;
	int err = index_open(v->store->disk, v->store->id.secret, f->head.base, &index);

	if (err == -EBADMSG)
		store_damaged(v->store, DAMAGE_INDEX, f->head.base, "a segment's index");
	if (err)
		return err == -ENOENT || err == -EBADMSG || err == -EIO ? 0 : err;
	f->sealed_end = index_end(index);
	f->sealed = f->head_valid && f->sealed_end > f->head.base && (n + 1 == v->count || v->segments[n + 1].head.base == f->sealed_end);
	index_close(index);
	return 0;
}

size_t survey_segment_of(const struct survey *v, uint64_t pos)
{
	size_t n = v->count;

	while (n > 1 && v->segments[n - 1].head.base > pos)
		n--;
	return n ? n - 1 : 0;
}

static int head_of(struct survey *v, size_t n, char *why)
{
	int err = v->segments[n].head_valid ? 0 : read_head(v->store, &v->segments[n]);

	if (err == -EPROTONOSUPPORT)
		snprintf(why, STORE_WHY, "segment %016" PRIx64 " is of a newer format than this mqfs knows, or its header is damaged: see mqctl check", v->segments[n].head.base);
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
	v->from = survey_segment_of(v, v->at.pos);
	/* Nobody knew yet, when the checkpoint was made, that the segment which ends there was full: it may be unsealed. */
	if (v->from > 0 && v->segments[v->from].head.base == v->at.pos)
		v->from--;
	err = 0;
	for (size_t n = v->from; !err && n < v->count; n++) {
		err = head_of(v, n, why);
		if (!err)
			err = read_seal(v, n);
	}
	return err;
}

/* ---- the survey ---- */

/* What a record does that is not known, or whose body is not, nobody can tell. */
static void note_unknown(struct survey *v, uint64_t begin, uint64_t end)
{
	uint64_t pos = begin > v->at.pos ? begin : v->at.pos;          /* what is before K is in the checkpoint */

	if (end > v->at.pos && pos < v->unknown)
		v->unknown = pos;
}

static int add_invalid(struct survey *v, enum damage_kind kind, uint64_t begin, uint64_t end, const char *what, bool unreadable)
{
	struct invalid *grown = realloc(v->invalid, (v->invalids + 1) * sizeof *grown);

	if (!grown)
		return -ENOMEM;
	v->invalid = grown;
	v->invalid[v->invalids++] = (struct invalid){begin, end, kind, what, unreadable};
	return 0;
}

uint64_t survey_next_base(const struct survey *v, size_t n)
{
	return n + 1 < v->count ? v->segments[n + 1].head.base : UINT64_MAX;
}

bool survey_unreadable(const struct survey *v, uint64_t pos)
{
	for (size_t i = 0; i < v->invalids; i++)
		if (v->invalid[i].begin == pos && v->invalid[i].end > pos && v->invalid[i].unreadable)
			return true;
	return false;
}

/* Where the walk of segment N begins: at K in a sealed one, whose runs its index has. */
static uint64_t walk_from(const struct survey *v, size_t n)
{
	const struct found_segment *f = &v->segments[n];

	return f->sealed && v->at.pos > f->head.base ? v->at.pos : f->head.base;
}

int survey_walk(const struct survey *v, size_t n, struct scan **scan)
{
	const struct found_segment *f = &v->segments[n];
	int err = scan_open(scan, v->store->disk, v->store->id.secret, f->head.base);

	if (err)
		return err;
	scan_limit(*scan, survey_next_base(v, n));
	if (walk_from(v, n) == v->at.pos) {
		scan_seek(*scan, v->at.pos);
		scan_expect_chain(*scan, v->at.chain);
	} else if (f->head_valid) {
		scan_expect_chain(*scan, f->head.chain);
	}
	return 0;
}

/* Who counts is to be known before anything is applied; what stands behind the tail is taken back then (recover.c). */
static int survey_annals(struct survey *v, const struct record *r, const void *body, enum scan_found found)
{
	if (r->pos < v->at.pos || (r->type == RECORD_PAIR && found != SCAN_RECORD))
		return 0;
	return annals_note(v->store->annals, r, body) == -ENOMEM ? -ENOMEM : 0;
}

static int survey_record(struct survey *v, struct scan *scan, const struct record *r, const void *body, enum scan_found found)
{
	int err = survey_annals(v, r, body, found);

	if (err)
		return err;
	if (!scan_chained(scan))
		err = add_invalid(v, DAMAGE_RECORD, r->pos, scan_pos(scan), "a record that does not follow the one before it", false);
	else if (found == SCAN_BODY)
		err = add_invalid(v, DAMAGE_RECORD, r->pos, scan_pos(scan), "a record's body", false);
	if (found == SCAN_BODY && r->type != RECORD_MESSAGES)
		note_unknown(v, r->pos, scan_pos(scan));
	if (r->committed > v->committed)
		v->committed = r->committed;
	if (r->epoch.node == v->store->id.node && r->pos >= v->store->member.promise.received && r->committed > v->durable)
		v->durable = r->committed;
	v->end = scan_pos(scan);
	return err;
}

static int survey_segment(struct survey *v, size_t n)
{
	const struct found_segment *f = &v->segments[n];
	const void *body;
	struct scan *scan;
	struct record r;
	int err = survey_walk(v, n, &scan);

	if (err)
		return err;
	if (!f->head_valid)
		err = add_invalid(v, DAMAGE_HEADER, f->head.base, f->head.base, "a segment's header", f->head_unreadable);
	if (f->sealed_end > v->committed)
		v->committed = f->sealed_end;
	if (f->sealed_end > v->durable)
		v->durable = f->sealed_end;
	while (!err) {
		enum scan_found found;
		uint64_t at = scan_pos(scan);
		err = scan_next(scan, &r, &body, &found);
		if (err == -EIO) {
			scan_pass_unreadable(scan);
			note_unknown(v, at, scan_pos(scan));
			err = add_invalid(v, DAMAGE_RECORD, at, scan_pos(scan), "a place that the disk does not read", true);
			continue;
		}
		if (err || found == SCAN_END)
			break;
		if (found == SCAN_DAMAGED) {
			note_unknown(v, at, scan_pos(scan));
			err = add_invalid(v, DAMAGE_RECORD, at, scan_pos(scan), "a record", false);
		} else {
			err = survey_record(v, scan, &r, body, found);
		}
	}
	if (!err && n + 1 < v->count && scan_pos(scan) < survey_next_base(v, n) && !(f->sealed && scan_pos(scan) == f->sealed_end)) {
		note_unknown(v, scan_pos(scan), survey_next_base(v, n));
		err = add_invalid(v, DAMAGE_RECORD, scan_pos(scan), survey_next_base(v, n), "the end of a segment", false);
	}
	v->reached = f->sealed && f->sealed_end < scan_pos(scan) ? f->sealed_end : scan_pos(scan);
	scan_close(scan);
	return err;
}

/* The first invalid place at or behind D, or the end. What has rotted just before D and what was torn behind it look like one place. */
static void find_tail(struct survey *v)
{
	v->tail = v->end > v->durable ? v->end : v->durable;
	for (size_t i = 0; i < v->invalids; i++) {
		const struct invalid *at = &v->invalid[i];
		uint64_t begin = at->begin < v->durable && at->end > v->durable ? v->durable : at->begin;

		if (begin >= v->durable && begin < v->tail) {
			v->tail = begin;
			v->unreadable_tail = at->unreadable;
		}
	}
}

static void tell(struct store *s, const struct invalid *at)
{
	store_damaged(s, at->kind, at->begin, at->what);
	if (at->unreadable)
		damage_unread(s, at->begin, at->end);
}

int survey(struct survey *v, char why[STORE_WHY])
{
	int err = find_files(v, why);

	v->committed = v->durable = v->end = v->at.pos;
	v->unknown = UINT64_MAX;
	for (size_t n = v->from; !err && n < v->count; n++) {
		if (v->segments[n].head.base > v->end)
			v->end = v->segments[n].head.base;
		err = survey_segment(v, n);
	}
	if (err)
		return err;
	find_tail(v);
	for (size_t i = 0; i < v->invalids; i++)
		if (v->invalid[i].begin < v->durable)
			tell(v->store, &v->invalid[i]);
	/* Behind a last record that has rotted nothing shows that it was there, but for C. */
	if (v->count && v->reached < v->durable) {
		note_unknown(v, v->reached, v->durable);
		store_damaged(v->store, DAMAGE_RECORD, v->reached, "the end of the log");
	}
	return 0;
}

void survey_free(struct survey *v)
{
	free(v->segments);
	free(v->invalid);
}
