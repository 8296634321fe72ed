/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - threads, a clock and chance that one seed decides.
 *
 * A world runs fibers, one at a time, on one thread of the system. Which one goes on where several could is drawn, and so is where one
 * pauses; its clock moves only when the world says so. Code of the store runs in it unchanged: threads.c puts fibers in the place of the
 * threads that it starts, and the world's clock and chance in the place of the system's, for whoever calls from inside of a world.
 * The same seed and the same program give the same run.
 *
 * Calling  world_new(&w, seed); world_enter(w); ... world_start(w, f, arg); ... world_leave(w); world_free(w);
 * Units    nanoseconds.
 * Errors   when nobody can ever go on, w->stuck() is called, which does not return.
 * Threads  one world is used by one thread at a time; whoever entered it is its first fiber.
 */
#ifndef MQFS_TESTS_WORLD_H
#define MQFS_TESTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_NEVER INT64_MAX
#define SECOND INT64_C(1000000000)

struct fiber;
struct world;

/* Fibers that stand still and go on together, as those of one program do: a fiber is of its starter's process. Deadlines pass meanwhile. */
struct process {
	bool frozen;
};

int world_new(struct world **w, uint64_t seed, void (*stuck)(void *ctx), void *ctx);
/* All fibers but the first must have ended. */
void world_free(struct world *w);
void world_enter(struct world *w);
void world_leave(struct world *w);
/* The one that this thread is in; NULL: none. */
struct world *world_here(void);

/* Any number; one below N. */
uint64_t chance(struct world *w);
uint64_t chance_of(struct world *w, uint64_t n);
/* True once in N times; N of 0 is never. */
bool once_in(struct world *w, uint64_t n);

int64_t world_now(struct world *w);                  /* CLOCK_MONOTONIC in here */
int64_t world_time(struct world *w);                 /* ns since 1970 in here */
void world_pass(struct world *w, int64_t ns);        /* time that passes for all */

/* NULL: out of memory. */
struct fiber *world_start(struct world *w, void *(*run)(void *arg), void *arg);
void world_join(struct world *w, struct fiber *f);
/* The current fiber is of P from here on; NULL: of none, which never stands still. */
void world_be(struct world *w, struct process *p);
/* Others may go on first. */
void world_pause(struct world *w);
/* The same, once in N times. */
void world_pause_once_in(struct world *w, uint64_t n);
void world_sleep(struct world *w, int64_t ns);
/* Until world_wake() of ON, or DEADLINE; false: at the deadline. */
bool world_wait(struct world *w, const void *on, int64_t deadline);
void world_wake(struct world *w, const void *on, bool all);

#endif
