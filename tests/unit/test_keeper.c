/* SPDX-License-Identifier: Apache-2.0 */
/* When the keeper looks, and when it sleeps. */
#include "checkpoint.h"
#include "log_part.h"
#include "retain_rig.h"
#include "supply.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(keeper, .init = rig_begin, .fini = rig_end, .timeout = 60);

#define LOOK 10000000                  /* ns between two looks of a test */
#define FORGOTTEN 64u
#define QUESTIONS 20                   /* for the disk's space in a second: more than in two looks, and much less than in a hundred */

static const struct disk_ops *disk_ops;
static struct disk_ops ops;            /* the store's, while hooked */
static void (*late)(void);             /* runs once, while the keeper looks for the last time */
static struct topic *late_topic;
static _Atomic int looks;              /* questions for the disk's space: each look of the keeper at everything has some */
static uint64_t room;                  /* bytes that the disk says are free, 0: what is */
static bool no_room;                   /* the quota is used up */
static _Atomic bool no_index;          /* there is no room for one */
static uint64_t forgotten[FORGOTTEN];  /* the bases of the segments that left the page cache */
static _Atomic unsigned forgotten_count;
static _Atomic int64_t ahead;          /* ns that the wall clock is set forward */

int __real_clock_gettime(clockid_t clock, struct timespec *to);
int __wrap_clock_gettime(clockid_t clock, struct timespec *to);

int __wrap_clock_gettime(clockid_t clock, struct timespec *to)
{
	int err = __real_clock_gettime(clock, to);

	if (clock == CLOCK_REALTIME)
		to->tv_sec += ahead / 1000000000;
	return err;
}

static int unmap_late(struct disk *d, const void *at, size_t len)
{
	void (*run)(void) = late;

	late = NULL;
	if (run)
		run();
	return disk_ops->unmap(d, at, len);
}

static int count_looks(struct disk *d, struct disk_space *space)
{
	int err = disk_ops->space(d, space);

	looks++;
	if (room)
		space->free = room;
	return err;
}

static int allocate_none(struct disk *d, int fd, uint64_t size)
{
	return no_room ? -EDQUOT : disk_ops->allocate(d, fd, size);
}

static int rename_no_index(struct disk *d, const char *from, const char *to)
{
	return no_index && strstr(to, ".index") ? -ENOSPC : disk_ops->rename(d, from, to);
}

static int note_forgotten(struct disk *d, int fd)
{
	char of[32], path[256];
	ssize_t n;

	snprintf(of, sizeof of, "/proc/self/fd/%d", fd);
	n = readlink(of, path, sizeof path - 1);
	path[n < 0 ? 0 : n] = 0;
	if (forgotten_count < FORGOTTEN && strrchr(path, '/'))
		forgotten[forgotten_count++] = strtoull(strrchr(path, '/') + 1, NULL, 16);
	return disk_ops->forget(d, fd);
}

static void hook_disk(void)
{
	disk_ops = s->disk->ops;
	ops = *disk_ops;
	ops.unmap = unmap_late;
	ops.space = count_looks;
	ops.allocate = allocate_none;
	ops.rename = rename_no_index;
	ops.forget = note_forgotten;
	s->disk->ops = &ops;
}

static void start_keeper_at(uint64_t checkpoint_pos)
{
	keeper_free(s->keeper);
	cr_assert_eq(keeper_start(&s->keeper, s, checkpoint_pos), 0);
}

static void start_keeper(void)
{
	hook_disk();
	start_keeper_at(0);
}

static void stop_keeper(void)
{
	keeper_stop(s->keeper);
	s->disk->ops = disk_ops;
}

static void pause_between(void)
{
	const struct timespec look = {.tv_nsec = LOOK};

	nanosleep(&look, NULL);
}

static void two_messages(void)
{
	append(late_topic, 2);
}

static bool one_goes(struct queue *q)
{
	for (int n = 0; n < 1000 && !q->head; n++)
		pause_between();
	return q->head == BODY;
}

/* It sleeps without an end where nothing comes of age. What it does last is to unmap what nobody reads any more. */
Test(keeper, what_is_committed_while_the_keeper_falls_asleep_is_seen)
{
	struct topic *kept = make("kept", 1), *t = make("orders", 1);

	set(t, SETTING_RETENTION_SIZE, "4000");
	append(kept, 100);
	head_is_readable(s, topic_queue(kept, 0));
	late_topic = t;
	late = two_messages;
	start_keeper();
	cr_assert(one_goes(topic_queue(t, 0)));
	stop_keeper();
	topic_put(kept);
	topic_put(t);
}

Test(keeper, what_keeps_the_segments_is_known_without_being_asked)
{
	struct topic *t = make("orders", 1);

	append(t, 100);
	cr_assert_eq(retain_pinned(s), 0);
	keeper_free(s->keeper);
	cr_assert_eq(keeper_start(&s->keeper, s, 0), 0);
	for (int n = 0; n < 1000 && !retain_pinned(s); n++)
		pause_between();
	keeper_stop(s->keeper);
	cr_assert_gt(retain_pinned(s), 0);
	topic_put(t);
}

/* Until the keeper has not looked at more than mappings for two seconds. Somebody reads KEPT all the time, where there is one. */
static void wait_quiet(struct queue *kept)
{
	int64_t since = commit_clock();

	for (int before = looks; commit_clock() - since < 2000000000; before = looks) {
		if (kept)
			head_is_readable(s, kept);
		pause_between();
		if (looks != before)
			since = commit_clock();
	}
}

/* Or one would be filled with zeros, and given back, in each look. */
Test(keeper, no_segment_is_prepared_from_what_is_to_stay_free)
{
	struct topic *t = make("orders", 1);

	append(t, 40);
	room = 10 * SEGMENT;
	s->options.retention_free = 20 * SEGMENT;
	start_keeper();
	wait_quiet(NULL);
	cr_assert_eq(supply_ready(s->supply), 0);
	stop_keeper();
	topic_put(t);
}

Test(keeper, a_segment_for_which_there_is_no_room_is_not_tried_again_in_each_tick)
{
	struct topic *t = make("orders", 1);

	store_stop(s);
	store_close(s);
	topic_put(t);
	open_store();
	t = topic_find(s, "orders");
	append(t, 40);
	no_room = true;
	start_keeper();
	wait_quiet(NULL);
	cr_assert_eq(supply_ready(s->supply), 0);
	stop_keeper();
	topic_put(t);
}

static bool goes_under_a_reader(struct queue *q, struct queue *kept)
{
	for (int n = 0; n < 1000 && !q->head; n++) {
		head_is_readable(s, kept);
		pause_between();
	}
	return q->head > 0;
}

/* Messages that may go before their time when the disk is full, but for another node that has not got them yet. */
static struct topic *orders_held(void)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_AGE, "30d");
	append(t, 300);
	room = 4 * SEGMENT;
	s->options.retention_free = 2 * room;
	store_hold(s, 0);
	return t;
}

/* KEPT is behind it, and so never in the way. */
static struct topic *read_kept(void)
{
	struct topic *kept = make("kept", 1);

	append(kept, 100);
	return kept;
}

Test(keeper, what_a_full_disk_refuses_is_seen_though_somebody_reads)
{
	struct topic *t = orders_held(), *kept = read_kept();

	start_keeper();
	wait_quiet(topic_queue(kept, 0));
	cr_assert_eq(topic_queue(t, 0)->head, 0);
	store_hold(s, UINT64_MAX);
	keeper_full(s->keeper);
	cr_assert(goes_under_a_reader(topic_queue(t, 0), topic_queue(kept, 0)));
	stop_keeper();
	topic_put(kept);
	topic_put(t);
}

static void refused(void)
{
	store_hold(s, UINT64_MAX);
	keeper_full(s->keeper);
}

Test(keeper, what_is_refused_while_the_keeper_falls_asleep_is_seen)
{
	struct topic *t = orders_held();

	head_is_readable(s, topic_queue(t, 0));
	late = refused;
	start_keeper();
	for (int n = 0; n < 1000 && !topic_queue(t, 0)->head; n++)
		pause_between();
	cr_assert(!late);
	cr_assert_gt(topic_queue(t, 0)->head, 0);
	stop_keeper();
	topic_put(t);
}

static int questions_a_second(void (*cause)(void))
{
	int64_t began = commit_clock(), took;

	for (looks = 0; (took = commit_clock() - began) < 3000000000; pause_between())
		cause();
	return (int)(looks / (took / 1000000000));
}

static void refuse(void)
{
	keeper_full(s->keeper);
}

Test(keeper, a_full_disk_on_which_nothing_can_go_is_looked_at_once_a_second)
{
	struct topic *t = make("orders", 1);

	append(t, 10);
	room = 4 * SEGMENT;
	s->options.retention_free = 2 * room;
	start_keeper();
	wait_quiet(NULL);
	cr_assert_leq(questions_a_second(refuse), QUESTIONS);
	stop_keeper();
	topic_put(t);
}

Test(keeper, what_comes_of_age_goes_though_somebody_reads)
{
	struct topic *t = make("orders", 1), *kept;

	set(t, SETTING_RETENTION_AGE, "1h");
	append(t, 300);
	kept = read_kept();
	start_keeper();
	wait_quiet(topic_queue(kept, 0));
	cr_assert_eq(topic_queue(t, 0)->head, 0);
	ahead = 2 * HOUR;
	cr_assert(goes_under_a_reader(topic_queue(t, 0), topic_queue(kept, 0)));
	stop_keeper();
	topic_put(kept);
	topic_put(t);
}

/* A start behind it does not look at them. */
Test(keeper, before_a_checkpoint_counts_all_segments_before_its_own_are_sealed)
{
	struct topic *t = make("orders", 1);
	struct segment *g;
	unsigned sealed = 0;

	append(t, 200);
	cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	for (g = segments_first(s->segments); g && g->head.base != log_active(s->log); g = segment_next(g))
		sealed += g->sealed;
	segment_put(g);
	cr_assert_geq(sealed, 2);
	cr_assert_eq(sealed, segments_count(s->segments) - 1);
	topic_put(t);
}

static uint64_t log_reserved(void)
{
	uint64_t bytes;

	pthread_mutex_lock(&s->log->lock);
	bytes = s->log->reserve;
	pthread_mutex_unlock(&s->log->lock);
	return bytes;
}

/* Until as much is to stay in the reserve as two checkpoints and BYTES of indexes take. */
static bool reserves_for_indexes(uint64_t bytes)
{
	uint64_t least = 2 * checkpoint_size(s) + (128u << 10) + bytes;

	for (int n = 0; n < 500 && log_reserved() < least; n++)
		pause_between();
	return log_reserved() >= least;
}

/* Bytes for the indexes of the segments that are full and not sealed. */
static uint64_t unsealed_indexes(void)
{
	struct segment *g = segments_first(s->segments);
	uint64_t bytes = 0;

	for (; g && g->head.base != log_active(s->log); g = segment_next(g))
		bytes += g->sealed ? 0 : runs_memory(g->runs);
	segment_put(g);
	return bytes;
}

Test(keeper, the_reserve_has_room_for_the_indexes_that_a_checkpoint_did_not_wait_for)
{
	struct topic *t = make("orders", 4);
	uint64_t bytes, pos;
	int64_t time;

	append(t, 200);
	bytes = unsealed_indexes();
	cr_assert_gt(bytes, 0);
	hook_disk();
	no_index = true;
	cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	cr_assert_eq(unsealed_indexes(), bytes);
	keeper_checkpoint_info(s->keeper, &pos, &time);
	cr_assert_gt(pos, log_active(s->log));
	start_keeper_at(pos);
	cr_assert(reserves_for_indexes(bytes));
	no_index = false;
	stop_keeper();
	topic_put(t);
}

static bool index_is_made(const char *name)
{
	struct stat st;

	for (int n = 0; n < 500 && disk_stat(s->disk, name, &st) != 0; n++)
		pause_between();
	return disk_stat(s->disk, name, &st) == 0;
}

/* As after a start behind such a checkpoint. */
Test(keeper, the_reserve_has_room_for_an_index_that_is_to_be_made_again)
{
	struct topic *t = make("orders", 4);
	struct segment *first;
	uint64_t bytes, pos;
	int64_t time;
	char name[40];

	append(t, 200);
	first = segments_first(s->segments);
	bytes = runs_memory(first->runs);
	segment_index_name(name, first->head.base);
	segment_put(first);
	cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	cr_assert_eq(disk_unlink(s->disk, name), 0);
	hook_disk();
	no_index = true;
	keeper_checkpoint_info(s->keeper, &pos, &time);
	start_keeper_at(pos);
	cr_assert(reserves_for_indexes(bytes));
	no_index = false;
	cr_assert(index_is_made(name));
	stop_keeper();
	topic_put(t);
}

/* What a look does that begins from now on is done. */
static void let_look(void)
{
	for (int twice = 0; twice < 2; twice++) {
		int before = looks;
		keeper_poke(s->keeper);
		for (int n = 0; n < 500 && looks == before; n++)
			pause_between();
	}
}

/* Segments from FROM on that end so much before the log's end. */
static unsigned far_behind(uint64_t from, uint64_t cache)
{
	struct segment *g = segments_find(s->segments, from);
	unsigned count = 0;

	for (; g->end <= log_end(s->log) - cache; g = segment_next(g))
		count++;
	segment_put(g);
	return count;
}

Test(keeper, a_segment_leaves_the_page_cache_once_when_it_is_far_behind)
{
	struct topic *t = make("orders", 1);
	uint64_t from;
	unsigned count;

	append(t, 100);
	from = log_active(s->log);
	s->options.cache = 2 * SEGMENT;
	start_keeper();
	append(t, 300);
	count = far_behind(from, 2 * SEGMENT);
	for (int n = 0; n < 1000 && forgotten_count < count; n++)
		pause_between();
	let_look();
	cr_assert_gt(count, 1);
	cr_assert_lt(far_behind(from, 2 * SEGMENT), far_behind(from, 0));
	cr_assert_eq(forgotten_count, count);
	for (unsigned n = 1; n < count; n++)
		cr_expect_gt(forgotten[n], forgotten[n - 1]);
	cr_expect_eq(forgotten[0], from);
	stop_keeper();
	topic_put(t);
}

Test(keeper, what_is_read_stays_in_the_page_cache_and_what_is_behind_it)
{
	struct topic *t = make("orders", 1);
	const uint8_t *bytes;
	struct segment *g;
	size_t len;

	g = segments_find(s->segments, log_active(s->log));
	s->options.cache = SEGMENT;
	start_keeper();
	cr_assert_eq(segment_map(g, &bytes, &len), 0);
	append(t, 200);
	let_look();
	cr_assert_gt(far_behind(g->head.base, SEGMENT), 1);
	cr_expect_eq(forgotten_count, 0);
	segment_put(g);
	for (int n = 0; n < 1000 && !forgotten_count; n++) {   /* while messages come in, and the keeper walks over it */
		append(t, 1);
		let_look();
	}
	cr_expect_gt(forgotten_count, 1);
	stop_keeper();
	topic_put(t);
}

Test(keeper, where_the_system_keeps_what_it_likes_nothing_leaves_the_page_cache)
{
	struct topic *t = make("orders", 1);
	uint64_t from = log_active(s->log);

	s->options.cache = 0;
	start_keeper();
	append(t, 200);
	let_look();
	cr_assert_gt(far_behind(from, SEGMENT), 1);
	cr_expect_eq(forgotten_count, 0);
	stop_keeper();
	topic_put(t);
}
