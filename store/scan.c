/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"
#include "bytes.h"
#include "segment.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct scan {
	struct disk *disk;
	const uint8_t *secret;
	int fd;
	uint64_t skip;          /* byte of the file at position base */
	uint64_t base;
	uint64_t file_end;      /* position */
	uint64_t limit;

	uint64_t begin, pos;
	uint64_t chain;         /* what the next record's prev must be, when chain_known */
	bool chain_known;
	bool chained;
	bool verify;
	bool once;

	uint8_t *window;        /* the file's bytes from window_pos on */
	uint64_t window_pos;
	size_t window_len;
	size_t window_max;
};

struct bases {
	uint64_t *at;
	size_t count;
};

static int note_base(void *ctx, const char *name)
{
	struct bases *b = ctx;
	uint64_t *at, base;

	if (!position_named(name, 0, &base))
		return 0;
	at = realloc(b->at, (b->count + 1) * sizeof *at);
	if (!at)
		return -ENOMEM;
	b->at = at;
	at[b->count++] = base;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int scan_segments(struct disk *d, uint64_t **base, size_t *count)
{
	struct bases b = {0};
	int err = disk_list(d, "log", note_base, &b);

	if (err) {
		free(b.at);
		return err;
	}
	if (b.count)
		qsort(b.at, b.count, sizeof *b.at, by_value);
	*base = b.at;
	*count = b.count;
	return 0;
}

int scan_open_file(struct scan **to, struct disk *d, const uint8_t *secret, const char *path, uint64_t skip, uint64_t base)
{
	struct stat st;
	int err = disk_stat(d, path, &st);
	if (err < 0)
		return err;
	if (!S_ISREG(st.st_mode) || base > POSITION_MAX)
		return -EBADMSG;
	struct scan *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->disk = d;
	s->secret = secret;
	s->skip = skip;
	s->base = s->begin = s->pos = base;
	s->limit = UINT64_MAX;
	s->verify = true;
	s->chained = true;
	s->file_end = base + ((uint64_t)st.st_size > skip ? (uint64_t)st.st_size - skip : 0);
	s->fd = disk_open(d, path, O_RDONLY, 0);
	if (s->fd < 0) {
		err = s->fd;
		free(s);
		return err;
	}
	*to = s;
	return 0;
}

int scan_open(struct scan **s, struct disk *d, const uint8_t *secret, uint64_t base)
{
	char path[32];
	segment_name(path, base);
	return scan_open_file(s, d, secret, path, SEGMENT_HEADER, base);
}

void scan_close(struct scan *s)
{
	if (!s)
		return;
	disk_close(s->disk, s->fd);
	free(s->window);
	free(s);
}

void scan_seek(struct scan *s, uint64_t pos)
{
	s->begin = s->pos = pos;
	s->chain_known = false;
}

void scan_pass_unreadable(struct scan *s)
{
	uint64_t at = s->skip + (s->pos - s->base), next = (at / SCAN_UNREADABLE + 1) * SCAN_UNREADABLE;

	scan_seek(s, s->base + (next - s->skip + 7) / 8 * 8);
}

void scan_limit(struct scan *s, uint64_t limit)
{
	s->limit = limit;
}

void scan_expect_chain(struct scan *s, uint64_t chain)
{
	s->chain = chain;
	s->chain_known = true;
}

void scan_bodies(struct scan *s, bool verify)
{
	s->verify = verify;
}

void scan_once(struct scan *s)
{
	s->once = true;
}

uint64_t scan_begin(const struct scan *s)
{
	return s->begin;
}

uint64_t scan_pos(const struct scan *s)
{
	return s->pos;
}

uint64_t scan_file_end(const struct scan *s)
{
	return s->file_end;
}

bool scan_chained(const struct scan *s)
{
	return s->chained;
}

static int read_window(struct scan *s, uint64_t pos, size_t len)
{
	uint64_t at = s->skip + (pos - s->base);

	return s->once ? disk_read_once(s->disk, s->fd, s->window, len, at) : disk_read(s->disk, s->fd, s->window, len, at);
}

/* *AT is the bytes from POS on, *LEN how many of them the window holds: at least WANT, or all that the file has. */
static int look(struct scan *s, uint64_t pos, size_t want, const uint8_t **at, size_t *len)
{
	uint64_t rest = pos < s->file_end ? s->file_end - pos : 0;
	if (want > rest)
		want = (size_t)rest;
	uint64_t into = pos - s->window_pos;
	if (pos < s->window_pos || into > s->window_len || s->window_len - into < want) {
		size_t take = want > SCAN_WINDOW ? want : SCAN_WINDOW;
		if (take > rest)
			take = (size_t)rest;
		if (take > s->window_max) {
			free(s->window);
			s->window_max = s->window_len = 0;
			s->window = malloc(take);
			if (!s->window)
				return -ENOMEM;
			s->window_max = take;
		}
		s->window_len = 0;
		int err = read_window(s, pos, take);
		if (err == -EIO && take > want) {        /* a bad place further on takes nothing before it along */
			take = want;
			err = read_window(s, pos, take);
		}
		if (err < 0)
			return err;
		s->window_pos = pos;
		s->window_len = take;
		into = 0;
	}
	*at = s->window + into;
	*len = s->window_len - (size_t)into;
	return 0;
}

/* The header at POS: 0, -EBADMSG when there is none, or why it cannot be read. */
static int header_at(struct scan *s, uint64_t pos, struct record *r)
{
	const uint8_t *at;
	size_t len;
	int err = look(s, pos, RECORD_HEADER, &at, &len);
	if (err < 0)
		return err;
	if (len < RECORD_HEADER || get32(at) != RECORD_MAGIC)
		return -EBADMSG;
	return record_decode(r, s->secret, at, pos);
}

/* The first position from POS on where a valid header stands: 1, or 0 when there is none before the file's end or the limit. */
static int find_header(struct scan *s, uint64_t pos, uint64_t *found)
{
	uint64_t end = s->file_end < s->limit ? s->file_end : s->limit;
	while (pos < end && s->file_end - pos >= RECORD_HEADER) {
		const uint8_t *at;
		size_t len, i = 0;
		int err = look(s, pos, RECORD_HEADER, &at, &len);
		if (err < 0)
			return err;
		while (i + 4 <= len && get32(at + i) != RECORD_MAGIC)
			i += 8;
		pos += i;
		if (i + 4 > len || pos >= end)
			continue;
		struct record r;
		err = header_at(s, pos, &r);
		if (err == 0) {
			*found = pos;
			return 1;
		}
		if (err != -EBADMSG)
			return err;
		pos += 8;
	}
	return 0;
}

static int skip_damage(struct scan *s, enum scan_found *found)
{
	uint64_t next = 0;
	int there = find_header(s, s->pos + 8, &next);
	if (there < 0)
		return there;
	*found = SCAN_END;
	if (there) {
		s->pos = next;
		s->chain_known = false;
		*found = SCAN_DAMAGED;
	}
	return 0;
}

int scan_next(struct scan *s, struct record *r, const void **body, enum scan_found *found)
{
	*body = NULL;
	s->begin = s->pos;
	s->chained = true;
	if (s->pos >= s->limit || s->pos >= s->file_end) {
		*found = SCAN_END;
		return 0;
	}
	int err = header_at(s, s->pos, r);
	if (err == -EBADMSG)
		return skip_damage(s, found);
	if (err < 0)
		return err;

	const uint8_t *at;
	size_t len;
	err = look(s, s->pos, RECORD_HEADER + (size_t)r->length, &at, &len);
	if (err < 0 && err != -EIO)
		return err;
	bool whole = !err && len >= RECORD_HEADER + (size_t)r->length;       /* what does not read is as good as rotten */
	if (whole)
		*body = at + RECORD_HEADER;
	*found = whole && (!s->verify || record_check_body(r, s->secret, *body) == 0) ? SCAN_RECORD : SCAN_BODY;
	s->chained = !s->chain_known || r->prev == s->chain;
	s->chain = r->sum;
	s->chain_known = true;
	s->pos += record_size(r->length);
	return 0;
}
