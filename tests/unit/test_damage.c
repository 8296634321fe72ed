/* SPDX-License-Identifier: Apache-2.0 */
#include "damage.h"
#include "parts.h"
#include <criterion/criterion.h>

static struct store s;
static int said;

static void say(void *ctx, int priority, const char *text)
{
	(void)ctx, (void)priority, (void)text;
	said++;
}

static void setup(void)
{
	s = (struct store){.damage_lock = PTHREAD_MUTEX_INITIALIZER, .options.say = say};
	said = 0;
}

TestSuite(damage, .init = setup);

static bool is_new(uint64_t pos)
{
	uint64_t at;

	return damage_new(&s, pos, pos + 1, &at);
}

Test(damage, what_is_told_during_a_look_is_looked_at_again)
{
	uint64_t told;

	store_damaged(&s, DAMAGE_RECORD, 500, "told before");
	told = damage_told(&s);
	store_damaged(&s, DAMAGE_RECORD, 100, "told while the look was past it");
	damage_looked(&s, 0, 1000, told);
	cr_assert(is_new(100));
	cr_assert_not(is_new(500));
	damage_looked(&s, 0, 1000, damage_told(&s));
	cr_assert_not(damage_any_new(&s));
}

/* It may have rotted since; but whoever reads there does not make the keeper look all the time, nor fill the log. */
Test(damage, what_was_found_to_be_none_can_be_told_again_later)
{
	store_damaged(&s, DAMAGE_RECORD, 500, "a record");
	damage_looked(&s, 0, 1000, damage_told(&s));
	cr_assert_eq(damage_open(&s), 0);
	store_damaged(&s, DAMAGE_RECORD, 500, "a record");
	cr_assert_not(damage_any_new(&s), "at once");
	s.damage[0].looked -= INT64_C(61000000000);
	store_damaged(&s, DAMAGE_RECORD, 500, "a record");
	cr_assert(is_new(500));
	cr_assert_eq(said, 1, "not said before it is known");
	damage_looked(&s, 0, 1000, damage_told(&s));
	cr_assert_not(damage_any_new(&s));
	s.damage[0].looked -= INT64_C(61000000000);
	store_damaged(&s, DAMAGE_RECORD, 500, "a record");
	cr_assert(is_new(500));
	cr_assert_eq(s.damaged, 1);
	damage_found(&s, &(struct damage){.pos = 500, .kind = DAMAGE_RECORD, .state = DAMAGE_SPAN, .end = 600}, "a record");
	cr_assert_eq(damage_open(&s), 1);
	cr_assert_eq(said, 2);
	damage_found(&s, &(struct damage){.pos = 500, .kind = DAMAGE_RECORD, .state = DAMAGE_SPAN, .end = 600}, "a record");
	cr_assert_eq(said, 2);
}

Test(damage, a_place_within_a_span_is_a_part_of_it)
{
	store_damaged(&s, DAMAGE_RECORD, 550, "a record");
	damage_found(&s, &(struct damage){.pos = 500, .kind = DAMAGE_RECORD, .state = DAMAGE_SPAN, .end = 600}, "a record");
	s.damage[0].looked -= INT64_C(61000000000);
	store_damaged(&s, DAMAGE_RECORD, 550, "a record");
	cr_assert_not(damage_any_new(&s));
	damage_mended(&s, 500, 501);
	store_damaged(&s, DAMAGE_RECORD, 550, "a record");
	cr_assert(is_new(550));
}

Test(damage, what_has_gone_is_damaged_no_more)
{
	store_damaged(&s, DAMAGE_HEADER, 0, "a segment's header");
	store_damaged(&s, DAMAGE_HEADER, 1000, "a segment's header");
	damage_mended(&s, 0, 500);
	cr_assert_eq(damage_open(&s), 2, "a header is not mended with the records behind it");
	damage_gone(&s, 1000);
	cr_assert_eq(damage_open(&s), 1);
	cr_assert_eq(s.damage[0].pos, 1000);
}
