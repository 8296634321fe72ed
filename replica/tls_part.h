/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_part.h - what the files of tls.h share: the context, and one side of a connection.
 *
 * A connection's SSL object is not to be used by two threads at once, and one sends while another receives: so each call of the library
 * is made under the connection's lock, on a socket that never blocks, and whoever has to wait does so by poll(2) without the lock.
 */
#ifndef MQFS_REPLICA_TLS_PART_H
#define MQFS_REPLICA_TLS_PART_H

#include "resolve.h"
#include "tls.h"
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

struct tls {
	SSL_CTX *ctx;
	BIO_METHOD *socket;
	struct resolver *resolver;
	char name[FRAME_NAME];
};

struct tls_link {
	struct link link;              /* first */
	SSL *ssl;
	int fd;
	bool called;                   /* by the other side */
	const char *wanted;            /* name that the other side must have, or NULL; during the handshake */
	char refusal[LINK_WHY];        /* what its certificate lacks, "" for nothing; during the handshake */
	_Atomic bool down;             /* link_shutdown() */
	pthread_mutex_t lock;          /* `ssl`, `why` */
	char why[LINK_WHY];            /* the first failure */
};

/* ---- tls_link.c ---- */

/* FD is non-blocking and connected. On failure it is closed. */
int tls_link_new(struct tls *t, int fd, bool called, const char *address, struct tls_link **l);
void tls_link_free(struct tls_link *l);
/* A call of the library, under the lock, returned RESULT <= 0. *EVENTS is what to wait for with -EAGAIN, else 0 with l->why. */
int tls_link_failed(struct tls_link *l, int result, short *events);
/* Waits for EVENTS on FD, or for STOP to become readable. 0, -ETIMEDOUT, -ECANCELED. */
int tls_wait(int fd, short events, int stop, int64_t deadline);

/* What the library has just failed at, it failed at for want of memory: the oldest of its errors says so. */
bool tls_no_memory(void);

/* ---- tls_verify.c ---- */

/* Callback of SSL_CTX_set_verify(): the other side's certificate is of a node, and of the one that was called. */
int tls_verify(int good, X509_STORE_CTX *store);
/* The name in CRT. False, with what it lacks in WHY. */
bool tls_certified_name(X509 *crt, char name[FRAME_NAME], char why[LINK_WHY]);
/* What X509_V_ERR_... CODE says of CRT. */
void tls_explain(int code, X509 *crt, char why[LINK_WHY]);

/* ---- tls_socket.c ---- */

/* A BIO on a socket that never raises SIGPIPE. */
BIO_METHOD *tls_socket_method(void);

#endif
