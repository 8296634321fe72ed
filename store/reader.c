/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where queues interleave, a read gathers a thousand short records, each kilobytes from the last: what costs is waiting for
 * memory. The index gives the places of up to RUN_BATCH runs at once, so their bytes are fetched into the caches a few records
 * ahead of where they are needed. All of a read's work on a mapping is one disk_guard(), and no lock is taken in it.
 */
#include "reader.h"
#include "bytes.h"
#include "lookup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define IN_PLACE 4096u         /* bytes: what is shorter is copied */
#define AHEAD 16u
#define LINE 64u               /* bytes that memory comes in */
#define FAR (64u << 10)        /* bytes of log between runs, on the average */

struct reader {
	struct store *store;
	struct queue *queue;
	struct lookup look;
	/* a record's beginning in a run: the one that was read last, or behind it */
	bool placed;
	uint64_t base;                 /* of its segment */
	uint64_t offset, pos;
	/* the record that was verified last */
	bool verified;
	uint64_t verified_pos, verified_sum;
	uint64_t behind;               /* the queue offset behind what is being read: behind the damage when that fails */
};

int reader_new(struct reader **r, struct store *s, struct queue *q)
{
	struct reader *new = malloc(sizeof *new);

	if (!new)
		return -ENOMEM;
	new->store = s;
	new->queue = q;
	lookup_init(&new->look, s, q);
	new->placed = new->verified = false;
	new->behind = 0;
	*r = new;
	return 0;
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	lookup_free(&r->look);
	free(r);
}

uint64_t reader_behind(const struct reader *r)
{
	return r->behind;
}

/* One pass over the entries of a batch, in one segment. Changed under disk_guard(), so all of it must stay right
 * wherever that ends. */
struct pass {
	struct reader *r;
	struct slice *to;
	const uint8_t *bytes;          /* of the segment, LEN from BASE on */
	size_t len;
	uint64_t base;
	uint64_t wanted;               /* queue offset of the next byte to give */
	uint64_t limit;                /* queue offset behind the last one wanted */
	size_t before;                 /* bytes that the slice had */
	size_t run;                    /* the entry that the walk is in */
	uint64_t offset, pos;          /* a record's beginning */
	struct record rec;             /* the one there */
	bool one;                      /* no more than one record */
	bool messages;                 /* it ends where a record of framing=write begins or ends */
	bool ahead;                    /* long records are copied too */
	bool whole;                    /* fewer bytes than are there are an error */
	bool header;                   /* only the header of one */
	bool again;                    /* it has looked once more behind what was remembered */
	bool in_place;                 /* something refers to the mapping */
	uint64_t damaged;              /* log position of the record being read: where the damage is when that fails */
};

static uint64_t run_end(const struct run_batch *b, size_t run)
{
	return run + 1 < b->count ? b->run[run + 1].offset : b->until;
}

/* The walk begins at the entry before the wanted byte, or where the reader was if that is nearer. A place behind an entry's
 * beginning belongs to the entry: a record that is not directly behind the one before it has an entry of its own. */
static void pass_begin(struct pass *p)
{
	const struct reader *r = p->r;
	const struct run_batch *b = &r->look.batch;
	size_t low = 0, high = b->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (b->run[middle].offset <= p->wanted)
			low = middle;
		else
			high = middle;
	}
	p->run = low;
	p->offset = b->run[low].offset;
	p->pos = b->run[low].pos;
	if (r->placed && r->base == p->base && r->offset <= p->wanted && r->offset > p->offset) {
		p->offset = r->offset;
		p->pos = r->pos;
	}
}

static void place(struct pass *p)
{
	p->r->placed = true;
	p->r->base = p->base;
	p->r->offset = p->offset;
	p->r->pos = p->pos;
}

/*
 * The beginning of the run that is AHEAD, as much as short records have. No loop: how often it goes round would be guessed wrong every few
 * records, which costs more than fetching saves. Inlined, as gcc takes a function that only fetches for one without effect and drops the
 * calls.
 */
static inline __attribute__((always_inline)) void fetch(const struct pass *p, size_t run)
{
	const struct run_batch *b = &p->r->look.batch;

	if (run >= b->count || b->run[run].pos < p->base || b->run[run].pos - p->base > p->len)
		return;
	uint64_t last = RECORD_HEADER + (run_end(b, run) - b->run[run].offset) - 1;
	const uint8_t *at = p->bytes + (b->run[run].pos - p->base);

	__builtin_prefetch(at);
	__builtin_prefetch(at + (last < LINE ? last : LINE));
	__builtin_prefetch(at + (last < 2 * LINE ? last : 2 * LINE));
	__builtin_prefetch(at + (last < 3 * LINE ? last : 3 * LINE));
	__builtin_prefetch(at + (last < 4 * LINE ? last : 4 * LINE));
}

/* Reads the header at the walk's place. */
static int pass_header(struct pass *p)
{
	const struct reader *r = p->r;
	uint64_t end = run_end(&r->look.batch, p->run), into = p->pos - p->base;

	if (p->pos < p->base || into > p->len || p->len - into < RECORD_HEADER)
		return -EBADMSG;
	if (record_decode(&p->rec, r->store->id.secret, p->bytes + into, p->pos))
		return -EBADMSG;
	if (p->rec.type != RECORD_MESSAGES || p->rec.queue != r->queue->id || p->rec.offset != p->offset || !p->rec.length)
		return -EBADMSG;
	return p->rec.length <= end - p->offset ? 0 : -EBADMSG;
}

/* Behind a damaged header: the next record of the run, which no payload can imitate. False: there is none, or it cannot be known. */
static bool pass_resume(struct pass *p)
{
	uint64_t offset = p->offset, end = run_end(&p->r->look.batch, p->run), last = p->pos + RUN_SPAN;

	while (p->pos < last) {
		uint64_t into = (p->pos += 8) - p->base;
		struct record rec;

		if (into > p->len || p->len - into < RECORD_HEADER)
			return false;
		if (record_decode(&rec, p->r->store->id.secret, p->bytes + into, p->pos) || rec.queue != p->r->queue->id)
			continue;
		if (rec.offset <= offset || rec.offset >= end)
			return false;
		p->offset = rec.offset;
		return true;
	}
	return false;
}

/* At the end of a run the walk goes on with the next one; false: there is none in the batch. */
static bool next_run(struct pass *p)
{
	const struct run_batch *b = &p->r->look.batch;

	while (p->offset >= run_end(b, p->run)) {
		if (p->run + 1 >= b->count)
			return false;
		p->run++;
		fetch(p, p->run + AHEAD);
		p->offset = b->run[p->run].offset;
		p->pos = b->run[p->run].pos;
	}
	return true;
}

/* Walks to the record that holds the wanted byte: 1 there, 0 the batch ends before it, -EBADMSG its header is damaged. */
static int pass_walk(struct pass *p)
{
	struct reader *r = p->r;
	const struct run_batch *b = &r->look.batch;

	while (next_run(p)) {
		r->behind = run_end(b, p->run);
		p->damaged = p->pos;
		if (pass_header(p)) {
			if (pass_resume(p))
				r->behind = p->offset;
			if (r->behind > p->wanted)
				return -EBADMSG;
			continue;
		}
		place(p);
		r->behind = p->offset + p->rec.length;
		if (p->wanted < r->behind)
			return 1;
		p->offset = r->behind;
		p->pos += record_size(p->rec.length);
	}
	return 0;
}

static int pass_body(struct pass *p)
{
	struct reader *r = p->r;
	uint64_t into = p->pos - p->base + RECORD_HEADER;

	if (r->verified && r->verified_pos == p->pos && r->verified_sum == p->rec.sum && p->rec.length <= p->len - into)
		return 0;
	if (p->rec.length > p->len - into || record_check_body(&p->rec, r->store->id.secret, p->bytes + into))
		return -EBADMSG;
	r->verified = true;
	r->verified_pos = p->pos;
	r->verified_sum = p->rec.sum;
	return 0;
}

/* Room for a part that begins at FROM, or is the last one's end: NULL when the slice has none. */
static struct iovec *part_at(struct slice *to, const uint8_t *from)
{
	struct iovec *last = to->parts ? &to->part[to->parts - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == from)
		return last;
	if (to->parts == SLICE_PARTS)
		return NULL;
	last = &to->part[to->parts++];
	*last = (struct iovec){(void *)from, 0};
	return last;
}

/* Gives N bytes of a record of LENGTH; false when the slice has no more parts. */
static bool give(struct pass *p, const uint8_t *from, size_t n, size_t length)
{
	struct slice *to = p->to;
	bool copy = length < IN_PLACE || p->ahead;
	struct iovec *part = part_at(to, copy ? to->copied + to->copied_len : from);

	if (!part)
		return false;
	if (copy) {
		memcpy(to->copied + to->copied_len, from, n);
		to->copied_len += n;
	} else {
		p->in_place = true;
	}
	part->iov_len += n;
	to->bytes += n;
	p->wanted += n;
	return true;
}

/* Gives the record at the walk's place if it is short, wanted whole and right. All else, and damage, is left to the walk. */
static inline bool give_short_record(struct pass *p)
{
	const struct reader *r = p->r;
	uint64_t into = p->pos - p->base, rest = run_end(&r->look.batch, p->run) - p->offset;
	uint32_t length;

	if (p->pos < p->base || into > p->len || p->len - into < RECORD_HEADER)
		return false;
	if (p->messages && p->bytes[into + 5] & RECORD_WRITE)
		return false;
	length = get32(p->bytes + into + 8);
	if (length == 0 || length >= IN_PLACE || length > rest || length > p->limit - p->wanted)
		return false;
	if (length > p->len - into - RECORD_HEADER)
		return false;
	if (!record_matches(p->bytes + into, r->store->id.secret, p->pos, r->queue->id, p->offset, length))
		return false;
	if (!give(p, p->bytes + into + RECORD_HEADER, length, length))
		return false;
	p->offset += length;
	p->pos += record_size(length);
	return true;
}

static void give_short_records(struct pass *p)
{
	uint64_t from = p->wanted;

	while (p->wanted < p->limit && next_run(p) && p->wanted == p->offset)
		if (!give_short_record(p))
			break;
	if (p->wanted > from) {
		p->r->verified = false;
		place(p);
	}
}

/* Nothing but the record at the walk's place is to be given with it. */
static bool is_alone(const struct pass *p)
{
	return p->one || (p->messages && p->rec.flags & RECORD_WRITE);
}

/* 0: goes on in another batch; 1: done; -EBADMSG: damage at the wanted byte. */
static int pass_read(void *ctx)
{
	struct pass *p = ctx;

	pass_begin(p);
	for (size_t i = 1; i < AHEAD; i++)
		fetch(p, p->run + i);
	while (p->wanted < p->limit) {
		size_t skip, n;
		int there;

		if (!p->one && !p->header)
			give_short_records(p);
		if (p->wanted == p->limit)
			break;
		there = pass_walk(p);
		if (there <= 0)
			return there;
		if (p->header || (is_alone(p) && p->to->bytes > p->before))
			return 1;
		if (pass_body(p))
			return -EBADMSG;
		skip = p->wanted - p->offset;
		n = p->rec.length - skip;
		if (n > p->limit - p->wanted)
			n = p->limit - p->wanted;
		if (!give(p, p->bytes + (p->pos - p->base) + RECORD_HEADER + skip, n, p->rec.length) || is_alone(p))
			return 1;
		if (n + skip == p->rec.length) {
			p->offset += p->rec.length;
			p->pos += record_size(p->rec.length);
		}
	}
	return 1;
}

/*
 * How the kernel is to bring the bytes. Where a queue's records are far from each other, reading what lies around them would be most of the
 * work: it is asked for their own pages, all at once, so that the disk works on them together. Where they are near, reading on in order
 * comes by most pages.
 */
static void pass_announce(const struct pass *p, struct segment *s)
{
	const struct run_batch *b = &p->r->look.batch;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;

	if (b->count < 2)
		return;
	if ((b->run[b->count - 1].pos - b->run[0].pos) / b->count < FAR) {
		if (p->ahead)
			segment_read_in_order(s);
		return;
	}
	for (size_t i = 0; i < b->count && b->run[i].offset < p->limit; i++) {
		uint64_t into = b->run[i].pos - p->base, bytes = RECORD_HEADER + 2 * (run_end(b, i) - b->run[i].offset);
		uintptr_t at = (uintptr_t)p->bytes + into;

		if (run_end(b, i) <= p->wanted || bytes > RUN_SPAN || b->run[i].pos < p->base || into > p->len || bytes > p->len - into)
			continue;
		madvise((void *)(at & ~page), (at & page) + bytes, MADV_WILLNEED);
	}
}

/* A read that goes no further gives what it has. */
static bool gives_what_it_has(const struct pass *p)
{
	return !p->whole && p->to->bytes > p->before;
}

/* From p->wanted on: 1 done, 0 goes on behind it. An answer of before is no proof of damage: what it knew nothing of may have been repaired. */
static int pass_segment(struct pass *p)
{
	struct reader *r = p->r;
	uint64_t from = p->wanted;
	struct segment *s;
	int result, err = lookup_offset(&r->look, from, &s);

	if (err) {
		r->behind = r->look.until;
		return err;
	}
	p->base = p->damaged = s->head.base;
	r->behind = r->look.batch.end;
	err = segment_map(s, &p->bytes, &p->len);
	if (disk_error_passes(err)) {          /* no damage, which could be passed over */
		r->behind = p->wanted;
		segment_put(s);
		return err;
	}
	p->in_place = false;
	if (!err)
		pass_announce(p, s);
	result = err ? -EIO : disk_guard(pass_read, p);
	if (result == -EIO && !err && segment_read_failed(s))
		result = disk_guard(pass_read, p);
	if (result == 0 && p->wanted == from)
		result = -EBADMSG;             /* it should be there: looking on would come to no end */
	if (result < 0)
		r->look.found = false;         /* an index that is made again may know more */
	if (result < 0 && r->look.remembered && !p->again) {
		p->again = true;
		result = 0;
	}
	if (result < 0 && !gives_what_it_has(p))
		store_damaged(r->store, DAMAGE_RECORD, p->damaged, "a record");
	if (p->in_place)
		p->to->held[p->to->holds++] = s;
	else
		segment_put(s);
	return result == -EBADMSG ? -EIO : result;
}

/* From p->wanted on, which is committed. */
static int pass_all(struct pass *p)
{
	uint64_t committed = atomic_load(&p->r->queue->committed);
	int result;

	do
		result = pass_segment(p);
	while (result == 0 && p->wanted < p->limit);
	if (p->r->behind > committed)
		p->r->behind = committed;
	return result < 0 && !gives_what_it_has(p) ? result : 0;
}

static ssize_t read_bytes(struct pass *p, size_t max)
{
	struct slice *to = p->to;
	int err;

	p->before = to->bytes;
	p->limit = atomic_load(&p->r->queue->committed);
	if (p->wanted >= p->limit || !max)
		return 0;
	if (p->limit - p->wanted > max)
		p->limit = p->wanted + max;
	err = slice_reserve(to, p->limit - p->wanted);
	if (!err)
		err = pass_all(p);
	return err ? err : (ssize_t)(to->bytes - p->before);
}

ssize_t reader_read(struct reader *r, uint64_t offset, size_t max, struct slice *to)
{
	return read_bytes(&(struct pass){.r = r, .to = to, .wanted = offset}, max);
}

ssize_t reader_read_record(struct reader *r, uint64_t offset, size_t max, struct slice *to)
{
	return read_bytes(&(struct pass){.r = r, .to = to, .wanted = offset, .one = true}, max);
}

ssize_t reader_read_messages(struct reader *r, uint64_t offset, size_t max, struct slice *to)
{
	return read_bytes(&(struct pass){.r = r, .to = to, .wanted = offset, .messages = true}, max);
}

ssize_t reader_ahead(struct reader *r, uint64_t offset, size_t max, bool messages, struct slice *to)
{
	return read_bytes(&(struct pass){.r = r, .to = to, .wanted = offset, .messages = messages, .ahead = true}, max);
}

ssize_t reader_read_whole(struct reader *r, uint64_t offset, size_t max, struct slice *to)
{
	return read_bytes(&(struct pass){.r = r, .to = to, .wanted = offset, .ahead = true, .whole = true}, max);
}

int reader_record(struct reader *r, uint64_t offset, struct record *to)
{
	struct slice none;
	struct pass p = {.r = r, .to = &none, .wanted = offset, .limit = offset + 1, .header = true};
	int err;

	if (offset >= atomic_load(&r->queue->committed))
		return -ENOENT;
	slice_init(&none);
	err = pass_all(&p);
	if (!err)
		*to = p.rec;
	return err;
}

int reader_load(struct reader *r, uint64_t offset, struct record *rec, struct slice *to)
{
	int err = reader_record(r, offset, rec);
	ssize_t n;

	if (err)
		return err;
	n = reader_read_record(r, rec->offset, rec->length, to);
	return n < 0 ? (int)n : 0;
}
