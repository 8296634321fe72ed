/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that rots: one byte after the other is flipped, each file is cut short or taken away. Whatever it is, opening does not crash,
 * no wrong byte is served, nothing that was committed is cut, and no more is lost than the record that was hit.
 */
#include "keeper.h"
#include "parts.h"
#include "reader.h"
#include "scratch.h"
#include "state.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGES 60
#define LENGTH 200u
#define FILES 16
#define FILE_MAX (128u << 10)
#define DO(call) ({ struct command *c = command_new_waited(); command_wait(c, call); })

static struct store_options options;
static struct store *store;
static char why[STORE_WHY];

static struct {
	char path[128];
	uint8_t bytes[FILE_MAX];
	size_t len;
} files[FILES];
static int file_count;

static int open_store(void)
{
	int err = store_open(&store, scratch_path, &options, why);

	if (err)
		store = NULL;
	return err;
}

static void close_store(void)
{
	store_stop(store);
	store_close(store);
	store = NULL;
}

static void message(int n, char to[LENGTH + 1])
{
	memset(to, 'a' + n % 26, LENGTH);
	snprintf(to, LENGTH, "%05d", n);
	to[5] = ' ';
	to[LENGTH - 1] = '\n';
}

static void keep_file(const char *directory, const char *name)
{
	int fd;
	ssize_t n;

	snprintf(files[file_count].path, sizeof files->path, "%s%s%s", directory, *directory ? "/" : "", name);
	fd = disk_open(&scratch.disk, files[file_count].path, O_RDONLY, 0);
	n = fd < 0 ? -1 : pread(fd, files[file_count].bytes, FILE_MAX, 0);
	disk_close(&scratch.disk, fd);
	if (n <= 0 || file_count == FILES)
		abort();
	files[file_count++].len = (size_t)n;
}

static int keep_segment(void *ctx, const char *name)
{
	(void)ctx;
	if (!strncmp(name, "000", 3))
		keep_file("log", name);
	return 0;
}

static int keep_checkpoint(void *ctx, const char *name)
{
	(void)ctx;
	keep_file("checkpoint", name);
	return 0;
}

static int remove_unknown(void *ctx, const char *name)
{
	char path[300];

	snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name);
	for (int i = 0; i < file_count; i++)
		if (!strcmp(files[i].path, path))
			return 0;
	return disk_unlink(&scratch.disk, path);
}

/* As it was. */
static void restore(void)
{
	disk_list(&scratch.disk, "log", remove_unknown, "log");
	disk_list(&scratch.disk, "checkpoint", remove_unknown, "checkpoint");
	disk_list(&scratch.disk, "lost", remove_unknown, "lost");
	for (int i = 0; i < file_count; i++) {
		int fd = disk_open(&scratch.disk, files[i].path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		cr_assert_eq(disk_write(&scratch.disk, fd, files[i].bytes, files[i].len, 0), 0);
		disk_close(&scratch.disk, fd);
	}
}

/* A store with a few segments, some with their indexes, two checkpoints, and a clean end. */
static void setup(void)
{
	char text[LENGTH + 1];
	struct place place;
	struct topic *t;

	scratch_init_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	store_options_normal(&options);
	options.segment_size = 70u << 10;              /* of which messages get some KiB */
	cr_assert_eq(open_store(), 0);
	cr_assert_eq(DO(store_mkdir(store, c, "t", &(struct owner){0, 0, 0755})), 0);
	t = topic_find(store, "t");
	for (int n = 0; n < MESSAGES; n++) {
		struct iovec iov = {text, LENGTH};
		struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
		message(n, text);
		cr_assert_eq(store_append(topic_queue(t, 0), &b, &place), 0);
		if (n == MESSAGES / 2) {
			cr_assert_eq(DO(store_set_queues(store, c, t, 2)), 0);
			keeper_stop(store->keeper);
			cr_assert_eq(keeper_checkpoint(store->keeper), 0);
		}
	}
	topic_put(t);
	close_store();
	keep_file("", "id");
	disk_list(&scratch.disk, "log", keep_segment, NULL);
	disk_list(&scratch.disk, "checkpoint", keep_checkpoint, NULL);
}

static void teardown(void)
{
	scratch_end();
}

TestSuite(damage, .init = setup, .fini = teardown, .timeout = 100);

/* How many messages can be read; each must be right, and in its place. */
static int readable(const char *when)
{
	struct topic *t = topic_find(store, "t");
	char got[LENGTH], text[LENGTH + 1];
	struct reader *r;
	struct slice s;
	int count = 0;

	cr_assert_not_null(t, "%s: the topic is gone", when);
	cr_assert_eq(t->count, 2, "%s: a queue is gone", when);
	slice_init(&s);
	cr_assert_eq(reader_new(&r, store, topic_queue(t, 0)), 0);
	for (int n = 0; n < MESSAGES; n++) {
		size_t have = 0;
		ssize_t some = 1;
		while (have < LENGTH && some > 0) {
			some = reader_read(r, n * LENGTH + have, LENGTH - have, &s);
			if (some > 0)
				cr_assert_eq(slice_copy(&s, got + have), 0);
			have += some > 0 ? (size_t)some : 0;
			slice_free(&s);
		}
		message(n, text);
		cr_assert_arr_eq(got, text, have, "%s: wrong bytes in message %d", when, n);
		count += have == LENGTH;
	}
	reader_free(r);
	topic_put(t);
	return count;
}

static void damaged_at(int file, size_t at, uint8_t flip)
{
	char when[200];
	int err, fd = disk_open(&scratch.disk, files[file].path, O_RDWR, 0), count;
	uint8_t byte = files[file].bytes[at] ^ flip;

	cr_assert_eq(disk_write(&scratch.disk, fd, &byte, 1, at), 0);
	disk_close(&scratch.disk, fd);
	snprintf(when, sizeof when, "byte %zu of %.120s", at, files[file].path);
	err = open_store();
	if (err) {
		cr_assert_neq(why[0], 0, "%s: refused without a reason", when);
		cr_assert(!strcmp(files[file].path, "id") || err == -EPROTONOSUPPORT || err == -EXDEV, "%s: refused: %s", when, why);
	} else {
		struct store_status st;
		count = readable(when);
		cr_assert_geq(count, MESSAGES - 1, "%s: only %d messages can be read", when, count);
		store_status(store, &st);
		cr_assert(count == MESSAGES || st.damaged, "%s: a message is missing, and nothing was said", when);
		cr_assert_eq(st.lost_files, 0, "%s: something committed was cut", when);
		close_store();
	}
	restore();
}

/* Behind these there are only zeros. */
static size_t used(int file)
{
	size_t n = files[file].len;

	while (n && !files[file].bytes[n - 1])
		n--;
	return n;
}

Test(damage, a_flipped_byte_costs_no_more_than_its_record)
{
	for (int f = 0; f < file_count; f++) {
		size_t end = used(f), step = end > 600 ? 11 : 3;
		for (size_t at = 0; at < end; at += step)
			if (files[f].bytes[at] || at % 4 == 0)
				damaged_at(f, at, (uint8_t)(1u << at % 8));
	}
}

Test(damage, a_file_cut_short_or_missing_serves_nothing_wrong)
{
	char when[200];

	for (int f = 0; f < file_count; f++) {
		size_t end = used(f), step = end / 40 + 1;
		for (size_t len = 0; len <= end; len += step) {
			int fd = disk_open(&scratch.disk, files[f].path, O_RDWR, 0);
			cr_assert_eq(disk_truncate(&scratch.disk, fd, len), 0);
			disk_close(&scratch.disk, fd);
			if (len == 0)
				cr_assert_eq(disk_unlink(&scratch.disk, files[f].path), 0);
			snprintf(when, sizeof when, "%.120s cut to %zu", files[f].path, len);
			if (open_store() == 0) {
				struct store_status st;
				int count = readable(when);
				store_status(store, &st);
				cr_assert(count == MESSAGES || st.damaged, "%s: messages are missing, and nothing was said", when);
				close_store();
			} else {
				cr_assert_neq(why[0], 0, "%s: refused without a reason", when);
			}
			restore();
		}
	}
}
