/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h - who waits for the log to get further: written, synced or committed. For senders and receivers.
 *
 * Cheap for who moves it: one atomic load while nobody is armed. A waiter is told once each time it has armed itself; what moved, it
 * finds out by looking.
 *
 * Calling
 *	progress_add(p, &w);
 *	for (;;) {
 *		progress_arm(p, &w);
 *		if (there is something to do) { do it; continue; }     looked at after arming, so nothing is missed
 *		sleep until w.moved() has run;
 *	}
 *	progress_remove(p, &w);                                  moved() is not running any more
 *
 * Threads  any. moved() runs on appenders, the committer or whoever acknowledges, under the progress lock: it may do no more than wake
 *          somebody (an eventfd, a condition). The lock is the innermost of the store's.
 */
#ifndef MQFS_STORE_PROGRESS_H
#define MQFS_STORE_PROGRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct progress_waiter {
	void (*moved)(struct progress_waiter *w);
	/* progress.c's */
	bool armed;
	struct progress_waiter *prev, *next;
};

struct progress {
	pthread_mutex_t lock;
	struct progress_waiter *waiters;
	_Atomic int armed;             /* how many of them are */
};

void progress_init(struct progress *p);
void progress_destroy(struct progress *p);
void progress_add(struct progress *p, struct progress_waiter *w);
void progress_arm(struct progress *p, struct progress_waiter *w);
void progress_remove(struct progress *p, struct progress_waiter *w);
/* What others wait for has changed; call it after the change is visible. */
void progress_moved(struct progress *p);

#endif
