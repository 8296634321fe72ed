/* SPDX-License-Identifier: Apache-2.0 */
/* More than the tables' first sizes hold: records, queues, topics. */
#include "committed.h"
#include "fault_work.h"
#include "log.h"
#include "scratch.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

void work_large(void)
{
	static char text[LARGE];
	struct iovec iov = {text, LARGE};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place place;
	struct topic *t;

	if (!work_begin())
		return;
	work_topics();
	work_append_wait(KEEP);
	WORK_DO(store_mkdir(store, c, "large", &(struct owner){0, 0, 0755}));
	memset(text, 'x', LARGE - 1);
	text[LARGE - 1] = '\n';
	t = topic_find(store, "large");
	if (t && store_append(topic_queue(t, 0), &b, &place) == 0)
		did.large = wait_committed(store, place.end) == 0;
	topic_put(t);
	work_append_wait(KEEP);
	work_keep();
	work_finish();
}

/* The committer stands in front of its sync until it is let go on. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool held;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

static void pass_gate(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&gate.lock);
	while (gate.held)
		pthread_cond_wait(&gate.moved, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void set_gate(bool held)
{
	pthread_mutex_lock(&gate.lock);
	gate.held = held;
	pthread_cond_broadcast(&gate.moved);
	pthread_mutex_unlock(&gate.lock);
}

/* Nothing is committed meanwhile, so all of it waits in the log's ring. */
static void append_many(struct topic *t)
{
	struct iovec iov = {"message\n", MANY_BYTES};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place place = {0};
	int err = 0;

	set_gate(true);
	for (int n = 0; !err && n < MANY * MANY_EACH; n++) {
		struct queue *q = topic_queue(t, (uint32_t)n % MANY);

		b.later = n % MANY_EACH == 0;
		err = store_append(q, &b, &place);
		if (!err && b.later)
			err = store_append_end(q, place.end);
	}
	set_gate(false);
	if (place.end && wait_committed(store, place.end) == 0)
		did.many = !err;
}

void work_many(void)
{
	struct topic *t;
	char name[20];

	scratch.before_sync = pass_gate;
	if (!work_begin())
		return;
	work_topics();
	for (int n = 0; n < MANY; n++) {
		snprintf(name, sizeof name, "topic%d", n);
		WORK_DO(store_mkdir(store, c, n ? name : "many", &(struct owner){0, 0, 0755}));
	}
	t = topic_find(store, "many");
	if (t && WORK_DO(store_set_queues(store, c, t, MANY)) == 0)
		append_many(t);
	topic_put(t);
	work_finish();
}
