/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of control files, and what handles hold of them. */
#include "control.h"
#include "snapshot.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <time.h>

static struct mount mount;
static size_t length;                  /* of the next text */
static unsigned made;
static int64_t cost;                   /* ns of a processor that it takes to make it */

static int64_t processor_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int print(struct mount *m, struct node *n, FILE *to)
{
	(void)m, (void)n;
	made++;
	for (int64_t until = processor_time() + cost; processor_time() < until; )
		;
	fprintf(to, "%-*u\n", (int)length - 1, made);
	return 0;
}

static const struct control control = {.print = print};
static struct node node = {.kind = NODE_STATUS, .control = &control};

static void start(void)
{
	cr_assert_eq(texts_new(&mount.texts), 0);
}

static void end(void)
{
	texts_free(mount.texts);
	cr_assert_eq(mount.held, 0);
}

TestSuite(snapshot, .init = start, .fini = end);

static struct snapshot *take(void)
{
	struct snapshot *s;

	cr_assert_eq(snapshot_take_for_handle(&mount, &node, &s), 0);
	return s;
}

Test(snapshot, the_nodes_size_is_its_texts)
{
	struct snapshot *s;

	length = 100;
	s = take();
	cr_assert_eq(s->size, 100);
	cr_assert_eq(node.size, 100);
	cr_assert_eq(memcmp(s->text, "1  ", 3), 0);
	snapshot_put(s);
}

Test(snapshot, what_handles_hold_is_bounded)
{
	struct snapshot *s[HELD_MAX >> 20], *more;
	size_t n;

	length = 1 << 20;
	for (n = 0; n < HELD_MAX >> 20; n++)
		s[n] = take();
	cr_assert_eq(snapshot_take_for_handle(&mount, &node, &more), -ENOBUFS);
	cr_assert_eq(snapshot_take(&mount, &node, &more), 0, "to look is free");
	snapshot_put(more);
	length = SNAPSHOT_FREE;
	snapshot_put(take());
	length = 1 << 20;
	snapshot_put(s[--n]);
	s[n++] = take();
	cr_assert_eq(mount.held, HELD_MAX);
	while (n)
		snapshot_put(s[--n]);
	cr_assert_eq(mount.held, 0);
}

Test(snapshot, what_takes_long_to_make_is_given_again_for_a_while)
{
	const struct timespec a_while = {.tv_nsec = 250000000};
	struct snapshot *first, *second, *third;

	length = SNAPSHOT_FREE + 1;
	cost = 20000000;
	first = take();
	second = take();
	cr_assert_eq(first, second);
	cr_assert_eq(mount.held, length, "both hold the same");
	nanosleep(&a_while, NULL);
	third = take();
	cr_assert_neq(third, first);
	cr_assert_eq(made, 2);
	cr_assert_eq(mount.held, 2 * length);
	snapshot_put(first);
	snapshot_put(second);
	cr_assert_eq(mount.held, length);
	snapshot_put(third);
}

Test(snapshot, what_takes_no_time_is_made_anew)
{
	length = SNAPSHOT_FREE + 1;
	snapshot_put(take());
	snapshot_put(take());
	cr_assert_eq(made, 2);
}

Test(snapshot, the_texts_of_topics_are_not_shared)
{
	node.kind = NODE_CONFIG;
	length = 100;
	cost = 20000000;
	snapshot_put(take());
	snapshot_put(take());
	cr_assert_eq(made, 2);
}
