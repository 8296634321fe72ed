/* SPDX-License-Identifier: Apache-2.0 */
/* The scrub: what it reads, what it finds, where it goes on, and what is made again because of it. */
#include "checkpoint.h"
#include "index.h"
#include "keeper.h"
#include "scratch.h"
#include "scrub.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MESSAGES 60
#define LENGTH 200u
#define WHOLE UINT64_MAX
#define DO(call) ({ struct command *c = command_new_waited(); command_wait(c, call); })

static struct store_options options;
static struct store *store;
static struct scrub *scrub;
static struct scrub_status now;
static char why[STORE_WHY], said[4096];

static void say(void *ctx, int priority, const char *text)
{
	size_t len = strlen(said);

	(void)ctx, (void)priority;
	snprintf(said + len, sizeof said - len, "%s\n", text);
}

static void open_store(void)
{
	cr_assert_eq(store_open(&store, scratch_path, &options, why), 0, "%s", why);
	cr_assert_eq(scrub_new(&scrub, store), 0);
}

static void close_store(void)
{
	scrub_free(scrub);
	store_stop(store);
	store_close(store);
}

static void append(struct topic *t, int n)
{
	char text[LENGTH + 1];
	struct iovec iov = {text, LENGTH};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place place;

	memset(text, 'a' + n % 26, LENGTH);
	text[LENGTH - 1] = '\n';
	cr_assert_eq(store_append(topic_queue(t, 0), &b, &place), 0);
}

/* Several segments, sealed but for the last, and two checkpoints. */
static void setup(void)
{
	struct topic *t;

	scratch_init_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	store_options_normal(&options);
	options.segment_size = 4u << 10;
	options.say = say;
	open_store();
	cr_assert_eq(DO(store_mkdir(store, c, "t", &(struct owner){0, 0, 0755})), 0);
	t = topic_find(store, "t");
	for (int n = 0; n < MESSAGES; n++) {
		append(t, n);
		if (n == MESSAGES / 2)
			cr_assert_eq(DO(store_set_queues(store, c, t, 2)), 0);
	}
	topic_put(t);
	close_store();
	said[0] = 0;
	open_store();
}

static void teardown(void)
{
	close_store();
	scratch_end();
}

TestSuite(scrub, .init = setup, .fini = teardown, .timeout = 60);

static int passes(void)
{
	int err;

	while ((err = scrub_step(scrub, WHOLE)) > 0)
		;
	scrub_status(scrub, &now);
	return err;
}

static void flip(const char *path, uint64_t at)
{
	int fd = disk_open(scratch.under, path, O_RDWR, 0);
	uint8_t byte;

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(disk_read(scratch.under, fd, &byte, 1, at), 0);
	byte ^= 0x10;
	cr_assert_eq(disk_write(scratch.under, fd, &byte, 1, at), 0);
	disk_close(scratch.under, fd);
}

/* The segment's base that comes NTH. */
static uint64_t base_of(unsigned nth)
{
	struct segment *s = segments_first(store->segments);
	uint64_t base;

	while (nth--)
		s = segment_next(s);
	base = s->head.base;
	segment_put(s);
	return base;
}

static void flip_segment(unsigned nth, uint64_t at)
{
	char name[32];

	segment_name(name, base_of(nth));
	flip(name, at);
}

Test(scrub, a_sound_store_is_read_to_its_end)
{
	cr_assert_eq(passes(), 0);
	cr_assert_eq(now.found, 0, "%s", said);
	cr_assert_eq(now.passes, 1);
	cr_assert_eq(now.pos, store_committed(store));
	cr_assert_geq(now.bytes, now.pos - segments_start(store->segments));
	cr_assert(!now.under_way);
	cr_assert_gt(now.ended, 0);
	cr_assert_str_empty(said);
}

Test(scrub, each_kind_of_damage_is_found_and_told_once)
{
	flip_segment(0, 30);                                             /* its header */
	flip_segment(1, SEGMENT_HEADER + 20);                            /* a record's header */
	flip_segment(2, SEGMENT_HEADER + RECORD_HEADER + 20);            /* a body */
	cr_assert_eq(passes(), 0);
	cr_assert_eq(now.found, 3, "%s", said);
	cr_assert_eq(store->damaged, 3);
	cr_assert_eq(store->damage[0].kind, DAMAGE_HEADER);
	cr_assert_eq(store->damage[0].pos, base_of(0));
	cr_assert_eq(store->damage[1].kind, DAMAGE_RECORD);
	cr_assert_eq(store->damage[1].pos, base_of(1));
	cr_assert_eq(store->damage[2].pos, base_of(2));
	cr_assert(strstr(said, "a record's body"));
	said[0] = 0;
	cr_assert_eq(passes(), 0);
	cr_assert_eq(now.found, 3);
	cr_assert_eq(now.passes, 2);
	cr_assert_eq(store->damaged, 3);
	cr_assert_str_empty(said);
}

Test(scrub, a_segment_that_is_cut_short_or_gone_is_found)
{
	char name[32];
	int fd;

	segment_name(name, base_of(1));
	fd = disk_open(scratch.under, name, O_RDWR, 0);
	cr_assert_eq(disk_truncate(scratch.under, fd, SEGMENT_HEADER + 700), 0);
	disk_close(scratch.under, fd);
	segment_name(name, base_of(2));
	cr_assert_eq(disk_unlink(scratch.under, name), 0);
	cr_assert_eq(passes(), 0);
	cr_assert(strstr(said, "the end of a segment"), "%s", said);
	cr_assert(strstr(said, "a segment that cannot be read") || strstr(said, "a segment's header"), "%s", said);
	cr_assert_eq(now.passes, 1);
}

Test(scrub, it_reads_in_steps_and_a_pass_ends_although_more_is_appended)
{
	struct topic *t = topic_find(store, "t");
	int steps = 0;

	while (scrub_step(scrub, 1) > 0) {
		append(t, steps++);
		cr_assert_lt(steps, 4 * MESSAGES);
	}
	scrub_status(scrub, &now);
	cr_assert_gt(steps, MESSAGES / 2);
	cr_assert_eq(now.passes, 1);
	cr_assert_eq(now.found, 0);
	topic_put(t);
}

/* What is read in one second's work; how long that is to take, in AFTER. */
static uint64_t worked(uint64_t *log_seen, int64_t *after)
{
	uint64_t before = now.bytes;

	*after = -commit_clock();
	*after += scrub_work(scrub, log_seen);
	scrub_status(scrub, &now);
	return now.bytes - before;
}

Test(scrub, it_reads_at_its_rate_and_at_a_quarter_of_it_while_messages_come_in)
{
	const uint64_t rate = 1600, record = LENGTH + RECORD_HEADER;
	struct topic *t = topic_find(store, "t");
	uint64_t log_seen = log_end(store->log), bytes;
	int64_t after;

	store->options.scrub_rate = rate;
	while (!now.bytes) {
		cr_assert_eq(scrub_step(scrub, 1), 1);
		scrub_status(scrub, &now);
	}
	bytes = worked(&log_seen, &after);
	cr_assert(bytes >= rate && bytes < rate + record, "%lu", bytes);
	cr_assert_geq(after, (int64_t)((double)bytes * 1e9 / (double)rate));
	append(t, 0);
	bytes = worked(&log_seen, &after);
	cr_assert(bytes >= rate / 4 && bytes < rate / 4 + record, "%lu", bytes);
	cr_assert_geq(after, 1000000000);
	cr_assert_geq(worked(&log_seen, &after), rate, "nothing came meanwhile");
	cr_assert_eq(passes(), 0);
	cr_assert_eq(worked(&log_seen, &after), 0);
	cr_assert_geq(after, 3000 * INT64_C(1000000000), "the next pass is due in a week");
	topic_put(t);
}

Test(scrub, segments_that_go_meanwhile_are_no_damage)
{
	struct segment *s;
	char name[32];

	cr_assert_eq(scrub_step(scrub, 1), 1);
	for (int n = 0; n < 2; n++) {
		s = segments_take_first(store->segments);
		segment_name(name, s->head.base);
		segment_wait_unused(s);
		cr_assert_eq(disk_unlink(scratch.under, name), 0);
	}
	cr_assert_eq(passes(), 0);
	cr_assert_eq(now.found, 0, "%s", said);
	cr_assert_eq(now.passes, 1);
}

static void until(bool (*thing)(uint64_t), uint64_t what)
{
	int64_t give_up = commit_clock() + 20000000000;

	while (!thing(what)) {
		cr_assert_lt(commit_clock(), give_up, "nobody comes to it");
		usleep(1000);
	}
}

/* As if by the next process. */
static void restart(void)
{
	scrub_stop(scrub);
	close_store();
	open_store();
}

Test(scrub, the_next_start_goes_on_at_the_segment_where_it_was)
{
	uint64_t at = base_of(2);

	do {
		cr_assert_eq(scrub_step(scrub, 1), 1);
		scrub_status(scrub, &now);
	} while (now.pos <= at);
	restart();
	scrub_status(scrub, &now);
	cr_assert(now.under_way);
	cr_assert_eq(now.pos, at);
	cr_assert_eq(passes(), 0);
	cr_assert_eq(now.found, 0, "%s", said);
	restart();
	scrub_status(scrub, &now);
	cr_assert_eq(now.passes, 1);
	cr_assert(!now.under_way);
}

Test(scrub, a_damaged_place_begins_again)
{
	cr_assert_eq(scrub_step(scrub, 4096), 1);
	scrub_stop(scrub);
	close_store();
	flip("scrub", 18);
	open_store();
	scrub_status(scrub, &now);
	cr_assert(!now.under_way);
	cr_assert_eq(now.pos, 0);
	cr_assert_eq(passes(), 0);
	cr_assert_eq(now.passes, 1);
}

static bool passed(uint64_t count)
{
	struct store_status st;

	store_status(store, &st);
	return st.scrub.passes >= count;
}

Test(scrub, a_store_scrubs_itself_when_it_has_not_for_a_week)
{
	scrub_free(scrub);
	store_stop(store);
	store_close(store);
	options.scrub_rate = 8u << 20;
	open_store();
	until(passed, 1);
	restart();
	cr_assert(passed(1));
	cr_assert(!passed(2));
}

static const struct disk_ops *disk_ops;
static _Atomic bool no_descriptor;
static _Atomic int lists;              /* of checkpoints */

static int count_lists(struct disk *d, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	bool of_checkpoints = !strcmp(path, "checkpoint");

	lists += of_checkpoints;
	return of_checkpoints && no_descriptor ? -EMFILE : disk_ops->list(d, path, each, ctx);
}

static bool listed(uint64_t count)
{
	return (uint64_t)lists >= count;
}

Test(scrub, an_order_whose_pass_could_not_begin_stands)
{
	struct disk_ops ops;
	int64_t began;

	cr_assert_eq(passes(), 0);               /* the next one is due in a week */
	restart();
	scrub_free(scrub);
	disk_ops = store->disk->ops;
	ops = *disk_ops;
	ops.list = count_lists;
	store->disk->ops = &ops;
	keeper_stop(store->keeper);
	store->options.scrub_rate = 8u << 20;
	cr_assert_eq(scrub_start(&scrub, store), 0);
	store->scrub = scrub;
	no_descriptor = true;
	began = commit_clock();
	cr_assert(store_scrub(store));
	until(listed, 2);
	cr_assert_leq(lists, (commit_clock() - began) / 1000000000 + 2, "it is tried once a second");
	no_descriptor = false;
	until(passed, 2);
	scrub_stop(scrub);
	store->scrub = NULL;
	store->disk->ops = disk_ops;
}

static bool index_is_right(uint64_t base)
{
	struct index *x;
	bool right;

	if (index_open(store->disk, store->id.secret, base, &x))
		return false;
	right = index_check(x) == 0;
	index_close(x);
	return right;
}

static bool index_is_used(uint64_t base)
{
	struct segment *s = segments_find(store->segments, base);
	bool used = !segment_wants_index(s);
	struct index *x;

	used = used && segment_index(s, &x) == 0;
	segment_put(s);
	return used;
}

static void index_rots(uint64_t base)
{
	char name[40];

	segment_index_name(name, base);
	flip(name, 2 * 4096 + 3);                /* its entries, which opening it does not read */
	cr_assert(!index_is_right(base));
	cr_assert_eq(passes(), 0);
	cr_assert_eq(now.found, 1);
	cr_assert_eq(store->damage[0].kind, DAMAGE_INDEX);
	until(index_is_right, base);
	until(index_is_used, base);              /* nobody else holds it, so the new one comes to be */
	cr_assert_eq(passes(), 0);
	cr_assert_eq(now.found, 0);
}

Test(scrub, a_damaged_index_is_made_again)
{
	index_rots(base_of(1));
}

Test(scrub, and_once_more_when_it_is_damaged_once_more)
{
	index_rots(base_of(1));
	index_rots(base_of(1));
	cr_assert_eq(store->damages, 1, "it is the same place");
}

static bool checkpoint_is_right(uint64_t pos)
{
	struct checkpoint_info info;

	return checkpoint_check(store->disk, store->id.secret, pos, &info) == 0;
}

/* The newest one. */
static void checkpoint_rots(void)
{
	uint64_t pos[8];
	size_t count;
	char name[40];

	cr_assert_eq(checkpoint_list(store->disk, pos, 8, &count), 0);
	cr_assert_geq(count, 1);
	snprintf(name, sizeof name, "checkpoint/%016llx", (unsigned long long)pos[0]);
	flip(name, 60);
	cr_assert_eq(passes(), 0);
	cr_assert_eq(store->damage[0].kind, DAMAGE_CHECKPOINT);
	until(checkpoint_is_right, store_committed(store));
}

Test(scrub, a_damaged_checkpoint_gets_a_successor)
{
	checkpoint_rots();
}

Test(scrub, and_so_does_one_that_was_made_at_the_same_place)
{
	checkpoint_rots();
	checkpoint_rots();
	checkpoint_rots();
	cr_assert_leq(store->damages, 2);
}

static void cut_file(const char *path, uint64_t len)
{
	int fd = disk_open(scratch.under, path, O_RDWR, 0);

	cr_assert_eq(disk_truncate(scratch.under, fd, len), 0);
	disk_close(scratch.under, fd);
}

/* Bytes of the queue that can be read, each of them right. */
static uint64_t readable(void)
{
	static char bytes[MESSAGES * LENGTH];
	struct topic *t = topic_find(store, "t");
	uint64_t at = 0, count = 0;
	struct reader *r;
	struct slice slice;
	ssize_t n = 1;

	cr_assert_eq(reader_new(&r, store, topic_queue(t, 0)), 0);
	while (at < MESSAGES * LENGTH && n) {
		slice_init(&slice);
		n = reader_read(r, at, LENGTH - at % LENGTH, &slice);
		if (n > 0)
			cr_assert_eq(slice_copy(&slice, bytes), 0);
		slice_free(&slice);
		for (ssize_t i = 0; i < n; i++)
			cr_assert_eq(bytes[i], (at + (uint64_t)i) % LENGTH == LENGTH - 1 ? '\n' : 'a' + (char)(at / LENGTH % 26));
		count += n > 0 ? (uint64_t)n : 0;
		cr_assert(n >= 0 || (n == -EIO && reader_behind(r) > at));
		at = n > 0 ? at + (uint64_t)n : reader_behind(r);
	}
	reader_free(r);
	topic_put(t);
	return count;
}

/* Its pages are mapped, and gone: reading them is a SIGBUS. */
Test(scrub, a_file_cut_short_under_a_running_store_is_damage_and_no_crash)
{
	char name[40];

	cr_assert_eq(readable(), MESSAGES * LENGTH);
	segment_name(name, base_of(1));
	cut_file(name, 4096);
	segment_index_name(name, base_of(0));
	cut_file(name, 4096);
	cr_assert_lt(readable(), MESSAGES * LENGTH);
	cr_assert_gt(readable(), MESSAGES * LENGTH / 2);
	cr_assert_geq(store->damaged, 2);
	cr_assert_eq(passes(), 0);
	cr_assert_geq(now.found, 1);
	until(index_is_right, base_of(0));
}

/* The pages that are in the cache of a file. */
static size_t cached(const char *path, size_t len)
{
	unsigned char there[64];
	size_t pages = (len + 4095) / 4096, n = 0;
	int fd = disk_open(scratch.under, path, O_RDONLY, 0);
	void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

	cr_assert_neq(map, MAP_FAILED);
	cr_assert_eq(mincore(map, len, there), 0);
	for (size_t i = 0; i < pages; i++)
		n += there[i] & 1;
	munmap(map, len);
	disk_close(scratch.under, fd);
	return n;
}

Test(disk, a_read_once_leaves_in_the_cache_only_what_was_there)
{
	enum { LEN = 32 * 4096 };
	static char bytes[LEN];
	int fd;

	scratch_init_in("/var/tmp");             /* not on a tmpfs, which is a cache itself */
	fd = disk_open(scratch.under, "f", O_RDWR | O_CREAT, 0600);
	memset(bytes, 'x', LEN);
	cr_assert_eq(disk_write(scratch.under, fd, bytes, LEN, 0), 0);
	cr_assert_eq(disk_sync(scratch.under, fd), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (cached("f", LEN) == 0) {             /* else the file system under it does not let go */
		posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
		cr_assert_eq(disk_read(scratch.under, fd, bytes, 4096, 8 * 4096), 0);
		cr_assert_eq(cached("f", LEN), 1);
		memset(bytes, 0, LEN);
		cr_assert_eq(disk_read_once(scratch.under, fd, bytes, LEN - 5000, 5000), 0);
		cr_assert_eq(bytes[LEN - 5001], 'x');
		cr_assert_eq(cached("f", LEN), 1);
	}
	disk_close(scratch.under, fd);
	scratch_end();
}
