/* SPDX-License-Identifier: Apache-2.0 */
/* A blank node's first link: a store is made of what a primary sends, however often that is interrupted. */
#include "join.h"
#include "keeper.h"
#include "pair_rig.h"
#include "parts.h"
#include "retain.h"
#include "seal.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

TestSuite(join, .init = rig_begin, .fini = rig_end);

/* ---- a link that is a pair of sockets ---- */

struct pipe_link {
	struct link link;
	int fd;
};

static ssize_t pipe_read(struct link *l, void *to, size_t len, int64_t deadline)
{
	ssize_t n = recv(((struct pipe_link *)l)->fd, to, len, 0);

	(void)deadline;
	return n > 0 ? n : -ECONNRESET;
}

static int pipe_write(struct link *l, const void *from, size_t len, int64_t deadline)
{
	(void)deadline;
	while (len) {
		ssize_t n = send(((struct pipe_link *)l)->fd, from, len, MSG_NOSIGNAL);
		if (n <= 0)
			return -ECONNRESET;
		from = (const char *)from + n;
		len -= (size_t)n;
	}
	return 0;
}

static void pipe_why(struct link *l, char to[LINK_WHY])
{
	(void)l;
	snprintf(to, LINK_WHY, "the connection is gone");
}

static void pipe_shutdown(struct link *l)
{
	shutdown(((struct pipe_link *)l)->fd, SHUT_RDWR);
}

static const struct link_ops pipe_ops = {.read = pipe_read, .write = pipe_write, .shutdown = pipe_shutdown, .why = pipe_why};

/* ---- the primary's side, in a thread ---- */

struct server {
	struct pipe_link end;
	int frames;                    /* the connection ends after so many of its frames; -1: never */
	bool waits;                    /* once it has answered, it goes on only when it has heard of the other side again */
	struct sender *sender;
};

static bool say_all(struct server *v)
{
	struct iovec iov[SENDER_PARTS];
	struct frame f;
	int n;

	while (sender_next(v->sender, 1, &f, iov, &n) == 1) {
		if (v->frames >= 0 && v->frames-- == 0)
			return false;
		if (link_send(&v->end.link, &f, iov, n, 0))
			return false;
		if (v->waits)
			break;
	}
	v->waits = false;
	return true;
}

static void *serve(void *arg)
{
	struct server *v = arg;
	struct frame_hello *h = calloc(1, sizeof *h);
	uint8_t *body = malloc(FRAME_BODY);
	struct frame f;

	cr_assert_eq(link_receive(&v->end.link, &f, body, FRAME_BODY, 0), 0);
	cr_assert_eq(frame_get_hello(h, body, f.length), 0);
	cr_assert_eq(sender_new(&v->sender, rig.a.store, "a", "b", h, f.flags & FRAME_BLANK, f.pos), 0);
	while (say_all(v) && !link_receive(&v->end.link, &f, body, FRAME_BODY, 0))
		if (sender_hear(v->sender, 1, &f, body))
			break;
	shutdown(v->end.fd, SHUT_RDWR);
	sender_free(v->sender);
	free(body);
	free(h);
	return NULL;
}

static struct join_progress progress;

static void told(void *ctx, const struct join_progress *p)
{
	(void)ctx;
	cr_assert_leq(progress.pos, p->pos);
	progress = *p;
}

/* B joins A, over a connection that ends after FRAMES frames of A's. */
static int try_to_join_slowly(bool again, int frames, bool waits, char why[STORE_WHY])
{
	struct server v = {.end.link.ops = &pipe_ops, .frames = frames, .waits = waits};
	struct pipe_link own = {.link = {.ops = &pipe_ops, .peer = "a"}};
	const struct timeval patience = {.tv_sec = 20};
	pthread_t thread;
	int fd[2], err;

	memset(&progress, 0, sizeof progress);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	own.fd = fd[0];
	v.end.fd = fd[1];
	cr_assert_eq(setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
	cr_assert_eq(pthread_create(&thread, NULL, serve, &v), 0);
	err = join(&own.link, "b", rig.b.path, again, UINT64_MAX, rig.options.segment_size, told, NULL, why);
	shutdown(fd[0], SHUT_RDWR);
	pthread_join(thread, NULL);
	close(fd[0]);
	close(fd[1]);
	return err;
}

static int try_to_join(bool again, int frames, char why[STORE_WHY])
{
	return try_to_join_slowly(again, frames, false, why);
}

/* A has messages in several segments, one of them longer than a frame, and a checkpoint; the oldest segments have gone where RETAINED says so. */
static void make_primary(const char *retained)
{
	char *line = malloc(2500000);
	uint64_t pos;

	memset(line, 'x', 2500000);
	rig_open(&rig.a, false);
	rig_topic();
	for (int i = 0; i < 10; i++) {
		struct command *c = command_new_waited();
		struct topic *t = topic_find(rig.a.store, "orders");
		cr_assert_eq(rig_append(&rig.a, line, i == 4 ? 2500000 : 300000, &pos), 0);
		cr_assert_eq(command_wait(c, store_set(rig.a.store, c, t, SETTING_RETENTION_SIZE, retained)), 0);
		topic_put(t);
		if (i == 6 || i == 8) {        /* closing makes a checkpoint */
			rig_close(&rig.a);
			rig_open(&rig.a, false);
		}
	}
	keeper_stop(rig.a.store->keeper);      /* from here on this test does its work */
	free(line);
}

static void settle_and_compare(void)
{
	rig_open(&rig.b, true);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert_eq(rig.sender_err, 0);
	cr_assert_eq(rig.receiver_err, 0);
	cr_assert_eq(rig_view(&rig.a).start, rig_view(&rig.b).start);
	rig_same_logs();
}

Test(join, a_blank_node_gets_a_checkpoint_and_the_log_and_goes_on_as_a_standby)
{
	char why[STORE_WHY];

	make_primary("default");
	cr_assert_eq(try_to_join(false, -1, why), 0, "%s", why);
	cr_assert_gt(progress.checkpoint_size, 0);
	cr_assert_eq(progress.checkpoint, progress.checkpoint_size);
	settle_and_compare();
	cr_assert_neq(rig_view(&rig.b).node, rig_view(&rig.a).node);
	cr_assert_eq(rig_view(&rig.b).promise.reign.number, 1);
}

/* Or the primary would take it to be away. */
Test(join, it_says_that_it_is_there_also_while_nothing_comes)
{
	char why[STORE_WHY];

	make_primary("default");
	cr_assert_eq(try_to_join_slowly(false, -1, true, why), 0, "%s", why);
}

Test(join, a_log_without_its_beginning_will_do)
{
	char why[STORE_WHY];

	make_primary("400000");
	while (rig_view(&rig.a).start == 0) {
		bool need;

		cr_assert_eq(seal_committed(rig.a.store), 0);
		retain_run(rig.a.store, time(NULL) * 1000000000LL, &need);
		cr_assert_eq(keeper_checkpoint(rig.a.store->keeper), 0);
	}
	cr_assert_eq(try_to_join(false, -1, why), 0, "%s", why);
	cr_assert_gt(progress.start, 0);
	settle_and_compare();
}

Test(join, what_was_interrupted_is_no_store_and_is_begun_again)
{
	char why[STORE_WHY];
	struct store *s;

	make_primary("default");
	rig.options.standby = true;
	rig.options.create = false;
	for (int frames = 0; frames < 7; frames++) {
		cr_assert_lt(try_to_join(false, frames, why), 0);
		cr_assert(why[0]);
		cr_assert_neq(store_open(&s, rig.b.path, &rig.options, why), 0);
	}
	cr_assert_eq(try_to_join(false, -1, why), 0, "%s", why);
	settle_and_compare();
}

Test(join, a_node_that_gives_its_store_up_keeps_its_id)
{
	char why[STORE_WHY];
	uint64_t node;

	make_primary("default");
	cr_assert_eq(try_to_join(false, -1, why), 0, "%s", why);
	rig_open(&rig.b, true);
	node = rig_view(&rig.b).node;
	cr_assert_eq(try_to_join(true, -1, why), -EBUSY);
	rig_close(&rig.b);
	cr_assert_eq(try_to_join(false, -1, why), -EEXIST);
	cr_assert_lt(try_to_join(true, 4, why), 0);
	cr_assert_eq(try_to_join(true, -1, why), 0, "%s", why);
	settle_and_compare();
	cr_assert_eq(rig_view(&rig.b).node, node);
}

Test(join, a_primary_below_what_was_promised_is_not_joined)
{
	char why[STORE_WHY];

	make_primary("default");
	cr_assert_eq(try_to_join(false, -1, why), 0, "%s", why);
	rig_open(&rig.b, true);
	cr_assert_eq(store_promise(rig.b.store, (struct reign){2, rig_view(&rig.b).node}), 0);
	rig_close(&rig.b);
	cr_assert_eq(try_to_join(true, -1, why), -ECONNREFUSED);
	cr_assert(strstr(why, "promised"), "%s", why);
	rig_open(&rig.b, true);
}
