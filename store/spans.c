/* SPDX-License-Identifier: Apache-2.0 */
#include "spans.h"
#include "runs.h"
#include "scan.h"
#include "seal.h"
#include <errno.h>
#include <fcntl.h>

/* A walk over one segment: what it has come by. */
struct walk {
	struct store *store;
	const struct segment *segment;
	struct scan *scan;
	uint64_t limit;
	uint64_t chain;                /* header checksum of the record before */
	bool chain_known;
	bool lacks;                    /* some records' headers */
	bool within;                   /* a span that began at `from` */
	uint64_t from;
};

/* What stands at POS in the segment of BASE says what the chain is there. -EBADMSG: it does not. */
static int read_chain(struct store *s, uint64_t base, uint64_t pos, uint64_t *chain)
{
	uint8_t bytes[RECORD_HEADER];
	struct segment_head head;
	struct record r;
	char name[32];
	int fd, err;

	segment_name(name, base);
	fd = disk_open(s->disk, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	err = disk_read(s->disk, fd, bytes, sizeof bytes, SEGMENT_HEADER + pos - base);
	if (!err)
		err = record_decode(&r, s->id.secret, bytes, pos);
	if (!err) {
		*chain = r.prev;
	} else if (pos == base) {
		err = segment_head_read(s->disk, fd, &head, s->id.secret);
		if (!err && head.base != base)
			err = -EBADMSG;
		if (!err)
			*chain = head.chain;
	}
	disk_close(s->disk, fd);
	return err;
}

/* The header checksum of the record that ends at POS, as what stands there says. */
static int chain_at(struct store *s, uint64_t pos, uint64_t *chain)
{
	struct log_start tail = log_tail(s->log);
	struct segment *seg;
	int err;

	*chain = tail.chain;
	if (pos == tail.pos)
		return 0;
	seg = segments_find(s->segments, pos);
	if (!seg)
		return -EBADMSG;
	err = seg->head.base <= pos ? read_chain(s, seg->head.base, pos, chain) : -EBADMSG;
	segment_put(seg);
	return err;
}

static void begin(struct walk *w, uint64_t pos)
{
	if (!w->within)
		w->from = pos;
	w->within = true;
}

/* What is damaged from FROM to END, before a record whose prev is NEXT. */
static void found(struct walk *w, uint64_t from, uint64_t end, uint64_t next, bool header)
{
	struct damage d = {.pos = from, .kind = DAMAGE_RECORD, .state = DAMAGE_SPAN, .end = end, .chain = w->chain, .next = next,
		.chain_known = w->chain_known, .header = header};

	w->lacks |= header;
	if (end - from > SPAN_MAX)
		d.state = DAMAGE_STAYS;
	damage_found(w->store, &d, d.state == DAMAGE_STAYS ? "more than can be repaired" : "a record");
}

static void stays(struct walk *w, uint64_t from, uint64_t end, const char *what)
{
	w->lacks = true;
	damage_found(w->store, &(struct damage){.pos = from, .kind = DAMAGE_RECORD, .state = DAMAGE_STAYS, .end = end}, what);
}

/* A valid header, with whatever body. */
static void record(struct walk *w, const struct record *r, bool whole)
{
	if (w->within)
		found(w, w->from, r->pos, r->prev, true);
	else if (!scan_chained(w->scan))
		stays(w, r->pos, r->pos + 1, "a record that does not follow the one before it");
	w->within = false;
	w->chain = r->prev;
	w->chain_known = true;
	if (!whole)
		found(w, r->pos, r->pos + record_size(r->length), r->sum, false);
	w->chain = r->sum;
}

/* The runs of an unsealed segment get what the start could not read: the place reads well now. */
static int make_known(struct walk *w, const struct record *r)
{
	if (r->type != RECORD_MESSAGES || !damage_passed_over(w->store, r->pos))
		return 0;
	if (queue_lacked(w->store, r)) {
		stays(w, r->pos, r->pos + record_size(r->length), "a record that was read too late, as others have its offsets");
		return 0;
	}
	if (w->segment->sealed)
		return 0;
	return runs_insert(w->segment->runs, r->queue, r->offset, r->pos, r->length, r->messages);
}

static int walk(struct walk *w)
{
	enum scan_found what = SCAN_RECORD;
	struct record r;
	const void *body;

	while (what != SCAN_END) {
		uint64_t at = scan_pos(w->scan);
		int err = scan_next(w->scan, &r, &body, &what);

		if (disk_error_passes(err))
			return err;
		if (err) {
			begin(w, at);
			scan_pass_unreadable(w->scan);
			what = SCAN_DAMAGED;
		} else if (what == SCAN_RECORD || what == SCAN_BODY) {
			record(w, &r, what == SCAN_RECORD);
			err = make_known(w, &r);
			if (err)
				return err;
		} else if (what == SCAN_DAMAGED || scan_pos(w->scan) < w->limit) {
			begin(w, at);
		}
	}
	return 0;
}

/* A span that reaches up to the limit: what stands behind it tells the end of its chain. That may be damaged too, or not be written yet. *LOOKED
 * is how far all is known. */
static int end_at_limit(struct walk *w, bool inside, uint64_t *looked)
{
	uint64_t next;
	int err;

	*looked = w->limit;
	if (!w->within)
		return 0;
	err = chain_at(w->store, w->limit, &next);
	if (disk_error_passes(err))
		return err;
	if (!err)
		found(w, w->from, w->limit, next, true);
	else if (!inside)
		stays(w, w->from, w->limit, "records, and what stands behind them as well");
	else
		*looked = w->from;
	return 0;
}

/* Where neither the header of a segment nor its first record tells: as the segment before it ends. */
static int chain_before(struct store *s, uint64_t base, uint64_t *chain)
{
	struct segment *seg = base ? segments_find(s->segments, base - 1) : NULL;
	enum scan_found what = SCAN_RECORD;
	struct scan *scan;
	struct record r;
	const void *body;
	uint64_t end = 0;
	int err = seg && seg->head.base < base ? scan_open(&scan, s->disk, s->id.secret, seg->head.base) : -EBADMSG;

	if (seg)
		segment_put(seg);
	if (err)
		return err;
	scan_bodies(scan, false);
	scan_once(scan);
	scan_limit(scan, base);
	while (!err && what != SCAN_END) {
		err = scan_next(scan, &r, &body, &what);
		if (!err && (what == SCAN_RECORD || what == SCAN_BODY)) {
			*chain = r.sum;
			end = scan_pos(scan);
		}
	}
	scan_close(scan);
	return err || end == base ? err : -EBADMSG;
}

/*
 * Where a place that was told is sound up to LOOKED, the index of SEG may have been made without it, as the disk did not read it then. An
 * index that may know of a record whose header is damaged now is left as it is. 1: something is not read again, so the place is to be looked
 * at once more.
 */
static int renew_index(struct store *s, struct segment *seg, uint64_t looked)
{
	uint64_t at;
	int made;

	if (!damage_new(s, seg->head.base, looked, &at))
		return 0;
	made = seal_again(s, seg);
	if (made < 0)
		return disk_error_passes(made) || disk_error_full(made) ? made : 0;
	return !made;
}

static int find_in(struct store *s, struct segment *seg, uint64_t limit)
{
	struct walk w = {.store = s, .segment = seg, .limit = seg->end < limit ? seg->end : limit};
	uint64_t told = damage_told(s), looked;
	int err = read_chain(s, seg->head.base, seg->head.base, &w.chain);

	if (err && !disk_error_passes(err))
		err = chain_before(s, seg->head.base, &w.chain);
	if (disk_error_passes(err))
		return err;
	w.chain_known = !err;
	err = scan_open(&w.scan, s->disk, s->id.secret, seg->head.base);
	if (disk_error_passes(err))
		return err;
	if (err) {
		stays(&w, seg->head.base, w.limit, "a segment that cannot be read");
		return 0;
	}
	if (w.chain_known)
		scan_expect_chain(w.scan, w.chain);
	scan_once(w.scan);
	scan_limit(w.scan, w.limit);
	err = walk(&w);
	scan_close(w.scan);
	if (!err)
		err = end_at_limit(&w, w.limit < seg->end, &looked);
	if (!err && seg->sealed && !w.lacks)
		err = renew_index(s, seg, looked);
	if (!err)
		damage_looked(s, seg->head.base, looked, told);
	return err < 0 ? err : 0;
}

static void no_segment(struct store *s, uint64_t pos, uint64_t end)
{
	stays(&(struct walk){.store = s}, pos, end, "segments that should be there");
}

void spans_tell_missing(struct store *s)
{
	uint64_t start = segments_start(s->segments);

	if (start > s->unneeded)
		no_segment(s, s->unneeded, start);
}

int spans_find(struct store *s)
{
	uint64_t limit = member_proved(s), pos = segments_start(s->segments), at;
	int err = 0;

	while (!err && damage_new(s, pos, limit, &at)) {
		struct segment *seg = segments_find(s->segments, at);

		if (seg)
			err = find_in(s, seg, limit);
		else
			no_segment(s, at, at + 1);
		pos = seg ? seg->end : at + 1;
		if (seg)
			segment_put(seg);
	}
	progress_moved(&s->progress);
	if (s->commit)
		commit_look(s->commit);        /* what is committed may have waited for this to be known */
	return err;
}
