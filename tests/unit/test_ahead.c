/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that are received one ahead come in order, and where the caller has a body it stays as it is. */
#include "ahead.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONG AHEAD_FROM
#define SHORT 100u
#define PATIENCE 20000000000LL

/* ---- a link that has what is put into it ---- */

static struct {
	struct link link;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint8_t *bytes;
	size_t len, taken;
	int end;                       /* what stands behind the bytes; 0: more may come */
} pipe;

static ssize_t pipe_read(struct link *l, void *to, size_t len, int64_t deadline)
{
	struct timespec at = {deadline / 1000000000, deadline % 1000000000};
	ssize_t n = 0;
	int late = 0;

	(void)l;
	pthread_mutex_lock(&pipe.lock);
	while (pipe.taken == pipe.len && !pipe.end && !late)
		late = pthread_cond_timedwait(&pipe.moved, &pipe.lock, &at);
	if (pipe.taken < pipe.len) {
		n = (ssize_t)(len < pipe.len - pipe.taken ? len : pipe.len - pipe.taken);
		memcpy(to, pipe.bytes + pipe.taken, (size_t)n);
		pipe.taken += (size_t)n;
		pthread_cond_broadcast(&pipe.moved);
	}
	pthread_mutex_unlock(&pipe.lock);
	return n ? n : pipe.end ? pipe.end : -ETIMEDOUT;
}

static int pipe_write(struct link *l, const void *from, size_t len, int64_t deadline)
{
	(void)l, (void)deadline;
	pthread_mutex_lock(&pipe.lock);
	pipe.bytes = realloc(pipe.bytes, pipe.len + len);
	memcpy(pipe.bytes + pipe.len, from, len);
	pipe.len += len;
	pthread_cond_broadcast(&pipe.moved);
	pthread_mutex_unlock(&pipe.lock);
	return 0;
}

static const struct link_ops ops = {.read = pipe_read, .write = pipe_write};
static struct ahead *ahead;
static struct frame frame;
static uint8_t *body;

static void begin(void)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&pipe.lock, NULL);
	pthread_cond_init(&pipe.moved, &monotonic);
	pipe.link.ops = &ops;
	cr_assert_eq(ahead_new(&ahead, &pipe.link), 0);
}

static void end_with(int err)
{
	pthread_mutex_lock(&pipe.lock);
	pipe.end = err;
	pthread_cond_broadcast(&pipe.moved);
	pthread_mutex_unlock(&pipe.lock);
}

static void end(void)
{
	end_with(-ESHUTDOWN);
	ahead_free(ahead);
	free(pipe.bytes);
}

TestSuite(ahead, .init = begin, .fini = end, .timeout = 60);

static void put(uint8_t byte, size_t len)
{
	struct frame f = {.type = FRAME_RECORDS, .pos = byte};
	uint8_t *bytes = malloc(len);
	struct iovec iov = {bytes, len};

	memset(bytes, byte, len);
	cr_assert_eq(link_send(&pipe.link, &f, &iov, 1, link_in(PATIENCE)), 0);
	free(bytes);
}

static int next(void)
{
	return ahead_receive(ahead, &frame, &body, link_in(PATIENCE));
}

static bool is(uint8_t byte, size_t len)
{
	for (size_t n = 0; n < len; n++)
		if (body[n] != byte)
			return false;
	return frame.pos == byte && frame.length == len;
}

static size_t taken(void)
{
	size_t n;

	pthread_mutex_lock(&pipe.lock);
	n = pipe.taken;
	pthread_mutex_unlock(&pipe.lock);
	return n;
}

static void wait_taken(size_t n)
{
	struct timespec at = {link_in(PATIENCE) / 1000000000, 0};
	int late = 0;

	pthread_mutex_lock(&pipe.lock);
	while (pipe.taken < n && !late)
		late = pthread_cond_timedwait(&pipe.moved, &pipe.lock, &at);
	pthread_mutex_unlock(&pipe.lock);
	cr_assert(!late, "it is not received");
}

/* ---- what comes ---- */

Test(ahead, behind_a_long_frame_the_next_one_is_received_while_the_caller_has_it)
{
	put('a', LONG);
	put('b', LONG);
	put('c', SHORT);
	cr_assert_eq(next(), 0);
	wait_taken(2 * (FRAME_HEADER + LONG));
	cr_assert(is('a', LONG));
	cr_assert_eq(taken(), 2 * (FRAME_HEADER + LONG), "no more than one");
	cr_assert_eq(next(), 0);
	wait_taken(pipe.len);
	cr_assert(is('b', LONG));
	cr_assert_eq(next(), 0);
	cr_assert(is('c', SHORT));
}

Test(ahead, behind_a_short_frame_nothing_is)
{
	put('a', LONG);
	put('b', SHORT);
	put('c', SHORT);
	cr_assert_eq(next(), 0);
	cr_assert_eq(next(), 0);
	cr_assert(is('b', SHORT));
	cr_assert_eq(taken(), 2 * FRAME_HEADER + LONG + SHORT);
	cr_assert_eq(next(), 0);
	cr_assert(is('c', SHORT));
}

Test(ahead, what_comes_after_the_deadline_is_there_for_the_next_call)
{
	put('a', LONG);
	cr_assert_eq(next(), 0);
	cr_assert_eq(ahead_receive(ahead, &frame, &body, link_in(1000000)), -ETIMEDOUT);
	put('b', SHORT);
	cr_assert_eq(next(), 0);
	cr_assert(is('b', SHORT));
}

static void *put_rest(void *arg)
{
	const struct timespec late = {.tv_nsec = 50000000};
	size_t *whole = arg;

	nanosleep(&late, NULL);
	pthread_mutex_lock(&pipe.lock);
	pipe.len = *whole;
	pthread_cond_broadcast(&pipe.moved);
	pthread_mutex_unlock(&pipe.lock);
	return NULL;
}

/* Of a frame that is slow to come. */
Test(ahead, what_has_begun_before_the_deadline_is_waited_for)
{
	pthread_t thread;
	size_t whole;

	put('a', LONG);
	put('b', LONG);
	whole = pipe.len;
	pipe.len -= LONG / 2;
	cr_assert_eq(next(), 0);
	wait_taken(pipe.len);
	cr_assert_eq(pthread_create(&thread, NULL, put_rest, &whole), 0);
	cr_assert_eq(ahead_receive(ahead, &frame, &body, link_in(0)), 0);
	pthread_join(thread, NULL);
	cr_assert(is('b', LONG));
}

Test(ahead, an_error_comes_behind_the_frames_before_it)
{
	put('a', LONG);
	put('b', LONG);
	end_with(-ECONNRESET);
	cr_assert_eq(next(), 0);
	cr_assert(is('a', LONG));
	cr_assert_eq(next(), 0);
	cr_assert(is('b', LONG));
	cr_assert_eq(next(), -ECONNRESET);
	cr_assert_eq(next(), -ECONNRESET);
}

Test(ahead, it_ends_while_it_receives)
{
	put('a', LONG);
	cr_assert_eq(next(), 0);
}
