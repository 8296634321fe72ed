/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest is a link that came, with a thread of its own that receives. It says by its first frame what it is: a standby, which gets a sender, or a
 * candidate that asks for a promise. A node has one sender at a time: whoever comes as the same node again ends the older link, and
 * waits until that is gone. Another node of a name that is linked is refused.
 */
#include "guest_part.h"
#include "talker.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define GUESTS (REPLICATOR_LINKS + 16u)  /* at once, those who have not said yet what they are included */

static void lock(struct replicator *r)
{
	pthread_mutex_lock(&r->lock);
}

static void unlock(struct replicator *r)
{
	pthread_mutex_unlock(&r->lock);
}

/* ---- the last word ---- */

static void say_error(struct guest *g, uint32_t code, const char *reason)
{
	struct frame_error_text text = {.error = code};
	struct frame f = {.type = FRAME_ERROR};
	struct iovec iov = {g->body, 0};
	int len;

	snprintf(text.reason, sizeof text.reason, "%s", reason);
	len = frame_put_error(&text, g->body, FRAME_TALK);
	if (len < 0)
		return;
	iov.iov_len = (size_t)len;
	if (link_send(g->link, &f, &iov, 1, link_in(LEAVE_NS)) == 0)
		link_receive(g->link, &f, g->body, FRAME_BODY, link_in(LEAVE_NS));        /* it closes: so it has read what was said */
	replicator_say(g->r, LOG_NOTICE, "%s: %s", g->link->peer, reason);
}

/* ---- standbys ---- */

static int voice_next(void *of, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	return sender_next(of, now, f, iov, n);
}

static int64_t voice_due(void *of)
{
	return sender_due(of);
}

static int64_t voice_rest(void *of, const struct frame *sent)
{
	return sender_rest(of, sent);
}

static void say_full(struct guest *g, bool full)
{
	g->full = full;
	replicator_say(g->r, full ? LOG_WARNING : LOG_NOTICE,
		full ? "%s: its disk is full, so it takes nothing more" : "%s: its disk has room again", g->link->peer);
	minder_poke(g->r);
}

static void told(struct guest *g, const struct frame *f, int heard)
{
	struct replicator *r = g->r;

	if (f->type == FRAME_ACK && g->full != !!(f->flags & FRAME_FULL))
		say_full(g, !g->full);
	if (heard == 1) {
		lock(r);
		r->asked_over = g->node;
		unlock(r);
	}
	if (heard == 1 || (f->type == FRAME_ACK && r->attentive))
		minder_poke(r);
}

/* Until the link ends, or either side says that it does. False: nothing came behind HELLO. */
static bool listen_to(struct guest *g, struct sender *s, struct talker *t)
{
	bool ended = false, came = false;
	struct frame f;
	int heard;

	while (!ended) {
		ended = talker_ended(t);
		heard = link_receive(g->link, &f, g->body, FRAME_BODY, link_in(LINK_SILENCE));
		if (heard == -EBADMSG || heard == -EMSGSIZE)
			sender_spoilt(s, heard);
		else if (heard)
			return came;
		else
			heard = sender_hear(s, link_in(0), &f, g->body);
		came = true;
		if (heard < 0) {
			progress_moved(store_progress(g->r->store));
			/* What the talker says of it is heard once the other side closes. */
			while (link_receive(g->link, &f, g->body, FRAME_BODY, link_in(LEAVE_NS)) == 0)
				;
			return true;
		}
		told(g, &f, heard);
	}
	return came;
}

/* Who only looked what this node is ends the link without a word, and needs none. */
static void say_end(struct guest *g, struct sender *s, bool came)
{
	char why[FRAME_REASON], of_link[LINK_WHY];

	sender_why(s, why);
	link_why(g->link, of_link);
	if (!came && !*why)
		return;
	replicator_say_ended(g->r, "%s as a standby: %s", g->link->peer, *why ? why : *of_link ? of_link : "the link has ended");
}

static void serve(struct guest *g, struct sender *s, struct reign promise)
{
	const struct voice voice = {voice_next, voice_due, s, voice_rest};
	struct talker *t;
	bool came;
	int err = talker_start(&t, g->link, &voice, store_progress(g->r->store));

	if (err) {
		say_error(g, FRAME_FAILED, strerror(-err));
		return;
	}
	lock(g->r);
	g->sender = s;
	unlock(g->r);
	came = listen_to(g, s, t);
	err = talker_stop(t);
	lock(g->r);
	g->sender = NULL;
	if (err == -ESTALE) {          /* a higher reign is promised in the pair */
		g->r->deposed = promise;
		minder_want(g->r);
	}
	unlock(g->r);
	say_end(g, s, came);
}

static void note_self_call(struct guest *g, const struct frame_hello *h)
{
	struct member_view v;

	store_view(g->r->store, &v);
	lock(g->r);
	g->r->self_calls += h->node == v.node && strcmp(g->link->peer, g->r->name) == 0;
	unlock(g->r);
}

/* Whether G's store, of the id NODE, is a copy: the primary that this node follows has that id, and another name, ORIGINAL. */
static bool is_copy(struct guest *g, uint64_t node, char original[FRAME_NAME])
{
	struct receiver_status primary = {0};

	lock(g->r);
	if (g->r->receiver)
		receiver_status(g->r->receiver, &primary);
	unlock(g->r);
	memcpy(original, primary.name, FRAME_NAME);
	return primary.accepted && primary.node == node && strcmp(original, g->link->peer) != 0;
}

static void host(struct guest *g, const struct frame *f)
{
	struct frame_hello *h = malloc(sizeof *h);
	char why[FRAME_REASON], original[FRAME_NAME];
	struct sender *s = NULL;
	int err = h ? frame_get_hello(h, g->body, f->length) : -ENOMEM;

	if (!err)
		note_self_call(g, h);
	if (err)
		say_error(g, FRAME_UNEXPECTED, err == -EPROTONOSUPPORT ? "this node speaks another version of the protocol" : strerror(-err));
	else if (!guest_enter(g, h->node, why))
		say_error(g, FRAME_BUSY, why);
	else if ((err = sender_new(&s, g->r->store, g->r->name, g->link->peer, h, f->flags, f->pos)))
		say_error(g, FRAME_FAILED, strerror(-err));
	else {
		if (is_copy(g, h->node, original))
			sender_copy(s, original);
		serve(g, s, h->promise);
	}
	sender_free(s);
	free(h);
	guest_leave(g);
	minder_poke(g->r);
}

/* ---- promises ---- */

/* By the minder: it may be receiving from another primary just now. */
static void ask_minder(struct replicator *r, struct request *q)
{
	lock(r);
	while (r->request && !r->stopping)
		pthread_cond_wait(&r->left, &r->lock);
	if (r->stopping) {
		snprintf(q->reason, sizeof q->reason, "this node stops");
	} else {
		r->request = q;
		minder_want(r);
		while (!q->answered)
			pthread_cond_wait(&r->left, &r->lock);
	}
	unlock(r);
}

static void answer_promise(struct guest *g, const struct request *q)
{
	struct frame_promised *p = calloc(1, sizeof *p);
	struct frame f = {.type = FRAME_PROMISED};
	struct iovec iov = {g->body, 0};
	struct member_view v;
	int len;

	if (!p)
		return;
	store_view(g->r->store, &v);
	p->cluster = v.cluster;
	p->node = v.node;
	p->last = v.last;
	memcpy(p->name, g->r->name, sizeof p->name);
	memcpy(p->reason, q->reason, sizeof p->reason);
	f.flags = (q->granted ? FRAME_GRANTED : 0) | (v.current ? FRAME_CURRENT : 0);
	f.epoch = (struct epoch){.reign = v.promise.reign.number, .node = v.promise.reign.node};
	f.pos = v.end;
	f.committed = v.committed;
	len = frame_put_promised(p, g->body, FRAME_TALK);
	free(p);
	if (len < 0)
		return;
	iov.iov_len = (size_t)len;
	if (link_send(g->link, &f, &iov, 1, link_in(LEAVE_NS)) == 0)
		link_receive(g->link, &f, g->body, FRAME_BODY, link_in(LEAVE_NS));
}

static void hear_promise(struct guest *g, const struct frame *f)
{
	struct request q = {.reign = epoch_reign(&f->epoch)};
	struct frame_promise p;
	struct member_view v;
	int err = frame_get_promise(&p, g->body, f->length);

	store_view(g->r->store, &v);
	if (err) {
		say_error(g, FRAME_UNEXPECTED, err == -EPROTONOSUPPORT ? "this node speaks another version of the protocol" : strerror(-err));
		return;
	}
	q.node = p.node;
	if (p.cluster != v.cluster || strcmp(p.name, g->link->peer) != 0)
		snprintf(q.reason, sizeof q.reason, "it is of another cluster, or not the node of its certificate");
	else
		ask_minder(g->r, &q);
	answer_promise(g, &q);
}

/* ---- coming and going ---- */

static void *guest(void *arg)
{
	struct guest *g = arg;
	struct frame f;
	int err = link_receive(g->link, &f, g->body, FRAME_TALK, link_in(LINK_SILENCE));

	if (!err && f.type == FRAME_HELLO)
		host(g, &f);
	else if (!err && f.type == FRAME_PROMISE)
		hear_promise(g, &f);
	else if (!err || err == -EBADMSG || err == -EMSGSIZE)
		say_error(g, FRAME_UNEXPECTED, "a link begins with HELLO or PROMISE");
	link_shutdown(g->link);        /* the other side need not wait until this is seen off, which is when the next one comes */
	lock(g->r);
	g->gone = true;
	pthread_cond_broadcast(&g->r->left);
	unlock(g->r);
	return NULL;
}

static void destroy(struct guest *g)
{
	link_shutdown(g->link);
	link_close(g->link);
	free(g->body);
	free(g);
}

/* Those who are at their end. */
static void see_off(struct replicator *r)
{
	struct guest *gone = NULL, **at;

	lock(r);
	for (at = &r->guests; *at;) {
		struct guest *g = *at;
		if (g->gone) {
			*at = g->next;
			g->next = gone;
			gone = g;
		} else {
			at = &g->next;
		}
	}
	unlock(r);
	while (gone) {
		struct guest *g = gone;
		gone = g->next;
		pthread_join(g->thread, NULL);
		destroy(g);
	}
}

static bool let_in(struct replicator *r, struct guest *g)
{
	size_t count = 0;
	bool in;

	lock(r);
	for (struct guest *other = r->guests; other; other = other->next)
		count++;
	in = !r->stopping && count < GUESTS && pthread_create(&g->thread, NULL, guest, g) == 0;
	if (in) {
		g->next = r->guests;
		r->guests = g;
	}
	unlock(r);
	return in;
}

void guest_accept(void *ctx, struct link *l)
{
	struct replicator *r = ctx;
	struct guest *g;

	see_off(r);
	g = calloc(1, sizeof *g);
	if (g)
		g->body = malloc(FRAME_BODY);
	if (!g || !g->body) {
		free(g);
		link_close(l);
		return;
	}
	g->r = r;
	g->link = l;
	if (!let_in(r, g))
		destroy(g);
}

void guest_refused(void *ctx, const char *address, const char *why, uint64_t count)
{
	replicator_say(ctx, LOG_NOTICE, count > 1 ? "refused %s: %s (%" PRIu64 " callers in all)" : "refused %s: %s", address, why, count);
}

void guests_leave(struct replicator *r)
{
	int64_t until = link_in(LEAVE_NS);
	struct timespec at = {until / 1000000000, until % 1000000000};
	struct guest *g;
	bool any = true;

	lock(r);
	for (g = r->guests; g; g = g->next)
		if (g->sender)
			sender_stop(g->sender);
	while (any) {
		any = false;
		for (g = r->guests; g; g = g->next)
			any |= !g->gone;
		if (any && pthread_cond_timedwait(&r->left, &r->lock, &at) != 0)
			break;
	}
	for (g = r->guests; g; g = g->next)
		link_shutdown(g->link);
	for (g = r->guests; g; g = g->next)
		while (!g->gone)
			pthread_cond_wait(&r->left, &r->lock);
	unlock(r);
	see_off(r);
}

/* ---- who is there ---- */

/* Under the lock. NODE 0 is nobody, though a blank guest has that id. */
static struct guest *find(struct replicator *r, uint64_t node)
{
	struct guest *g = node ? r->guests : NULL;

	while (g && !(g->sender && g->node == node))
		g = g->next;
	return g;
}

bool guest_status(struct replicator *r, uint64_t node, struct sender_status *to)
{
	struct guest *g;

	lock(r);
	g = find(r, node);
	if (g)
		sender_status(g->sender, to);
	unlock(r);
	return g != NULL;
}

size_t guests_status(struct replicator *r, struct sender_status *to, size_t max)
{
	size_t count = 0;

	lock(r);
	for (struct guest *g = r->guests; g && count < max; g = g->next)
		if (g->sender)
			sender_status(g->sender, &to[count++]);
	unlock(r);
	return count;
}

void guest_hand_over(struct replicator *r, uint64_t node)
{
	struct guest *g;

	lock(r);
	g = find(r, node);
	if (g)
		sender_hand_over(g->sender);
	unlock(r);
}

void guest_pause(struct replicator *r, uint64_t node, bool pause)
{
	struct guest *g;

	lock(r);
	g = find(r, node);
	if (g)
		sender_pause(g->sender, pause);
	unlock(r);
}

void guest_refuse(struct replicator *r, uint64_t node, const char *reason)
{
	struct guest *g;

	lock(r);
	g = find(r, node);
	if (g)
		sender_refuse(g->sender, reason);
	unlock(r);
}
