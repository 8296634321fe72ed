/* SPDX-License-Identifier: Apache-2.0 */
#include "commit.h"
#include "log.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

#define TAKE 256                       /* log entries applied at a time */
#define BACKLOG_LEAST (64u << 20)      /* bytes */
#define TELLING (8u << 20)             /* bytes of a sync that tells how quick the disk is: of shorter ones most is the way there and back */

struct commit {
	struct log *log;
	struct commit_calls calls;
	int64_t timeout;
	_Atomic uint64_t committed;
	_Atomic uint64_t synced;
	_Atomic uint64_t rate;         /* bytes a second that the disk syncs, of late; 0: not known */
	_Atomic bool armed;            /* something is appended, and the committer knows that it must sync within COMMIT_LATEST */

	pthread_mutex_t lock;
	pthread_cond_t work;           /* for the committer */
	pthread_cond_t watch;          /* for the timer */
	pthread_cond_t quiet;          /* for who has paused it */
	struct follower *followers;    /* in order of pos */
	int64_t armed_at;              /* when it was armed: under a steady load that is during the last sync, and the disk does not idle */
	bool urgent;                   /* someone waits: sync now */
	bool syncing;                  /* the committer is at work and will look again */
	bool advancing;                /* somebody moves the commit point */
	bool look;                     /* and is to look again whether it may go further */
	bool paused;
	bool timer_idle;
	bool stopping, stopped;
	int failed;
	pthread_t committer, timer;
};

int64_t commit_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t commit_point(struct commit *c)
{
	return c->committed;
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline)
{
	struct timespec t = {deadline / 1000000000, deadline % 1000000000};

	pthread_cond_timedwait(cond, lock, &t);
}

/* Unlinks the followers up to POS, as a list of their own. */
static struct follower *take_followers(struct commit *c, uint64_t pos)
{
	struct follower *taken = NULL, *f;

	while ((f = c->followers) && f->pos <= pos) {
		DL_DELETE(c->followers, f);
		f->linked = false;
		DL_APPEND(taken, f);
	}
	return taken;
}

static void tell(struct follower *list, int err)
{
	struct follower *f, *next;

	DL_FOREACH_SAFE(list, f, next)
		f->done(f, err);
}

static void end_all(struct commit *c, int err)
{
	struct follower *all;

	pthread_mutex_lock(&c->lock);
	all = take_followers(c, UINT64_MAX);
	pthread_mutex_unlock(&c->lock);
	tell(all, err);
}

static int apply(struct commit *c, uint64_t to)
{
	struct log_entry entries[TAKE];
	size_t n;
	int err;

	do {
		err = c->calls.replay(c->calls.ctx, to);
		n = err ? 0 : log_take(c->log, to, entries, TAKE);
		if (n)
			c->calls.applied(c->calls.ctx, entries, n);
	} while (n);
	/* What comes of it for the log comes first: who finds his position committed may append at once. Also what was applied before an
	 * error has its readers. */
	c->calls.advanced(c->calls.ctx, err ? c->committed : to);
	if (!err)
		c->committed = to;
	return err;
}

/* Also where only what is durable could not be read to be applied: nothing goes on from here, and everyone is told so. */
static void fail(struct commit *c)
{
	log_fail(c->log, -EIO);
	pthread_mutex_lock(&c->lock);
	bool first = !c->failed;
	c->failed = -EIO;
	pthread_mutex_unlock(&c->lock);
	end_all(c, -EIO);
	if (first)
		c->calls.failed(c->calls.ctx, -EIO);
}

/* Without the lock, by whoever is advancing. Memory or a descriptor that cannot be had to apply something, or a record that is to be repaired
 * first, leaves the rest to the next time. */
static void advance_once(struct commit *c)
{
	uint64_t to = c->calls.allowed(c->calls.ctx, c->synced);
	struct follower *told;
	int err = to > c->committed ? apply(c, to) : 0;

	if (err && !disk_error_passes(err) && err != -EAGAIN) {
		fail(c);
		return;
	}
	pthread_mutex_lock(&c->lock);
	told = take_followers(c, c->committed);
	pthread_mutex_unlock(&c->lock);
	tell(told, 0);
}

/* One thread at a time moves the commit point, whichever came first; who comes meanwhile leaves it to that one to look again. */
static void advance(struct commit *c)
{
	pthread_mutex_lock(&c->lock);
	c->look = true;
	while (c->look && !c->advancing && !c->paused) {
		c->look = false;
		c->advancing = true;
		pthread_mutex_unlock(&c->lock);
		advance_once(c);
		pthread_mutex_lock(&c->lock);
		c->advancing = false;
		if (c->paused)
			pthread_cond_broadcast(&c->quiet);
	}
	pthread_mutex_unlock(&c->lock);
}

static void note_rate(struct commit *c, uint64_t bytes, int64_t ns)
{
	uint64_t now = (uint64_t)((double)bytes * 1e9 / (double)(ns > 0 ? ns : 1));

	if (bytes >= TELLING)
		c->rate = c->rate ? (3 * c->rate + now) / 4 : now;
}

/* One sync that is under way and one for what came meanwhile: with a fifth of the timeout for each, a slow moment does not end it. */
uint64_t commit_backlog(struct commit *c)
{
	uint64_t bytes = (uint64_t)((double)c->rate * (double)c->timeout / 5e9);

	return bytes > BACKLOG_LEAST ? bytes : BACKLOG_LEAST;
}

/*
 * What is appended becomes durable, then applied, then known: followers and readers never see what a crash could take
 * back. A sync that failed is not tried again (the kernel has dropped the error and maybe the pages): the log has failed.
 */
static void commit_once(struct commit *c)
{
	int64_t began = commit_clock();
	uint64_t to;

	if (log_sync(c->log, &to)) {
		fail(c);
		return;
	}
	note_rate(c, to - c->synced, commit_clock() - began);
	c->synced = to;
	c->calls.synced(c->calls.ctx, to);
	advance(c);
}

/* Under the lock. Sleeps until there is a reason to sync; false: to stop. */
static bool wait_for_work(struct commit *c)
{
	do {
		while ((c->paused || (!c->urgent && !c->armed)) && !c->stopping)
			pthread_cond_wait(&c->work, &c->lock);
		while (!c->urgent && !c->stopping && commit_clock() < c->armed_at + COMMIT_LATEST)
			wait_until(&c->work, &c->lock, c->armed_at + COMMIT_LATEST);
	} while (c->paused && !c->stopping);
	return !c->stopping;
}

static void *committer(void *arg)
{
	struct commit *c = arg;
	bool more = true;

	while (more) {
		pthread_mutex_lock(&c->lock);
		c->syncing = false;
		if (c->paused)
			pthread_cond_broadcast(&c->quiet);
		more = wait_for_work(c);
		c->syncing = true;
		c->urgent = false;
		c->armed = false;      /* before the written prefix is read: what is appended later arms anew */
		pthread_mutex_unlock(&c->lock);
		commit_once(c);
	}
	return NULL;
}

/* Under the lock. Unlinks those whose time is over; returns the next deadline, INT64_MAX: none. */
static int64_t take_late(struct commit *c, struct follower **late)
{
	int64_t now = commit_clock(), next = INT64_MAX;
	struct follower *f, *after;

	DL_FOREACH_SAFE(c->followers, f, after) {
		if (f->deadline <= now) {
			DL_DELETE(c->followers, f);
			f->linked = false;
			DL_APPEND(*late, f);
		} else if (f->deadline < next) {
			next = f->deadline;
		}
	}
	return next;
}

/* With nobody waiting the timer sleeps until it is signalled; else until the earliest deadline there was when it looked,
 * as later followers have later ones. */
static void *timer(void *arg)
{
	struct commit *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stopped) {
		struct follower *late = NULL;
		int64_t next = take_late(c, &late);
		if (late) {
			pthread_mutex_unlock(&c->lock);
			tell(late, -ETIMEDOUT);
			pthread_mutex_lock(&c->lock);
			continue;
		}
		if (next != INT64_MAX) {
			wait_until(&c->watch, &c->lock, next);
			continue;
		}
		c->timer_idle = true;
		pthread_cond_wait(&c->watch, &c->lock);
		c->timer_idle = false;
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void init_sync(struct commit *c)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, &monotonic);
	pthread_cond_init(&c->watch, &monotonic);
	pthread_cond_init(&c->quiet, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int commit_start(struct commit **to, struct log *log, uint64_t committed, int64_t timeout_ns, const struct commit_calls *calls)
{
	struct commit *c = calloc(1, sizeof *c);
	int err;

	if (!c)
		return -ENOMEM;
	c->log = log;
	c->calls = *calls;
	c->timeout = timeout_ns;
	c->committed = c->synced = committed;
	init_sync(c);
	*to = c;               /* the committer's first call back may look for it */
	err = -pthread_create(&c->committer, NULL, committer, c);
	if (!err) {
		err = -pthread_create(&c->timer, NULL, timer, c);
		if (!err)
			return 0;
		pthread_mutex_lock(&c->lock);
		c->stopping = true;
		pthread_cond_signal(&c->work);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->committer, NULL);
	}
	commit_free(c);
	*to = NULL;
	return err;
}

void commit_stop(struct commit *c)
{
	pthread_mutex_lock(&c->lock);
	bool already = c->stopping;
	c->stopping = true;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
	if (already)
		return;
	pthread_join(c->committer, NULL);
	pthread_mutex_lock(&c->lock);
	c->stopped = true;
	pthread_cond_signal(&c->watch);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->timer, NULL);
	end_all(c, -ENOTCONN);
}

void commit_free(struct commit *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->watch);
	pthread_cond_destroy(&c->quiet);
	free(c);
}

/* Under the lock. Followers come almost in order of their positions, so the place is sought from the end. */
static void link_in_order(struct commit *c, struct follower *f)
{
	struct follower *before = c->followers ? c->followers->prev : NULL;

	while (before && before->pos > f->pos)
		before = before == c->followers ? NULL : before->prev;
	if (before)
		DL_APPEND_ELEM(c->followers, before, f);
	else
		DL_PREPEND(c->followers, f);
	f->linked = true;
}

static void hurry(struct commit *c)
{
	c->urgent = true;
	if (!c->syncing)
		pthread_cond_signal(&c->work);
}

int commit_follow(struct commit *c, struct follower *f)
{
	int err = 0;

	pthread_mutex_lock(&c->lock);
	f->linked = false;
	if (c->committed >= f->pos) {
		pthread_mutex_unlock(&c->lock);
		f->done(f, 0);
		return 0;
	}
	if (c->failed || log_failed(c->log))
		err = -EIO;
	else if (c->stopped)
		err = -ENOTCONN;
	if (!err) {
		f->deadline = commit_clock() + c->timeout;
		link_in_order(c, f);
		hurry(c);
		if (c->timer_idle)
			pthread_cond_signal(&c->watch);
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

bool commit_unfollow(struct commit *c, struct follower *f)
{
	bool taken;

	pthread_mutex_lock(&c->lock);
	taken = f->linked;
	if (taken) {
		DL_DELETE(c->followers, f);
		f->linked = false;
	}
	pthread_mutex_unlock(&c->lock);
	return taken;
}

/*
 * An append that nobody waits for only arms the committer, once per sync. But a follower may wait for a position behind this
 * append, whose write has only now returned and held the written prefix back: then it is as urgent as the follower.
 */
void commit_appended(struct commit *c, bool urgent)
{
	if (!urgent && atomic_load(&c->armed))
		return;
	pthread_mutex_lock(&c->lock);
	bool was = atomic_exchange(&c->armed, true);
	if (!was)
		c->armed_at = commit_clock();
	if (urgent || c->followers)
		hurry(c);
	else if (!was && !c->syncing)
		pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
}

void commit_hurry(struct commit *c)
{
	pthread_mutex_lock(&c->lock);
	hurry(c);
	pthread_mutex_unlock(&c->lock);
}

void commit_look(struct commit *c)
{
	advance(c);
}

uint64_t commit_synced(struct commit *c)
{
	return c->synced;
}

void commit_pause(struct commit *c)
{
	pthread_mutex_lock(&c->lock);
	c->paused = true;
	while (c->syncing || c->advancing)
		pthread_cond_wait(&c->quiet, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void commit_go_on(struct commit *c, uint64_t end, int err)
{
	struct follower *beyond = NULL, *f, *next;

	pthread_mutex_lock(&c->lock);
	if (c->synced > end)
		c->synced = end;
	DL_FOREACH_SAFE(c->followers, f, next) {
		if (f->pos <= end)
			continue;
		DL_DELETE(c->followers, f);
		f->linked = false;
		DL_APPEND(beyond, f);
	}
	c->paused = false;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
	tell(beyond, err);
	advance(c);
}
