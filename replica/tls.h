/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h - links over TCP and TLS 1.3, with certificates on both sides.
 *
 * A node's certificate is signed by the cluster's own CA and by no other, and names what it is in a subjectAltName of type URI:
 * "mqfs:node:NAME". The kind of holder is in it ("node") so that a certificate of the same CA given to something else, a client
 * one day, is never taken for a node; it is an URI, not a host name, because a node is not where it is: addresses change, and
 * no host's certificate becomes a node's by accident. Both extended key usages are needed, since a node calls and is called.
 *
 * The side that is called sends TLS_GREETING inside TLS once it has accepted the caller's certificate, so that tls_connect() knows
 * by then, and says in WHY, whether and why it was refused.
 *
 * Calling  tls_new(); tls_connect(), or listen.h on the other side; links closed; tls_free().
 * Errors   negative errno with one line in WHY, which does not repeat the address. -EACCES: this side or the other refused a certificate.
 *          -EPROTO: no TLS 1.3 is spoken there. -ECANCELED: told to stop.
 * Threads  any, after tls_new(). SIGPIPE is never raised.
 * Owns     copies of certificate and key; the files may change behind it.
 */
#ifndef MQFS_REPLICA_TLS_H
#define MQFS_REPLICA_TLS_H

#include "link.h"

#define TLS_GREETING "mqfs 1\r\n"
#define TLS_HANDSHAKE 10000000000LL       /* ns that connecting and the handshake may take */
#define TLS_WHY LINK_WHY

struct tls;

/* Certificate, key and CA from PEM files. NAME is what the certificate must say, or NULL for whatever it says.
 * -EACCES: it is not by this CA, of another name, expired, or the key is another's or can be read by everyone. */
int tls_new(struct tls **t, const char *cert, const char *key, const char *ca, const char *name, char why[TLS_WHY]);
void tls_free(struct tls *t);
const char *tls_name(const struct tls *t);
/* Calls the first of ADDRESS (address.h). PEER is the name that must answer, or NULL for any node of the cluster. It gives up when the
 * descriptor STOP becomes readable (-1: none); but to look a name up takes as long as the system's resolver takes. */
int tls_connect(struct tls *t, const char *address, const char *peer, int stop, int64_t deadline, struct link **l, char why[TLS_WHY]);

/* ---- for listen.h: the called side's handshake in steps that never wait ---- */

struct tls_caller;

/* Takes FD, a connected non-blocking socket, over; on failure too. */
int tls_answer(struct tls *t, int fd, const char *address, struct tls_caller **c);
/* 0: *L is the link, C is gone. -EAGAIN: again when poll(2) reports *EVENTS on the socket. Anything else: refused, WHY says
 * why; C is still there. */
int tls_answer_step(struct tls_caller *c, short *events, struct link **l, char why[TLS_WHY]);
/* The caller has sent something. */
bool tls_answer_begun(const struct tls_caller *c);
void tls_answer_drop(struct tls_caller *c);

#endif
