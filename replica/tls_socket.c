/* SPDX-License-Identifier: Apache-2.0 */
/* The library's own BIO on a socket calls write(2), which raises SIGPIPE when the other side is gone. */
#include "tls_part.h"
#include <errno.h>
#include <sys/socket.h>

static bool again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static int socket_write(BIO *b, const char *from, size_t len, size_t *done)
{
	ssize_t n = send((int)(intptr_t)BIO_get_data(b), from, len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(b);
	if (n < 0 && again())
		BIO_set_retry_write(b);
	*done = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static int socket_read(BIO *b, char *to, size_t len, size_t *done)
{
	ssize_t n = recv((int)(intptr_t)BIO_get_data(b), to, len, 0);

	BIO_clear_retry_flags(b);
	if (n < 0 && again())
		BIO_set_retry_read(b);
	if (n == 0)
		BIO_set_flags(b, BIO_FLAGS_IN_EOF);
	*done = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static long socket_control(BIO *b, int what, long number, void *arg)
{
	(void)number, (void)arg;
	if (what == BIO_CTRL_EOF)
		return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
	return what == BIO_CTRL_FLUSH;
}

static int socket_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

BIO_METHOD *tls_socket_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "mqfs socket");

	if (m && BIO_meth_set_write_ex(m, socket_write) && BIO_meth_set_read_ex(m, socket_read) && BIO_meth_set_ctrl(m, socket_control) &&
	    BIO_meth_set_create(m, socket_create))
		return m;
	BIO_meth_free(m);
	return NULL;
}
