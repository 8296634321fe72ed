/* SPDX-License-Identifier: Apache-2.0 */
/* committed.h - waits until a log position of a store is committed; what became of it, as commit.h says. */
#ifndef MQFS_TESTS_COMMITTED_H
#define MQFS_TESTS_COMMITTED_H

#include "store.h"
#include <semaphore.h>

struct waiter {
	struct follower follow;
	sem_t told;
	int err;
};

static void told(struct follower *f, int err)
{
	((struct waiter *)f)->err = err;
	sem_post(&((struct waiter *)f)->told);
}

static inline int wait_committed(struct store *s, uint64_t pos)
{
	struct waiter w = {.follow = {.pos = pos, .done = told}};
	int err;

	sem_init(&w.told, 0, 0);
	err = store_follow(s, &w.follow);
	if (err)
		return err;
	sem_wait(&w.told);
	return w.err;
}

#endif
