/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for a name can be called away, and what was found meanwhile is not lost. */
#include "link.h"
#include "resolve.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PATIENCE 20000000000LL
#define SOON 50000000LL

/* ---- a system whose names that begin with "slow" are found when the gate is open ---- */

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *want, struct addrinfo **to);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *want, struct addrinfo **to);

static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool open;
	unsigned began, ended;         /* lookups of slow names */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *want, struct addrinfo **to)
{
	if (want->ai_flags & AI_NUMERICHOST)
		return __real_getaddrinfo(host, port, want, to);
	if (strncmp(host, "slow", 4) != 0)
		return EAI_NONAME;
	pthread_mutex_lock(&gate.lock);
	gate.began++;
	pthread_cond_broadcast(&gate.moved);
	while (!gate.open)
		pthread_cond_wait(&gate.moved, &gate.lock);
	gate.ended++;
	pthread_cond_broadcast(&gate.moved);
	pthread_mutex_unlock(&gate.lock);
	return __real_getaddrinfo("127.0.0.7", port, want, to);
}

static void open_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.moved);
	while (gate.ended < gate.began)
		pthread_cond_wait(&gate.moved, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static struct resolver *resolver;
static struct resolved found;
static char why[RESOLVE_WHY];
static int stop;

static void begin(void)
{
	cr_assert_eq(resolver_new(&resolver), 0);
	stop = eventfd(0, EFD_CLOEXEC);
}

static void end(void)
{
	resolver_free(resolver);
	open_gate();
	close(stop);
}

TestSuite(resolve, .init = begin, .fini = end, .timeout = 60);

static int look_up(const char *host, int64_t ns)
{
	struct address a = {.port = "6737"};

	snprintf(a.host, sizeof a.host, "%s", host);
	return resolve(resolver, &a, stop, link_in(ns), &found, why);
}

/* ---- what comes ---- */

Test(resolve, numbers_wait_for_nobody)
{
	eventfd_write(stop, 1);
	cr_assert_eq(look_up("127.0.0.1", 0), 0, "%s", why);
	cr_assert_eq(found.count, 1);
	cr_assert_eq(look_up("::1", 0), 0, "%s", why);
	cr_assert_eq(found.of[0].family, AF_INET6);
}

Test(resolve, a_name_that_is_none_is_an_error_for_people)
{
	cr_assert_eq(look_up("nobody.example", PATIENCE), -EHOSTUNREACH);
	cr_assert(strstr(why, "not known"), "%s", why);
}

Test(resolve, who_waits_is_called_away)
{
	eventfd_write(stop, 1);
	cr_assert_eq(look_up("slow", PATIENCE), -ECANCELED);
}

Test(resolve, what_comes_after_the_deadline_is_there_for_the_next_one)
{
	cr_assert_eq(look_up("slow", SOON), -ETIMEDOUT);
	cr_assert_str_eq(why, "the name server does not answer");
	cr_assert_eq(look_up("slow", SOON), -ETIMEDOUT);
	open_gate();
	cr_assert_eq(look_up("slow", PATIENCE), 0, "%s", why);
	cr_assert_eq(found.count, 1);
	cr_assert_eq(gate.began, 1);
	cr_assert_eq(look_up("slow", PATIENCE), 0, "%s", why);
	cr_assert_eq(gate.began, 2, "an old answer is given twice");
}

Test(resolve, no_more_names_than_a_few_are_looked_up_at_once)
{
	char name[16];

	for (int n = 0; n < 8; n++) {
		snprintf(name, sizeof name, "slow%d", n);
		cr_assert_eq(look_up(name, 1), -ETIMEDOUT);
	}
	cr_assert_eq(look_up("slow8", PATIENCE), -EAGAIN);
	cr_assert_eq(look_up("127.0.0.1", 0), 0);
}
