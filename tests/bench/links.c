/* SPDX-License-Identifier: Apache-2.0 */
/*
 * links - what a link between two nodes carries, on this machine's loopback, against the least that TLS costs.
 *
 *	links frames MIB       RECORDS frames over a link, each checked at the other end
 *	links tls MIB          the same bytes by SSL_write() and SSL_read() on blocking sockets, in blocks of one TLS record
 *	links roundtrip N      a COMMIT there and an ACK back, N times
 *
 * Both ends are processes of their own. The clock ends when the other end has said that it has everything.
 */
#include "figures.h"
#include "ground.h"
#include "keys.h"
#include "listen.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOREVER 600000000000LL
#define FRAME (256u << 10)
#define BLOCK 16384

struct ends {
	struct link *called, *caller;            /* one of them in each process */
	pthread_mutex_t lock;
	pthread_cond_t answered;
};

static char directory[] = "/tmp/mqfs-links-XXXXXX";

static void must(int err, const char *what, const char *why)
{
	errno = 0;
	if (err)
		die(what, why);
}

static const char *file(const char *name)
{
	static char path[4][128];
	static int next;
	char *to = path[next++ % 4];

	snprintf(to, sizeof path[0], "%s/%s", directory, name);
	return to;
}

static struct tls *context(const char *crt, const char *key)
{
	char why[TLS_WHY];
	struct tls *t;

	must(tls_new(&t, file(crt), file(key), file("ca.crt"), NULL, why), "certificate", why);
	return t;
}

static void make_keys(void)
{
	char why[KEYS_WHY];

	if (!mkdtemp(directory))
		die("mkdtemp", directory);
	must(keys_init(directory, why), "keys", why);
	must(keys_node(directory, "a", 0, why), "keys", why);
	must(keys_node(directory, "b", 0, why), "keys", why);
}

static void remove_keys(void)
{
	static const char *const names[] = {"ca.crt", "ca.key", "a.crt", "a.key", "b.crt", "b.key"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(file(names[i]));
	rmdir(directory);
}

static void answered(void *ctx, struct link *l)
{
	struct ends *e = ctx;

	pthread_mutex_lock(&e->lock);
	e->called = l;
	pthread_cond_signal(&e->answered);
	pthread_mutex_unlock(&e->lock);
}

static void refused(void *ctx, const char *address, const char *why, uint64_t count)
{
	(void)ctx, (void)address, (void)count;
	errno = 0;
	die("refused", why);
}

static void send_frame(struct link *l, uint8_t type, void *body, size_t len)
{
	struct frame f = {.type = type};
	struct iovec iov = {body, len};

	must(link_send(l, &f, &iov, 1, link_in(FOREVER)), "send", frame_type_name(type));
}

static void receive_frame(struct link *l, uint8_t *body, struct frame *f)
{
	must(link_receive(l, f, body, FRAME_BODY, link_in(FOREVER)), "receive", "");
}

/* ---- over a link: the child calls ---- */

static void frames_child(struct link *l, uint64_t count)
{
	uint8_t *body = must_alloc(1, FRAME_BODY);
	struct frame f;

	while (count--)
		receive_frame(l, body, &f);
	send_frame(l, FRAME_ACK, body, 24);
}

static double frames(struct link *l, uint64_t count)
{
	uint8_t *body = must_alloc(1, FRAME_BODY);
	double begin = now();
	struct frame f;

	memset(body, 'x', FRAME_BODY);
	while (count--)
		send_frame(l, FRAME_RECORDS, body, FRAME);
	receive_frame(l, body, &f);
	return now() - begin;
}

static void roundtrip_child(struct link *l, uint64_t count)
{
	uint8_t *body = must_alloc(1, FRAME_BODY);
	struct frame f;

	while (count--) {
		receive_frame(l, body, &f);
		send_frame(l, FRAME_ACK, body, 24);
	}
}

static void roundtrip(struct link *l, uint64_t count)
{
	uint8_t *body = must_alloc(1, FRAME_BODY);
	struct latency times = {0};
	struct frame f;

	latency_room(&times, count);
	for (uint64_t i = 0; i < count; i++) {
		double begin = now();

		send_frame(l, FRAME_COMMIT, body, 16);
		receive_frame(l, body, &f);
		latency_add(&times, now() - begin);
	}
	figures_latency("", &times);
}

static struct link *make_link(pid_t *child)
{
	struct ends e = {.lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER};
	struct listen_handlers handlers = {answered, refused, &e, 0};
	char why[TLS_WHY], address[32];
	struct listener *n;
	int ready[2];

	if (pipe(ready) < 0)
		die("pipe", "");
	*child = fork();
	if (*child == 0) {
		if (read(ready[0], address, sizeof address) <= 0)
			_exit(1);
		must(tls_connect(context("b.crt", "b.key"), address, "a", -1, link_in(FOREVER), &e.caller, why), "connect", why);
		return e.caller;
	}
	must(listen_start(&n, context("a.crt", "a.key"), "127.0.0.1:0", &handlers, why), "listen", why);
	snprintf(address, sizeof address, "127.0.0.1:%u", listen_port(n));
	if (write(ready[1], address, sizeof address) != sizeof address)
		die("pipe", "");
	pthread_mutex_lock(&e.lock);
	while (!e.called)
		pthread_cond_wait(&e.answered, &e.lock);
	pthread_mutex_unlock(&e.lock);
	listen_stop(n);
	return e.called;
}

/* ---- TLS alone ---- */

static SSL *plain(bool called, const char *crt, const char *key, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	SSL *ssl;

	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_use_certificate_file(ctx, file(crt), SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx, file(key), SSL_FILETYPE_PEM);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	must((called ? SSL_accept(ssl) : SSL_connect(ssl)) != 1, "handshake", "TLS alone");
	return ssl;
}

static int loopback(pid_t *child)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;
	int waiting = socket(AF_INET, SOCK_STREAM, 0), fd;

	if (waiting < 0 || listen(waiting, 1) < 0 || getsockname(waiting, (struct sockaddr *)&address, &len) < 0)
		die("socket", "");
	*child = fork();
	if (*child == 0) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&address, len) < 0)
			die("connect", "");
	} else {
		fd = accept(waiting, NULL, NULL);
	}
	close(waiting);
	return fd;
}

static void tls_alone_child(SSL *ssl, uint64_t left)
{
	char *block = must_alloc(1, BLOCK);

	while (left) {
		int n = SSL_read(ssl, block, BLOCK);

		must(n <= 0, "read", "TLS alone");
		left -= (uint64_t)n;
	}
	must(SSL_write(ssl, "", 1) != 1, "write", "TLS alone");
}

static double tls_alone(SSL *ssl, uint64_t bytes)
{
	char *block = must_alloc(1, BLOCK);
	double begin = now();

	memset(block, 'x', BLOCK);
	for (uint64_t done = 0; done < bytes; done += BLOCK)
		must(SSL_write(ssl, block, BLOCK) != BLOCK, "write", "TLS alone");
	must(SSL_read(ssl, block, 1) != 1, "read", "TLS alone");
	return now() - begin;
}

/* ---- */

static void play(const char *what, uint64_t count)
{
	uint64_t bytes = count << 20;
	pid_t child;

	if (strcmp(what, "tls") == 0) {
		int fd = loopback(&child);
		SSL *ssl = plain(child != 0, child ? "a.crt" : "b.crt", child ? "a.key" : "b.key", fd);

		if (child)
			figures_number("mb_s", (double)bytes / tls_alone(ssl, bytes) / 1e6);
		else
			tls_alone_child(ssl, bytes);
	} else {
		struct link *l = make_link(&child);
		bool records = strcmp(what, "frames") == 0;

		if (child && records)
			figures_number("mb_s", (double)bytes / frames(l, bytes / FRAME) / 1e6);
		else if (child)
			roundtrip(l, count);
		else if (records)
			frames_child(l, bytes / FRAME);
		else
			roundtrip_child(l, count);
	}
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	if (argc != 3 || (strcmp(argv[1], "frames") != 0 && strcmp(argv[1], "tls") != 0 && strcmp(argv[1], "roundtrip") != 0)) {
		fprintf(stderr, "usage: links frames|tls MIB | roundtrip N\n");
		return 2;
	}
	make_keys();
	figures_begin(argv[1]);
	play(argv[1], strtoull(argv[2], NULL, 10));
	figures_end();
	remove_keys();
	return 0;
}
