/* SPDX-License-Identifier: Apache-2.0 */
#include "served.h"
#include "fuzz.h"
#include "memory_disk.h"
#include "others.h"
#include <stdio.h>
#include <string.h>

/* A node that knows no others. */

static const char *role(void *ctx)
{
	(void)ctx;
	return "primary";
}

static const char *nothing_ails(void *ctx, char why[OTHERS_WHY])
{
	(void)ctx, (void)why;
	return NULL;
}

static int print_nothing(void *ctx, FILE *to)
{
	(void)ctx, (void)to;
	return 0;
}

static json_t *no_status(void *ctx)
{
	(void)ctx;
	return json_object();
}

static const struct others nobody = {.role = role, .ails = nothing_ails, .print_standbys = print_nothing, .print_order = print_nothing, .print_metrics = print_nothing,
	.status = no_status};

static void done(struct command *c, int err)
{
	must(c && command_wait(c, err) == 0);
}

static void append(struct served *s, unsigned n)
{
	char text[64];
	int len = snprintf(text, sizeof text, "message %u %.*s\n", n, (int)(n % 30), "of some length or other, it goes");
	struct iovec iov = {text, (size_t)len};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place at;

	must(store_append(s->queue, &b, &at) == 0);
	must(at.offset == s->offset[n]);
	s->offset[n + 1] = at.offset + (uint64_t)len;
}

static void fill(struct served *s)
{
	struct store *store = s->mount.store;
	struct owner owner = {.mode = 0755};
	struct command *c = command_new_waited();
	struct head_move move;

	done(c, store_mkdir(store, c, "orders", &owner));
	s->topic = topic_find(store, "orders");
	must(s->topic);
	c = command_new_waited();
	done(c, store_set_queues(store, c, s->topic, SERVED_QUEUES));
	s->queue = topic_queue(s->topic, 0);
	for (unsigned n = 0; n < SERVED_MESSAGES; n++)
		append(s, n);
	s->head = s->offset[2];
	move = (struct head_move){s->queue->id, s->head};
	c = command_new_waited();
	done(c, store_set_heads(store, c, &move, 1));
}

struct served *served(void)
{
	static struct served s;
	struct store_options o;
	char why[STORE_WHY];

	if (s.topic)
		return &s;
	memory_disk_serve(memory_disk_new());
	store_options_normal(&o);
	o.segment_size = 4096;
	o.commit_timeout = 600000000000u;        /* a slow machine is no finding */
	must(store_open(&s.mount.store, "/", &o, why) == 0);
	must(mount_start(&s.mount) == 0);
	fill(&s);
	store_stop(s.mount.store);
	s.mount.mountpoint = s.mount.store_path = "/";
	s.mount.others = &nobody;
	return &s;
}
