/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"
#include <utlist.h>

void progress_init(struct progress *p)
{
	pthread_mutex_init(&p->lock, NULL);
	p->waiters = NULL;
	atomic_init(&p->armed, 0);
}

void progress_destroy(struct progress *p)
{
	pthread_mutex_destroy(&p->lock);
}

void progress_add(struct progress *p, struct progress_waiter *w)
{
	w->armed = false;
	pthread_mutex_lock(&p->lock);
	DL_APPEND(p->waiters, w);
	pthread_mutex_unlock(&p->lock);
}

/* Under the lock. */
static void set(struct progress *p, struct progress_waiter *w, bool armed)
{
	atomic_fetch_add(&p->armed, armed - w->armed);
	w->armed = armed;
}

void progress_arm(struct progress *p, struct progress_waiter *w)
{
	pthread_mutex_lock(&p->lock);
	set(p, w, true);
	pthread_mutex_unlock(&p->lock);
}

void progress_remove(struct progress *p, struct progress_waiter *w)
{
	pthread_mutex_lock(&p->lock);
	set(p, w, false);
	DL_DELETE(p->waiters, w);
	pthread_mutex_unlock(&p->lock);
}

void progress_moved(struct progress *p)
{
	struct progress_waiter *w;

	if (!atomic_load(&p->armed))
		return;
	pthread_mutex_lock(&p->lock);
	DL_FOREACH(p->waiters, w) {
		if (!w->armed)
			continue;
		set(p, w, false);
		w->moved(w);
	}
	pthread_mutex_unlock(&p->lock);
}
