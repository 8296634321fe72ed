/* SPDX-License-Identifier: Apache-2.0 */
#include "caller.h"
#include "commit.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

struct callers {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;               /* CLOCK_MONOTONIC */
	/* guarded by the lock */
	struct caller *watched;
	bool stop;
};

/* A signal that ends a process is pending as SIGKILL in each of its threads until they have left the kernel, as is SIGKILL itself. */
bool caller_dies(const struct caller *c)
{
	const unsigned long long killed = 1ull << (SIGKILL - 1);
	char name[64], line[256];
	bool dies = false;
	FILE *f;

	if (!c->thread)
		return false;
	snprintf(name, sizeof name, "/proc/%d/status", (int)c->thread);
	f = fopen(name, "re");
	if (!f)
		return false;
	while (!dies && fgets(line, sizeof line, f))
		if (strncmp(line, "SigPnd:", 7) == 0 || strncmp(line, "ShdPnd:", 7) == 0)
			dies = strtoull(line + 7, NULL, 16) & killed;
	fclose(f);
	return dies;
}

/* Under the lock. Those that die and are taken, as a list of their own. */
static struct caller *take_dead(struct callers *c)
{
	struct caller *dead = NULL, *one, *next;

	DL_FOREACH_SAFE(c->watched, one, next) {
		if (!caller_dies(one) || !one->take(one))
			continue;
		DL_DELETE(c->watched, one);
		one->watched = false;
		DL_APPEND(dead, one);
	}
	return dead;
}

static void sleep_until_next(struct callers *c)
{
	int64_t at = commit_clock() + CALLER_LOOK;
	struct timespec t = {at / 1000000000, at % 1000000000};

	if (c->watched)
		pthread_cond_timedwait(&c->wake, &c->lock, &t);
	else
		pthread_cond_wait(&c->wake, &c->lock);
}

static void *look(void *arg)
{
	struct callers *c = arg;
	struct caller *dead, *one, *next;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		sleep_until_next(c);
		dead = take_dead(c);
		pthread_mutex_unlock(&c->lock);
		DL_FOREACH_SAFE(dead, one, next)
			one->dead(one);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int callers_new(struct callers **to)
{
	struct callers *c = calloc(1, sizeof *c);
	pthread_condattr_t monotonic;
	int err;

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	err = -pthread_create(&c->thread, NULL, look, c);
	if (err) {
		pthread_cond_destroy(&c->wake);
		pthread_mutex_destroy(&c->lock);
		free(c);
		return err;
	}
	*to = c;
	return 0;
}

void callers_stop(struct callers *c)
{
	bool stopped;

	pthread_mutex_lock(&c->lock);
	stopped = c->stop;
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (!stopped)
		pthread_join(c->thread, NULL);
}

void callers_free(struct callers *c)
{
	callers_stop(c);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void callers_watch(struct callers *c, struct caller *one)
{
	pthread_mutex_lock(&c->lock);
	if (!one->watched) {
		/* Who is awake already comes by in time. */
		if (!c->watched)
			pthread_cond_signal(&c->wake);
		DL_APPEND(c->watched, one);
		one->watched = true;
	}
	pthread_mutex_unlock(&c->lock);
}

void callers_forget(struct callers *c, struct caller *one)
{
	pthread_mutex_lock(&c->lock);
	if (one->watched)
		DL_DELETE(c->watched, one);
	one->watched = false;
	pthread_mutex_unlock(&c->lock);
}
