/* SPDX-License-Identifier: Apache-2.0 */
/* What retention takes by age and by size, what it leaves, and that segments go with their messages. */
#include "checkpoint.h"
#include "damage.h"
#include "retain_rig.h"
#include "spans.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

TestSuite(retain, .init = rig_begin, .fini = rig_end);

Test(retain, without_a_limit_everything_stays)
{
	struct topic *t = make("orders", 1);

	append(t, 500);
	cr_assert_eq(keep(now() + 1000000 * HOUR), 0);
	cr_assert_eq(topic_queue(t, 0)->head, 0);
	cr_assert_eq(retain_next(s, now()), INT64_MAX);
	topic_put(t);
}

Test(retain, messages_go_at_their_age_and_segments_with_them)
{
	struct topic *t = make("orders", 2);

	set(t, SETTING_RETENTION_AGE, "1h");
	append(t, 500);
	cr_assert_eq(keep(now() + HOUR / 2), 0);
	cr_assert_eq(retained(t), 500 * BODY);
	cr_assert_gt(keep(now() + 2 * HOUR), 5);
	cr_assert_eq(retained(t), 0);
	cr_assert_eq(segments_count(s->segments), 1);
	topic_put(t);
}

Test(retain, age_is_exact_to_the_record)
{
	struct topic *t = make("orders", 3);
	int64_t between;

	set(t, SETTING_RETENTION_AGE, "1h");
	append(t, 300);
	between = now();
	append(t, 150);
	keep(between + HOUR);
	for (uint32_t n = 0; n < 3; n++) {
		cr_assert_eq(topic_queue(t, n)->head, 100 * BODY);
		head_is_readable(s, topic_queue(t, n));
	}
	topic_put(t);
}

Test(retain, an_idle_store_sleeps_until_something_comes_of_age)
{
	struct topic *t = make("orders", 1);
	int64_t before, next;

	set(t, SETTING_RETENTION_AGE, "1h");
	keep(now());
	cr_assert_eq(retain_next(s, now()), INT64_MAX);
	before = now();
	append(t, 1);
	keep(before + 2);
	next = retain_next(s, now());
	cr_assert_leq(next, now() + HOUR);
	keep(next);
	cr_assert_geq(retain_next(s, next), before + HOUR);
	keep(now() + HOUR + HOUR / 10);
	cr_assert_eq(retained(t), 0);
	cr_assert_eq(retain_next(s, now()), INT64_MAX);
	topic_put(t);
}

Test(retain, a_clock_that_was_ahead_for_a_moment_keeps_nothing_longer)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_AGE, "1h");
	keep(now() + 1000 * HOUR);
	append(t, 500);
	keep(now());
	cr_assert_leq(retain_next(s, now()), now() + HOUR);
	keep(now() + 2 * HOUR);
	cr_assert_eq(retained(t), 0);
	topic_put(t);
}

/* Flips a bit in the header of the first queue's last record. */
static void damage_last(struct topic *t)
{
	uint64_t pos = topic_queue(t, 0)->last_pos, base = log_active(s->log);
	char name[32];
	uint8_t byte;
	int fd;

	segment_name(name, base);
	cr_assert_geq(fd = disk_open(s->disk, name, O_RDWR, 0), 0);
	cr_assert_eq(disk_read(s->disk, fd, &byte, 1, SEGMENT_HEADER + pos - base), 0);
	byte ^= 4;
	cr_assert_eq(disk_write(s->disk, fd, &byte, 1, SEGMENT_HEADER + pos - base), 0);
	disk_close(s->disk, fd);
}

Test(retain, a_message_whose_age_cannot_be_read_goes_at_its_age_too)
{
	struct topic *t = make("orders", 1);
	int64_t when;

	set(t, SETTING_RETENTION_AGE, "1h");
	append(t, 1);
	when = now();
	damage_last(t);
	append(t, 10);
	keep(when + HOUR / 2);
	cr_assert_eq(retained(t), 11 * BODY);
	keep(when + HOUR + HOUR / 10);
	cr_assert_eq(retained(t), 0);
	topic_put(t);
}

Test(retain, a_shorter_age_counts_at_once)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_AGE, "30d");
	append(t, 10);
	keep(now() + HOUR);
	cr_assert_eq(retained(t), 10 * BODY);
	set(t, SETTING_RETENTION_AGE, "1m");
	keep(now() + HOUR);
	cr_assert_eq(retained(t), 0);
	topic_put(t);
}

Test(retain, of_more_than_its_size_a_topic_loses_the_oldest)
{
	struct topic *t = make("orders", 4);

	append(t, 400);
	set(t, SETTING_RETENTION_SIZE, "400000");
	cr_assert_gt(keep(now()), 1);
	cr_assert_eq(retained(t), 100 * BODY);
	for (uint32_t n = 0; n < 4; n++) {
		cr_assert_eq(topic_queue(t, n)->head, 75 * BODY);
		head_is_readable(s, topic_queue(t, n));
	}
	append(t, 1);
	keep(now());
	cr_assert_eq(retained(t), 100 * BODY);
	cr_assert_eq(topic_queue(t, 0)->head, 76 * BODY);
	cr_assert_eq(topic_queue(t, 1)->head, 75 * BODY);
	topic_put(t);
}

Test(retain, the_size_of_many_queues_is_cut_to_not_much_less)
{
	struct topic *t = make("orders", 100);

	append(t, 1000);
	set(t, SETTING_RETENTION_SIZE, "2000000");
	keep(now());
	cr_assert_leq(retained(t), 2000000);
	cr_assert_geq(retained(t), 2000000 - 2000000 / 64 - BODY);
	topic_put(t);
}

Test(retain, what_the_other_node_has_not_got_stays)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_SIZE, "400000");
	append(t, 500);
	store_hold(s, 0);
	cr_assert_eq(keep(now()), 0);
	store_hold(s, UINT64_MAX);
	cr_assert_gt(keep(now()), 0);
	topic_put(t);
}

static void *keep_now(void *arg)
{
	(void)arg;
	return keep(now()) > 0 ? s : NULL;
}

Test(retain, a_segment_that_is_being_read_waits_with_its_file)
{
	static const char body[64 << 10];      /* long enough to be read in place */
	struct iovec iov = {(void *)body, sizeof body};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1, .flags = RECORD_WRITE};
	struct topic *t = make("orders", 1);
	struct place place;
	struct reader *r;
	struct slice slice;
	struct stat st;
	pthread_t thread;
	char name[32];
	void *gone;

	segment_name(name, 0);
	cr_assert_eq(store_append(topic_queue(t, 0), &b, &place), 0);
	append(t, 500);
	slice_init(&slice);
	cr_assert_eq(reader_new(&r, s, topic_queue(t, 0)), 0);
	cr_assert_eq(reader_read(r, 0, sizeof body, &slice), sizeof body);
	cr_assert_eq(slice.holds, 1);
	set(t, SETTING_RETENTION_SIZE, "400000");
	pthread_create(&thread, NULL, keep_now, NULL);
	while (segments_start(s->segments) == 0)
		sched_yield();
	append(t, 20);                         /* time enough for a file to go */
	cr_assert_eq(disk_stat(s->disk, name, &st), 0);
	slice_free(&slice);
	pthread_join(thread, &gone);
	cr_assert_eq(gone, s);
	cr_assert_eq(disk_stat(s->disk, name, &st), -ENOENT);
	reader_free(r);
	topic_put(t);
}

Test(retain, a_segment_waits_for_two_checkpoints)
{
	struct topic *t = make("orders", 1);
	bool need;
	uint64_t applied;

	append(t, 300);
	seal_committed(s);
	set(t, SETTING_RETENTION_AGE, "1s");
	cr_assert_eq(retain_run(s, now() + HOUR, &need), 0);
	cr_assert(need);
	cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	applied = s->applied;
	cr_assert_eq(retain_run(s, now() + HOUR, &need), 0);
	cr_assert(need);
	cr_assert_gt(s->applied, applied, "the next checkpoint would be the same one");
	cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	cr_assert_gt(retain_run(s, now() + HOUR, &need), 0);
	cr_assert_not(need);
	topic_put(t);
}

Test(retain, one_damaged_checkpoint_of_two_does_not_count)
{
	struct topic *t = make("orders", 1);
	char name[64];
	uint64_t pos;
	size_t count;
	bool need;

	append(t, 300);
	seal_committed(s);
	set(t, SETTING_RETENTION_AGE, "1s");
	retain_run(s, now() + HOUR, &need);
	keeper_checkpoint(s->keeper);
	retain_run(s, now() + HOUR, &need);
	keeper_checkpoint(s->keeper);
	cr_assert_eq(checkpoint_list(s->disk, &pos, 1, &count), 0);
	snprintf(name, sizeof name, "checkpoint/%016" PRIx64, pos);
	cr_assert_eq(disk_replace(s->disk, name, "damaged", 7, 0600), 0);
	cr_assert_eq(retain_run(s, now() + HOUR, &need), 0);
	cr_assert(need);
	topic_put(t);
}

Test(retain, a_topic_without_a_limit_pins_what_lies_beside_it)
{
	struct store_status st;
	struct topic *old = make("old", 1), *t = make("orders", 1);
	struct pin pins[4];

	append(old, 1);
	append(t, 300);
	set(t, SETTING_RETENTION_AGE, "1s");
	cr_assert_eq(keep(now() + HOUR), 0);
	cr_assert_eq(retained(t), 0);
	cr_assert_eq(segments_start(s->segments), 0);
	segments_trim(s->segments, 0);
	cr_assert_not(retain_pins(s));
	cr_assert_eq(store_pins(s, pins, 4), 1);
	cr_assert_str_eq(pins[0].topic, "old");
	cr_assert_gt(pins[0].bytes, 100000);
	cr_assert_eq(retain_pinned(s), pins[0].bytes);
	cr_assert_eq(segments_trim(s->segments, HOUR), 0, "what was asked of all segments does not stay mapped");
	store_status(s, &st);
	cr_assert_eq(st.retained_pinned, pins[0].bytes);

	cr_assert_eq(DO(store_set_retired(s, c, old, true)), 0);
	cr_assert_eq(DO(store_rmdir(s, c, old)), 0);
	cr_assert_not(retain_pins(s));
	cr_assert_eq(store_pins(s, pins, 4), 0);
	cr_assert_gt(keep(now() + HOUR), 1);
	topic_put(old);
	topic_put(t);
}

static uint64_t pinned(void)
{
	cr_assert_not(retain_pins(s));
	return retain_pinned(s);
}

static void raise_head(struct topic *t, uint64_t head)
{
	cr_assert_eq(DO(store_set_heads(s, c, &(struct head_move){topic_queue(t, 0)->id, head}, 1)), 0);
}

Test(retain, what_keeps_a_segment_is_looked_at_again_once_it_does_not)
{
	struct topic *x = make("x", 1), *y = make("y", 1);
	struct pin pins[4];

	append(x, 1);
	append(y, 60);
	append(x, 10);
	cr_assert_eq(seal_committed(s), 0);
	cr_assert_gt(pinned(), 0);
	cr_assert_eq(store_pins(s, pins, 4), 0, "both keep it");
	set(x, SETTING_RETENTION_AGE, "1h");
	cr_assert_eq(pinned(), 0, "x has a limit, and will go");
	raise_head(x, BODY);
	cr_assert_gt(pinned(), 0);
	cr_assert_eq(store_pins(s, pins, 4), 1);
	cr_assert_str_eq(pins[0].topic, "y");
	raise_head(y, 60 * BODY);
	cr_assert_eq(pinned(), 0, "nobody keeps it");
	topic_put(x);
	topic_put(y);
}

static const struct disk_ops *sound;
static unsigned opened;                /* indexes */
static bool slow;

static int counted_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	const struct timespec while_ = {.tv_nsec = 40000000};

	if (strstr(path, ".index")) {
		opened++;
		if (slow)
			nanosleep(&while_, NULL);
	}
	return sound->open(d, path, flags, mode);
}

static void count_opens(void)
{
	static struct disk_ops ops;

	sound = s->disk->ops;
	ops = *sound;
	ops.open = counted_open;
	s->disk->ops = &ops;
}

Test(retain, a_segment_is_opened_once_to_tell_who_keeps_it)
{
	struct topic *t = make("orders", 2);
	struct store_status st;
	struct pin pins[4];

	append(t, 300);
	seal_committed(s);
	count_opens();
	cr_assert_gt(pinned(), 0);
	cr_assert_eq(opened, segments_count(s->segments) - 1);
	pinned();
	store_status(s, &st);
	cr_assert_eq(store_pins(s, pins, 4), 1);
	cr_assert_eq(pins[0].bytes, st.retained_pinned);
	cr_assert_eq(opened, segments_count(s->segments) - 1, "neither a second pass opens any, nor whoever asks");
	s->disk->ops = sound;
	topic_put(t);
}

Test(retain, on_a_slow_disk_the_segments_are_looked_at_in_pieces)
{
	struct topic *t = make("orders", 1);
	uint64_t some;
	int pieces = 1;

	append(t, 500);
	seal_committed(s);
	count_opens();
	slow = true;
	cr_assert(retain_pins(s));
	some = retain_pinned(s);
	cr_assert_gt(some, 0);
	while (retain_pins(s))
		pieces++;
	cr_assert_gt(pieces, 1);
	cr_assert_gt(retain_pinned(s), some);
	cr_assert_eq(opened, segments_count(s->segments) - 1);
	s->disk->ops = sound;
	topic_put(t);
}

Test(retain, what_is_left_is_there_after_a_crash)
{
	struct topic *t = make("orders", 2), *again;
	struct store_options o;
	struct store *other;
	char why[STORE_WHY];

	set(t, SETTING_RETENTION_SIZE, "400000");
	for (int i = 0; i < 5; i++) {
		append(t, 300);
		keep(now());
	}
	cr_assert_gt(segments_start(s->segments), 1000000);
	/* What a new process would find if this one were gone. */
	store_options_normal(&o);
	o.read_only = true;
	cr_assert_eq(store_open(&other, scratch_path, &o, why), 0, "%s", why);
	again = topic_find(other, "orders");
	for (uint32_t n = 0; n < 2; n++) {
		cr_assert_eq(topic_queue(again, n)->head, topic_queue(t, n)->head);
		cr_assert_eq(topic_queue(again, n)->committed, topic_queue(t, n)->committed);
		head_is_readable(other, topic_queue(again, n));
	}
	cr_assert_eq(other->damaged, 0);
	topic_put(again);
	store_close(other);
	topic_put(t);
}

Test(retain, segments_that_are_missing_in_front_are_missed_until_every_head_has_passed_them)
{
	struct topic *t = make("orders", 2);
	struct queue *q = topic_queue(t, 0);
	struct reader *r;
	struct slice slice;
	uint64_t head;

	set(t, SETTING_RETENTION_SIZE, "400000");
	append(t, 300);
	keep(now());
	append(t, 300);
	keep(now());
	head = q->head;
	q->head = 0;
	s->unneeded = 0;
	spans_tell_missing(s);
	cr_assert_eq(damage_open(s), 1);
	cr_assert_eq(retain_unneeded(s), 0);
	cr_assert_eq(reader_new(&r, s, q), 0);
	slice_init(&slice);
	cr_assert_eq(reader_read(r, 0, BODY, &slice), -EIO);
	cr_assert_gt(reader_behind(r), 0);
	cr_assert_leq(reader_behind(r), head, "what is there is not passed over");
	cr_assert_gt(reader_read(r, reader_behind(r), BODY, &slice), 0);
	slice_free(&slice);
	reader_free(r);
	keep(now());
	cr_assert_geq(q->head, head);
	cr_assert_gt(retain_unneeded(s), 0);
	cr_assert_eq(damage_open(s), 0);
	topic_put(t);
}

Test(retain, removed_files_are_gone_or_used_again)
{
	struct topic *t = make("orders", 1);
	struct stat st;
	char name[40];

	set(t, SETTING_RETENTION_SIZE, "400000");
	append(t, 1000);
	cr_assert_gt(keep(now()), 10);
	segment_name(name, 0);
	cr_assert_eq(disk_stat(s->disk, name, &st), -ENOENT);
	segment_index_name(name, 0);
	cr_assert_eq(disk_stat(s->disk, name, &st), -ENOENT);
	append(t, 100);
	cr_assert_eq(retained(t), 200 * BODY);
	store_stop(s);
	topic_put(t);
	store_close(s);
	open_store();
	t = topic_find(s, "orders");
	cr_assert_eq(topic_queue(t, 0)->committed, 1100 * BODY);
	head_is_readable(s, topic_queue(t, 0));
	topic_put(t);
}

/* ---- a disk that fails ---- */

static const struct disk_ops *disk_ops;
static int fail_sync, fail_unlink;             /* of log/ and in it, once, with this */
static int fail_checkpoints;                   /* syncs of checkpoint/, all of them */
static int fail_segments;                      /* mappings of segments, all of them */
static int fail_indexes;                       /* and of indexes */
static int fail_rename;                        /* all of them */

static int failing(int *how)
{
	int err = *how;

	*how = 0;
	return err;
}

static int sync_directory(struct disk *d, const char *path)
{
	int err = strcmp(path, "log") == 0 ? failing(&fail_sync) : strcmp(path, "checkpoint") == 0 ? fail_checkpoints : 0;

	return err ? err : disk_ops->sync_directory(d, path);
}

static int unlink_path(struct disk *d, const char *path)
{
	int err = strncmp(path, "log/", 4) == 0 ? failing(&fail_unlink) : 0;

	return err ? err : disk_ops->unlink(d, path);
}

static int map(struct disk *d, int fd, size_t len, const void **at)
{
	int err = len > SEGMENT ? fail_segments : fail_indexes;

	return err ? err : disk_ops->map(d, fd, len, at);
}

static int rename_path(struct disk *d, const char *from, const char *to)
{
	return fail_rename ? fail_rename : disk_ops->rename(d, from, to);
}

static void make_fallible(void)
{
	static struct disk_ops ops;

	disk_ops = s->disk->ops;
	ops = *disk_ops;
	ops.sync_directory = sync_directory;
	ops.unlink = unlink_path;
	ops.map = map;
	ops.rename = rename_path;
	s->disk->ops = &ops;
}

/* They are there, and can be read when descriptors can be had again. */
Test(retain, messages_that_cannot_be_read_for_now_do_not_go_before_their_time)
{
	struct topic *t = make("orders", 1);
	bool need;

	append(t, 1000);
	cr_assert_eq(seal_committed(s), 0);
	segments_trim(s->segments, 0);
	make_fallible();
	fail_segments = -EMFILE;
	set(t, SETTING_RETENTION_SIZE, "400000");
	cr_assert_eq(retain_run(s, now(), &need), -EMFILE);
	cr_assert_eq(retained(t), 1000 * BODY);
	fail_segments = 0;
	keep(now());
	cr_assert_eq(retained(t), 100 * BODY);
	s->disk->ops = disk_ops;
	topic_put(t);
}

/* ---- indexes that are of no use ---- */

static void rot(const char *name, uint64_t at)
{
	int fd = disk_open(s->disk, name, O_RDWR, 0);
	uint8_t byte;

	cr_assert_geq(fd, 0);
	cr_assert_eq(disk_read(s->disk, fd, &byte, 1, at), 0);
	byte ^= 1;
	cr_assert_eq(disk_write(s->disk, fd, &byte, 1, at), 0);
	disk_close(s->disk, fd);
}

/* Opening it does not show what a page of its directory has become; only retention looks there. */
Test(retain, an_index_whose_directory_has_rotted_is_told_and_made_again_and_keeps_nothing)
{
	struct topic *t = make("orders", 1);
	uint64_t from = 0;
	char index[40];

	append(t, 1000);
	cr_assert_eq(seal_committed(s), 0);
	segments_trim(s->segments, 0);
	segment_index_name(index, 0);
	rot(index, 4096 + 17);
	set(t, SETTING_RETENTION_PINNED, "drop");
	s->options.retention_free = UINT64_MAX;
	cr_assert_eq(keep(now()), 0);
	cr_assert_eq(s->damaged, 1);
	cr_assert_eq(seal_rebuild(s, &from), 1);
	cr_assert_gt(keep(now()), 5);
	topic_put(t);
}

/* Only what may pass is waited for. */
Test(retain, an_index_that_cannot_be_made_now_is_tried_again)
{
	struct topic *t = make("orders", 1);
	char first[40], index[40];
	uint64_t from = 0, next;
	struct segment *second;

	append(t, 300);
	cr_assert_eq(seal_committed(s), 0);
	second = segment_next(segments_first(s->segments));
	next = second->head.base;
	segment_put(second);
	segments_trim(s->segments, 0);
	segment_index_name(index, 0);
	rot(index, 0);
	make_fallible();
	fail_indexes = -EMFILE;
	cr_assert_eq(seal_rebuild(s, &from), -EMFILE, "whether it is damaged");
	fail_indexes = 0;
	fail_rename = -ENOSPC;
	cr_assert_eq(seal_rebuild(s, &from), -ENOSPC);
	fail_rename = 0;
	cr_assert_eq(seal_rebuild(s, &from), 1);
	cr_assert_eq(seal_rebuild(s, &from), 0);
	segment_name(first, 0);
	cr_assert_eq(disk_unlink(s->disk, first), 0);
	cr_assert_eq(disk_unlink(s->disk, index), 0);
	segment_index_name(index, next);
	cr_assert_eq(disk_unlink(s->disk, index), 0);
	segments_trim(s->segments, 0);
	from = 0;
	cr_assert_eq(seal_rebuild(s, &from), -ENOENT, "its segment is gone");
	cr_assert_eq(seal_rebuild(s, &from), 1, "that is no reason to leave out the next one");
	cr_assert_eq(seal_rebuild(s, &from), 0);
	s->disk->ops = disk_ops;
	topic_put(t);
}

/* What the run of retention returns in which the first segment is to go, while *HOW is ERR. */
static int remove_first_with(int *how, int err)
{
	bool need;
	int gone;

	make_fallible();
	cr_assert_eq(seal_committed(s), 0);
	for (;;) {
		*how = err;
		gone = retain_run(s, now(), &need);
		*how = 0;
		if (gone || !need)
			return gone;
		cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	}
}

static bool is_there(const char *name)
{
	struct stat st;

	return disk_stat(s->disk, name, &st) == 0;
}

/* Its name may come back, and then the log behind it must be there. */
Test(retain, nothing_goes_behind_a_segment_that_may_not_have_gone_for_good)
{
	struct topic *t = make("orders", 1);
	char second[40];
	bool need;

	set(t, SETTING_RETENTION_SIZE, "400000");
	append(t, 1000);
	cr_assert_eq(remove_first_with(&fail_sync, -EMFILE), -EMFILE);  /* disk.h remembers a sync that failed, but not one that was not begun */
	segment_name(second, segments_start(s->segments));
	cr_assert_eq(retain_run(s, now(), &need), -EIO);
	cr_assert(is_there(second));
	cr_assert_not(is_there("log/filling"));
	s->disk->ops = disk_ops;
	store_stop(s);
	topic_put(t);
	store_close(s);
	open_store();
	keep(now());
	cr_assert_not(is_there(second));
}

Test(retain, a_segment_that_could_not_be_removed_is_tried_again)
{
	struct topic *t = make("orders", 1);
	char first[40];

	set(t, SETTING_RETENTION_SIZE, "400000");
	append(t, 1000);
	segment_name(first, 0);
	cr_assert_eq(remove_first_with(&fail_unlink, -ENOSPC), -ENOSPC);
	cr_assert(is_there(first));
	cr_assert_gt(keep(now()), 5);
	cr_assert_not(is_there(first));
	s->disk->ops = disk_ops;
	topic_put(t);
}

Test(retain, a_segment_whose_file_is_gone_keeps_no_other_one)
{
	struct topic *t = make("orders", 1);
	char first[40];

	set(t, SETTING_RETENTION_SIZE, "400000");
	append(t, 1000);
	segment_name(first, 0);
	cr_assert_eq(disk_unlink(s->disk, first), 0);
	cr_assert_gt(keep(now()), 5);
	topic_put(t);
}

/* They are all there is to be seen, but the ones before them may be all that is on the disk. */
Test(retain, checkpoints_that_may_not_be_on_the_disk_allow_nothing)
{
	struct topic *t = make("orders", 1);
	char first[40];
	bool need;
	int gone;

	set(t, SETTING_RETENTION_SIZE, "400000");
	append(t, 1000);
	segment_name(first, 0);
	make_fallible();
	cr_assert_eq(seal_committed(s), 0);
	fail_checkpoints = -EMFILE;
	while (!(gone = retain_run(s, now(), &need)) && need)
		cr_assert_eq(keeper_checkpoint(s->keeper), -EMFILE);
	cr_assert_eq(gone, -EMFILE);
	cr_assert(is_there(first));
	fail_checkpoints = 0;
	cr_assert_gt(retain_run(s, now(), &need), 0);
	cr_assert_not(is_there(first));
	s->disk->ops = disk_ops;
	topic_put(t);
}
