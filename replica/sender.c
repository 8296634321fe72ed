/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sides of a link meet here only in `lock`: what has been sent and what came back. All else is the sending thread's, but for
 * `linked`, which is the receiving one's: only who hears an ACK says that the node counts.
 */
#include "sender.h"
#include "ending.h"
#include "fetch.h"
#include "lag.h"
#include "member.h"
#include "seed.h"
#include "store.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What has been heard, until it is answered. */
struct greeting {
	struct frame_hello hello;
	struct frame_hello_ack ack;
	uint64_t end;
	bool blank;
};

struct sender {
	struct store *store;
	char name[FRAME_NAME], peer[FRAME_NAME];
	uint64_t node;                 /* the other one */
	struct epoch epoch;            /* this primary's, of the whole link */
	bool blank;                    /* the other one has no store yet, so that its acknowledgements do not count */
	bool mirror;                   /* it is one, so that they do not either */
	struct ending ending;
	struct fetch *fetch;
	/* the sending thread's */
	struct greeting *greeting;
	struct seed *seed;
	struct raw *raw;
	const uint8_t *bytes;          /* of raw, not sent yet */
	size_t left;
	uint64_t base;                 /* of the segment that they lie in */
	uint64_t begun;                /* base of the last one said */
	bool committed_last;           /* the last frame was a COMMIT */
	bool fetched_last;             /* it was a FETCH or a FETCHED */
	uint64_t committed;            /* as last said */
	uint64_t checkpoint_sent;      /* bytes of its file */
	bool member;
	bool handed_over;              /* and it was said */
	uint8_t *talk;                 /* FRAME_TALK bytes: a body; while a checkpoint is sent, FRAME_BODY */
	/* the receiving thread's */
	bool linked;
	pthread_mutex_t lock;          /* all below */
	enum sender_state state;
	uint64_t sent, acknowledged;
	uint64_t blank_end;
	uint64_t acked_messages;
	bool current;
	bool status_member, status_linked;
	char *refusal;                 /* of an order to hand over, not said yet */
	bool paused;
	int64_t due;                   /* the heartbeat */
	int64_t heard, time_said, round_trip;
	struct lag lag;
};

int sender_new(struct sender **to, struct store *store, const char *name, const char *peer, const struct frame_hello *h, uint8_t flags,
	uint64_t end)
{
	struct sender *s = calloc(1, sizeof *s);

	if (s) {
		s->talk = malloc(FRAME_BODY);
		s->greeting = calloc(1, sizeof *s->greeting);
	}
	if (!s || !s->talk || !s->greeting || fetch_new(&s->fetch, store)) {
		if (s) {
			free(s->talk);
			free(s->greeting);
		}
		free(s);
		return -ENOMEM;
	}
	s->store = store;
	snprintf(s->name, sizeof s->name, "%s", name);
	snprintf(s->peer, sizeof s->peer, "%s", peer);
	s->node = h->node;
	s->greeting->hello = *h;
	s->greeting->blank = flags & FRAME_BLANK;
	s->mirror = flags & FRAME_MIRROR;
	s->greeting->end = end;
	s->begun = UINT64_MAX;
	ending_init(&s->ending);
	pthread_mutex_init(&s->lock, NULL);
	*to = s;
	return 0;
}

/* Is the other node one whose acknowledgements may count? Of the pair, or, while there is none, it may become so. */
static bool counts(const struct sender *s, const struct member_view *v)
{
	return (v->paired && pair_has(&v->pair, s->node)) || (!s->mirror && (!v->paired || v->pair.nodes < PAIR_NODES));
}

void sender_free(struct sender *s)
{
	struct member_view v;

	if (!s)
		return;
	store_view(s->store, &v);
	if (s->linked)
		store_linked(s->store, s->node, false);
	if (counts(s, &v) && !(v.paired && pair_has(&v.pair, s->node)))
		store_hold(s->store, UINT64_MAX);
	seed_close(s->seed);
	raw_close(s->raw);
	fetch_free(s->fetch);
	ending_destroy(&s->ending);
	pthread_mutex_destroy(&s->lock);
	free(s->greeting);
	free(s->refusal);
	free(s->talk);
	free(s);
}

/* A frame of this link's epoch; its body is what TALK has. */
static int say(struct sender *s, struct frame *f, struct iovec *iov, int *n, uint8_t type, uint64_t pos, int len)
{
	f->type = type;
	f->pos = pos;
	iov[0] = (struct iovec){s->talk, (size_t)len};
	*n = 1;
	return len < 0 ? len : 1;
}

static enum sender_state state_of(struct sender *s)
{
	enum sender_state state;

	pthread_mutex_lock(&s->lock);
	state = s->state;
	pthread_mutex_unlock(&s->lock);
	return state;
}

static void set_state(struct sender *s, enum sender_state state)
{
	pthread_mutex_lock(&s->lock);
	s->state = state;
	s->paused = false;
	pthread_mutex_unlock(&s->lock);
}

static bool is_paused(struct sender *s)
{
	bool is;

	pthread_mutex_lock(&s->lock);
	is = s->paused;
	pthread_mutex_unlock(&s->lock);
	return is;
}

/* ---- ANSWER ---- */

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
	self->count = count < FRAME_EPOCHS ? count : FRAME_EPOCHS;
	self->epochs = *rows + (count - self->count);
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
	if (n <= 0)
		return n ? (int)n : -EBADMSG;
	s->left = (size_t)n;
	err = record_decode(&r, store_identity(s->store)->secret, s->bytes, pos);
	*chain = r.prev;
	return err;
}

static int begin_blank(struct sender *s, const struct member_view *v, struct frame_hello_ack *a, uint64_t *pos)
{
	int err;

	if (counts(s, v))
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

/* What comes of the HELLO, in A. A refusal ends the link when it is said. */
static int judge(struct sender *s, const struct hello_self *self, struct frame_hello_ack *a, uint64_t *pos)
{
	struct greeting *g = s->greeting;
	enum hello_answer answer = hello_answer(self, &g->hello, g->blank, g->end, pos, a->reason);
	int err;

	if (strcmp(g->hello.name, s->peer) != 0) {
		snprintf(a->reason, sizeof a->reason, "the name %s is not that of the certificate, %s", g->hello.name, s->peer);
		answer = HELLO_REFUSED;
	}
	switch (answer) {
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
		ending_set(&s->ending, answer == HELLO_DEPOSED ? -ESTALE : -EPERM, ENDING_QUIET, "%s", a->reason);
		return 0;
	}
}

static int put_answer(struct sender *s, const struct hello_self *self, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_hello_ack *a = &s->greeting->ack;
	uint64_t pos;
	int err;

	memset(a, 0, sizeof *a);
	a->version = FRAME_VERSION;
	a->cluster = self->view.cluster;
	a->node = self->view.node;
	a->promise = self->view.promise.reign;
	a->end = self->view.end;
	snprintf(a->name, sizeof a->name, "%s", s->name);
	a->epochs.count = (uint32_t)self->count;
	memcpy(a->epochs.of, self->epochs, self->count * sizeof *self->epochs);
	err = judge(s, self, a, &pos);
	if (err)
		return err;
	s->epoch = f->epoch = self->view.epoch;
	if (a->answer != FRAME_REFUSED && counts(s, &self->view))
		store_hold(s->store, pos);
	pthread_mutex_lock(&s->lock);
	s->sent = pos;
	s->state = a->answer == FRAME_BLANK_START ? SENDER_CHECKPOINT : SENDER_LOG;
	pthread_mutex_unlock(&s->lock);
	err = say(s, f, iov, n, FRAME_HELLO_ACK, pos, frame_put_hello_ack(a, s->talk, FRAME_TALK));
	free(s->greeting);
	s->greeting = NULL;
	return err;
}

static int answer(struct sender *s, struct frame *f, struct iovec *iov, int *n)
{
	struct epoch_row *rows = NULL;
	struct hello_self self;
	int err = look_at_self(s, &self, &rows);

	if (!err)
		err = put_answer(s, &self, f, iov, n);
	free(rows);
	return err == -EAGAIN ? 0 : err;
}

/* ---- CHECKPOINT and LOG ---- */

static int say_segment(struct sender *s, const struct log_start *at, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_segment body = {.chain = at->chain, .epoch = at->epoch, .time = at->time};

	s->begun = at->pos;
	return say(s, f, iov, n, FRAME_SEGMENT, at->pos, frame_put_segment(&body, s->talk, FRAME_TALK));
}

/* First where the log begins, since the other side's store is begun with it; then the file. */
static int send_checkpoint(struct sender *s, struct frame *f, struct iovec *iov, int *n)
{
	struct log_start start = seed_start(s->seed);
	struct frame_checkpoint head = {0};
	uint64_t pos = seed_checkpoint(s->seed, &head.size);
	ssize_t len;
	int err;

	if (s->begun != start.pos)
		return say_segment(s, &start, f, iov, n);
	head.offset = s->checkpoint_sent;
	len = seed_read(s->seed, s->talk + FRAME_CHECKPOINT_HEAD, FRAME_BODY - FRAME_CHECKPOINT_HEAD);
	if (len <= 0) {
		set_state(s, SENDER_LOG);
		return (int)len;
	}
	err = frame_put_checkpoint(&head, s->talk, FRAME_CHECKPOINT_HEAD);
	s->checkpoint_sent += (uint64_t)len;
	return say(s, f, iov, n, FRAME_CHECKPOINT, pos, err < 0 ? err : err + (int)len);
}

/* The next bytes of the log; 0: there are none. */
static int send_records(struct sender *s, struct frame *f, struct iovec *iov, int *n)
{
	uint64_t pos = s->sent;
	struct log_start at;
	ssize_t got = 0;
	size_t len;
	int err;

	if (!s->left) {
		got = raw_read(s->raw, store_sendable(s->store), &s->bytes, &s->base);
		if (got <= 0)
			return (int)got;
		s->left = (size_t)got;
	}
	if (pos == s->base && s->begun != pos) {
		err = seed_segment(s->store, s->base, &at);
		return err ? err : say_segment(s, &at, f, iov, n);
	}
	len = s->left < FRAME_BODY ? s->left : FRAME_BODY;
	f->type = FRAME_RECORDS;
	f->pos = pos;
	iov[0] = (struct iovec){(void *)s->bytes, len};
	*n = 1;
	s->bytes += len;
	s->left -= len;
	pthread_mutex_lock(&s->lock);
	s->sent = pos + len;
	pthread_mutex_unlock(&s->lock);
	return 1;
}

/* The pair's record is committed, so that whoever is current has it. */
static bool is_member(const struct sender *s, const struct member_view *v)
{
	return !s->blank && v->settled && v->paired && v->pair_committed && pair_has(&v->pair, s->node);
}

static bool commit_due(struct sender *s, const struct member_view *v, int64_t now)
{
	return v->committed != s->committed || is_member(s, v) != s->member || now >= sender_due(s);
}

static int say_commit(struct sender *s, const struct member_view *v, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_commit body = {.time = now, .messages = v->messages};
	uint64_t end = v->end > v->committed ? v->end : v->committed;    /* both came from one look at the log, but not at the same moment */

	s->committed = v->committed;
	s->member = is_member(s, v);
	s->committed_last = true;
	if (s->member)
		f->flags = FRAME_MEMBER;
	f->committed = v->committed;
	pthread_mutex_lock(&s->lock);
	s->status_member = s->member;
	s->time_said = now;
	s->due = now + LINK_HEARTBEAT;
	if (end > s->acknowledged)
		lag_mark(&s->lag, now, end);
	pthread_mutex_unlock(&s->lock);
	return say(s, f, iov, n, FRAME_COMMIT, end, frame_put_commit(&body, s->talk, FRAME_TALK));
}

/* Neither keeps the other waiting: where both are due, they take turns. */
static int go_on(struct sender *s, const struct member_view *v, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	bool due = commit_due(s, v, now);
	int err = 0;

	if (s->state == SENDER_CHECKPOINT)
		err = send_checkpoint(s, f, iov, n);
	if (!err && s->state == SENDER_LOG && (!due || s->committed_last)) {
		s->committed_last = false;
		err = send_records(s, f, iov, n);
	}
	if (err || !due || s->state != SENDER_LOG)
		return err;
	return say_commit(s, v, now, f, iov, n);
}

/* ---- SWITCHOVER ---- */

/* 0: there is nothing to say of it. */
static int say_switchover(struct sender *s, enum sender_state state, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_switchover body = {.order = FRAME_TAKE_OVER};
	struct member_view v;
	bool refused = false;

	pthread_mutex_lock(&s->lock);
	if (s->refusal) {
		refused = true;
		body.order = FRAME_HAND_OVER_REFUSED;
		snprintf(body.reason, sizeof body.reason, "%s", s->refusal);
		free(s->refusal);
		s->refusal = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (!refused && (state != SENDER_HANDED_OVER || s->handed_over))
		return 0;
	if (!refused)
		s->handed_over = true;
	store_view(s->store, &v);
	f->committed = v.committed;
	return say(s, f, iov, n, FRAME_SWITCHOVER, v.end, frame_put_switchover(&body, s->talk, FRAME_TALK));
}

/* ---- FETCH ---- */

/* Damage is asked for, and answered for, below what the other node has acknowledged. */
static int say_fetch(struct sender *s, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	uint64_t upto;

	if (state_of(s) != SENDER_LOG || s->blank)
		return 0;
	pthread_mutex_lock(&s->lock);
	upto = s->acknowledged;
	pthread_mutex_unlock(&s->lock);
	return fetch_next(s->fetch, now, upto, f, iov, n);
}

/* The log and what is fetched take turns as well. */
static int take_turns(struct sender *s, const struct member_view *v, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	bool fetch = !s->fetched_last;
	int err = fetch ? say_fetch(s, now, f, iov, n) : 0;

	s->fetched_last = fetch && err > 0;
	if (!err)
		err = go_on(s, v, now, f, iov, n);
	if (!err && !fetch)
		err = say_fetch(s, now, f, iov, n);
	return err;
}

/* ---- the sending thread ---- */

static int next(struct sender *s, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	enum sender_state state = state_of(s);
	struct member_view v;
	int err;

	if (state == SENDER_ANSWER)
		return answer(s, f, iov, n);
	if (is_paused(s))
		return 0;
	err = say_switchover(s, state, f, iov, n);
	if (err || state == SENDER_HANDED_OVER)
		return err;
	store_view(s->store, &v);
	if (is_paused(s))              /* meanwhile: it steps down to hand over */
		return 0;
	if (v.role != ROLE_PRIMARY || epoch_compare(&v.epoch, &s->epoch))
		return ending_set(&s->ending, -EROFS, FRAME_DEPOSED, "the reign of this node has ended");
	err = take_turns(s, &v, now, f, iov, n);
	if (err == -ENODATA)
		return ending_set(&s->ending, err, FRAME_FAILED, "the log from position %" PRIu64 " on is not kept any more", s->sent);
	return err;
}

int sender_next(struct sender *s, int64_t now, struct frame *f, struct iovec iov[SENDER_PARTS], int *n)
{
	int err;

	memset(f, 0, sizeof *f);
	f->epoch = s->epoch;
	*n = 0;
	err = ending_say(&s->ending, f, iov, n);
	if (err)
		return err;
	err = next(s, now, f, iov, n);
	if (err >= 0)
		return err;
	ending_set(&s->ending, err, FRAME_FAILED, "%s", strerror(-err));
	memset(f, 0, sizeof *f);
	f->epoch = s->epoch;
	return ending_say(&s->ending, f, iov, n);
}

int64_t sender_due(struct sender *s)
{
	int64_t due;

	pthread_mutex_lock(&s->lock);
	due = s->state == SENDER_HANDED_OVER || s->paused ? INT64_MAX : s->due;
	pthread_mutex_unlock(&s->lock);
	return due;
}

/* ---- the receiving thread ---- */

/* Under the lock: is this an ACK of what was sent here, and not behind the last one? */
static bool sound(const struct sender *s, const struct frame *f, const struct frame_ack *a)
{
	return s->state != SENDER_ANSWER && !epoch_compare(&f->epoch, &s->epoch) && f->pos >= s->acknowledged && f->pos <= a->received &&
		a->received <= s->sent;
}

/* Under the lock. */
static void note(struct sender *s, int64_t now, const struct frame *f, const struct frame_ack *a)
{
	s->acknowledged = f->pos;
	lag_reach(&s->lag, f->pos);
	s->acked_messages = a->messages;
	s->current = f->flags & FRAME_CURRENT;
	if (a->time && a->time == s->time_said) {
		s->round_trip = now - a->time;
		s->time_said = 0;
	}
}

/* It counts from when it has nearly all: until then nobody would want to wait for it. */
static void count(struct sender *s, const struct frame *f)
{
	struct member_view v;
	bool counted;

	store_view(s->store, &v);
	counted = counts(s, &v);
	if (s->linked != (counted && (s->linked || v.end - f->pos <= SENDER_NEAR))) {
		s->linked = !s->linked;
		store_linked(s->store, s->node, s->linked);
		pthread_mutex_lock(&s->lock);
		s->status_linked = s->linked;
		pthread_mutex_unlock(&s->lock);
	}
	if (!counted)
		return;
	store_hold(s->store, f->pos);
	store_acknowledged(s->store, s->node, f->pos, f->flags & FRAME_CURRENT);
}

static int hear_ack(struct sender *s, int64_t now, const struct frame *f, const void *body)
{
	struct frame_ack a;
	bool is;
	int err = frame_get_ack(&a, body, f->length);

	if (err)
		return ending_set(&s->ending, err, FRAME_DAMAGED, "an ACK that is none came");
	pthread_mutex_lock(&s->lock);
	is = sound(s, f, &a);
	if (is)
		note(s, now, f, &a);
	pthread_mutex_unlock(&s->lock);
	if (!is)
		return ending_set(&s->ending, -EPROTO, FRAME_UNEXPECTED, "an ACK up to %" PRIu64 " came, out of order", f->pos);
	if (!s->blank)
		count(s, f);
	return 0;
}

static int hear_switchover(struct sender *s, const struct frame *f, const void *body)
{
	struct frame_switchover order;
	int err = frame_get_switchover(&order, body, f->length);

	if (err)
		return ending_set(&s->ending, err, FRAME_DAMAGED, "a SWITCHOVER that is none came");
	if (order.order != FRAME_HAND_OVER || state_of(s) == SENDER_ANSWER || epoch_compare(&f->epoch, &s->epoch))
		return ending_set(&s->ending, -EPROTO, FRAME_UNEXPECTED, "a SWITCHOVER came, out of order");
	return 1;
}

static int hear_fetch(struct sender *s, const struct frame *f, const void *body)
{
	int err = epoch_compare(&f->epoch, &s->epoch) ? -EPROTO : fetch_hear(s->fetch, f, body);

	if (!err)
		return 0;
	return ending_set(&s->ending, err, FRAME_UNEXPECTED, "a frame %s at %" PRIu64 " came, which has no place here", frame_type_name(f->type), f->pos);
}

int sender_hear(struct sender *s, int64_t now, const struct frame *f, const void *body)
{
	pthread_mutex_lock(&s->lock);
	s->heard = now;
	pthread_mutex_unlock(&s->lock);
	if (f->type == FRAME_ACK)
		return hear_ack(s, now, f, body);
	if (f->type == FRAME_SWITCHOVER)
		return hear_switchover(s, f, body);
	if (f->type == FRAME_FETCH || f->type == FRAME_FETCHED)
		return hear_fetch(s, f, body);
	if (f->type == FRAME_ERROR)
		return ending_heard(&s->ending, f, body);
	return ending_set(&s->ending, -EPROTO, FRAME_UNEXPECTED, "a frame %s came, which has no place here", frame_type_name(f->type));
}

void sender_pause(struct sender *s, bool pause)
{
	pthread_mutex_lock(&s->lock);
	s->paused = pause;
	pthread_mutex_unlock(&s->lock);
	progress_moved(store_progress(s->store));
}

void sender_hand_over(struct sender *s)
{
	set_state(s, SENDER_HANDED_OVER);
	progress_moved(store_progress(s->store));
}

void sender_stop(struct sender *s)
{
	ending_set(&s->ending, -ESHUTDOWN, FRAME_STOPPING, "%s stops", s->name);
	progress_moved(store_progress(s->store));
}

void sender_refuse(struct sender *s, const char *reason)
{
	pthread_mutex_lock(&s->lock);
	if (!s->refusal)
		s->refusal = strdup(reason);
	pthread_mutex_unlock(&s->lock);
	progress_moved(store_progress(s->store));
}

void sender_status(struct sender *s, struct sender_status *to)
{
	struct member_view v;

	store_view(s->store, &v);
	memset(to, 0, sizeof *to);
	to->node = s->node;
	memcpy(to->name, s->peer, sizeof to->name);
	to->end = v.end;
	pthread_mutex_lock(&s->lock);
	to->state = s->state;
	to->member = s->status_member;
	to->linked = s->status_linked;
	to->current = s->current;
	to->mirror = s->mirror;
	to->blank = s->blank;
	to->sent = s->sent;
	to->acknowledged = s->acknowledged;
	to->messages = v.messages > s->acked_messages ? v.messages - s->acked_messages : 0;
	to->heard = s->heard;
	to->round_trip = s->round_trip;
	to->behind_since = lag_since(&s->lag);
	to->blank_end = s->blank_end;
	pthread_mutex_unlock(&s->lock);
}

void sender_why(struct sender *s, char to[FRAME_REASON])
{
	ending_why(&s->ending, to);
}
