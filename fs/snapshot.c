/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot.h"
#include "control.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct texts {
	pthread_mutex_t lock;
	struct text {
		struct snapshot *last;   /* held; NULL: there is none to give again */
		int64_t until;           /* CLOCK_MONOTONIC ns */
	} of[STATUS_FILES];
};

int texts_new(struct texts **t)
{
	*t = calloc(1, sizeof **t);
	if (!*t)
		return -ENOMEM;
	pthread_mutex_init(&(*t)->lock, NULL);
	return 0;
}

void texts_free(struct texts *t)
{
	for (size_t n = 0; n < STATUS_FILES; n++)
		snapshot_put(t->of[n].last);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static int64_t clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void snapshot_put(struct snapshot *s)
{
	if (!s || --s->users > 0)
		return;
	if (s->charged)
		s->charged->held -= s->size;
	free(s->text);
	free(s);
}

static int print(struct mount *m, struct node *n, struct snapshot *s)
{
	FILE *to = open_memstream(&s->text, &s->size);
	int err;

	if (!to)
		return -ENOMEM;
	err = n->control->print(m, n, to);
	if (fclose(to) == EOF && !err)
		err = -ENOMEM;
	return err;
}

/* What is given again of N, or NULL. What is too old for that goes. */
static struct snapshot *given_again(struct mount *m, struct node *n)
{
	struct text *text = &m->texts->of[n->start];
	struct snapshot *s, *old = NULL;

	pthread_mutex_lock(&m->texts->lock);
	if (text->last && clock_of(CLOCK_MONOTONIC) >= text->until) {
		old = text->last;
		text->last = NULL;
	}
	s = text->last;
	if (s)
		s->users++;
	pthread_mutex_unlock(&m->texts->lock);
	snapshot_put(old);
	return s;
}

/* S of N took COST ns to make. */
static void give_again(struct mount *m, struct node *n, struct snapshot *s, int64_t cost)
{
	struct text *text = &m->texts->of[n->start];
	int64_t age = SNAPSHOT_SHARE * cost;
	struct snapshot *old;

	if (cost < SNAPSHOT_LONG)
		return;
	s->users++;
	pthread_mutex_lock(&m->texts->lock);
	old = text->last;
	text->last = s;
	text->until = clock_of(CLOCK_MONOTONIC) + (age < SNAPSHOT_AGE ? age : SNAPSHOT_AGE);
	pthread_mutex_unlock(&m->texts->lock);
	snapshot_put(old);
}

static int make(struct mount *m, struct node *n, struct snapshot **to)
{
	int64_t began = clock_of(CLOCK_THREAD_CPUTIME_ID);
	struct snapshot *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return -ENOMEM;
	s->users = 1;
	err = print(m, n, s);
	if (err) {
		snapshot_put(s);
		return err;
	}
	if (n->kind == NODE_STATUS)
		give_again(m, n, s, clock_of(CLOCK_THREAD_CPUTIME_ID) - began);
	*to = s;
	return 0;
}

int snapshot_take(struct mount *m, struct node *n, struct snapshot **to)
{
	int err = 0;

	*to = n->kind == NODE_STATUS ? given_again(m, n) : NULL;
	if (!*to)
		err = make(m, n, to);
	if (!err)
		n->size = (*to)->size;
	return err;
}

static int charge(struct mount *m, struct snapshot *s)
{
	int err = 0;

	if (s->size <= SNAPSHOT_FREE)
		return 0;
	pthread_mutex_lock(&m->texts->lock);
	if (!s->charged && m->held + s->size > HELD_MAX)
		err = -ENOBUFS;
	if (!s->charged && !err) {
		m->held += s->size;
		s->charged = m;
	}
	pthread_mutex_unlock(&m->texts->lock);
	return err;
}

int snapshot_take_for_handle(struct mount *m, struct node *n, struct snapshot **to)
{
	struct snapshot *s;
	int err = snapshot_take(m, n, &s);

	if (err)
		return err;
	err = charge(m, s);
	if (err) {
		snapshot_put(s);
		return err;
	}
	*to = s;
	return 0;
}
