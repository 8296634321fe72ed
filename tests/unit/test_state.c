/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include "parts.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- replay: a store that has nothing but tables ---- */

static struct store bare;

static void setup(void)
{
	memset(&bare, 0, sizeof bare);
	settings_normal(&bare.options.settings);
	cr_assert_eq(topics_new(&bare.topics, &bare), 0);
}

static void teardown(void)
{
	topics_free(bare.topics);
}

TestSuite(replay, .init = setup, .fini = teardown);

static int apply(uint8_t type, const void *body, size_t length)
{
	struct record r = {.type = type, .length = (uint32_t)length, .pos = bare.applied, .time = (int64_t)bare.applied + 1};

	return state_apply(&bare, &r, body);
}

static int create_with(const char *name, uint32_t mode, uint8_t flags)
{
	uint8_t body[12 + 200];
	struct record r = {.type = RECORD_TOPIC_CREATE, .flags = flags, .length = (uint32_t)(12 + strlen(name)), .pos = bare.applied,
		.time = (int64_t)bare.applied + 1};

	put32(body, 1000);
	put32(body + 4, 100);
	put32(body + 8, mode);
	memcpy(body + 12, name, strlen(name));
	return state_apply(&bare, &r, body);
}

/* As logs of before have it: its id is one more than the last. */
static int create(const char *name, uint32_t mode)
{
	return create_with(name, mode, 0);
}

static int create_at(uint64_t pos, const char *name)
{
	bare.applied = pos;
	return create_with(name, 0755, RECORD_ID_BY_POSITION);
}

static int remove_topic(uint64_t id)
{
	uint8_t body[8];

	put64(body, id);
	return apply(RECORD_TOPIC_REMOVE, body, 8);
}

static int queues(uint64_t id, uint32_t count)
{
	uint8_t body[12];

	put64(body, id);
	put32(body + 8, count);
	return apply(RECORD_TOPIC_QUEUES, body, 12);
}

/* TEXT is "NAME\0VALUE". */
static int set(uint64_t id, const char *text, size_t length)
{
	uint8_t body[100];

	put64(body, id);
	memcpy(body + 8, text, length);
	return apply(RECORD_TOPIC_SET, body, 8 + length);
}
#define SET(id, text) set(id, text, sizeof text)

static int own(uint64_t topic, uint64_t queue, uint32_t mask, uint32_t uid, uint32_t gid, uint32_t mode)
{
	uint8_t body[32];

	put64(body, topic);
	put64(body + 8, queue);
	put32(body + 16, mask);
	put32(body + 20, uid);
	put32(body + 24, gid);
	put32(body + 28, mode);
	return apply(RECORD_OWNER, body, 32);
}

static int heads(uint64_t queue, uint64_t head)
{
	uint8_t body[16];

	put64(body, queue);
	put64(body + 8, head);
	return apply(RECORD_HEADS, body, 16);
}

static int messages(uint64_t queue, uint64_t offset, uint32_t length, uint32_t count, uint8_t flags)
{
	struct record r = {.type = RECORD_MESSAGES, .flags = flags, .length = length, .messages = count, .queue = queue, .offset = offset,
		.pos = bare.applied, .time = 4711};

	return state_apply(&bare, &r, NULL);
}

static struct topic *topic(uint64_t id)
{
	return topic_with_id(bare.topics, id);
}

static struct queue *queue(uint64_t id)
{
	return queue_by_id(&bare, id);
}

#define Q(topic, n) ((uint64_t)(topic) << QUEUE_BITS | (n))

Test(replay, a_topic_is_made_with_queue_0)
{
	cr_assert_eq(create("orders", 0750), 0);
	cr_assert_str_eq(topic(1)->name, "orders");
	cr_assert_eq(topic(1)->owner.uid, 1000);
	cr_assert_eq(topic(1)->owner.mode, 0750);
	cr_assert_eq(topic(1)->count, 1);
	cr_assert_eq(queue(Q(1, 0))->owner.gid, 100);
	cr_assert_eq(queue(Q(1, 0))->owner.mode, 0640);
	cr_assert_eq(topic(1)->born, 1);
}

Test(replay, a_name_is_given_once_and_an_id_never_again)
{
	cr_assert_eq(create("orders", 0755), 0);
	cr_assert_eq(create("orders", 0755), -EEXIST);
	cr_assert_eq(SET(1, "retired\0" "1"), 0);
	cr_assert_eq(remove_topic(1), 0);
	cr_assert_eq(create("orders", 0755), 0);
	cr_assert_null(topic(1));
	cr_assert_str_eq(topic(2)->name, "orders");
}

static uint64_t id_of(const char *name)
{
	struct topic *t = topic_with_name(bare.topics, name, strlen(name));

	return t ? t->id : 0;
}

Test(replay, a_topics_id_comes_from_the_position_of_its_record_not_from_the_topics_before_it)
{
	cr_assert_eq(create("of before", 0755), 0);
	cr_assert_eq(id_of("of before"), 1);
	cr_assert_eq(create_at(6400, "orders"), 0);
	cr_assert_eq(id_of("orders"), 100);
	cr_assert_eq(create_at(6400 + 120, "bills"), 0);
	cr_assert_eq(id_of("bills"), 101);
	cr_assert_eq(create("of before, too", 0755), 0);
	cr_assert_eq(id_of("of before, too"), 102);
	cr_assert_eq(*topics_counter(bare.topics), 102);
}

/* No log has it: each of these topics took more of it. */
Test(replay, an_id_is_never_given_again_whatever_the_position)
{
	*topics_counter(bare.topics) = 1000;
	cr_assert_eq(create_at(6400, "orders"), 0);
	cr_assert_eq(id_of("orders"), 1001);
}

Test(replay, a_position_too_far_for_inode_numbers_makes_no_topic)
{
	cr_assert_eq(create_at(64 * (TOPIC_ID_MAX + 1), "orders"), -EOVERFLOW);
	cr_assert_eq(topic_count(&bare), 0);
	cr_assert_eq(*topics_counter(bare.topics), 0);
	cr_assert_eq(create_at(64 * TOPIC_ID_MAX, "orders"), 0);
	cr_assert_eq(id_of("orders"), TOPIC_ID_MAX);
	cr_assert_lt(topic_ino(topic(TOPIC_ID_MAX)), UINT64_C(1) << 62);
	cr_assert_eq(queue_ino(queue(Q(TOPIC_ID_MAX, 0))), UINT64_C(1) << 62 | Q(TOPIC_ID_MAX, 0) << 1 | 1);
	cr_assert_lt(Q(TOPIC_ID_MAX, 1023) << 1 | 1, UINT64_C(1) << 62);
	bare.applied = 0;
	cr_assert_eq(create("bills", 0755), -EOVERFLOW);
}

Test(replay, only_a_retired_topic_goes)
{
	struct topic *t;

	create("orders", 0755);
	t = topic_hold(topic(1));
	cr_assert_eq(remove_topic(1), -ENOTEMPTY);
	cr_assert_eq(SET(1, "retired\0" "1"), 0);
	cr_assert(t->retired);
	cr_assert_eq(SET(1, "retired\0" "0"), 0);
	cr_assert_eq(remove_topic(1), -ENOTEMPTY);
	cr_assert_not(t->removed);
	SET(1, "retired\0" "1");
	cr_assert_eq(remove_topic(1), 0);
	cr_assert(t->removed);
	cr_assert_eq(remove_topic(1), -ENOENT);
	cr_assert_eq(SET(1, "retired\0" "0"), -ENOENT);
	topic_put(t);
}

Test(replay, queues_only_become_more_and_are_born_like_queue_0)
{
	create("orders", 0755);
	own(1, Q(1, 0), OWNER_UID | OWNER_MODE, 7, 0, 0600);
	cr_assert_eq(queues(1, 4), 0);
	cr_assert_eq(topic(1)->count, 4);
	cr_assert_eq(queue(Q(1, 3))->owner.uid, 7);
	cr_assert_eq(queue(Q(1, 3))->owner.gid, 100);
	cr_assert_eq(queue(Q(1, 3))->owner.mode, 0600);
	cr_assert_eq(queues(1, 4), 0);
	cr_assert_eq(queues(1, 3), -EINVAL);
	cr_assert_eq(queues(1, 1025), -EINVAL);
	cr_assert_eq(queues(1, 1024), 0);
	cr_assert_eq(queues(2, 4), -ENOENT);
}

Test(replay, settings_are_set_and_inherited_again)
{
	create("orders", 0755);
	cr_assert_eq(SET(1, "max_message\0" "64K"), 0);
	cr_assert_eq(topic_setting(topic(1), SETTING_MAX_MESSAGE), 65536);
	cr_assert_eq(SET(1, "max_message\0" "17M"), -ERANGE);
	cr_assert_eq(SET(1, "max_message\0" "x"), -EINVAL);
	cr_assert_eq(SET(1, "no_such\0" "1"), -ENOENT);
	cr_assert_eq(topic_setting(topic(1), SETTING_MAX_MESSAGE), 65536);
	cr_assert_eq(SET(1, "max_message\0" "default"), 0);
	cr_assert_eq(topic_setting(topic(1), SETTING_MAX_MESSAGE), 4 << 20);
}

Test(replay, owners_change_in_what_is_asked_for)
{
	struct owner o;

	create("orders", 0755);
	cr_assert_eq(own(0, 0, OWNER_MODE, 1, 2, 01777), 0);
	owner_get(&bare, NULL, NULL, &o);
	cr_assert_eq(o.uid, 0);
	cr_assert_eq(o.mode, 01777);
	cr_assert_eq(own(1, 0, OWNER_GID, 1, 2, 0), 0);
	cr_assert_eq(topic(1)->owner.uid, 1000);
	cr_assert_eq(topic(1)->owner.gid, 2);
	cr_assert_eq(topic(1)->owner.mode, 0755);
	cr_assert_eq(queue(Q(1, 0))->owner.gid, 100);
	cr_assert_eq(own(2, 0, OWNER_UID, 1, 2, 0), -ENOENT);
	create("bills", 0755);
	cr_assert_eq(own(1, Q(2, 0), OWNER_UID, 1, 2, 0), -ENOENT);
	cr_assert_eq(own(1, Q(2, 1), OWNER_UID, 1, 2, 0), -ENOENT);
	cr_assert_eq(own(0, Q(2, 1), OWNER_UID, 1, 2, 0), -ENOENT);
	cr_assert_eq(topic(2)->count, 1);
}

Test(replay, a_record_that_names_a_queue_tells_that_it_is_there)
{
	create("orders", 0755);
	own(1, Q(1, 0), OWNER_UID | OWNER_MODE, 7, 0, 0600);
	cr_assert_eq(messages(Q(1, 2), 0, 10, 1, 0), 0);
	cr_assert_eq(topic(1)->count, 3);
	cr_assert_eq(queue(Q(1, 2))->committed, 10);
	cr_assert_eq(queue(Q(1, 2))->owner.uid, 7);
	cr_assert_eq(queue(Q(1, 1))->owner.mode, 0600);
	cr_assert_eq(queues(1, 4), 0);
	cr_assert_eq(queue(Q(1, 2))->appended, 10);
	cr_assert_eq(own(1, Q(1, 4), OWNER_MODE, 0, 0, 0400), 0);
	cr_assert_eq(queue(Q(1, 4))->owner.mode, 0400);
	cr_assert_eq(heads(Q(1, 5), 50), 0);
	cr_assert_eq(queue(Q(1, 5))->appended, 50);
	cr_assert_eq(messages(Q(1, 6), UINT64_MAX, 10, 1, 0), -EBADMSG);
	cr_assert_eq(topic(1)->count, 6);
}

Test(replay, messages_move_their_queues_end)
{
	struct queue *q;

	create("orders", 0755);
	q = queue(Q(1, 0));
	cr_assert_eq(messages(q->id, 0, 10, 2, 0), 0);
	cr_assert_eq(messages(q->id, 10, 5, 1, RECORD_PARTIAL), 0);
	cr_assert_eq(q->committed, 15);
	cr_assert_eq(q->appended, 15);
	cr_assert_eq(q->messages, 3);
	cr_assert_eq(q->partial, 1);
	cr_assert_eq(q->mtime, 4711);
	cr_assert_eq(q->last_pos + record_size(5), bare.applied);
}

/* Its id is of the place of its TOPIC_CREATE, which lies before any message. */
Test(replay, messages_make_the_topic_that_damage_has_hidden)
{
	struct owner owner;

	*topics_root(bare.topics) = (struct owner){1000, 100, 01777};
	bare.options.settings.value[SETTING_RETENTION_AGE] = 1;
	bare.options.settings.value[SETTING_RETENTION_SIZE] = 1;
	bare.options.settings.value[SETTING_RETENTION_PINNED] = PINNED_DROP;
	cr_assert_eq(create_at(64 * 100, "orders"), 0);
	bare.applied = 64 * 120;
	cr_assert_eq(messages(Q(121, 0), 0, 10, 1, 0), -ENOENT);
	cr_assert_eq(messages(Q(0, 0), 0, 10, 1, 0), -ENOENT);
	cr_assert_eq(messages(Q(90, 3), 20, 10, 1, 0), 0);
	cr_assert_str_eq(topic(90)->name, "recovered.5a");
	cr_assert_eq(topic(90)->count, 4);
	cr_assert_eq(queue(Q(90, 3))->committed, 30);
	owner_get(&bare, topic(90), NULL, &owner);
	cr_assert(owner.uid == 1000 && owner.gid == 100 && owner.mode == 0700);
	cr_assert_eq(topic_setting(topic(90), SETTING_RETENTION_AGE), SETTING_NONE);
	cr_assert_eq(topic_setting(topic(90), SETTING_RETENTION_SIZE), SETTING_NONE);
	cr_assert_eq(topic_setting(topic(90), SETTING_RETENTION_PINNED), PINNED_KEEP);
	cr_assert_eq(*topics_counter(bare.topics), 100);
	topics_root(bare.topics)->uid = OWNER_NOBODY;          /* the record of the root's owner is damaged, too */
	bare.options.owner.uid = 77;
	cr_assert_eq(messages(Q(110, 0), 0, 10, 1, 0), 0);
	owner_get(&bare, topic(110), NULL, &owner);
	cr_assert_eq(owner.uid, 77);
	cr_assert_eq(*topics_counter(bare.topics), 110);
	cr_assert_eq(topic_at(bare.topics, 0)->id, 90);
	cr_assert_eq(topic_at(bare.topics, 1)->id, 100);
	cr_assert_eq(topic_at(bare.topics, 2)->id, 110);
	cr_assert_str_eq(topic(100)->name, "orders");
}

Test(replay, nobodys_name_is_taken_for_what_damage_has_hidden)
{
	cr_assert_eq(create_at(64 * 100, "recovered.5a"), 0);
	cr_assert_eq(messages(Q(90, 0), 0, 10, 1, 0), -EEXIST);
	cr_assert_eq(topic_count(&bare), 1);
}

Test(replay, what_is_behind_a_damaged_record_keeps_its_offset)
{
	create("orders", 0755);
	cr_assert_eq(messages(Q(1, 0), 0, 10, 1, 0), 0);
	cr_assert_eq(messages(Q(1, 0), 30, 10, 1, 0), 0);
	cr_assert_eq(queue(Q(1, 0))->committed, 40);
	cr_assert_eq(messages(Q(1, 0), 20, 10, 1, 0), -EBADMSG);
	cr_assert_eq(queue(Q(1, 0))->committed, 40);
}

Test(replay, what_is_applied_is_passed_over)
{
	struct record r = {.type = RECORD_MESSAGES, .length = 10, .messages = 1, .queue = Q(1, 0), .pos = 0};

	create("orders", 0755);
	cr_assert_eq(state_apply(&bare, &r, NULL), 0);
	cr_assert_eq(queue(Q(1, 0))->committed, 0);
	r.pos = bare.applied;
	r.sum = 99;
	cr_assert_eq(state_apply(&bare, &r, NULL), 0);
	cr_assert_eq(queue(Q(1, 0))->committed, 10);
	cr_assert_eq(bare.applied, r.pos + record_size(10));
	cr_assert_eq(bare.applied_at.pos, bare.applied);
	cr_assert_eq(bare.applied_at.chain, 99);
}

/* It stood within what was committed when its record was written: where a damaged record hides that, the end of the queue is known from it. */
Test(replay, a_head_tells_an_end_that_damage_has_hidden)
{
	cr_assert_eq(create("orders", 0), 0);
	cr_assert_eq(messages(Q(1, 0), 0, 100, 1, 0), 0);
	cr_assert_eq(heads(Q(1, 0), 150), 0);
	cr_assert_eq(queue(Q(1, 0))->head, 150);
	cr_assert_eq(queue(Q(1, 0))->committed, 150);
	cr_assert_eq(queue(Q(1, 0))->appended, 150);
	cr_assert_eq(messages(Q(1, 0), 140, 20, 1, 0), -EBADMSG);
	cr_assert_eq(messages(Q(1, 0), 160, 20, 1, 0), 0);
	cr_assert_eq(heads(Q(1, 0), UINT64_C(1) << 63), -EBADMSG);
	cr_assert_eq(queue(Q(1, 0))->head, 150);
}

Test(replay, heads_only_rise)
{
	create("orders", 0755);
	messages(Q(1, 0), 0, 100, 1, 0);
	cr_assert_eq(heads(Q(1, 0), 60), 0);
	cr_assert_eq(queue(Q(1, 0))->head, 60);
	cr_assert_eq(heads(Q(1, 0), 50), 0);
	cr_assert_eq(queue(Q(1, 0))->head, 60);
	cr_assert_eq(heads(Q(1, 0), 100), 0);
	cr_assert_eq(queue(Q(1, 0))->head, 100);
	cr_assert_eq(heads(Q(5, 0), 1), 0);
}

Test(replay, one_head_that_none_can_have_and_no_other_one_moves)
{
	uint8_t body[32];

	create("orders", 0755);
	messages(Q(1, 0), 0, 100, 1, 0);
	put64(body, Q(1, 0));
	put64(body + 8, 60);
	put64(body + 16, Q(1, 0));
	put64(body + 24, UINT64_MAX);
	cr_assert_eq(apply(RECORD_HEADS, body, 32), -EBADMSG);
	cr_assert_eq(queue(Q(1, 0))->head, 0);
}

Test(replay, malformed_bodies_change_nothing)
{
	static const uint8_t types[] = {
		RECORD_TOPIC_CREATE, RECORD_TOPIC_REMOVE, RECORD_TOPIC_QUEUES, RECORD_TOPIC_SET, RECORD_OWNER, RECORD_HEADS, 0, 99};
	uint8_t body[64] = {0};

	create("orders", 0755);
	for (size_t t = 0; t < sizeof types; t++)
		for (uint32_t length = 1; length < 12; length++)
			if (!(types[t] == RECORD_TOPIC_REMOVE && length == 8) && !(types[t] == RECORD_TOPIC_SET && length == 10))
				cr_expect_eq(apply(types[t], body, length), -EBADMSG, "type %u, %u bytes", types[t], length);
	cr_expect_eq(create("", 0755), -EBADMSG);
	cr_expect_eq(create(".x", 0755), -EBADMSG);
	cr_expect_eq(create("a/b", 0755), -EBADMSG);
	memset(body, 'x', sizeof body);
	cr_expect_eq(apply(RECORD_TOPIC_SET, body, 64), -EBADMSG);
	cr_expect_eq(set(1, "commit\0fsync", 12), -EBADMSG);
	cr_expect_eq(set(1, "commit\0fsync\0\0", 14), -EBADMSG);
	cr_expect_eq(set(1, "commit", 7), -EBADMSG);
	memcpy(body + 12, "a\0b", 3);
	cr_expect_eq(apply(RECORD_TOPIC_CREATE, body, 15), -EBADMSG);
	cr_expect_eq(messages(Q(1, 0), UINT64_MAX, 10, 1, 0), -EBADMSG);
	cr_expect_eq(messages(Q(1, 0), INT64_MAX, 10, 1, 0), -EBADMSG);
	cr_assert_eq(topic_count(&bare), 1);
	cr_assert_eq(topic(1)->own_set, 0);
	cr_assert_eq(queue(Q(1, 0))->committed, 0);
}

Test(replay, no_bytes_can_crash_it)
{
	uint8_t body[64];

	srand(3);
	create("orders", 0755);
	for (int i = 0; i < 20000; i++) {
		size_t length = (size_t)rand() % sizeof body;
		for (size_t k = 0; k < length; k++)
			body[k] = rand() % 3 ? 0 : (uint8_t)rand();
		if (rand() % 2 && length >= 8)
			put64(body, 1 + (unsigned)rand() % 3);
		apply((uint8_t)(RECORD_TOPIC_CREATE + rand() % 6), body, length);
	}
}

/* ---- commands: a whole store ---- */

static struct store *s;

static void open_store(void)
{
	struct store_options o;
	char why[STORE_WHY];

	store_options_normal(&o);
	o.segment_size = 1 << 20;
	cr_assert_eq(store_open(&s, scratch_path, &o, why), 0, "%s", why);
}

static void start(void)
{
	scratch_init();
	open_store();
}

static void end(void)
{
	store_stop(s);
	store_close(s);
	scratch_end();
}

TestSuite(state, .init = start, .fini = end);

#define DO(call) ({ struct command *c = command_new_waited(); command_wait(c, call); })

static int mkdir_topic(const char *name)
{
	return DO(store_mkdir(s, c, name, &(struct owner){1000, 100, 0755}));
}

static int append(struct queue *q, const char *text, uint64_t *end)
{
	struct iovec iov = {(void *)text, strlen(text)};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place place;
	int err = store_append(q, &b, &place);

	if (!err && end)
		*end = place.end;
	return err;
}

Test(state, a_change_is_there_when_its_command_is_done)
{
	struct topic *t;

	cr_assert_eq(mkdir_topic("orders"), 0);
	t = topic_find(s, "orders");
	cr_assert_not_null(t);
	cr_assert_eq(DO(store_set_queues(s, c, t, 4)), 0);
	cr_assert_eq(t->count, 4);
	cr_assert_eq(DO(store_set(s, c, t, SETTING_COMMIT, "fsync")), 0);
	cr_assert_eq(topic_setting(t, SETTING_COMMIT), COMMIT_FSYNC);
	cr_assert_eq(DO(store_set_owner(s, c, t, topic_queue(t, 1), OWNER_MODE, &(struct owner){.mode = 0400})), 0);
	cr_assert_eq(topic_queue(t, 1)->owner.mode, 0400);
	topic_put(t);
}

Test(state, what_can_be_refused_at_once_is_not_logged)
{
	uint64_t end;
	struct topic *t;

	mkdir_topic("orders");
	t = topic_find(s, "orders");
	end = log_end(s->log);
	cr_assert_eq(mkdir_topic("orders"), -EEXIST);
	cr_assert_eq(mkdir_topic(".orders"), -EINVAL);
	cr_assert_eq(DO(store_rmdir(s, c, t)), -ENOTEMPTY);
	cr_assert_eq(DO(store_set_queues(s, c, t, 0)), -EINVAL);
	cr_assert_eq(DO(store_set_queues(s, c, t, 1025)), -EINVAL);
	cr_assert_eq(DO(store_set(s, c, t, SETTING_COMMIT, "never")), -EINVAL);
	cr_assert_eq(log_end(s->log), end);
	topic_put(t);
}

Test(state, of_two_that_make_the_same_name_one_wins)
{
	const struct owner o = {0, 0, 0755};
	struct command *a = command_new_waited(), *b = command_new_waited();
	int x = store_mkdir(s, a, "orders", &o), y = store_mkdir(s, b, "orders", &o);

	x = command_wait(a, x);
	y = command_wait(b, y);
	cr_assert_eq(x, 0);
	cr_assert_eq(y, -EEXIST);
}

Test(state, what_is_so_already_is_not_logged)
{
	uint64_t end;
	struct topic *t;

	mkdir_topic("orders");
	t = topic_find(s, "orders");
	cr_assert_eq(DO(store_set_queues(s, c, t, 4)), 0);
	cr_assert_eq(DO(store_set(s, c, t, SETTING_RETENTION_AGE, "1d")), 0);
	end = log_end(s->log);
	cr_assert_eq(DO(store_set_queues(s, c, t, 4)), 0);
	cr_assert_eq(DO(store_set(s, c, t, SETTING_RETENTION_AGE, "1d")), 0);
	cr_assert_eq(DO(store_set_retired(s, c, t, false)), 0);
	cr_assert_eq(log_end(s->log), end);
	topic_put(t);
}

Test(state, a_change_taken_back_before_it_is_committed_does_not_come_after_all)
{
	struct command *change = command_new_waited(), *back = command_new_waited(), *retire = command_new_waited(), *again = command_new_waited();
	struct command *more = command_new_waited(), *fewer = command_new_waited();
	struct topic *t;
	int err[6];

	mkdir_topic("orders");
	t = topic_find(s, "orders");
	topics_apply_lock(s->topics);           /* nothing comes to be in force meanwhile */
	err[0] = store_set(s, change, t, SETTING_RETENTION_AGE, "1s");
	err[1] = store_set(s, back, t, SETTING_RETENTION_AGE, "default");
	err[2] = store_set_retired(s, retire, t, true);
	err[3] = store_set_retired(s, again, t, false);
	err[4] = store_set_queues(s, more, t, 2);
	err[5] = store_set_queues(s, fewer, t, 1);
	topics_apply_unlock(s->topics);
	cr_assert_eq(command_wait(change, err[0]), 0);
	cr_assert_eq(command_wait(back, err[1]), 0);
	cr_assert_eq(command_wait(retire, err[2]), 0);
	cr_assert_eq(command_wait(again, err[3]), 0);
	cr_assert_eq(command_wait(more, err[4]), 0);
	cr_expect_eq(command_wait(fewer, err[5]), -EINVAL);
	cr_expect_not(topic_has_own(t, SETTING_RETENTION_AGE));
	cr_expect_not(t->retired);
	topic_put(t);
}

Test(state, a_retired_topic_takes_nothing_and_goes)
{
	struct topic *t;

	mkdir_topic("orders");
	t = topic_find(s, "orders");
	cr_assert_eq(append(topic_queue(t, 0), "one\n", NULL), 0);
	cr_assert_eq(DO(store_set_retired(s, c, t, true)), 0);
	cr_assert_eq(append(topic_queue(t, 0), "two\n", NULL), -EROFS);
	cr_assert_eq(DO(store_set_retired(s, c, t, false)), 0);
	cr_assert_eq(append(topic_queue(t, 0), "two\n", NULL), 0);
	cr_assert_eq(DO(store_set_retired(s, c, t, true)), 0);
	cr_assert_eq(DO(store_rmdir(s, c, t)), 0);
	cr_assert_null(topic_find(s, "orders"));
	cr_assert_eq(append(topic_queue(t, 0), "three\n", NULL), -EROFS);
	cr_assert_eq(DO(store_rmdir(s, c, t)), -ENOENT);
	cr_assert_eq(DO(store_set_queues(s, c, t, 9)), -ENOENT);
	topic_put(t);
}

Test(state, a_removal_that_came_to_nothing_lets_appends_in_again)
{
	struct command *undo = command_new_waited(), *remove = command_new_waited();
	struct topic *t;
	int x, y;

	mkdir_topic("orders");
	t = topic_find(s, "orders");
	DO(store_set_retired(s, c, t, true));
	x = store_set_retired(s, undo, t, false);
	y = store_rmdir(s, remove, t);
	y = command_wait(remove, y);
	cr_assert_eq(y, -ENOTEMPTY);
	cr_assert_eq(command_wait(undo, x), 0);
	cr_assert_eq(append(topic_queue(t, 0), "one\n", NULL), 0);
	topic_put(t);
}

/* Its position may be committed by then: with the records of the log that has taken its place. */
Test(state, a_command_that_was_cut_off_is_not_done_for_who_follows_it_late)
{
	struct command *c = command_new(NULL, NULL);

	c->users++;
	state_command_lost(s, c);
	cr_assert_eq(c->result, -ETIMEDOUT);
	command_free(c);
}

Test(state, all_of_it_is_there_again_after_a_start)
{
	uint64_t id, last;
	struct topic *t;

	mkdir_topic("orders");
	mkdir_topic("bills");
	t = topic_find(s, "bills");
	last = t->id;
	topic_put(t);
	t = topic_find(s, "orders");
	id = t->id;
	DO(store_set_queues(s, c, t, 3));
	DO(store_set(s, c, t, SETTING_RETENTION_AGE, "7d"));
	DO(store_set_owner(s, c, NULL, NULL, OWNER_MODE, &(struct owner){.mode = 0700}));
	append(topic_queue(t, 2), "one\n", NULL);
	topic_put(t);
	store_stop(s);
	store_close(s);
	open_store();
	t = topic_find(s, "orders");
	cr_assert_eq(t->id, id);
	cr_assert_eq(t->count, 3);
	cr_assert_eq(topic_setting(t, SETTING_RETENTION_AGE), UINT64_C(604800000000000));
	cr_assert_eq(topic_queue(t, 2)->committed, 4);
	cr_assert_eq(topics_root(s->topics)->mode, 0700);
	topic_put(t);
	cr_assert_eq(mkdir_topic("more"), 0);
	t = topic_find(s, "more");
	cr_assert_gt(t->id, last);
	topic_put(t);
}

Test(state, a_stopping_store_takes_no_command)
{
	uint64_t end;

	store_stop(s);
	end = log_end(s->log);
	cr_assert_eq(mkdir_topic("orders"), -ENOTCONN);
	cr_assert_eq(log_end(s->log), end);
}
