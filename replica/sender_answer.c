/* SPDX-License-Identifier: Apache-2.0 */
#include "sender_part.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* This node as of one moment. -EAGAIN: an epoch has just begun, and its record is not in the log yet. */
static int look_at_self(struct sender *s, struct hello_self *self, struct epoch_row **rows)
{
	size_t count;
	uint64_t end;
	int err = store_epochs(s->store, rows, &count, &end);

	if (err)
		return err;
	store_view(s->store, &self->view);
	if (!count || epoch_compare(&(*rows)[count - 1].epoch, &self->view.last))
		return -EAGAIN;
	self->count = count;
	self->epochs = *rows;
	return 0;
}

/* The chain at POS. The record there tells it; where it may not be sent yet, that is waited for: -EAGAIN. */
static int find_chain(struct sender *s, const struct member_view *v, uint64_t pos, uint64_t *chain)
{
	struct record r;
	ssize_t n;
	int err;

	*chain = v->chain;
	if (pos == v->end)
		return store_raw(s->store, pos, &s->raw);
	if (pos >= store_sendable(s->store))
		return -EAGAIN;
	err = store_raw(s->store, pos, &s->raw);
	if (err)
		return err;
	n = raw_read(s->raw, store_sendable(s->store), &s->bytes, &s->base);
	if (n == 0 || n == -EBADMSG)
		return sender_damaged(s, pos);
	if (n < 0)
		return (int)n;
	s->left = (size_t)n;
	err = record_decode(&r, store_identity(s->store)->secret, s->bytes, pos);
	*chain = r.prev;
	return err;
}

static int begin_blank(struct sender *s, const struct member_view *v, struct frame_hello_ack *a, uint64_t *pos)
{
	int err;

	if (sender_counts(s, v))
		store_hold(s->store, v->start);        /* before it is looked at what there is */
	err = seed_open(&s->seed, s->store);
	if (!err)
		err = store_raw(s->store, seed_start(s->seed).pos, &s->raw);
	if (err)
		return err;
	s->blank = true;
	*pos = seed_start(s->seed).pos;
	a->chain = seed_start(s->seed).chain;
	raw_expect_chain(s->raw, a->chain);
	a->checkpoint = seed_checkpoint(s->seed, &a->checkpoint_size);
	a->has_secret = true;
	memcpy(a->secret, store_identity(s->store)->secret, RECORD_SECRET);
	pthread_mutex_lock(&s->lock);
	s->blank_end = v->end;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static void say_epochs(const struct greeting *g, const struct hello_self *self, struct frame_hello_ack *a)
{
	const struct frame_epochs *other = &g->hello.epochs;

	hello_say(&a->epochs, self->epochs, self->count, hello_common(self->epochs, self->count, self->view.end, other->of, other->count, g->end));
}

/* What comes of the HELLO, in A. A refusal ends the link when it is said. */
static int judge(struct sender *s, const struct hello_self *self, struct frame_hello_ack *a, uint64_t *pos, enum hello_answer *answer)
{
	struct greeting *g = s->greeting;
	int err;

	*answer = hello_answer(self, &g->hello, g->blank, g->end, pos, a->reason);
	if (g->original[0]) {
		snprintf(a->reason, sizeof a->reason, "the store is a copy of that of %s, which this node follows", g->original);
		*answer = HELLO_REFUSED;
	}
	if (strcmp(g->hello.name, s->peer) != 0) {
		snprintf(a->reason, sizeof a->reason, "the name %s is not that of the certificate, %s", g->hello.name, s->peer);
		*answer = HELLO_REFUSED;
	}
	switch (*answer) {
	case HELLO_ACCEPTED:
		a->answer = FRAME_ACCEPTED;
		err = find_chain(s, &self->view, *pos, &a->chain);
		if (!err && !s->left)
			raw_expect_chain(s->raw, a->chain);
		return err;
	case HELLO_BLANK:
		a->answer = FRAME_BLANK_START;
		return begin_blank(s, &self->view, a, pos);
	default:
		a->answer = FRAME_REFUSED;
		ending_set(&s->ending, *answer == HELLO_DEPOSED ? -ESTALE : -EPERM, ENDING_QUIET, "%s", a->reason);
		return 0;
	}
}

/* Who steps down for the asker's promise rules no more. */
static uint8_t answer_flags(const struct sender *s, const struct member_view *v, enum hello_answer answer)
{
	bool settled = v->role == ROLE_PRIMARY && v->settled && answer != HELLO_DEPOSED;

	return (settled ? FRAME_SETTLED : 0) | (s->greeting->original[0] ? FRAME_COPY : 0);
}

static int put_answer(struct sender *s, const struct hello_self *self, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_hello_ack *a = &s->greeting->ack;
	enum hello_answer answer;
	uint64_t pos;
	int err;

	memset(a, 0, sizeof *a);
	a->version = FRAME_VERSION;
	a->cluster = self->view.cluster;
	a->node = self->view.node;
	a->promise = self->view.promise.reign;
	a->end = self->view.end;
	snprintf(a->name, sizeof a->name, "%s", s->name);
	say_epochs(s->greeting, self, a);
	err = judge(s, self, a, &pos, &answer);
	if (err)
		return err;
	s->epoch = f->epoch = self->view.epoch;
	f->committed = self->view.committed;
	f->flags = answer_flags(s, &self->view, answer);
	if (a->answer != FRAME_REFUSED && sender_counts(s, &self->view))
		store_hold(s->store, pos);
	pthread_mutex_lock(&s->lock);
	s->sent = pos;
	s->state = a->answer == FRAME_BLANK_START ? SENDER_CHECKPOINT : SENDER_LOG;
	pthread_mutex_unlock(&s->lock);
	err = sender_say(s, f, iov, n, FRAME_HELLO_ACK, pos, frame_put_hello_ack(a, s->talk, FRAME_TALK));
	free(s->greeting);
	s->greeting = NULL;
	return err;
}

int sender_answer(struct sender *s, struct frame *f, struct iovec *iov, int *n)
{
	struct epoch_row *rows = NULL;
	struct hello_self self;
	int err = look_at_self(s, &self, &rows);

	if (!err)
		err = put_answer(s, &self, f, iov, n);
	free(rows);
	return err == -EAGAIN ? 0 : err;
}
