/* SPDX-License-Identifier: Apache-2.0 */
/* Callers who never finish their handshake cost little, and keep nobody out. */
#include "called.h"
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define FLOOD 10000
#define GREETING (int)(sizeof TLS_GREETING - 1)

TestSuite(listen, .init = start, .fini = end, .timeout = 120);

static void allow_files(rlim_t count)
{
	struct rlimit files = {count, count};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0) {
		getrlimit(RLIMIT_NOFILE, &files);
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static void refused_at_least(uint64_t count)
{
	pthread_mutex_lock(&us.lock);
	while (us.refusals < count)
		await();
	pthread_mutex_unlock(&us.lock);
}

/* COUNT calls from FROM, each of which has said the LEN bytes TEXT and stays; the listener has seen them all. */
static void flood(int *fd, int count, const char *from, const char *text, size_t len)
{
	pthread_mutex_lock(&us.lock);
	uint64_t before = us.refusals;
	pthread_mutex_unlock(&us.lock);

	for (int i = 0; i < count; i++) {
		fd[i] = dial_from(from);
		cr_assert_eq(write(fd[i], text, len), (ssize_t)len);
	}
	refused_at_least(before + (uint64_t)count - LISTEN_HANDSHAKES);
}

static void hang_up(const int *fd, int count)
{
	for (int i = 0; i < count; i++)
		close(fd[i]);
}

/* b of our cluster gets its link. */
static void a_good_node_gets_in(void)
{
	struct tls *t = tls_of("us", "b");
	struct link *b = NULL, *a;

	cr_assert_eq(call(t, "a", &b), 0, "%s", why);
	a = called();
	link_close(a);
	link_close(b);
	tls_free(t);
}

static int caller[FLOOD];

Test(listen, ten_thousand_silent_callers_cost_little_and_keep_nobody_out)
{
	int before;
	size_t memory;

	allow_files(FLOOD + 1000);
	before = open_files();
	memory = mallinfo2().uordblks;
	flood(caller, FLOOD, "127.0.0.1", "", 0);
	cr_expect_leq(open_files() - before - FLOOD, (int)LISTEN_HANDSHAKES);
	cr_expect_leq(mallinfo2().uordblks, memory + LISTEN_HANDSHAKES * 4096);
	a_good_node_gets_in();
	hang_up(caller, FLOOD);
}

Test(listen, so_do_those_who_begin_and_stall)
{
	int before, count = 2000;
	size_t memory;

	allow_files(FLOOD + 1000);
	before = open_files();
	memory = mallinfo2().uordblks;
	flood(caller, count, "127.0.0.1", "\x16\x03\x01\x02", 4);
	cr_expect_leq(open_files() - before - count, (int)LISTEN_HANDSHAKES);
	cr_expect_leq(mallinfo2().uordblks, memory + LISTEN_HANDSHAKES * (256 << 10));
	a_good_node_gets_in();
	hang_up(caller, count);
}

/* The stranger, who has b's certificate, goes on to the end of its handshake. */
static void finishes(SSL *ssl)
{
	char greeting[GREETING];

	cr_assert_eq(SSL_connect(ssl), 1);
	cr_assert_eq(SSL_read(ssl, greeting, GREETING), GREETING);
	link_close(called());
}

Test(listen, a_slow_node_is_not_driven_out_by_many_of_another_address)
{
	SSL *ssl = stranger("us", "b", TLS1_3_VERSION);
	int fd = dial_from("127.0.0.3");

	allow_files(FLOOD);
	flood(caller, 1000, "127.0.0.2", "", 0);
	SSL_set_fd(ssl, fd);
	finishes(ssl);
	SSL_free(ssl);
	close(fd);
	hang_up(caller, 1000);
}

Test(listen, who_is_in_its_handshake_is_not_driven_out_by_silent_ones_of_its_address)
{
	SSL *ssl = stranger("us", "b", TLS1_3_VERSION);
	int fd = dial();
	struct pollfd answer = {.fd = fd, .events = POLLIN};
	BIO *first = BIO_new(BIO_s_mem());
	char *text;
	long len;

	/* Its first word goes out, and is answered; more it does not say before the others are there. */
	allow_files(FLOOD);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), first);
	cr_assert_neq(SSL_connect(ssl), 1);
	len = BIO_get_mem_data(first, &text);
	cr_assert_eq(write(fd, text, (size_t)len), len);
	cr_assert_eq(poll(&answer, 1, -1), 1);
	flood(caller, 1000, "127.0.0.1", "", 0);
	SSL_set_fd(ssl, fd);
	finishes(ssl);
	SSL_free(ssl);
	close(fd);
	hang_up(caller, 1000);
}

/* In a process of its own, so that the descriptors are the listener's alone: silent callers, then b. */
static pid_t fork_flood(int count)
{
	pid_t pid = fork();
	struct tls *t;
	struct link *b;

	if (pid)
		return pid;
	for (int i = 0; i < count; i++)
		dial();
	t = tls_of("us", "b");
	_exit(call(t, "a", &b) == 0 ? 0 : 1);
}

Test(listen, when_descriptors_run_out_the_silent_make_room)
{
	struct rlimit files, before;
	pid_t pid = fork_flood(500);
	int status;

	getrlimit(RLIMIT_NOFILE, &before);
	files = before;
	files.rlim_cur = (rlim_t)open_files() + 8;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "b does not get in");
	setrlimit(RLIMIT_NOFILE, &before);
	link_close(called());
}

Test(listen, who_dawdles_is_cut_off)
{
	const struct listen_handlers hasty = {accepted, refused, NULL, 100000000};
	int silent, begun;
	char byte;

	listen_stop(us.listener);
	cr_assert_eq(listen_start(&us.listener, us.tls, us.address, &hasty, why), 0, "%s", why);
	silent = dial();
	begun = dial();
	cr_assert_eq(write(begun, "\x16\x03\x01\x02", 4), 4);
	refused_at_least(2);
	refused_with("the handshake took too long");
	cr_expect_leq(read(silent, &byte, 1), 0);
	cr_expect_leq(read(begun, &byte, 1), 0);
	close(silent);
	close(begun);
}

/* ---- where it listens ---- */

static int listens(const char *addresses)
{
	const struct listen_handlers handlers = {accepted, refused, NULL, 0};
	struct listener *n;
	int err = listen_start(&n, us.tls, addresses, &handlers, why);

	if (!err)
		listen_stop(n);
	return err;
}

Test(listen, where_it_cannot_listen_is_said)
{
	char taken[96];

	snprintf(taken, sizeof taken, "127.0.0.1:0,%s", us.address);
	cr_expect_eq(listens(taken), -EADDRINUSE);
	cr_expect_neq(strstr(why, us.address), NULL, "%s", why);
	cr_expect_eq(listens("192.0.2.1:0"), -EADDRNOTAVAIL);
	cr_expect_neq(strstr(why, "192.0.2.1:0: "), NULL, "%s", why);
	cr_expect_eq(listens("127.0.0.1:x"), -EINVAL);
	cr_expect_eq(listens("127.0.0.1:0,"), -EINVAL);
}

Test(listen, all_of_this_machine_s_addresses_do)
{
	cr_expect_eq(listens(":0"), 0, "%s", why);
	cr_expect_eq(listens("127.0.0.1:0,127.0.0.2:0"), 0, "%s", why);
}

Test(listen, a_stop_drops_who_is_in_its_handshake)
{
	const struct listen_handlers handlers = {accepted, refused, NULL, 0};
	int fd = dial();
	char byte;

	/* This one's handshake is over before the next is taken: by then the other is seen as well. */
	a_good_node_gets_in();
	listen_stop(us.listener);
	cr_expect_eq(read(fd, &byte, 1), 0);
	close(fd);
	cr_assert_eq(listen_start(&us.listener, us.tls, us.address, &handlers, why), 0, "the same address again: %s", why);
}
