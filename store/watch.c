/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watcher is idle, parked (in its queue's or topic's list and in one of the two lists of all that are parked), or due (in
 * `due`, from where the deliverer takes one after the other). All of that is under one lock; ready() runs without it. Until the
 * deliverer has taken it from `due`, a watcher can be taken back.
 */
#include "watch.h"
#include "parts.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utlist.h>

/* Before the readers that it has woken already, and the reads that they come back with: of a thousand the last one waits a third less. Who may not
 * raise it goes without. */
#define DELIVERER_NICE (-10)

struct watch {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;               /* CLOCK_MONOTONIC */
	_Atomic bool pending;              /* `lists` is not empty */
	/* guarded by the lock */
	struct watch_list *lists;          /* something was committed there; each holds its topic */
	struct watcher *due;
	struct watcher *timed;             /* parked with a deadline, earliest first */
	struct watcher *untimed;           /* parked without one */
	int64_t sleeps_until;              /* of the deliverer; INT64_MAX: until it is woken */
	int err;                           /* for those to come, once watch_fail() was called */
	bool stop;
};

static bool grown(const struct watcher *w)
{
	return atomic_load(w->grows) > w->seen || atomic_load(&w->on->topic->removed);
}

static void park(struct watch *watch, struct watcher *w)
{
	struct watcher *later = NULL;

	w->state = WATCH_PARKED;
	DL_APPEND(w->on->watchers, w);
	if (!w->deadline) {
		DL_APPEND2(watch->untimed, w, all_prev, all_next);
		return;
	}
	/* Deadlines mostly come in order: from the end there is little to pass. */
	for (struct watcher *p = watch->timed ? watch->timed->all_prev : NULL; p && p->deadline > w->deadline; p = p->all_prev) {
		later = p;
		if (p == watch->timed)
			break;
	}
	if (later)
		DL_PREPEND_ELEM2(watch->timed, later, w, all_prev, all_next);
	else
		DL_APPEND2(watch->timed, w, all_prev, all_next);
	if (w->deadline < watch->sleeps_until)
		pthread_cond_signal(&watch->wake);
}

static void unpark(struct watch *watch, struct watcher *w)
{
	w->state = WATCH_IDLE;
	DL_DELETE(w->on->watchers, w);
	if (w->deadline)
		DL_DELETE2(watch->timed, w, all_prev, all_next);
	else
		DL_DELETE2(watch->untimed, w, all_prev, all_next);
	atomic_fetch_sub(&w->on->watched, 1);
}

static void make_due(struct watch *watch, struct watcher *w, int err)
{
	unpark(watch, w);
	w->state = WATCH_DUE;
	w->err = err;
	DL_APPEND(watch->due, w);
}

/* Parks W in LIST until *GROWS is more than SEEN. The caller has counted it in list->watched.
 *
 * No wake-up is lost: we count the watcher, then look at *grows here; the committer moves *grows, then looks at the count
 * (watch_committed()). All four are sequentially consistent, so at least one of the two sees what the other did: either the
 * committer puts the list before the deliverer, who waits for our lock, or we find that there is nothing to wait for. The same
 * holds for `removed`. */
static int watch_list(struct watch *watch, struct watch_list *list, const _Atomic uint64_t *grows, uint64_t seen, struct watcher *w)
{
	int err;

	pthread_mutex_lock(&watch->lock);
	w->on = list;
	w->grows = grows;
	w->seen = seen;
	err = grown(w) ? 1 : watch->err;
	if (err)
		atomic_fetch_sub(&list->watched, 1);
	else
		park(watch, w);
	pthread_mutex_unlock(&watch->lock);
	return err;
}

int watch_queue(struct queue *q, uint64_t offset, struct watcher *w)
{
	struct store *s = q->topic->store;
	bool uncommitted;
	int err;

	/* What is appended from here on is synced at once, because of the count; what was before, because we look now. */
	atomic_fetch_add(&q->watch.watched, 1);
	uncommitted = queue_appended(q) > offset;
	err = watch_list(s->watch, &q->watch, &q->committed, offset, w);
	/* W may have been told by now, and with it Q be gone. */
	if (err == 0 && uncommitted)
		commit_hurry(s->commit);
	return err;
}

int watch_topic(struct topic *t, uint64_t seen, struct watcher *w)
{
	struct store *s = t->store;
	int err;

	atomic_fetch_add(&t->watch.watched, 1);
	err = watch_list(s->watch, &t->watch, &t->readable, seen, w);
	/* A store that could only be opened for reading has neither. */
	if (err == 0 && s->log && log_end(s->log) > commit_point(s->commit))
		commit_hurry(s->commit);
	return err;
}

int watch_error(struct store *s)
{
	int err;

	pthread_mutex_lock(&s->watch->lock);
	err = s->watch->err;
	pthread_mutex_unlock(&s->watch->lock);
	return err;
}

bool unwatch(struct store *s, struct watcher *w)
{
	struct watch *watch = s->watch;
	bool back = true;

	pthread_mutex_lock(&watch->lock);
	if (w->state == WATCH_PARKED)
		unpark(watch, w);
	else if (w->state == WATCH_DUE)
		DL_DELETE(watch->due, w);
	else
		back = false;
	w->state = WATCH_IDLE;
	pthread_mutex_unlock(&watch->lock);
	return back;
}

static void notice(struct watch *watch, struct watch_list *list)
{
	if (atomic_load(&list->watched) == 0 || atomic_load(&list->delivering))
		return;
	pthread_mutex_lock(&watch->lock);
	if (!atomic_exchange(&list->delivering, true)) {
		topic_hold(list->topic);
		LL_PREPEND(watch->lists, list);
		atomic_store(&watch->pending, true);
	}
	pthread_mutex_unlock(&watch->lock);
}

void watch_committed(struct store *s, struct queue *q)
{
	atomic_store(&q->topic->readable, atomic_load(&q->topic->readable) + 1);
	if (!queue_watched(q))
		return;
	notice(s->watch, &q->watch);
	notice(s->watch, &q->topic->watch);
}

void watch_removed(struct store *s, struct topic *t)
{
	uint32_t count = atomic_load(&t->count);

	if (!s->watch)
		return;
	notice(s->watch, &t->watch);
	for (uint32_t n = 0; n < count; n++)
		notice(s->watch, &topic_queue(t, n)->watch);
}

void watch_deliver(struct store *s)
{
	struct watch *watch = s->watch;

	if (!atomic_load(&watch->pending))
		return;
	pthread_mutex_lock(&watch->lock);
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
}

/* Makes due whose wait is over in the lists that were noticed. */
static void take_lists(struct watch *watch)
{
	struct watch_list *list;
	struct watcher *w, *next;

	atomic_store(&watch->pending, false);
	while ((list = watch->lists)) {
		LL_DELETE(watch->lists, list);
		/* Before looking: what is committed from now on notices the list again. */
		atomic_store(&list->delivering, false);
		DL_FOREACH_SAFE(list->watchers, w, next)
			if (grown(w))
				make_due(watch, w, 0);
		topic_put(list->topic);
	}
}

static void take_late(struct watch *watch)
{
	int64_t now;

	if (!watch->timed)
		return;
	now = commit_clock();
	while (watch->timed && watch->timed->deadline <= now)
		make_due(watch, watch->timed, -ETIMEDOUT);
}

static void sleep_until_woken(struct watch *watch)
{
	if (watch->timed) {
		struct timespec at = {
			.tv_sec = watch->timed->deadline / 1000000000, .tv_nsec = watch->timed->deadline % 1000000000};

		watch->sleeps_until = watch->timed->deadline;
		pthread_cond_timedwait(&watch->wake, &watch->lock, &at);
	} else {
		watch->sleeps_until = INT64_MAX;
		pthread_cond_wait(&watch->wake, &watch->lock);
	}
	watch->sleeps_until = 0;
}

static void *deliver(void *arg)
{
	struct watch *watch = arg;

	setpriority(PRIO_PROCESS, (id_t)gettid(), DELIVERER_NICE);
	pthread_mutex_lock(&watch->lock);
	for (;;) {
		struct watcher *w;

		take_lists(watch);
		take_late(watch);
		w = watch->due;
		if (w) {
			int err = w->err;

			DL_DELETE(watch->due, w);
			w->state = WATCH_IDLE;
			pthread_mutex_unlock(&watch->lock);
			w->ready(w, err);
			pthread_mutex_lock(&watch->lock);
		} else if (watch->stop) {
			break;
		} else {
			sleep_until_woken(watch);
		}
	}
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

int watch_start(struct watch **to, struct store *s)
{
	struct watch *watch = calloc(1, sizeof *watch);
	pthread_condattr_t attr;
	int err;

	if (!watch)
		return -ENOMEM;
	watch->store = s;
	pthread_mutex_init(&watch->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->wake, &attr);
	pthread_condattr_destroy(&attr);
	err = -pthread_create(&watch->thread, NULL, deliver, watch);
	if (err) {
		pthread_cond_destroy(&watch->wake);
		pthread_mutex_destroy(&watch->lock);
		free(watch);
		return err;
	}
	*to = watch;
	return 0;
}

void watch_fail(struct store *s, int err)
{
	struct watch *watch = s->watch;

	pthread_mutex_lock(&watch->lock);
	watch->err = err;
	while (watch->timed)
		make_due(watch, watch->timed, err);
	while (watch->untimed)
		make_due(watch, watch->untimed, err);
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
}

void watch_stop(struct watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->stop = true;
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(watch->thread, NULL);
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	pthread_cond_destroy(&watch->wake);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}
