/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_part.h"
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int tls_wait(int fd, short events, int stop, int64_t deadline)
{
	struct pollfd on[2] = {{.fd = fd, .events = events}, {.fd = stop, .events = POLLIN}};

	for (;;) {
		int64_t left = deadline - link_in(0);
		struct timespec t = {left / 1000000000, left % 1000000000};
		int n;

		if (left <= 0)
			return -ETIMEDOUT;
		n = ppoll(on, 2, &t, NULL);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && on[1].revents)
			return -ECANCELED;
		if (n > 0)
			return 0;
	}
}

/* ---- what went wrong ---- */

static int note(struct tls_link *l, int err, const char *why)
{
	if (!*l->why)
		snprintf(l->why, sizeof l->why, "%s", why);
	return err;
}

bool tls_no_memory(void)
{
	return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
}

/* Alerts that are about this side's certificate. */
static const char *refused_for(int reason)
{
	switch (reason) {
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return "it wants one";
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
		return "it has expired";
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
		return "it is by another CA";
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
		return "it is not of the node that was expected";
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
		return "it is not for this";
	default:
		return NULL;
	}
}

/* The library's error queue has the reason. */
static int protocol_failed(struct tls_link *l)
{
	unsigned long e = ERR_peek_error();
	const char *refused = refused_for(ERR_GET_REASON(e)), *text = ERR_reason_error_string(e);
	char why[LINK_WHY];

	if (tls_no_memory())
		return note(l, -ENOMEM, strerror(ENOMEM));
	switch (ERR_GET_REASON(e)) {
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return note(l, -ECONNRESET, l->down ? "it was shut down" : "the other side broke off");
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return note(l, -EACCES, *l->refusal ? l->refusal : "the certificate could not be verified");
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return note(l, -EACCES, "the other side shows no certificate");
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_BAD_RECORD_TYPE:
		return note(l, -EPROTO, "the other side does not speak TLS");
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return note(l, -EPROTO, "the other side does not speak TLS 1.3");
	}
	if (refused) {
		snprintf(why, sizeof why, "the other side refused the certificate of this node: %s", refused);
		return note(l, -EACCES, why);
	}
	snprintf(why, sizeof why, "TLS failed: %s", text ? text : "unknown reason");
	return note(l, -EPROTO, why);
}

int tls_link_failed(struct tls_link *l, int result, short *events)
{
	int number = errno;

	*events = 0;
	switch (SSL_get_error(l->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*events = POLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*events = POLLOUT;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return note(l, -ECONNRESET, "the other side has ended the link");
	case SSL_ERROR_SYSCALL:
		if (number == ETIMEDOUT)
			return note(l, -ECONNRESET, "the other side does not answer");
		return note(l, -ECONNRESET, number ? strerror(number) : "the other side broke off");
	default:
		return protocol_failed(l);
	}
}

/* ---- the link ---- */

static struct tls_link *of(struct link *l)
{
	return (struct tls_link *)l;
}

/* Under the lock, before each call of the library. */
static int begin(struct tls_link *l)
{
	if (l->down)
		return note(l, -ESHUTDOWN, "it was shut down");
	ERR_clear_error();
	errno = 0;
	return 0;
}

/* Without the lock. */
static int await(struct tls_link *l, short events, int64_t deadline)
{
	int err = tls_wait(l->fd, events, -1, deadline);

	if (err == -ETIMEDOUT) {
		pthread_mutex_lock(&l->lock);
		note(l, err, "the other side is silent");
		pthread_mutex_unlock(&l->lock);
	}
	return err;
}

static ssize_t tls_read(struct link *link, void *to, size_t len, int64_t deadline)
{
	struct tls_link *l = of(link);

	for (;;) {
		size_t n = 0;
		short events = 0;
		int err;

		pthread_mutex_lock(&l->lock);
		err = begin(l);
		if (!err) {
			int done = SSL_read_ex(l->ssl, to, len, &n);

			if (done <= 0)
				err = tls_link_failed(l, done, &events);
		}
		pthread_mutex_unlock(&l->lock);
		if (!err)
			return (ssize_t)n;
		if (err == -EAGAIN)
			err = await(l, events, deadline);
		if (err)
			return l->down ? -ESHUTDOWN : err;
	}
}

static int tls_write(struct link *link, const void *from, size_t len, int64_t deadline)
{
	struct tls_link *l = of(link);
	const uint8_t *next = from;

	while (len) {
		size_t n = 0;
		short events = 0;
		int err;

		pthread_mutex_lock(&l->lock);
		err = begin(l);
		if (!err) {
			int done = SSL_write_ex(l->ssl, next, len, &n);

			if (done <= 0)
				err = tls_link_failed(l, done, &events);
		}
		pthread_mutex_unlock(&l->lock);
		next += n;
		len -= n;
		if (err == -EAGAIN)
			err = await(l, events, deadline);
		if (err)
			return l->down ? -ESHUTDOWN : err;
	}
	return 0;
}

static void tls_shutdown(struct link *link)
{
	struct tls_link *l = of(link);

	l->down = true;
	shutdown(l->fd, SHUT_RDWR);
}

static void tls_close(struct link *link)
{
	struct tls_link *l = of(link);

	/* So that the other side knows this end from a cut. */
	ERR_clear_error();
	if (!*l->why)
		SSL_shutdown(l->ssl);
	tls_link_free(l);
}

static void tls_why(struct link *link, char to[LINK_WHY])
{
	struct tls_link *l = of(link);

	pthread_mutex_lock(&l->lock);
	memcpy(to, l->why, LINK_WHY);
	pthread_mutex_unlock(&l->lock);
}

static const struct link_ops ops = {tls_read, tls_write, tls_shutdown, tls_close, tls_why};

int tls_link_new(struct tls *t, int fd, bool called, const char *address, struct tls_link **to)
{
	struct tls_link *l = calloc(1, sizeof *l);
	BIO *bio = BIO_new(t->socket);

	if (l)
		l->ssl = SSL_new(t->ctx);
	if (!l || !l->ssl || !bio) {
		if (l)
			SSL_free(l->ssl);
		free(l);
		BIO_free(bio);
		close(fd);
		return -ENOMEM;
	}
	BIO_set_data(bio, (void *)(intptr_t)fd);
	SSL_set_bio(l->ssl, bio, bio);
	SSL_set_app_data(l->ssl, l);
	if (called)
		SSL_set_accept_state(l->ssl);
	else
		SSL_set_connect_state(l->ssl);
	l->link.ops = &ops;
	snprintf(l->link.address, sizeof l->link.address, "%.*s", (int)strcspn(address, ","), address);
	l->fd = fd;
	l->called = called;
	pthread_mutex_init(&l->lock, NULL);
	*to = l;
	return 0;
}

void tls_link_free(struct tls_link *l)
{
	SSL_free(l->ssl);
	ERR_clear_error();
	close(l->fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
