/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill - a store with many small messages, without the hours that a mount would take: the same appends, straight to the store.
 *
 * Makes the topics t0, t1, ... of QUEUES queues each where they are missing, and appends MESSAGES messages of SIZE bytes, one a
 * record, to all queues of all topics in turn. STORE is not mounted meanwhile; what is there when this has ended is committed.
 *
 * Calling  fill STORE TOPICS QUEUES MESSAGES SIZE
 */
#include "figures.h"
#include "ground.h"
#include "message.h"
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SETTLE 500000

static void must(int err, const char *what, const char *about)
{
	if (!err)
		return;
	errno = -err;
	die(what, about);
}

static struct command *command(void)
{
	struct command *c = command_new_waited();
	if (!c)
		die("memory", "command");
	return c;
}

static struct topic *topic_made(struct store *s, unsigned number, unsigned queues)
{
	char name[32];
	struct owner owner = { .uid = getuid(), .gid = getgid(), .mode = 0777 };
	snprintf(name, sizeof name, "t%u", number);
	struct topic *t = topic_find(s, name);
	if (!t) {
		struct command *c = command();
		must(command_wait(c, store_mkdir(s, c, name, &owner)), "mkdir", name);
		t = topic_find(s, name);
	}
	if (!t)
		die("no such topic", name);
	if (atomic_load(&t->count) < queues) {
		struct command *c = command();
		must(command_wait(c, store_set_queues(s, c, t, queues)), "queues", name);
	}
	return t;
}

/* Until all that was appended is committed: no mount is this fast, and the store holds so many appends in memory and no more. */
static void settle(struct store *s)
{
	struct command *c = command();

	must(command_wait(c, store_set_heads(s, c, NULL, 0)), "commit", "the log");
}

static void fill(struct store *s, unsigned topics, unsigned queues, uint64_t messages, size_t size)
{
	struct topic **topic = must_alloc(topics, sizeof *topic);
	char *data = must_alloc(1, size);
	struct iovec iov = { data, size };
	struct batch batch = { .iov = &iov, .iovcnt = 1, .messages = 1, .uid = getuid(), .pid = (uint32_t)getpid() };
	struct place place;
	for (unsigned i = 0; i < topics; i++)
		topic[i] = topic_made(s, i, queues);
	message_fill(data, size, 1, 0);
	for (uint64_t i = 0; i < messages; i++) {
		message_number(data, size, 1, i);
		struct queue *q = topic_queue(topic[i % topics], (uint32_t)(i / topics % queues));
		must(store_append(q, &batch, &place), "append", topic[i % topics]->name);
		if (i % SETTLE == SETTLE - 1)
			settle(s);
	}
	for (unsigned i = 0; i < topics; i++)
		topic_put(topic[i]);
	free(topic);
	free(data);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	errno = 0;
	if (*end || !n)
		die("not a number above 0", text);
	return n;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: fill STORE TOPICS QUEUES MESSAGES SIZE\n");
		return 2;
	}
	struct store_options options;
	struct store *s;
	char why[STORE_WHY];
	store_options_normal(&options);
	options.create = true;
	double from = now();
	if (store_open(&s, argv[1], &options, why)) {
		errno = 0;
		die("open", why);
	}
	fill(s, (unsigned)number(argv[2]), (unsigned)number(argv[3]), number(argv[4]), number(argv[5]));
	store_stop(s);
	store_close(s);
	figures_begin("fill");
	figures_number("messages", (double)number(argv[4]));
	figures_number("seconds", now() - from);
	figures_end();
	return 0;
}
