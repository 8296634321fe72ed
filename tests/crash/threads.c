/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls by which the store starts threads, waits, and asks for time and chance. The linker puts these in their place (--wrap); from
 * outside of a world they are the system's.
 *
 * Locks are the system's own, only never waited for: a fiber that meets a taken one waits in the world. Now and then others go on
 * before a lock is taken, and a condition's wait ends for no reason, as POSIX allows.
 */
#include "world.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PAUSES 16                      /* once in so many times others go on before a lock is taken */
#define POLLS (SECOND / 20)            /* a descriptor is looked at so often */
#define FOR_NO_REASON 64               /* once in so many times a condition's wait ends at once */

int __real_pthread_create(pthread_t *to, const pthread_attr_t *attr, void *(*run)(void *arg), void *arg);
int __real_pthread_join(pthread_t t, void **result);
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_unlock(pthread_rwlock_t *l);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at);
int __real_pthread_cond_signal(pthread_cond_t *c);
int __real_pthread_cond_broadcast(pthread_cond_t *c);
int __real_clock_gettime(clockid_t clock, struct timespec *to);
ssize_t __real_getrandom(void *to, size_t len, unsigned flags);
pid_t __real_getpid(void);
uid_t __real_getuid(void);
gid_t __real_getgid(void);
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask);
int __real_setpriority(__priority_which_t which, id_t who, int nice);

int __wrap_pthread_create(pthread_t *to, const pthread_attr_t *attr, void *(*run)(void *arg), void *arg);
int __wrap_pthread_join(pthread_t t, void **result);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_clock_gettime(clockid_t clock, struct timespec *to);
ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags);
pid_t __wrap_getpid(void);
uid_t __wrap_getuid(void);
gid_t __wrap_getgid(void);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask);
int __wrap_setpriority(__priority_which_t which, id_t who, int nice);

int __wrap_pthread_create(pthread_t *to, const pthread_attr_t *attr, void *(*run)(void *arg), void *arg)
{
	struct world *w = world_here();
	struct fiber *f;

	if (!w)
		return __real_pthread_create(to, attr, run, arg);
	f = world_start(w, run, arg);
	*to = (pthread_t)f;
	return f ? 0 : EAGAIN;
}

int __wrap_pthread_join(pthread_t t, void **result)
{
	struct world *w = world_here();

	if (!w)
		return __real_pthread_join(t, result);
	world_join(w, (struct fiber *)t);
	if (result)
		*result = NULL;
	return 0;
}

static int lock(struct world *w, pthread_mutex_t *m)
{
	int err;

	while ((err = pthread_mutex_trylock(m)) == EBUSY)
		world_wait(w, m, WORLD_NEVER);
	return err;
}

static int unlock(struct world *w, pthread_mutex_t *m)
{
	int err = __real_pthread_mutex_unlock(m);

	world_wake(w, m, true);
	return err;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	struct world *w = world_here();

	if (!w)
		return __real_pthread_mutex_lock(m);
	world_pause_once_in(w, PAUSES);
	return lock(w, m);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	struct world *w = world_here();

	return w ? unlock(w, m) : __real_pthread_mutex_unlock(m);
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
	struct world *w = world_here();
	int err;

	if (!w)
		return __real_pthread_rwlock_rdlock(l);
	while ((err = pthread_rwlock_tryrdlock(l)) == EBUSY)
		world_wait(w, l, WORLD_NEVER);
	return err;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
	struct world *w = world_here();
	int err;

	if (!w)
		return __real_pthread_rwlock_wrlock(l);
	while ((err = pthread_rwlock_trywrlock(l)) == EBUSY)
		world_wait(w, l, WORLD_NEVER);
	return err;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l)
{
	struct world *w = world_here();
	int err = __real_pthread_rwlock_unlock(l);

	if (w)
		world_wake(w, l, true);
	return err;
}

static int wait_on(struct world *w, pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline)
{
	bool woken = true;

	unlock(w, m);
	if (once_in(w, FOR_NO_REASON))
		world_pause(w);
	else
		woken = world_wait(w, c, deadline);
	lock(w, m);
	return woken ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	struct world *w = world_here();

	return w ? wait_on(w, c, m, WORLD_NEVER) : __real_pthread_cond_wait(c, m);
}

/* The store's conditions go by CLOCK_MONOTONIC. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at)
{
	struct world *w = world_here();

	return w ? wait_on(w, c, m, at->tv_sec * SECOND + at->tv_nsec) : __real_pthread_cond_timedwait(c, m, at);
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	struct world *w = world_here();

	if (!w)
		return __real_pthread_cond_signal(c);
	world_wake(w, c, false);
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	struct world *w = world_here();

	if (!w)
		return __real_pthread_cond_broadcast(c);
	world_wake(w, c, true);
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *to)
{
	struct world *w = world_here();
	int64_t ns;

	if (!w)
		return __real_clock_gettime(clock, to);
	ns = clock == CLOCK_REALTIME ? world_time(w) : world_now(w);
	*to = (struct timespec){ns / SECOND, ns % SECOND};
	return 0;
}

ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags)
{
	struct world *w = world_here();

	if (!w)
		return __real_getrandom(to, len, flags);
	for (size_t at = 0; at < len; at += 8) {
		uint64_t bytes = chance(w);
		memcpy((char *)to + at, &bytes, len - at < 8 ? len - at : 8);
	}
	return (ssize_t)len;
}

/* They stand in records, and in the lock file. */
pid_t __wrap_getpid(void)
{
	return world_here() ? 1 : __real_getpid();
}

uid_t __wrap_getuid(void)
{
	return world_here() ? 0 : __real_getuid();
}

gid_t __wrap_getgid(void)
{
	return world_here() ? 0 : __real_getgid();
}

/* What comes to a descriptor is seen a little later. */
/* All threads of a world are one of the machine's. */
int __wrap_setpriority(__priority_which_t which, id_t who, int nice)
{
	return world_here() ? 0 : __real_setpriority(which, who, nice);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask)
{
	static const struct timespec at_once;
	struct world *w = world_here();
	int64_t until, left;
	int n;

	if (!w || !time)
		return __real_ppoll(fds, count, time, mask);
	until = world_now(w) + time->tv_sec * SECOND + time->tv_nsec;
	while ((n = __real_ppoll(fds, count, &at_once, mask)) == 0 && (left = until - world_now(w)) > 0)
		world_sleep(w, left < POLLS ? left : POLLS);
	return n;
}
