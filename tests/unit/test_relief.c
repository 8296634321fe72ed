/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that is full, or nearly: what retention takes then, and that whatever frees room always has some. */
#include "checkpoint.h"
#include "retain_rig.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

TestSuite(relief, .init = rig_begin, .fini = rig_end);

Test(relief, a_full_disk_takes_what_has_a_limit_before_its_time)
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

/* The other node of a pair has it not yet, so no segment would go for it. */
Test(relief, a_full_disk_takes_nothing_that_stays_for_the_other_node)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_AGE, "30d");
	append(t, 300);
	s->options.retention_free = UINT64_MAX;
	store_hold(s, 0);
	cr_assert_eq(keep(now()), 0);
	cr_assert_eq(topic_queue(t, 0)->head, 0);
	store_hold(s, UINT64_MAX);
	cr_assert_gt(keep(now()), 1);
	topic_put(t);
}

Test(relief, a_full_disk_takes_what_is_pinned_only_where_that_is_allowed)
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

Test(relief, a_full_disk_takes_no_more_than_it_has_to)
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

static void open_sized(uint64_t segment_size)
{
	struct store_options o;
	char why[STORE_WHY];

	store_stop(s);
	store_close(s);
	store_options_normal(&o);
	o.segment_size = segment_size;
	cr_assert_eq(store_open_disk(&s, &scratch.disk, scratch_path, &o, why), 0, "%s", why);
	keeper_stop(s->keeper);
}

static void open_again(void)
{
	open_sized(SEGMENT);
}

static void allow_no_segment(void)
{
	scratch.kinds = 1u << CALL_ALLOCATE;
	scratch.error = -ENOSPC;
	scratch.stays = true;
	scratch.fail_any = 1;
}

/* The disk has no room for another segment. */
static void fill_disk(void)
{
	open_again();
	allow_no_segment();
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

Test(relief, users_of_a_full_disk_leave_room_for_what_frees_some)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_SIZE, "100000");
	topic_put(t);
	t = find_full("orders");
	cr_assert_eq(retain_heads(s, now()), 0);
	cr_assert_leq(retained(t), 100000);
	topic_put(t);
}

Test(relief, what_relieves_a_full_disk_has_room_and_what_does_not_cannot_take_it)
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

/* One message of T after the other grows old. */
static void grow_old(struct topic *t, unsigned count)
{
	struct queue *q = topic_queue(t, 0);
	struct record record;
	struct reader *r;

	cr_assert_eq(reader_new(&r, s, q), 0);
	for (unsigned n = 0; n < count; n++) {
		cr_assert_eq(reader_record(r, n * BODY, &record), 0);
		t->ages_at = 0;
		cr_assert_eq(retain_heads(s, record.time + HOUR + 1), 0);
		cr_assert_geq(q->head, (n + 1) * BODY);
	}
	reader_free(r);
}

/* They can go without a word in the log; what relieves the disk cannot. */
Test(relief, messages_that_grow_old_on_a_full_disk_leave_room_for_what_relieves_it)
{
	struct topic *t = make("orders", 1), *other = make("others", 1);

	append(other, 10);
	append(t, 600);
	set(t, SETTING_RETENTION_AGE, "1h");
	topic_put(other);
	topic_put(t);
	t = find_full("orders");
	grow_old(t, 600);
	other = topic_find(s, "others");
	cr_assert_eq(DO(store_set_retired(s, c, other, true)), 0);
	topic_put(other);
	topic_put(t);
}

Test(relief, starts_on_a_full_disk_do_not_use_up_its_last_room)
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

/* A disk that messages have filled, and a start of this SEGMENT_SIZE. */
static void can_be_relieved_after_a_start(uint64_t segment_size)
{
	struct topic *t;

	allow_no_segment();
	open_sized(segment_size);
	t = topic_find(s, "orders");
	cr_assert_eq(DO(store_set_retired(s, c, t, true)), 0);
	cr_assert_eq(DO(store_rmdir(s, c, t)), 0);
	cr_assert_gt(keep(now()), 0);
	topic_put(t);
}

Test(relief, behind_a_message_longer_than_a_segment_a_start_finds_the_room_for_what_frees_some)
{
	static const char body[2 * SEGMENT];
	struct iovec iov = {(void *)body, sizeof body};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1, .flags = RECORD_WRITE};
	struct topic *t = make("orders", 1);
	struct place place;

	append(t, 300);
	cr_assert_eq(store_append(topic_queue(t, 0), &b, &place), 0);
	cr_assert_eq(log_active(s->log) + record_size(sizeof body), place.end);
	topic_put(t);
	can_be_relieved_after_a_start(SEGMENT);
}

Test(relief, a_start_with_shorter_segments_finds_the_room_that_the_last_one_has)
{
	struct topic *t = make("orders", 1);

	append(t, 300);
	topic_put(t);
	topic_put(find_full("orders"));
	can_be_relieved_after_a_start(SEGMENT / 2);
}

/* As long as ones of which more is kept than the last one has. */
Test(relief, a_start_with_longer_segments_finds_the_room_that_the_last_one_has)
{
	struct topic *t = make("orders", 1);

	append(t, 300);
	topic_put(t);
	topic_put(find_full("orders"));
	can_be_relieved_after_a_start(256 * SEGMENT);
}

Test(relief, heads_move_on_this_node_when_the_log_has_no_room_to_say_so)
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

Test(relief, a_disk_without_room_for_a_segment_is_nearly_full)
{
	struct topic *t = make("orders", 1);

	set(t, SETTING_RETENTION_AGE, "30d");
	append(t, 300);
	topic_put(t);
	scratch.free = 1;
	t = find_full("orders");
	s->options.retention_free = 1;
	scratch.free = SEGMENT_HEADER + SEGMENT;
	cr_assert_eq(keep(now()), 0);
	scratch.free = 100 << 10;
	cr_assert_eq(keep(now()), 1);
	s->options.retention_free = 0;
	cr_assert_eq(keep(now()), 0, "nobody has asked for it");
	topic_put(t);
}

Test(relief, no_queues_are_added_that_checkpoints_have_no_room_for)
{
	struct topic *t = make("orders", 1);

	topic_put(t);
	fill_disk();
	disk_unlink(scratch.under, RESERVE_FILE);
	t = topic_find(s, "orders");
	append(t, 1);
	cr_assert_eq(DO(store_set_queues(s, c, t, 1024)), -ENOSPC, "although the log has room");
	cr_assert_eq(t->count, 1);
	log_refuse(s->log, -EHOSTDOWN);
	cr_assert_eq(DO(store_set_queues(s, c, t, 1024)), -EHOSTDOWN);
	log_refuse(s->log, 0);
	scratch.fail_any = 0;
	scratch.stays = false;
	cr_assert_eq(DO(store_set_queues(s, c, t, 1024)), 0);
	topic_put(t);
}

static int no_rename(struct disk *d, const char *from, const char *to)
{
	(void)d;
	(void)from;
	(void)to;
	return -ENOSPC;
}

/* Of a full disk. The index is made again when there is room. */
Test(relief, a_checkpoint_needs_no_room_for_an_index)
{
	struct topic *t = make("orders", 1);
	struct segment *first;

	open_again();
	topic_put(t);
	t = topic_find(s, "orders");
	append(t, 100);
	disk_unlink(scratch.under, RESERVE_FILE);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_RENAME] = 1;
	cr_assert_eq(keeper_checkpoint(s->keeper), 0);
	first = segments_first(s->segments);
	cr_assert_not(first->sealed);
	segment_put(first);
	open_again();
	cr_assert_eq(s->damaged, 0);
	topic_put(t);
	t = topic_find(s, "orders");
	head_is_readable(s, topic_queue(t, 0));
	set(t, SETTING_RETENTION_SIZE, "4000");
	cr_assert_gt(keep(now()), 0);
	topic_put(t);
}

static struct queue *refused_queue;
static const struct disk_ops *relief_ops;
static int refused_appends;

/* Somebody is refused whenever a part of the reserve is released. */
static int truncate_and_append(struct disk *d, int fd, uint64_t len)
{
	static const char body[BODY];
	struct iovec iov = {(void *)body, BODY};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1, .flags = RECORD_WRITE};
	struct place place;
	int err = relief_ops->truncate(d, fd, len);

	cr_assert_lt(++refused_appends, 100, "the reserve is made again for ever");
	for (int n = 0; n < 100 && store_append(refused_queue, &b, &place) == 0; n++)
		;
	return err;
}

Test(relief, who_is_refused_does_not_make_the_reserve_again_that_is_spent)
{
	struct topic *t = make("orders", 1);
	struct disk_ops ops;

	append(t, 200);
	log_reserve(s->log, 1 << 20);
	cr_assert_eq(reserve_keep(s->disk, 1 << 20), 0);
	refused_queue = topic_queue(t, 0);
	relief_ops = s->disk->ops;
	ops = *relief_ops;
	ops.truncate = truncate_and_append;
	ops.rename = no_rename;
	s->disk->ops = &ops;
	cr_assert_eq(keeper_checkpoint(s->keeper), -ENOSPC);
	s->disk->ops = relief_ops;
	cr_assert_gt(refused_appends, 0);
	topic_put(t);
}

static int append_one(struct topic *t)
{
	static const char body[BODY];
	struct iovec iov = {(void *)body, BODY};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1, .flags = RECORD_WRITE};
	struct place place;

	return store_append(topic_queue(t, 0), &b, &place);
}

/* The file system says that there is room. */
Test(relief, a_quota_that_is_used_up_takes_a_segment_for_each_refusal)
{
	struct topic *t = make("orders", 1);
	int err;

	set(t, SETTING_RETENTION_AGE, "30d");
	append(t, 300);
	topic_put(t);
	fill_disk();
	scratch.error = -EDQUOT;
	t = topic_find(s, "orders");
	while ((err = append_one(t)) == 0)
		;
	cr_assert_eq(err, -EDQUOT);
	cr_assert_eq(keep(now()), 0, "nobody has asked for it");
	s->options.retention_free = 2 * SEGMENT;
	cr_assert_eq(keep(now()), 1);
	cr_assert_eq(keep(now()), 0, "there may be room");
	cr_assert_eq(append_one(t), -EDQUOT);
	cr_assert_eq(keep(now()), 1);
	topic_put(t);
}
