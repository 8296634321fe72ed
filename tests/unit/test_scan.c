/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE 4096u
#define SKIP 64u

/* A file of log bytes that is written record by record, and may then be spoilt. */
static struct disk *disk;
static char directory[] = "/tmp/test_scan.XXXXXX";
static uint8_t secret[RECORD_SECRET];
static int fd;
static uint64_t end, chain;

static void setup(void)
{
	cr_assert(mkdtemp(directory));
	cr_assert_eq(disk_open_directory(&disk, directory), 0);
	for (size_t i = 0; i < sizeof secret; i++)
		secret[i] = (uint8_t)(i * 7 + 3);
	fd = disk_open(disk, "file", O_RDWR | O_CREAT, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(disk_truncate(disk, fd, SKIP + (64u << 20)), 0);
	end = BASE;
	chain = 77;
}

static void teardown(void)
{
	disk_close(disk, fd);
	disk_unlink(disk, "file");
	disk_free(disk);
	rmdir(directory);
}

/* Returns the position of the record. */
static uint64_t add(const void *body, uint32_t length)
{
	struct iovec iov = {(void *)body, length};
	struct record r = {.type = RECORD_MESSAGES, .length = length, .messages = 1, .pos = end, .queue = 1024, .prev = chain};
	uint8_t header[RECORD_HEADER];

	r.body_sum = record_body_sum(secret, &iov, 1);
	record_encode(&r, secret, header);
	cr_assert_eq(disk_write(disk, fd, header, sizeof header, SKIP + end - BASE), 0);
	cr_assert_eq(disk_write(disk, fd, body, length, SKIP + end - BASE + RECORD_HEADER), 0);
	chain = r.sum;
	end += record_size(length);
	return r.pos;
}

static void spoil(uint64_t pos)
{
	uint8_t byte;

	cr_assert_eq(disk_read(disk, fd, &byte, 1, SKIP + pos - BASE), 0);
	byte ^= 0x40;
	cr_assert_eq(disk_write(disk, fd, &byte, 1, SKIP + pos - BASE), 0);
}

static struct scan *scan(void)
{
	struct scan *s;

	cr_assert_eq(scan_open_file(&s, disk, secret, "file", SKIP, BASE), 0);
	scan_expect_chain(s, 77);
	return s;
}

/* The next thing found is FOUND, from BEGIN to POS. */
static void expect(struct scan *s, enum scan_found found, uint64_t begin, uint64_t pos)
{
	struct record r;
	const void *body;
	enum scan_found is;

	cr_assert_eq(scan_next(s, &r, &body, &is), 0);
	cr_assert_eq(is, found, "found %d at %lu", is, scan_begin(s));
	cr_assert_eq(scan_begin(s), begin);
	cr_assert_eq(scan_pos(s), pos);
	if (found == SCAN_RECORD)
		cr_assert_eq(r.pos, begin);
}

TestSuite(scan, .init = setup, .fini = teardown);

Test(scan, gives_every_record_with_its_body)
{
	uint64_t a = add("one\n", 4), b = add("two two\n", 8);
	struct scan *s = scan();
	struct record r;
	const void *body;
	enum scan_found found;

	cr_assert_eq(scan_next(s, &r, &body, &found), 0);
	cr_assert(found == SCAN_RECORD && r.pos == a && r.length == 4 && memcmp(body, "one\n", 4) == 0);
	cr_assert_eq(scan_next(s, &r, &body, &found), 0);
	cr_assert(found == SCAN_RECORD && r.pos == b && r.length == 8 && memcmp(body, "two two\n", 8) == 0);
	expect(s, SCAN_END, end, end);
	expect(s, SCAN_END, end, end);
	scan_close(s);
}

Test(scan, records_cross_windows_and_may_be_longer_than_one)
{
	static uint8_t body[RECORD_BODY_MAX];
	static const uint32_t length[] = {300000, 900000, SCAN_WINDOW, 7, SCAN_WINDOW * 3 + 5, RECORD_BODY_MAX, 0, 100};
	uint64_t pos[8];

	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (uint8_t)(i * 31 >> 3);
	for (int i = 0; i < 8; i++)
		pos[i] = add(body, length[i]);
	struct scan *s = scan();
	for (int i = 0; i < 8; i++)
		expect(s, SCAN_RECORD, pos[i], pos[i] + record_size(length[i]));
	expect(s, SCAN_END, end, end);
	scan_close(s);
}

Test(scan, damaged_body_keeps_its_header_and_what_is_behind)
{
	uint64_t a = add("one\n", 4), b = add("two\n", 4);

	spoil(a + RECORD_HEADER + 1);
	struct scan *s = scan();
	expect(s, SCAN_BODY, a, b);
	expect(s, SCAN_RECORD, b, end);
	cr_assert(scan_chained(s));
	scan_close(s);

	s = scan();
	scan_bodies(s, false);
	expect(s, SCAN_RECORD, a, b);
	scan_close(s);
}

Test(scan, damaged_header_is_skipped_to_the_next_valid_one)
{
	static uint8_t body[3 * SCAN_WINDOW];

	uint64_t a = add("one\n", 4), b = add(body, sizeof body), c = add("MQR1MQR1MQR1", 12), d = add("four\n", 5);
	spoil(b + 8);
	spoil(c + 40);
	struct scan *s = scan();
	expect(s, SCAN_RECORD, a, b);
	expect(s, SCAN_DAMAGED, b, d);
	expect(s, SCAN_RECORD, d, end);
	cr_assert(scan_chained(s), "nothing is known of the chain behind damage");
	expect(s, SCAN_END, end, end);
	scan_close(s);
}

/* A disk on which one block of 512 bytes does not read. */
static uint64_t bad_block;
static const struct disk_ops *sound_ops;

static ssize_t bad_pread(struct disk *d, int from, void *to, size_t len, uint64_t at)
{
	return at < bad_block + 512 && at + len > bad_block ? -EIO : sound_ops->pread(d, from, to, len, at);
}

Test(scan, a_block_that_does_not_read_takes_one_record_only)
{
	static char body[4096];
	struct disk_ops ops = *disk->ops;
	uint64_t at[5];
	struct scan *s;

	for (size_t i = 0; i < 5; i++)
		at[i] = add(body, sizeof body);
	bad_block = SKIP + at[3] - BASE + 1024;
	sound_ops = disk->ops;
	ops.pread = bad_pread;
	disk->ops = &ops;
	s = scan();
	for (size_t i = 0; i < 5; i++)
		expect(s, i == 3 ? SCAN_BODY : SCAN_RECORD, at[i], i < 4 ? at[i + 1] : end);
	scan_close(s);
	disk->ops = sound_ops;
}

Test(scan, record_at_another_position_is_none)
{
	add("one\n", 4);
	uint64_t b = end;
	uint8_t copy[112];

	cr_assert_eq(disk_read(disk, fd, copy, sizeof copy, SKIP), 0);
	cr_assert_eq(disk_write(disk, fd, copy, sizeof copy, SKIP + b - BASE), 0);
	struct scan *s = scan();
	expect(s, SCAN_RECORD, BASE, b);
	expect(s, SCAN_END, b, b);
	scan_close(s);
}

Test(scan, record_of_another_history_breaks_the_chain)
{
	uint64_t a = add("one\n", 4);
	chain ^= 1;
	uint64_t b = add("two\n", 4), c = add("three\n", 6);
	struct scan *s = scan();

	expect(s, SCAN_RECORD, a, b);
	cr_assert(scan_chained(s));
	expect(s, SCAN_RECORD, b, c);
	cr_assert_not(scan_chained(s));
	expect(s, SCAN_RECORD, c, end);
	cr_assert(scan_chained(s), "a break is told once");
	scan_close(s);

	s = scan();
	scan_expect_chain(s, 78);
	expect(s, SCAN_RECORD, a, b);
	cr_assert_not(scan_chained(s));
	scan_close(s);
}

Test(scan, goes_on_from_any_record)
{
	uint64_t a = add("one\n", 4), b = add("two\n", 4);
	struct scan *s = scan();

	scan_seek(s, b);
	expect(s, SCAN_RECORD, b, end);
	cr_assert(scan_chained(s));
	scan_seek(s, a);
	expect(s, SCAN_RECORD, a, b);
	scan_seek(s, a + 8);
	expect(s, SCAN_DAMAGED, a + 8, b);
	scan_close(s);
}

Test(scan, nothing_behind_the_limit_is_found)
{
	uint64_t a = add("one\n", 4), b = add("two\n", 4), c = add("three\n", 6);
	struct scan *s = scan();

	scan_limit(s, b);
	expect(s, SCAN_RECORD, a, b);
	expect(s, SCAN_END, b, b);
	scan_close(s);

	spoil(b + 8);
	s = scan();
	scan_limit(s, c);
	expect(s, SCAN_RECORD, a, b);
	expect(s, SCAN_END, b, b);
	scan_close(s);
}

Test(scan, cut_file_ends_where_it_is_cut)
{
	uint64_t a = add("one\n", 4), b = add("two two two\n", 12);

	cr_assert_eq(disk_truncate(disk, fd, SKIP + b - BASE + RECORD_HEADER + 5), 0);
	struct scan *s = scan();
	expect(s, SCAN_RECORD, a, b);
	expect(s, SCAN_BODY, b, end);
	cr_assert_lt(scan_file_end(s), end);
	expect(s, SCAN_END, end, end);
	scan_close(s);

	cr_assert_eq(disk_truncate(disk, fd, SKIP + b - BASE + RECORD_HEADER - 1), 0);
	s = scan();
	expect(s, SCAN_RECORD, a, b);
	expect(s, SCAN_END, b, b);
	scan_close(s);

	cr_assert_eq(disk_truncate(disk, fd, SKIP - 1), 0);
	s = scan();
	expect(s, SCAN_END, BASE, BASE);
	scan_close(s);
}

Test(scan, another_secret_finds_nothing)
{
	add("one\n", 4);
	secret[5] ^= 1;
	struct scan *s = scan();
	expect(s, SCAN_END, BASE, BASE);
	scan_close(s);
}

Test(scan, missing_file_and_directory_are_errors)
{
	struct scan *s;
	char path[64];

	cr_assert_eq(scan_open_file(&s, disk, secret, "none", 0, 0), -ENOENT);
	cr_assert_eq(disk_mkdir(disk, "dir", 0700), 0);
	cr_assert_eq(scan_open_file(&s, disk, secret, "dir", 0, 0), -EBADMSG);
	snprintf(path, sizeof path, "%s/dir", directory);
	cr_assert_eq(rmdir(path), 0);
}

Test(scan, segments_are_files_named_by_a_position)
{
	static const char *const names[] = {"0000000000001000", "0000000000000000", "7fffffffffffffff", "0000000000001000.index", "8000000000000000",
		"ffffffffffffffff", "000000000000100", "0000000000001000.new", "000000000000100G", "README"};
	uint64_t *base;
	size_t count;
	char path[64];

	cr_assert_eq(disk_mkdir(disk, "log", 0700), 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "log/%s", names[i]);
		disk_close(disk, disk_open(disk, path, O_RDWR | O_CREAT, 0600));
	}
	cr_assert_eq(scan_segments(disk, &base, &count), 0);
	cr_assert_eq(count, 3);
	cr_assert(base[0] == 0 && base[1] == 0x1000 && base[2] == INT64_MAX);
	free(base);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "log/%s", names[i]);
		disk_unlink(disk, path);
	}
	snprintf(path, sizeof path, "%s/log", directory);
	rmdir(path);
}

Test(scan, no_file_begins_where_no_log_reaches)
{
	struct scan *s;

	cr_assert_eq(scan_open_file(&s, disk, secret, "file", SKIP, UINT64_C(1) << 63), -EBADMSG);
}

/* A disk does not read a page of the file, whatever position that begins at. */
Test(scan, it_passes_over_the_page_that_cannot_be_read_and_no_more)
{
	struct scan *s;

	cr_assert_eq(scan_open_file(&s, disk, secret, "file", SKIP, BASE), 0);
	scan_pass_unreadable(s);
	cr_assert_eq(scan_pos(s), BASE + SCAN_UNREADABLE - SKIP);
	scan_seek(s, BASE + 5000);
	scan_pass_unreadable(s);
	cr_assert_eq(scan_pos(s), BASE + 2 * SCAN_UNREADABLE - SKIP);
	scan_pass_unreadable(s);
	cr_assert_eq(scan_pos(s), BASE + 3 * SCAN_UNREADABLE - SKIP);
	scan_close(s);
}
