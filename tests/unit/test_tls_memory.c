/* SPDX-License-Identifier: Apache-2.0 */
/* The library for TLS is refused memory, once at a time, anywhere between a node's start and a frame that has arrived. */
#include "called.h"
#include <dirent.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TRIES 150

static _Atomic long until_refused;       /* allocations; 0: none is refused */
static _Atomic long allocations;

static bool is_refused(void)
{
	long left = until_refused;

	allocations++;
	while (left > 0 && !atomic_compare_exchange_weak(&until_refused, &left, left - 1))
		;
	return left == 1;
}

static void *allocate(size_t len, const char *file, int line)
{
	(void)file, (void)line;
	return is_refused() ? NULL : malloc(len);
}

static void *reallocate(void *p, size_t len, const char *file, int line)
{
	(void)file, (void)line;
	return is_refused() ? NULL : realloc(p, len);
}

static void release(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

/* Before anything else uses the library, criterion included. */
__attribute__((constructor)) static void take_memory_over(void)
{
	if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
		abort();
}

TestSuite(tls_memory, .init = cluster_keys_init, .fini = cluster_keys_end, .timeout = 120);

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static int node(struct tls **t, const char *name)
{
	char crt[16], key[16];

	snprintf(crt, sizeof crt, "%s.crt", name);
	snprintf(key, sizeof key, "%s.key", name);
	return tls_new(t, key_file("us", crt), key_file("us", key), key_file("us", "ca.crt"), name, why);
}

/* One frame from B to A. */
static int one_frame(struct link *b, struct link *a)
{
	static uint8_t body[FRAME_BODY];
	struct frame f = {.type = FRAME_RECORDS};
	struct iovec iov = {body, 100000};
	int err = link_send(b, &f, &iov, 1, link_in(PATIENCE));

	if (err) {
		link_why(b, why);
		return err;
	}
	err = link_receive(a, &f, body, sizeof body, link_in(PATIENCE));
	if (err)
		link_why(a, why);
	return err;
}

static int converse(struct tls *a, struct tls *b)
{
	const struct listen_handlers handlers = {accepted, refused, NULL, 0};
	struct listener *n;
	struct link *link;
	char address[32];
	int err = listen_start(&n, a, "127.0.0.1:0", &handlers, why);

	if (err)
		return err;
	snprintf(address, sizeof address, "127.0.0.1:%u", listen_port(n));
	err = tls_connect(b, address, "a", -1, link_in(PATIENCE), &link, why);
	if (!err) {
		struct link *other = called();

		err = one_frame(link, other);
		link_close(link);
		link_close(other);
	}
	listen_stop(n);
	if (us.link)
		link_close(us.link);
	us.link = NULL;
	return err;
}

static int whole_life(void)
{
	struct tls *a, *b;
	int err;

	*why = 0;
	err = node(&a, "a");
	if (err)
		return err;
	err = node(&b, "b");
	if (!err) {
		err = converse(a, b);
		tls_free(b);
	}
	tls_free(a);
	return err;
}

Test(tls_memory, that_cannot_be_had_is_an_error_with_words_and_leaves_nothing_open)
{
	long count;
	int files;

	cr_assert_eq(whole_life(), 0, "%s", why);        /* what the library makes once for all is made */
	files = open_files();
	allocations = 0;
	cr_assert_eq(whole_life(), 0, "%s", why);
	count = allocations;
	for (int i = 0; i < TRIES; i++) {
		int err;

		until_refused = 1 + count * i / TRIES;
		err = whole_life();
		cr_assert(err == 0 || (err < 0 && *why), "allocation %ld of %ld: %d without a word", 1 + count * i / TRIES, count, err);
		until_refused = 0;
		cr_assert_eq(open_files(), files, "allocation %ld of %ld leaves a descriptor open", 1 + count * i / TRIES, count);
	}
	cr_assert_eq(whole_life(), 0, "%s", why);
}
