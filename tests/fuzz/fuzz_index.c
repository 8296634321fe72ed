/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index files: what is written from runs answers as the runs do; and whatever stands in one with right checksums, no answer lies
 * outside the segment or out of order.
 */
#include "bytes.h"
#include "fuzz.h"
#include "index.h"
#include "index_format.h"
#include "memory_disk.h"
#include "segment.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BASE 4096u
#define RECORDS 3000u

/* ---- the sums made right, wherever the parts are by what is in the file ---- */

static void seal_block(uint8_t *at, uint64_t bytes)
{
	if (bytes >= 8)
		put64(at + bytes - 8, sum(fuzz_secret, at, bytes - 8));
}

static void seal_entries(uint8_t *at, uint64_t bytes, uint64_t count)
{
	uint64_t blocks = (count + INDEX_BLOCK - 1) / INDEX_BLOCK, table = blocks * TABLE_ROW;

	if (count <= INDEX_BLOCK) {
		seal_block(at, bytes);
		return;
	}
	if (table + 8 > bytes)
		return;
	for (uint64_t n = 0; n < blocks; n++) {
		uint64_t place = get32(at + n * TABLE_ROW + 16), length = get32(at + n * TABLE_ROW + 20);

		if (place + length <= bytes && place >= table + 8)
			seal_block(at + place, length);
	}
	put64(at + table, sum(fuzz_secret, at, table));
}

static void seal_page(uint8_t *file, size_t len, uint8_t *page, size_t rows)
{
	for (size_t n = 0; n < rows; n++) {
		uint64_t at = get64(page + n * ROW + 32), bytes = get32(page + n * ROW + 44);

		if (at <= len && bytes <= len - at)
			seal_entries(file + at, bytes, get32(page + n * ROW + 40));
	}
	put64(page + PAGE_SUM, sum(fuzz_secret, page, PAGE_SUM));
}

static void seal(uint8_t *file, size_t len)
{
	uint64_t queues, pages, directory;

	if (len < HEADER)
		return;
	put64(file + 56, sum(fuzz_secret, file, 56));
	queues = get64(file + 40);
	pages = queues < len ? (queues + PAGE_ROWS - 1) / PAGE_ROWS : 0;
	directory = directory_at(pages);
	if (directory > len || pages * PAGE > len - directory)
		return;
	put64(file + HEADER + 8 * pages, sum(fuzz_secret, file + HEADER, 8 * pages));
	for (uint64_t n = 0; n < pages; n++)
		seal_page(file, len, file + directory + n * PAGE, n + 1 < pages ? PAGE_ROWS : queues - n * PAGE_ROWS);
}

/* ---- what must hold of every answer ---- */

static void plausible(const struct index *x, const struct run_batch *b, uint64_t key, bool by_pos)
{
	must(b->count >= 1 && b->count <= RUN_BATCH);
	must(b->first <= b->end);
	for (size_t i = 0; i < b->count; i++) {
		must(b->run[i].offset >= b->first && b->run[i].offset <= b->end);
		must(b->run[i].pos >= BASE && b->run[i].pos < index_end(x));
		must(i == 0 || b->run[i].offset >= b->run[i - 1].offset);
		must(i == 0 || b->run[i].pos > b->run[i - 1].pos);
		must(i == 0 || (by_pos ? b->run[i].pos : b->run[i].offset) > key);
	}
}

static void ask(struct index *x, uint64_t queue, uint64_t key)
{
	struct run_batch batch;
	struct index_queue q;
	int err = index_find(x, queue, &q);

	must(err == 0 || err == -ENOENT || err == -EBADMSG);
	if (!err)
		must(q.queue == queue && q.first <= q.end);
	err = index_from_offset(x, queue, key, &batch);
	must(err == 0 || err == -ENOENT || err == -EBADMSG);
	if (!err)
		plausible(x, &batch, key, false);
	err = index_from_pos(x, queue, key, &batch);
	must(err == 0 || err == -ENOENT || err == -EBADMSG);
	if (!err)
		plausible(x, &batch, key, true);
}

/* What the check finds right is found by its id. */
static void ask_all(struct index *x, struct input *in)
{
	bool right = index_check(x) == 0;
	struct index_queue q, same, rows[INDEX_ROWS];

	for (size_t n = 0; n < index_queues(x) && n < 200; n++) {
		int err = index_queue_at(x, n, &q);

		must(!right || err == 0);
		if (!err && right)
			must(index_find(x, q.queue, &same) == 0 && same.first == q.first && same.end == q.end && same.messages == q.messages);
		if (!err)
			must(index_queues_from(x, n, rows) > 0 ? rows[0].queue == q.queue && rows[0].end == q.end : !right);
		if (!err)
			ask(x, q.queue, q.first + take_byte(in));
	}
	must(index_queue_at(x, index_queues(x), &q) == -ENOENT);
	while (in->len > 0)
		ask(x, take_byte(in), take_number(in, take_byte(in) % 9));
}

static void read_it(struct disk *d, struct input *in)
{
	struct index *x;
	int err = index_open(d, fuzz_secret, BASE, &x);

	must(err == 0 || err == -EBADMSG);
	if (err)
		return;
	ask_all(x, in);
	index_close(x);
}

/* ---- an index of runs ---- */

struct built {
	struct runs *runs;
	uint64_t end;                    /* log position */
	uint64_t queue[256];             /* queue offset of each queue's end; they are numbered by bytes */
	unsigned queues;
};

/* Queues take turns as the input says, or all of them in a row. */
static void build(struct built *b, struct input *in)
{
	unsigned records = take_byte(in) * (take_byte(in) % 16 ? 1u : 12u), spread = take_byte(in) % 4 ? take_byte(in) % 8 + 1u : 256;

	must(runs_new(&b->runs) == 0);
	b->end = BASE;
	for (unsigned n = 0; n < records && n < RECORDS; n++) {
		uint8_t step = take_byte(in);
		unsigned queue = (in->len ? step : n) % spread;
		uint32_t length = in->len ? (uint32_t)step << (step % 3 * 4) : 5;
		struct run_queue *cache = NULL;

		if (step == 255)
			b->end += RUN_SPAN;      /* a damaged stretch */
		if (step % 16 == 15)
			b->queue[queue] += step; /* and what of the queue was in it */
		must(runs_add(b->runs, &cache, queue, b->queue[queue], b->end, length, 1) == 0);
		b->queue[queue] += length;
		b->end += (RECORD_HEADER + length + 7u) & ~7u;
	}
}

static void same_answer(const struct run_batch *x, const struct run_batch *r)
{
	size_t n = x->count < r->count ? x->count : r->count;

	must(x->first == r->first && x->end == r->end && x->count <= r->count);
	must(memcmp(x->run, r->run, n * sizeof *x->run) == 0);
	if (x->count < r->count)
		must(x->until == r->run[x->count].offset);
	else
		must(x->until == r->until);
}

static void compare(struct index *x, struct built *b, struct input in)
{
	struct run_batch from_index, from_runs;

	must(index_check(x) == 0 && index_end(x) == b->end && index_last_time(x) == 77);
	for (unsigned n = 0; in.len > 0 && n < 64; n++) {
		uint64_t queue = take_byte(&in), key = take_number(&in, 3);
		bool there = runs_from_offset(b->runs, queue, key, &from_runs);

		must(index_from_offset(x, queue, key, &from_index) == (there ? 0 : -ENOENT));
		if (there)
			same_answer(&from_index, &from_runs);
		must(runs_from_pos(b->runs, queue, key, &from_runs) == there);
		must(index_from_pos(x, queue, key, &from_index) == (there ? 0 : -ENOENT));
		if (there)
			same_answer(&from_index, &from_runs);
	}
}

int fuzz(const uint8_t *bytes, size_t len)
{
	static struct built b;
	struct input in = {bytes, len};
	uint8_t kind = take_byte(&in), changes = take_byte(&in) % 8;
	struct input changed = {bytes, len < 64 ? len : 64}, all = in;
	struct disk *d = memory_disk_new();
	struct index *x;
	uint8_t *file;
	char name[40];

	segment_index_name(name, BASE);
	if (kind % 8 == 7) {
		memory_disk_put(d, name, in.at, in.len);
	} else {
		memset(&b, 0, sizeof b);
		build(&b, &in);
		must(index_write(d, fuzz_secret, BASE, b.end, 77, b.runs) == 0);
		must(index_open(d, fuzz_secret, BASE, &x) == 0);
		compare(x, &b, all);
		index_close(x);
		runs_free(b.runs);
	}
	file = memory_disk_get(d, name, &len);
	/* places near the beginning of a part, where lengths and places stand */
	for (; changes > 0 && len > 0; changes--) {
		size_t at = take_number(&changed, 1) % 2 ? take_number(&changed, 1) : take_number(&changed, 1) % 2 ?
			PAGE * take_number(&changed, 1) % 4 + take_number(&changed, 1) : take_number(&changed, 3);

		file[at % len] = take_byte(&changed);
	}
	if (kind % 8 != 6)
		seal(file, len);
	read_it(d, &all);
	disk_free(d);
	return 0;
}
