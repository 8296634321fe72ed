/* SPDX-License-Identifier: Apache-2.0 */
/* Stores as a crash leaves them. */
#include "fault_story.h"
#include "identity.h"
#include "index.h"
#include "log.h"
#include "runs.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file NAME in DIRECTORY, open; it is made when it is not there. */
static int open_in(const char *directory, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	return fd;
}

/* SIZE bytes, zeros that end with TEXT. */
static void put_file(const char *directory, const char *name, size_t size, const char *text)
{
	size_t len = strlen(text);
	int fd = open_in(directory, name);

	if (ftruncate(fd, (off_t)size) || pwrite(fd, text, len, (off_t)(size - len)) != (ssize_t)len)
		abort();
	close(fd);
}

static void cut_file(const char *directory, const char *name, uint64_t size)
{
	int fd = open_in(directory, name);

	if (ftruncate(fd, (off_t)size))
		abort();
	close(fd);
}

static void spoil(const char *directory, const char *name, uint64_t at)
{
	int fd = open_in(directory, name);

	if (pwrite(fd, "spoilt", 6, (off_t)at) != 6)
		abort();
	close(fd);
}

static void remove_file(const char *directory, const char *name)
{
	char path[160];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	if (remove(path))
		abort();
}

/* A store as it is after kill -9: some segments, checkpoints, and what LAST has appended. POS is LAST's, ACTIVE the last segment's base. */
static void live_until(const char *to, void (*last)(uint64_t *pos), uint64_t *pos, uint64_t *active)
{
	cr_assert(work_begin());
	work_topics();
	for (int n = 0; n < 12; n++) {
		work_append_wait(n % TOPICS);
		if (n % 4 == 3)
			work_keep();
	}
	last(pos);
	*active = log_active(store->log);
	scratch_copy(scratch_path, to);
	work_close();
}

/* Three records that nobody waits for; the first one is where the tail will be torn. */
static void three_more(uint64_t *pos)
{
	uint64_t end;

	*pos = log_end(store->log);
	work_append(KEEP, 2, &end);
	work_append(KEEP, 1, &end);
}

/* A last record with padding behind it. */
static void one_odd(uint64_t *pos)
{
	cr_assert_eq(WORK_DO(store_mkdir(store, c, "odd", &(struct owner){0, 0, 0755})), 0);
	*pos = log_end(store->log);
}

/* A new segment, of which nothing is committed. */
static void one_roll(uint64_t *pos)
{
	uint64_t active = log_active(store->log);

	while (log_active(store->log) == active && work_append(KEEP, 1, pos) == 0)
		;
}

static void leave_litter(const char *to)
{
	put_file(to, "log/filling", 100, "x");
	put_file(to, "log/filling.new", 100, "x");
	put_file(to, "log/prepared.1", SEGMENT_HEADER + WORK_SEGMENT, "");
	put_file(to, "log/prepared.3", 1000, "");
	put_file(to, "checkpoint/00000000000000ff.new", 100, "x");
	put_file(to, "lost/0000000000000000.0", 100, "x");
}

/* Segments behind the tail, one of which has nothing in it. */
static void leave_segments(const char *to, uint64_t active)
{
	char name[32];

	segment_name(name, active + 4 * WORK_SEGMENT);
	put_file(to, name, SEGMENT_HEADER + WORK_SEGMENT, "something that was never a record");
	segment_name(name, active + 8 * WORK_SEGMENT);
	put_file(to, name, SEGMENT_HEADER, "x");
}

void make_torn(const char *to)
{
	char name[40];
	uint64_t torn, active;

	live_until(to, three_more, &torn, &active);
	segment_name(name, active);
	spoil(to, name, SEGMENT_HEADER + torn - active + 20);
	leave_segments(to, active);
	segment_index_name(name, 0);
	remove_file(to, name);
	did.rotten = 1;
	leave_litter(to);
}

void make_short(const char *to)
{
	char name[32];
	uint64_t end, active;

	live_until(to, one_odd, &end, &active);
	segment_name(name, active);
	cut_file(to, name, SEGMENT_HEADER + end - active - 1);
}

void make_rolled(const char *to)
{
	uint64_t end, active;

	live_until(to, one_roll, &end, &active);
}

/* The last segment has its index already. */
static void one_sealed(uint64_t *pos)
{
	uint64_t base = log_active(store->log);
	struct runs *runs;
	int64_t time;

	one_odd(pos);
	*pos = log_end(store->log);
	cr_assert_eq(runs_scan(store->disk, store->id.secret, base, *pos, &runs, &time), 0);
	cr_assert_eq(index_write(store->disk, store->id.secret, base, *pos, time, runs), 0);
	runs_free(runs);
}

void make_unnamed(const char *to)
{
	uint64_t end, active;

	live_until(to, one_sealed, &end, &active);
	leave_segments(to, active);
}

void make_foreign(const char *to)
{
	char name[32];
	uint64_t end, active;

	live_until(to, one_odd, &end, &active);
	segment_name(name, active);
	spoil(to, name, 16);
	did.rotten = 1;
}

/* The newest of the checkpoints. */
static void newest_checkpoint(const char *in, char to[40])
{
	char path[160];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof path, "%s/checkpoint", in);
	to[0] = 0;
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (strlen(e->d_name) == 16 && (!to[0] || strcmp(e->d_name, to + strlen("checkpoint/")) > 0))
			snprintf(to, 40, "checkpoint/%.16s", e->d_name);
	if (dir)
		closedir(dir);
}

/* For mqctl check --repair: everything that can be made from the records is wrong. */
void make_derived_damaged(const char *to)
{
	char name[40];
	uint64_t end, active;

	live_until(to, one_odd, &end, &active);
	segment_name(name, 0);
	spoil(to, name, 30);
	segment_index_name(name, 0);
	put_file(to, name, 1000, "not an index");
	segment_index_name(name, active);
	put_file(to, name, 1000, "not an index");
	segment_index_name(name, active + 64 * WORK_SEGMENT);
	put_file(to, name, 1000, "no segment has it");
	newest_checkpoint(to, name);
	spoil(to, name, 30);
	leave_litter(to);
	remove_file(to, "lost/0000000000000000.0");
	remove_file(to, "lost");
	did.rotten = 4;
}

/* In lost/, the record of a log that parted from this one nobody knows where. */
static void leave_parted(const char *to)
{
	uint8_t bytes[IDENTITY_SIZE], header[RECORD_HEADER];
	struct record r = {.type = RECORD_MESSAGES, .pos = 4096, .epoch = STRANGE_EPOCH, .queue = (uint64_t)1 << QUEUE_BITS, .prev = 1};
	struct identity id;
	int fd = open_in(to, IDENTITY_FILE);

	if (pread(fd, bytes, sizeof bytes, 0) != sizeof bytes || identity_decode(&id, bytes, sizeof bytes))
		abort();
	close(fd);
	r.body_sum = record_body_sum(id.secret, &(struct iovec){"", 0}, 1);
	record_encode(&r, id.secret, header);
	fd = open_in(to, "lost/" STRANGE_FILE);
	if (pwrite(fd, header, sizeof header, 0) != sizeof header)
		abort();
	close(fd);
}

/* For the tools: all of the above, a command that has rotted, and an index. */
void make_damaged(const char *to)
{
	char name[40];

	make_torn(to);
	segment_name(name, 0);
	spoil(to, name, SEGMENT_HEADER + 300);
	segment_index_name(name, 0);
	put_file(to, name, 1000, "not an index");
	leave_parted(to);
}

void make_many(const char *to)
{
	work_many();
	scratch_copy(scratch_path, to);
}
