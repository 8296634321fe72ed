/* SPDX-License-Identifier: Apache-2.0 */
/* What a start makes of the files that it finds: what is acknowledged is there, wherever the process was killed; rot is told from a torn tail. */
#include "index.h"
#include "keeper.h"
#include "recover_rig.h"
#include "runs.h"
#include "scan.h"
#include "seal.h"
#include "spans.h"
#include <inttypes.h>
#include <stdlib.h>

TestSuite(recover, .init = begin, .fini = rig_end);

Test(recover, what_was_committed_is_there_after_a_kill)
{
	killed_after(three_lines);
	open_store();
	expect("orders", "one\ntwo\nthree\n");
}

static void one_uncommitted(void)
{
	struct topic *t;

	open_store();
	t = make_topic("orders");
	cr_assert_eq(append(t, "one\n", 4, false), 0);
	topic_put(t);
}

Test(recover, what_write_has_returned_for_is_there_after_a_kill)
{
	killed_after(one_uncommitted);
	open_store();
	expect("orders", "one\n");
}

Test(recover, a_clean_stop_leaves_nothing_to_replay)
{
	struct store_status st;

	three_lines();
	close_store();
	open_store();
	store_status(store, &st);
	cr_assert_eq(st.recovered_bytes, 0);
	expect("orders", "one\ntwo\nthree\n");
}

Test(recover, many_segments_are_replayed_from_the_newest_checkpoint_only)
{
	static char got[BIG_LINES * BIG + 1];
	struct store_status st;

	killed_after(big_lines);
	open_store();
	store_status(store, &st);
	cr_assert_geq(st.segments, 11);
	cr_assert_lt(st.recovered_bytes, 8 * MiB);
	cr_assert_eq(read_all("orders", got, sizeof got), BIG_LINES * BIG);
	for (int i = 0; i < BIG_LINES; i++) {
		cr_assert_eq(got[i * BIG], 'a' + i % 26);
		cr_assert_eq(got[i * BIG + BIG - 2], 'a' + i % 26);
		cr_assert_eq(got[i * BIG + BIG - 1], '\n');
	}
}

Test(recover, damaged_checkpoints_do_not_matter_while_the_log_is_whole)
{
	char command[256];

	three_lines();
	close_store();
	snprintf(command, sizeof command, "for f in %s/checkpoint/*; do printf X | dd of=$f bs=1 seek=20 conv=notrunc status=none; done", scratch_path);
	cr_assert_eq(system(command), 0);
	open_store();
	expect("orders", "one\ntwo\nthree\n");
}

/* What a read of the topic "orders" from OFFSET on returns. */
static ssize_t read_from(uint64_t offset)
{
	struct topic *t = topic_find(store, "orders");
	struct reader *r;
	struct slice s;
	ssize_t n;

	slice_init(&s);
	cr_assert_eq(reader_new(&r, store, topic_queue(t, 0)), 0);
	n = reader_read(r, offset, 100, &s);
	slice_free(&s);
	reader_free(r);
	topic_put(t);
	return n;
}

static void many_lines(void)
{
	struct topic *t;
	char line[32];

	open_store();
	t = make_topic("orders");
	for (int i = 0; i < 10; i++) {
		int n = snprintf(line, sizeof line, "line %d\n", i);
		cr_assert_eq(append(t, line, (size_t)n, true), 0);
	}
	topic_put(t);
}

/* Where the body "line N" stands in the first segment's file. */
static off_t find_line(int fd, int n)
{
	static char all[2 * MiB];
	ssize_t len = pread(fd, all, sizeof all, 0);
	char line[32];
	char *at;

	snprintf(line, sizeof line, "line %d\n", n);
	at = memmem(all, (size_t)len, line, strlen(line));
	cr_assert_not_null(at);
	return at - all;
}

Test(recover, a_rotten_body_costs_only_its_own_bytes)
{
	static char got[4096];
	int fd;

	killed_after(many_lines);
	fd = open_segment(0);
	cr_assert_eq(pwrite(fd, "X", 1, find_line(fd, 3)), 1);
	close(fd);
	open_store();
	cr_assert(strstr(said, "damage"));
	cr_assert_eq(read_from(0), 21);
	cr_assert_eq(read_from(21), -EIO);
	cr_assert_eq(read_from(28), 42);
	cr_assert_eq(read_all("orders", got, sizeof got), -EIO);
}

Test(recover, a_rotten_header_does_not_cut_what_stands_behind_it)
{
	int fd;

	killed_after(many_lines);
	fd = open_segment(0);
	cr_assert_eq(pwrite(fd, "X", 1, find_line(fd, 3) - 50), 1);
	close(fd);
	open_store();
	cr_assert_eq(count_lost(), 0);
	cr_assert_eq(read_from(21), -EIO);
	cr_assert_eq(read_from(28), 42);
}

static void many_segments(void)
{
	static char big[BIG];
	struct topic *t;

	open_store();
	t = make_topic("orders");
	for (int i = 0; i < BIG_LINES; i++)
		cr_assert_eq(append(t, big, BIG, true), 0);
	topic_put(t);
}

/* The bases of the log's segments, in order; returns how many. */
static size_t bases(uint64_t *to, size_t max)
{
	struct segment *g;
	size_t n = 0;

	for (g = segments_first(store->segments); g; g = segment_next(g)) {
		cr_assert_lt(n, max);
		to[n++] = g->head.base;
	}
	return n;
}

static int64_t last_time(uint64_t base)
{
	struct index *index;
	int64_t ns;

	cr_assert_eq(index_open(&scratch.disk, store->id.secret, base, &index), 0);
	ns = index_last_time(index);
	index_close(index);
	return ns;
}

/* Halving the log's length for a time comes to the segment of its middle first. */
Test(recover, a_rotten_segment_header_tells_no_time)
{
	uint64_t base[2 * BIG_LINES], pos;
	size_t count, middle = 0;
	struct segment *second;
	char index[40];
	int64_t ns;
	int fd;

	options.checkpoint_every = (uint64_t)1 << 40;
	killed_after(many_segments);
	options.read_only = true;
	open_store();
	count = bases(base, 2 * BIG_LINES);
	close_store();
	options.read_only = false;
	while (base[middle + 1] <= (base[count - 1] + 1) / 2)
		middle++;
	fd = open_segment(base[middle]);
	cr_assert_eq(pwrite(fd, "X", 1, 50), 1);
	close(fd);
	segment_index_name(index, base[middle - 1]);
	disk_unlink(&scratch.disk, index);             /* so that the start seals that segment */
	open_store();
	second = segments_find(store->segments, base[1]);
	cr_assert_eq(segment_time(second, &ns), 0);
	segment_put(second);
	cr_assert_eq(log_pos_at_time(store, ns + 1, &pos), 0);
	cr_assert_leq(pos, base[2]);
	keeper_stop(store->keeper);
	cr_assert_eq(seal_committed(store), 0);
	cr_assert_gt(last_time(base[middle - 1]), last_time(base[middle - 2]));
}

/* As an append leaves it whose predecessor did not reach the disk: the record of line 9 once more, a hole behind END. */
static void write_behind_a_hole(int fd, uint64_t end, const uint8_t *secret)
{
	uint8_t bytes[RECORD_HEADER + 8];
	struct record r;
	off_t at = find_line(fd, 9) - (off_t)RECORD_HEADER;

	cr_assert_eq(pread(fd, bytes, sizeof bytes, at), (ssize_t)sizeof bytes);
	cr_assert_eq(record_decode(&r, secret, bytes, (uint64_t)at - SEGMENT_HEADER), 0);
	r.pos = end + 256;
	r.offset += 100;
	r.committed = end;
	r.prev++;
	record_encode(&r, secret, bytes);
	cr_assert_eq(pwrite(fd, bytes, sizeof bytes, (off_t)(SEGMENT_HEADER + r.pos)), (ssize_t)sizeof bytes);
}

static void a_line_more(void)
{
	struct topic *t;

	open_store();
	t = topic_find(store, "orders");
	cr_assert_eq(append(t, "line 10\n", 8, true), 0);
	topic_put(t);
}

/* Where the log ends, and the secret with which records and indexes of it can be made. */
static uint64_t close_to_forge(uint8_t secret[RECORD_SECRET])
{
	uint64_t end = store->applied;

	memcpy(secret, store->id.secret, RECORD_SECRET);
	close_store();
	return end;
}

Test(recover, rot_just_before_the_torn_tail_does_not_hide_where_that_begins)
{
	uint8_t secret[RECORD_SECRET];
	uint64_t end;
	int fd;

	many_lines();
	end = close_to_forge(secret);
	fd = open_segment(0);
	write_behind_a_hole(fd, end, secret);
	cr_assert_eq(pwrite(fd, "X", 1, find_line(fd, 9) - 50), 1);
	close(fd);
	a_line_more();
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(count_lost(), 1);
		cr_assert_eq(read_from(63), -EIO);
		cr_assert_eq(read_from(70), 8);
		close_store();
		open_store();
	}
}

/* As it is found when the name of the segment behind it is gone. */
static void index_first(const uint8_t *secret, uint64_t end)
{
	struct runs *runs;
	int64_t time;

	cr_assert_eq(runs_scan(&scratch.disk, secret, 0, end, &runs, &time), 0);
	cr_assert_eq(index_write(&scratch.disk, secret, 0, end, time, runs), 0);
	runs_free(runs);
}

/* Only what is committed is sealed: nothing before the end is torn, whatever else there is to tell how far it was committed. */
Test(recover, rot_at_the_end_of_a_sealed_segment_is_no_torn_tail)
{
	uint8_t secret[RECORD_SECRET];
	char command[300];
	uint64_t end;
	int fd;

	many_lines();
	end = close_to_forge(secret);
	index_first(secret, end);
	snprintf(command, sizeof command, "rm -f %s/checkpoint/*", scratch_path);
	cr_assert_eq(system(command), 0);
	fd = open_segment(0);
	cr_assert_eq(pwrite(fd, "X", 1, find_line(fd, 9)), 1);
	close(fd);
	a_line_more();
	cr_assert_eq(count_lost(), 0);
	cr_assert_eq(read_from(63), -EIO);
	cr_assert_eq(read_from(70), 8);
}

/* As a power cut leaves it that takes a segment's name and not those of its neighbours: the one before it has its index already. */
Test(recover, a_segment_that_goes_on_has_no_index)
{
	static char got[4096];
	struct segment_head h = {.base = 3 * MiB};
	uint8_t secret[RECORD_SECRET];
	uint64_t end;
	int fd;

	many_lines();
	h.cluster = store->id.cluster;
	end = close_to_forge(secret);
	index_first(secret, end);
	fd = disk_open(&scratch.disk, "log/0000000000300000", O_RDWR | O_CREAT, 0600);
	cr_assert_eq(segment_head_write(&scratch.disk, fd, &h, secret), 0);
	disk_close(&scratch.disk, fd);
	killed_after(a_line_more);
	open_store();
	cr_assert_eq(read_all("orders", got, sizeof got), 78);
	cr_assert_eq(memcmp(got + 70, "line 10\n", 8), 0);
}

/* As a copy of the store may be. */
static void make_holes(uint64_t end)
{
	int fd = disk_open(&scratch.disk, "log/0000000000000000", O_RDWR, 0);

	cr_assert_eq(disk_truncate(&scratch.disk, fd, SEGMENT_HEADER + end), 0);
	cr_assert_eq(disk_truncate(&scratch.disk, fd, SEGMENT_HEADER + MiB), 0);
	disk_close(&scratch.disk, fd);
}

static int append_on_a_full_disk(void)
{
	char why[STORE_WHY];
	struct topic *t;
	int err;

	scratch.kinds = 1u << CALL_ALLOCATE;
	scratch.error = -ENOSPC;
	scratch.stays = true;
	scratch.fail_any = 1;
	cr_assert_eq(store_open_disk(&store, &scratch.disk, scratch_path, &options, why), 0, "%s", why);
	t = topic_find(store, "orders");
	err = append(t, "more\n", 5, true);
	topic_put(t);
	return err;
}

/* In a hole the record would be given a place first, and then find no room: for good. */
Test(recover, a_segment_with_holes_has_no_room_on_a_full_disk)
{
	struct topic *t;
	uint64_t end;

	three_lines();
	end = log_end(store->log);
	close_store();
	cr_assert_eq(append_on_a_full_disk(), 0, "it is allocated");
	close_store();
	scratch.fail_any = 0;
	scratch.stays = false;
	make_holes(end + 4096);
	cr_assert_eq(append_on_a_full_disk(), -ENOSPC);
	scratch.fail_any = 0;
	scratch.stays = false;
	t = topic_find(store, "orders");
	cr_assert_eq(append(t, "more\n", 5, true), 0);
	topic_put(t);
}

static const struct disk_ops *whole;     /* the scratch disk's own */

static int allocate_half(struct disk *d, int fd, uint64_t len)
{
	int err = whole->allocate(d, fd, len / 2);

	return err ? err : -ENOSPC;
}

/* As ext4 does on a disk that is nearly full. */
Test(recover, what_a_segment_gets_of_a_size_that_it_cannot_have_goes_back)
{
	static struct disk_ops ops;
	char why[STORE_WHY];
	struct stat st;

	three_lines();
	close_store();
	options.segment_size = 8 * MiB;
	whole = scratch.disk.ops;
	ops = *whole;
	ops.allocate = allocate_half;
	scratch.disk.ops = &ops;
	cr_assert_eq(store_open_disk(&store, &scratch.disk, scratch_path, &options, why), 0, "%s", why);
	cr_assert_eq(disk_stat(&scratch.disk, "log/0000000000000000", &st), 0);
	cr_assert_eq(st.st_size, SEGMENT_HEADER + MiB);
	cr_assert_leq(st.st_blocks, (SEGMENT_HEADER + MiB) / 512 + 64);
	expect("orders", "one\ntwo\nthree\n");
	close_store();
	scratch.disk.ops = whole;
}

/* A segment of lines, and the first one of the next. */
static void sealed_segment(void)
{
	static char big[BIG];
	struct topic *t;

	open_store();
	keeper_stop(store->keeper);
	t = make_topic("orders");
	memset(big, 'x', BIG - 1);
	big[BIG - 1] = '\n';
	do
		cr_assert_eq(append(t, big, BIG, true), 0);
	while (segments_count(store->segments) < 2);
	cr_assert_eq(seal_committed(store), 0);
}

/* All that shows how far the log went is the seal of a segment whose last record is damaged. */
Test(recover, a_position_is_not_given_again_although_its_record_is_damaged)
{
	uint64_t *base, end, last;
	char path[128];
	struct disk *d;
	size_t count;
	int fd;

	killed_after(sealed_segment);
	cr_assert_eq(disk_open_directory(&d, scratch_path), 0);
	cr_assert_eq(scan_segments(d, &base, &count), 0);
	cr_assert_eq(count, 2);
	end = base[1];
	free(base);
	disk_free(d);
	snprintf(path, sizeof path, "%s/log/%016" PRIx64, scratch_path, end);
	cr_assert_eq(unlink(path), 0);
	last = end - record_size(BIG);
	fd = open_segment(0);
	cr_assert_eq(pwrite(fd, "X", 1, (off_t)(SEGMENT_HEADER + last)), 1);
	close(fd);
	open_store();
	cr_assert_geq(log_tail(store->log).pos, end);
}

static void make_with_a_line(const char *name, const char *line)
{
	struct topic *t = make_topic(name);

	cr_assert_eq(append(t, line, strlen(line), true), 0);
	topic_put(t);
}

/* The byte BY behind the beginning of TEXT, in the first segment. */
static void rot_at(const char *text, off_t by)
{
	static char all[2 * MiB];
	int fd = open_segment(0);
	ssize_t len = pread(fd, all, sizeof all, 0);
	char *at = memmem(all, (size_t)len, text, strlen(text));

	cr_assert_not_null(at);
	cr_assert_eq(pwrite(fd, "X", 1, at - all + by), 1);
	close(fd);
}

static void sealed_with_a_bill(void)
{
	static char big[BIG];
	struct topic *t;

	open_store();
	keeper_stop(store->keeper);
	make_with_a_line("bills", "a bill\n");
	t = make_topic("orders");
	do
		cr_assert_eq(append(t, big, BIG, true), 0);
	while (segments_count(store->segments) < 2);
	cr_assert_eq(seal_committed(store), 0);
	topic_put(t);
}

/* Else a reader would look for what comes to stand there in the segment that had it before. */
Test(recover, an_offset_is_not_given_again_although_its_record_is_damaged)
{
	char got[16] = "";
	struct topic *t;
	struct reader *r;
	struct slice s;

	killed_after(sealed_with_a_bill);
	rot_at("a bill", -50);
	open_store();
	t = topic_find(store, "bills");
	cr_assert_eq(append(t, "another\n", 8, true), 0);
	cr_assert_eq(reader_new(&r, store, topic_queue(t, 0)), 0);
	slice_init(&s);
	cr_assert_eq(reader_read(r, 0, 100, &s), -EIO);
	cr_assert_eq(reader_read(r, 7, 100, &s), 8);
	memcpy(got, s.part[0].iov_base, 8);
	cr_assert_str_eq(got, "another\n");
	slice_free(&s);
	reader_free(r);
	topic_put(t);
}

static void two_topics(void)
{
	struct topic *t;

	open_store();
	t = make_topic("orders");
	make_with_a_line("bills", "a bill\n");
	cr_assert_eq(append(t, "an order\n", 9, true), 0);
	topic_put(t);
}

/* The one topic that a start has named itself has this LINE, and nobody but the store's owner reads it. It is the same at the next start. */
static void expect_recovered(const char *line)
{
	for (int times = 0; times < 2; times++) {
		char name[TOPIC_NAME_MAX + 1] = "";
		struct topic *t = NULL;
		struct owner owner;
		uint64_t after = 0;

		while ((t = topic_next(store, after))) {
			after = t->id;
			if (strncmp(t->name, "recovered.", 10) == 0) {
				cr_assert_str_empty(name);
				snprintf(name, sizeof name, "%s", t->name);
				owner_get(store, t, NULL, &owner);
				cr_assert_eq(owner.mode, 0700);
				owner_get(store, t, topic_queue(t, 0), &owner);
				cr_assert_eq(owner.mode, 0600);
			}
			topic_put(t);
		}
		expect(name, line);
		close_store();
		open_store();
	}
}

static void without_a_topic(off_t by)
{
	killed_after(two_topics);
	rot_at("orders", by);
	open_store();
	cr_assert(strstr(said, "damage"));
	cr_assert_null(topic_find(store, "orders"));
	expect("bills", "a bill\n");
	make_with_a_line("orders", "a new order\n");
	expect("orders", "a new order\n");
	expect("bills", "a bill\n");
	expect_recovered("an order\n");
}

Test(recover, a_topic_whose_name_has_rotted_takes_no_other_one_with_it)
{
	without_a_topic(0);
}

Test(recover, a_topic_whose_header_has_rotted_takes_no_other_one_with_it)
{
	without_a_topic(-50);
}

static void made_again(void)
{
	struct command *c;
	struct topic *t;

	open_store();
	make_with_a_line("orders", "an order\n");
	t = topic_find(store, "orders");
	c = command_new_waited();
	cr_assert_eq(command_wait(c, store_set_retired(store, c, t, true)), 0);
	c = command_new_waited();
	cr_assert_eq(command_wait(c, store_rmdir(store, c, t)), 0);
	topic_put(t);
	make_with_a_line("orders", "a new order\n");
	make_with_a_line("bills", "a bill\n");
}

static void with_both_topics(const char *where, off_t by)
{
	killed_after(made_again);
	rot_at(where, by);
	open_store();
	cr_assert(strstr(said, "damage"));
	expect("orders", "an order\n");
	expect("bills", "a bill\n");
	expect_recovered("a new order\n");
}

Test(recover, a_topic_is_kept_whose_name_another_one_has_that_was_retired)
{
	with_both_topics("retired", 2);
}

Test(recover, a_topic_is_kept_whose_name_another_one_has_that_was_removed)
{
	with_both_topics("MQR1\4", 20);
}

static void append_to(struct topic *t, uint32_t queue, const char *line)
{
	struct iovec iov = {(void *)line, strlen(line)};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place p;

	cr_assert_eq(store_append(topic_queue(t, queue), &b, &p), 0);
	cr_assert_eq(wait_committed(store, p.end), 0);
}

static void add_queues(struct topic *t, uint32_t count)
{
	struct command *c = command_new_waited();

	cr_assert_eq(command_wait(c, store_set_queues(store, c, t, count)), 0);
}

static void four_queues(void)
{
	struct topic *t;

	open_store();
	t = make_topic("orders");
	add_queues(t, 4);
	append_to(t, 2, "one\n");
	topic_put(t);
}

Test(recover, a_queue_is_there_again_when_what_made_it_has_rotted_and_its_messages_have_not)
{
	struct topic *t;

	killed_after(four_queues);
	rot_at("MQR1\5", 20);                 /* the header of a topic-queues */
	open_store();
	cr_assert(strstr(said, "damage"));
	t = topic_find(store, "orders");
	cr_assert_eq(t->count, 3);
	add_queues(t, 4);
	append_to(t, 2, "two\n");
	cr_assert_eq(topic_queue(t, 2)->committed, 8);
	cr_assert_eq(topic_queue(t, 2)->messages, 2);
	topic_put(t);
}

/* ---- a page that does not read at first ---- */

#define LONG_LINE 20000

static pthread_t unlucky;                /* the thread that does not read it */
static _Atomic uint64_t bad_page;        /* of the first segment's file; UINT64_MAX: all pages read */
static const struct disk_ops *sound;

static ssize_t read_but_the_page(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	uint64_t page = bad_page;
	bool meets = page != UINT64_MAX && page < at + len && at < page + SCAN_UNREADABLE;

	return meets && pthread_equal(pthread_self(), unlucky) ? -EIO : sound->pread(d, fd, to, len, at);
}

static void open_with_bad_page(uint64_t page)
{
	static struct disk_ops ops;
	char why[STORE_WHY];

	sound = scratch.disk.ops;
	ops = *sound;
	ops.pread = read_but_the_page;
	ops.pread_once = NULL;
	unlucky = pthread_self();
	bad_page = page;
	scratch.disk.ops = &ops;
	cr_assert_eq(store_open_disk(&store, &scratch.disk, scratch_path, &options, why), 0, "%s", why);
	bad_page = UINT64_MAX;
}

/* Something else is between any two of them: each has an entry of its own where a queue's records are looked up. */
static void append_long_lines(int count)
{
	static char line[LONG_LINE];
	struct topic *t = make_topic("orders"), *other = make_topic("other");

	for (int i = 0; i < count; i++) {
		memset(line, 'a' + i % 26, LONG_LINE);
		snprintf(line, LONG_LINE, "line %d\n", i);
		cr_assert_eq(append(t, line, LONG_LINE, true), 0);
		cr_assert_eq(append(other, "between\n", 8, true), 0);
	}
	topic_put(other);
	topic_put(t);
}

static void ten_long_lines(void)
{
	open_store();
	append_long_lines(10);
}

/* The page with the header of line N in it. */
static uint64_t page_of(int n)
{
	int fd = open_segment(0);
	uint64_t at = (uint64_t)find_line(fd, n) - RECORD_HEADER;

	close(fd);
	return at / SCAN_UNREADABLE * SCAN_UNREADABLE;
}

static ssize_t read_long_lines(void)
{
	static char got[100 * LONG_LINE];

	return read_all("orders", got, sizeof got);
}

Test(recover, what_the_start_did_not_read_is_there_when_it_reads_well_later)
{
	killed_after(ten_long_lines);
	open_with_bad_page(page_of(4));
	cr_assert(strstr(said, "a place that the disk does not read"));
	keeper_stop(store->keeper);
	cr_assert_eq(spans_find(store), 0);
	cr_assert_eq(damage_open(store), 0);
	cr_assert_eq(read_long_lines(), 10 * LONG_LINE);
}

/* Appends to "orders" until the first segment is sealed. */
static int fill_segment(void)
{
	static char line[LONG_LINE];
	struct topic *t = topic_find(store, "orders");
	struct segment *seg;
	int lines = 0;
	bool sealed;

	memset(line, 'z', LONG_LINE - 1);
	line[LONG_LINE - 1] = '\n';
	do {
		cr_assert_eq(append(t, line, LONG_LINE, true), 0);
		lines++;
		cr_assert_eq(seal_committed(store), 0);
		seg = segments_find(store->segments, 0);
		sealed = seg->sealed;
		segment_put(seg);
	} while (!sealed);
	topic_put(t);
	return lines;
}

Test(recover, the_last_record_of_a_queue_that_was_read_too_late_stays_hidden_and_its_offsets_are_the_next_ones)
{
	static char got[100 * LONG_LINE];
	struct segment *seg;
	uint64_t from = 0;
	int lines;

	killed_after(ten_long_lines);
	open_with_bad_page(page_of(9));
	keeper_stop(store->keeper);
	cr_assert_eq(spans_find(store), 0);
	lines = fill_segment();
	cr_assert_eq(damage_open(store), 1);
	cr_assert_eq(read_all("orders", got, sizeof got), (9 + lines) * LONG_LINE);
	cr_assert_eq(got[9 * LONG_LINE], 'z');
	seg = segments_find(store->segments, 0);
	cr_assert(segment_index_bad(seg));
	segment_put(seg);
	cr_assert_eq(seal_rebuild(store, &from), 1);
	memset(got, 0, sizeof got);
	cr_assert_eq(read_all("orders", got, sizeof got), (9 + lines) * LONG_LINE);
	cr_assert_eq(got[9 * LONG_LINE], 'z');
}

Test(recover, an_index_that_was_made_while_a_page_did_not_read_is_made_again_when_it_does)
{
	struct segment *seg;
	uint64_t from = 0;

	open_with_bad_page(UINT64_MAX);
	append_long_lines(60);
	keeper_stop(store->keeper);
	cr_assert_eq(seal_committed(store), 0);
	seg = segments_find(store->segments, 0);
	cr_assert(seg->sealed && segment_index_bad(seg));
	segment_put(seg);
	bad_page = page_of(4);
	cr_assert_eq(seal_rebuild(store, &from), 1);
	bad_page = UINT64_MAX;
	cr_assert_eq(spans_find(store), 0);
	cr_assert_eq(damage_open(store), 0);
	cr_assert_eq(read_long_lines(), 60 * LONG_LINE);
}
