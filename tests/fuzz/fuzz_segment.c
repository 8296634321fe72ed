/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment file: its header, and the scan over records, damaged ones, foreign ones and what is none, against a model that
 * looks at each place of the whole file by itself.
 */
#include "bytes.h"
#include "fuzz.h"
#include "memory_disk.h"
#include "scan.h"
#include "segment.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST (SCAN_WINDOW + (256u << 10))

/* ---- the header ---- */

static void head(struct input in)
{
	unsigned bit = (unsigned)take_number(&in, 2) % (SEGMENT_HEAD * 8);
	struct segment_head h = {.cluster = take_number(&in, 8), .base = take_number(&in, 8), .chain = take_number(&in, 8),
		.epoch = {(uint32_t)take_number(&in, 4), (uint32_t)take_number(&in, 4), take_number(&in, 8)}, .time = (int64_t)take_number(&in, 8)}, again;
	uint8_t bytes[SEGMENT_HEAD];

	segment_head_encode(&h, fuzz_secret, bytes);
	must(segment_head_decode(&again, fuzz_secret, bytes) == 0);
	must(again.cluster == h.cluster && again.base == h.base && again.chain == h.chain && again.time == h.time);
	must(again.epoch.reign == h.epoch.reign && again.epoch.start == h.epoch.start && again.epoch.node == h.epoch.node);
	bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	must(segment_head_decode(&again, fuzz_secret, bytes) < 0);
}

static void foreign_head(struct input in)
{
	uint8_t again[SEGMENT_HEAD];
	struct segment_head h;

	if (in.len < SEGMENT_HEAD || segment_head_decode(&h, fuzz_secret, in.at))
		return;
	segment_head_encode(&h, fuzz_secret, again);
	must(get32(in.at + 12) || memcmp(again, in.at, SEGMENT_HEAD) == 0);
}

/* ---- a file of records and others ---- */

struct file {
	uint8_t *bytes;
	size_t len;
	uint64_t base;
	uint64_t chain;                  /* header checksum of the last record */
};

static uint8_t *grow(struct file *f, size_t len)
{
	len = (len + 7) & ~(size_t)7;
	if (len > LONGEST - f->len)
		len = LONGEST - f->len;
	memset(f->bytes + f->len, 0, len);
	f->len += len;
	return f->bytes + f->len - len;
}

/* A record whose body is BODY bytes long in the file, and LENGTH by its header. */
static void put_record(struct file *f, struct input *in, uint32_t length, size_t body, bool damaged)
{
	size_t len;
	const uint8_t *from = take_bytes(in, take_byte(in), &len);
	struct record r = {.type = RECORD_MESSAGES, .length = length, .pos = f->base + f->len, .prev = f->chain};
	struct iovec iov;
	uint8_t *to;

	if (LONGEST - f->len < RECORD_HEADER + body + 8)
		return;
	to = grow(f, RECORD_HEADER + body);
	memcpy(to + RECORD_HEADER, from, len < body ? len : body);
	iov = (struct iovec){to + RECORD_HEADER, body};
	r.body_sum = record_body_sum(fuzz_secret, &iov, 1) ^ damaged;
	record_encode(&r, fuzz_secret, to);
	f->chain = r.sum;
}

enum { WHOLE, LONG, DAMAGED_BODY, SHORT, UNCHAINED, BYTES, ZEROS, MANY_ZEROS, COPY, HEADER, CUT, PIECES };

static void put_piece(struct file *f, struct input *in)
{
	uint8_t kind = take_byte(in) % PIECES;
	uint32_t n = (uint32_t)take_number(in, 1);
	const uint8_t *from;
	size_t len;

	if (kind == LONG || kind == MANY_ZEROS)
		n <<= take_byte(in) % (kind == LONG ? 9 : 14);
	switch (kind) {
	case WHOLE: case LONG: case DAMAGED_BODY:
		put_record(f, in, n, n, kind == DAMAGED_BODY);
		break;
	case SHORT:
		put_record(f, in, n + (uint32_t)take_number(in, 4), n, false);
		break;
	case UNCHAINED:
		f->chain = n;
		put_record(f, in, n, n, false);
		break;
	case BYTES:
		from = take_bytes(in, n, &len);
		if (LONGEST - f->len >= len + 8)
			memcpy(grow(f, len), from, len);
		break;
	case ZEROS:
		grow(f, n);
		break;
	case MANY_ZEROS:
		grow(f, n);
		break;
	case COPY:                       /* a valid record at another position */
		len = f->len - f->len / 256 * n / 8 * 8;
		if (len <= 4096 && LONGEST - f->len >= len)
			memcpy(grow(f, len), f->bytes + f->len - len, len);
		break;
	case HEADER:
		if (LONGEST - f->len >= RECORD_HEADER)
			put32(grow(f, n), n < 4 ? 0 : RECORD_MAGIC);
		break;
	case CUT:
		f->len -= n < f->len ? n / 8 * 8 : 0;
		break;
	}
}

/* ---- the model ---- */

struct walk {
	const struct file *file;
	uint64_t end, limit;
	uint64_t begin, pos;
	uint64_t chain;
	bool chain_known, chained;
};

static bool valid_at(const struct walk *w, uint64_t pos, struct record *r)
{
	return pos < w->end && w->end - pos >= RECORD_HEADER && record_decode(r, fuzz_secret, w->file->bytes + (pos - w->file->base), pos) == 0;
}

static enum scan_found step(struct walk *w, struct record *r, const uint8_t **body)
{
	enum scan_found found;

	*body = NULL;
	w->begin = w->pos;
	w->chained = true;
	if (w->pos >= w->limit || w->pos >= w->end)
		return SCAN_END;
	if (!valid_at(w, w->pos, r)) {
		for (uint64_t pos = w->pos + 8; pos < w->end && pos < w->limit; pos += 8)
			if (valid_at(w, pos, r)) {
				w->pos = pos;
				w->chain_known = false;
				return SCAN_DAMAGED;
			}
		return SCAN_END;
	}
	if (w->end - w->pos - RECORD_HEADER >= r->length)
		*body = w->file->bytes + (w->pos - w->file->base) + RECORD_HEADER;
	found = *body && record_check_body(r, fuzz_secret, *body) == 0 ? SCAN_RECORD : SCAN_BODY;
	w->chained = !w->chain_known || r->prev == w->chain;
	w->chain = r->sum;
	w->chain_known = true;
	w->pos += record_size(r->length);
	return found;
}

static void compare(struct scan *s, struct walk *w)
{
	enum scan_found found, wanted;
	const uint8_t *wanted_body;
	struct record r, wanted_r;
	const void *body;

	do {
		must(scan_next(s, &r, &body, &found) == 0);
		wanted = step(w, &wanted_r, &wanted_body);
		must(found == wanted && scan_begin(s) == w->begin && scan_pos(s) == w->pos && scan_chained(s) == w->chained);
		if (found != SCAN_RECORD && found != SCAN_BODY)
			continue;
		must(r.pos == wanted_r.pos && r.sum == wanted_r.sum && !body == !wanted_body);
		must(!body || memcmp(body, wanted_body, r.length) == 0);
		must(r.pos % 8 == w->file->base % 8);
	} while (found != SCAN_END);
}

static void scan(struct input in)
{
	static uint8_t room[SEGMENT_HEADER + LONGEST];
	struct file f = {.bytes = room + SEGMENT_HEADER, .base = take_number(&in, take_byte(&in) % 9) & ~UINT64_C(7)};
	uint64_t limit = take_byte(&in) % 2 ? f.base + take_number(&in, 2) : UINT64_MAX, seek = take_byte(&in) % 4 ? 0 : take_number(&in, 1) * 8;
	unsigned cut = take_byte(&in) % 16, skip = take_byte(&in) % 2 ? SEGMENT_HEADER : 0;
	struct disk *d = memory_disk_new();
	struct walk w;
	char name[64];
	struct scan *s;
	int err;

	f.chain = take_number(&in, 1);
	while (in.len > 0)
		put_piece(&f, &in);
	f.len -= cut < f.len ? cut : 0;
	skip ? segment_name(name, f.base) : (void)snprintf(name, sizeof name, "lost/%016" PRIx64 ".0", f.base);
	memory_disk_put(d, name, f.bytes - skip, skip + f.len);
	err = skip ? scan_open(&s, d, fuzz_secret, f.base) : scan_open_file(&s, d, fuzz_secret, name, 0, f.base);
	if (f.base > POSITION_MAX) {
		must(err == -EBADMSG);
	} else {
		must(err == 0);
		must(scan_file_end(s) == f.base + f.len);
		w = (struct walk){.file = &f, .end = f.base + f.len, .limit = limit, .pos = f.base};
		if (seek) {
			w.pos += seek;
			scan_seek(s, w.pos);
		} else if (cut % 2) {
			w.chain_known = true;
			scan_expect_chain(s, 0);
		}
		if (limit != UINT64_MAX)
			scan_limit(s, limit);
		compare(s, &w);
		scan_close(s);
	}
	disk_free(d);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};
	uint8_t kind = take_byte(&in);

	if (kind % 16 == 0)
		head(in);
	else if (kind % 16 == 1)
		foreign_head(in);
	else
		scan(in);
	return 0;
}
