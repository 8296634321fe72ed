/* SPDX-License-Identifier: Apache-2.0 */
#include "pieces.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void pieces_begin(struct pieces *p, const uint8_t *secret, int (*take)(void *ctx, const uint8_t *bytes, size_t len, uint64_t base, size_t *took),
	void *ctx, uint64_t end)
{
	*p = (struct pieces){.secret = secret, .take = take, .ctx = ctx, .end = end, .base = UINT64_MAX};
}

void pieces_free(struct pieces *p)
{
	free(p->part);
}

bool pieces_heals(int err)
{
	return disk_error_full(err) || err == -ENOMEM || err == -ENOBUFS;
}

int pieces_segment(struct pieces *p, uint64_t pos)
{
	if (pos != p->end || p->part_len)
		return -EPROTO;
	p->base = pos;
	return 0;
}

/* LEN bytes of whole records. */
static int take(struct pieces *p, const uint8_t *bytes, size_t len, size_t *took)
{
	int err;

	*took = 0;
	err = p->take(p->ctx, bytes, len, p->base, took);
	p->end += *took;
	return err;
}

/* Bytes of the record at FROM, or of its header as long as that is not whole. */
static int measure(struct pieces *p, const uint8_t *from, size_t len, uint64_t pos, size_t *need)
{
	struct record rec;
	int err;

	*need = RECORD_HEADER;
	if (len < RECORD_HEADER)
		return 0;
	err = record_decode(&rec, p->secret, from, pos);
	if (!err)
		*need = record_size(rec.length);
	return err;
}

static int make_room(struct pieces *p, size_t room)
{
	uint8_t *part = room > p->part_room ? realloc(p->part, room) : p->part;

	if (!part)
		return -ENOMEM;
	if (room > p->part_room)
		p->part_room = room;
	p->part = part;
	return 0;
}

/* Adds to the part what it lacks of its record, and takes that when it is whole. */
static int complete_part(struct pieces *p, const uint8_t *body, size_t len)
{
	size_t need, add, took;
	int err = measure(p, p->part, p->part_len, p->end, &need);

	while (!err && p->part_len < need && p->done < len) {
		err = make_room(p, need);
		if (err)
			break;
		add = need - p->part_len < len - p->done ? need - p->part_len : len - p->done;
		memcpy(p->part + p->part_len, body + p->done, add);
		p->part_len += add;
		p->done += add;
		err = measure(p, p->part, p->part_len, p->end, &need);
	}
	if (err || p->part_len < need)
		return err;
	err = take(p, p->part, need, &took);
	if (!err)
		p->part_len = 0;
	return err;
}

/* The whole records of the rest, at once; what is left is a part of one. */
static int take_rest(struct pieces *p, const uint8_t *body, size_t len)
{
	size_t whole = 0, need, took;
	int err = 0;

	for (;;) {
		err = measure(p, body + p->done + whole, len - p->done - whole, p->end + whole, &need);
		if (err || need > len - p->done - whole)
			break;
		whole += need;
	}
	if (whole) {
		int failed = take(p, body + p->done, whole, &took);
		p->done += took;
		if (failed)
			return failed;
	}
	if (!err)
		err = make_room(p, RECORD_HEADER > len - p->done ? RECORD_HEADER : len - p->done);
	if (err)
		return err;
	memcpy(p->part, body + p->done, len - p->done);
	p->part_len = len - p->done;
	p->done = len;
	return 0;
}

int pieces_add(struct pieces *p, const struct frame *f, const uint8_t *body)
{
	int err = 0;

	if (!p->done && f->pos != p->end + p->part_len)
		return -EPROTO;
	if (p->part_len)
		err = complete_part(p, body, f->length);
	if (!err && p->done < f->length)
		err = take_rest(p, body, f->length);
	if (!pieces_heals(err))
		p->done = 0;
	return err;
}
