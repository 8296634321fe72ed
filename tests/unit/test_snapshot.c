/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of control files, and what handles hold of them. */
#include "control.h"
#include "snapshot.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct mount mount;
static size_t length;                  /* of the next text */
static unsigned made;

static int print(struct mount *m, struct node *n, FILE *to)
{
	(void)m, (void)n;
	made++;
	fprintf(to, "%-*u\n", (int)length - 1, made);
	return 0;
}

static const struct control control = {.print = print};
static struct node node = {.kind = NODE_STATUS, .control = &control};

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
