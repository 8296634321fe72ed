/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exactly one answers a parked request. Four may want to: the waker (the store, which calls back once), INTERRUPT, who looks after the
 * callers of those that INTERRUPT has left parked (caller.h), and the thread that parks it and finds out meanwhile that one
 * of those was faster.
 *
 * Waker against INTERRUPT: the store decides. A waiter that was taken back (unwatch() or store_unfollow() is true) is never called
 * back, so INTERRUPT has it alone. If it is false, the waker has it, and INTERRUPT does nothing. INTERRUPT may still be
 * looking when the waker is done, and libfuse's request with it; so before the waker answers it takes the interrupt
 * function away. fuse_req_interrupt_func() takes the request's lock, which libfuse holds while it calls the function: when it
 * returns, no INTERRUPT is looking or will look. That is also why nobody calls it under a lock of ours, and why
 * INTERRUPT itself, inside that lock, never does; it answers, and libfuse keeps the request until it returns.
 *
 * What is firm is ended by INTERRUPT only if its caller dies: a program would repeat what a signal has ended, and its record would be there
 * twice; the dead repeat nothing, and cannot go before they have an answer. If it does not die yet, it is put among those who are looked
 * after, and whoever sees it die takes it back from the store as INTERRUPT does. So INTERRUPT and that one are
 * rivals for the same waiter, and the store decides again. While it is looked at it is not freed: that is done under the callers'
 * lock, and who has it, whichever of the four, has it forgotten before it answers: behind the interrupt function, which it takes away first,
 * as INTERRUPT is what puts it there (alone()); or within it. Locks: the request's, then the callers', then the store's; none is held where the
 * request's is taken by us.
 *
 * All against the parking thread: the request must be with the store before it can be interrupted (or INTERRUPT would find
 * nothing to take back, and be lost), and a waker may answer and free it as soon as the store has it. So until the
 * parking thread has set the interrupt function, the phase is PARK_BEGUN, in which whoever comes (one of them, by the
 * above) only says so in the phase and leaves the request to the parking thread, which then returns it to its caller. An INTERRUPT
 * that came before the request was parked is called from fuse_req_interrupt_func() itself, and is no different.
 */
#include "park.h"
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

enum { PARK_BEGUN, PARK_DONE, PARK_WOKEN, PARK_INTERRUPTED };

struct parked *park_new(fuse_req_t req, void (*woken)(struct parked *p, int err))
{
	struct parked *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->req = req;
	p->woken = woken;
	p->mount = mount_of(req);
	return p;
}

void park_free(struct parked *p)
{
	free(p);
}

/* For who has the request: nobody else looks at it, or will. */
static void alone(struct parked *p)
{
	if (!p->elsewhere)
		fuse_req_interrupt_func(p->req, NULL, NULL);
	if (p->caller.watched)
		callers_forget(p->mount->callers, &p->caller);
}

/* Woken, with the request out of everybody's reach. */
static void wake(struct parked *p, int err)
{
	p->mount->parked--;
	p->woken(p, err);
}

/* The parking thread still has it: it is left there. */
static bool leave(struct parked *p, int phase)
{
	int begun = PARK_BEGUN;

	return atomic_compare_exchange_strong(&p->phase, &begun, phase);
}

static void by_store(struct parked *p, int err)
{
	p->err = err;
	if (leave(p, PARK_WOKEN))
		return;
	alone(p);
	wake(p, err);
}

static void follower_done(struct follower *f, int err)
{
	by_store((struct parked *)((char *)f - offsetof(struct parked, follower)), err);
}

static void watcher_ready(struct watcher *w, int err)
{
	by_store((struct parked *)((char *)w - offsetof(struct parked, watcher)), err);
}

static bool take_back(struct parked *p)
{
	struct store *s = p->mount->store;

	if (p->kind == PARK_WATCHES)
		return unwatch(s, &p->watcher);
	return store_unfollow(s, p->kind == PARK_COMMANDS ? &p->command->follow : &p->follower);
}

static void by_interrupt(fuse_req_t req, void *data)
{
	struct parked *p = data;

	(void)req;
	if (p->firm && !caller_dies(&p->caller)) {
		callers_watch(p->mount->callers, &p->caller);
	} else if (take_back(p) && !leave(p, PARK_INTERRUPTED)) {
		callers_forget(p->mount->callers, &p->caller);
		wake(p, -EINTR);
	}
}

static bool take_from_caller(struct caller *c)
{
	return take_back((struct parked *)((char *)c - offsetof(struct parked, caller)));
}

static void caller_dead(struct caller *c)
{
	struct parked *p = (struct parked *)((char *)c - offsetof(struct parked, caller));

	if (leave(p, PARK_INTERRUPTED))
		return;
	alone(p);
	wake(p, -EINTR);
}

/* Counts it, and says who may end it, before the store has it. */
static void begin(struct parked *p, enum park_manner manner)
{
	p->phase = PARK_BEGUN;
	p->firm = manner == PARK_FIRM;
	p->caller = (struct caller){.thread = fuse_req_ctx(p->req)->pid, .take = take_from_caller, .dead = caller_dead};
	p->mount->parked++;
}

/* The store has it (ERR 0) or not. */
static int end(struct parked *p, int err)
{
	int begun = PARK_BEGUN;

	if (err) {
		p->mount->parked--;
		return err;
	}
	if (!p->elsewhere)
		fuse_req_interrupt_func(p->req, by_interrupt, p);
	if (atomic_compare_exchange_strong(&p->phase, &begun, PARK_DONE))
		return 0;
	alone(p);
	p->mount->parked--;
	if (begun == PARK_INTERRUPTED)
		return -EINTR;
	return p->err ? p->err : 1;
}

int park_follow(struct parked *p, uint64_t pos, enum park_manner manner)
{
	struct mount *m = p->mount;
	int err;

	p->kind = PARK_FOLLOWS;
	p->follower = (struct follower){.pos = pos, .done = follower_done};
	begin(p, manner);
	err = store_follow(m->store, &p->follower);
	return end(p, err);
}

int park_watch_queue(struct parked *p, struct queue *q, uint64_t offset, enum park_manner manner)
{
	int err;

	p->kind = PARK_WATCHES;
	p->watcher = (struct watcher){.ready = watcher_ready, .deadline = p->deadline};
	begin(p, manner);
	err = watch_queue(q, offset, &p->watcher);
	return end(p, err);
}

int park_watch_topic(struct parked *p, struct topic *t, uint64_t seen)
{
	int err;

	p->kind = PARK_WATCHES;
	p->watcher = (struct watcher){.ready = watcher_ready, .deadline = p->deadline};
	begin(p, PARK_INTERRUPTIBLE);
	err = watch_topic(t, seen, &p->watcher);
	return end(p, err);
}

void park_command(struct parked *p, fuse_req_t req, struct command *c, void (*woken)(struct parked *p, int err))
{
	*p = (struct parked){.req = req, .woken = woken, .mount = mount_of(req), .kind = PARK_COMMANDS, .command = c};
	begin(p, PARK_FIRM);
}

void park_command_done(struct parked *p, int err)
{
	by_store(p, err);
}

int park_command_given(struct parked *p, int err)
{
	return end(p, err);
}
