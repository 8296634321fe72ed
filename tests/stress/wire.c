/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- one end of a link ---- */

struct end {
	struct link link;              /* the first member */
	int fd;
	_Atomic bool down;             /* by this side */
};

static struct end *end_of(struct link *l)
{
	return (struct end *)l;
}

/* After a call that said -1. 0: it may do better now. */
static int wait_for(struct end *e, short events, int64_t deadline)
{
	struct pollfd on = {.fd = e->fd, .events = events};
	int number = errno;
	int64_t left = deadline - link_in(0);
	struct timespec t = {left / 1000000000, left % 1000000000};

	if (e->down)
		return -ESHUTDOWN;
	if (number != EAGAIN && number != EINTR)
		return -ECONNRESET;
	if (left <= 0)
		return -ETIMEDOUT;
	ppoll(&on, 1, &t, NULL);
	return 0;
}

static ssize_t end_read(struct link *l, void *to, size_t len, int64_t deadline)
{
	struct end *e = end_of(l);
	int err = 0;

	while (!err) {
		ssize_t n = recv(e->fd, to, len, MSG_DONTWAIT);

		if (n > 0)
			return n;
		if (n == 0)
			return e->down ? -ESHUTDOWN : -ECONNRESET;
		err = wait_for(e, POLLIN, deadline);
	}
	return err;
}

static int end_write(struct link *l, const void *from, size_t len, int64_t deadline)
{
	struct end *e = end_of(l);
	const char *at = from;
	int err = 0;

	while (!err && len) {
		ssize_t n = send(e->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			err = wait_for(e, POLLOUT, deadline);
			continue;
		}
		at += n;
		len -= (size_t)n;
	}
	return err;
}

static void end_shutdown(struct link *l)
{
	end_of(l)->down = true;
	shutdown(end_of(l)->fd, SHUT_RDWR);
}

static void end_close(struct link *l)
{
	close(end_of(l)->fd);
	free(l);
}

static void end_why(struct link *l, char to[LINK_WHY])
{
	snprintf(to, LINK_WHY, "%s", end_of(l)->down ? "it was shut down" : "the other side broke off");
}

static const struct link_ops end_ops = {end_read, end_write, end_shutdown, end_close, end_why};

/* FD is its own from here on, also without memory. */
static struct link *end_new(int fd, const char *peer)
{
	struct end *e = calloc(1, sizeof *e);

	if (!e) {
		close(fd);
		return NULL;
	}
	e->link.ops = &end_ops;
	e->fd = fd;
	snprintf(e->link.peer, sizeof e->link.peer, "%s", peer);
	snprintf(e->link.address, sizeof e->link.address, "%s:0", peer);
	return &e->link;
}

/* ---- the networks ---- */

static struct wire *of(const struct network *n)
{
	return (struct wire *)n;
}

/* Under the other's lock, as all that is W's last. */
static void remember(struct wire *w, int fd)
{
	if (w->last >= 0)
		close(w->last);
	w->last = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int wire_connect(const struct network *n, const char *address, int stop, int64_t deadline, struct link **l, char why[LINK_WHY])
{
	struct wire *w = of(n), *to = w->other;
	struct link *there = NULL;
	int fd[2], err = -ECONNREFUSED;

	(void)address, (void)stop, (void)deadline;
	*l = NULL;
	pthread_mutex_lock(&to->lock);
	if (to->listens && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0) {
		*l = end_new(fd[0], to->name);
		there = end_new(fd[1], w->name);
		err = *l && there ? 0 : -ENOMEM;
	}
	if (!err) {
		remember(w, fd[0]);
		to->handlers.accepted(to->handlers.ctx, there);
	}
	pthread_mutex_unlock(&to->lock);
	if (!err)
		return 0;
	if (*l)
		link_close(*l);
	if (there)
		link_close(there);
	snprintf(why, LINK_WHY, "%s", strerror(-err));
	return err;
}

static int wire_listen(const struct network *n, const struct network_handlers *h, char why[LINK_WHY])
{
	struct wire *w = of(n);

	(void)why;
	pthread_mutex_lock(&w->lock);
	w->listens = true;
	w->handlers = *h;
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static void wire_unlisten(const struct network *n)
{
	struct wire *w = of(n);

	pthread_mutex_lock(&w->lock);
	w->listens = false;
	pthread_mutex_unlock(&w->lock);
}

void wire_init(struct wire wire[2], const char *a, const char *b)
{
	for (int i = 0; i < 2; i++) {
		wire[i] = (struct wire){.network = {.connect = wire_connect, .listen = wire_listen, .unlisten = wire_unlisten},
			.name = i ? b : a, .other = &wire[!i], .last = -1};
		pthread_mutex_init(&wire[i].lock, NULL);
	}
}

void wire_end(struct wire wire[2])
{
	for (int i = 0; i < 2; i++) {
		if (wire[i].last >= 0)
			close(wire[i].last);
		pthread_mutex_destroy(&wire[i].lock);
	}
}

void wire_break(struct wire *w)
{
	pthread_mutex_lock(&w->other->lock);
	if (w->last >= 0)
		shutdown(w->last, SHUT_RDWR);
	pthread_mutex_unlock(&w->other->lock);
}
