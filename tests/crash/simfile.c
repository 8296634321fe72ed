/* SPDX-License-Identifier: Apache-2.0 */
#include "simfile.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define GROWTH (4 * PAGE)                 /* bytes that a file may grow by while it is mapped */

static struct sim_bytes *bytes_new(size_t room)
{
	struct sim_bytes *b = malloc(sizeof *b + room);

	if (!b)
		return NULL;
	*b = (struct sim_bytes){.users = 1, .room = room};
	return b;
}

static void bytes_put(struct sim_bytes *b)
{
	if (b && --b->users == 0 && b->maps == 0)
		free(b);
}

static void share(struct sim_side *to, const struct sim_side *from)
{
	struct sim_bytes *old = to->bytes;

	*to = *from;
	if (to->bytes)
		to->bytes->users++;
	bytes_put(old);
}

/* SIDE may be written to up to END. */
static int own(struct sim_side *side, uint64_t end)
{
	struct sim_bytes *old = side->bytes, *b;
	size_t room = (size_t)(end + PAGE - 1) / PAGE * PAGE, have = old ? old->room : 0;

	if (old && old->users == 1 && have >= end) {
		old->hash = 0;
		return 0;
	}
	if (old && old->users == 1 && old->maps)
		abort();                       /* whoever mapped it would not see the write */
	if (room < have)
		room = have;
	b = bytes_new(room);
	if (!b)
		return -ENOMEM;
	if (have)
		memcpy(b->at, old->at, have);
	memset(b->at + have, 0, room - have);
	bytes_put(old);
	side->bytes = b;
	return 0;
}

static void zero_from(struct sim_side *side, uint64_t from)
{
	if (side->bytes && from < side->bytes->room)
		memset(side->bytes->at + from, 0, side->bytes->room - from);
}

static int shrink(struct sim_side *side, uint64_t size)
{
	int err = own(side, size);

	if (!err) {
		zero_from(side, size);
		side->size = size;
	}
	return err;
}

void sim_file_free(struct sim_file *f)
{
	bytes_put(f->cache.bytes);
	bytes_put(f->disk.bytes);
	free(f->writes);
	free(f->data);
	free(f);
}

int sim_file_clone(const struct sim_file *f, struct sim_file **to)
{
	struct sim_file *c = malloc(sizeof *c);

	if (!c)
		return -ENOMEM;
	*c = *f;
	c->cache = c->disk = (struct sim_side){0};
	share(&c->cache, &f->cache);
	share(&c->disk, &f->disk);
	c->users = 0;
	c->locked = false;
	c->writes = f->write_count ? malloc(f->write_count * sizeof *c->writes) : NULL;
	c->data = f->data_len ? malloc(f->data_len) : NULL;
	c->write_room = f->write_count;
	c->data_room = f->data_len;
	if ((f->write_count && !c->writes) || (f->data_len && !c->data)) {
		sim_file_free(c);
		return -ENOMEM;
	}
	if (f->write_count)
		memcpy(c->writes, f->writes, f->write_count * sizeof *c->writes);
	if (f->data_len)
		memcpy(c->data, f->data, f->data_len);
	*to = c;
	return 0;
}

static int note(struct sim_file *f, const struct sim_write *write)
{
	if (f->write_count == f->write_room) {
		size_t room = f->write_room ? 2 * f->write_room : 16;
		struct sim_write *grown = realloc(f->writes, room * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		f->writes = grown;
		f->write_room = room;
	}
	f->writes[f->write_count++] = *write;
	return 0;
}

static uint8_t *more_data(struct sim_file *f, size_t len)
{
	if (f->data_room - f->data_len < len) {
		size_t room = 2 * (f->data_len + len);
		uint8_t *grown = realloc(f->data, room);
		if (!grown)
			return NULL;
		f->data = grown;
		f->data_room = room;
	}
	f->data_len += len;
	return f->data + f->data_len - len;
}

int sim_file_write(struct sim_file *f, const struct iovec *iov, int n, uint64_t at, size_t len)
{
	uint64_t end = at + len, blocks = (end + PAGE - 1) / PAGE * PAGE;
	int err = own(&f->cache, end);
	uint8_t *data = err ? NULL : more_data(f, len), *to = data;

	if (!data)
		return -ENOMEM;
	for (size_t left = len; n && left; iov++, n--) {
		size_t part = iov->iov_len < left ? iov->iov_len : left;
		if (part)
			memcpy(to, iov->iov_base, part);
		to += part;
		left -= part;
	}
	memcpy(f->cache.bytes->at + at, data, len);
	f->cache.size = end > f->cache.size ? end : f->cache.size;
	f->cache.blocks = blocks > f->cache.blocks ? blocks : f->cache.blocks;
	return note(f, &(struct sim_write){.at = at, .len = len, .data = (uint64_t)(data - f->data), .size = f->cache.size, .blocks = f->cache.blocks});
}

int sim_file_resize(struct sim_file *f, uint64_t size, uint64_t blocks)
{
	bool shrinks = size < f->cache.size;
	int err = shrinks ? shrink(&f->cache, size) : 0;

	if (err)
		return err;
	if (!size)
		f->stuck = 0;
	f->cache.size = size;
	f->cache.blocks = blocks;
	return note(f, &(struct sim_write){.size = size, .blocks = blocks, .shrinks = shrinks});
}

void sim_file_read(const struct sim_file *f, void *to, size_t len, uint64_t at)
{
	size_t room = f->cache.bytes ? f->cache.bytes->room : 0, have = at < room ? room - at : 0;

	if (have > len)
		have = len;
	if (have)
		memcpy(to, f->cache.bytes->at + at, have);
	memset((char *)to + have, 0, len - have);
}

static void forget(struct sim_file *f, size_t count)
{
	f->write_first += count;
	f->write_count -= count;
	if (f->write_count)
		memmove(f->writes, f->writes + count, f->write_count * sizeof *f->writes);
	else
		f->data_len = 0;
}

/* How many of the writes have reached each unit. */
struct reach {
	enum sim_part part;
	size_t count, first;
	uint64_t seed, unit;
	uint64_t stuck;                /* pages that nothing reaches */
	unsigned bias;                 /* of eight: units that nothing, and units that everything has reached */
};

static size_t reached(const struct reach *r, uint64_t unit)
{
	uint64_t z = (r->seed + unit) * 0x9e3779b97f4a7c15;

	switch (r->part) {
	case PART_NONE:
		return 0;
	case PART_ALL:
		return r->count;
	case PART_FIRST:
		return r->first;
	default:
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z ^= z >> 27;
		if (z % 8 == 7)
			return (size_t)(z >> 8) % (r->count + 1);
		return z % 8 < r->bias ? 0 : r->count;
	}
}

static bool is_stuck(uint64_t stuck, uint64_t at)
{
	return at / PAGE < 64 && stuck >> (at / PAGE) & 1;
}

static int apply_bytes(struct sim_side *side, const struct sim_write *write, const uint8_t *data, size_t number, const struct reach *r)
{
	uint64_t at = write->at, end = at + write->len;
	int err = own(side, end);

	while (!err && at < end) {
		uint64_t unit = at / r->unit, next = (unit + 1) * r->unit;
		uint64_t to = next < end ? next : end;
		if (number < reached(r, unit) && !is_stuck(r->stuck, at))
			memcpy(side->bytes->at + at, data + (at - write->at), to - at);
		at = to;
	}
	return err;
}

static int apply(struct sim_file *f, size_t count, const struct reach *r)
{
	struct sim_side *side = &f->disk;
	size_t sizes = reached(r, UINT64_MAX);
	int err = 0;

	for (size_t n = 0; !err && n < count; n++) {
		const struct sim_write *write = &f->writes[n];
		if (write->shrinks) {
			if (n >= sizes)
				break;                 /* the journal has not got so far, nor to what came later */
			err = shrink(side, write->size);
		} else if (write->len) {
			err = apply_bytes(side, write, f->data + write->data, n, r);
		}
		if (n < sizes) {
			side->size = write->size;
			side->blocks = write->blocks;
		}
	}
	if (!err && side->bytes && side->size < side->bytes->room) {
		err = own(side, 0);
		if (!err)
			zero_from(side, side->size);
	}
	return err;
}

int sim_file_sync(struct sim_file *f, size_t count)
{
	struct reach all = {.part = PART_ALL, .count = count, .unit = PAGE};
	int err = 0;

	if (!count)
		return 0;
	all.stuck = f->stuck;
	if (count == f->write_count && !f->stuck && !(f->cache.bytes && f->cache.bytes->maps))
		share(&f->disk, &f->cache);
	else
		err = apply(f, count, &all);
	if (!err)
		forget(f, count);
	return err;
}

int sim_file_settle(struct sim_file *f, enum sim_part part, struct world *w)
{
	struct reach r = {.part = part, .count = f->write_count, .unit = part == PART_SECTORS ? SECTOR : PAGE};
	int err;

	if (!f->write_count)
		return 0;
	r.first = (size_t)chance_of(w, r.count + 1);
	r.seed = chance(w);
	r.bias = 1 + (unsigned)chance_of(w, 6);
	r.stuck = f->stuck;
	err = part == PART_NONE ? 0 : apply(f, f->write_count, &r);
	if (!err)
		forget(f, f->write_count);
	return err;
}

static bool page_differs(const struct sim_side *a, const struct sim_side *b, uint64_t page)
{
	static const uint8_t zeros[PAGE];
	const uint8_t *x = a->bytes && a->bytes->room > page * PAGE ? a->bytes->at + page * PAGE : zeros;
	const uint8_t *y = b->bytes && b->bytes->room > page * PAGE ? b->bytes->at + page * PAGE : zeros;

	return x != y && memcmp(x, y, PAGE) != 0;
}

int sim_file_fail(struct sim_file *f, enum sim_part part, struct world *w)
{
	int err = sim_file_settle(f, part, w);

	for (uint64_t page = 0; page < 64 && page * PAGE < f->cache.size; page++)
		if (page_differs(&f->cache, &f->disk, page))
			f->stuck |= (uint64_t)1 << page;
	return err;
}

/* What is dirty stays, and is as stuck as it was. */
int sim_file_forget(struct sim_file *f)
{
	uint64_t dirty = 0;

	for (size_t n = 0; n < f->write_count; n++)
		for (uint64_t page = f->writes[n].at / PAGE; page < 64 && page * PAGE < f->writes[n].at + f->writes[n].len; page++)
			dirty |= (uint64_t)1 << page;
	f->stuck &= dirty;
	return sim_file_drop_cache(f);
}

int sim_file_drop_cache(struct sim_file *f)
{
	struct reach all = {.part = PART_ALL, .count = f->write_count, .unit = PAGE};
	struct sim_side disk = f->disk;
	int err;

	if (f->cache.bytes == f->disk.bytes)
		return 0;
	if (disk.bytes)
		disk.bytes->users++;
	err = apply(f, f->write_count, &all);          /* the writes on top of the disk, for a moment */
	if (!err)
		share(&f->cache, &f->disk);
	bytes_put(f->disk.bytes);
	f->disk = disk;
	return err;
}

/* What is mapped stays in place while the file grows. */
int sim_file_map(struct sim_file *f, size_t len, const void **at)
{
	uint64_t end = len > f->cache.size ? len : f->cache.size;
	struct sim_bytes *b = f->cache.bytes;
	bool roomy = b && b->users == 1 && b->room >= (b->maps ? end : end + GROWTH);
	int err = roomy ? 0 : own(&f->cache, end + GROWTH);

	if (err)
		return err;
	f->cache.bytes->maps++;
	*at = f->cache.bytes->at;
	return 0;
}

void sim_file_unmap(const void *at)
{
	struct sim_bytes *b = (struct sim_bytes *)((char *)at - offsetof(struct sim_bytes, at));

	if (--b->maps == 0 && b->users == 0)
		free(b);
}

int sim_file_flip(struct sim_file *f, uint64_t at)
{
	int err = own(&f->disk, at + 1);

	if (!err) {
		f->disk.bytes->at[at] ^= 0x10;
		share(&f->cache, &f->disk);
	}
	return err;
}

bool sim_file_find(const struct sim_file *f, const void *bytes, size_t len, uint64_t *at)
{
	const struct sim_bytes *b = f->cache.bytes;
	const uint8_t *there = b ? memmem(b->at, b->room, bytes, len) : NULL;

	if (there)
		*at = (uint64_t)(there - b->at);
	return there;
}

bool sim_file_has(const struct sim_file *f, const void *bytes, size_t len)
{
	return f->disk.bytes && memmem(f->disk.bytes->at, f->disk.bytes->room, bytes, len);
}

bool sim_file_is_durable(const struct sim_file *f)
{
	uint64_t size = f->cache.size > f->disk.size ? f->cache.size : f->disk.size;

	for (uint64_t page = 0; f->cache.bytes != f->disk.bytes && page * PAGE < size; page++)
		if (page_differs(&f->cache, &f->disk, page))
			return false;
	return true;
}

static uint64_t side_hash(const struct sim_side *side)
{
	uint64_t of[3] = {side->size, side->blocks, 0};

	if (side->bytes && !side->bytes->hash)
		side->bytes->hash = XXH3_64bits(side->bytes->at, side->bytes->room) | 1;
	of[2] = side->bytes ? side->bytes->hash : 0;
	return XXH3_64bits(of, sizeof of);
}

uint64_t sim_file_hash(struct sim_file *f)
{
	uint64_t of[3] = {side_hash(&f->cache), 0, 0};

	of[1] = f->disk.bytes == f->cache.bytes ? of[0] : side_hash(&f->disk);
	if (f->write_count)
		of[2] = XXH3_64bits(f->data, f->data_len);
	return XXH3_64bits(of, sizeof of);
}
