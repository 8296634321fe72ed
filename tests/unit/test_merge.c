/* SPDX-License-Identifier: Apache-2.0 */
#include "log_rig.h"
#include "merge.h"

#include <errno.h>

static struct rig g;
static struct merge *merge;
static struct slice slice;
static char text[1 << 20];

static void setup(void)
{
	rig_open(&g, 1024);
	g.topic.count = 4;
	cr_assert_eq(merge_new(&merge, &g.store, &g.topic, 0), 0);
	slice_init(&slice);
}

static void teardown(void)
{
	slice_free(&slice);
	merge_free(merge);
	rig_close(&g);
}

TestSuite(merge, .init = setup, .fini = teardown);

static uint64_t append(unsigned n, const char *line)
{
	return rig_append(&g, n, line, (uint32_t)strlen(line), 0);
}

/* What one call gives, as text. */
static const char *next(size_t max)
{
	ssize_t n;
	size_t len = 0;

	slice_free(&slice);
	n = merge_read(merge, max, &slice);
	if (n < 0)
		return strerror((int)-n);
	for (int i = 0; i < slice.parts; i++) {
		memcpy(text + len, slice.part[i].iov_base, slice.part[i].iov_len);
		len += slice.part[i].iov_len;
	}
	cr_assert_eq(len, (size_t)n);
	text[len] = 0;
	return text;
}

Test(merge, messages_come_in_log_order)
{
	append(2, "1\n");
	append(0, "2\n");
	append(0, "3\n");
	append(3, "4\n");
	append(2, "5\n");
	cr_assert_str_eq(next(100), "1\n2\n3\n4\n5\n");
	cr_assert_str_eq(next(100), "");
	append(1, "6\n");
	append(0, "7\n");
	cr_assert_str_eq(next(100), "6\n7\n");
	cr_assert_str_eq(next(100), "");
}

Test(merge, an_empty_topic_has_nothing)
{
	cr_assert_str_eq(next(100), "");
	cr_assert_str_eq(next(100), "");
}

Test(merge, records_come_whole)
{
	append(0, "one\n");
	append(1, "two\n");
	append(0, "three\n");
	cr_assert_str_eq(next(9), "one\ntwo\n");
	cr_assert_str_eq(next(9), "three\n");
}

Test(merge, a_long_record_comes_in_pieces)
{
	append(0, "a\n");
	append(1, "a long line\n");
	append(0, "b\n");
	cr_assert_str_eq(next(5), "a\n");
	cr_assert_str_eq(next(5), "a lon");
	cr_assert_str_eq(next(5), "g lin");
	cr_assert_str_eq(next(5), "e\nb\n");
}

Test(merge, a_call_never_crosses_a_messages_end_with_framing_write)
{
	rig_append(&g, 0, "one", 3, RECORD_WRITE);
	rig_append(&g, 1, "two", 3, RECORD_WRITE);
	cr_assert_str_eq(next(100), "one");
	append(2, "a line\n");
	rig_append(&g, 1, "three", 5, RECORD_WRITE);
	cr_assert_str_eq(next(100), "two");
	cr_assert_str_eq(next(100), "a line\n");
	cr_assert_str_eq(next(100), "three");
	cr_assert_str_eq(next(100), "");
}

Test(merge, it_begins_at_a_position)
{
	uint64_t pos;

	append(0, "1\n");
	append(1, "2\n");
	pos = append(2, "3\n");
	append(0, "4\n");
	merge_free(merge);
	cr_assert_eq(merge_new(&merge, &g.store, &g.topic, pos), 0);
	cr_assert_str_eq(next(100), "3\n4\n");
	merge_free(merge);
	cr_assert_eq(merge_new(&merge, &g.store, &g.topic, g.pos), 0);
	cr_assert_str_eq(next(100), "");
	append(1, "5\n");
	cr_assert_str_eq(next(100), "5\n");
}

Test(merge, it_begins_at_the_heads)
{
	append(0, "1\n");
	append(0, "2\n");
	append(1, "3\n");
	g.queue[0].head = 2;
	cr_assert_str_eq(next(100), "2\n3\n");
	cr_assert_eq(g.queue[0].skips, 0);
}

Test(merge, a_head_that_passes_it_is_a_counted_skip)
{
	append(0, "1\n");
	append(0, "2\n");
	append(1, "3\n");
	append(0, "4\n");
	cr_assert_str_eq(next(2), "1\n");
	g.queue[0].head = 4;
	cr_assert_str_eq(next(100), "3\n4\n");
	cr_assert_eq(g.queue[0].skips, 1);
	cr_assert_eq(g.queue[0].skipped, 2);
}

/* The first segment goes; queue OTHER has some in those behind it. */
static void lose_segment(unsigned other)
{
	static const char body[100000];
	struct segment *first;

	for (int i = 0; i < 30; i++)
		rig_append(&g, other, body, sizeof body, 0);
	first = segments_take_first(g.store.segments);
	segment_wait_unused(first);
}

Test(merge, a_record_that_is_given_in_part_is_given_to_its_end_though_a_head_passes_it)
{
	append(0, "a long line\n");
	append(0, "2\n");
	append(0, "3\n");
	cr_assert_str_eq(next(5), "a lon");
	g.queue[0].head = 14;
	cr_assert_str_eq(next(100), "g line\n3\n");
	cr_assert_eq(g.queue[0].skips, 1);
	cr_assert_eq(g.queue[0].skipped, 2);
}

Test(merge, the_rest_of_a_record_that_has_gone_is_told_once)
{
	append(0, "a long line\n");
	append(9, "\n");
	cr_assert_str_eq(next(5), "a lon");
	lose_segment(9);
	append(0, "2\n");
	g.queue[0].head = 12;
	cr_assert_str_eq(next(100), strerror(EPIPE));
	cr_assert_str_eq(next(100), "2\n");
	cr_assert_str_eq(next(100), "");
}

Test(merge, a_head_in_a_record_of_many_lines_is_no_part_that_was_given)
{
	append(0, "1\n2\n3\n");
	append(0, "4\n");
	append(1, "5\n");
	g.queue[0].head = 2;
	cr_assert_str_eq(next(2), "2\n");
	g.queue[0].head = 6;
	cr_assert_str_eq(next(100), "3\n4\n5\n");
}

Test(merge, a_removed_topic_of_which_nothing_is_left_is_at_its_end)
{
	append(0, "1\n");
	g.topic.removed = true;
	lose_segment(9);
	cr_assert_str_eq(next(100), "");
	cr_assert_str_eq(next(100), "");
	cr_assert_eq(g.store.damaged, 0);
}

Test(merge, a_queue_added_later_joins)
{
	append(0, "1\n");
	cr_assert_str_eq(next(100), "1\n");
	g.topic.count = 6;
	append(5, "2\n");
	append(0, "3\n");
	cr_assert_str_eq(next(100), "2\n3\n");
}

Test(merge, what_is_applied_but_not_announced_waits)
{
	append(0, "1\n");
	g.store.applied = 0;
	cr_assert_str_eq(next(100), "");
	g.store.applied = g.pos;
	cr_assert_str_eq(next(100), "1\n");
}

Test(merge, damage_is_told_once_and_passed_over)
{
	uint64_t pos;

	append(0, "1\n");
	pos = append(1, "2\n");
	append(0, "3\n");
	append(1, "4\n");
	rig_damage(&g, pos + RECORD_HEADER);
	cr_assert_str_eq(next(100), "1\n");
	cr_assert_str_eq(next(100), strerror(EIO));
	cr_assert_str_eq(next(100), "3\n4\n");
	cr_assert_str_eq(next(100), "");
}

Test(merge, a_damaged_header_is_told_once_and_passed_over)
{
	uint64_t pos;

	append(1, "1\n");
	pos = append(1, "2\n");
	append(0, "3\n");
	append(1, "4\n");
	rig_damage(&g, pos + 9);
	cr_assert_str_eq(next(100), "1\n");
	cr_assert_str_eq(next(100), strerror(EIO));
	cr_assert_str_eq(next(100), "3\n4\n");
}

Test(merge, a_thousand_queues_over_many_segments)
{
	char line[128], *at;
	unsigned seen = 0;

	g.topic.count = 1024;
	srand(3);
	for (unsigned i = 0; i < 50000; i++) {
		snprintf(line, sizeof line, "%u and what makes it longer\n", i);
		append((unsigned)rand() % 1024, line);
	}
	cr_assert_gt(segments_count(g.store.segments), 3);
	while (*next(65536))
		for (at = text; *at; at = strchr(at, '\n') + 1)
			cr_assert_eq(strtoul(at, NULL, 10), seen++);
	cr_assert_eq(seen, 50000);
}
