/* SPDX-License-Identifier: Apache-2.0 */
#include "talker.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* That a frame may take to send. Long, as a node whose disk is slow hears late: whether it is there at all its own frames say, to who receives. */
#define SEND_NS LINK_BODY(FRAME_BODY)
#define PARTS 4

struct talker {
	struct progress_waiter waiter;     /* the first member: see moved() */
	struct progress *progress;
	struct link *link;
	struct voice voice;
	pthread_t thread;
	pthread_mutex_t lock;              /* all below */
	pthread_cond_t wake;
	bool moved, stop, ended;
	int err;
};

static void moved(struct progress_waiter *w)
{
	struct talker *t = (struct talker *)w;

	pthread_mutex_lock(&t->lock);
	t->moved = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

/* Until DUE, or, if that is HEEDED, something moves. */
static void sleep_until(struct talker *t, int64_t due, bool heeded)
{
	struct timespec at = {due / 1000000000, due % 1000000000};

	pthread_mutex_lock(&t->lock);
	while (!(heeded && t->moved) && !t->stop) {
		if (due == INT64_MAX)
			pthread_cond_wait(&t->wake, &t->lock);
		else if (pthread_cond_timedwait(&t->wake, &t->lock, &at) == ETIMEDOUT)
			break;
	}
	t->moved = false;
	pthread_mutex_unlock(&t->lock);
}

static bool stopping(struct talker *t)
{
	bool is;

	pthread_mutex_lock(&t->lock);
	is = t->stop;
	pthread_mutex_unlock(&t->lock);
	return is;
}

static int talk(struct talker *t)
{
	struct iovec iov[PARTS];
	struct frame f;
	int64_t pause;
	int n, said;

	while (!stopping(t)) {
		progress_arm(t->progress, &t->waiter);
		said = t->voice.next(t->voice.of, link_in(0), &f, iov, &n);
		if (said < 0)
			return said;
		if (said == 0) {
			sleep_until(t, t->voice.due(t->voice.of), true);
			continue;
		}
		said = link_send(t->link, &f, iov, n, link_in(SEND_NS));
		if (said) {
			link_shutdown(t->link);
			return said;
		}
		pause = t->voice.rest ? t->voice.rest(t->voice.of, &f) : 0;
		if (pause)
			sleep_until(t, link_in(pause), false);
	}
	return 0;
}

static void *talker(void *arg)
{
	struct talker *t = arg;
	int err = talk(t);

	pthread_mutex_lock(&t->lock);
	t->ended = true;
	t->err = err;
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void destroy(struct talker *t)
{
	progress_remove(t->progress, &t->waiter);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->wake);
	free(t);
}

int talker_start(struct talker **to, struct link *l, const struct voice *v, struct progress *p)
{
	struct talker *t = calloc(1, sizeof *t);
	pthread_condattr_t monotonic;
	int err;

	if (!t)
		return -ENOMEM;
	t->waiter.moved = moved;
	t->progress = p;
	t->link = l;
	t->voice = *v;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	progress_add(p, &t->waiter);
	err = -pthread_create(&t->thread, NULL, talker, t);
	if (err)
		destroy(t);
	else
		*to = t;
	return err;
}

bool talker_ended(struct talker *t)
{
	bool is;

	pthread_mutex_lock(&t->lock);
	is = t->ended;
	pthread_mutex_unlock(&t->lock);
	return is;
}

int talker_stop(struct talker *t)
{
	int err;

	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	link_shutdown(t->link);
	pthread_join(t->thread, NULL);
	err = t->err;
	destroy(t);
	return err;
}
