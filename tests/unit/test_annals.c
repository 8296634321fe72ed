/* SPDX-License-Identifier: Apache-2.0 */
#include "annals.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

static struct annals *annals;

static void begin(void)
{
	cr_assert_eq(annals_new(&annals), 0);
}

static void end(void)
{
	annals_free(annals);
}

TestSuite(annals, .init = begin, .fini = end);

static void note_epoch(uint64_t pos, uint32_t reign, uint32_t start, uint64_t node)
{
	struct record r = {.type = RECORD_EPOCH, .pos = pos, .epoch = {.reign = reign, .start = start, .node = node}, .prev = pos + 1};

	cr_assert_eq(annals_note(annals, &r, NULL), 0);
}

static void note_pair(uint64_t pos, const struct pair *p)
{
	struct epoch_row last = annals_last_epoch(annals);
	struct record r = {.type = RECORD_PAIR, .pos = pos, .epoch = last.epoch};
	uint8_t body[PAIR_MAX];

	r.length = (uint32_t)pair_encode(p, body);
	cr_assert_eq(annals_note(annals, &r, body), 0);
}

static const struct pair both = {.min_standbys = 1, .nodes = 2, .node = {7, 8}, .name = {"a", "b"}};
static const struct pair alone = {.nodes = 1, .stopped = 8, .node = {7}, .name = {"a"}};

Test(annals, an_epoch_begins_at_its_record_and_is_noted_once)
{
	struct epoch_row *rows;
	size_t count;

	note_epoch(0, 1, 1, 7);
	note_epoch(0, 1, 1, 7);
	note_epoch(800, 1, 2, 7);
	cr_assert_eq(annals_epochs(annals, &rows, &count), 0);
	cr_assert_eq(count, 2);
	cr_assert_eq(rows[1].start, 800);
	cr_assert_eq(rows[1].chain, 801);
	free(rows);
	cr_assert_eq(annals_last_start(annals, 1, 7), 2);
	cr_assert_eq(annals_last_start(annals, 1, 8), 0);
}

Test(annals, of_an_epoch_whose_first_record_is_damaged_it_is_not_said_what_was_before)
{
	struct record r = {.type = RECORD_MESSAGES, .pos = 904, .epoch = {.reign = 1, .start = 2, .node = 7}, .prev = 801};

	note_epoch(0, 1, 1, 7);
	cr_assert_eq(annals_note(annals, &r, NULL), 0);
	cr_assert_eq(annals_last_epoch(annals).start, 904);
	cr_assert_eq(annals_last_epoch(annals).chain, 0);
	r = (struct record){.type = RECORD_EPOCH, .pos = 800, .epoch = r.epoch, .prev = 701};
	cr_assert_eq(annals_mend(annals, &r, NULL), 0);
	cr_assert_eq(annals_last_epoch(annals).start, 800);
	cr_assert_eq(annals_last_epoch(annals).chain, 701);
}

Test(annals, a_cut_takes_back_what_stands_behind_it)
{
	struct pair_row pair;

	note_epoch(0, 1, 1, 7);
	note_pair(104, &both);
	note_epoch(800, 2, 1, 8);
	note_pair(904, &alone);
	annals_cut(annals, 904);
	cr_assert_eq(annals_last_epoch(annals).start, 800);
	cr_assert(annals_last_pair(annals, &pair));
	cr_assert_eq(pair.pos, 104);
	annals_cut(annals, 800);
	cr_assert_eq(annals_last_epoch(annals).start, 0);
	annals_cut(annals, 104);
	cr_assert_not(annals_paired(annals));
}

Test(annals, before_a_pair_is_committed_the_lone_node_that_began_the_log_counts_as_well)
{
	struct pair_row rows[4];
	size_t count;

	note_epoch(0, 1, 1, 7);
	cr_assert_not(annals_paired(annals));
	note_pair(104, &both);
	cr_assert(annals_paired(annals));
	cr_assert_eq(annals_pairs(annals, 104, rows, 4, &count), 0);
	cr_assert_eq(count, 2);
	cr_assert_eq(rows[0].pair.nodes, 1);
	cr_assert_eq(rows[0].pair.node[0], 7);
	cr_assert_eq(rows[0].pair.min_standbys, 0);
	cr_assert_eq(rows[1].pos, 104);
	cr_assert_eq(annals_pairs(annals, 105, rows, 4, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(rows[0].pair.nodes, 2);
}

Test(annals, every_pair_behind_the_committed_one_counts)
{
	struct pair_row rows[4];
	size_t count;

	note_epoch(0, 1, 1, 7);
	note_pair(104, &both);
	note_pair(300, &alone);
	note_pair(500, &both);
	cr_assert_eq(annals_pairs(annals, 104 + 1, rows, 4, &count), 0);
	cr_assert_eq(count, 3);
	cr_assert_eq(annals_pairs(annals, 301, rows, 4, &count), 0);
	cr_assert_eq(count, 2);
	cr_assert_eq(rows[0].pos, 300);
	cr_assert_eq(annals_pairs(annals, 301, rows, 1, &count), -ENOBUFS);
	cr_assert_eq(count, 2);
}

Test(annals, what_the_log_has_let_go_is_forgotten_but_the_epoch_it_begins_in)
{
	struct epoch_row *rows;
	struct pair_row pairs[4];
	size_t count;

	note_epoch(0, 1, 1, 7);
	note_pair(104, &both);
	note_epoch(800, 1, 2, 7);
	note_pair(904, &alone);
	note_epoch(1600, 1, 3, 7);
	annals_forget(annals, 1000, 950);
	cr_assert_eq(annals_epochs(annals, &rows, &count), 0);
	cr_assert_eq(count, 2);
	cr_assert_eq(rows[0].start, 800);
	free(rows);
	cr_assert_eq(annals_pairs(annals, 2000, pairs, 4, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(pairs[0].pos, 904);
}

Test(annals, any_bytes_are_a_pair_or_refused)
{
	uint8_t body[PAIR_MAX + 8], again[PAIR_MAX];
	struct pair p;
	size_t len = pair_encode(&both, body);

	cr_assert_eq(pair_decode(&p, body, len), 0);
	cr_assert_str_eq(p.name[1], "b");
	cr_assert_eq(pair_other(&p, 7), 8);
	cr_assert_eq(pair_named(&p, "b"), 8);
	for (size_t n = 0; n < len; n++)
		cr_assert_eq(pair_decode(&p, body, n), -EBADMSG);
	cr_assert_eq(pair_decode(&p, body, len + 1), -EBADMSG);
	for (int i = 0; i < 200000; i++) {
		memcpy(again, body, len);
		again[rand() % len] = (uint8_t)rand();
		if (pair_decode(&p, again, len) == 0) {
			uint8_t made[PAIR_MAX];
			cr_assert_eq(pair_encode(&p, made), len);
			cr_assert_arr_eq(made, again, len);
		}
	}
}
