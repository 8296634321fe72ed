/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes with their threads, over TLS on the loopback: how roles change, and what an operator is told. */
#include "cluster_keys.h"
#include "install.h"
#include "replicator.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LONG_NS 60000000000LL            /* for what is to happen at all */
#define LOOK_NS 2000000L

struct node {
	char name[8], path[128], address[64], other[64];
	struct network_tls *network;
	struct replicator *replicator;
	struct store *store;
	_Atomic bool again;              /* it is to be made anew */
	_Atomic bool warned;             /* that its log is not kept any more */
};

static struct node a, b, b2;            /* b2 has b's name and certificate, and a store of its own */
static struct store_options options;

static void say(void *ctx, int priority, const char *text)
{
	struct node *n = ctx;

	if (priority == LOG_WARNING && strstr(text, "is not kept for it any more"))
		n->warned = true;
	fprintf(stderr, "%s: %s\n", n->name, text);
}

static void start_again(void *ctx)
{
	((struct node *)ctx)->again = true;
}

static void name(struct node *n, const char *text, int port, int other)
{
	int pid = (int)getpid();

	snprintf(n->name, sizeof n->name, "%s", text);
	snprintf(n->path, sizeof n->path, "%s/%s", scratch_path, text);
	snprintf(n->address, sizeof n->address, "127.77.%d.%d:%d", pid >> 8 & 255, pid & 255, port);
	snprintf(n->other, sizeof n->other, "127.77.%d.%d:%d", pid >> 8 & 255, pid & 255, other);
}

static void begin(void)
{
	scratch_init();
	cluster_keys_init();
	store_options_normal(&options);
	options.create = true;
	options.segment_size = 1 << 20;
	options.commit_timeout = 20000000000;
	memset(&a, 0, sizeof a);
	memset(&b, 0, sizeof b);
	memset(&b2, 0, sizeof b2);
	name(&a, "a", 6737, 6738);
	name(&b, "b", 6738, 6737);
	name(&b2, "b", 6739, 6737);
	strcat(b2.path, "2");
}

static void open_node(struct node *n, bool joins, int min_standbys)
{
	char key[300], cert[300], ca[300], why[REPLICATOR_WHY] = "";
	enum replicator_start start;
	struct store_options o = options;
	int stop = eventfd(0, 0);

	o.say = say;
	o.say_ctx = n;
	snprintf(ca, sizeof ca, "%s", key_file("us", "ca.crt"));
	snprintf(cert, sizeof cert, "%s/us/%s.crt", keys_path, n->name);
	snprintf(key, sizeof key, "%s/us/%s.key", keys_path, n->name);
	cr_assert_eq(network_tls(&n->network, n->address, cert, key, ca, why), 0, "%s", why);
	struct replicator_options ro = {.network = network_tls_network(n->network), .name = network_tls_name(n->network), .others = n->other,
		.joins = joins, .min_standbys = min_standbys, .say = say, .start_again = start_again, .ctx = n};
	cr_assert_eq(replicator_new(&n->replicator, &ro, why), 0, "%s", why);
	cr_assert_eq(replicator_look(n->replicator, n->path, &start, why), 0, "%s", why);
	if (start == REPLICATOR_JOIN)
		cr_assert_eq(replicator_join(n->replicator, n->path, &o, false, stop, why), 0, "%s", why);
	close(stop);
	o.standby = start != REPLICATOR_PRIMARY;
	cr_assert_eq(store_open(&n->store, n->path, &o, why), 0, "%s", why);
	cr_assert_eq(replicator_start(n->replicator, n->store, why), 0, "%s", why);
}

/* As main() does when it is told to start again. */
static void renew_node(struct node *n)
{
	char why[REPLICATOR_WHY] = "";
	struct store_options o = options;
	int stop = eventfd(0, 0);

	n->again = false;
	o.standby = true;
	replicator_stop(n->replicator);
	store_stop(n->store);
	store_close(n->store);
	cr_assert_eq(replicator_join(n->replicator, n->path, &o, true, stop, why), 0, "%s", why);
	close(stop);
	cr_assert_eq(store_open(&n->store, n->path, &o, why), 0, "%s", why);
	cr_assert_eq(replicator_start(n->replicator, n->store, why), 0, "%s", why);
}

static void close_node(struct node *n)
{
	if (!n->store)
		return;
	replicator_stop(n->replicator);
	store_stop(n->store);
	store_close(n->store);
	replicator_free(n->replicator);
	network_tls_free(n->network);
	n->store = NULL;
}

static void end(void)
{
	close_node(&a);
	close_node(&b);
	close_node(&b2);
	cluster_keys_end();
	scratch_end();
}

TestSuite(replicator, .init = begin, .fini = end, .timeout = 120);

static struct replicator_status status_of(struct node *n)
{
	static struct replicator_status s;

	replicator_status(n->replicator, &s);
	return s;
}

static bool until(bool (*is)(void))
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	int64_t last = link_in(LONG_NS);

	while (!is()) {
		if (link_in(0) > last)
			return false;
		nanosleep(&look, NULL);
	}
	return true;
}

/* ---- orders ---- */

struct asked {
	struct order order;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int err;
	char why[REPLICATOR_WHY];
};

static void done(struct order *o, int err, const char *why)
{
	struct asked *k = (struct asked *)o;

	pthread_mutex_lock(&k->lock);
	k->done = true;
	k->err = err;
	snprintf(k->why, sizeof k->why, "%s", why);
	pthread_cond_signal(&k->cond);
	pthread_mutex_unlock(&k->lock);
}

static char said[REPLICATOR_WHY];

static int order(struct node *n, enum order_kind kind, const char *stopped, bool accept_loss, uint8_t count)
{
	struct asked k = {.order = {.kind = kind, .accept_loss = accept_loss, .count = count, .done = done}, .lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER};

	snprintf(k.order.stopped, sizeof k.order.stopped, "%s", stopped);
	replicator_order(n->replicator, &k.order);
	pthread_mutex_lock(&k.lock);
	while (!k.done)
		pthread_cond_wait(&k.cond, &k.lock);
	pthread_mutex_unlock(&k.lock);
	fprintf(stderr, "%s: order %d: %d %s\n", n->name, kind, k.err, k.why);
	snprintf(said, sizeof said, "%s", k.why);
	return k.err;
}

/* ---- what is to be ---- */

static bool a_rules_a_pair(void)
{
	struct member_view v = status_of(&a).view;

	return v.role == ROLE_PRIMARY && v.settled && v.paired && v.pair_committed && v.pair.nodes == 2 && !v.refused;
}

static bool b_rules_a_pair(void)
{
	struct member_view v = status_of(&b).view;

	return v.role == ROLE_PRIMARY && v.settled && v.paired && v.pair_committed && v.pair.nodes == 2 && !v.refused;
}

static bool b_is_current(void)
{
	struct replicator_status s = status_of(&b);

	return s.linked && s.view.current && s.view.role == ROLE_STANDBY;
}

static bool a_is_current(void)
{
	struct replicator_status s = status_of(&a);

	return s.linked && s.view.current && s.view.role == ROLE_STANDBY;
}

static bool a_begins_again(void)
{
	return a.again;
}

static bool a_refuses(void)
{
	return status_of(&a).view.refused;
}

static void make_topic(struct node *n, const char *topic)
{
	const struct owner o = {getuid(), getgid(), 0755};
	struct command *c = command_new_waited();

	cr_assert(c);
	cr_assert_eq(command_wait(c, store_mkdir(n->store, c, topic, &o)), 0);
}

/* The error of an append that is to be committed, or of its commit. */
static int put(struct node *n, const char *text)
{
	struct iovec iov = {(char *)text, strlen(text)};
	struct batch batch = {.iov = &iov, .iovcnt = 1, .messages = 1};
	const struct timespec look = {.tv_nsec = LOOK_NS};
	struct topic *t = topic_find(n->store, "orders");
	int64_t last = link_in(LONG_NS);
	struct place at;
	int err;

	cr_assert(t);
	err = store_append(topic_queue(t, 0), &batch, &at);
	topic_put(t);
	while (!err && store_committed(n->store) < at.end && link_in(0) < last)
		nanosleep(&look, NULL);
	return err ? err : store_committed(n->store) < at.end ? -ETIMEDOUT : 0;
}

static uint64_t bytes_of(struct node *n)
{
	struct topic *t = topic_find(n->store, "orders");
	uint64_t bytes = t ? atomic_load(&topic_queue(t, 0)->committed) : 0;

	if (t)
		topic_put(t);
	return bytes;
}

static void make_pair(int min_standbys)
{
	open_node(&a, false, min_standbys);
	open_node(&b, true, min_standbys);
	cr_assert(until(a_rules_a_pair));
	cr_assert(until(b_is_current));
	make_topic(&a, "orders");
	cr_assert_eq(put(&a, "before\n"), 0);
}

static bool same_ends(void)
{
	struct member_view x = status_of(&a).view, y = status_of(&b).view;

	return x.end == y.end && x.chain == y.chain && x.committed == y.committed;
}

/* Some file in its lost/ has TEXT. */
static bool keeps(const char *path, const char *text)
{
	char command[300];

	snprintf(command, sizeof command, "grep -rqaF '%.*s' %s/lost", (int)strcspn(text, "\n"), text, path);
	return system(command) == 0;
}

/* ---- the tests ---- */

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
Test(replicator, of_two_that_went_on_alone_the_one_that_starts_last_takes_nothing_until_the_other_is_made_anew)
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

static bool b2_is_linked(void)
{
	return status_of(&b2).linked;
}

static bool b2_is_refused(void)
{
	struct replicator_status s = status_of(&b2);

	return !s.linked && strstr(s.why, "another node named b is linked");
}

Test(replicator, a_second_node_of_a_name_is_refused_and_the_pairs_own_goes_before_it)
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
Test(replicator, a_node_of_another_cluster_deposes_nobody_and_the_later_one_takes_nothing)
{
	open_node(&a, false, 0);
	open_node(&b, false, 0);
	cr_assert(until(both_see_strangers));
	cr_assert_eq(status_of(&a).view.role, ROLE_PRIMARY);
	cr_assert_eq(status_of(&b).view.role, ROLE_PRIMARY);
	cr_assert_not(status_of(&a).view.refused);
	cr_assert(status_of(&b).view.refused, "its own store may only not be there");
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
	cr_assert_eq(replicator_start(a.replicator, a.store, why), 0, "%s", why);
	cr_assert(strstr(status_of(&a).why, "reading only"), "%s", status_of(&a).why);
}
