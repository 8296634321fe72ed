/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"
#include "install.h"
#include "join.h"
#include "replicator_part.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LEAVE_NS 1000000000LL            /* for the primary to hear that this node stops */
#define ORDER_NS 20000000000LL           /* that a primary which is asked to hand over may take */
#define AGAIN_NS 1000000000LL            /* between two tries to join */

/* ---- what it says ---- */

/* Not what was LAST said. */
static void say_new(struct replicator *r, char last[REPLICATOR_WHY], int priority, const char *format, va_list args)
{
	char text[REPLICATOR_WHY] = "";
	bool again;

	vsnprintf(text, sizeof text, format, args);
	pthread_mutex_lock(&r->lock);
	again = strcmp(text, last) == 0;
	memcpy(last, text, sizeof text);
	pthread_mutex_unlock(&r->lock);
	if (!again && r->o.say)
		r->o.say(r->o.ctx, priority, text);
}

void replicator_say(struct replicator *r, int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_new(r, r->said, priority, format, args);
	va_end(args);
}

void replicator_say_ended(struct replicator *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_new(r, r->said_ended, LOG_NOTICE, format, args);
	va_end(args);
}

void replicator_why(struct replicator *r, const char *format, ...)
{
	char text[REPLICATOR_WHY];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	pthread_mutex_lock(&r->lock);
	memcpy(r->why, text, sizeof text);
	pthread_mutex_unlock(&r->lock);
}

/* ---- making ---- */

static void init(struct replicator *r)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &monotonic);
	pthread_cond_init(&r->left, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r->elsewhere = r->answered = -1;
}

int replicator_new(struct replicator **to, const struct replicator_options *o, char why[REPLICATOR_WHY])
{
	struct replicator *r = calloc(1, sizeof *r);

	if (r) {
		init(r);
		r->o = *o;
		r->min_standbys = o->min_standbys;
		r->aside = UINT64_MAX;
		snprintf(r->name, sizeof r->name, "%s", o->name ? o->name : "");
		r->others = o->others ? strdup(o->others) : NULL;
		r->elsewhere = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	if (!r || (o->others && !r->others) || r->elsewhere < 0 || r->answered < 0) {
		snprintf(why, REPLICATOR_WHY, "%s", strerror(ENOMEM));
		replicator_free(r);
		return -ENOMEM;
	}
	*to = r;
	return 0;
}

void replicator_free(struct replicator *r)
{
	if (!r)
		return;
	if (r->elsewhere >= 0)
		close(r->elsewhere);
	if (r->answered >= 0)
		close(r->answered);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->wake);
	pthread_cond_destroy(&r->left);
	free(r->others);
	free(r);
}

/* ---- before there is a store ---- */

int replicator_look(struct replicator *r, const char *path, enum replicator_start *to, char why[REPLICATOR_WHY])
{
	struct install_before before = {0};
	struct disk *d;
	int err = disk_open_directory(&d, path);

	*to = REPLICATOR_PRIMARY;
	if (err == -ENOENT || err == -ENOTDIR) {       /* it is made, or refused, by who opens it */
		*to = r->o.joins ? REPLICATOR_JOIN : REPLICATOR_PRIMARY;
		return 0;
	}
	if (!err) {
		err = install_look(d, &before);
		disk_free(d);
	}
	if (err == -EBADMSG || err == -EPROTONOSUPPORT)        /* store_open() has the words for that */
		return 0;
	if (err) {
		snprintf(why, REPLICATOR_WHY, "%s", strerror(-err));
		return err;
	}
	if (before.store)
		*to = before.promise.own ? REPLICATOR_PRIMARY : REPLICATOR_STANDBY;
	else if (r->o.joins || (before.joining && r->others))
		*to = REPLICATOR_JOIN;
	else if (before.joining) {
		snprintf(why, REPLICATOR_WHY, "was about to become a standby's store: peer or standby_of says where its primary is");
		return -EINVAL;
	}
	return 0;
}

/* ---- joining ---- */

struct telling {
	struct replicator *r;
	unsigned tenth;
};

static void tell_progress(void *ctx, const struct join_progress *p)
{
	uint64_t all = p->end - p->start + p->checkpoint_size, done = p->pos - p->start + p->checkpoint;
	struct telling *t = ctx;
	unsigned tenth = all ? (unsigned)(10 * done / all) : 10;

	if (tenth == t->tenth)
		return;
	t->tenth = tenth;
	replicator_say(t->r, LOG_NOTICE, "%u %% of the primary's store is here, %" PRIu64 " of %" PRIu64 " bytes", tenth * 10, done, all);
}

/* -EAGAIN: this address will not do now. */
static int join_at(struct replicator *r, const char *address, const char *path, const struct store_options *o, bool again, int stop, char why[REPLICATOR_WHY])
{
	struct telling telling = {r, 0};
	char of_link[LINK_WHY], of_store[STORE_WHY];
	struct link *l;
	int err = r->o.network->connect(r->o.network, address, stop, link_in(MEET_NS), &l, of_link);

	if (err) {
		snprintf(why, REPLICATOR_WHY, "%.*s: %.300s", (int)strcspn(address, ","), address, of_link);
		return err == -ECANCELED ? err : -EAGAIN;
	}
	replicator_say(r, LOG_NOTICE, "a store is made from that of %s (%s)", l->peer, l->address);
	err = join(l, r->name, path, again, r->aside, o->segment_size, tell_progress, &telling, of_store);
	if (err)
		snprintf(why, REPLICATOR_WHY, "%s (%s): %.300s", l->peer, l->address, of_store);
	link_shutdown(l);
	link_close(l);
	if (disk_error_passes(err) || err == -ENOBUFS)
		return -EAGAIN;
	switch (err) {
	case -ECONNRESET: case -ETIMEDOUT: case -ECONNABORTED: case -ECONNREFUSED: case -ENOSPC: case -EDQUOT: case -EPROTO: case -EBADMSG:
	case -ESTALE:
		return -EAGAIN;
	default:
		return err;
	}
}

static bool is_readable(int fd, int64_t ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec t = {ns / 1000000000, ns % 1000000000};

	return ppoll(&p, 1, &t, NULL) > 0;
}

int replicator_claim(struct replicator *r, char why[REPLICATOR_WHY])
{
	return r->o.network && r->o.network->claim ? r->o.network->claim(r->o.network, why) : 0;
}

int replicator_join(struct replicator *r, const char *path, const struct store_options *o, bool again, int stop, char why[REPLICATOR_WHY])
{
	int err;

	if (!r->o.network || !r->others) {
		snprintf(why, REPLICATOR_WHY, "no address of a primary is known");
		return -EINVAL;
	}
	err = replicator_claim(r, why);
	if (err)
		return err;
	err = -EAGAIN;
	do {
		for (const char *address = r->others; address && err == -EAGAIN; address = address_behind(address)) {
			err = join_at(r, address, path, o, again, stop, why);
			if (err == -EAGAIN)
				replicator_say(r, LOG_NOTICE, "waits for a primary: %s", why);
		}
	} while (err == -EAGAIN && !is_readable(stop, AGAIN_NS));
	if (err == -EAGAIN)
		err = -ECANCELED;
	if (!err)
		r->aside = UINT64_MAX;
	return err;
}

/* ---- running ---- */

static bool is_of_pair(struct store *s)
{
	struct member_view v;

	store_view(s, &v);
	return v.paired && pair_has(&v.pair, v.node);
}

/* It commits without the other node, so nothing else tells it whether that was promoted while it was away; or its store is new, where the pair's
 * may only not be mounted. */
static bool asks_first(const struct replicator *r)
{
	struct member_view v;

	store_view(r->store, &v);
	return r->others && r->o.network && v.role == ROLE_PRIMARY && (v.pair.nodes < PAIR_NODES || !v.pair.min_standbys);
}

/* The primary is told, and gets a moment to hear it. */
static void leave_primary(struct replicator *r)
{
	int64_t until = link_in(LEAVE_NS);
	struct timespec at = {until / 1000000000, until % 1000000000};

	if (r->receiver)
		receiver_stop(r->receiver);
	while (r->receiver && pthread_cond_timedwait(&r->left, &r->lock, &at) == 0)
		;
	minder_want(r);
}

void replicator_stop(struct replicator *r)
{
	bool started;

	pthread_mutex_lock(&r->lock);
	started = r->started;
	r->started = false;
	r->stopping = true;
	if (started)
		leave_primary(r);
	pthread_mutex_unlock(&r->lock);
	if (!started)
		return;
	if (r->o.network && r->o.network->listen)
		r->o.network->unlisten(r->o.network);
	pthread_join(r->minder, NULL);
	guests_leave(r);
}

/* False: STOP has become readable before. */
static bool await_answer(struct replicator *r, int stop)
{
	struct pollfd on[] = {{.fd = r->answered, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
	const struct timespec long_enough = {3600, 0};

	while (ppoll(on, 2, &long_enough, NULL) <= 0)
		;
	return on[0].revents;
}

int replicator_start(struct replicator *r, struct store *s, int stop, char why[REPLICATOR_WHY])
{
	const struct network_handlers handlers = {guest_accept, guest_refused, r};
	uint64_t count;
	bool asks;
	int err = 0;

	r->store = s;
	r->stopping = r->given_up = false;
	if (store_read_only(s)) {         /* its disk failed at its start: there is no log that anything could come to */
		replicator_why(r, "the store is open for reading only: this node takes no part");
		return 0;
	}
	if (r->o.mirror && is_of_pair(s)) {
		snprintf(why, REPLICATOR_WHY, "mirror: this store is of the pair, and stays so: a mirror's is made anew, so move this one away or leave the option out");
		return -EINVAL;
	}
	order_forget(r);
	r->poked = r->wanted = false;
	r->probe_at = 0;
	r->rival_known = false;
	r->rival[0] = 0;
	r->asking = r->holding_back = asks = asks_first(r);
	store_hold_back(s, asks);
	/* Of an earlier run: nothing is wanted yet, nothing answered. */
	if (read(r->elsewhere, &count, sizeof count) < 0 || read(r->answered, &count, sizeof count) < 0)
		count = 0;
	if (r->o.network && r->o.network->listen)
		err = r->o.network->listen(r->o.network, &handlers, why);
	if (err)
		return err;
	err = -pthread_create(&r->minder, NULL, minder, r);
	if (err) {
		snprintf(why, REPLICATOR_WHY, "%s", strerror(-err));
		if (r->o.network && r->o.network->listen)
			r->o.network->unlisten(r->o.network);
		guests_leave(r);
		return err;
	}
	pthread_mutex_lock(&r->lock);
	r->started = true;
	pthread_mutex_unlock(&r->lock);
	if (!asks || await_answer(r, stop))
		return 0;
	replicator_stop(r);
	return -ECANCELED;
}

/* ---- orders ---- */

/* A standby need not leave its primary for an order that it cannot carry out whatever others say. *WHY is for people; 0: it may. */
static int judge_order(struct replicator *r, const struct order *o, const char **why)
{
	struct member_view v;

	if (!r->started || r->stopping) {
		*why = r->stopping ? "this node is stopping" : "the store is open for reading only";
		return -ENOTCONN;
	}
	if (r->order) {
		*why = "another order is under way";
		return -EBUSY;
	}
	store_view(r->store, &v);
	if (v.role != ROLE_STANDBY)
		return 0;
	*why = "this node is a standby";
	if (o->kind == ORDER_ALONE || o->kind == ORDER_MIN_STANDBYS)
		return -EROFS;
	if (v.paired ? pair_has(&v.pair, v.node) : !r->o.mirror)
		return 0;
	*why = r->o.mirror ? "this node is a mirror, which is never of the pair, and cannot become the primary" :
		"this node is not of the pair, and cannot become the primary";
	return -EPERM;
}

void replicator_order(struct replicator *r, struct order *o)
{
	const char *why;
	int err;

	pthread_mutex_lock(&r->lock);
	err = judge_order(r, o, &why);
	if (!err) {
		r->order = o;
		r->order_until = link_in(ORDER_NS);
		r->order_asked = o->kind == ORDER_SWITCHOVER && r->receiver;
		if (r->order_asked)
			receiver_ask(r->receiver);
		else
			minder_want(r);
	}
	pthread_mutex_unlock(&r->lock);
	if (err == -EBUSY)               /* the last order is the one that is under way */
		o->done(o, err, why);
	else if (err)
		order_outcome(r, o, err, why);
}

/* ---- what it is at ---- */

void replicator_status(struct replicator *r, struct replicator_status *to)
{
	memset(to, 0, sizeof *to);
	memcpy(to->name, r->name, sizeof to->name);
	to->alone = !r->o.network;
	store_view(r->store, &to->view);
	to->senders = guests_status(r, to->sender, REPLICATOR_LINKS);
	pthread_mutex_lock(&r->lock);
	to->receiver = r->last;
	if (r->receiver)
		receiver_status(r->receiver, &to->receiver);
	to->rival = r->rival_known && to->view.role == ROLE_PRIMARY;
	to->linked = r->receiver && to->receiver.accepted;
	memcpy(to->calling, r->calling, sizeof to->calling);
	memcpy(to->why, r->why, sizeof to->why);
	memcpy(to->last_order, r->last_order, sizeof to->last_order);
	pthread_mutex_unlock(&r->lock);
}
