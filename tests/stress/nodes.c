/* SPDX-License-Identifier: Apache-2.0 */
#include "nodes.h"
#include "holds.h"
#include "parts.h"
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static const char *const names[TOPICS] = {"orders", "audit"};

void pause_shortly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void moved(struct progress_waiter *w)
{
	sem_post(((struct node *)w)->moved);
}

void nodes_init(struct node node[2], struct wire wire[2], const char *path, sem_t *to_post)
{
	for (int i = 0; i < 2; i++) {
		struct node *n = &node[i];

		*n = (struct node){.waiter.moved = moved, .moved = to_post, .name = wire[i].name, .other = i ? "a:1" : "b:1",
			.network = &wire[i].network};
		snprintf(n->path, sizeof n->path, "%s/%s", path, n->name);
	}
}

/* ---- open ---- */

static void say(void *ctx, int priority, const char *text)
{
	fprintf(stderr, "%s: %d: %s\n", ((struct node *)ctx)->name, priority, text);
}

static void start_again(void *ctx)
{
	(void)ctx;
	check(!"a node is to be made anew");
}

static void options(struct node *n, struct store_options *o)
{
	store_options_normal(o);
	o->segment_size = 256 << 10;
	o->checkpoint_every = 1 << 20;
	o->scrub_rate = 64 << 20;
	o->commit_timeout = 600000000000u;       /* a slow disk is no finding */
	o->say = say;
	o->say_ctx = n;
}

static void open_node(struct node *n, bool joins)
{
	struct replicator_options ro = {.network = n->network, .name = n->name, .others = n->other, .joins = joins, .min_standbys = 1,
		.say = say, .start_again = start_again, .ctx = n};
	int err, stop = eventfd(0, EFD_CLOEXEC);
	char why[REPLICATOR_WHY] = "";
	enum replicator_start start;
	struct store_options o;

	options(n, &o);
	err = replicator_new(&n->replicator, &ro, why);
	if (!err)
		err = replicator_look(n->replicator, n->path, &start, why);
	if (!err && start == REPLICATOR_JOIN)
		err = replicator_join(n->replicator, n->path, &o, false, stop, why);
	close(stop);
	o.standby = !err && start != REPLICATOR_PRIMARY;
	if (!err)
		err = store_open(&n->store, n->path, &o, why);
	if (!err)
		err = replicator_start(n->replicator, n->store, -1, why);
	if (err)
		fprintf(stderr, "%s: %s\n", n->name, why);
	check(!err);
}

static void make_topics(struct node *n)
{
	for (unsigned t = 0; t < TOPICS; t++) {
		struct command *make = command_new_waited(), *grow = command_new_waited();
		struct topic *made;

		check(make && grow);
		check(command_wait(make, store_mkdir(n->store, make, names[t], &(struct owner){.mode = 0755})) == 0);
		made = topic_find(n->store, names[t]);
		check(command_wait(grow, store_set_queues(n->store, grow, made, QUEUES)) == 0);
		topic_put(made);
	}
}

/* ---- what is to be ---- */

static bool are_pair(struct node node[2])
{
	struct member_view a, b;

	store_view(node[0].store, &a);
	store_view(node[1].store, &b);
	return a.settled && a.pair_committed && !a.refused && b.current && b.committed == a.committed && a.committed == a.end;
}

static bool has_topics(struct node *n)
{
	for (unsigned t = 0; t < TOPICS; t++) {
		if (!n->topic[t])
			n->topic[t] = topic_find(n->store, names[t]);
		if (!n->topic[t] || !topic_queue(n->topic[t], QUEUES - 1))
			return false;
	}
	return true;
}

static bool have_topics(struct node node[2])
{
	return has_topics(&node[0]) && has_topics(&node[1]);
}

static void wait_until(struct node node[2], bool (*is)(struct node node[2]))
{
	int64_t last = link_in(PATIENCE_NS);

	while (!is(node)) {
		check(link_in(0) < last);
		pause_shortly();
	}
}

/* ---- both ---- */

void nodes_open(struct node node[2], bool first)
{
	open_node(&node[0], false);
	open_node(&node[1], first);
	wait_until(node, are_pair);
	if (first)
		make_topics(&node[0]);
	wait_until(node, have_topics);
	for (int i = 0; i < 2; i++)
		progress_add(store_progress(node[i].store), &node[i].waiter);
}

void nodes_stop(struct node node[2])
{
	for (int i = 0; i < 2; i++)
		replicator_stop(node[i].replicator);
	for (int i = 0; i < 2; i++)
		store_stop(node[i].store);
}

static void close_node(struct node *n)
{
	for (unsigned t = 0; t < TOPICS; t++) {
		topic_put(n->topic[t]);
		n->topic[t] = NULL;
	}
	progress_remove(store_progress(n->store), &n->waiter);
	store_close(n->store);
	replicator_free(n->replicator);
}

void nodes_close(struct node node[2])
{
	for (int i = 0; i < 2; i++)
		close_node(&node[i]);
}

/* ---- the disk ---- */

uint8_t node_byte(struct node *n, uint64_t at, const uint8_t *becomes)
{
	struct segment *g = segments_find(n->store->segments, at);
	char name[32], path[200];
	uint8_t byte = 0;
	off_t in_file;
	int fd;

	check(g);
	segment_name(name, g->head.base);
	in_file = (off_t)(SEGMENT_HEADER + at - g->head.base);
	segment_put(g);
	snprintf(path, sizeof path, "%s/%s", n->path, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	check(fd >= 0);
	check((becomes ? pwrite(fd, becomes, 1, in_file) : pread(fd, &byte, 1, in_file)) == 1);
	close(fd);
	return byte;
}
