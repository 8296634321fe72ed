/* SPDX-License-Identifier: Apache-2.0 */
#include "log_rig.h"
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>

static struct rig g;
static struct reader *reader;
static struct slice slice;

static void setup(void)
{
	rig_open(&g, 16);
	cr_assert_eq(reader_new(&reader, &g.store, &g.queue[0]), 0);
	slice_init(&slice);
}

static void teardown(void)
{
	slice_free(&slice);
	reader_free(reader);
	rig_close(&g);
}

TestSuite(reader, .init = setup, .fini = teardown);

/* The byte that belongs at OFFSET of queue N. */
static uint8_t byte_at(unsigned n, uint64_t offset)
{
	return (uint8_t)(offset * 31 + offset / 251 + n * 7);
}

/* A record of LENGTH bytes of queue N with the bytes that belong there. */
static uint64_t append(unsigned n, uint32_t length)
{
	uint8_t *body = malloc(length);
	uint64_t pos;

	for (uint32_t i = 0; i < length; i++)
		body[i] = byte_at(n, g.queue[n].appended + i);
	pos = rig_append(&g, n, body, length, 0);
	free(body);
	return pos;
}

/* All bytes of the slice are those of queue 0 from OFFSET on. */
static void right(uint64_t offset)
{
	uint64_t total = 0;

	for (int i = 0; i < slice.parts; i++) {
		const uint8_t *at = slice.part[i].iov_base;

		for (size_t k = 0; k < slice.part[i].iov_len; k++, offset++)
			if (at[k] != byte_at(0, offset))
				cr_assert_fail("wrong byte at %lu", offset);
		total += slice.part[i].iov_len;
	}
	cr_assert_eq(total, slice.bytes);
}

static ssize_t read_at(uint64_t offset, size_t max)
{
	ssize_t n;

	slice_free(&slice);
	n = reader_read(reader, offset, max, &slice);
	if (n >= 0) {
		cr_assert_eq((size_t)n, slice.bytes);
		cr_assert_leq((size_t)n, max);
		right(offset);
	}
	return n;
}

/* Reads all from OFFSET on, in reads of MAX. */
static void read_to_end(uint64_t offset, size_t max)
{
	ssize_t n;

	while ((n = read_at(offset, max)) > 0)
		offset += (uint64_t)n;
	cr_assert_eq(n, 0);
	cr_assert_eq(offset, g.queue[0].committed);
}

Test(reader, an_empty_queue_is_at_its_end)
{
	cr_assert_eq(read_at(0, 100), 0);
	append(1, 100);
	cr_assert_eq(read_at(0, 100), 0);
}

Test(reader, short_records_come_together)
{
	for (int i = 0; i < 1000; i++)
		append(0, 100);
	cr_assert_eq(read_at(0, 65536), 65536);
	cr_assert_eq(slice.parts, 1);
	cr_assert_eq(read_at(50, 10), 10);
	cr_assert_eq(read_at(99990, 100), 10);
	cr_assert_eq(read_at(100000, 100), 0);
	read_to_end(0, 4096);
}

Test(reader, long_records_come_in_place)
{
	for (int i = 0; i < 20; i++)
		append(0, 128 << 10);
	cr_assert_eq(read_at(1000, 128 << 10), 128 << 10);
	cr_assert_eq(slice.parts, 2);
	cr_assert_eq(slice.holds, 1);
	cr_assert_null(memchr(slice.part[0].iov_base, 0, 0));
	read_to_end(0, 100000);
}

Test(reader, interleaved_queues_over_many_segments_are_read_whole)
{
	for (int i = 0; i < 60000; i++)
		append((unsigned)i % 16, 100);
	cr_assert_gt(segments_count(g.store.segments), 10);
	read_to_end(0, 128 << 10);
	read_to_end(0, 777);
	read_to_end(123456, 4096);
}

Test(reader, records_of_all_sizes_are_read_whole)
{
	srand(1);
	for (int i = 0; i < 3000; i++)
		append((unsigned)rand() % 3, 1 + (uint32_t)rand() % (rand() % 20 ? 300 : 20000));
	read_to_end(0, 128 << 10);
	read_to_end(0, 100);
}

Test(reader, any_offset_is_found_from_any_other)
{
	srand(2);
	for (int i = 0; i < 20000; i++)
		append((unsigned)rand() % (i < 10000 ? 2 : 16), 100);
	for (int i = 0; i < 2000; i++)
		cr_assert_eq(read_at((uint64_t)rand() % (g.queue[0].committed - 500), 500), 500);
	for (uint64_t at = g.queue[0].committed; at >= 8192; at -= 8192)
		cr_assert_eq(read_at(at - 8192, 8192), 8192);
}

Test(reader, a_queue_that_is_in_few_segments_is_found_in_each)
{
	for (int i = 0; i < 20; i++) {
		append(0, 100);
		for (int k = 0; k < 3; k++)
			append(1, 500000);
	}
	read_to_end(0, 100);
	for (uint64_t at = 2000; at >= 100; at -= 100)
		cr_assert_eq(read_at(at - 100, 100), 100);
}

Test(reader, what_comes_later_is_read_on)
{
	uint64_t at = 0;

	for (int i = 0; i < 20000; i++) {
		append(0, 90);
		if (i % 7 == 0)
			append(1, 200);
		cr_assert_eq(read_at(at, 4096), 90);
		at += 90;
	}
}

Test(reader, what_is_not_committed_is_not_shown)
{
	append(0, 100);
	rig_write(&g, 0, "secret", 6, 0);
	cr_assert_eq(read_at(0, 4096), 100);
	cr_assert_eq(read_at(100, 4096), 0);
}

Test(reader, what_was_repaired_behind_its_back_is_read)
{
	uint64_t pos;

	append(0, 100);
	append(1, 100);
	pos = append(0, 100);
	append(1, 100);
	append(0, 100);
	rig_flip_and_find(&g, pos);
	cr_assert_eq(read_at(0, 100), 100);
	rig_flip_and_find(&g, pos);
	cr_assert_eq(read_at(100, 4096), 200);
	cr_assert_eq(g.store.damaged, 0);
}

Test(reader, a_queues_last_record_that_is_missing_is_told_at_its_place)
{
	uint64_t pos, told;

	append(0, 100);
	append(1, 100);
	pos = append(0, 100);
	rig_flip_and_find(&g, pos);
	cr_assert_eq(read_at(100, 4096), -EIO);
	cr_assert(damage_new(&g.store, 0, UINT64_MAX, &told));
	cr_assert_eq(told, pos);
}

/* The log ends at POS again, as log_cut() leaves it. */
static void cut(uint64_t pos, uint64_t chain)
{
	struct runs *kept;
	int64_t time;

	cr_assert_eq(runs_scan(g.store.disk, g.store.id.secret, g.segment->head.base, pos, &kept, &time), 0);
	runs_exchange(g.segment->runs, kept);
	runs_free(kept);
	g.pos = pos;
	g.chain = chain;
	g.queue[0].appended = g.queue[0].committed;
}

Test(reader, what_was_cut_before_it_was_committed_is_not_looked_for)
{
	uint64_t pos, chain;

	append(0, 100);
	pos = g.pos;
	chain = g.chain;
	rig_write(&g, 0, "what is cut, and replaced by what is of another length", 54, 0);
	cr_assert_eq(read_at(0, 4096), 100);
	cut(pos, chain);
	append(1, 30);
	append(0, 20);
	append(0, 100);
	cr_assert_eq(read_at(100, 4096), 120);
	cr_assert_eq(g.store.damaged, 0);
}

Test(reader, damage_before_a_cut_hides_nothing_behind_it)
{
	uint64_t pos, cut_at, chain;

	pos = append(0, 100);
	cut_at = g.pos;
	chain = g.chain;
	rig_write(&g, 0, "what is cut", 11, 0);
	cr_assert_eq(read_at(0, 4096), 100);
	cut(cut_at, chain);
	append(1, 100000);
	append(0, 100);
	rig_damage(&g, pos);
	cr_assert_eq(read_at(0, 4096), -EIO);
	cr_assert_eq(reader_behind(reader), 100);
	cr_assert_eq(read_at(100, 4096), 100);
}

Test(reader, a_segment_sealed_meanwhile_is_read_on)
{
	for (int i = 0; i < 100; i++)
		append(0, 100);
	cr_assert_eq(read_at(0, 1000), 1000);
	rig_seal(&g);
	append(0, 100);
	read_to_end(1000, 1000);
}

Test(reader, below_the_head_there_is_no_data_and_behind_it_what_is_in_no_segment_is_missing)
{
	struct segment *first;

	for (int i = 0; i < 20000; i++)
		append(0, 100);
	cr_assert_eq(read_at(0, 100), 100);
	first = segments_take_first(g.store.segments);
	segment_wait_unused(first);
	cr_assert_eq(read_at(0, 100), -EIO);
	g.queue[0].head = 100;
	cr_assert_eq(read_at(0, 100), -ENODATA);
	cr_assert_eq(read_at(g.queue[0].committed - 100, 100), 100);
	cr_assert_eq(read_at(0, 100), -ENODATA);
	cr_assert_eq(read_at(100, 100), -EIO);
}

Test(reader, of_a_removed_topic_what_has_gone_is_below_the_head)
{
	struct segment *first;

	append(0, 100);
	for (int i = 0; i < 30000; i++)
		append(1, 100);
	append(0, 100);
	cr_assert_eq(read_at(0, 100), 100);
	g.topic.removed = true;
	first = segments_take_first(g.store.segments);
	segment_wait_unused(first);
	cr_assert_eq(read_at(0, 100), -ENODATA);
	cr_assert_eq(g.queue[0].head, 100);
	cr_assert_eq(read_at(100, 100), 100);
	cr_assert_eq(g.store.damaged, 0);
}

Test(reader, a_damaged_body_hides_its_own_bytes_only)
{
	uint64_t pos = 0;

	for (int i = 0; i < 100; i++) {
		uint64_t at = append(0, 100);

		if (i == 50)
			pos = at;
	}
	rig_damage(&g, pos + RECORD_HEADER + 7);
	cr_assert_eq(read_at(0, 10000), 5000);
	cr_assert_eq(g.store.damaged, 0);
	cr_assert_eq(read_at(5000, 10000), -EIO);
	cr_assert_eq(reader_behind(reader), 5100);
	cr_assert_eq(read_at(5099, 1), -EIO);
	cr_assert_gt(g.store.damaged, 0);
	cr_assert_eq(read_at(5100, 10000), 4900);
	cr_assert_eq(read_at(4999, 1), 1);
}

Test(reader, a_damaged_header_hides_one_record)
{
	uint64_t pos = 0;

	for (int i = 0; i < 100; i++) {
		uint64_t at = append(0, 100);

		if (i == 50)
			pos = at;
	}
	rig_damage(&g, pos + 8);
	cr_assert_eq(read_at(0, 10000), 5000);
	cr_assert_eq(read_at(5000, 10000), -EIO);
	cr_assert_eq(reader_behind(reader), 5100);
	cr_assert_eq(read_at(5100, 10000), 4900);
	rig_seal(&g);
	cr_assert_eq(read_at(5050, 10000), -EIO);
	cr_assert_eq(read_at(5150, 10000), 4850);
}

Test(reader, a_damaged_header_between_other_queues_hides_one_record)
{
	uint64_t pos = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t at = append((unsigned)i % 4, 100);

		if (i == 400)
			pos = at;
	}
	rig_damage(&g, pos);
	cr_assert_eq(read_at(0, 100000), 10000);
	cr_assert_eq(read_at(10000, 100000), -EIO);
	cr_assert_eq(reader_behind(reader), 10100);
	cr_assert_eq(read_at(10100, 100000), 14900);
}

Test(reader, a_damaged_last_record_ends_at_the_committed_end)
{
	uint64_t pos;

	append(0, 100);
	pos = append(0, 100);
	rig_damage(&g, pos);
	cr_assert_eq(read_at(150, 100), -EIO);
	cr_assert_eq(reader_behind(reader), 200);
}

Test(reader, a_bit_flipped_anywhere_shows_no_wrong_byte)
{
	uint64_t end;

	for (int i = 0; i < 8; i++)
		append((unsigned)i % 2, 120);
	end = g.pos;
	for (uint64_t pos = 0; pos < end; pos++) {
		struct reader *fresh;

		rig_damage(&g, pos);
		cr_assert_eq(reader_new(&fresh, &g.store, &g.queue[0]), 0);
		for (uint64_t at = 0; at < g.queue[0].committed;) {
			ssize_t n;

			slice_free(&slice);
			n = reader_read(fresh, at, 1000, &slice);
			cr_assert(n > 0 || n == -EIO);
			if (n > 0)
				right(at);
			cr_assert(n > 0 || reader_behind(fresh) > at);
			at = n > 0 ? at + (uint64_t)n : reader_behind(fresh);
		}
		reader_free(fresh);
		rig_damage(&g, pos);
	}
}

Test(reader, a_missing_index_costs_time_only)
{
	char command[160];

	for (int i = 0; i < 60000; i++)
		append((unsigned)i % 16, 100);
	snprintf(command, sizeof command, "rm %s/log/*.index", g.directory);
	cr_assert_eq(system(command), 0);
	read_to_end(0, 128 << 10);
	cr_assert_eq(g.store.damaged, 0);
}

Test(reader, a_damaged_index_costs_time_only)
{
	char command[256];

	for (int i = 0; i < 60000; i++)
		append((unsigned)i % 16, 100);
	snprintf(command, sizeof command, "for f in %s/log/*.index; do printf XXXX | dd of=$f bs=1 seek=8500 conv=notrunc status=none; done", g.directory);
	cr_assert_eq(system(command), 0);
	for (unsigned n = 0; n < 16; n++) {
		struct reader *r;
		uint64_t at = 0;
		ssize_t got;

		cr_assert_eq(reader_new(&r, &g.store, &g.queue[n]), 0);
		slice_free(&slice);
		while ((got = reader_read(r, at, 65536, &slice)) > 0) {
			at += (uint64_t)got;
			slice_free(&slice);
		}
		cr_assert_eq(got, 0);
		cr_assert_eq(at, g.queue[n].committed);
		reader_free(r);
	}
	cr_assert_gt(g.store.damaged, 0);
	read_to_end(0, 128 << 10);
}

static struct disk_ops unread;

static int opens_nothing(struct disk *d, const char *path, int flags, mode_t mode)
{
	(void)d, (void)path, (void)flags, (void)mode;
	return -EIO;
}

static int maps_nothing(struct disk *d, int fd, size_t len, const void **at)
{
	(void)d, (void)fd, (void)len, (void)at;
	return -EMFILE;
}

/* The error of a read of a new reader at OFFSET, behind which it knows nothing to go on. */
static int reads_and_stays(uint64_t offset)
{
	struct record record;
	struct reader *r;
	int err;

	cr_assert_eq(reader_new(&r, &g.store, &g.queue[0]), 0);
	err = reader_record(r, offset, &record);
	cr_assert_eq(reader_behind(r), offset);
	reader_free(r);
	return err;
}

Test(reader, what_could_not_be_looked_up_is_not_passed_over)
{
	mallopt(M_PERTURB, 1);                 /* what nobody has set is far behind everything */
	for (int i = 0; i < 20000; i++)
		append(0, 100);
	unread = *g.store.disk->ops;
	unread.open = opens_nothing;
	g.store.disk->ops = &unread;
	cr_assert_eq(reads_and_stays(0), -EIO);
	cr_assert_eq(reads_and_stays(300000), -EIO);
}

Test(reader, what_cannot_be_mapped_for_now_is_not_damaged)
{
	const struct disk_ops *sound = g.store.disk->ops;

	for (int i = 0; i < 20000; i++)
		append(0, 100);
	unread = *sound;
	unread.map = maps_nothing;
	g.store.disk->ops = &unread;
	cr_assert_eq(reads_and_stays(300000), -EMFILE);
	cr_assert_eq(read_at(300000, 100), -EMFILE);
	cr_assert_eq(g.store.damaged, 0);
	g.store.disk->ops = sound;
	read_to_end(0, 100000);
}

Test(reader, a_cut_segment_file_is_an_error_and_no_crash)
{
	char name[128];

	for (int i = 0; i < 200; i++)
		append(0, 4000);
	snprintf(name, sizeof name, "%s/log/0000000000000000", g.directory);
	cr_assert_eq(read_at(0, 4000), 4000);
	cr_assert_eq(truncate(name, 200000), 0);
	cr_assert_eq(read_at(400000, 4000), -EIO);
	cr_assert_eq(read_at(4000, 4000), 4000);
}

/* A disk that reads nothing of the file from CUT on, until what was read of it is forgotten. */
static struct {
	struct disk_ops ops;
	char name[128];
	uint8_t *whole;
	size_t len;
	int forgotten;
} failing;

static int mended(struct disk *d, int fd)
{
	int out = open(failing.name, O_WRONLY);

	(void)d;
	(void)fd;
	failing.forgotten++;
	cr_assert_eq(pwrite(out, failing.whole, failing.len, 0), (ssize_t)failing.len);
	close(out);
	return 0;
}

static void fail_from(size_t cut)
{
	struct stat st;
	int in;

	snprintf(failing.name, sizeof failing.name, "%s/log/0000000000000000", g.directory);
	in = open(failing.name, O_RDONLY);
	cr_assert_eq(fstat(in, &st), 0);
	failing.len = (size_t)st.st_size;
	failing.whole = malloc(failing.len);
	cr_assert_eq(pread(in, failing.whole, failing.len, 0), st.st_size);
	close(in);
	failing.ops = *g.store.disk->ops;
	failing.ops.forget = mended;
	g.store.disk->ops = &failing.ops;
	failing.forgotten = 0;
	cr_assert_eq(truncate(failing.name, (off_t)cut), 0);
}

Test(reader, what_a_large_piece_could_not_be_read_for_is_read_in_small_ones)
{
	for (int i = 0; i < 200; i++)
		append(0, 4000);
	/* Its end first, so that all of it is mapped. */
	cr_assert_eq(read_at(796000, 4000), 4000);
	fail_from(200000);
	read_to_end(0, 50000);
	cr_assert_eq(g.store.damaged, 0);
	cr_assert_eq(failing.forgotten, 1);
	/* What the disk cannot give in small pieces either is damaged. */
	cr_assert_eq(truncate(failing.name, 200000), 0);
	cr_assert_eq(read_at(400000, 4000), -EIO);
	cr_assert_eq(failing.forgotten, 1);
	cr_assert_eq(g.store.damaged, 1);
	free(failing.whole);
}

/* As who reads in order does, over what is at hand: nothing of it may hold a segment. */
Test(reader, what_is_read_ahead_is_copied)
{
	for (int i = 0; i < 60; i++)
		append(0, i % 3 ? 100 : 100000);
	slice_free(&slice);
	cr_assert_eq(reader_ahead(reader, 50, 1 << 20, false, &slice), 1 << 20);
	right(50);
	cr_assert_eq(slice.holds, 0);
	cr_assert_eq(slice.parts, 1);
}

Test(reader, a_long_record_is_verified_once)
{
	uint64_t pos;

	rig_seal(&g);
	pos = append(0, 500000);
	cr_assert_eq(read_at(0, 131072), 131072);
	rig_damage(&g, pos + RECORD_HEADER + 499999);
	cr_assert_eq(read_at(131072, 131072), 131072);
	append(0, 10);
	cr_assert_eq(read_at(500000, 10), 10);
	cr_assert_eq(read_at(0, 10), -EIO);
}

Test(reader, one_record_at_a_time)
{
	append(0, 100);
	append(0, 100);
	cr_assert_eq(reader_read_record(reader, 0, 1000, &slice), 100);
	right(0);
	slice_free(&slice);
	cr_assert_eq(reader_read_record(reader, 150, 1000, &slice), 50);
	right(150);
	slice_free(&slice);
	cr_assert_eq(reader_read_record(reader, 150, 20, &slice), 20);
	slice_free(&slice);
	cr_assert_eq(reader_read_record(reader, 200, 20, &slice), 0);
}

/* Messages of framing=write have their ends, whatever the topic's framing is when they are read. */
Test(reader, what_was_written_as_one_message_comes_alone)
{
	for (int i = 0; i < 6; i++) {
		append(0, 100);
		if (i % 3 == 2)
			rig_append(&g, 0, "message", 7, RECORD_WRITE);
	}
	slice_free(&slice);
	cr_assert_eq(reader_read_messages(reader, 0, 4096, &slice), 300);
	slice_free(&slice);
	cr_assert_eq(reader_read_messages(reader, 300, 4096, &slice), 7);
	slice_free(&slice);
	cr_assert_eq(reader_read_messages(reader, 302, 4096, &slice), 5);
	slice_free(&slice);
	cr_assert_eq(reader_read_messages(reader, 307, 4096, &slice), 300);
	slice_free(&slice);
	cr_assert_eq(reader_ahead(reader, 250, 4096, true, &slice), 50);
	slice_free(&slice);
	cr_assert_eq(reader_ahead(reader, 0, 4096, false, &slice), 614);
}

Test(reader, a_record_can_be_had_whole)
{
	struct record rec;

	append(0, 100);
	append(0, 5000);
	cr_assert_eq(reader_record(reader, 300, &rec), 0);
	cr_assert_eq(rec.offset, 100);
	cr_assert_eq(rec.length, 5000);
	cr_assert_eq(reader_load(reader, 300, &rec, &slice), 0);
	cr_assert_eq(slice.bytes, 5000);
	right(100);
	cr_assert_eq(reader_record(reader, 5100, &rec), -ENOENT);
}

Test(reader, a_slice_full_of_parts_is_a_short_read)
{
	for (int i = 0; i < 200; i++)
		append(0, 4096);
	cr_assert_eq(read_at(0, 200 * 4096), SLICE_PARTS * 4096);
	read_to_end(0, 200 * 4096);
}

/* For who takes a short answer for the end. */
Test(reader, a_whole_read_is_all_that_is_there_or_an_error)
{
	uint64_t end = 0, pos;

	for (int i = 0; i < 200; i++) {
		append(0, 4100);
		append(0, 30);
		end += 4130;
	}
	slice_free(&slice);
	cr_assert_eq(reader_read_whole(reader, 4000, end, &slice), (ssize_t)(end - 4000));
	cr_assert_eq(slice.parts, 1);
	right(4000);
	slice_free(&slice);
	cr_assert_eq(reader_read_whole(reader, end, 100, &slice), 0);
	pos = append(0, 100);
	append(0, 100);
	rig_damage(&g, pos + RECORD_HEADER + 7);
	cr_assert_eq(reader_read_whole(reader, end - 4096, 4096, &slice), 4096);
	slice_free(&slice);
	cr_assert_eq(reader_read_whole(reader, end - 4096, 4097, &slice), -EIO);
	cr_assert_gt(g.store.damaged, 0);
	slice_free(&slice);
	cr_assert_eq(reader_read_whole(reader, end + 100, 4096, &slice), 100);
}
