/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes of a cluster get a link; nobody else gets one, and both sides say why. */
#include "called.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

TestSuite(tls, .init = start, .fini = end, .timeout = 120);

/* NAME of CLUSTER is refused, with these words on its side and these on the listener's. */
static void both_say(const char *cluster, const char *name, const char *peer, const char *caller, const char *listener)
{
	struct tls *t = tls_of(cluster, name);
	struct link *l;

	cr_expect_eq(call(t, peer, &l), -EACCES);
	cr_expect_neq(strstr(why, caller), NULL, "the caller says \"%s\"", why);
	refused_with(listener);
	tls_free(t);
}

static void pair(struct link **b, struct link **a)
{
	struct tls *t = tls_of("us", "b");

	cr_assert_eq(call(t, "a", b), 0, "%s", why);
	*a = called();
	tls_free(t);
}

/* ---- what works ---- */

Test(tls, two_nodes_of_a_cluster_know_each_other_by_name)
{
	struct link *a, *b;

	pair(&b, &a);
	cr_expect_str_eq(b->peer, "a");
	cr_expect_str_eq(a->peer, "b");
	cr_expect_str_eq(b->address, us.address);
	link_close(a);
	link_close(b);
}

Test(tls, the_address_is_the_one_that_was_called_of_a_list)
{
	struct tls *t = tls_of("us", "b");
	struct link *a, *b;
	char list[100];

	snprintf(list, sizeof list, "%s,127.0.0.1:1", us.address);
	cr_assert_eq(tls_connect(t, list, "a", -1, link_in(PATIENCE), &b, why), 0, "%s", why);
	a = called();
	cr_expect_str_eq(b->address, us.address);
	link_close(a);
	link_close(b);
	tls_free(t);
}

static uint8_t body[FRAME_BODY], got[FRAME_BODY];

Test(tls, frames_go_both_ways_at_once)
{
	struct link *a, *b;
	struct frame f = {.type = FRAME_COMMIT, .pos = 4711}, g = {.type = FRAME_ACK, .pos = 17}, h;
	struct iovec half[2] = {{body, 8}, {body + 100, 8}}, whole = {body, 24};

	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (uint8_t)(i * 7);
	pair(&b, &a);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(link_send(a, &f, half, 2, link_in(PATIENCE)), 0);
		cr_assert_eq(link_send(b, &g, &whole, 1, link_in(PATIENCE)), 0);
	}
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(link_receive(a, &h, got, sizeof got, link_in(PATIENCE)), 0);
		cr_assert(h.pos == 17 && memcmp(got, body, 24) == 0);
		cr_assert_eq(link_receive(b, &h, got, sizeof got, link_in(PATIENCE)), 0);
		cr_assert(h.pos == 4711 && memcmp(got, body, 8) == 0 && memcmp(got + 8, body + 100, 8) == 0);
	}
	link_close(a);
	link_close(b);
}

struct flood {
	struct link *link;
	int err, count;
};

static void *send_many(void *arg)
{
	struct flood *s = arg;
	struct iovec parts[3] = {{body, 7}, {body + 7, 40000}, {body + 40007, FRAME_BODY - 40007}};

	for (int i = 0; i < s->count && !s->err; i++) {
		struct frame f = {.type = FRAME_RECORDS, .pos = (uint64_t)i};

		s->err = link_send(s->link, &f, parts, 3, link_in(PATIENCE));
	}
	return NULL;
}

Test(tls, full_frames_arrive_whole_while_others_go_the_other_way)
{
	struct link *a, *b;
	struct flood to = {.count = 64}, back = {.count = 64};
	pthread_t one, other;
	struct frame f;
	static uint8_t second[FRAME_BODY];

	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (uint8_t)(i * 31 >> 3);
	pair(&b, &a);
	to.link = a;
	back.link = b;
	cr_assert_eq(pthread_create(&one, NULL, send_many, &to), 0);
	cr_assert_eq(pthread_create(&other, NULL, send_many, &back), 0);
	for (int i = 0; i < 64; i++) {
		cr_assert_eq(link_receive(b, &f, got, sizeof got, link_in(PATIENCE)), 0);
		cr_assert(f.pos == (uint64_t)i && f.length == FRAME_BODY && memcmp(got, body, FRAME_BODY) == 0);
		cr_assert_eq(link_receive(a, &f, second, sizeof second, link_in(PATIENCE)), 0);
		cr_assert(f.pos == (uint64_t)i && f.length == FRAME_BODY && memcmp(second, body, FRAME_BODY) == 0);
	}
	pthread_join(one, NULL);
	pthread_join(other, NULL);
	cr_assert_eq(to.err, 0);
	cr_assert_eq(back.err, 0);
	link_close(a);
	link_close(b);
}

/* ---- who is refused ---- */

Test(tls, another_cluster_s_node_is_refused)
{
	char text[KEYS_WHY];

	cr_assert_eq(keys_init(key_file("them", ""), text), 0);
	cr_assert_eq(keys_node(key_file("them", ""), "b", 0, text), 0);
	/* It looks first, and refuses us. */
	both_say("them", "b", "a", "another CA than this cluster's", "refused the certificate of this node: it is by another CA");
}

/* The stranger calls, and gets no byte of the greeting. */
static void stranger_is_refused(const char *cluster, const char *name, int version, const char *words)
{
	SSL *ssl = stranger(cluster, name, version);
	int fd = dial();
	char byte;

	SSL_set_fd(ssl, fd);
	cr_expect(SSL_connect(ssl) != 1 || SSL_read(ssl, &byte, 1) <= 0, "%s is let in", name ? name : "who has no certificate");
	refused_with(words);
	SSL_free(ssl);
	close(fd);
}

Test(tls, who_has_no_certificate_is_refused)
{
	stranger_is_refused(NULL, NULL, TLS1_3_VERSION, "the other side shows no certificate");
}

Test(tls, who_has_another_cluster_s_certificate_is_refused)
{
	char text[KEYS_WHY];

	cr_assert_eq(keys_init(key_file("them", ""), text), 0);
	cr_assert_eq(keys_node(key_file("them", ""), "b", 0, text), 0);
	stranger_is_refused("them", "b", TLS1_3_VERSION, "the certificate is by another CA than this cluster's");
}

Test(tls, who_has_an_expired_certificate_is_refused)
{
	char text[KEYS_WHY];

	cr_assert_eq(keys_node(key_file("us", ""), "old", time(NULL) - 60, text), 0);
	stranger_is_refused("us", "old", TLS1_3_VERSION, "the certificate has expired on ");
}

Test(tls, the_ca_s_own_certificate_is_no_node_s)
{
	stranger_is_refused("us", "ca", TLS1_3_VERSION, "the certificate is not for a node");
}

Test(tls, who_speaks_an_older_tls_is_refused)
{
	stranger_is_refused("us", "b", TLS1_2_VERSION, "the other side does not speak TLS 1.3");
}

Test(tls, who_is_not_the_node_that_was_called_is_refused)
{
	char text[KEYS_WHY];

	cr_assert_eq(keys_node(key_file("us", ""), "c", 0, text), 0);
	both_say("us", "b", "c", "the certificate is of the node a, not of c", "it is not of the node that was expected");
}

/* It takes our CA for good besides its own, so that it is we who refuse. */
Test(tls, a_caller_learns_why_it_is_refused)
{
	char text[KEYS_WHY], pem[8192];
	size_t len = 0;
	struct link *l;
	struct tls *t;
	FILE *file;

	cr_assert_eq(keys_init(key_file("them", ""), text), 0);
	cr_assert_eq(keys_node(key_file("them", ""), "b", 0, text), 0);
	for (int i = 0; i < 2; i++) {
		file = fopen(key_file(i ? "them" : "us", "ca.crt"), "r");
		len += fread(pem + len, 1, sizeof pem - len, file);
		fclose(file);
	}
	file = fopen(key_file("them", "ca.crt"), "w");
	fwrite(pem, 1, len, file);
	fclose(file);
	t = tls_of("them", "b");
	cr_expect_eq(call(t, "a", &l), -EACCES);
	cr_expect_str_eq(why, "the other side refused the certificate of this node: it is by another CA");
	refused_with("the certificate is by another CA than this cluster's");
	tls_free(t);
}

Test(tls, who_does_not_speak_tls_is_refused)
{
	const char *request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	int fd = dial();

	cr_assert_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	refused_with("the other side does not speak TLS");
	close(fd);
}

Test(tls, who_hangs_up_in_the_handshake_is_reported_and_who_only_looked_is_not)
{
	int looked = dial(), began;

	close(looked);
	began = dial();
	cr_assert_eq(write(began, "\x16\x03\x01", 3), 3);
	shutdown(began, SHUT_WR);
	refused_with("the other side broke off");
	cr_expect_eq(us.refusals, 1);
	close(began);
}

/* ---- what is called is not what was meant ---- */

/* Says TEXT to whoever calls, then hangs up. */
static void *answers(void *arg)
{
	int *fd = arg, caller = accept(fd[0], NULL, NULL);
	char request[512];

	if (read(caller, request, sizeof request) >= 0)
		fd[1] = (int)write(caller, "220 welcome\r\n", 13);
	shutdown(caller, SHUT_WR);
	while (read(caller, request, sizeof request) > 0)
		;
	close(caller);
	return NULL;
}

/* A listening socket of no mqfs, and its address. */
static int other_service(char address[64])
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in own = {.sin_family = AF_INET};
	socklen_t len = sizeof own;

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
	cr_assert_eq(listen(fd, 5), 0);
	getsockname(fd, (struct sockaddr *)&own, &len);
	snprintf(address, 64, "127.0.0.1:%u", ntohs(own.sin_port));
	return fd;
}

Test(tls, what_is_called_may_be_something_else)
{
	struct tls *t = tls_of("us", "b");
	struct link *l;
	char address[64];
	int fd[2] = {other_service(address), 0};
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, answers, fd), 0);
	cr_expect_eq(tls_connect(t, address, NULL, -1, link_in(PATIENCE), &l, why), -EPROTO);
	cr_expect_str_eq(why, "the other side does not speak TLS");
	pthread_join(thread, NULL);
	close(fd[0]);
	cr_expect_eq(tls_connect(t, address, NULL, -1, link_in(PATIENCE), &l, why), -ECONNREFUSED);
	cr_expect_eq(tls_connect(t, "[", NULL, -1, link_in(PATIENCE), &l, why), -EINVAL);
	tls_free(t);
}

Test(tls, who_never_answers_is_given_up_at_the_deadline)
{
	struct tls *t = tls_of("us", "b");
	struct link *l;
	char address[64];
	int fd = other_service(address);

	cr_expect_eq(tls_connect(t, address, NULL, -1, link_in(20000000), &l, why), -ETIMEDOUT);
	cr_expect(strstr(why, "does not finish the handshake") || strstr(why, "nobody answers"), "%s", why);
	tls_free(t);
	close(fd);
}

struct stopping {
	int fd, stop;
};

/* Takes the call, hears the first word, and has it stopped instead of answering. */
static void *stops_instead(void *arg)
{
	struct stopping *s = arg;
	int caller = accept(s->fd, NULL, NULL);
	char byte;

	if (read(caller, &byte, 1) == 1)
		eventfd_write(s->stop, 1);
	while (read(caller, &byte, 1) > 0)
		;
	close(caller);
	return NULL;
}

Test(tls, a_call_ends_when_it_is_told_to)
{
	struct tls *t = tls_of("us", "b");
	struct link *l;
	char address[64];
	struct stopping s = {other_service(address), eventfd(0, EFD_CLOEXEC)};
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, stops_instead, &s), 0);
	cr_expect_eq(tls_connect(t, address, NULL, s.stop, link_in(PATIENCE), &l, why), -ECANCELED);
	pthread_join(thread, NULL);
	tls_free(t);
	close(s.fd);
	close(s.stop);
}

/* With a's certificate it speaks TLS, but a later protocol inside. */
static void *greets_otherwise(void *arg)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int caller = accept(*(int *)arg, NULL, NULL);
	SSL *ssl;
	char byte;

	SSL_CTX_use_certificate_file(ctx, key_file("us", "a.crt"), SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx, key_file("us", "a.key"), SSL_FILETYPE_PEM);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, caller);
	if (SSL_accept(ssl) == 1 && SSL_write(ssl, "mqfs 2\r\n", 8) == 8)
		SSL_read(ssl, &byte, 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(caller);
	return NULL;
}

Test(tls, another_protocol_inside_is_refused)
{
	struct tls *t = tls_of("us", "b");
	struct link *l;
	char address[64];
	int fd = other_service(address);
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, greets_otherwise, &fd), 0);
	cr_expect_eq(tls_connect(t, address, "a", -1, link_in(PATIENCE), &l, why), -EPROTO);
	cr_expect_str_eq(why, "the other side speaks another protocol, or version of it");
	pthread_join(thread, NULL);
	tls_free(t);
	close(fd);
}

/* ---- links that end ---- */

struct reading {
	struct link *link;
	int err;
};

static void *read_one(void *arg)
{
	struct reading *r = arg;
	struct frame f;

	r->err = link_receive(r->link, &f, got, sizeof got, link_in(PATIENCE));
	return NULL;
}

Test(tls, shutdown_ends_who_waits)
{
	struct link *a, *b;
	struct reading r;
	pthread_t thread;
	char text[LINK_WHY];

	pair(&b, &a);
	r.link = b;
	cr_assert_eq(pthread_create(&thread, NULL, read_one, &r), 0);
	link_shutdown(b);
	pthread_join(thread, NULL);
	cr_expect_eq(r.err, -ESHUTDOWN);
	r.link = a;
	read_one(&r);
	cr_expect_eq(r.err, -ECONNRESET);
	link_why(a, text);
	cr_expect_str_eq(text, "the other side broke off");
	link_close(a);
	link_close(b);
}

Test(tls, after_a_shutdown_not_even_what_had_come_is_received)
{
	struct link *a, *b;
	struct frame f = {.type = FRAME_COMMIT};
	struct iovec iov = {body, 16};

	pair(&b, &a);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(link_send(a, &f, &iov, 1, link_in(PATIENCE)), 0);
	cr_assert_eq(link_receive(b, &f, got, sizeof got, link_in(PATIENCE)), 0);
	link_shutdown(b);
	cr_expect_eq(link_receive(b, &f, got, sizeof got, link_in(PATIENCE)), -ESHUTDOWN);
	f.flags = 0;
	cr_expect_eq(link_send(b, &f, &iov, 1, link_in(PATIENCE)), -ESHUTDOWN);
	link_close(a);
	link_close(b);
}

Test(tls, who_sends_to_a_node_that_is_gone_gets_an_error_and_no_signal)
{
	struct link *a, *b;
	struct frame f = {.type = FRAME_RECORDS};
	struct iovec iov = {body, sizeof body};
	int err;

	pair(&b, &a);
	link_close(b);
	do
		err = link_send(a, &f, &iov, 1, link_in(PATIENCE));
	while (!err);
	cr_expect_eq(err, -ECONNRESET);
	link_close(a);
}

Test(tls, an_orderly_end_is_told_from_a_cut)
{
	struct link *a, *b;
	struct reading r;
	char text[LINK_WHY];

	pair(&b, &a);
	link_close(b);
	r.link = a;
	read_one(&r);
	cr_expect_eq(r.err, -ECONNRESET);
	link_why(a, text);
	cr_expect_str_eq(text, "the other side has ended the link");
	link_close(a);
}

Test(tls, silence_ends_at_the_deadline)
{
	struct link *a, *b;
	struct frame f = {.type = FRAME_RECORDS};
	struct iovec iov = {body, sizeof body};
	char text[LINK_WHY];
	int err;

	pair(&b, &a);
	cr_expect_eq(link_receive(a, &f, got, sizeof got, link_in(10000000)), -ETIMEDOUT);
	link_why(a, text);
	cr_expect_str_eq(text, "the other side is silent");
	/* Nobody reads, so at some time no more fits in. */
	f.type = FRAME_RECORDS;
	f.flags = 0;
	do
		err = link_send(b, &f, &iov, 1, link_in(100000000));
	while (!err);
	cr_expect_eq(err, -ETIMEDOUT);
	link_close(a);
	link_close(b);
}

Test(tls, a_frame_cut_in_the_middle_never_passes)
{
	struct link *a, *b;
	struct frame f = {.type = FRAME_RECORDS}, g;
	struct iovec iov = {body, 5000};
	uint8_t header[FRAME_HEADER];

	for (int cut = 0; cut < 3; cut++) {
		pair(&b, &a);
		cr_assert_eq(frame_encode(&f, &iov, 1, header), 0);
		cr_assert_eq(b->ops->write(b, header, cut == 0 ? 10 : FRAME_HEADER, link_in(PATIENCE)), 0);
		if (cut == 2)
			cr_assert_eq(b->ops->write(b, body, 4999, link_in(PATIENCE)), 0);
		link_close(b);
		cr_expect_eq(link_receive(a, &g, got, sizeof got, link_in(PATIENCE)), -ECONNRESET);
		link_close(a);
	}
}

Test(tls, what_is_no_frame_or_too_long_for_the_moment_is_refused)
{
	struct link *a, *b;
	struct frame f = {.type = FRAME_RECORDS}, g;
	struct iovec iov = {body, 5000};
	uint8_t header[FRAME_HEADER];

	pair(&b, &a);
	cr_assert_eq(link_send(b, &f, &iov, 1, link_in(PATIENCE)), 0);
	cr_expect_eq(link_receive(a, &g, got, 4999, link_in(PATIENCE)), -EMSGSIZE);
	link_close(a);
	link_close(b);
	pair(&b, &a);
	cr_assert_eq(frame_encode(&f, &iov, 1, header), 0);
	cr_assert_eq(b->ops->write(b, header, sizeof header, link_in(PATIENCE)), 0);
	body[4000]++;
	cr_assert_eq(b->ops->write(b, body, 5000, link_in(PATIENCE)), 0);
	cr_expect_eq(link_receive(a, &g, got, sizeof got, link_in(PATIENCE)), -EBADMSG);
	link_close(a);
	link_close(b);
	pair(&b, &a);
	memset(body, 'x', sizeof body);
	cr_assert_eq(b->ops->write(b, body, 1000, link_in(PATIENCE)), 0);
	cr_expect_eq(link_receive(a, &g, got, sizeof got, link_in(PATIENCE)), -EBADMSG);
	link_close(a);
	link_close(b);
}
