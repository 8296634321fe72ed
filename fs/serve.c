/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock: serve->lock guards who leads; it is taken when the lead changes hands, never for a request.
 *
 * A worker that lost the lead to the watch thread may be at its next read already. Then two read for a moment, which is
 * harmless: each looks whether it still leads after every request and every sleep.
 */
#include "serve.h"
#include "mount.h"
#include "together.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS 60000            /* how long to look for the next request before sleeping: longer than two processors of a virtual machine take to wake */
#define SPIN_BYTE_NS 1           /* and behind a large one, whose sender has as much to do for the next: for each byte of it */
#define SPIN_MOST_NS 200000
#define DISTRUST 4               /* waits that have to be short before one is spent awake again after one in vain */
#define SLOW_NS 400000           /* requests of a kind that takes this long on average are not run while leading */
#define KINDS 64                 /* opcodes; rarer ones share */
#define STUCK_NS 1000000         /* in one request for so long: somebody else shall read */
#define CROWD 32                 /* requests in a row that were there already: two shall read */
#define QUEUED 2                 /* requests in a row that were there already: small writes are answered together */
#define SMALL 2048u              /* bytes of a request */
#define ALONE 8                  /* looks in a row at which there was none: one is enough */

struct worker {
	struct serve *serve;
	pthread_t thread;
	struct fuse_buf request;
	_Atomic uint64_t turn;   /* odd while it runs a request */
	atomic_bool asleep;      /* until there is a request */
	unsigned found;          /* requests in a row that it found without waiting */
	uint64_t patience;       /* ns to look for the next one */
	uint64_t answered;       /* when the request was, where it says so; 0: it does not */
	struct together together;
};

struct serve {
	struct fuse_session *session;
	unsigned count;                  /* workers started */
	pthread_t watch;
	bool watch_started;

	pthread_mutex_t lock;
	pthread_cond_t bench;
	struct worker *_Atomic leader;   /* changed under the lock */
	struct worker *_Atomic second;   /* the same */
	bool crowded;                    /* guarded by the lock: somebody shall come as second */
	atomic_bool stopping;            /* set under the lock */
	atomic_bool watching;            /* the timer runs */

	int over;                        /* eventfd: readable for ever once stopping */
	int timer;                       /* timerfd of the watch thread */

	_Atomic int distrust;            /* short waits left until one is spent awake again; 0: wait awake */
	_Atomic uint32_t average[KINDS]; /* ns that a request of the kind takes, recent ones weighing more */
	struct worker worker[];
};

static _Thread_local struct worker *self;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void set_timer(struct serve *s, long ns)
{
	struct itimerspec in = {.it_value.tv_nsec = ns};

	timerfd_settime(s->timer, 0, &in, NULL);
}

static void over(struct serve *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->bench);
	pthread_mutex_unlock(&s->lock);
	eventfd_write(s->over, 1);
}

/* ---- who leads ---- */

/* Waits on the bench until somebody is wanted as leader or second; false: there is nothing more to do. */
static bool leave_bench(struct worker *w)
{
	struct serve *s = w->serve;
	bool wanted;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping && s->leader && !s->crowded)
		pthread_cond_wait(&s->bench, &s->lock);
	wanted = !s->stopping;
	if (wanted && !s->leader) {
		s->leader = w;
	} else if (wanted) {
		s->second = w;
		s->crowded = false;
	}
	pthread_mutex_unlock(&s->lock);
	return wanted;
}

static void call_second(struct serve *s)
{
	pthread_mutex_lock(&s->lock);
	if (!s->second && !s->crowded) {
		s->crowded = true;
		pthread_cond_signal(&s->bench);
	}
	pthread_mutex_unlock(&s->lock);
}

/* For who is second: back to the bench, or on as the leader where there is none. */
static void end_second(struct worker *w)
{
	pthread_mutex_lock(&w->serve->lock);
	w->serve->second = NULL;
	pthread_mutex_unlock(&w->serve->lock);
}

/* Where the bench is empty, whoever is back first takes the lead. */
static void give_lead(struct worker *w)
{
	struct serve *s = w->serve;

	pthread_mutex_lock(&s->lock);
	if (s->leader == w) {
		s->leader = NULL;
		pthread_cond_signal(&s->bench);
	}
	pthread_mutex_unlock(&s->lock);
}

/* The timer ticks while requests come, and finds a leader that is at the same one as a tick ago. */
static void *watch(void *ctx)
{
	struct serve *s = ctx;
	struct worker *last = NULL, *w;
	uint64_t last_turn = 0, turn, ticks;

	while (read(s->timer, &ticks, sizeof ticks) == sizeof ticks && !s->stopping) {
		w = s->leader;
		turn = w ? w->turn : 0;
		if (turn % 2 == 1 && w == last && turn == last_turn)
			give_lead(w);
		last = w;
		last_turn = turn;
		s->watching = false;
		/* Whoever wakes up from now on sees that nobody is watching; who did before is seen here. */
		if (w && !w->asleep) {
			s->watching = true;
			set_timer(s, STUCK_NS);
		}
	}
	return NULL;
}

/* ---- requests ---- */

static int receive(struct worker *w)
{
	return fuse_session_receive_buf(w->serve->session, &w->request);
}

static void sleep_until_request(struct worker *w)
{
	struct pollfd fds[] = {
		{.fd = fuse_session_fd(w->serve->session), .events = POLLIN},
		{.fd = w->serve->over, .events = POLLIN},
	};

	w->asleep = true;
	poll(fds, 2, -1);
	w->asleep = false;
}

/* There was no request: awake for a while if that has paid lately, then asleep. On a busy machine it does not pay either, as others
 * get the processor for long when they are let by. */
static int await(struct worker *w)
{
	struct serve *s = w->serve;
	uint64_t began = now_ns();
	bool awake = s->distrust <= 0;         /* two who waited at once may both have taken one off */
	int got = -EAGAIN;

	while (awake && got == -EAGAIN && now_ns() - began < w->patience) {
		sched_yield();
		got = receive(w);
	}
	if (got == -EAGAIN) {
		sleep_until_request(w);
		got = receive(w);
	}
	if (now_ns() - began >= w->patience)
		s->distrust = awake ? DISTRUST : s->distrust;
	else if (!awake)
		s->distrust--;
	return got;
}

/* What is not answered yet; the watch thread sees it as a request. */
static void answer(struct worker *w)
{
	if (!w->together.count)
		return;
	w->turn++;
	together_end(&w->together);
	w->turn++;
}

/* Whether the request may be answered together with others. */
static bool joins(const struct worker *w, const struct fuse_in_header *header)
{
	return w->found >= QUEUED && header->opcode == FUSE_WRITE && header->len <= SMALL;
}

static void run(struct worker *w)
{
	struct serve *s = w->serve;
	const struct fuse_in_header *header = w->request.mem;
	_Atomic uint32_t *average = &s->average[header->opcode % KINDS];
	uint64_t began, took, patience = SPIN_NS + (uint64_t)header->len * SPIN_BYTE_NS;
	bool together = joins(w, header);

	if (!together || w->together.count == TOGETHER_MAX)
		answer(w);
	w->patience = patience < SPIN_MOST_NS ? patience : SPIN_MOST_NS;
	began = now_ns();
	if (*average > SLOW_NS)
		give_lead(w);
	w->turn++;
	if (!s->watching) {
		s->watching = true;
		set_timer(s, STUCK_NS);
	}
	together_set(together ? &w->together : NULL);
	w->answered = 0;
	fuse_session_process_buf(s->session, &w->request);
	w->turn++;
	took = (w->answered ? w->answered : now_ns()) - began;
	if (took > 64 * SLOW_NS)
		took = 64 * SLOW_NS;
	*average = *average - *average / 8 + (uint32_t)took / 8;
}

void serve_answered(void)
{
	if (!self)
		return;
	self->answered = now_ns();
	give_lead(self);
}

/* What there is to do now. */
static int receive_next(struct worker *w)
{
	int got = receive(w);

	w->found = got > 0 ? w->found + 1 : 0;
	if (got <= 0)
		answer(w);
	return got;
}

/* GOT is what receive() returned. */
static void run_received(struct worker *w, int got)
{
	if (got > 0) {
		run(w);
	} else if (got == -ENOMEM) {
		/* This worker has had no buffer yet; another may. */
		give_lead(w);
		poll(NULL, 0, 10);
	} else if (got != -EAGAIN && got != -EINTR) {
		over(w->serve);
	}
}

static void lead(struct worker *w)
{
	int got = receive_next(w);

	if (w->found >= CROWD && !w->serve->second)
		call_second(w->serve);
	if (got == -EAGAIN)
		got = await(w);
	run_received(w, got);
}

static void assist(struct worker *w)
{
	unsigned empty = 0;
	int got;

	while (!w->serve->stopping && empty < ALONE) {
		got = receive_next(w);
		empty = got == -EAGAIN ? empty + 1 : 0;
		if (got == -EAGAIN)
			sched_yield();
		else
			run_received(w, got);
	}
	answer(w);
	end_second(w);
}

static void *work(void *ctx)
{
	struct worker *w = self = ctx;

	while (leave_bench(w)) {
		while (w->serve->leader == w && !w->serve->stopping)
			lead(w);
		answer(w);
		if (w->serve->second == w)
			assist(w);
	}
	return NULL;
}

/* ---- start, wait, stop ---- */

static int start_threads(struct serve *s, unsigned workers)
{
	int err = pthread_create(&s->watch, NULL, watch, s);

	s->watch_started = err == 0;
	for (unsigned i = 0; i < workers && err == 0; i++) {
		s->worker[i].serve = s;
		s->worker[i].patience = SPIN_NS;
		err = pthread_create(&s->worker[i].thread, NULL, work, &s->worker[i]);
		if (err == 0)
			s->count++;
	}
	return -err;
}

int serve_start(struct serve **to, struct fuse_session *session, unsigned workers)
{
	struct serve *s = calloc(1, sizeof *s + workers * sizeof s->worker[0]);
	int fd = fuse_session_fd(session), err;

	if (!s)
		return -ENOMEM;
	s->session = session;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->bench, NULL);
	s->over = eventfd(0, EFD_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (s->over < 0 || s->timer < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		err = -errno;
	else
		err = start_threads(s, workers);
	if (err)
		serve_stop(s);
	else
		*to = s;
	return err;
}

int serve_wait(struct serve *s, const int *fds, int count)
{
	struct pollfd all[1 + SERVE_FDS] = {{.fd = s->over, .events = POLLIN}};

	for (int i = 0; i < count; i++)
		all[1 + i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	while (poll(all, 1 + (nfds_t)count, -1) < 0)
		if (errno != EINTR)
			return -errno;
	for (int i = 0; i < count; i++)
		if (all[1 + i].revents)
			return 1 + i;
	return 0;
}

void serve_stop(struct serve *s)
{
	over(s);
	for (unsigned i = 0; i < s->count; i++) {
		pthread_join(s->worker[i].thread, NULL);
		free(s->worker[i].request.mem);
	}
	if (s->watch_started) {
		set_timer(s, 1);
		pthread_join(s->watch, NULL);
	}
	if (s->over >= 0)
		close(s->over);
	if (s->timer >= 0)
		close(s->timer);
	pthread_cond_destroy(&s->bench);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
