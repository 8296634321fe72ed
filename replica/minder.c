/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one thread that changes what this node is
 *
 * A standby's log, promise and role change in one order only, because one thread does all of it: it calls the primary and receives from it, cuts
 * where HELLO says, gives promises to candidates, promotes, steps down. So what it received before it gave a promise is in the account that it
 * gives of its log, and nothing is received behind it: the link is left first. Whoever wants something of it (an order, a candidate's
 * question, a higher reign that a guest came with) leaves word under the lock and breaks what it waits for: the link is shut
 * down, a call ends by the eventfd, a wait by the condition.
 *
 * As a primary it sleeps, but for what rule.c minds.
 */
#include "replicator_part.h"
#include "address.h"
#include "ahead.h"
#include "talker.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define AGAIN_NS 1000000000LL            /* between two rounds of calls that came to nothing */
#define HURRY_NS 50000000LL              /* while another node is about to be the primary */
#define REFUSED_NS 10000000000LL         /* when an operator has to look first */
#define FULL_NS 200000000LL              /* until a frame is tried again for which there was no room */
#define LAST_WORD_NS 1000000000LL        /* for the other side to hear why a link ends */

/* ---- who wants it ---- */

void minder_poke(struct replicator *r)
{
	pthread_mutex_lock(&r->lock);
	r->poked = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

void minder_want(struct replicator *r)
{
	uint64_t one = 1;

	r->poked = r->wanted = true;
	if (write(r->elsewhere, &one, sizeof one) < 0)
		one = 0;               /* it is full: so it is readable */
	if (r->up)
		link_shutdown(r->up);
	pthread_cond_signal(&r->wake);
}

bool minder_wanted(struct replicator *r)
{
	bool is;

	pthread_mutex_lock(&r->lock);
	is = r->wanted;
	pthread_mutex_unlock(&r->lock);
	return is;
}

bool minder_stays(struct replicator *r)
{
	uint64_t count;
	bool stays;

	pthread_mutex_lock(&r->lock);
	stays = !r->stopping;
	if (stays && r->wanted && read(r->elsewhere, &count, sizeof count) < 0)
		count = 0;             /* it was not readable: nothing is to be taken back */
	pthread_mutex_unlock(&r->lock);
	return stays;
}

void minder_wait(struct replicator *r, int64_t ns)
{
	int64_t until = ns == INT64_MAX ? ns : link_in(ns);
	struct timespec at = {until / 1000000000, until % 1000000000};

	pthread_mutex_lock(&r->lock);
	while (!r->poked && !r->wanted) {
		if (until == INT64_MAX)
			pthread_cond_wait(&r->wake, &r->lock);
		else if (pthread_cond_timedwait(&r->wake, &r->lock, &at) == ETIMEDOUT)
			break;
	}
	r->poked = false;
	pthread_mutex_unlock(&r->lock);
}

void minder_rest(struct replicator *r, int64_t ns)
{
	int64_t until = link_in(ns);
	struct timespec at = {until / 1000000000, until % 1000000000};

	pthread_mutex_lock(&r->lock);
	while (!r->poked && pthread_cond_timedwait(&r->wake, &r->lock, &at) != ETIMEDOUT)
		;
	r->poked = false;
	pthread_mutex_unlock(&r->lock);
}

/* ---- promises for others ---- */

static void grant(struct replicator *r, struct request *q)
{
	struct member_view v;

	store_view(r->store, &v);
	if (v.role == ROLE_PRIMARY) {
		snprintf(q->reason, sizeof q->reason, "%s is the primary", r->name);
		return;
	}
	if (promote_grant(&v, q->node, q->reign, q->reason))
		return;
	int err = store_promise(r->store, q->reign);
	if (err)
		snprintf(q->reason, sizeof q->reason, "the promise could not be kept: %s", strerror(-err));
	q->granted = !err;
}

static void answer(struct replicator *r, struct request *q)
{
	grant(r, q);
	pthread_mutex_lock(&r->lock);
	q->answered = true;
	r->request = NULL;
	pthread_cond_broadcast(&r->left);
	pthread_mutex_unlock(&r->lock);
}

/* ---- all that others want ---- */

static void hand_over_for(struct replicator *r, uint64_t node)
{
	char why[REPLICATOR_WHY];

	if (handover_give(r, node, why))
		guest_refuse(r, node, why);
}

/* An order that the primary was asked for ends in time. True: it goes on. By the minder alone, as all that ends orders. */
static bool order_is_asked(struct replicator *r)
{
	bool asked, late;

	pthread_mutex_lock(&r->lock);
	asked = r->order && r->order_asked;
	late = asked && link_in(0) > r->order_until;
	pthread_mutex_unlock(&r->lock);
	if (late)
		order_end(r, -ETIMEDOUT, "the primary has not handed over in time");
	return asked && !late;
}

static void attend(struct replicator *r)
{
	struct reign deposed;
	struct request *q;
	struct order *o;
	uint64_t over, count;
	bool asked;

	pthread_mutex_lock(&r->lock);
	if (r->wanted && read(r->elsewhere, &count, sizeof count) < 0)
		count = 0;             /* it was not readable: nothing is to be taken back */
	r->wanted = false;
	o = r->order;
	asked = r->order_asked;
	q = r->request;
	deposed = r->deposed;
	r->deposed = (struct reign){0};
	over = r->asked_over;
	r->asked_over = 0;
	pthread_mutex_unlock(&r->lock);
	if (deposed.number)
		rule_depose(r, deposed);
	if (q)
		answer(r, q);
	if (o && !asked)
		order_carry_out(r, o);
	else if (o)
		order_is_asked(r);
	if (over)
		hand_over_for(r, over);
}

/* ---- a standby's link ---- */

static int voice_next(void *of, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	return receiver_next(of, now, f, iov, n);
}

static int64_t voice_due(void *of)
{
	return receiver_due(of);
}

static void enter(struct replicator *r, struct link *l, struct receiver *rc)
{
	pthread_mutex_lock(&r->lock);
	r->up = l;
	r->receiver = rc;
	memcpy(r->calling, l->address, sizeof r->calling);
	if (r->wanted || r->stopping)
		link_shutdown(l);
	pthread_mutex_unlock(&r->lock);
}

static void leave(struct replicator *r, struct receiver *rc)
{
	struct receiver_status last;

	receiver_status(rc, &last);
	pthread_mutex_lock(&r->lock);
	r->up = NULL;
	r->receiver = NULL;
	if (last.accepted)
		r->last = last;
	pthread_cond_broadcast(&r->left);
	pthread_mutex_unlock(&r->lock);
}

/* The order that the primary was asked for comes to nothing. */
static void refused(struct replicator *r, const char *why)
{
	if (order_is_asked(r))
		order_end(r, -EPERM, why);
}

/* *FULL: it was, at the last look. */
static void say_full(struct replicator *r, struct receiver *rc, bool *full)
{
	static const char text[] = "the disk is full: nothing more is received";
	struct receiver_status s;

	receiver_status(rc, &s);
	if (s.full == *full)
		return;
	*full = s.full;
	replicator_why(r, "%s", s.full ? text : "");
	replicator_say(r, s.full ? LOG_WARNING : LOG_NOTICE, "%s", s.full ? text : "the disk has room again: what the primary has is received");
}

static int hear(struct replicator *r, struct receiver *rc, struct talker *t, const struct frame *f, const uint8_t *body)
{
	char why[FRAME_REASON];
	bool full = false;
	int heard;

	while ((heard = receiver_hear(rc, link_in(0), f, body)) == 1) {
		say_full(r, rc, &full);
		minder_wait(r, FULL_NS);
		order_is_asked(r);
		if (minder_wanted(r))
			return -ECANCELED;
		if (talker_ended(t))           /* who does not receive hears by what it says that the link is gone */
			return -ECONNRESET;
	}
	if (full)
		say_full(r, rc, &full);
	if (heard != RECEIVER_REFUSED)
		return heard;
	receiver_why(rc, why);
	refused(r, why);
	return 0;
}

static void say_accepted(struct replicator *r, struct receiver *rc, const struct link *l, bool *said)
{
	struct receiver_status s;

	if (*said)
		return;
	receiver_status(rc, &s);
	if (!s.accepted)
		return;
	*said = true;
	replicator_why(r, "%s", "");
	replicator_say(r, LOG_NOTICE, "follows %s (%s), the primary of reign %" PRIu32, l->peer, l->address, s.epoch.reign);
}

/* Until the link ends: an error, or RECEIVER_TAKE_OVER. */
static int receive(struct replicator *r, struct receiver *rc, struct link *l, struct ahead *a, struct talker *t, bool *said)
{
	struct frame f;
	int64_t until;
	uint8_t *body;
	int err;

	do {
		err = ahead_receive(a, &f, &body, link_in(LINK_SILENCE));
		if (!err)
			err = hear(r, rc, t, &f, body);
		else if (err == -EBADMSG || err == -EMSGSIZE)
			receiver_spoilt(rc, err);
		say_accepted(r, rc, l, said);
		order_is_asked(r);
	} while (!err);
	/* What this side says of it is heard once the other one closes. */
	for (until = link_in(LAST_WORD_NS); err < 0 && err != -ECANCELED && ahead_receive(a, &f, &body, until) == 0;)
		;
	return err;
}

static int run_link(struct replicator *r, struct receiver *rc, struct link *l, bool *accepted)
{
	const struct voice voice = {voice_next, voice_due, rc, NULL};
	struct talker *t;
	struct ahead *a;
	int err = ahead_new(&a, l);

	if (err)
		return err;
	err = talker_start(&t, l, &voice, store_progress(r->store));
	if (!err) {
		enter(r, l, rc);
		err = receive(r, rc, l, a, t, accepted);
		leave(r, rc);
		talker_stop(t);
	}
	ahead_free(a);
	return err;
}

static void say_end(struct replicator *r, struct receiver *rc, const struct link *l, int err)
{
	char why[FRAME_REASON], of_link[LINK_WHY];

	receiver_why(rc, why);
	link_why((struct link *)l, of_link);
	if (!*why)
		snprintf(why, sizeof why, "%.*s", (int)FRAME_REASON - 1, *of_link ? of_link : strerror(-err));
	replicator_why(r, "%s (%s): %s", l->peer, l->address, why);
	replicator_say(r, LOG_NOTICE, "%s (%s): %s", l->peer, l->address, why);
}

static void give_up(struct replicator *r, struct receiver *rc, const struct link *l)
{
	r->aside = receiver_aside(rc);
	r->given_up = true;
	replicator_say(r, LOG_WARNING, "the store is given up, and made anew from that of %s", l->peer);
	r->o.start_again(r->o.ctx);
}

/* What comes behind the link: how long to wait before the next call, ns. */
static int64_t end_link(struct replicator *r, struct receiver *rc, const struct link *l, int err, bool accepted)
{
	uint64_t primary;

	if (err == RECEIVER_TAKE_OVER) {
		pthread_mutex_lock(&r->lock);
		primary = r->last.node;
		pthread_mutex_unlock(&r->lock);
		handover_take(r, primary);
		return 0;
	}
	if (!minder_wanted(r))
		say_end(r, rc, l, err);
	refused(r, "the link to the primary has ended");
	if (err == -ENODATA || err == -ECANCELED) {
		if (!minder_wanted(r))
			give_up(r, rc, l);
		return 0;
	}
	return err == -EPERM ? REFUSED_NS : accepted ? 0 : AGAIN_NS;
}

/* Calls ADDRESS, and follows who answers while that goes well. *FOLLOWED: a primary has accepted this node. */
static int64_t follow_one(struct replicator *r, const char *address, bool *followed)
{
	char why[LINK_WHY] = "";
	struct receiver *rc;
	struct link *l;
	int64_t pause;
	int err = r->o.network->connect(r->o.network, address, r->elsewhere, link_in(MEET_NS), &l, why);

	if (err) {
		if (err != -ECANCELED) {
			replicator_why(r, "%.*s: %s", (int)strcspn(address, ","), address, why);
			replicator_say(r, LOG_NOTICE, "%.*s: %s", (int)strcspn(address, ","), address, why);
		}
		return AGAIN_NS;
	}
	err = receiver_new(&rc, r->store, r->name, l->peer);
	if (err) {
		link_close(l);
		return AGAIN_NS;
	}
	if (r->o.mirror)
		receiver_mirror(rc);
	err = run_link(r, rc, l, followed);
	pause = end_link(r, rc, l, err, *followed);
	receiver_free(rc);
	link_shutdown(l);
	link_close(l);
	return pause;
}

static void say_failed(struct replicator *r)
{
	static const char text[] = "the log of this node has failed: it follows nobody until it is started again";

	replicator_why(r, text);
	replicator_say(r, LOG_ERR, text);
}

/* One round of calls. */
static void follow(struct replicator *r, bool failed)
{
	int64_t pause = AGAIN_NS;
	bool followed = false;

	if (failed && !r->given_up)
		say_failed(r);
	if (failed || r->given_up) {
		minder_wait(r, INT64_MAX);
		return;
	}
	if (!r->others || !r->o.network) {
		replicator_why(r, "no address of another node is known: peer or standby_of says it");
		minder_wait(r, AGAIN_NS);
		return;
	}
	for (const char *address = r->others; address && !followed && !r->given_up && !minder_wanted(r); address = address_behind(address))
		pause = follow_one(r, address, &followed);
	if (pause && link_in(0) < r->hurry_until)
		pause = HURRY_NS;
	if (pause)
		minder_wait(r, pause);
}

/* ---- the thread ---- */

static bool stopping(struct replicator *r)
{
	bool is;

	pthread_mutex_lock(&r->lock);
	is = r->stopping;
	pthread_mutex_unlock(&r->lock);
	return is;
}

/* Nobody waits for what will not come any more. */
static void send_off(struct replicator *r)
{
	struct request *q;
	bool order;

	pthread_mutex_lock(&r->lock);
	q = r->request;
	order = r->order != NULL;
	if (q) {
		snprintf(q->reason, sizeof q->reason, "%s stops", r->name);
		q->answered = true;
		r->request = NULL;
	}
	pthread_cond_broadcast(&r->left);
	pthread_mutex_unlock(&r->lock);
	if (order)
		order_end(r, -ENOTCONN, "this node stops");
}

void *minder(void *arg)
{
	struct replicator *r = arg;
	struct member_view v;

	while (!stopping(r)) {
		attend(r);
		store_view(r->store, &v);
		if (v.role == ROLE_PRIMARY)
			minder_wait(r, rule(r, &v));
		else
			follow(r, v.failed);
	}
	send_off(r);
	return NULL;
}
