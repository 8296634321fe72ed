/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fiber that has ended is kept, with its stack, for the next one: a store starts four of them. It goes from one to the other by
 * _setjmp() and _longjmp(), which unlike swapcontext(3) call no system; the address sanitizer follows only the latter.
 */
#include "world.h"
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define STACK (2u << 20)
#else
#define STACK (512u << 10)
#endif

#define FIBERS 160
#define BIRTH INT64_C(1700000000000000000)     /* the world's clocks begin here, and at a day */
#define DAY (86400 * SECOND)

struct fiber {
	struct world *world;
	struct process *process;
	void *(*run)(void *arg);
	void *arg;
	enum { IDLE, RUNNABLE, WAITING, ENDED } state;
	const void *on;                        /* what it waits for */
	int64_t deadline;
	bool woken;
	void *stack;
	bool begun;
	ucontext_t context;
	jmp_buf at;
	void *fake;                            /* the address sanitizer's */
};

struct world {
	uint64_t random;
	int64_t now;
	int64_t next;                          /* no deadline is earlier */
	void (*stuck)(void *ctx);
	void *ctx;
	struct fiber *fibers[FIBERS];          /* the first one is whoever entered */
	int count;
	struct fiber *current;
	struct fiber *runnable[FIBERS];
	int ready;
};

/* The functions that threads.c replaces have no argument that could say it. */
static _Thread_local struct world *here;

struct world *world_here(void)
{
	return here;
}

/* splitmix64, by Sebastiano Vigna: https://prng.di.unimi.it/splitmix64.c */
uint64_t chance(struct world *w)
{
	uint64_t z = (w->random += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t chance_of(struct world *w, uint64_t n)
{
	return n > 1 ? chance(w) % n : 0;
}

bool once_in(struct world *w, uint64_t n)
{
	return n && chance_of(w, n) == 0;
}

int64_t world_now(struct world *w)
{
	return w->now;
}

int64_t world_time(struct world *w)
{
	return BIRTH + w->now;
}

void world_pass(struct world *w, int64_t ns)
{
	w->now += ns;
}

int world_new(struct world **to, uint64_t seed, void (*stuck)(void *ctx), void *ctx)
{
	struct world *w = calloc(1, sizeof *w);
	struct fiber *first = calloc(1, sizeof *first);

	if (!w || !first) {
		free(w);
		free(first);
		return -ENOMEM;
	}
	w->random = seed;
	w->now = DAY;
	w->next = WORLD_NEVER;
	w->stuck = stuck;
	w->ctx = ctx;
	first->world = w;
	first->state = RUNNABLE;
	first->begun = true;
	w->fibers[w->count++] = w->current = first;
	*to = w;
	return 0;
}

void world_free(struct world *w)
{
	if (!w)
		return;
	for (int i = 0; i < w->count; i++) {
		if (w->fibers[i]->stack)
			munmap(w->fibers[i]->stack, STACK);
		free(w->fibers[i]);
	}
	free(w);
}

void world_enter(struct world *w)
{
	here = w;
}

void world_leave(struct world *w)
{
	(void)w;
	here = NULL;
}

#ifdef __SANITIZE_ADDRESS__
static void jump(struct fiber *from, struct fiber *to)
{
	__sanitizer_start_switch_fiber(&from->fake, to->stack, to->stack ? STACK : 0);
	swapcontext(&from->context, &to->context);
	__sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
}
#else
static void jump(struct fiber *from, struct fiber *to)
{
	if (_setjmp(from->at))
		return;
	if (to->begun)
		_longjmp(to->at, 1);
	to->begun = true;
	setcontext(&to->context);
}
#endif

static void make_ready(struct world *w, struct fiber *f)
{
	f->state = RUNNABLE;
	f->on = NULL;
	w->runnable[w->ready++] = f;
}

/* Those whose deadline has come. */
static void end_waits(struct world *w)
{
	if (w->now < w->next)
		return;
	w->next = WORLD_NEVER;
	for (int i = 0; i < w->count; i++) {
		struct fiber *f = w->fibers[i];
		if (f->state != WAITING)
			continue;
		if (f->deadline <= w->now)
			make_ready(w, f);
		else if (f->deadline < w->next)
			w->next = f->deadline;
	}
}

static bool stands_still(const struct fiber *f)
{
	return f->process && f->process->frozen;
}

/* Puts those that may go on first; how many. */
static int sort_out(struct world *w)
{
	int n = 0;

	for (int i = 0; i < w->ready; i++) {
		struct fiber *f = w->runnable[i];
		if (stands_still(f))
			continue;
		w->runnable[i] = w->runnable[n];
		w->runnable[n++] = f;
	}
	return n;
}

/* The current one does not go on before it is chosen again. */
static void go_on(struct world *w)
{
	struct fiber *from = w->current, *to;
	int n;

	end_waits(w);
	while ((n = sort_out(w)) == 0) {
		if (w->next == WORLD_NEVER)
			w->stuck(w->ctx);
		w->now = w->next;
		end_waits(w);
	}
	n = (int)chance_of(w, (uint64_t)n);
	to = w->runnable[n];
	w->runnable[n] = w->runnable[--w->ready];
	if (to == from)
		return;
	w->current = to;
	jump(from, to);
}

static void live(unsigned high, unsigned low)
{
	struct fiber *f = (struct fiber *)((uintptr_t)high << 32 | low);

#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
	for (;;) {
		f->run(f->arg);
		f->state = ENDED;
		world_wake(f->world, f, true);
		go_on(f->world);
	}
}

static struct fiber *make(struct world *w)
{
	struct fiber *f = w->count < FIBERS ? calloc(1, sizeof *f) : NULL;

	if (!f)
		return NULL;
	f->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->stack == MAP_FAILED) {
		free(f);
		return NULL;
	}
	f->world = w;
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = STACK;
	makecontext(&f->context, (void (*)(void))live, 2, (unsigned)((uintptr_t)f >> 32), (unsigned)(uintptr_t)f);
	w->fibers[w->count++] = f;
	return f;
}

struct fiber *world_start(struct world *w, void *(*run)(void *arg), void *arg)
{
	struct fiber *f = NULL;

	for (int i = 1; i < w->count && !f; i++)
		if (w->fibers[i]->state == IDLE)
			f = w->fibers[i];
	if (!f)
		f = make(w);
	if (!f)
		return NULL;
	f->process = w->current->process;
	f->run = run;
	f->arg = arg;
	make_ready(w, f);
	return f;
}

void world_join(struct world *w, struct fiber *f)
{
	while (f->state != ENDED)
		world_wait(w, f, WORLD_NEVER);
	f->state = IDLE;
}

void world_be(struct world *w, struct process *p)
{
	w->current->process = p;
}

void world_pause(struct world *w)
{
	make_ready(w, w->current);
	go_on(w);
}

void world_pause_once_in(struct world *w, uint64_t n)
{
	if (once_in(w, n))
		world_pause(w);
}

void world_sleep(struct world *w, int64_t ns)
{
	world_wait(w, NULL, w->now + ns);
}

bool world_wait(struct world *w, const void *on, int64_t deadline)
{
	struct fiber *f = w->current;

	f->state = WAITING;
	f->on = on;
	f->deadline = deadline;
	f->woken = false;
	if (deadline < w->next)
		w->next = deadline;
	go_on(w);
	return f->woken;
}

void world_wake(struct world *w, const void *on, bool all)
{
	struct fiber *waiting[FIBERS];
	int n = 0;

	for (int i = 0; i < w->count; i++)
		if (w->fibers[i]->state == WAITING && w->fibers[i]->on == on)
			waiting[n++] = w->fibers[i];
	if (!all && n > 1) {
		waiting[0] = waiting[chance_of(w, (uint64_t)n)];
		n = 1;
	}
	for (int i = 0; i < n; i++) {
		waiting[i]->woken = true;
		make_ready(w, waiting[i]);
	}
}
