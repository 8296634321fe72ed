/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX 10
#define ME 1
#define OTHER 2

static const struct line_writer me = {.owner = ME, .thread = ME};
static const struct line_writer other_thread = {.owner = ME, .thread = 3};
static struct lines lines;
static _Atomic uint64_t used;
static char appended[1 << 16];          /* what would be in the log */
static size_t appended_length;
static uint32_t messages, lost;
static uint64_t behind = 1;             /* log position of the next append */

static void setup(void)
{
	lines_init(&lines, &used, 1000);
}

static void teardown(void)
{
	lines_free(&lines);
	cr_assert_eq(used, 0, "%zu bytes of the budget are never given back", (size_t)used);
}

static void append(const struct cut *c)
{
	for (int i = 0; i < c->iovcnt; i++) {
		memcpy(appended + appended_length, c->iov[i].iov_base, c->iov[i].iov_len);
		appended_length += c->iov[i].iov_len;
	}
	messages += c->messages;
}

/* As a write(2): what it returns. */
static ssize_t put_by(const struct line_writer *w, const char *text)
{
	struct cut c;
	int err = lines_unheard(&lines, w, text, strlen(text));

	if (err)
		return err;
	err = lines_cut(&lines, w, text, strlen(text), MAX, &c);
	lost += c.lost;
	if (err)
		return err;
	append(&c);
	c.behind = behind;
	lines_keep(&lines, &c);
	return (ssize_t)c.taken;
}

static ssize_t put(uint64_t owner, const char *text)
{
	return put_by(&(struct line_writer){.owner = owner, .thread = (uint32_t)owner}, text);
}

#define wrote(owner, text) cr_assert_eq(put(owner, text), (ssize_t)strlen(text))
#define in_log(text) \
	cr_assert(appended_length == strlen(text) && memcmp(appended, text, appended_length) == 0, "wanted %s, got %.*s", text, \
		(int)appended_length, appended)

static void unfinished(uint64_t owner, const char *text)
{
	struct line *l = line_of(&lines, owner);

	cr_assert_not_null(l);
	cr_assert(l->length == strlen(text) && memcmp(l->bytes, text, l->length) == 0, "wanted %s, got %.*s", text,
		(int)l->length, l->bytes);
}

TestSuite(line, .init = setup, .fini = teardown);

Test(line, complete_lines_go_at_once)
{
	wrote(ME, "one\n");
	wrote(ME, "two\nthree\n");
	in_log("one\ntwo\nthree\n");
	cr_assert_eq(messages, 3);
	cr_assert_null(lines_first(&lines));
}

Test(line, a_write_is_not_copied)
{
	const char *text = "one\ntwo\n";
	struct cut c;

	cr_assert_eq(lines_cut(&lines, &me, text, 8, MAX, &c), 0);
	cr_assert_eq(c.iovcnt, 1);
	cr_assert_eq(c.iov[0].iov_base, text);
	cr_assert_eq(c.iov[0].iov_len, 8);
	lines_keep(&lines, &c);
}

Test(line, an_unfinished_line_waits_for_its_newline)
{
	wrote(ME, "ab");
	in_log("");
	unfinished(ME, "ab");
	wrote(ME, "cd");
	wrote(ME, "ef\ngh");
	in_log("abcdef\n");
	cr_assert_eq(messages, 1);
	unfinished(ME, "gh");
	wrote(ME, "\n");
	in_log("abcdef\ngh\n");
	cr_assert_null(lines_first(&lines));
}

Test(line, newline_alone_is_an_empty_message)
{
	wrote(ME, "\n\n");
	in_log("\n\n");
	cr_assert_eq(messages, 2);
}

Test(line, nul_and_cr_are_content)
{
	struct cut c;

	cr_assert_eq(lines_cut(&lines, &me, "a\0b\r\nc\0", 7, MAX, &c), 0);
	append(&c);
	lines_keep(&lines, &c);
	cr_assert(appended_length == 5 && memcmp(appended, "a\0b\r\n", 5) == 0);
	cr_assert_eq(line_of(&lines, ME)->length, 2);
}

Test(line, owners_never_interleave)
{
	wrote(ME, "mi");
	wrote(OTHER, "yo");
	wrote(ME, "ne\n");
	wrote(OTHER, "urs\n");
	in_log("mine\nyours\n");
}

Test(line, only_its_own_line_is_ended)
{
	wrote(ME, "mine");
	wrote(OTHER, "yours");
	line_end(&lines, line_of(&lines, ME));
	cr_assert_null(line_of(&lines, ME));
	unfinished(OTHER, "yours");
	cr_assert_eq(lines_first(&lines)->owner, OTHER);
	cr_assert_eq(used, 5);
}

Test(line, messages_of_bulk_are_counted)
{
	size_t size = 50000, lines_in_it = 0;
	char *text = malloc(size);
	struct cut c;

	for (size_t i = 0; i < size; i++) {
		text[i] = i == size - 1 || i < 20000 || (i * 7919) % 13 < 3 ? '\n' : 'x';
		lines_in_it += text[i] == '\n';
	}
	cr_assert_eq(lines_cut(&lines, &me, text, size, size, &c), 0);
	cr_assert_eq(c.messages, lines_in_it);
	lines_keep(&lines, &c);
	free(text);
}

Test(line, a_line_of_the_limit_is_taken)
{
	wrote(ME, "0123456789\n");
	wrote(ME, "01234");
	wrote(ME, "56789\n");
	in_log("0123456789\n0123456789\n");
}

Test(line, a_line_over_the_limit_is_refused)
{
	cr_assert_eq(put(ME, "0123456789a\n"), -EMSGSIZE);
	wrote(ME, "next\n");
	in_log("next\n");
}

Test(line, it_is_refused_before_its_newline_comes)
{
	wrote(ME, "012345");
	cr_assert_eq(put(ME, "67890"), -EMSGSIZE);
	cr_assert_eq(used, 0);
}

Test(line, the_rest_of_a_refused_line_is_refused_up_to_a_newline)
{
	cr_assert_eq(put(ME, "0123456789ab"), -EMSGSIZE);
	cr_assert_eq(put(ME, "cdef"), -EMSGSIZE);
	cr_assert_eq(lost, 0);
	cr_assert_eq(put(ME, "gh\n"), -EMSGSIZE);
	cr_assert_eq(lost, 1);
	wrote(ME, "next\nun");
	in_log("next\n");
	unfinished(ME, "un");
}

/* It might be the rest of the line. */
Test(line, what_comes_behind_a_line_given_up_is_not_acknowledged_and_may_be_tried_again)
{
	cr_assert_eq(put(ME, "0123456789ab"), -EMSGSIZE);
	cr_assert_eq(put(ME, "one\ntwo\n"), -EMSGSIZE);
	cr_assert_eq(lost, 2);
	wrote(ME, "one\ntwo\n");
	in_log("one\ntwo\n");
	cr_assert_eq(lost, 2);
}

Test(line, a_refused_write_breaks_its_last_line_too)
{
	cr_assert_eq(put(ME, "0123456789ab"), -EMSGSIZE);
	cr_assert_eq(put(ME, "cd\none\ntw"), -EMSGSIZE);
	cr_assert_eq(lost, 2);
	cr_assert_eq(put(ME, "o\n"), -EMSGSIZE);
	wrote(ME, "three\n");
	in_log("three\n");
}

Test(line, the_rest_of_a_refused_line_is_refused_however_often_it_comes)
{
	wrote(ME, "01234");
	cr_assert_eq(put(ME, "56789a"), -EMSGSIZE);      /* the program saw a short count */
	cr_assert_eq(put(ME, "56789abc\n"), -EMSGSIZE);
	cr_assert_eq(put(ME, "56789abc\n"), -EMSGSIZE);
	wrote(ME, "next\n");
	in_log("next\n");
}

Test(line, another_owners_line_is_not_swallowed)
{
	cr_assert_eq(put(ME, "0123456789ab"), -EMSGSIZE);
	wrote(OTHER, "yours\n");
	in_log("yours\n");
	cr_assert_eq(put(ME, "\n"), -EMSGSIZE);
	in_log("yours\n");
}

Test(line, a_refused_write_that_ends_in_a_line_leaves_none_to_swallow)
{
	cr_assert_eq(put(ME, "0123456789ab\nshort\n"), -EMSGSIZE);
	wrote(ME, "next\n");
	in_log("next\n");
}

Test(line, a_refused_write_loses_the_beginning_of_its_last_line)
{
	cr_assert_eq(put(ME, "0123456789ab\nbegin"), -EMSGSIZE);
	cr_assert_eq(put(ME, "ning\n"), -EMSGSIZE);
	wrote(ME, "next\n");
	in_log("next\n");
}

Test(line, lines_before_a_long_one_are_a_short_write)
{
	cr_assert_eq(put(ME, "a\nb\n0123456789ab\n"), 4);
	in_log("a\nb\n");
	cr_assert_eq(put(ME, "0123456789ab\n"), -EMSGSIZE);
	wrote(ME, "c\n");
	in_log("a\nb\nc\n");
}

Test(line, an_unfinished_line_that_ends_before_a_long_one_is_taken)
{
	wrote(ME, "be");
	cr_assert_eq(put(ME, "fore\n0123456789ab"), 5);
	in_log("before\n");
	cr_assert_null(lines_first(&lines));
}

Test(line, one_long_line_may_follow_another)
{
	cr_assert_eq(put(ME, "0123456789ab"), -EMSGSIZE);
	cr_assert_eq(put(ME, "cd\n"), -EMSGSIZE);
	cr_assert_eq(put(ME, "0123456789ab\n"), -EMSGSIZE);
	wrote(ME, "next\n");
	in_log("next\n");
}

/* Whatever is refused is as if it had not been written. */
static void refused_by_the_log(const char *text)
{
	struct cut c;

	cr_assert_eq(lines_cut(&lines, &me, text, strlen(text), MAX, &c), 0);
	lines_drop(&lines, &c);
}

Test(line, a_refused_append_changes_nothing)
{
	refused_by_the_log("abc\nde");
	cr_assert_null(lines_first(&lines));
	cr_assert_eq(used, 0);
	wrote(ME, "ab");
	refused_by_the_log("c");
	refused_by_the_log("c\nmuch more");
	unfinished(ME, "ab");
	cr_assert_eq(used, 2);
	wrote(ME, "c\n");
	in_log("abc\n");
}

/* The line's memory moves when it gets a long rest. */
Test(line, a_short_beginning_and_a_long_rest)
{
	size_t size = 100000;
	char *text = malloc(size);
	void *in_the_way;
	struct cut c;

	lines.most = UINT64_MAX;
	wrote(ME, "begin");
	in_the_way = malloc(100);
	memset(text, 'x', size);
	memcpy(text, "ning\n", 5);
	cr_assert_eq(lines_cut(&lines, &me, text, size, size, &c), 0);
	append(&c);
	lines_keep(&lines, &c);
	in_log("beginning\n");
	cr_assert_eq(line_of(&lines, ME)->length, size - 5);
	free(in_the_way);
	free(text);
}

Test(line, all_unfinished_lines_share_a_budget)
{
	struct lines more;
	char text[600];
	struct cut c;

	memset(text, 'x', sizeof text);
	lines_init(&more, &used, 1000);
	cr_assert_eq(lines_cut(&lines, &me, text, sizeof text, 4096, &c), 0);
	lines_keep(&lines, &c);
	cr_assert_eq(lines_cut(&more, &me, text, sizeof text, 4096, &c), -ENOBUFS);
	cr_assert_null(lines_first(&more));
	cr_assert_eq(used, 600);
	line_end(&lines, lines_first(&lines));
	cr_assert_eq(lines_cut(&more, &me, text, sizeof text, 4096, &c), 0);
	lines_keep(&more, &c);
	cr_assert_eq(used, 600);
	lines_free(&more);
}

Test(line, a_write_over_the_budget_is_refused_with_its_complete_lines)
{
	char text[1100];
	struct cut c;

	memset(text, 'x', sizeof text);
	text[10] = '\n';
	cr_assert_eq(lines_cut(&lines, &me, text, sizeof text, 4096, &c), -ENOBUFS);
	cr_assert_null(lines_first(&lines));
}

/* However a text is cut into writes, the lines are the same. */
Test(line, any_cut_gives_the_same_lines)
{
	const char *text = "a\nbb\n\nccccc\ndddddddddd\ne\n\n\nffffff\n";
	size_t length = strlen(text);

	for (unsigned seed = 1; seed <= 500; seed++) {
		appended_length = messages = 0;
		srand(seed);
		for (size_t at = 0; at < length;) {
			char part[64];
			size_t n = 1 + (size_t)rand() % 7;
			if (n > length - at)
				n = length - at;
			memcpy(part, text + at, n);
			part[n] = '\0';
			wrote(ME, part);
			lines_settle(&lines, behind);
			at += n;
		}
		in_log(text);
		cr_assert_eq(messages, 9);
	}
}

Test(line, what_goes_on_with_a_refused_piece_is_refused_too)
{
	wrote(ME, "01234");
	cr_assert_eq(put(ME, "56789ab\n"), -EMSGSIZE);
	/* the kernel answered the program with a short write of the first piece */
	cr_assert_eq(put(ME, "56789ab\n"), -EMSGSIZE);
	cr_assert_eq(put(ME, "56789ab\nnext\n"), -EMSGSIZE);
	wrote(ME, "next\n");
	in_log("next\n");
	wrote(ME, "56789ab\n");
}

Test(line, nothing_is_broken_when_its_owner_has_left)
{
	cr_assert_eq(put(ME, "0123456789ab"), -EMSGSIZE);
	lines_leave(&lines, ME);
	wrote(ME, "next\n");
	in_log("next\n");
}

Test(line, what_a_failed_write_left_unfinished_goes_with_it)
{
	behind = 100;
	wrote(ME, "one\ntw");
	lines_undo(&lines, 99, -ETIMEDOUT);
	unfinished(ME, "tw");
	lines_undo(&lines, 100, -ETIMEDOUT);
	wrote(ME, "one\ntwo\n");
	in_log("one\none\ntwo\n");
}

Test(line, a_line_that_was_gone_on_with_stays)
{
	behind = 100;
	wrote(ME, "one\ntw");
	wrote(ME, "o, thr");
	lines_undo(&lines, 100, -ETIMEDOUT);
	wrote(ME, "ee\n");
	in_log("one\ntwo, three\n");
}

/* "abc" was answered, and is the program's no more. */
static void doubt_by(const struct line_writer *w, const char *text)
{
	cr_assert_eq(put_by(w, "abc"), 3);
	behind = 100;
	cr_assert_eq(put_by(w, text), (ssize_t)strlen(text));
	lines_undo(&lines, behind++, -ETIMEDOUT);
	cr_assert_null(lines_first(&lines), "what is in the log may not be ended once more");
}

static void doubt(const char *text)
{
	doubt_by(&me, text);
}

Test(line, a_failed_write_that_comes_again_finishes_the_line_it_finished)
{
	doubt("def\nghi");
	cr_assert_eq(used, 3);
	wrote(ME, "def\nghi");
	in_log("abcdef\nabcdef\n");
	unfinished(ME, "ghi");
	lines_undo(&lines, behind++, -ETIMEDOUT);
	wrote(ME, "def\nghi, on\n");
	in_log("abcdef\nabcdef\nabcdef\nghi, on\n");
}

Test(line, whatever_else_comes_behind_a_failed_write_is_a_line_of_its_own)
{
	doubt("def\n");
	wrote(ME, "ghi\n");
	wrote(ME, "def\n");
	in_log("abcdef\nghi\ndef\n");
	cr_assert_eq(used, 0);
}

Test(line, a_failed_write_that_comes_again_and_is_refused_may_come_again)
{
	doubt("def\n");
	refused_by_the_log("def\n");
	cr_assert_null(lines_first(&lines));
	wrote(ME, "def\n");
	in_log("abcdef\nabcdef\n");
}

/* Of what the program has given up there is nothing more to know. */
Test(line, who_leaves_ends_the_doubt)
{
	doubt("def\n");
	lines_leave(&lines, ME);
	cr_assert_eq(used, 0);
	wrote(ME, "def\n");
	in_log("abcdef\ndef\n");
}

/* It may have waited all the time for the file. */
Test(line, another_thread_ends_no_doubt)
{
	doubt("def\nghi");
	cr_assert_eq(put_by(&other_thread, "x\n"), 2);
	wrote(ME, "def\nghi\n");
	in_log("abcdef\nx\nabcdef\nghi\n");
	cr_assert_eq(used, 3);
	lines_undo(&lines, behind, -ETIMEDOUT);
	wrote(ME, "y\n");
	cr_assert_eq(used, 0);
}

Test(line, whom_nobody_knows_by_its_thread_has_given_up_what_it_has_heard_of)
{
	static const struct line_writer unknown = {.owner = ME};

	doubt_by(&unknown, "def\n");
	cr_assert_eq(put_by(&unknown, "ghi\n"), 4);
	cr_assert_eq(put_by(&unknown, "def\n"), 4);
	in_log("abcdef\nghi\ndef\n");
}

Test(line, what_another_thread_leaves_unfinished_goes_before_what_is_doubted)
{
	doubt("def\n");
	cr_assert_eq(put_by(&other_thread, "x"), 1);
	wrote(ME, "def\n");
	in_log("abcdef\nxdef\n");
}

/* Of a write(2) that the kernel cuts, here behind "abc": what comes next may be the rest. */
static void cut_short(const struct line_writer *w, const char *text)
{
	struct line_writer piece = *w;

	cr_assert_eq(put_by(w, "abc"), 3);
	piece.goes_on = true;
	behind++;
	cr_assert_eq(put_by(&piece, text), (ssize_t)strlen(text));
	lines_undo(&lines, behind++, -ETIMEDOUT);
}

Test(line, the_error_that_a_short_count_has_hidden_is_told_once)
{
	lines.most = UINT64_MAX;
	cut_short(&me, "def\n");
	cr_assert_eq(put(ME, "def\n"), -ETIMEDOUT);
	wrote(ME, "def\n");
	in_log("abcdef\nabcdef\n");
	lines_settle(&lines, behind);
	cr_assert_eq(used, 0);
	wrote(ME, "def\n");
}

Test(line, it_is_told_whatever_others_write_first)
{
	struct line_writer others = {.owner = OTHER, .thread = OTHER, .goes_on = true};

	lines.most = UINT64_MAX;
	cut_short(&me, "def\n");
	cr_assert_eq(put_by(&other_thread, "x\n"), 2);
	cr_assert_eq(put_by(&others, "y\n"), 2);
	cr_assert_eq(put_by(&others, "def\n"), 4, "it has tried nothing of the kind");
	cr_assert_eq(put(ME, "def\n"), -ETIMEDOUT);
	wrote(ME, "def\n");
	in_log("abcdef\nx\ny\ndef\nabcdef\n");
}

/* A runtime's thread of execution may come back by another thread of the system. */
Test(line, it_is_told_to_whatever_thread_goes_on)
{
	lines.most = UINT64_MAX;
	cut_short(&me, "def\n");
	cr_assert_eq(put_by(&other_thread, "def\n"), -ETIMEDOUT);
	cr_assert_eq(put_by(&other_thread, "def\n"), 4);
	in_log("abcdef\nabcdef\n");
}

Test(line, each_that_was_cut_short_is_told)
{
	lines.most = UINT64_MAX;
	cut_short(&me, "def\n");
	cut_short(&other_thread, "ghi\n");
	cr_assert_eq(put(ME, "def\n"), -ETIMEDOUT);
	cr_assert_eq(put_by(&other_thread, "ghi\n"), -ETIMEDOUT);
}

Test(line, who_writes_something_else_is_not_told)
{
	lines.most = UINT64_MAX;
	cut_short(&me, "def\n");
	wrote(ME, "ghi\n");
	cr_assert_eq(used, 0);
	wrote(ME, "def\n");
}

/* Rather than to forget one, the next is refused before it is there. */
Test(line, what_nobody_comes_for_is_bounded)
{
	struct line_writer w = {.owner = ME, .goes_on = true};
	char text[] = "a\n";

	lines.most = 10 * sizeof(struct sent);
	for (; text[0] < 'k'; text[0]++) {
		w.thread++;
		behind++;
		cr_assert_eq(put_by(&w, text), 2);
		lines_undo(&lines, behind, -ETIMEDOUT);
	}
	w.thread++;
	cr_assert_eq(put_by(&w, text), -ENOBUFS);
	in_log("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
	w.thread = 1;
	cr_assert_eq(put_by(&w, "a\n"), -ETIMEDOUT);
	lines_leave(&lines, ME);
	cr_assert_eq(used, 0);
}

/* A write whose beginning is all that comes again has no newline yet. */
Test(line, the_beginning_of_a_failed_write_goes_on_with_the_line)
{
	char text[2 * HEAD_MAX + 2] = "", twice[3 * sizeof text];

	memset(text, 'x', sizeof text - 2);
	strcat(text, "\n");
	lines.most = UINT64_MAX;
	struct cut c;
	wrote(ME, "abc");
	cr_assert_eq(lines_cut(&lines, &me, text, strlen(text), 4096, &c), 0);
	append(&c);
	c.behind = 100;
	lines_keep(&lines, &c);
	lines_undo(&lines, 100, -ETIMEDOUT);
	cr_assert_eq(lines_cut(&lines, &me, text, HEAD_MAX, 4096, &c), 0);
	lines_keep(&lines, &c);
	cr_assert_eq(line_of(&lines, ME)->length, 3 + HEAD_MAX);
	cr_assert_eq(used, 3 + HEAD_MAX);
	cr_assert_eq(lines_cut(&lines, &me, text + HEAD_MAX, HEAD_MAX + 1, 4096, &c), 0);
	append(&c);
	lines_keep(&lines, &c);
	snprintf(twice, sizeof twice, "abc%sabc%s", text, text);
	in_log(twice);
}

Test(line, a_long_line_leaves_no_memory_to_the_short_ones_behind_it)
{
	size_t size = 100000;
	char *text = malloc(size);
	struct cut c;

	lines.most = UINT64_MAX;
	memset(text, 'x', size);
	cr_assert_eq(lines_cut(&lines, &me, text, size, size, &c), 0);
	lines_keep(&lines, &c);
	cr_assert_eq(lines_cut(&lines, &me, "\nshort", 6, size, &c), 0);
	c.behind = behind;
	lines_keep(&lines, &c);
	lines_settle(&lines, behind);
	wrote(ME, "\nshort");
	cr_assert_leq(lines_first(&lines)->room, 100);
	cr_assert_eq(used, 10);
	free(text);
}

/* An idle program keeps nothing of the budget. */
Test(line, a_write_that_is_answered_leaves_nothing)
{
	wrote(ME, "abc");
	behind = 100;
	wrote(ME, "def\n");
	cr_assert_eq(used, 3);
	lines_settle(&lines, 100);
	cr_assert_eq(used, 0);
	cr_assert_null(lines.unfinished);
	wrote(ME, "def\n");
	in_log("abcdef\ndef\n");
}

/* Another thread's fsync. */
Test(line, a_line_that_is_ended_while_its_write_waits_is_not_half_a_line_when_that_comes_again)
{
	wrote(ME, "abc");
	behind = 100;
	wrote(ME, "def\nghi");
	line_end(&lines, lines_first(&lines));
	lines_leave(&lines, ME);
	lines_undo(&lines, 100, -ETIMEDOUT);
	wrote(ME, "def\nghi");
	in_log("abcdef\nabcdef\n");
	unfinished(ME, "ghi");
}
