/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes with their threads: how roles change, and what an operator is told. */
#include "install.h"
#include "log.h"
#include "parts.h"
#include "replicator_part.h"
#include "replicator_rig.h"

TestSuite(replicator, .init = begin, .fini = end, .timeout = 120);

Test(replicator, a_blank_standby_becomes_a_member_and_follows)
{
	make_pair(1);
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 1);
	cr_assert_eq(put(&a, "one\n"), 0);
	cr_assert(until(same_ends));
	cr_assert_eq(bytes_of(&b), 11);
	cr_assert_eq(put(&b, "two\n"), -EROFS);
}

Test(replicator, with_min_standbys_nothing_is_taken_before_a_standby_has_joined)
{
	open_node(&a, false, 0);
	make_topic(&a, "orders");
	close_node(&a);
	open_node(&a, false, 1);
	cr_assert(until(a_refuses));
	cr_assert_eq(put(&a, "alone\n"), -EHOSTDOWN);
	open_node(&b, true, 1);
	cr_assert(until(a_rules_a_pair));
	cr_assert_eq(put(&a, "on both\n"), 0);
}

Test(replicator, without_the_other_node_appends_are_refused_until_it_is_back)
{
	make_pair(1);
	close_node(&b);
	cr_assert(until(a_refuses));
	cr_assert_eq(put(&a, "one\n"), -EHOSTDOWN);
	open_node(&b, true, 1);
	cr_assert(until(a_rules_a_pair));
	cr_assert_eq(put(&a, "two\n"), 0);
}

Test(replicator, a_current_standby_is_promoted_and_the_old_primary_comes_back_as_its_standby)
{
	make_pair(1);
	close_node(&a);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "nobody", false, 0), -EINVAL);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", false, 0), 0, "%s", said);
	cr_assert_eq(put(&b, "two\n"), 0);
	open_node(&a, false, 1);
	cr_assert(until(a_is_current));
	cr_assert(until(b_rules_a_pair));
	cr_assert_eq(status_of(&b).view.pair.min_standbys, 1);
	cr_assert_eq(put(&b, "three\n"), 0);
	cr_assert(until(same_ends));
}

Test(replicator, a_promotion_without_word_of_the_other_node_commits_when_that_is_back)
{
	make_pair(1);
	close_node(&a);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "", false, 0), 0, "%s", said);
	cr_assert_eq(put(&b, "two\n"), -EHOSTDOWN);
	open_node(&a, false, 1);
	cr_assert(until(b_rules_a_pair));
	cr_assert_eq(put(&b, "three\n"), 0);
}

Test(replicator, two_that_die_while_they_change_places_need_no_consent_to_a_loss)
{
	struct member_view v;

	make_pair(1);
	cr_assert(until(b_is_current));
	store_view(b.store, &v);
	replicator_stop(a.replicator);
	cr_assert_eq(store_step_down(a.store), 0);
	cr_assert_eq(store_promise(a.store, (struct reign){v.promise.reign.number + 1, v.node}), 0);
	close_node(&a);
	close_node(&b);
	open_node(&b, true, 1);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", false, 0), -EPERM, "not without the other one");
	open_node(&a, true, 1);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "", false, 0), 0, "%s", said);
	cr_assert(until(b_rules_a_pair));
	cr_assert_eq(put(&b, "two\n"), 0);
}

Test(replicator, both_change_places_from_either_side)
{
	make_pair(1);
	cr_assert_eq(order(&a, ORDER_SWITCHOVER, "", false, 0), 0, "%s", said);
	cr_assert(until(a_is_current));
	cr_assert(until(b_rules_a_pair));
	cr_assert_eq(put(&a, "one\n"), -EROFS);
	cr_assert_eq(put(&b, "two\n"), 0);
	cr_assert_eq(order(&a, ORDER_SWITCHOVER, "", false, 0), 0, "%s", said);
	cr_assert(until(a_rules_a_pair));
	cr_assert_eq(put(&a, "three\n"), 0);
	cr_assert(until(same_ends));
}

/* It has hardly looked whether the other one rules. */
Test(replicator, a_primary_that_stops_when_it_has_handed_over_does_not_take_that_back)
{
	int64_t before;

	make_pair(1);
	cr_assert_eq(order(&b, ORDER_SWITCHOVER, "", false, 0), 0, "%s", said);
	before = link_in(0);
	close_node(&a);
	cr_assert_lt(link_in(0) - before, 4000000000, "nor does it wait for anything");
	open_node(&a, false, 1);
	cr_assert(until(b_rules_a_pair));
	cr_assert(until(a_is_current));
	cr_assert_eq(status_of(&b).view.epoch.reign, 2);
	cr_assert_eq(put(&b, "one\n"), 0);
}

static bool a_has_stepped_down(void)
{
	return status_of(&a).view.role == ROLE_STANDBY;
}

static struct asked handing = {.order = {.kind = ORDER_SWITCHOVER, .done = done}, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static bool handing_is_over(void)
{
	bool is;

	pthread_mutex_lock(&handing.lock);
	is = handing.done;
	pthread_mutex_unlock(&handing.lock);
	return is;
}

Test(replicator, nor_does_one_that_is_wanted_by_somebody_else_meanwhile)
{
	make_pair(1);
	replicator_order(b.replicator, &handing.order);
	cr_assert(until(a_has_stepped_down));
	cr_assert_eq(order(&a, ORDER_PROMOTE, "nobody", false, 0), -EINVAL, "%s", said);
	cr_assert(until(b_rules_a_pair));
	cr_assert(until(a_is_current));
	cr_assert_eq(status_of(&b).view.epoch.reign, 2, "it was not taken back");
	cr_assert_eq(put(&b, "one\n"), 0);
	cr_assert(until(handing_is_over));
	cr_assert_eq(handing.err, 0);
}

/* The file that is to hold it cannot be made. */
static void keep_no_promise(struct node *n, bool on)
{
	char path[200];

	snprintf(path, sizeof path, "%s/promise.new", n->path);
	cr_assert_eq(on ? mkdir(path, 0700) : rmdir(path), 0);
}

Test(replicator, a_primary_that_cannot_keep_the_promise_of_a_switchover_goes_on)
{
	make_pair(1);
	keep_no_promise(&a, true);
	cr_assert_eq(order(&a, ORDER_SWITCHOVER, "", false, 0), -EISDIR, "%s", said);
	cr_assert(until(a_rules_a_pair));
	cr_assert_eq(put(&a, "one\n"), 0);
	cr_assert(until(same_ends));
	keep_no_promise(&a, false);
	cr_assert(until(b_is_current));
	cr_assert_eq(order(&a, ORDER_SWITCHOVER, "", false, 0), 0, "%s", said);
	cr_assert(until(b_rules_a_pair));
	cr_assert_eq(put(&b, "two\n"), 0);
}

static bool nothing_is_pending(void)
{
	struct member_view v = status_of(&a).view;

	return v.role == ROLE_PRIMARY && v.settled && v.pair_committed && v.committed == v.end;
}

/* The other one cannot take over. */
Test(replicator, a_switchover_that_is_taken_back_leaves_min_standbys_as_ordered)
{
	make_pair(0);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 1), 0, "%s", said);
	keep_no_promise(&b, true);
	cr_assert_eq(order(&a, ORDER_SWITCHOVER, "", false, 0), -ETIMEDOUT, "%s", said);
	keep_no_promise(&b, false);
	cr_assert(until(a_rules_a_pair), "%s", said);
	/* Between two orders it looks at its pair. */
	for (int n = 0; n < 3; n++)
		cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), -EPERM);
	cr_assert(until(nothing_is_pending));
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 1);
}

Test(replicator, without_min_standbys_both_change_places_too)
{
	make_pair(0);
	cr_assert_eq(order(&a, ORDER_SWITCHOVER, "", false, 0), 0, "%s", said);
	cr_assert(until(b_rules_a_pair));
	cr_assert_eq(put(&b, "two\n"), 0);
}

Test(replicator, without_min_standbys_a_promotion_needs_consent)
{
	make_pair(0);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "", false, 0), -EPERM);
	cr_assert(strstr(said, "switchover"), "%s", said);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", true, 0), -EPERM, "a loss is accepted of a primary that is there");
	cr_assert(strstr(said, "switchover"), "%s", said);
	cr_assert_eq(put(&a, "still\n"), 0);
	cr_assert(until(same_ends));
	close_node(&b);
	cr_assert_eq(put(&a, "here only\n"), 0);
	close_node(&a);
	open_node(&b, false, 0);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", false, 0), -EPERM);
	cr_assert(strstr(said, "--accept-loss"), "%s", said);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", true, 0), 0, "%s", said);
	cr_assert(strstr(said, "lost"), "%s", said);
	cr_assert_eq(put(&b, "on\n"), 0);
	open_node(&a, false, 0);
	cr_assert_eq(put(&a, "nobody's\n"), -EROFS, "it has not asked whether the other one rules");
	cr_assert(until(a_begins_again));
	renew_node(&a);
	cr_assert(until(a_is_current));
	cr_assert(until(same_ends));
	cr_assert(keeps(a.path, "here only\n"));
}

Test(replicator, a_primary_goes_on_alone_and_takes_the_other_one_in_again)
{
	make_pair(1);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), -EPERM);
	close_node(&b);
	cr_assert(until(a_refuses));
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), 0, "%s", said);
	cr_assert_eq(put(&a, "alone\n"), 0);
	open_node(&b, false, -1);
	cr_assert(until(a_rules_a_pair));
	cr_assert(until(b_is_current));
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 1);
}

/* As if it had been killed just now; what it is told by its log alone, as no checkpoint may have been made yet. */
static void kill_node(struct node *n)
{
	char left[140], checkpoints[160];
	struct member_view v = status_of(n).view;

	cr_assert_eq(v.synced, v.end, "the power may go as well");
	snprintf(left, sizeof left, "%s.left", n->path);
	scratch_copy(n->path, left);
	snprintf(checkpoints, sizeof checkpoints, "%s/checkpoint", left);
	scratch_remove(checkpoints);
	cr_assert_eq(mkdir(checkpoints, 0700), 0);
	close_node(n);
	scratch_remove(n->path);
	cr_assert_eq(rename(left, n->path), 0);
}

Test(replicator, a_primary_that_went_on_alone_does_so_after_a_crash)
{
	options.sync_delay = 50000000;
	make_pair(1);
	close_node(&b);
	cr_assert(until(a_refuses));
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), 0, "%s", said);
	kill_node(&a);
	open_node(&a, false, -1);
	cr_assert_eq(put(&a, "alone\n"), 0);
}

Test(replicator, so_does_one_that_was_promoted_to_go_on_alone)
{
	make_pair(1);
	close_node(&a);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", false, 0), 0, "%s", said);
	kill_node(&b);
	open_node(&b, false, -1);
	cr_assert_eq(put(&b, "alone\n"), 0);
}

Test(replicator, and_one_that_was_told_to_wait_for_nobody)
{
	make_pair(1);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 0), 0, "%s", said);
	kill_node(&a);
	close_node(&b);
	open_node(&a, false, -1);
	cr_assert_eq(put(&a, "alone\n"), 0);
}

Test(replicator, a_restarted_primary_waits_for_the_other_node_or_the_operators_word)
{
	make_pair(1);
	close_node(&b);
	close_node(&a);
	open_node(&a, false, -1);
	cr_assert_eq(put(&a, "one\n"), -EHOSTDOWN);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), -EPERM);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", true, 0), 0, "%s", said);
	cr_assert_eq(put(&a, "two\n"), 0);
}

Test(replicator, a_store_that_was_being_made_anew_is_made_whatever_the_options_call_the_other_node)
{
	struct install *i;
	char why[STORE_WHY], away[140];

	make_pair(0);
	close_node(&b);
	snprintf(away, sizeof away, "%s.away", b.path);
	cr_assert_eq(rename(b.path, away), 0);
	cr_assert_eq(install_begin(&i, b.path, false, UINT64_MAX, store_identity(a.store), &(struct log_start){0}, 0, status_of(&a).view.end,
		options.segment_size, why), 0, "%s", why);
	install_free(i);
	open_node(&b, false, 0);
	cr_assert(until(same_ends));
}

static void stop_when_it_waits(void *ctx, int priority, const char *text)
{
	uint64_t one = 1;

	say(&b, priority, text);
	if (strstr(text, "waits for a primary"))
		cr_assert_eq(write(*(int *)ctx, &one, sizeof one), sizeof one);
}

/* One that has not heard yet that it was deposed; the other one is at the next address, or comes back. */
Test(replicator, nor_does_a_primary_below_what_it_has_promised_end_the_making)
{
	struct store_options o = options;
	char why[REPLICATOR_WHY] = "";
	int stop = eventfd(0, 0);
	struct install *i;

	make_pair(0);
	replicator_stop(b.replicator);
	cr_assert_eq(store_promise(b.store, (struct reign){2, status_of(&b).view.node}), 0);
	store_stop(b.store);
	store_close(b.store);
	b.store = NULL;
	cr_assert_eq(install_begin(&i, b.path, true, UINT64_MAX, store_identity(a.store), &(struct log_start){0}, 0, status_of(&a).view.end,
		options.segment_size, why), 0, "%s", why);
	install_free(i);
	replicator_free(b.replicator);
	struct replicator_options ro = {.network = network_tls_network(b.network), .name = "b", .others = b.other, .say = stop_when_it_waits,
		.ctx = &stop};
	cr_assert_eq(replicator_new(&b.replicator, &ro, why), 0, "%s", why);
	cr_assert_eq(replicator_join(b.replicator, b.path, &o, false, stop, why), -ECANCELED, "%s", why);
	cr_assert(strstr(why, "below"), "%s", why);
	replicator_free(b.replicator);
	network_tls_free(b.network);
	close(stop);
}

static bool a_holds_no_more(void)
{
	struct replicator_status s = status_of(&a);

	return s.view.unheld && strcmp(s.why, "b is not linked, and lacks more than hold: the log is not kept for it any more") == 0 && a.warned;
}

static bool a_holds_all(void)
{
	struct replicator_status s = status_of(&a);

	return !s.view.unheld && !*s.why;
}

Test(replicator, past_hold_the_primary_says_that_it_keeps_the_log_no_more)
{
	static char line[100001];

	options.hold_bytes = 1 << 20;
	make_pair(0);
	close_node(&b);
	memset(line, 'x', sizeof line - 1);
	for (int n = 0; n < 5; n++)
		cr_assert_eq(put(&a, line), 0);
	cr_assert_not(status_of(&a).view.unheld);
	for (int n = 0; n < 7; n++)
		cr_assert_eq(put(&a, line), 0);
	cr_assert(until(a_holds_no_more));
	open_node(&b, false, -1);
	cr_assert(until(b_is_current));
	cr_assert(until(a_holds_all));
}

Test(replicator, min_standbys_changes_while_it_runs)
{
	make_pair(0);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 1), 0, "%s", said);
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 1);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 2), -EINVAL);
	cr_assert_eq(order(&b, ORDER_MIN_STANDBYS, "", false, 0), -EROFS);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 0), 0);
	close_node(&b);
	cr_assert_eq(put(&a, "alone\n"), 0);
}

Test(replicator, min_standbys_of_a_pair_of_one_is_that_of_the_next_pair_whatever_is_restarted)
{
	make_pair(-1);
	close_node(&b);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), 0, "%s", said);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 1), 0, "%s", said);
	cr_assert(strstr(said, "until then a commit waits for nobody"), "%s", said);
	cr_assert_eq(put(&a, "alone\n"), 0);
	cr_assert_eq(status_of(&a).view.pair.stopped, 0, "that is no word of b");
	close_node(&a);
	open_node(&a, false, -1);
	cr_assert_eq(put(&a, "alone again\n"), 0);
	open_node(&b, false, -1);
	cr_assert(until(a_rules_a_pair));
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 1);
}

Test(replicator, min_standbys_of_a_store_without_a_pair_is_said_to_be_forgotten)
{
	open_node(&a, false, -1);
	make_topic(&a, "orders");
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 1), 0, "%s", said);
	cr_assert(strstr(said, "appends are refused; the next start forgets it"), "%s", said);
	cr_assert_eq(put(&a, "nobody's\n"), -EHOSTDOWN);
	close_node(&a);
	open_node(&a, false, -1);
	cr_assert_eq(put(&a, "alone\n"), 0);
}

Test(replicator, an_order_of_min_standbys_does_not_outlive_the_reign_that_it_was_given_in)
{
	make_pair(-1);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 0), 0, "%s", said);
	cr_assert_eq(order(&a, ORDER_SWITCHOVER, "", false, 0), 0, "%s", said);
	cr_assert(until(a_is_current));
	cr_assert(until(b_rules_a_pair));
	cr_assert_eq(order(&b, ORDER_MIN_STANDBYS, "", false, 1), 0, "%s", said);
	cr_assert_eq(order(&b, ORDER_SWITCHOVER, "", false, 0), 0, "%s", said);
	cr_assert(until(a_rules_a_pair));
	cr_assert_eq(put(&a, "one\n"), 0);
	/* Between two orders it looks at its pair. */
	for (int n = 0; n < 3; n++)
		cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), -EPERM);
	cr_assert(until(nothing_is_pending));
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 1);
}

/* Another change of the pair is not committed yet. */
Test(replicator, min_standbys_that_is_said_not_to_be_changed_is_not_changed_later)
{
	struct pair same;
	uint64_t pos;

	options.sync_delay = 100000000;
	make_pair(1);
	same = status_of(&a).view.pair;
	cr_assert_eq(store_set_pair(a.store, &same, &pos), 0);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 0), -EBUSY, "%s", said);
	cr_assert(until(a_rules_a_pair));
	for (int looks = 0; looks < 2; looks++)
		cr_assert_eq(order(&a, ORDER_PROMOTE, "", false, 0), 0, "it looks at the pair after each");
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 1);
	cr_assert_eq(order(&a, ORDER_MIN_STANDBYS, "", false, 0), 0, "%s", said);
	cr_assert_eq(status_of(&a).view.pair.min_standbys, 0);
}

static bool b_follows_without_a_place(void)
{
	struct replicator_status s = status_of(&a);

	return s.senders == 1 && strstr(s.why, "mqctl alone --stopped b gives it the place");
}

/* With min_standbys=0 nothing else tells that it cannot be promoted. */
Test(replicator, a_node_whose_store_was_lost_is_said_to_have_no_place_until_it_gets_one)
{
	char away[140];
	struct pair p;

	make_pair(0);
	close_node(&b);
	snprintf(away, sizeof away, "%s.away", b.path);
	cr_assert_eq(rename(b.path, away), 0);
	open_node(&b, true, -1);
	cr_assert(until(b_follows_without_a_place), "%s", status_of(&a).why);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "", true, 0), -EPERM, "%s", said);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), 0, "%s", said);
	cr_assert(until(a_rules_a_pair));
	cr_assert(until(b_is_current));
	p = status_of(&a).view.pair;
	cr_assert(pair_has(&p, status_of(&b).view.node));
	cr_assert_eq(order(&a, ORDER_SWITCHOVER, "", false, 0), 0, "%s", said);
	cr_assert(until(b_rules_a_pair));
}

static const struct disk_ops *sound;
static struct disk_ops frail;
static _Atomic bool late, fails;

/* Longer than an order waits for what is in the log to be committed. */
static int sync_late(struct disk *d, int fd)
{
	const struct timespec long_time = {.tv_sec = 5, .tv_nsec = 500000000};

	if (atomic_exchange(&late, false))
		nanosleep(&long_time, NULL);
	return sound->sync(d, fd);
}

static ssize_t write_no_pair(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	const uint8_t *header = iov->iov_base;

	if (fails && iov->iov_len >= RECORD_HEADER && memcmp(header, "MQR1", 4) == 0 && header[4] == RECORD_PAIR)
		return -EIO;
	return sound->pwritev(d, fd, iov, n, at);
}

static void make_frail(struct node *n)
{
	sound = n->store->disk->ops;
	frail = *sound;
	frail.sync = sync_late;
	frail.pwritev = write_no_pair;
	n->store->disk->ops = &frail;
}

/* What is synced is applied a moment later. */
static void *apply_later(void *held)
{
	const struct timespec longer = {.tv_sec = 6, .tv_nsec = 500000000};

	topics_apply_lock(a.store->topics);
	*(atomic_bool *)held = true;
	nanosleep(&longer, NULL);
	topics_apply_unlock(a.store->topics);
	return NULL;
}

Test(replicator, what_is_in_the_log_late_is_done_all_the_same)
{
	atomic_bool held = false;
	pthread_t applies;

	make_pair(1);
	close_node(&b);
	cr_assert(until(a_refuses));
	make_frail(&a);
	late = true;
	cr_assert_eq(pthread_create(&applies, NULL, apply_later, &held), 0);
	while (!held)
		nanosleep(&(struct timespec){.tv_nsec = GLANCE_NS}, NULL);
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), 0, "%s", said);
	pthread_join(applies, NULL);
	cr_assert_not(late);
	cr_assert_eq(put(&a, "alone\n"), 0);
}

Test(replicator, a_promotion_that_cannot_leave_the_other_one_out_is_one_and_says_so)
{
	make_pair(1);
	close_node(&a);
	make_frail(&b);
	fails = true;
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", false, 0), -EIO, "%s", said);
	cr_assert(strncmp(said, "this node is the primary, but going on without a: ", 50) == 0, "%s", said);
	cr_assert_eq(status_of(&b).view.role, ROLE_PRIMARY);
}

static bool follows_nobody(struct node *n)
{
	static const char why[] = "the log of this node has failed";
	struct replicator_status s = status_of(n);

	return s.view.role == ROLE_STANDBY && !s.linked && strncmp(s.why, why, sizeof why - 1) == 0;
}

static bool a_follows_nobody(void)
{
	return follows_nobody(&a);
}

static bool b_follows_nobody(void)
{
	return follows_nobody(&b);
}

Test(replicator, a_standby_whose_log_has_failed_is_away)
{
	const struct timespec moment = {.tv_nsec = 300000000};

	make_pair(1);
	log_fail(b.store->log, -EIO);
	cr_assert(until(b_follows_nobody));
	cr_assert(until(a_refuses));
	for (int n = 0; n < 4; n++) {
		cr_assert_eq(put(&a, "one\n"), -EHOSTDOWN);
		cr_assert(b_follows_nobody(), "%s", status_of(&b).why);
		nanosleep(&moment, NULL);
	}
	cr_assert_eq(order(&b, ORDER_SWITCHOVER, "", false, 0), -ENOTCONN, "an order is answered");
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", true, 0), -EIO, "%s", said);
	cr_assert_eq(status_of(&b).view.promise.reign.number, 1, "nothing is promised in vain");
	cr_assert_eq(order(&a, ORDER_ALONE, "b", false, 0), 0, "%s", said);
	cr_assert_eq(put(&a, "two\n"), 0);
}

Test(replicator, a_primary_whose_log_has_failed_steps_down_for_who_is_promoted)
{
	make_pair(1);
	log_fail(a.store->log, -EIO);
	cr_assert_eq(put(&a, "one\n"), -EIO);
	cr_assert_eq(order(&a, ORDER_ALONE, "nobody", false, 0), -ENOENT, "%s", said);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "a", false, 0), 0, "%s", said);
	cr_assert_eq(put(&b, "two\n"), 0);
	cr_assert(until(a_follows_nobody));
	close_node(&a);
	open_node(&a, false, 1);
	cr_assert(until(a_is_current));
	cr_assert(until(same_ends));
}

Test(replicator, a_store_that_is_open_for_reading_only_takes_no_part)
{
	struct store_options o = options;
	char why[REPLICATOR_WHY] = "";

	open_node(&a, false, -1);
	replicator_stop(a.replicator);
	store_stop(a.store);
	store_close(a.store);
	o.read_only = true;
	cr_assert_eq(store_open(&a.store, a.path, &o, why), 0, "%s", why);
	cr_assert_eq(replicator_start(a.replicator, a.store, -1, why), 0, "%s", why);
	cr_assert(strstr(status_of(&a).why, "reading only"), "%s", status_of(&a).why);
	cr_assert_eq(order(&a, ORDER_PROMOTE, "", false, 0), -ENOTCONN);
	cr_assert_str_eq(status_of(&a).last_order, "promote: not done: the store is open for reading only");
}

static int allocate_nothing(struct disk *d, int fd, uint64_t bytes)
{
	(void)d;
	(void)fd;
	(void)bytes;
	return -ENOSPC;
}

static bool b_is_full(void)
{
	return strstr(status_of(&b).why, "the disk is full");
}

static bool b_is_full_or_has_all(void)
{
	return b_is_full() || same_ends();
}

/* It hears no more of what the primary says of it, and so little is on the way that the link stays. */
Test(replicator, an_order_that_the_primary_was_asked_for_ends_in_time_while_the_disk_is_full)
{
	static char line[64 << 10];
	static struct disk_ops ops;

	memset(line, '.', sizeof line - 2);
	line[sizeof line - 2] = '\n';
	make_pair(0);
	sound = b.store->disk->ops;
	ops = *sound;
	ops.allocate = allocate_nothing;
	b.store->disk->ops = &ops;
	while (!b_is_full()) {
		cr_assert_eq(put(&a, line), 0);
		cr_assert(until(b_is_full_or_has_all));
	}
	replicator_order(b.replicator, &handing.order);
	pthread_mutex_lock(&b.replicator->lock);
	b.replicator->order_until = link_in(0);
	pthread_mutex_unlock(&b.replicator->lock);
	cr_assert(until(handing_is_over));
	cr_assert_eq(handing.err, -ETIMEDOUT, "%s", handing.why);
	cr_assert_eq(order(&b, ORDER_PROMOTE, "nobody", false, 0), -EINVAL, "another order is carried out");
	b.store->disk->ops = sound;
	cr_assert(until(same_ends));
}

static pthread_t starter;
static unsigned indexes_opened;        /* by the starter */

static int counted_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	if (pthread_equal(pthread_self(), starter) && strstr(path, ".index"))
		indexes_opened++;
	return sound->open(d, path, flags, mode);
}

static bool a_sealed_some(void)
{
	struct store_status st;

	store_status(a.store, &st);
	return st.segments > st.segments_unsealed;
}

Test(replicator, a_start_does_not_look_at_all_segments)
{
	static char line[64 << 10];
	static struct disk_ops ops;
	char why[REPLICATOR_WHY] = "";

	memset(line, '.', sizeof line - 2);
	line[sizeof line - 2] = '\n';
	open_node(&a, false, -1);
	make_topic(&a, "orders");
	for (int n = 0; n < 40; n++)
		cr_assert_eq(put(&a, line), 0);
	cr_assert(until(a_sealed_some));
	replicator_stop(a.replicator);
	sound = a.store->disk->ops;
	ops = *sound;
	ops.open = counted_open;
	starter = pthread_self();
	a.store->disk->ops = &ops;
	cr_assert_eq(replicator_start(a.replicator, a.store, -1, why), 0, "%s", why);
	a.store->disk->ops = sound;
	cr_assert_eq(indexes_opened, 0);
}

Test(replicator, an_order_that_meets_a_stopping_node_is_the_last_one_too)
{
	open_node(&a, false, -1);
	cr_assert_eq(order(&a, ORDER_PROMOTE, "", false, 0), 0, "%s", said);
	cr_assert_str_eq(status_of(&a).last_order, "promote: this node is the primary already");
	replicator_stop(a.replicator);
	cr_assert_eq(order(&a, ORDER_PROMOTE, "", false, 0), -ENOTCONN);
	cr_assert_str_eq(status_of(&a).last_order, "promote: not done: this node is stopping");
}
