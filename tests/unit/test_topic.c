/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct store store;

static void setup(void)
{
	memset(&store, 0, sizeof store);
	settings_normal(&store.options.settings);
	store.options.owner = (struct owner){1000, 100, 0755};
	cr_assert_eq(topics_new(&store.topics, &store), 0);
}

static void teardown(void)
{
	topics_free(store.topics);
}

TestSuite(topic, .init = setup, .fini = teardown);

static struct topic *add(const char *name, uint32_t queues)
{
	const struct owner o = {1, 2, 0600};
	struct topic *t;

	cr_assert_eq(topic_add(store.topics, ++*topics_counter(store.topics), name, strlen(name), &o, 77, &t), 0);
	cr_assert_eq(topic_grow(t, queues, &o, 77), 0);
	return t;
}

Test(topic, is_found_by_name_and_by_id_and_held)
{
	struct topic *orders = add("orders", 1), *found;

	add("order", 1);
	found = topic_find(&store, "orders");
	cr_assert_eq(found, orders);
	topic_put(found);
	found = topic_by_id(&store, 2);
	cr_assert_str_eq(found->name, "order");
	topic_put(found);
	cr_assert_null(topic_find(&store, "ORDERS"));
	cr_assert_null(topic_by_id(&store, 3));
	cr_assert_eq(topic_count(&store), 2);
}

Test(topic, listing_goes_on_behind_the_last_id_whatever_came_and_went)
{
	struct topic *t;

	for (int i = 1; i <= 100; i++) {
		char name[8];
		snprintf(name, sizeof name, "t%d", i);
		add(name, 1);
	}
	topic_remove(store.topics, topic_with_id(store.topics, 50));
	topic_remove(store.topics, topic_with_id(store.topics, 51));
	t = topic_next(&store, 49);
	cr_assert_eq(t->id, 52);
	topic_put(t);
	t = topic_next(&store, 50);
	cr_assert_eq(t->id, 52);
	topic_put(t);
	cr_assert_null(topic_next(&store, 100));
	cr_assert_null(topic_next(&store, UINT64_MAX));
	uint64_t seen = 0;
	for (uint64_t after = 0; (t = topic_next(&store, after)); after = t->id, topic_put(t))
		seen++;
	cr_assert_eq(seen, 98);
}

Test(topic, removed_ones_stay_usable_for_who_holds_them)
{
	struct topic *t = topic_hold(add("orders", 3));

	topic_remove(store.topics, t);
	cr_assert_null(topic_find(&store, "orders"));
	cr_assert_eq(topic_count(&store), 0);
	cr_assert_eq(topic_queue(t, 2)->topic, t);
	add("orders", 1);
	cr_assert_not_null(topic_with_id(store.topics, 2));
	topic_put(t);
}

Test(topic, queues_keep_their_place_while_more_come)
{
	struct topic *t = add("orders", 1);
	struct queue *at[QUEUES_MAX];
	const struct owner o = {5, 6, 0644};

	for (uint32_t count = 1; count <= QUEUES_MAX; count++) {
		if (count > 1)
			cr_assert_eq(topic_grow(t, count, &o, 99), 0);
		at[count - 1] = topic_queue(t, count - 1);
		cr_assert_null(topic_queue(t, count));
	}
	for (uint32_t n = 0; n < QUEUES_MAX; n++) {
		cr_assert_eq(topic_queue(t, n), at[n]);
		cr_assert_eq(queue_number(at[n]), n);
		cr_assert_eq(queue_by_id(&store, at[n]->id), at[n]);
		cr_assert_eq(at[n]->mtime, n ? 99 : 77);
		cr_assert_eq(at[n]->last_pos, UINT64_MAX);
	}
	cr_assert_null(queue_by_id(&store, (t->id + 1) << QUEUE_BITS));
}

Test(topic, inode_numbers_never_meet)
{
	struct topic *a = add("a", 3), *b = add("b", 3);

	cr_assert_neq(topic_ino(a), topic_ino(b));
	cr_assert_neq(queue_ino(topic_queue(a, 1)), queue_ino(topic_queue(b, 1)));
	cr_assert_neq(queue_ino(topic_queue(a, 0)), topic_ino(a));
	cr_assert_neq(topic_ino(a), 1);
}

Test(topic, its_own_value_wins_over_the_mounts)
{
	struct topic *t = add("orders", 1);

	cr_assert_eq(topic_setting(t, SETTING_MAX_MESSAGE), 4 << 20);
	cr_assert_not(topic_has_own(t, SETTING_MAX_MESSAGE));
	t->own[SETTING_MAX_MESSAGE] = 1000;
	t->own_set = 1u << SETTING_MAX_MESSAGE;
	cr_assert_eq(topic_setting(t, SETTING_MAX_MESSAGE), 1000);
	cr_assert(topic_has_own(t, SETTING_MAX_MESSAGE));
	cr_assert_eq(topic_setting(t, SETTING_FRAMING), FRAMING_LINES);
}

Test(topic, owners_are_of_the_root_a_topic_or_a_queue)
{
	struct topic *t = add("orders", 1);
	struct owner o;

	topic_queue(t, 0)->owner.uid = 9;
	owner_get(&store, NULL, NULL, &o);
	cr_assert_eq(o.uid, 1000);
	cr_assert_eq(o.mode, 0755);
	owner_get(&store, t, NULL, &o);
	cr_assert_eq(o.uid, 1);
	owner_get(&store, t, topic_queue(t, 0), &o);
	cr_assert_eq(o.uid, 9);
}

Test(topic, heads_never_go_back)
{
	struct queue *q = topic_queue(add("orders", 1), 0);

	queue_raise_head(q, 10);
	queue_raise_head(q, 5);
	cr_assert_eq(q->head, 10);
}

Test(topic, names)
{
	char longest[TOPIC_NAME_MAX + 2];
	static const char *const good[] = {"orders", "a", "a.b", "-rf", "a b", "Bestellungen-\xc3\xa4", "\xe6\xb3\xa8\xe6\x96\x87",
		"\xf0\x9f\x93\xa8", "0"};
	static const char *const bad[] = {"", ".", "..", ".x", "a/b", "a\nb", "\x01", "a\x7f", "\xc2\x85", "\xff", "\xc3", "\xc3(", "\xc0\xaf",
		"\xe0\x80\xaf", "\xe0\x81\x81", "\xf0\x80\x81\x81", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\x80"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		cr_expect_eq(topic_name_check(good[i]), 0, "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_eq(topic_name_check(bad[i]), -EINVAL, "name %zu", i);
	memset(longest, 'x', sizeof longest);
	longest[TOPIC_NAME_MAX + 1] = 0;
	cr_expect_eq(topic_name_check(longest), -ENAMETOOLONG);
	longest[TOPIC_NAME_MAX] = 0;
	cr_expect_eq(topic_name_check(longest), 0);
}
