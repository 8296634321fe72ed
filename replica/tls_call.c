/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a handshake: the caller, who waits, and the called, who does not. */
#include "address.h"
#include "tls_part.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char greeting[] = TLS_GREETING;
#define GREETING (sizeof greeting - 1)
#define KEEPALIVE 2                      /* s of silence before the kernel asks, and between its questions */
#define UNANSWERED 10000                 /* ms that bytes may go without the other kernel's word */

/* Acknowledgements are small and must not wait; a peer that vanished is to be known even when nobody sends. */
static int prepare(int fd)
{
	int on = 1, every = KEEPALIVE, times = 3;
	unsigned unanswered = UNANSWERED;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 || setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &every, sizeof every) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered, sizeof unanswered) < 0)
		return -errno;
	return 0;
}

/* ---- the caller ---- */

static int connect_to(const struct resolved *all, unsigned n, int stop, int64_t deadline, int *result)
{
	int fd = socket(all->of[n].family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	socklen_t len = sizeof err;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&all->of[n].at, all->of[n].len) < 0 && errno != EINPROGRESS && errno != EINTR)
		err = -errno;
	if (!err)
		err = tls_wait(fd, POLLOUT, stop, deadline);
	if (!err) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
		err = -err;
	}
	if (!err)
		err = prepare(fd);
	if (err)
		close(fd);
	else
		*result = fd;
	return err;
}

/* The host's addresses one after the other, each with its share of the time. */
static int reach(struct tls *t, const char *address, int stop, int64_t deadline, int *fd, char why[TLS_WHY])
{
	struct resolved all;
	struct address a;
	const char *next;
	int err = address_parse(&a, address, &next, why);

	if (!err)
		err = resolve(t->resolver, &a, stop, deadline, &all, why);
	if (err)
		return err;
	err = -EHOSTUNREACH;
	for (unsigned n = 0; n < all.count; n++) {
		int64_t now = link_in(0);

		err = connect_to(&all, n, stop, now + (deadline - now) / (all.count - n), fd);
		if (!err || err == -ECANCELED)
			break;
	}
	if (err)
		snprintf(why, TLS_WHY, "%s", err == -ETIMEDOUT ? "nobody answers there" : strerror(-err));
	return err;
}

/* The caller's side of one step: the handshake, then the greeting. *GOT counts its bytes. */
static int call_step(struct tls_link *l, size_t *got, short *events)
{
	char heard[GREETING];
	size_t n = 0;
	int done, err = 0;

	ERR_clear_error();
	errno = 0;
	done = SSL_do_handshake(l->ssl);
	if (done <= 0)
		return tls_link_failed(l, done, events);
	while (!err && *got < GREETING) {
		done = SSL_read_ex(l->ssl, heard, GREETING - *got, &n);
		if (done <= 0) {
			err = tls_link_failed(l, done, events);
		} else if (memcmp(heard, greeting + *got, n) != 0) {
			snprintf(l->why, sizeof l->why, "the other side speaks another protocol, or version of it");
			err = -EPROTO;
		} else {
			*got += n;
		}
	}
	return err;
}

int tls_connect(struct tls *t, const char *address, const char *peer, int stop, int64_t deadline, struct link **to, char why[TLS_WHY])
{
	struct tls_link *l;
	size_t got = 0;
	short events;
	int fd, err = reach(t, address, stop, deadline, &fd, why);

	if (err)
		return err;
	err = tls_link_new(t, fd, false, address, &l);
	if (err) {
		snprintf(why, TLS_WHY, "%s", strerror(-err));
		return err;
	}
	l->wanted = peer;
	do {
		err = call_step(l, &got, &events);
		if (err == -EAGAIN) {
			err = tls_wait(fd, events, stop, deadline);
			if (err)
				snprintf(l->why, sizeof l->why, "%s", err == -ETIMEDOUT ? "the other side does not finish the handshake" : strerror(-err));
			else
				err = -EAGAIN;
		}
	} while (err == -EAGAIN);
	l->wanted = NULL;
	if (!err) {
		*to = &l->link;
		return 0;
	}
	if (err == -ECONNRESET)
		snprintf(why, TLS_WHY, "the other side hung up during the handshake: it has too many callers, or stops");
	else
		memcpy(why, l->why, TLS_WHY);
	tls_link_free(l);
	return err;
}

/* ---- the called ---- */

struct tls_caller {
	struct tls *tls;
	int fd;                        /* -1 once it is the link's */
	char address[LINK_ADDRESS];
	struct tls_link *link;         /* NULL until the first byte has come: who says nothing costs a descriptor only */
	size_t greeted;                /* bytes of the greeting that went out */
};

int tls_answer(struct tls *t, int fd, const char *address, struct tls_caller **to)
{
	struct tls_caller *c = calloc(1, sizeof *c);
	int err = c ? prepare(fd) : -ENOMEM;

	if (err) {
		close(fd);
		free(c);
		return err;
	}
	c->tls = t;
	c->fd = fd;
	snprintf(c->address, sizeof c->address, "%s", address);
	*to = c;
	return 0;
}

static int await_first_byte(struct tls_caller *c, short *events, char why[TLS_WHY])
{
	char byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	int fd = c->fd, err;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		*events = POLLIN;
		return -EAGAIN;
	}
	if (n <= 0) {
		*why = 0;
		return -ECONNRESET;
	}
	c->fd = -1;
	err = tls_link_new(c->tls, fd, true, c->address, &c->link);
	if (err)
		snprintf(why, TLS_WHY, "%s", strerror(-err));
	return err;
}

int tls_answer_step(struct tls_caller *c, short *events, struct link **to, char why[TLS_WHY])
{
	struct tls_link *l;
	int done, err = c->link ? 0 : await_first_byte(c, events, why);

	if (err)
		return err;
	l = c->link;
	ERR_clear_error();
	errno = 0;
	done = SSL_do_handshake(l->ssl);
	while (done > 0 && c->greeted < GREETING) {
		size_t n = 0;

		done = SSL_write_ex(l->ssl, greeting + c->greeted, GREETING - c->greeted, &n);
		c->greeted += n;
	}
	if (done > 0) {
		*to = &l->link;
		free(c);
		return 0;
	}
	err = tls_link_failed(l, done, events);
	if (err != -EAGAIN)
		memcpy(why, l->why, TLS_WHY);
	return err;
}

bool tls_answer_begun(const struct tls_caller *c)
{
	return c->link != NULL;
}

void tls_answer_drop(struct tls_caller *c)
{
	if (c->link)
		tls_link_free(c->link);
	else if (c->fd >= 0)
		close(c->fd);
	free(c);
}
