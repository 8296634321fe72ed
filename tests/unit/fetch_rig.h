/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch_rig.h - a pair (pair_rig.h) with records that the test knows by their number, in a log that rots where it says.
 *
 * Calling  rig_begin(); make_pair(); put(300); rig_settle(); rot_body(&rig.b, 2, 100); scrub(&rig.b); wait_repaired(&rig.b, 1); rig_end()
 */
#ifndef MQFS_TESTS_FETCH_RIG_H
#define MQFS_TESTS_FETCH_RIG_H

#include "pair_rig.h"
#include "parts.h"
#include "scan.h"
#include "scrub.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RECORDS 24

static struct {
	uint64_t pos, end;             /* in the log */
	size_t len;
	uint64_t offset;               /* in the queue */
} record[RECORDS];
static unsigned records;

static inline char letter(unsigned n)
{
	return (char)('a' + n % 26);
}

static inline void put(size_t len)
{
	char *text = malloc(len);

	memset(text, letter(records), len);
	record[records].pos = rig_view(rig.primary).end;
	record[records].len = len;
	record[records].offset = records ? record[records - 1].offset + record[records - 1].len : 0;
	cr_assert_eq(rig_append(rig.primary, text, len, &record[records].end), 0);
	rig_settle_to(record[records++].end);
	free(text);
}

static inline struct store_status status(const struct rig_node *n)
{
	struct store_status s;

	store_status(n->store, &s);
	return s;
}

/* The keeper makes one as soon as who counts is committed. */
static inline bool comes_to_a_checkpoint(struct rig_node *n, uint64_t pos)
{
	const struct timespec look = {.tv_nsec = 1000000};

	for (int i = 0; i < 10000 && status(n).checkpoint_pos <= pos; i++)
		nanosleep(&look, NULL);
	return status(n).checkpoint_pos > pos;
}

/* They are the pair, and no checkpoint is made behind what follows. */
static inline void begin_pair(void)
{
	struct pair_row last;

	rig_pair(1);
	rig_settle();
	cr_assert(annals_last_pair(rig.a.store->annals, &last));
	cr_assert(comes_to_a_checkpoint(&rig.a, last.pos) && comes_to_a_checkpoint(&rig.b, last.pos), "of who counts");
}

/* A is the primary, B its standby, and both have the same few records. */
static inline void make_pair(void)
{
	records = 0;
	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	rig_connect(&rig.a, &rig.b);
	begin_pair();
	for (int n = 0; n < 6; n++)
		put(300);
	rig_settle();
}

/* ---- rot ---- */

/* XORs LEN bytes from log position POS on with MASK, on N's disk. */
static inline void rot(struct rig_node *n, uint64_t pos, size_t len, uint8_t mask)
{
	struct segment *s = segments_find(n->store->segments, pos);
	uint8_t *bytes = malloc(len);
	char name[32], path[200];
	off_t at;
	int fd;

	cr_assert(s);
	segment_name(name, s->head.base);
	snprintf(path, sizeof path, "%s/%s", n->path, name);
	at = (off_t)(SEGMENT_HEADER + pos - s->head.base);
	fd = open(path, O_RDWR);
	cr_assert_eq(pread(fd, bytes, len, at), (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		bytes[i] ^= mask;
	cr_assert_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
	close(fd);
	segment_put(s);
	free(bytes);
}

static inline void rot_body(struct rig_node *n, unsigned which, size_t at)
{
	rot(n, record[which].pos + RECORD_HEADER + at, 1, 0x40);
}

static inline void rot_header(struct rig_node *n, unsigned which)
{
	rot(n, record[which].pos + 9, 1, 0x40);
}

/* ---- a page that does not read, until it is written ---- */

static struct {
	struct disk *disk;
	const struct disk_ops *sound;
	struct disk_ops ops;
	ino_t file;
	_Atomic uint64_t at;           /* in the file; UINT64_MAX: all reads */
} bad_page = {.at = UINT64_MAX};

static inline bool meets_bad_page(int fd, size_t len, uint64_t at)
{
	uint64_t page = bad_page.at;
	struct stat st;

	return page != UINT64_MAX && at < page + SCAN_UNREADABLE && page < at + len && fstat(fd, &st) == 0 && st.st_ino == bad_page.file;
}

static inline ssize_t read_around_bad_page(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	return meets_bad_page(fd, len, at) ? -EIO : bad_page.sound->pread(d, fd, to, len, at);
}

static inline ssize_t write_bad_page(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	for (int i = 0, before = 0; i < n; before += (int)iov[i++].iov_len)
		if (meets_bad_page(fd, iov[i].iov_len, at + (uint64_t)before))
			bad_page.at = UINT64_MAX;
	return bad_page.sound->pwritev(d, fd, iov, n, at);
}

/* The page that holds log position POS, on N's disk. */
static inline void spoil_page(struct rig_node *n, uint64_t pos)
{
	struct segment *s = segments_find(n->store->segments, pos);
	char name[32], path[200];
	struct stat st;

	cr_assert(s);
	segment_name(name, s->head.base);
	snprintf(path, sizeof path, "%s/%s", n->path, name);
	cr_assert_eq(stat(path, &st), 0);
	bad_page.disk = n->store->disk;
	bad_page.sound = bad_page.disk->ops;
	bad_page.ops = *bad_page.sound;
	bad_page.ops.pread = read_around_bad_page;
	bad_page.ops.pread_once = NULL;
	bad_page.ops.pwritev = write_bad_page;
	bad_page.ops.pwritev_once = NULL;
	bad_page.file = st.st_ino;
	bad_page.at = (SEGMENT_HEADER + pos - s->head.base) / SCAN_UNREADABLE * SCAN_UNREADABLE;
	bad_page.disk->ops = &bad_page.ops;
	segment_put(s);
}

static inline void page_reads(void)
{
	bad_page.at = UINT64_MAX;
}

static inline void scrub(struct rig_node *n)
{
	struct scrub *c;

	cr_assert_eq(scrub_new(&c, n->store), 0);
	while (scrub_step(c, 1 << 20) > 0)
		;
	scrub_free(c);
}

static inline bool all_sound(uint64_t pos)
{
	(void)pos;
	return !damage_open(rig.a.store) && !damage_open(rig.b.store);
}

/* ---- what readers see ---- */

static inline ssize_t read_record(struct rig_node *n, struct reader *r, unsigned which)
{
	struct slice s;
	ssize_t got;

	(void)n;
	slice_init(&s);
	got = reader_read(r, record[which].offset, record[which].len, &s);
	for (int i = 0; i < s.parts; i++)
		for (size_t at = 0; at < s.part[i].iov_len; at++)
			cr_assert_eq(((char *)s.part[i].iov_base)[at], letter(which));
	slice_free(&s);
	return got;
}

static inline struct reader *reader_of(struct rig_node *n)
{
	struct topic *t = topic_find(n->store, "orders");
	struct reader *r;

	cr_assert(t);
	cr_assert_eq(reader_new(&r, n->store, topic_queue(t, 0)), 0);
	topic_put(t);
	return r;
}

static inline void check_all_read(struct rig_node *n)
{
	struct reader *r = reader_of(n);

	for (unsigned i = 0; i < records; i++)
		cr_assert_eq(read_record(n, r, i), (ssize_t)record[i].len, "record %u of %s", i, n->name);
	reader_free(r);
}

/* N is repaired, and both logs are the same again. */
static inline void check_repaired(struct rig_node *n, uint64_t count)
{
	cr_assert(!rig.sender_err && !rig.receiver_err, "%d, %d", rig.sender_err, rig.receiver_err);
	cr_assert_eq(status(n).damaged_open, 0);
	cr_assert_eq(status(n).repaired, count);
	rig_same_logs();
	check_all_read(&rig.a);
	check_all_read(&rig.b);
}

static inline void wait_repaired(struct rig_node *n, uint64_t count)
{
	rig_until(all_sound, 0);
	check_repaired(n, count);
}

#endif
