/* SPDX-License-Identifier: Apache-2.0 */
/* The context: this node's certificate and key, the cluster's CA, and what is spoken. */
#include "tls_part.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define READ_AHEAD (64 << 10)            /* bytes that one recv(2) may bring */

/* Whatever it is that the library refused, it may have been for want of memory. */
static int fail(char why[TLS_WHY], int err, const char *path, const char *what)
{
	if (tls_no_memory()) {
		err = -ENOMEM;
		what = strerror(ENOMEM);
	}
	snprintf(why, TLS_WHY, "%.200s: %.300s", path, what);
	return err;
}

static int no_password(char *to, int room, int writing, void *ctx)
{
	(void)to, (void)room, (void)writing, (void)ctx;
	return -1;
}

/* The library would take 256 bits first, which cost a fifth more. */
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

/* 1.3 alone: it has no renegotiation, no compression and no weak cipher to turn off. No tickets: every link shows its certificates. */
static SSL_CTX *make_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (!ctx)
		return NULL;
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) || !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ctx, CIPHERS) || !SSL_CTX_set_num_tickets(ctx, 0)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, tls_verify);
	SSL_CTX_set_verify_depth(ctx, 0);          /* the CA signs itself, nobody in between */
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	return ctx;
}

/* A file that is there and can be read, or why not. */
static int look(const char *path, struct stat *st, char why[TLS_WHY])
{
	FILE *file = fopen(path, "re");
	int err = file ? 0 : -errno;

	if (file && fstat(fileno(file), st) < 0)
		err = -errno;
	if (file)
		fclose(file);
	return err ? fail(why, err, path, strerror(-err)) : 0;
}

static int bad_key(const char *key, char why[TLS_WHY])
{
	int reason = ERR_GET_REASON(ERR_peek_last_error());

	if (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH)
		return fail(why, -EACCES, key, "is not the key of the certificate");
	return fail(why, -EINVAL, key, "is no private key, or one with a password");
}

static int load(struct tls *t, const char *cert, const char *key, const char *ca, char why[TLS_WHY])
{
	struct stat st;
	int err = look(ca, &st, why);

	if (!err)
		err = look(cert, &st, why);
	if (!err)
		err = look(key, &st, why);
	if (err)
		return err;
	if (SSL_CTX_load_verify_file(t->ctx, ca) != 1)
		return fail(why, -EINVAL, ca, "is no certificate");
	if (SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1)
		return fail(why, -EINVAL, cert, "is no certificate");
	if (SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(t->ctx) != 1)
		return bad_key(key, why);
	if (st.st_mode & S_IRWXO)
		return fail(why, -EACCES, key, "everyone may read this private key: chmod 600 it");
	return 0;
}

/* As the other side will see it: better said at the start here than there. */
static int check_own(struct tls *t, const char *cert, const char *name, char why[TLS_WHY])
{
	X509 *crt = SSL_CTX_get0_certificate(t->ctx);
	X509_STORE_CTX *store = X509_STORE_CTX_new();
	char what[LINK_WHY];
	int err = 0;

	if (!store || X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(t->ctx), crt, NULL) != 1) {
		err = -ENOMEM;
		fail(why, err, cert, strerror(ENOMEM));
	} else if (X509_STORE_CTX_set_default(store, "ssl_client"), X509_verify_cert(store) != 1) {
		tls_explain(X509_STORE_CTX_get_error(store), crt, what);
		err = fail(why, -EACCES, cert, what);
	} else if (X509_check_purpose(crt, X509_PURPOSE_SSL_SERVER, 0) != 1) {
		tls_explain(X509_V_ERR_INVALID_PURPOSE, crt, what);
		err = fail(why, -EACCES, cert, what);
	} else if (!tls_certified_name(crt, t->name, what)) {
		err = fail(why, -EACCES, cert, what);
	} else if (name && strcmp(name, t->name) != 0) {
		snprintf(what, sizeof what, "the certificate is of the node %s, not of %.64s", t->name, name);
		err = fail(why, -EACCES, cert, what);
	}
	X509_STORE_CTX_free(store);
	return err;
}

int tls_new(struct tls **to, const char *cert, const char *key, const char *ca, const char *name, char why[TLS_WHY])
{
	struct tls *t = calloc(1, sizeof *t);
	int err = -ENOMEM;

	ERR_clear_error();
	if (t) {
		t->ctx = make_context();
		t->socket = tls_socket_method();
	}
	if (!t || !t->ctx || !t->socket || resolver_new(&t->resolver))
		snprintf(why, TLS_WHY, "the library for TLS does not start: %s", strerror(ENOMEM));
	else
		err = load(t, cert, key, ca, why);
	if (!err)
		err = check_own(t, cert, name, why);
	ERR_clear_error();
	if (err)
		tls_free(t);
	else
		*to = t;
	return err;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	BIO_meth_free(t->socket);
	resolver_free(t->resolver);
	free(t);
}

const char *tls_name(const struct tls *t)
{
	return t->name;
}
