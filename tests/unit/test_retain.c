/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint.h"
#include "damage.h"
#include "keeper.h"
#include "reader.h"
#include "retain.h"
#include "scratch.h"
#include "seal.h"
#include "spans.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HOUR INT64_C(3600000000000)
#define BODY 4000u                     /* bytes of a message */

static struct store *s;

/* The keeper is stopped: the tests do its work, at the times they choose. */
static void open_store(void)
{
	struct store_options o;
	char why[STORE_WHY];

	store_options_normal(&o);
	o.segment_size = 256 << 10;
	cr_assert_eq(store_open(&s, scratch_path, &o, why), 0, "%s", why);
	keeper_stop(s->keeper);
}

static void setup(void)
{
	scratch_init();
	open_store();
}

static void teardown(void)
{
	store_stop(s);
	store_close(s);
	scratch_end();
}

TestSuite(retain, .init = setup, .fini = teardown);

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#define DO(call) ({ struct command *c = command_new_waited(); command_wait(c, call); })

static struct topic *make(const char *name, uint32_t queues)
{
	struct topic *t;

	cr_assert_eq(DO(store_mkdir(s, c, name, &(struct owner){0, 0, 0755})), 0);
	t = topic_find(s, name);
	cr_assert_eq(DO(store_set_queues(s, c, t, queues)), 0);
	return t;
}

static void set(struct topic *t, enum setting_id id, const char *text)
{
	cr_assert_eq(DO(store_set(s, c, t, id, text)), 0);
}

/* COUNT messages to the queues of T in turn; they are committed when it returns. */
static void append(struct topic *t, unsigned count)
{
	static const char body[BODY];
	struct iovec iov = {(void *)body, BODY};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1, .flags = RECORD_WRITE};
	struct place place;

	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(store_append(topic_queue(t, i % t->count), &b, &place), 0);
	cr_assert_eq(DO(store_set_heads(s, c, NULL, 0)), 0);       /* committed with all that is before it */
}

/* The keeper's rounds, until there is nothing more to do. Returns how many segments went. */
static int keep(int64_t at)
{
	int gone = 0;

	for (int round = 0; round < 10; round++) {
		bool need = false;
		cr_assert_eq(seal_committed(s), 0);
		int n = retain_run(s, at, &need);
		cr_assert_geq(n, 0, "%s", strerror(-n));
		gone += n;
		if (!need)
			return gone;
		cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	}
	cr_assert_fail("it never comes to an end");
	return gone;
}

static uint64_t retained(struct topic *t)
{
	uint64_t bytes = 0;

	for (uint32_t n = 0; n < t->count; n++)
		bytes += topic_queue(t, n)->committed - topic_queue(t, n)->head;
	return bytes;
}

/* The message at Q's head is there, with its header and body. */
static void head_is_readable(struct store *of, struct queue *q)
{
	struct reader *r;
	struct record record;
	struct slice slice;

	cr_assert_eq(reader_new(&r, of, q), 0);
	slice_init(&slice);
	cr_assert_eq(reader_load(r, q->head, &record, &slice), 0);
	cr_assert_eq(record.offset, q->head);
	slice_free(&slice);
	reader_free(r);
}

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
	int64_t before;

	set(t, SETTING_RETENTION_AGE, "1h");
	keep(now());
	cr_assert_eq(retain_next(s, now()), INT64_MAX);
	before = now();
	append(t, 1);
	keep(before + 2);
	cr_assert_leq(retain_next(s, now()), now() + HOUR);
	keep(retain_next(s, now()));
	cr_assert_geq(retain_next(s, now()), before + HOUR);
	keep(now() + HOUR + HOUR / 10);
	cr_assert_eq(retained(t), 0);
	cr_assert_eq(retain_next(s, now()), INT64_MAX);
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
	cr_assert_eq(store_pins(s, pins, 4), 1);
	cr_assert_str_eq(pins[0].topic, "old");
	cr_assert_gt(pins[0].bytes, 100000);
	cr_assert_eq(retain_pinned(s), pins[0].bytes);
	store_status(s, &st);
	cr_assert_eq(st.retained_pinned, pins[0].bytes);

	cr_assert_eq(DO(store_set_retired(s, c, old, true)), 0);
	cr_assert_eq(DO(store_rmdir(s, c, old)), 0);
	cr_assert_eq(store_pins(s, pins, 4), 0);
	cr_assert_gt(keep(now() + HOUR), 1);
	topic_put(old);
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

Test(retain, a_full_disk_takes_what_has_a_limit_before_its_time)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_AGE, "30d");
	append(t, 300);
	s->options.retention_free = UINT64_MAX;
	cr_assert_gt(keep(now()), 1);
	cr_assert_gt(topic_queue(t, 0)->head, 0);
	cr_assert_eq(topic_queue(t, 0)->committed, 300 * BODY);
	head_is_readable(s, topic_queue(t, 0));
	topic_put(t);
}

Test(retain, a_full_disk_takes_what_is_pinned_only_where_that_is_allowed)
{
	struct topic *t = make("orders", 1);

	append(t, 300);
	s->options.retention_free = UINT64_MAX;
	cr_assert_eq(keep(now()), 0);
	cr_assert_eq(topic_queue(t, 0)->head, 0);
	set(t, SETTING_RETENTION_PINNED, "drop");
	cr_assert_gt(keep(now()), 1);
	cr_assert_gt(topic_queue(t, 0)->head, 0);
	topic_put(t);
}

Test(retain, a_full_disk_takes_no_more_than_it_has_to)
{
	struct topic *t = make("orders", 1);
	uint64_t start;

	append(t, 300);
	set(t, SETTING_RETENTION_PINNED, "drop");
	s->options.retention_free = 1;
	cr_assert_eq(keep(now()), 0);
	start = segments_start(s->segments);
	cr_assert_eq(start, 0);
	cr_assert_eq(topic_queue(t, 0)->head, 0);
	topic_put(t);
}

static void open_again(void)
{
	struct store_options o;
	char why[STORE_WHY];

	store_stop(s);
	store_close(s);
	store_options_normal(&o);
	o.segment_size = 256 << 10;
	cr_assert_eq(store_open_disk(&s, &scratch.disk, scratch_path, &o, why), 0, "%s", why);
	keeper_stop(s->keeper);
}

/* The disk has no room for another segment. */
static void fill_disk(void)
{
	open_again();
	scratch.kinds = 1u << CALL_ALLOCATE;
	scratch.error = -ENOSPC;
	scratch.stays = true;
	scratch.fail_any = 1;
}

/* Messages to T and then topics, until the disk refuses them. Returns how many topics. */
static int fill_log(struct topic *t)
{
	static const char body[BODY];
	struct iovec iov = {(void *)body, BODY};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1, .flags = RECORD_WRITE};
	struct place place;
	char name[TOPIC_NAME_MAX + 1];
	int made = 0, err = 0;

	while ((err = store_append(topic_queue(t, 0), &b, &place)) == 0)
		;
	cr_assert_eq(err, -ENOSPC);
	for (int width = 120; width > 0; width -= 119)         /* to the last byte */
		for (err = 0; !err; made++) {
			snprintf(name, sizeof name, "%0*d", width, made);
			err = DO(store_mkdir(s, c, name, &(struct owner){0, 0, 0755}));
		}
	cr_assert_eq(err, -ENOSPC);
	return made;
}

static struct topic *find_full(const char *name)
{
	struct topic *t;

	fill_disk();
	t = topic_find(s, name);
	cr_assert_gt(fill_log(t), 10);
	return t;
}

Test(retain, users_of_a_full_disk_leave_room_for_what_frees_some)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_SIZE, "100000");
	topic_put(t);
	t = find_full("orders");
	cr_assert_eq(retain_heads(s, now()), 0);
	cr_assert_leq(retained(t), 100000);
	topic_put(t);
}

Test(retain, what_relieves_a_full_disk_has_room_and_what_does_not_cannot_take_it)
{
	struct topic *t = make("orders", 1), *other = make("others", 1);
	char size[24];

	append(other, 10);
	append(t, 300);
	topic_put(other);
	topic_put(t);
	t = find_full("orders");
	other = topic_find(s, "others");
	set(other, SETTING_RETENTION_SIZE, "1G");
	cr_assert_eq(DO(store_set(s, c, other, SETTING_RETENTION_SIZE, "2G")), -ENOSPC, "less of a limit");
	cr_assert_eq(DO(store_set(s, c, other, SETTING_RETENTION_SIZE, "1023M")), -ENOSPC, "hardly more of it");
	for (uint64_t n = (uint64_t)1 << 30; n >= 1 << 20; n -= n / 4) {
		snprintf(size, sizeof size, "%" PRIu64, n);
		set(other, SETTING_RETENTION_SIZE, size);
	}
	for (int n = 0; n < 1000; n++) {                       /* it is so already */
		set(other, SETTING_RETENTION_SIZE, size);
		cr_assert_eq(DO(store_set_retired(s, c, t, false)), 0);
	}
	cr_assert_eq(DO(store_set_retired(s, c, other, true)), 0);
	cr_assert_eq(DO(store_set_retired(s, c, other, false)), -ENOSPC);
	cr_assert_eq(DO(store_rmdir(s, c, other)), 0);
	set(t, SETTING_RETENTION_SIZE, "100000");
	cr_assert_gt(keep(now()), 0);
	topic_put(other);
	topic_put(t);
}

Test(retain, starts_on_a_full_disk_do_not_use_up_its_last_room)
{
	struct topic *t = make("orders", 1);
	uint64_t end;

	append(t, 300);
	topic_put(t);
	topic_put(find_full("orders"));
	end = log_end(s->log);
	for (int n = 0; n < 10; n++) {
		open_again();
		cr_assert_leq(log_end(s->log), end + record_size(0), "start %d", n);
	}
	t = topic_find(s, "orders");
	set(t, SETTING_RETENTION_SIZE, "100000");
	cr_assert_gt(keep(now()), 0);
	scratch.fail_any = 0;
	scratch.stays = false;
	append(t, 1);
	topic_put(t);
}

Test(retain, heads_move_on_this_node_when_the_log_has_no_room_to_say_so)
{
	struct topic *t = make("orders", 1);
	uint64_t end;
	int err;

	append(t, 300);
	topic_put(t);
	t = find_full("orders");
	set(t, SETTING_RETENTION_SIZE, "100000");
	do {
		struct command *c = command_new_waited();
		c->claim = CLAIM_RELIEF;
		err = command_wait(c, store_set_heads(s, c, NULL, 0));
	} while (!err);
	cr_assert_eq(err, -ENOSPC);
	end = log_end(s->log);
	cr_assert_eq(retain_heads(s, now()), 0);
	cr_assert_eq(log_end(s->log), end);
	cr_assert_leq(retained(t), 100000);
	cr_assert_gt(keep(now()), 0);
	topic_put(t);
}

Test(retain, a_disk_without_room_for_a_segment_is_nearly_full)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_AGE, "30d");
	append(t, 300);
	topic_put(t);
	t = find_full("orders");
	s->options.retention_free = 1;
	scratch.free = SEGMENT_HEADER + (256 << 10);
	cr_assert_eq(keep(now()), 0);
	scratch.free = 100 << 10;
	cr_assert_eq(keep(now()), 1);
	s->options.retention_free = 0;
	cr_assert_eq(keep(now()), 0, "nobody has asked for it");
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
