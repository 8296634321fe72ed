/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"
#include "address.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS 16                       /* that are listened on, at most */
#define BURST 64                         /* calls taken before the handshakes get their turn */
#define REPORT_NS 1000000000LL           /* between two reports of callers that were turned away */
#define SCARCE_NS 100000000LL            /* until calls are taken again when descriptors have run out */

struct call {
	struct tls_caller *caller;
	int fd;
	short events;                    /* that it waits for */
	int64_t since;                   /* ns, CLOCK_MONOTONIC */
	struct in6_addr from;            /* IPv4 mapped */
	char address[LINK_ADDRESS];
};

struct refusals {                        /* not reported yet */
	uint64_t count;
	int64_t next;                    /* ns; no report before */
	char address[LINK_ADDRESS];      /* of the last */
	char why[TLS_WHY];
};

/* All but `stop` and `running` is the thread's own. */
struct listener {
	struct tls *tls;
	struct listen_handlers handlers;
	int64_t handshake;               /* ns that one may take */
	int stop;                        /* eventfd */
	pthread_t thread;
	bool running;                    /* the thread */
	int sockets;
	int fd[SOCKETS];
	int calls;
	struct call call[LISTEN_HANDSHAKES];
	int64_t scarce;                  /* ns; no calls are taken before */
	struct refusals refusals;
};

/* ---- turning away ---- */

static void refuse(struct listener *n, const struct call *c, const char *why)
{
	struct refusals *r = &n->refusals;

	r->count++;
	memcpy(r->address, c->address, sizeof r->address);
	snprintf(r->why, sizeof r->why, "%s", why);
}

static void report(struct listener *n, int64_t now)
{
	struct refusals *r = &n->refusals;

	if (!r->count || now < r->next)
		return;
	n->handlers.refused(n->handlers.ctx, r->address, r->why, r->count);
	r->count = 0;
	r->next = now + REPORT_NS;
}

static void forget(struct listener *n, int i)
{
	n->call[i] = n->call[--n->calls];
}

static void drop(struct listener *n, int i, const char *why)
{
	refuse(n, &n->call[i], why);
	tls_answer_drop(n->call[i].caller);
	forget(n, i);
}

/* ---- making room ---- */

static int same_address(const struct listener *n, int i)
{
	int count = 0;

	for (int j = 0; j < n->calls; j++)
		count += memcmp(&n->call[i].from, &n->call[j].from, sizeof n->call[i].from) == 0;
	return count;
}

/* The one to go: of the address with most handshakes, silent before begun, old before new. */
static int most_dispensable(const struct listener *n)
{
	int best = 0, most = 0;

	for (int i = 0; i < n->calls; i++) {
		const struct call *a = &n->call[i], *b = &n->call[best];
		int count = same_address(n, i);
		bool begun = tls_answer_begun(a->caller), best_begun = tls_answer_begun(b->caller);

		if (count > most || (count == most && (begun < best_begun || (begun == best_begun && a->since < b->since)))) {
			best = i;
			most = count;
		}
	}
	return best;
}

static void make_room(struct listener *n)
{
	drop(n, most_dispensable(n), "too many callers at once: one that had not finished its handshake had to go");
}

/* ---- taking calls ---- */

static void map_address(const struct sockaddr_storage *from, socklen_t len, struct call *c)
{
	char host[64] = "?", port[8] = "?";

	getnameinfo((const struct sockaddr *)from, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(c->address, sizeof c->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
	memset(&c->from, 0, sizeof c->from);
	if (from->ss_family == AF_INET6) {
		c->from = ((const struct sockaddr_in6 *)from)->sin6_addr;
	} else {
		c->from.s6_addr[10] = c->from.s6_addr[11] = 0xff;
		memcpy(c->from.s6_addr + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
	}
}

/* False when there is no more to take now. */
static bool take_one(struct listener *n, int from, int64_t now)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof address;
	struct call *c;
	int fd = accept4(from, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		if (n->calls) {
			make_room(n);
			return true;
		}
		n->scarce = now + SCARCE_NS;
		return false;
	}
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	if (n->calls == LISTEN_HANDSHAKES)
		make_room(n);
	c = &n->call[n->calls];
	*c = (struct call){.fd = fd, .events = POLLIN, .since = now};
	map_address(&address, len, c);
	if (tls_answer(n->tls, fd, c->address, &c->caller) == 0)
		n->calls++;
	return true;
}

static void take_calls(struct listener *n, int from, int64_t now)
{
	for (int i = 0; i < BURST; i++)
		if (!take_one(n, from, now))
			return;
}

/* ---- handshakes ---- */

/* Call I goes on as far as it can. False when it is no longer in the table. */
static bool step(struct listener *n, int i)
{
	struct call *c = &n->call[i];
	char why[TLS_WHY] = "";
	struct link *link;
	int err = tls_answer_step(c->caller, &c->events, &link, why);

	if (err == -EAGAIN)
		return true;
	if (!err) {
		forget(n, i);
		n->handlers.accepted(n->handlers.ctx, link);
	} else if (err == -ECONNRESET && !tls_answer_begun(c->caller)) {
		/* Somebody looked whether the port is open. */
		tls_answer_drop(c->caller);
		forget(n, i);
	} else {
		drop(n, i, why);
	}
	return false;
}

static void step_all(struct listener *n, const struct pollfd *ready, int count, int64_t now)
{
	/* From behind: the last one takes the place of one that goes. */
	for (int i = count - 1; i >= 0; i--) {
		if (ready[i].revents && !step(n, i))
			continue;
		if (now - n->call[i].since >= n->handshake)
			drop(n, i, "the handshake took too long");
	}
}

/* ---- the thread ---- */

static int64_t earliest(const struct listener *n, int64_t now)
{
	int64_t t = now + n->handshake;

	for (int i = 0; i < n->calls; i++)
		if (n->call[i].since + n->handshake < t)
			t = n->call[i].since + n->handshake;
	if (n->refusals.count && n->refusals.next < t)
		t = n->refusals.next;
	if (n->scarce > now && n->scarce < t)
		t = n->scarce;
	return t;
}

static void *listen_loop(void *arg)
{
	struct listener *n = arg;
	struct pollfd on[1 + SOCKETS + LISTEN_HANDSHAKES];
	struct pollfd *sockets = on + 1, *calls = on + 1 + n->sockets;
	int64_t now, wait;

	for (;;) {
		int count = n->calls;
		struct timespec t;

		now = link_in(0);
		report(n, now);
		wait = earliest(n, now) - now;
		t = (struct timespec){wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};
		on[0] = (struct pollfd){.fd = n->stop, .events = POLLIN};
		for (int i = 0; i < n->sockets; i++)
			sockets[i] = (struct pollfd){.fd = now < n->scarce ? -1 : n->fd[i], .events = POLLIN};
		for (int i = 0; i < count; i++)
			calls[i] = (struct pollfd){.fd = n->call[i].fd, .events = n->call[i].events};
		if (ppoll(on, (nfds_t)(1 + n->sockets + count), &t, NULL) < 0)
			continue;
		if (on[0].revents)
			return NULL;
		now = link_in(0);
		step_all(n, calls, count, now);
		for (int i = 0; i < n->sockets; i++)
			if (sockets[i].revents)
				take_calls(n, n->fd[i], now);
	}
}

/* ---- start and stop ---- */

static int open_one(struct listener *n, const struct addrinfo *to)
{
	int on = 1, fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    (to->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
	    bind(fd, to->ai_addr, to->ai_addrlen) < 0)
		err = -errno;
	if (err)
		close(fd);
	else
		n->fd[n->sockets++] = fd;
	return err;
}

/* A machine without IPv6 has no place to listen for it at; that is fine as long as there is any. */
static int open_all(struct listener *n, const struct address *a, char why[TLS_WHY])
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
	int before = n->sockets, err = getaddrinfo(*a->host ? a->host : NULL, a->port, &want, &found);

	if (err) {
		snprintf(why, TLS_WHY, "%.200s:%s: %s", a->host, a->port, err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		return err == EAI_MEMORY ? -ENOMEM : -EADDRNOTAVAIL;
	}
	err = 0;
	for (const struct addrinfo *i = found; i && n->sockets < SOCKETS; i = i->ai_next) {
		int failed = open_one(n, i);

		if (failed && failed != -EAFNOSUPPORT && (failed != -EADDRNOTAVAIL || *a->host))
			err = failed;
	}
	freeaddrinfo(found);
	if (!err && n->sockets == before)
		err = -EADDRNOTAVAIL;
	if (err)
		snprintf(why, TLS_WHY, "%.200s:%s: %s", a->host, a->port, strerror(-err));
	return err;
}

static int open_list(struct listener *n, const char *addresses, char why[TLS_WHY])
{
	struct address a;
	int err = 0;

	for (const char *text = addresses; !err && text;) {
		if (n->sockets == SOCKETS) {
			snprintf(why, TLS_WHY, "too many addresses to listen on");
			return -EINVAL;
		}
		err = address_parse(&a, text, &text, why);
		if (!err)
			err = open_all(n, &a, why);
	}
	return err;
}

static void listener_free(struct listener *n)
{
	for (int i = 0; i < n->sockets; i++)
		close(n->fd[i]);
	for (int i = 0; i < n->calls; i++)
		tls_answer_drop(n->call[i].caller);
	if (n->stop >= 0)
		close(n->stop);
	free(n);
}

int listen_claim(struct listener **to, const char *addresses, char why[TLS_WHY])
{
	struct listener *n = calloc(1, sizeof *n);
	int err;

	if (!n) {
		snprintf(why, TLS_WHY, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	n->stop = eventfd(0, EFD_CLOEXEC);
	err = n->stop < 0 ? -errno : open_list(n, addresses, why);
	if (n->stop < 0)
		snprintf(why, TLS_WHY, "%s", strerror(-err));
	if (err)
		listener_free(n);
	else
		*to = n;
	return err;
}

int listen_begin(struct listener *n, struct tls *t, const struct listen_handlers *h, char why[TLS_WHY])
{
	int err;

	n->tls = t;
	n->handlers = *h;
	n->handshake = h->handshake ? h->handshake : TLS_HANDSHAKE;
	for (int i = 0; i < n->sockets; i++) {
		if (listen(n->fd[i], SOMAXCONN) < 0) {
			err = -errno;
			snprintf(why, TLS_WHY, "listening: %s", strerror(-err));
			return err;
		}
	}
	err = -pthread_create(&n->thread, NULL, listen_loop, n);
	if (err)
		snprintf(why, TLS_WHY, "no thread to listen with: %s", strerror(-err));
	n->running = !err;
	return err;
}

int listen_start(struct listener **to, struct tls *t, const char *addresses, const struct listen_handlers *h, char why[TLS_WHY])
{
	struct listener *n;
	int err = listen_claim(&n, addresses, why);

	if (err)
		return err;
	err = listen_begin(n, t, h, why);
	if (err)
		listener_free(n);
	else
		*to = n;
	return err;
}

void listen_stop(struct listener *n)
{
	uint64_t one = 1;

	while (n->running && write(n->stop, &one, sizeof one) < 0 && errno == EINTR)
		;
	if (n->running)
		pthread_join(n->thread, NULL);
	listener_free(n);
}

uint16_t listen_port(const struct listener *n)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof a;

	getsockname(n->fd[0], (struct sockaddr *)&a, &len);
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port);
}
