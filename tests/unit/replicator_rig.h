/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replicator_rig.h - two nodes with their threads, over TLS on the loopback, in one process.
 *
 * Calling  TestSuite(..., .init = begin, .fini = end); make_pair(1); put(&a, "a line\n"); order(&b, ORDER_PROMOTE, "a", false, 0); until(b_rules_a_pair)
 */
#ifndef MQFS_TESTS_REPLICATOR_RIG_H
#define MQFS_TESTS_REPLICATOR_RIG_H

#include "cluster_keys.h"
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
#define GLANCE_NS 2000000L

struct node {
	char name[8], path[128], address[64], other[140];
	struct network_tls *network;
	struct replicator *replicator;
	struct store *store;
	_Atomic bool again;              /* it is to be made anew */
	_Atomic bool warned;             /* that its log is not kept any more */
};

static struct node a, b, b2;            /* b2 has b's name and certificate, and a store of its own */
static struct store_options options;

static inline void say(void *ctx, int priority, const char *text)
{
	struct node *n = ctx;

	if (priority == LOG_WARNING && strstr(text, "is not kept for it any more"))
		n->warned = true;
	fprintf(stderr, "%s: %s\n", n->name, text);
}

static inline void start_again(void *ctx)
{
	((struct node *)ctx)->again = true;
}

static inline void name(struct node *n, const char *text, int port, int other)
{
	int pid = (int)getpid();

	snprintf(n->name, sizeof n->name, "%s", text);
	snprintf(n->path, sizeof n->path, "%s/%s", scratch_path, text);
	snprintf(n->address, sizeof n->address, "127.77.%d.%d:%d", pid >> 8 & 255, pid & 255, port);
	snprintf(n->other, sizeof n->other, "127.77.%d.%d:%d", pid >> 8 & 255, pid & 255, other);
}

static inline void begin(void)
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

static inline void open_node(struct node *n, bool joins, int min_standbys)
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
	cr_assert_eq(replicator_start(n->replicator, n->store, -1, why), 0, "%s", why);
}

/* As main() does when it is told to start again. */
static inline void renew_node(struct node *n)
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
	cr_assert_eq(replicator_start(n->replicator, n->store, -1, why), 0, "%s", why);
}

static inline void close_node(struct node *n)
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

static inline void end(void)
{
	close_node(&a);
	close_node(&b);
	close_node(&b2);
	cluster_keys_end();
	scratch_end();
}


static inline struct replicator_status status_of(struct node *n)
{
	static struct replicator_status s;

	replicator_status(n->replicator, &s);
	return s;
}

static inline bool until(bool (*is)(void))
{
	const struct timespec look = {.tv_nsec = GLANCE_NS};
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

static inline void done(struct order *o, int err, const char *why)
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

static inline int order(struct node *n, enum order_kind kind, const char *stopped, bool accept_loss, uint8_t count)
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

static inline bool a_rules_a_pair(void)
{
	struct member_view v = status_of(&a).view;

	return v.role == ROLE_PRIMARY && v.settled && v.paired && v.pair_committed && v.pair.nodes == 2 && !v.refused;
}

static inline bool b_rules_a_pair(void)
{
	struct member_view v = status_of(&b).view;

	return v.role == ROLE_PRIMARY && v.settled && v.paired && v.pair_committed && v.pair.nodes == 2 && !v.refused;
}

static inline bool b_is_current(void)
{
	struct replicator_status s = status_of(&b);

	return s.linked && s.view.current && s.view.role == ROLE_STANDBY;
}

static inline bool a_is_current(void)
{
	struct replicator_status s = status_of(&a);

	return s.linked && s.view.current && s.view.role == ROLE_STANDBY;
}

static inline bool a_begins_again(void)
{
	return a.again;
}

static inline bool a_refuses(void)
{
	return status_of(&a).view.refused;
}

static inline void make_topic(struct node *n, const char *topic)
{
	const struct owner o = {getuid(), getgid(), 0755};
	struct command *c = command_new_waited();

	cr_assert(c);
	cr_assert_eq(command_wait(c, store_mkdir(n->store, c, topic, &o)), 0);
}

/* The error of an append that is to be committed, or of its commit. */
static inline int put(struct node *n, const char *text)
{
	struct iovec iov = {(char *)text, strlen(text)};
	struct batch batch = {.iov = &iov, .iovcnt = 1, .messages = 1};
	const struct timespec look = {.tv_nsec = GLANCE_NS};
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

static inline uint64_t bytes_of(struct node *n)
{
	struct topic *t = topic_find(n->store, "orders");
	uint64_t bytes = t ? atomic_load(&topic_queue(t, 0)->committed) : 0;

	if (t)
		topic_put(t);
	return bytes;
}

static inline void make_pair(int min_standbys)
{
	open_node(&a, false, min_standbys);
	open_node(&b, true, min_standbys);
	cr_assert(until(a_rules_a_pair));
	cr_assert(until(b_is_current));
	make_topic(&a, "orders");
	cr_assert_eq(put(&a, "before\n"), 0);
}

static inline bool same_ends(void)
{
	struct member_view x = status_of(&a).view, y = status_of(&b).view;

	return x.end == y.end && x.chain == y.chain && x.committed == y.committed;
}

/* Some file in its lost/ has TEXT. */
static inline bool keeps(const char *path, const char *text)
{
	char command[300];

	snprintf(command, sizeof command, "grep -rqaF '%.*s' %s/lost", (int)strcspn(text, "\n"), text, path);
	return system(command) == 0;
}

#endif
