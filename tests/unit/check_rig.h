/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_rig.h - a store is made and stopped, spoilt in one way, and looked at by a tool that opens its files itself.
 *
 * Calling  TestSuite(name, .init = setup, .fini = scratch_end); make(); spoil(...); check(); then `said` is what was found. Linked with
 *          -Wl,--wrap=disk_open_directory, for a page that no disk reads.
 */
#ifndef MQFS_TESTS_CHECK_RIG_H
#define MQFS_TESTS_CHECK_RIG_H

#include "check.h"
#include "committed.h"
#include "dump.h"
#include "identity.h"
#include "index.h"
#include "lost.h"
#include "promise.h"
#include "scan.h"
#include "scratch.h"
#include "segment.h"
#include "store.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT (256u << 10)

static char said[8192];           /* what was found: "damage WHERE: WHAT\n" each */
static char why[STORE_WHY];
static struct check_totals totals;

static uint64_t segment_size = SEGMENT;

/* A page of a file that no disk reads. */
static struct {
	ino_t file;               /* 0: none */
	uint64_t at;
} bad;
static const struct disk_ops *real_ops;

static inline ssize_t bad_pread(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	struct stat st;

	if (bad.file && at < bad.at + SCAN_UNREADABLE && at + len > bad.at && fstat(fd, &st) == 0 && st.st_ino == bad.file)
		return -EIO;
	return real_ops->pread(d, fd, to, len, at);
}

int __real_disk_open_directory(struct disk **d, const char *path);
int __wrap_disk_open_directory(struct disk **d, const char *path);

int __wrap_disk_open_directory(struct disk **d, const char *path)
{
	static struct disk_ops ops;
	int err = __real_disk_open_directory(d, path);

	if (err)
		return err;
	real_ops = (*d)->ops;
	ops = *real_ops;
	ops.pread = bad_pread;
	ops.pread_once = NULL;
	(*d)->ops = &ops;
	return 0;
}

static inline struct store *open_store(void)
{
	struct store_options options;
	struct store *s;

	store_options_normal(&options);
	options.create = true;
	options.segment_size = segment_size;
	options.mountpoint = "/mnt/here";
	cr_assert_eq(store_open(&s, scratch_path, &options, why), 0, "%s", why);
	return s;
}

static inline void close_store(struct store *s)
{
	store_stop(s);
	store_close(s);
}

static inline struct topic *add_topic(struct store *s, const char *name)
{
	struct command *c = command_new_waited();
	struct owner owner = {0, 0, 0777};

	cr_assert_eq(command_wait(c, store_mkdir(s, c, name, &owner)), 0);
	return topic_find(s, name);
}

static struct place append(struct topic *t, const char *text, uint32_t messages)
{
	struct iovec iov = {(void *)text, strlen(text)};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = messages, .uid = 7, .pid = 77};
	struct place place;

	cr_assert_eq(store_append(topic_queue(t, 0), &b, &place), 0);
	return place;
}

/* Two topics in turn over more than two segments. */
static inline void fill(struct store *s)
{
	static char line[1001];
	struct topic *a = add_topic(s, "a"), *b = add_topic(s, "b");

	memset(line, 'x', 999);
	line[999] = '\n';
	for (int i = 0; i < 300; i++) {
		append(a, line, 1);
		append(b, "short\n", 1);
		append(b, "one\ntwo\n", 2);
	}
	topic_put(a);
	topic_put(b);
}

static inline void setup(void)
{
	scratch_init();
	said[0] = 0;
}

static inline void found(void *ctx, bool damage, const char *where, const char *what)
{
	size_t len = strlen(said);

	(void)ctx;
	snprintf(said + len, sizeof said - len, "%s %s: %s\n", damage ? "damage" : "note", where, what);
}

static inline int check(void)
{
	struct check_calls calls = {.found = found};

	said[0] = 0;
	return check_store(scratch_path, &calls, &totals, why, sizeof why);
}

/* A byte of a file of the store becomes another. */
static inline void spoil(const char *path, uint64_t at)
{
	int fd = disk_open(scratch.under, path, O_RDWR, 0);
	uint8_t byte;

	cr_assert_geq(fd, 0);
	cr_assert_eq(disk_read(scratch.under, fd, &byte, 1, at), 0);
	byte ^= 0x20;
	cr_assert_eq(disk_write(scratch.under, fd, &byte, 1, at), 0);
	disk_close(scratch.under, fd);
}

/* The NTH segment's base. */
static inline uint64_t base_of(size_t nth)
{
	uint64_t *base, found_base;
	size_t count;

	cr_assert_eq(scan_segments(scratch.under, &base, &count), 0);
	cr_assert_lt(nth, count);
	found_base = base[nth];
	free(base);
	return found_base;
}

/* The position of a record of messages in the NTH segment. */
static inline uint64_t record_in(size_t nth)
{
	struct identity id;
	struct scan *s;
	struct record r;
	const void *body;
	enum scan_found what;
	uint64_t pos = UINT64_MAX;

	cr_assert_eq(identity_load(scratch.under, &id), 0);
	cr_assert_eq(scan_open(&s, scratch.under, id.secret, base_of(nth)), 0);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(scan_next(s, &r, &body, &what), 0);
		cr_assert_eq(what, SCAN_RECORD);
		if (r.type == RECORD_MESSAGES)
			pos = r.pos;
	}
	scan_close(s);
	return pos;
}

static inline void make(void)
{
	struct store *s = open_store();

	fill(s);
	close_store(s);
}

static inline bool tells(const char *format, uint64_t pos)
{
	char line[256];

	snprintf(line, sizeof line, format, pos);
	return strstr(said, line) != NULL;
}

static inline void make_index(uint64_t base, bool truly)
{
	struct identity id;
	struct scan *s;
	struct record r;
	const void *body;
	enum scan_found what;
	struct runs *runs;
	struct run_queue *cache;
	uint64_t end = base;
	int64_t time = 0;

	cr_assert_eq(identity_load(scratch.under, &id), 0);
	cr_assert_eq(runs_new(&runs), 0);
	cr_assert_eq(scan_open(&s, scratch.under, id.secret, base), 0);
	while (scan_next(s, &r, &body, &what) == 0 && what == SCAN_RECORD) {
		cache = NULL;
		end = scan_pos(s);
		time = r.time;
		if (r.type == RECORD_MESSAGES && (truly || r.pos % 3))
			cr_assert_eq(runs_add(runs, &cache, r.queue, r.offset, r.pos, r.length, r.messages), 0);
	}
	scan_close(s);
	cr_assert_eq(index_write(scratch.under, id.secret, base, end, time, runs), 0);
	runs_free(runs);
}

#endif
