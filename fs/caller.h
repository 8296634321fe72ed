/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caller.h - threads whose requests are parked, and whether they still live.
 *
 * The kernel sends one INTERRUPT a request, at the first signal, and does not say which it was. A write or a change that is in the
 * log is not ended by a signal that its program goes on after, but nobody hears the answer of one that was killed, and it cannot go
 * before it has it. So who was interrupted is looked at then, and after it every CALLER_LOOK, as kill -9 may come later and is not
 * told any more. While nobody is watched, the thread that looks sleeps.
 *
 * Threads  any. Lock: callers, before those of the store that take() needs.
 * Owns     nothing: a struct caller is part of what is parked, which forgets it before it is freed.
 */
#ifndef MQFS_FS_CALLER_H
#define MQFS_FS_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

#define CALLER_LOOK 100000000      /* ns */

struct callers;

struct caller {
	pid_t thread;                            /* 0: of another pid namespace, and never seen to die */
	/* It dies. True: what it waits for is taken from everyone else, and dead() is called next. Under the lock. */
	bool (*take)(struct caller *c);
	void (*dead)(struct caller *c);          /* without it; must not block */
	/* caller.c's */
	struct caller *prev, *next;
	bool watched;
};

/* 0 or negative errno. */
int callers_new(struct callers **c);
/* Returns when dead() has returned for all that were taken; nobody is looked at any more. By one thread, before what dead() needs goes. */
void callers_stop(struct callers *c);
void callers_free(struct callers *c);            /* nobody is watched any more */
/* It is being killed: it runs no more of its program, whatever its system call returns. */
bool caller_dies(const struct caller *c);
/* Until take() was true or it is forgotten; no matter if it is watched already. */
void callers_watch(struct callers *c, struct caller *one);
/* No matter if it is not watched. Afterwards nobody looks at it. */
void callers_forget(struct callers *c, struct caller *one);

#endif
