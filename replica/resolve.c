/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"
#include "tls_part.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOKUPS 8u                       /* at once */
#define FRESH_NS 10000000000LL           /* that what was found holds for who comes later */

struct lookup {
	struct address address;
	int over;                      /* eventfd: readable once it is */
	struct lookup *next;           /* guarded by the resolver */
	pthread_mutex_t lock;          /* all below */
	unsigned users;                /* its thread, the resolver while it lists it, and who waits */
	int64_t found_at;              /* 0: it is under way */
	int err;                       /* negative errno */
	char why[RESOLVE_WHY];
	struct resolved found;
};

struct resolver {
	pthread_mutex_t lock;
	struct lookup *lookups;        /* under way, or over and nobody has had what was found */
};

/* ---- the lookup ---- */

static int ask(const struct address *a, int flags, struct resolved *to, char why[RESOLVE_WHY])
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags}, *found;
	int err = getaddrinfo(a->host, a->port, &want, &found);

	to->count = 0;
	if (err) {
		snprintf(why, RESOLVE_WHY, "%s", err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		return err == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
	}
	for (const struct addrinfo *i = found; i && to->count < RESOLVE_MOST; i = i->ai_next) {
		to->of[to->count].family = i->ai_family;
		to->of[to->count].len = i->ai_addrlen;
		memcpy(&to->of[to->count++].at, i->ai_addr, i->ai_addrlen);
	}
	freeaddrinfo(found);
	return 0;
}

static void put(struct lookup *l)
{
	bool last;

	pthread_mutex_lock(&l->lock);
	last = --l->users == 0;
	pthread_mutex_unlock(&l->lock);
	if (!last)
		return;
	if (l->over >= 0)
		close(l->over);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void *look_up(void *arg)
{
	struct lookup *l = arg;
	char why[RESOLVE_WHY] = "";
	struct resolved found;
	int err = ask(&l->address, 0, &found, why);

	pthread_mutex_lock(&l->lock);
	l->err = err;
	l->found = found;
	memcpy(l->why, why, sizeof why);
	l->found_at = link_in(0);
	eventfd_write(l->over, 1);
	pthread_mutex_unlock(&l->lock);
	put(l);
	return NULL;
}

/* For its thread and the resolver. */
static struct lookup *start(const struct address *a)
{
	struct lookup *l = calloc(1, sizeof *l);
	pthread_t thread;

	if (!l)
		return NULL;
	l->address = *a;
	l->users = 2;
	l->over = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&l->lock, NULL);
	if (l->over >= 0 && pthread_create(&thread, NULL, look_up, l) == 0) {
		pthread_detach(thread);
		return l;
	}
	l->users = 1;
	put(l);
	return NULL;
}

/* ---- who has them ---- */

int resolver_new(struct resolver **to)
{
	struct resolver *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	*to = r;
	return 0;
}

void resolver_free(struct resolver *r)
{
	struct lookup *l;

	if (!r)
		return;
	while ((l = r->lookups)) {
		r->lookups = l->next;
		put(l);
	}
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static bool is_stale(struct lookup *l)
{
	bool is;

	pthread_mutex_lock(&l->lock);
	is = l->found_at && link_in(0) - l->found_at > FRESH_NS;
	pthread_mutex_unlock(&l->lock);
	return is;
}

/* Under the lock: the one of A, and how many there are. What is too old goes. */
static struct lookup *find(struct resolver *r, const struct address *a, unsigned *count)
{
	struct lookup **at = &r->lookups, *l, *found = NULL;

	*count = 0;
	while ((l = *at)) {
		if (is_stale(l)) {
			*at = l->next;
			put(l);
			continue;
		}
		if (strcmp(l->address.host, a->host) == 0 && strcmp(l->address.port, a->port) == 0)
			found = l;
		++*count;
		at = &l->next;
	}
	return found;
}

/* One that is under way or fresh, or a new one; the caller's as well. */
static struct lookup *get(struct resolver *r, const struct address *a)
{
	struct lookup *l;
	unsigned count;

	pthread_mutex_lock(&r->lock);
	l = find(r, a, &count);
	if (!l && count < LOOKUPS && (l = start(a))) {
		l->next = r->lookups;
		r->lookups = l;
	}
	if (l) {
		pthread_mutex_lock(&l->lock);
		l->users++;
		pthread_mutex_unlock(&l->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return l;
}

/* Somebody has had what it found: the next one asks anew. */
static void unlist(struct resolver *r, struct lookup *l)
{
	struct lookup **at = &r->lookups;

	pthread_mutex_lock(&r->lock);
	while (*at && *at != l)
		at = &(*at)->next;
	if (*at) {
		*at = l->next;
		put(l);
	}
	pthread_mutex_unlock(&r->lock);
}

int resolve(struct resolver *r, const struct address *a, int stop, int64_t deadline, struct resolved *to, char why[RESOLVE_WHY])
{
	struct lookup *l;
	int err = ask(a, AI_NUMERICHOST, to, why);

	if (!err)
		return 0;
	l = get(r, a);
	if (!l) {
		snprintf(why, RESOLVE_WHY, "too many names are being looked up");
		return -EAGAIN;
	}
	err = tls_wait(l->over, POLLIN, stop, deadline);
	if (err) {
		snprintf(why, RESOLVE_WHY, "%s", err == -ETIMEDOUT ? "the name server does not answer" : strerror(-err));
	} else {
		pthread_mutex_lock(&l->lock);
		err = l->err;
		*to = l->found;
		memcpy(why, l->why, RESOLVE_WHY);
		pthread_mutex_unlock(&l->lock);
		unlist(r, l);
	}
	put(l);
	return err;
}
