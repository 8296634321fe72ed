/* SPDX-License-Identifier: Apache-2.0 */
#include "replicator_part.h"
#include "address.h"
#include "hello.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* F is sent and the next frame, in F too, comes to BODY. */
static int exchange(struct link *l, struct frame *f, struct iovec *iov, int n, uint8_t *body, int64_t until, char why[LINK_WHY])
{
	struct frame_error_text text;
	int err = link_send(l, f, iov, n, until);

	if (!err)
		err = link_receive(l, f, body, FRAME_TALK, until);
	if (err) {
		link_why(l, why);
		return err;
	}
	if (f->type != FRAME_ERROR)
		return 0;
	if (!frame_get_error(&text, body, f->length))
		snprintf(why, LINK_WHY, "%.*s", (int)LINK_WHY - 1, text.reason);
	return -ECONNABORTED;
}

static int misunderstood(const struct link *l, char why[LINK_WHY])
{
	snprintf(why, LINK_WHY, "%s does not answer what it was asked", l->peer);
	return -EPROTO;
}

static int say_hello(struct replicator *r, struct link *l, struct frame *f, uint8_t *body, int64_t until, char why[LINK_WHY])
{
	struct receiver *rc;
	struct iovec iov[2];
	int n, err = receiver_new(&rc, r->store, r->name, l->peer);

	if (err)
		return err;
	if (r->o.mirror)
		receiver_mirror(rc);
	err = receiver_next(rc, link_in(0), f, iov, &n);
	err = err == 1 ? exchange(l, f, iov, n, body, until, why) : err ? err : -EPROTO;
	receiver_free(rc);
	return err;
}

static int find_lacking(struct replicator *r, const struct frame *f, const struct frame_hello_ack *a, struct meeting *to)
{
	struct epoch_row *rows;
	struct hello_self self;
	size_t count;
	uint64_t end;
	int err = store_epochs(r->store, &rows, &count, &end);

	if (err)
		return err;
	store_view(r->store, &self.view);
	self.epochs = rows;
	self.count = count;
	if (a->cluster == self.view.cluster)
		to->lacking = hello_lacks(&self, a, f->committed);
	free(rows);
	return 0;
}

static int hear_hello_ack(struct replicator *r, const struct link *l, const struct frame *f, const uint8_t *body, struct meeting *to, char why[LINK_WHY])
{
	struct frame_hello_ack *a = malloc(sizeof *a);
	int err = a ? 0 : -ENOMEM;

	if (!err && (f->type != FRAME_HELLO_ACK || frame_get_hello_ack(a, body, f->length) || strcmp(a->name, l->peer) != 0))
		err = misunderstood(l, why);
	if (!err) {
		to->cluster = a->cluster;
		to->node = a->node;
		to->promise = a->promise;
		to->rules = a->answer != FRAME_REFUSED;
		to->rule = epoch_reign(&f->epoch);
		to->settled = f->flags & FRAME_SETTLED;
		to->copy = f->flags & FRAME_COPY;
		memcpy(to->name, a->name, sizeof to->name);
		memcpy(to->reason, a->reason, sizeof to->reason);
		err = find_lacking(r, f, a, to);
	}
	free(a);
	return err;
}

static int say_promise(struct replicator *r, struct link *l, struct reign reign, struct frame *f, uint8_t *body, int64_t until,
	char why[LINK_WHY])
{
	struct frame_promise p = {.version = FRAME_VERSION};
	struct member_view v;
	struct iovec iov;
	int len;

	store_view(r->store, &v);
	p.cluster = v.cluster;
	p.node = v.node;
	p.last = v.last;
	memcpy(p.name, r->name, sizeof p.name);
	len = frame_put_promise(&p, body, FRAME_TALK);
	*f = (struct frame){.type = FRAME_PROMISE, .epoch = {.reign = reign.number, .node = reign.node}, .pos = v.end, .committed = v.committed};
	iov = (struct iovec){body, (size_t)len};
	return len < 0 ? len : exchange(l, f, &iov, 1, body, until, why);
}

static int hear_promised(const struct link *l, const struct frame *f, const uint8_t *body, struct meeting *to, char why[LINK_WHY])
{
	struct frame_promised *p = malloc(sizeof *p);
	int err = p ? 0 : -ENOMEM;

	if (!err && (f->type != FRAME_PROMISED || frame_get_promised(p, body, f->length) || strcmp(p->name, l->peer) != 0))
		err = misunderstood(l, why);
	if (!err) {
		to->node = p->node;
		to->promise = epoch_reign(&f->epoch);
		to->granted = f->flags & FRAME_GRANTED;
		to->current = f->flags & FRAME_CURRENT;
		to->last = p->last;
		to->end = f->pos;
		memcpy(to->name, p->name, sizeof to->name);
		memcpy(to->reason, p->reason, sizeof to->reason);
	}
	free(p);
	return err;
}

/* REIGN is NULL to say HELLO. */
static int talk_to(struct replicator *r, struct link *l, const struct reign *reign, struct meeting *to, int64_t until, char why[LINK_WHY])
{
	uint8_t *body = malloc(FRAME_TALK);
	struct frame f;
	int err = !body ? -ENOMEM : reign ? say_promise(r, l, *reign, &f, body, until, why) : say_hello(r, l, &f, body, until, why);

	if (!err)
		err = reign ? hear_promised(l, &f, body, to, why) : hear_hello_ack(r, l, &f, body, to, why);
	free(body);
	return err;
}

static uint64_t self_calls(struct replicator *r)
{
	uint64_t n;

	pthread_mutex_lock(&r->lock);
	n = r->self_calls;
	pthread_mutex_unlock(&r->lock);
	return n;
}

static int meet_with(struct replicator *r, const char *address, const struct reign *reign, int64_t ns, struct meeting *to, char why[LINK_WHY])
{
	int64_t until = link_in(ns);
	uint64_t before = self_calls(r);
	struct member_view v;
	struct link *l;
	int err;

	*why = 0;
	memset(to, 0, sizeof *to);
	err = r->o.network->connect(r->o.network, address, r->elsewhere, until, &l, why);
	if (!err) {
		err = talk_to(r, l, reign, to, until, why);
		link_shutdown(l);
		link_close(l);
	}
	store_view(r->store, &v);
	to->self = to->node == v.node && self_calls(r) != before;      /* the call has come before its answer */
	if (err && !*why)
		snprintf(why, LINK_WHY, "%s", strerror(-err));
	return err;
}

int meet(struct replicator *r, const char *address, struct meeting *to, char why[LINK_WHY])
{
	return meet_with(r, address, NULL, MEET_NS, to, why);
}

int meet_ask(struct replicator *r, const char *address, struct reign reign, struct meeting *to, char why[LINK_WHY])
{
	return meet_with(r, address, &reign, MEET_NS, to, why);
}

const char *meet_other(struct replicator *r, const struct member_view *v, int64_t ns, struct meeting *to, char why[LINK_WHY])
{
	snprintf(why, LINK_WHY, "no address of it is known");
	for (const char *address = r->o.network ? r->others : NULL; address; address = address_behind(address))
		if (meet_with(r, address, NULL, ns, to, why) == 0 && v->paired && to->node != v->node && pair_has(&v->pair, to->node))
			return address;
	return NULL;
}
