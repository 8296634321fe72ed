/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher may be told while the file is released, and be set again while it is still telling. Whoever comes last frees:
 * polled_free(), unless the deliverer has the watcher and will come, or is telling right now; then the deliverer. While it tells, it
 * holds no lock; the kernel's poll handle is not destroyed before it is through.
 */
#include "polled.h"
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

struct polled {
	struct store *store;
	struct fuse_pollhandle *ph;
	pthread_mutex_t lock;
	/* guarded by it */
	struct watcher watcher;
	bool set;                /* the store has the watcher */
	bool telling;
	bool released;           /* the last one frees */
};

static void destroy(struct polled *p)
{
	fuse_pollhandle_destroy(p->ph);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void ready(struct watcher *w, int err)
{
	struct polled *p = (struct polled *)((char *)w - offsetof(struct polled, watcher));
	bool last;

	(void)err;       /* who is told reads, and gets it */
	pthread_mutex_lock(&p->lock);
	p->set = false;
	p->telling = true;
	last = p->released;
	pthread_mutex_unlock(&p->lock);
	if (!last)
		fuse_lowlevel_notify_poll(p->ph);
	pthread_mutex_lock(&p->lock);
	p->telling = false;
	last = p->released && !p->set;
	pthread_mutex_unlock(&p->lock);
	if (last)
		destroy(p);
}

struct polled *polled_new(struct store *s, struct fuse_pollhandle *ph)
{
	struct polled *p = calloc(1, sizeof *p);

	if (!p) {
		fuse_pollhandle_destroy(ph);
		return NULL;
	}
	p->store = s;
	p->ph = ph;
	p->watcher.ready = ready;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void polled_take(struct polled **p, struct store *s, struct fuse_pollhandle *ph)
{
	if (ph && *p)
		fuse_pollhandle_destroy(ph);
	else if (ph)
		*p = polled_new(s, ph);
}

void polled_free(struct polled *p)
{
	bool last;

	pthread_mutex_lock(&p->lock);
	if (p->set && unwatch(p->store, &p->watcher))
		p->set = false;
	p->released = true;
	last = !p->set && !p->telling;
	pthread_mutex_unlock(&p->lock);
	if (last)
		destroy(p);
}

int polled_watch_queue(struct polled *p, struct queue *q, uint64_t seen)
{
	int err = 0;

	pthread_mutex_lock(&p->lock);
	if (!p->set) {
		err = watch_queue(q, seen, &p->watcher);
		p->set = !err;
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

int polled_watch_topic(struct polled *p, struct topic *t, uint64_t seen)
{
	int err = 0;

	pthread_mutex_lock(&p->lock);
	if (!p->set) {
		err = watch_topic(t, seen, &p->watcher);
		p->set = !err;
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}
