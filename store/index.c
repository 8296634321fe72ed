/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index file of a segment, log/BASE.index. Little endian; "sum" is XXH3 (64 bits) with the cluster's secret.
 *
 *	part        at                        bytes
 *	header      0                         64
 *	fences      64                        8 a page of the directory, and a sum
 *	directory   next multiple of 4096     4096 a page
 *	entries     behind the directory      to the end of the file
 *
 *	header      0  "MQFS-IDX"             32  i64  time of the last record, ns
 *	            8  u32  format version    40  u64  queues
 *	           12  u32  0                 48  u64  length of this file
 *	           16  u64  base              56  u64  sum of bytes 0-55
 *	           24  u64  end, position behind the last record
 *
 *	fences      the id of the first queue of each page (u64), then the sum of them
 *
 *	page        85 rows sorted by queue id, the last page's rest zeros; 4080 u64 base; 4088 u64 sum of bytes 0-4087
 *	row         0  u64  queue id          24  u64  messages
 *	            8  u64  first offset      32  u64  where its entries are in this file
 *	           16  u64  end offset        40  u32  entries
 *	                                      44  u32  bytes of them, tables and sums included
 *
 *	entries     of a queue with at most 256 entries: one block. With more: a table, then blocks of 256 entries, the last one of the rest.
 *	table       a row a block, then their sum (u64). Row: u64 offset and u64 position of its first entry, u32 where the block is, counted
 *	            from the table's beginning, u32 bytes of the block
 *	block       u64 offset and u64 position of its first entry; for each further entry two varints (7 bits a byte, the lowest first, 0x80:
 *	            more follow): what its offset is more than the last one's, and its position, in units of 8; then the sum of all this (u64)
 *
 * So a look-up reads the header and fences once, and then a page of the directory and one or two of entries. What is
 * valid by its sum is still checked before it is used as a place or a length.
 */
#include "index.h"
#include "bytes.h"
#include "index_format.h"
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct index {
	struct disk *disk;
	const uint8_t *secret;
	const uint8_t *map;
	size_t len;
	uint64_t base, end;
	int64_t last_time;
	size_t queues;
	size_t pages;
	uint64_t directory;            /* where it begins */
	uint64_t *fences;
};

/* ---- what reads the mapping: all of it runs under disk_guard() ---- */

/* A look-up and what came of it. */
struct look {
	struct index *index;
	uint64_t queue;
	uint64_t key;
	bool by_pos;
	size_t n;
	struct run_batch *batch;
	struct index_queue *to;
};

/* A row of the directory. */
struct row {
	uint64_t queue, first, end, messages;
	uint64_t at;
	size_t count, bytes;
};

static bool holds(const struct index *x, uint64_t at, uint64_t bytes)
{
	return at <= x->len && bytes <= x->len - at;
}

static int read_header(void *ctx)
{
	struct index *x = ctx;
	const uint8_t *h = x->map;
	uint64_t queues = get64(h + 40);

	if (memcmp(h, "MQFS-IDX", 8) || get64(h + 56) != sum(x->secret, h, 56))
		return -EBADMSG;
	if (get32(h + 8) != VERSION || get64(h + 16) != x->base || get64(h + 48) != x->len || queues > x->len / ROW)
		return -EBADMSG;
	x->end = get64(h + 24);
	x->last_time = (int64_t)get64(h + 32);
	x->queues = queues;
	x->pages = (queues + PAGE_ROWS - 1) / PAGE_ROWS;
	x->directory = directory_at(x->pages);
	return holds(x, x->directory, (uint64_t)x->pages * PAGE) ? 0 : -EBADMSG;
}

static int read_fences(void *ctx)
{
	struct index *x = ctx;

	memcpy(x->fences, x->map + HEADER, 8 * x->pages + 8);
	if (get64((uint8_t *)(x->fences + x->pages)) != sum(x->secret, (uint8_t *)x->fences, 8 * x->pages))
		return -EBADMSG;
	for (size_t i = 0; i < x->pages; i++)
		x->fences[i] = get64((uint8_t *)(x->fences + i));
	return 0;
}

static int page_at(struct index *x, size_t n, const uint8_t **page, size_t *rows)
{
	const uint8_t *p = x->map + x->directory + n * PAGE;

	if (get64(p + PAGE_SUM) != sum(x->secret, p, PAGE_SUM) || get64(p + PAGE_SUM - 8) != x->base || get64(p) != x->fences[n])
		return -EBADMSG;
	*page = p;
	*rows = n + 1 < x->pages ? PAGE_ROWS : x->queues - n * PAGE_ROWS;
	return 0;
}

static int read_row(struct index *x, const uint8_t *from, struct row *to)
{
	to->queue = get64(from);
	to->first = get64(from + 8);
	to->end = get64(from + 16);
	to->messages = get64(from + 24);
	to->at = get64(from + 32);
	to->count = get32(from + 40);
	to->bytes = get32(from + 44);
	return holds(x, to->at, to->bytes) && to->count && to->first <= to->end ? 0 : -EBADMSG;
}

static int find_row(struct index *x, uint64_t queue, struct row *to)
{
	size_t low = 0, high = x->pages, rows;
	const uint8_t *page;
	int err;

	if (!x->pages || queue < x->fences[0])
		return -ENOENT;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (x->fences[middle] <= queue)
			low = middle;
		else
			high = middle;
	}
	err = page_at(x, low, &page, &rows);
	if (err)
		return err;
	for (low = 0, high = rows; low < high;) {
		size_t middle = low + (high - low) / 2;
		uint64_t there = get64(page + middle * ROW);

		if (there == queue)
			return read_row(x, page + middle * ROW, to);
		if (there < queue)
			low = middle + 1;
		else
			high = middle;
	}
	return -ENOENT;
}

static const uint8_t *get_varint(const uint8_t *from, const uint8_t *end, uint64_t *v)
{
	uint64_t value = 0;

	for (unsigned shift = 0; from < end && shift < 64; shift += 7) {
		uint8_t byte = *from++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*v = value;
			return from;
		}
	}
	return NULL;
}

/* The block's COUNT entries, from the last one at or before the key on. */
static int read_block(struct look *l, const struct row *row, const uint8_t *from, size_t bytes, size_t count)
{
	struct run_batch *to = l->batch;
	const uint8_t *end = from + bytes - 8;
	struct run run;

	if (bytes < 24 || get64(end) != sum(l->index->secret, from, bytes - 8))
		return -EBADMSG;
	run = (struct run){get64(from), get64(from + 8)};
	from += 16;
	to->count = 0;
	for (size_t i = 0; i < count; i++) {
		if (i) {
			uint64_t offset, pos;

			if (!(from = get_varint(from, end, &offset)) || !(from = get_varint(from, end, &pos)))
				return -EBADMSG;
			if (offset > row->end - run.offset || pos == 0 || pos > (l->index->end - run.pos) / 8)
				return -EBADMSG;
			run.offset += offset;
			run.pos += 8 * pos;
		}
		if (run.offset < row->first || run.offset > row->end || run.pos < l->index->base || run.pos >= l->index->end)
			return -EBADMSG;
		if ((l->by_pos ? run.pos : run.offset) <= l->key)
			to->count = 0;
		to->run[to->count++] = run;
	}
	return from == end ? 0 : -EBADMSG;
}

static size_t blocks_of(const struct row *row)
{
	return (row->count + INDEX_BLOCK - 1) / INDEX_BLOCK;
}

/* The table of a queue with several blocks. */
static int read_table(struct index *x, const struct row *row, const uint8_t **table)
{
	size_t bytes = blocks_of(row) * TABLE_ROW;

	*table = x->map + row->at;
	return bytes + 8 <= row->bytes && get64(*table + bytes) == sum(x->secret, *table, bytes) ? 0 : -EBADMSG;
}

static int read_nth_block(struct look *l, const struct row *row, const uint8_t *table, size_t n)
{
	const uint8_t *at = table + n * TABLE_ROW;
	uint64_t place = get32(at + 16), bytes = get32(at + 20);
	bool last = n + 1 == blocks_of(row);

	if (place + bytes > row->bytes || bytes < 24 || memcmp(table + place, at, 16))
		return -EBADMSG;
	l->batch->until = last ? row->end : get64(at + TABLE_ROW);
	return read_block(l, row, table + place, bytes, last ? row->count - n * INDEX_BLOCK : INDEX_BLOCK);
}

static size_t block_before(const struct look *l, const struct row *row, const uint8_t *table)
{
	size_t low = 0, high = blocks_of(row);

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (get64(table + middle * TABLE_ROW + (l->by_pos ? 8 : 0)) <= l->key)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static int read_entries(struct look *l, const struct row *row)
{
	const uint8_t *table;
	int err;

	l->batch->first = row->first;
	l->batch->end = l->batch->until = row->end;
	if (row->count <= INDEX_BLOCK)
		return read_block(l, row, l->index->map + row->at, row->bytes, row->count);
	err = read_table(l->index, row, &table);
	return err ? err : read_nth_block(l, row, table, block_before(l, row, table));
}

static int look_entries(void *ctx)
{
	struct look *l = ctx;
	struct row row;
	int err = find_row(l->index, l->queue, &row);

	return err ? err : read_entries(l, &row);
}

static void tell_queue(const struct row *row, struct index_queue *to)
{
	*to = (struct index_queue){.queue = row->queue, .first = row->first, .end = row->end, .messages = row->messages};
}

static int look_queue(void *ctx)
{
	struct look *l = ctx;
	struct row row;
	int err = find_row(l->index, l->queue, &row);

	if (!err)
		tell_queue(&row, l->to);
	return err;
}

static int look_nth(void *ctx)
{
	struct look *l = ctx;
	const uint8_t *page;
	struct row row;
	size_t rows;
	int err = page_at(l->index, l->n / PAGE_ROWS, &page, &rows);

	if (!err)
		err = read_row(l->index, page + l->n % PAGE_ROWS * ROW, &row);
	if (!err)
		tell_queue(&row, l->to);
	return err;
}

static int look_page(void *ctx)
{
	struct look *l = ctx;
	const uint8_t *page;
	struct row row;
	size_t rows, from = l->n % PAGE_ROWS;
	int err = page_at(l->index, l->n / PAGE_ROWS, &page, &rows);

	for (size_t n = from; !err && n < rows; n++) {
		err = read_row(l->index, page + n * ROW, &row);
		tell_queue(&row, l->to + (n - from));
	}
	return err ? err : (int)(rows - from);
}

static int check_queue(struct look *l, const struct row *row)
{
	uint64_t offset = row->first, pos = l->index->base;
	const uint8_t *table;
	int err;

	if (row->count <= INDEX_BLOCK)
		return read_entries(l, row);
	err = read_table(l->index, row, &table);
	for (size_t n = 0; !err && n < blocks_of(row); n++) {
		err = read_nth_block(l, row, table, n);
		if (!err && (l->batch->run[0].offset < offset || l->batch->run[0].pos < pos))
			err = -EBADMSG;
		if (!err) {
			offset = l->batch->run[l->batch->count - 1].offset;
			pos = l->batch->run[l->batch->count - 1].pos + 8;
		}
	}
	return err;
}

static int check_all(void *ctx)
{
	struct look *l = ctx;
	struct index *x = l->index;
	uint64_t last = 0;

	for (size_t n = 0; n < x->queues; n++) {
		const uint8_t *page;
		struct row row;
		size_t rows;
		int err = page_at(x, n / PAGE_ROWS, &page, &rows);

		if (!err)
			err = read_row(x, page + n % PAGE_ROWS * ROW, &row);
		if (!err && n && row.queue <= last)
			err = -EBADMSG;
		if (!err)
			err = check_queue(l, &row);
		if (err)
			return err;
		last = row.queue;
	}
	return 0;
}

int index_open(struct disk *d, const uint8_t *secret, uint64_t base, struct index **index)
{
	struct index *x;
	const void *map;
	struct stat st;
	char name[40];
	int fd, err;

	segment_index_name(name, base);
	err = disk_stat(d, name, &st);
	if (err)
		return err;
	if (st.st_size < HEADER)
		return -EBADMSG;
	x = calloc(1, sizeof *x);
	if (!x)
		return -ENOMEM;
	*x = (struct index){.disk = d, .secret = secret, .base = base, .len = (size_t)st.st_size};
	fd = disk_open(d, name, O_RDONLY, 0);
	err = fd < 0 ? fd : disk_map(d, fd, x->len, &map);
	disk_close(d, fd);
	if (!err) {
		x->map = map;
		madvise((void *)map, x->len, MADV_RANDOM);   /* a look-up wants its pages, not what lies around them */
		err = disk_guard(read_header, x);
	}
	if (!err && !(x->fences = calloc(x->pages + 1, 8)))
		err = -ENOMEM;
	if (!err)
		err = disk_guard(read_fences, x);
	if (err) {
		index_close(x);
		return err;
	}
	*index = x;
	return 0;
}

void index_close(struct index *index)
{
	if (!index)
		return;
	disk_unmap(index->disk, index->map, index->len);
	free(index->fences);
	free(index);
}

uint64_t index_end(const struct index *index)
{
	return index->end;
}

int64_t index_last_time(const struct index *index)
{
	return index->last_time;
}

size_t index_queues(const struct index *index)
{
	return index->queues;
}

int index_queue_at(struct index *index, size_t n, struct index_queue *q)
{
	if (n >= index->queues)
		return -ENOENT;
	return disk_guard(look_nth, &(struct look){.index = index, .n = n, .to = q});
}

_Static_assert(INDEX_ROWS == PAGE_ROWS, "a page's rows fit");

int index_queues_from(struct index *index, size_t n, struct index_queue to[INDEX_ROWS])
{
	if (n >= index->queues)
		return 0;
	return disk_guard(look_page, &(struct look){.index = index, .n = n, .to = to});
}

int index_find(struct index *index, uint64_t queue, struct index_queue *q)
{
	return disk_guard(look_queue, &(struct look){.index = index, .queue = queue, .to = q});
}

int index_from_offset(struct index *index, uint64_t queue, uint64_t offset, struct run_batch *to)
{
	return disk_guard(look_entries, &(struct look){.index = index, .queue = queue, .key = offset, .batch = to});
}

int index_from_pos(struct index *index, uint64_t queue, uint64_t pos, struct run_batch *to)
{
	return disk_guard(look_entries, &(struct look){.index = index, .queue = queue, .key = pos, .by_pos = true, .batch = to});
}

int index_check(struct index *index)
{
	struct run_batch batch;

	return disk_guard(check_all, &(struct look){.index = index, .batch = &batch});
}
