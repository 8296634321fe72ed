/* SPDX-License-Identifier: Apache-2.0 */
/* The whole file is made in memory, then put in place; the layout stands at the top of index.c. */
#include "index.h"
#include "bytes.h"
#include "index_format.h"
#include "segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VARINT_MAX 10u
#define BLOCK_MAX (16u + INDEX_BLOCK * 2 * VARINT_MAX + 8)

struct bytes {
	uint8_t *at;
	size_t len;
	size_t max;
	const uint8_t *secret;
};

/* Room for LEN more bytes, taken, zeroed. */
static uint8_t *grow(struct bytes *b, size_t len)
{
	if (b->max - b->len < len) {
		size_t max = 2 * (b->len + len);
		uint8_t *at = realloc(b->at, max);

		if (!at)
			return NULL;
		b->at = at;
		b->max = max;
	}
	memset(b->at + b->len, 0, len);
	b->len += len;
	return b->at + b->len - len;
}

static uint8_t *put_varint(uint8_t *to, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*to++ = (uint8_t)(v | 0x80);
	*to++ = (uint8_t)v;
	return to;
}

static int put_block(struct bytes *b, const struct run *run, size_t count)
{
	uint8_t *begin = grow(b, BLOCK_MAX), *to = begin;

	if (!begin)
		return -ENOMEM;
	put64(to, run[0].offset);
	put64(to + 8, run[0].pos);
	to += 16;
	for (size_t i = 1; i < count; i++) {
		to = put_varint(to, run[i].offset - run[i - 1].offset);
		to = put_varint(to, (run[i].pos - run[i - 1].pos) / 8);
	}
	put64(to, sum(b->secret, begin, (size_t)(to - begin)));
	b->len = (size_t)(to + 8 - b->at);
	return 0;
}

static int put_blocks(struct bytes *b, const struct run_queue *q)
{
	size_t blocks = (q->count + INDEX_BLOCK - 1) / INDEX_BLOCK, begin = b->len, table = blocks * TABLE_ROW;

	if (blocks == 1)
		return put_block(b, q->runs, q->count);
	if (!grow(b, table + 8))
		return -ENOMEM;
	for (size_t i = 0; i < blocks; i++) {
		const struct run *run = q->runs + i * INDEX_BLOCK;
		size_t count = i + 1 < blocks ? INDEX_BLOCK : q->count - i * INDEX_BLOCK, at = b->len;
		int err = put_block(b, run, count);

		if (err)
			return err;
		if (b->len - begin > UINT32_MAX)
			return -EFBIG;
		uint8_t *row = b->at + begin + i * TABLE_ROW;
		put64(row, run->offset);
		put64(row + 8, run->pos);
		put32(row + 16, (uint32_t)(at - begin));
		put32(row + 20, (uint32_t)(b->len - at));
	}
	put64(b->at + begin + table, sum(b->secret, b->at + begin, table));
	return 0;
}

static int put_queue(struct bytes *b, size_t row_at, const struct run_queue *q)
{
	uint64_t at = b->len;
	int err = put_blocks(b, q);

	if (err)
		return err;
	if (q->count > UINT32_MAX || b->len - at > UINT32_MAX)
		return -EFBIG;
	uint8_t *row = b->at + row_at;
	put64(row, q->queue);
	put64(row + 8, q->first);
	put64(row + 16, q->end);
	put64(row + 24, q->messages);
	put64(row + 32, at);
	put32(row + 40, (uint32_t)q->count);
	put32(row + 44, (uint32_t)(b->len - at));
	return 0;
}

static int put_all(struct bytes *b, uint64_t base, uint64_t end, int64_t last_time, struct run_queue **all, size_t count)
{
	size_t pages = (count + PAGE_ROWS - 1) / PAGE_ROWS;
	uint64_t directory = directory_at(pages);

	if (!grow(b, directory + pages * PAGE))
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		int err = put_queue(b, directory + i / PAGE_ROWS * PAGE + i % PAGE_ROWS * ROW, all[i]);

		if (err)
			return err;
	}
	for (size_t i = 0; i < pages; i++) {
		uint8_t *page = b->at + directory + i * PAGE;

		put64(page + PAGE_SUM - 8, base);
		put64(page + PAGE_SUM, sum(b->secret, page, PAGE_SUM));
		put64(b->at + HEADER + 8 * i, all[i * PAGE_ROWS]->queue);
	}
	put64(b->at + HEADER + 8 * pages, sum(b->secret, b->at + HEADER, 8 * pages));
	memcpy(b->at, "MQFS-IDX", 8);
	put32(b->at + 8, VERSION);
	put64(b->at + 16, base);
	put64(b->at + 24, end);
	put64(b->at + 32, (uint64_t)last_time);
	put64(b->at + 40, count);
	put64(b->at + 48, b->len);
	put64(b->at + 56, sum(b->secret, b->at, 56));
	return 0;
}

int index_write(struct disk *d, const uint8_t *secret, uint64_t base, uint64_t end, int64_t last_time, struct runs *runs)
{
	struct bytes b = {.secret = secret};
	struct run_queue **all;
	char name[40];
	size_t count;
	int err = runs_sorted(runs, &all, &count);

	if (err)
		return err;
	err = put_all(&b, base, end, last_time, all, count);
	free(all);
	segment_index_name(name, base);
	if (!err)
		err = disk_replace(d, name, b.at, b.len, 0600);
	free(b.at);
	return err;
}
