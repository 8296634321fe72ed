/* SPDX-License-Identifier: Apache-2.0 */
/*
 * called.h - a node "a" of the cluster "us" that answers calls, for tests of who gets a link and who does not.
 *
 * Calling  start() ... end() around each test; call() from b or whoever, called() for the link that comes of it, refused_with() to wait for
 *          a refusal.
 */
#ifndef MQFS_TESTS_CALLED_H
#define MQFS_TESTS_CALLED_H

#include "cluster_keys.h"
#include "listen.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 60000000000LL           /* ns that a test waits for what must come */

/* What the listener told, for the test to wait for. */
static struct {
	struct tls *tls;
	struct listener *listener;
	char address[64];
	pthread_mutex_t lock;
	pthread_cond_t told;
	struct link *link;               /* the last accepted one that nobody took */
	uint64_t refusals;
	char why[TLS_WHY];
} us = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};

static char why[TLS_WHY];

static inline void accepted(void *ctx, struct link *l)
{
	(void)ctx;
	pthread_mutex_lock(&us.lock);
	if (us.link)
		link_close(us.link);
	us.link = l;
	pthread_cond_broadcast(&us.told);
	pthread_mutex_unlock(&us.lock);
}

static inline void refused(void *ctx, const char *address, const char *reason, uint64_t count)
{
	(void)ctx, (void)address;
	pthread_mutex_lock(&us.lock);
	us.refusals += count;
	snprintf(us.why, sizeof us.why, "%s", reason);
	pthread_cond_broadcast(&us.told);
	pthread_mutex_unlock(&us.lock);
}

static inline void start(void)
{
	const struct listen_handlers handlers = {accepted, refused, NULL, 0};

	cluster_keys_init();
	us.tls = tls_of("us", "a");
	cr_assert_eq(listen_start(&us.listener, us.tls, "127.0.0.1:0", &handlers, why), 0, "%s", why);
	snprintf(us.address, sizeof us.address, "127.0.0.1:%u", listen_port(us.listener));
}

static inline void end(void)
{
	listen_stop(us.listener);
	if (us.link)
		link_close(us.link);
	tls_free(us.tls);
	cluster_keys_end();
}

static inline void await(void)
{
	int64_t until = link_in(PATIENCE);
	struct timespec t = {until / 1000000000, until % 1000000000};

	cr_assert_eq(pthread_cond_clockwait(&us.told, &us.lock, CLOCK_MONOTONIC, &t), 0, "nothing is told");
}

/* The link that the listener accepted. */
static inline struct link *called(void)
{
	struct link *l;

	pthread_mutex_lock(&us.lock);
	while (!us.link)
		await();
	l = us.link;
	us.link = NULL;
	pthread_mutex_unlock(&us.lock);
	return l;
}

static inline void refused_with(const char *words)
{
	pthread_mutex_lock(&us.lock);
	while (!strstr(us.why, words))
		await();
	pthread_mutex_unlock(&us.lock);
}

static inline int call(struct tls *t, const char *peer, struct link **l)
{
	return tls_connect(t, us.address, peer, -1, link_in(PATIENCE), l, why);
}

/* ---- callers that are no mqfs ---- */

/* With the certificate of CLUSTER's NAME, or none; it checks nothing itself. */
static inline SSL *stranger(const char *cluster, const char *name, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char crt[128], key[128];
	SSL *ssl;

	SSL_CTX_set_max_proto_version(ctx, version);
	if (name) {
		snprintf(crt, sizeof crt, "%s.crt", name);
		snprintf(key, sizeof key, "%s.key", name);
		cr_assert_eq(SSL_CTX_use_certificate_file(ctx, key_file(cluster, crt), SSL_FILETYPE_PEM), 1);
		cr_assert_eq(SSL_CTX_use_PrivateKey_file(ctx, key_file(cluster, key), SSL_FILETYPE_PEM), 1);
	}
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	return ssl;
}

/* A connected socket; FROM is a loopback address to come from. */
static inline int dial_from(const char *from)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(listen_port(us.listener))}, own = {.sin_family = AF_INET};

	inet_pton(AF_INET, from, &own.sin_addr);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static inline int dial(void)
{
	return dial_from("127.0.0.1");
}

#endif
