/* SPDX-License-Identifier: Apache-2.0 */
#include "ahead.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct ahead {
	struct link *link;
	uint8_t *body[2];
	unsigned mine;                 /* the body that the caller has; the other one is the thread's while it is asked */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;          /* all below */
	pthread_cond_t wake, came;
	bool asked, begun, got, stopping;      /* begun: its header is here */
	struct frame frame;            /* what it got */
	int err;
};

/* Without the lock. */
static int receive_frame(struct ahead *a, struct frame *f, uint8_t *body)
{
	int err = link_receive_header(a->link, f, FRAME_BODY, link_in(LINK_SILENCE));

	if (err)
		return err;
	pthread_mutex_lock(&a->lock);
	a->begun = true;
	pthread_mutex_unlock(&a->lock);
	return link_receive_body(a->link, f, body);
}

static void *receive(void *arg)
{
	struct ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	for (;;) {
		struct frame f = {0};
		uint8_t *body;
		int err;

		while (!a->stopping && (!a->asked || a->got))
			pthread_cond_wait(&a->wake, &a->lock);
		if (a->stopping)
			break;
		body = a->body[!a->mine];
		pthread_mutex_unlock(&a->lock);
		err = receive_frame(a, &f, body);
		pthread_mutex_lock(&a->lock);
		a->frame = f;
		a->err = err;
		a->got = true;
		pthread_cond_signal(&a->came);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

int ahead_new(struct ahead **to, struct link *l)
{
	struct ahead *a = calloc(1, sizeof *a);
	pthread_condattr_t monotonic;

	if (!a)
		return -ENOMEM;
	a->link = l;
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&a->wake, NULL);
	pthread_cond_init(&a->came, &monotonic);
	pthread_condattr_destroy(&monotonic);
	a->body[0] = malloc(FRAME_BODY);
	a->body[1] = malloc(FRAME_BODY);
	if (!a->body[0] || !a->body[1]) {
		ahead_free(a);
		return -ENOMEM;
	}
	*to = a;
	return 0;
}

static void ask(struct ahead *a)
{
	if (!a->started && pthread_create(&a->thread, NULL, receive, a) != 0)
		return;
	a->started = true;
	pthread_mutex_lock(&a->lock);
	a->asked = true;
	a->begun = a->got = false;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

/* What was asked for: it may begin after the deadline, and is there for the next call then. */
static int await(struct ahead *a, struct frame *f, int64_t deadline)
{
	struct timespec at = {deadline / 1000000000, deadline % 1000000000};
	int err = 0;

	pthread_mutex_lock(&a->lock);
	while (!a->got && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&a->came, &a->lock, &at);
	while (!a->got && a->begun)
		pthread_cond_wait(&a->came, &a->lock);
	err = a->got ? a->err : -ETIMEDOUT;
	if (a->got) {
		a->asked = false;
		*f = a->frame;
		a->mine = !a->mine;
	}
	pthread_mutex_unlock(&a->lock);
	return err;
}

int ahead_receive(struct ahead *a, struct frame *f, uint8_t **body, int64_t deadline)
{
	int err = a->asked ? await(a, f, deadline) : link_receive(a->link, f, a->body[a->mine], FRAME_BODY, deadline);

	if (!err && f->length >= AHEAD_FROM)
		ask(a);
	*body = a->body[a->mine];
	return err;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	if (a->started)
		pthread_join(a->thread, NULL);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->wake);
	pthread_cond_destroy(&a->came);
	free(a->body[0]);
	free(a->body[1]);
	free(a);
}
