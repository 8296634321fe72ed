/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of which there must not be two: primaries that follow nobody, a name, a cluster. */
#include "replicator_rig.h"

TestSuite(rival, .init = begin, .fini = end, .timeout = 120);

static bool both_see_a_rival(void)
{
	struct replicator_status x = status_of(&a), y = status_of(&b);

	return x.rival && y.rival && strstr(x.why, "b has gone on alone as well") && strstr(y.why, "a has gone on alone as well");
}

static bool no_rival_is_seen(void)
{
	struct replicator_status s = status_of(&a);

	return !s.rival && !*s.why;
}

/* An operator has said of both that the other one is stopped, and it was so. */
Test(rival, of_two_that_went_on_alone_the_one_that_starts_last_takes_nothing_until_the_other_is_made_anew)
{
	char away[140];

	make_pair(1);
	close_node(&b);
	cr_assert(until(a_refuses));
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), 0, "%s", said);
	close_node(&a);
	open_node(&b, false, -1);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", true, 0), 0, "%s", said);
	open_node(&a, false, -1);
	cr_assert_eq(put(&a, "nobody's\n"), -EHOSTDOWN);
	cr_assert(until(both_see_a_rival));
	cr_assert_eq(put(&a, "nobody's\n"), -EHOSTDOWN);
	cr_assert_eq(put(&b, "there\n"), 0);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), -EPERM);
	close_node(&b);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", true, 0), 0, "%s", said);
	cr_assert_eq(put(&a, "here\n"), 0);
	snprintf(away, sizeof away, "%s.away", b.path);
	cr_assert_eq(rename(b.path, away), 0);
	open_node(&b, true, -1);
	cr_assert(until(a_rules_a_pair));
	cr_assert(until(no_rival_is_seen));
}

/* A has left b out, and b's own pair has both: it was promoted without a word of who is stopped. */
static void make_rivals_of_a_pair(void)
{
	make_pair(0);
	close_node(&b);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), 0, "%s", said);
	cr_assert_eq(put(&a, "here\n"), 0);
	close_node(&a);
	open_node(&b, false, 0);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "", true, 0), 0, "%s", said);
	cr_assert_eq(put(&b, "there\n"), 0);
}

Test(rival, one_that_was_promoted_and_has_left_nobody_out_sees_who_left_it_out)
{
	make_rivals_of_a_pair();
	open_node(&a, false, 0);
	cr_assert_eq(put(&a, "nobody's\n"), -EHOSTDOWN);
	cr_assert(until(both_see_a_rival));
	cr_assert_eq(put(&b, "there\n"), 0);
	close_node(&b);
	open_node(&b, false, 0);
	cr_assert_eq(put(&b, "nobody's\n"), -EHOSTDOWN, "it has asked, and was answered");
	close_node(&a);
	cr_assert_eq(order(&b, ORDER_ALONE, "a", true, 0), 0, "%s", said);
	cr_assert_eq(put(&b, "there\n"), 0);
}

static bool a_has_given_up(void)
{
	cr_assert_not(status_of(&b).rival);
	return a.again;
}

/* Its answer to the higher reign is not that of one that rules on. */
Test(rival, who_steps_down_for_a_higher_reign_is_none)
{
	make_pair(0);
	close_node(&b);
	close_node(&a);
	open_node(&b, false, 0);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "", true, 0), 0, "%s", said);
	close_node(&b);
	open_node(&a, false, 0);
	cr_assert_eq(put(&a, "given up\n"), 0);
	open_node(&b, false, 0);
	cr_assert_eq(put(&b, "there\n"), 0);
	cr_assert(until(a_has_given_up));
	renew_node(&a);
	cr_assert(until(a_is_current));
}

static bool b2_is_linked(void)
{
	return status_of(&b2).linked;
}

static bool b2_is_refused(void)
{
	struct replicator_status s = status_of(&b2);

	return !s.linked && strstr(s.why, "another node named b is linked");
}

Test(rival, a_second_node_of_a_name_is_refused_and_the_pairs_own_goes_before_it)
{
	struct replicator_status s;

	make_pair(0);
	close_node(&b);
	open_node(&b2, true, -1);
	cr_assert(until(b2_is_linked));
	open_node(&b, true, -1);
	cr_assert(until(b_is_current));
	cr_assert(until(b2_is_refused));
	close_node(&b2);
	open_node(&b2, true, -1);
	cr_assert(until(b2_is_refused));
	s = status_of(&a);
	cr_assert_eq(s.senders, 1);
	cr_assert_eq(s.sender[0].node, status_of(&b).view.node);
}

static bool both_see_strangers(void)
{
	return strstr(status_of(&a).why, "another cluster") && strstr(status_of(&b).why, "another cluster");
}

/* Whoever of them has the higher reign. */
Test(rival, a_node_of_another_cluster_deposes_nobody_and_the_later_one_takes_nothing)
{
	open_node(&a, false, 0);
	open_node(&b, false, 0);
	cr_assert(until(both_see_strangers));
	cr_assert_eq(status_of(&a).view.role, ROLE_PRIMARY);
	cr_assert_eq(status_of(&b).view.role, ROLE_PRIMARY);
	cr_assert_not(status_of(&a).view.refused);
	cr_assert(status_of(&b).view.refused, "its own store may only not be there");
}

static bool b_is_refused_the_log(void)
{
	struct replicator_status s = status_of(&b);

	return !s.linked && strstr(s.why, "the logs part");
}

/* A's store is put back from before the last message, which the standby has. */
static void put_back_older(int min_standbys)
{
	char command[600];

	make_pair(min_standbys);
	close_node(&a);
	snprintf(command, sizeof command, "cp -r %s %s.older", a.path, a.path);
	cr_assert_eq(system(command), 0);
	open_node(&a, false, min_standbys);
	cr_assert(until(b_is_current));
	cr_assert(until(a_rules_a_pair));
	cr_assert_eq(put(&a, "the last one\n"), 0);
	cr_assert(until(same_ends));
	close_node(&a);
	snprintf(command, sizeof command, "rm -r %s && mv %s.older %s", a.path, a.path, a.path);
	cr_assert_eq(system(command), 0);
	open_node(&a, false, min_standbys);
	cr_assert_eq(put(&a, "nobody's\n"), -EHOSTDOWN);
}

static bool a_sees_a_rival(void)
{
	return status_of(&a).rival;
}

/* The standby is made anew, and takes its place again. */
static void go_on_with_the_older(void)
{
	char away[140];

	cr_assert(until(b_is_refused_the_log));
	cr_assert(until(a_sees_a_rival));
	cr_assert_eq(put(&a, "nobody's\n"), -EHOSTDOWN);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), -EPERM);
	close_node(&b);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", true, 0), 0, "%s", said);
	cr_assert_eq(put(&a, "all the same\n"), 0);
	snprintf(away, sizeof away, "%s.away", b.path);
	cr_assert_eq(rename(b.path, away), 0);
	open_node(&b, true, -1);
	cr_assert(until(a_rules_a_pair));
	cr_assert(until(no_rival_is_seen));
}

Test(rival, a_store_that_is_older_than_its_standbys_takes_nothing_until_it_is_told_to)
{
	put_back_older(0);
	cr_assert(strstr(status_of(&a).why, "committed and lacks: the store is an older copy"), "%s", status_of(&a).why);
	go_on_with_the_older();
}

Test(rival, nor_does_it_with_min_standbys)
{
	put_back_older(1);
	go_on_with_the_older();
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 1);
}

/* The other way round: what the standby has is kept. */
Test(rival, a_standby_that_has_more_than_its_primarys_older_store_is_promoted)
{
	put_back_older(0);
	close_node(&a);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "", true, 0), 0, "%s", said);
	open_node(&a, false, 0);
	cr_assert(until(a_begins_again));
	renew_node(&a);
	cr_assert(until(b_rules_a_pair));
	cr_assert(until(a_is_current));
	cr_assert_eq(put(&b, "goes on\n"), 0);
}

/* Node b2 gets a store that is one of N's, and the certificate of a third node, c. */
static void copy_store(const struct node *n)
{
	char command[600], why[KEYS_WHY];

	snprintf(command, sizeof command, "cp -r %s %s", n->path, b2.path);
	cr_assert_eq(system(command), 0);
	snprintf(b2.name, sizeof b2.name, "c");
	cr_assert_eq(keys_node(key_file("us", ""), "c", 0, why), 0, "%s", why);
}

/* It knows the standby alone, as its original does. */
Test(rival, a_copy_of_the_primary_takes_nothing_where_the_standby_follows_that)
{
	make_pair(0);
	close_node(&a);
	copy_store(&a);
	open_node(&a, false, 0);
	cr_assert(until(b_is_current));
	snprintf(b2.other, sizeof b2.other, "%s", b.address);
	open_node(&b2, false, 0);
	cr_assert_eq(put(&b2, "nobody's\n"), -EHOSTDOWN);
	cr_assert(strstr(status_of(&b2).why, "b says: the store is a copy of that of a"), "%s", status_of(&b2).why);
	cr_assert_eq(put(&a, "taken\n"), 0);
	cr_assert(b_is_current());
}

/* Its promise would depose the primary in its original's name. */
Test(rival, a_copy_of_the_standby_is_not_promoted)
{
	make_pair(0);
	close_node(&b);
	copy_store(&b);
	open_node(&b, false, 0);
	cr_assert(until(b_is_current));
	open_node(&b2, false, 0);
	cr_assert_eq(order(&b2, ORDER_PROMOTE, "", false, 0), -EPERM);
	snprintf(b2.other, sizeof b2.other, "%s,%s", b.address, a.address);
	close_node(&b2);
	open_node(&b2, false, 0);
	cr_assert_eq(order(&b2, ORDER_PROMOTE, "", false, 0), -EPERM);
	cr_assert_eq(put(&a, "taken\n"), 0);
	cr_assert(b_is_current());
}
