/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of commitment, by their names in the model. */
#include "quorum.h"
#include <criterion/criterion.h>

#define SELF 7
#define OTHER 8
#define THIRD 9

static const struct pair lone = {.nodes = 1, .node = {SELF}};
static const struct pair async = {.nodes = 2, .node = {SELF, OTHER}, .name = {"a", "b"}};
static const struct pair both = {.min_standbys = 1, .nodes = 2, .node = {SELF, OTHER}, .name = {"a", "b"}};
static const struct pair alone = {.nodes = 1, .stopped = OTHER, .node = {SELF}, .name = {"a"}};
static const struct pair new_pair = {.min_standbys = 1, .nodes = 2, .node = {SELF, THIRD}, .name = {"a", "c"}};

static struct quorum primary(bool current)
{
	struct quorum q = {0};

	quorum_begin(&q, SELF, 100, current);
	return q;
}

static uint64_t commit(struct quorum *q, const struct pair *p, uint64_t synced, uint64_t committed)
{
	struct pair_row row = {.pos = 50, .pair = *p};

	return quorum_commit(q, &row, 1, synced, committed);
}

Test(quorum, primary_sync_what_is_not_on_the_own_disk_is_not_committed)
{
	struct quorum q = primary(true);

	quorum_acknowledge(&q, OTHER, 500, true);
	cr_assert_eq(commit(&q, &both, 300, 60), 300);
	cr_assert_eq(commit(&q, &async, 400, 60), 400);
}

Test(quorum, standby_sync_the_other_node_has_it_too)
{
	struct quorum q = primary(true);

	cr_assert_eq(commit(&q, &both, 500, 60), 60);
	quorum_acknowledge(&q, OTHER, 200, true);
	cr_assert_eq(commit(&q, &both, 500, 60), 200);
	cr_assert_eq(commit(&q, &lone, 500, 60), 500);
	quorum_acknowledge(&q, THIRD, 400, true);
	cr_assert_eq(commit(&q, &both, 500, 60), 200, "a mirror does not count");
}

Test(quorum, standby_sync_an_acknowledgement_of_an_earlier_session_does_not_count)
{
	struct quorum q = primary(true);

	quorum_acknowledge(&q, OTHER, 400, true);
	quorum_linked(&q, OTHER, true);
	cr_assert_eq(commit(&q, &both, 500, 60), 60);
}

Test(quorum, own_epoch_nothing_before_the_first_record_of_the_epoch)
{
	struct quorum q = primary(true);

	quorum_acknowledge(&q, OTHER, 99, true);
	cr_assert_eq(commit(&q, &both, 500, 60), 60);
	cr_assert_eq(commit(&q, &lone, 99, 60), 60);
	quorum_acknowledge(&q, OTHER, 100, true);
	cr_assert_eq(commit(&q, &both, 500, 60), 100);
}

Test(quorum, current_a_restarted_primary_needs_an_answer_of_the_other_node)
{
	struct quorum q = primary(false);

	cr_assert_eq(commit(&q, &lone, 300, 60), 300);
	cr_assert(q.current, "there is no other one");
	q = primary(false);
	cr_assert_eq(commit(&q, &both, 300, 60), 60);
	quorum_acknowledge(&q, OTHER, 300, false);
	cr_assert_eq(commit(&q, &both, 300, 60), 300);
	cr_assert(q.current);
}

/* The other one may have been promoted, at the price of what it had not got. */
Test(quorum, current_with_min_standbys_0_it_commits_and_is_not_current_before_that_answer)
{
	struct quorum q = primary(false);

	cr_assert_eq(commit(&q, &async, 300, 60), 300);
	cr_assert_eq(commit(&q, &async, 400, 300), 400);
	cr_assert_not(q.current);
	quorum_acknowledge(&q, OTHER, 0, false);
	cr_assert_eq(commit(&q, &async, 400, 400), 400);
	cr_assert(q.current);
}

/* Said to be stopped by a word of before its restart, the other one may have been promoted meanwhile. */
Test(quorum, current_a_word_is_no_answer)
{
	struct quorum q = primary(false);
	struct pair_row rows[2] = {{50, both}, {200, alone}};

	cr_assert_eq(quorum_commit(&q, rows, 2, 300, 60), 60);
	q.current = true;
	cr_assert_eq(quorum_commit(&q, rows, 2, 300, 60), 300);
}

Test(quorum, joint_a_new_pair_counts_behind_its_record_together_with_the_old_one)
{
	struct quorum q = primary(true);
	struct pair_row rows[2] = {{50, lone}, {200, new_pair}};

	cr_assert_eq(quorum_commit(&q, rows, 2, 500, 100), 200, "before its record the old one is enough");
	quorum_acknowledge(&q, THIRD, 304, true);
	cr_assert_eq(quorum_commit(&q, rows, 2, 500, 200), 304);
	rows[0].pair = both;
	q = primary(true);
	quorum_acknowledge(&q, THIRD, 304, true);
	cr_assert_eq(quorum_commit(&q, rows, 2, 500, 100), 100, "the old one asks for its other node");
	quorum_acknowledge(&q, OTHER, 400, true);
	cr_assert_eq(quorum_commit(&q, rows, 2, 500, 100), 304);
}

Test(quorum, joint_the_word_that_a_node_is_stopped_counts_for_it_behind_the_record)
{
	struct quorum q = primary(true);
	struct pair_row rows[2] = {{50, both}, {200, alone}};

	cr_assert_eq(quorum_commit(&q, rows, 2, 200, 100), 100, "before it is on the disk, it does not count");
	cr_assert_eq(quorum_commit(&q, rows, 2, 304, 100), 304);
}

Test(quorum, appends_are_taken_while_those_who_must_acknowledge_are_linked)
{
	struct quorum q = primary(true);
	struct pair_row rows[2] = {{50, both}, {200, alone}};

	cr_assert_not(quorum_reachable(&q, rows, 1));
	quorum_linked(&q, THIRD, true);
	cr_assert_not(quorum_reachable(&q, rows, 1));
	quorum_linked(&q, OTHER, true);
	cr_assert(quorum_reachable(&q, rows, 1));
	quorum_linked(&q, OTHER, false);
	cr_assert_not(quorum_reachable(&q, rows, 1));
	cr_assert(quorum_reachable(&q, rows, 2));
	rows[0].pair = async;
	cr_assert(quorum_reachable(&q, rows, 1));
}

Test(quorum, however_many_mirrors_come_and_go_who_is_linked_is_not_forgotten)
{
	struct quorum q = primary(true);

	quorum_linked(&q, OTHER, true);
	quorum_acknowledge(&q, OTHER, 200, true);
	for (uint64_t node = 100; node < 200; node++) {
		quorum_linked(&q, node, true);
		quorum_acknowledge(&q, node, 400, true);
		quorum_linked(&q, node, false);
	}
	cr_assert_eq(commit(&q, &both, 500, 60), 200);
}

Test(quorum, current_a_primary_that_restarts_behind_a_word_that_is_not_committed_waits_for_the_other_node)
{
	struct pair_row rows[2] = {{50, both}, {200, alone}};

	cr_assert_not(quorum_alone(SELF, rows, 1));
	cr_assert_not(quorum_alone(SELF, rows, 2));
	cr_assert(quorum_alone(SELF, rows + 1, 1), "once it is committed nobody else is needed");
	rows[0].pair = async;
	cr_assert(quorum_alone(SELF, rows, 1));
}
