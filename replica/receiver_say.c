/* SPDX-License-Identifier: Apache-2.0 */
/* The sending thread of a receiver: HELLO, then ACKs, and what it asks for. */
#include "receiver_part.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int put_hello(struct receiver *r, const struct hello_self *self, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_hello *h = calloc(1, sizeof *h);
	int len;

	if (!h)
		return -ENOMEM;
	h->version = FRAME_VERSION;
	h->cluster = self->view.cluster;
	h->node = self->view.node;
	h->promise = self->view.promise.reign;
	snprintf(h->name, sizeof h->name, "%s", r->name);
	hello_say(&h->epochs, self->epochs, self->count, self->view.known);
	len = frame_put_hello(h, r->talk, FRAME_TALK);
	free(h);
	f->type = FRAME_HELLO;
	f->flags = r->mirror ? FRAME_MIRROR : 0;
	f->epoch = self->view.last;
	f->pos = self->view.end;
	f->committed = self->view.committed;
	iov[0] = (struct iovec){r->talk, (size_t)len};
	*n = 1;
	return len < 0 ? len : 1;
}

static int say_hello(struct receiver *r, struct frame *f, struct iovec *iov, int *n)
{
	struct epoch_row *rows = NULL;
	struct hello_self self;
	int err = receiver_look_at_self(r, &self, &rows);

	if (!err)
		err = put_hello(r, &self, f, iov, n);
	free(rows);
	r->greeted = true;
	return err;
}

/* Under the lock. */
static bool ack_due(const struct receiver *r, const struct member_view *v, int64_t now)
{
	return r->state == RECEIVER_LOG && (r->owed || v->synced != r->acknowledged || v->current != r->current ||
		r->full != r->said_full || now >= r->due);
}

/* Under the lock: what an ACK says is what was looked at, and nothing is acknowledged to a primary whose reign is not the one promised. */
static int put_ack(struct receiver *r, const struct member_view *v, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_ack a = {.received = v->written > v->synced ? v->written : v->synced, .time = r->time};
	int len;

	if (r->said_end && v->synced >= r->said_end) {
		r->messages = r->said_messages;
		r->said_end = 0;
	}
	lag_reach(&r->lag, v->synced);
	a.messages = r->messages;
	r->acknowledged = v->synced;
	r->current = v->current;
	r->said_full = r->full;
	r->owed = false;
	r->due = now + LINK_HEARTBEAT;
	f->type = FRAME_ACK;
	f->flags = (v->current ? FRAME_CURRENT : 0) | (r->full ? FRAME_FULL : 0);
	f->pos = v->synced;
	f->committed = v->committed;
	len = frame_put_ack(&a, r->talk, FRAME_TALK);
	iov[0] = (struct iovec){r->talk, (size_t)len};
	*n = 1;
	return len < 0 ? len : 1;
}

int receiver_check_obedience(struct receiver *r, const struct member_view *v)
{
	if (v->role == ROLE_STANDBY && !reign_compare(v->promise.reign, epoch_reign(&r->epoch)))
		return 0;
	return ending_set(&r->ending, -ESTALE, FRAME_DEPOSED, "this node has promised another reign");
}

/* Under the lock. */
static int put_ask(struct receiver *r, const struct member_view *v, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_switchover body = {.order = FRAME_HAND_OVER};
	int len = frame_put_switchover(&body, r->talk, FRAME_TALK);

	r->asking = false;
	f->type = FRAME_SWITCHOVER;
	f->epoch = r->epoch;
	f->pos = v->end;
	f->committed = v->committed;
	iov[0] = (struct iovec){r->talk, (size_t)len};
	*n = 1;
	return len < 0 ? len : 1;
}

/* An ACK comes first: each is owed once. */
static int say_log(struct receiver *r, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	struct member_view v;
	bool log;
	int err = 0;

	store_view(r->store, &v);
	if (v.failed)                  /* or its primary would take appends that this node can never acknowledge */
		return ending_set(&r->ending, -EIO, FRAME_FAILED, "the log of %s has failed", r->name);
	pthread_mutex_lock(&r->lock);
	if (r->state == RECEIVER_LOG)
		err = receiver_check_obedience(r, &v);
	if (!err && r->asking && r->state == RECEIVER_LOG)
		err = put_ask(r, &v, f, iov, n);
	else if (!err && ack_due(r, &v, now))
		err = put_ack(r, &v, now, f, iov, n);
	log = r->state == RECEIVER_LOG;
	f->epoch = r->epoch;
	pthread_mutex_unlock(&r->lock);
	return err || !log ? err : fetch_next(r->fetch, now, v.known, true, f, iov, n);
}

int receiver_next(struct receiver *r, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	int err;

	memset(f, 0, sizeof *f);
	*n = 0;
	err = ending_say(&r->ending, f, iov, n);
	if (!err)
		err = r->greeted ? say_log(r, now, f, iov, n) : say_hello(r, f, iov, n);
	if (err >= 0)
		return err;
	ending_set(&r->ending, err, FRAME_FAILED, "%s", strerror(-err));
	memset(f, 0, sizeof *f);
	return ending_say(&r->ending, f, iov, n);
}

int64_t receiver_due(struct receiver *r)
{
	int64_t due;

	pthread_mutex_lock(&r->lock);
	due = r->state == RECEIVER_LOG ? r->due : INT64_MAX;
	pthread_mutex_unlock(&r->lock);
	return due;
}
