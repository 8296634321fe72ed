/* SPDX-License-Identifier: Apache-2.0 */
#include "raw.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define NO_BASE UINT64_MAX

struct raw {
	struct disk *disk;
	struct segments *segments;
	const uint8_t *secret;
	uint64_t pos;
	uint64_t chain;
	bool chain_known;
	int fd;                        /* of the segment of `base` */
	uint64_t base;
	uint8_t *bytes;
	size_t room;
};

int raw_open(struct raw **to, struct disk *d, struct segments *segments, const uint8_t *secret, uint64_t pos)
{
	struct raw *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	r->disk = d;
	r->segments = segments;
	r->secret = secret;
	r->pos = pos;
	r->fd = -1;
	r->base = NO_BASE;
	*to = r;
	return 0;
}

void raw_close(struct raw *r)
{
	if (!r)
		return;
	disk_close(r->disk, r->fd);
	free(r->bytes);
	free(r);
}

uint64_t raw_pos(const struct raw *r)
{
	return r->pos;
}

void raw_expect_chain(struct raw *r, uint64_t chain)
{
	r->chain = chain;
	r->chain_known = true;
}

int raw_record(struct record *r, const uint8_t *secret, const uint8_t *from, size_t len, uint64_t pos, size_t *need)
{
	int err;

	*need = RECORD_HEADER;
	if (len < RECORD_HEADER)
		return -ENODATA;
	err = record_decode(r, secret, from, pos);
	if (err)
		return err;
	*need = record_size(r->length);
	if (len < *need)
		return -ENODATA;
	return record_check_body(r, secret, from + RECORD_HEADER);
}

static int make_room(struct raw *r, size_t room)
{
	uint8_t *bytes;

	if (room <= r->room)
		return 0;
	bytes = realloc(r->bytes, room);
	if (!bytes)
		return -ENOMEM;
	r->bytes = bytes;
	r->room = room;
	return 0;
}

/* The file of S, which is held, so it is not recycled meanwhile. Where the records before are not known, its header tells the chain. */
static int use_segment(struct raw *r, const struct segment *s)
{
	struct segment_head h;
	char name[32];
	int err;

	if (r->base == s->head.base)
		return 0;
	disk_close(r->disk, r->fd);
	r->base = NO_BASE;
	segment_name(name, s->head.base);
	r->fd = disk_open(r->disk, name, O_RDONLY, 0);
	if (r->fd < 0)
		return r->fd;
	r->base = s->head.base;
	if (r->pos > r->base || r->chain_known)
		return 0;
	err = segment_head_read(r->disk, r->fd, &h, r->secret);
	if (!err)
		raw_expect_chain(r, h.chain);
	return err == -EBADMSG || err == -EIO ? 0 : err;         /* a header that has rotted says nothing of the records */
}

/* LEN bytes from the position on are in memory: how many of them are whole valid records. *NEED is how many the next record would take. */
static int verify(struct raw *r, size_t len, size_t *whole, size_t *need)
{
	struct record rec;
	int err = 0;

	*whole = 0;
	*need = 0;
	while (!err && *whole < len) {
		err = raw_record(&rec, r->secret, r->bytes + *whole, len - *whole, r->pos + *whole, need);
		if (!err && r->chain_known && rec.prev != r->chain)
			err = -EBADMSG;
		if (err)
			break;
		raw_expect_chain(r, rec.sum);
		*whole += record_size(rec.length);
	}
	return *whole ? 0 : err;
}

/*
 * A record longer than what was read needs a second, longer read; a sound one is never cut by the segment's end. A bad place further on takes
 * nothing before it along: then less is read, down to the one record. What does not read is as good as rotten.
 */
static ssize_t read_records(struct raw *r, uint64_t end)
{
	uint64_t rest = end - r->pos;
	size_t len = rest < RAW_CHUNK ? (size_t)rest : RAW_CHUNK, least = len < RECORD_HEADER ? len : RECORD_HEADER, whole, need;
	int err;

	for (;;) {
		err = make_room(r, len < RAW_CHUNK ? RAW_CHUNK : len);
		if (!err)
			err = disk_read(r->disk, r->fd, r->bytes, len, SEGMENT_HEADER + r->pos - r->base);
		if (err == -EIO && len > least) {
			len = len / 2 > least ? len / 2 : least;
			continue;
		}
		if (err)
			return err == -ENODATA || err == -EIO ? -EBADMSG : err;
		err = verify(r, len, &whole, &need);
		if (err != -ENODATA)
			return err ? err : (ssize_t)whole;
		if (need > rest || need > RAW_MAX)
			return -EBADMSG;
		len = least = need;
	}
}

ssize_t raw_read(struct raw *r, uint64_t upto, const uint8_t **bytes, uint64_t *base)
{
	struct segment *s;
	ssize_t n;

	if (r->pos >= upto)
		return 0;
	s = segments_find(r->segments, r->pos);
	if (!s || s->head.base > r->pos) {
		if (s)
			segment_put(s);
		return s ? -ENODATA : -EBADMSG;
	}
	n = use_segment(r, s);
	if (!n)
		n = read_records(r, s->end < upto ? s->end : upto);
	segment_put(s);
	if (n < 0)
		return n;
	r->pos += (uint64_t)n;
	*bytes = r->bytes;
	*base = r->base;
	return n;
}
