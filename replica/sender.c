/* SPDX-License-Identifier: Apache-2.0 */
#include "sender_part.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void sender_copy(struct sender *s, const char *original)
{
	snprintf(s->greeting->original, sizeof s->greeting->original, "%s", original);
}

bool sender_counts(const struct sender *s, const struct member_view *v)
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
	if (sender_counts(s, &v) && !(v.paired && pair_has(&v.pair, s->node)))
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

int sender_say(struct sender *s, struct frame *f, struct iovec *iov, int *n, uint8_t type, uint64_t pos, int len)
{
	f->type = type;
	f->pos = pos;
	iov[0] = (struct iovec){s->talk, (size_t)len};
	*n = 1;
	return len < 0 ? len : 1;
}

enum sender_state sender_state(struct sender *s)
{
	enum sender_state state;

	pthread_mutex_lock(&s->lock);
	state = s->state;
	pthread_mutex_unlock(&s->lock);
	return state;
}

void sender_set_state(struct sender *s, enum sender_state state)
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

int sender_damaged(struct sender *s, uint64_t pos)
{
	return ending_set(&s->ending, -EBADMSG, FRAME_FAILED, "the log is damaged at position %" PRIu64, pos);
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
	return sender_say(s, f, iov, n, FRAME_SWITCHOVER, v.end, frame_put_switchover(&body, s->talk, FRAME_TALK));
}

/* ---- FETCH ---- */

/* Damage is asked for, and answered for, below what the other node has acknowledged. What a mirror has not, the pair's other node may have. */
static int say_fetch(struct sender *s, const struct member_view *v, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	bool last = !v->paired || v->pair.nodes < PAIR_NODES || pair_has(&v->pair, s->node);
	uint64_t upto;

	if (sender_state(s) != SENDER_LOG || s->blank)
		return 0;
	pthread_mutex_lock(&s->lock);
	upto = s->acknowledged;
	pthread_mutex_unlock(&s->lock);
	return fetch_next(s->fetch, now, upto, last, f, iov, n);
}

/* The log and what is fetched take turns as well. */
static int take_turns(struct sender *s, const struct member_view *v, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	bool fetch = !s->fetched_last;
	int err = fetch ? say_fetch(s, v, now, f, iov, n) : 0;

	s->fetched_last = fetch && err > 0;
	if (!err)
		err = sender_go_on(s, v, now, f, iov, n);
	if (!err && !fetch)
		err = say_fetch(s, v, now, f, iov, n);
	return err;
}

/* ---- the sending thread ---- */

static int next(struct sender *s, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	enum sender_state state = sender_state(s);
	struct member_view v;
	int err;

	if (state == SENDER_ANSWER)
		return sender_answer(s, f, iov, n);
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
	if (err == -EBADMSG)
		return sender_damaged(s, s->sent);
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

/* A frame for each append costs both nodes more than the append did. So much later a standby is that nobody waits for, and so much more may be lost
 * with its primary. */
#define GATHER_NS 2000000
#define GATHERED (256u << 10)              /* bytes of log that are worth a frame at once */

/* Does no commit need its acknowledgement? */
static bool is_unhurried(const struct sender *s, const struct member_view *v)
{
	return v->settled && v->paired && v->pair_committed && (!v->pair.min_standbys || !pair_has(&v->pair, s->node));
}

int64_t sender_rest(struct sender *s, const struct frame *sent)
{
	struct member_view v;

	if (sent->type != FRAME_RECORDS || store_sendable(s->store) - s->sent >= GATHERED)
		return 0;
	store_view(s->store, &v);
	return is_unhurried(s, &v) ? GATHER_NS : 0;
}

int64_t sender_due(struct sender *s)
{
	int64_t due;

	pthread_mutex_lock(&s->lock);
	due = s->state == SENDER_ANSWER || s->state == SENDER_HANDED_OVER || s->paused ? INT64_MAX : s->due;
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
	s->full = f->flags & FRAME_FULL;
	if (a->time && a->time == s->time_said) {
		s->round_trip = now - a->time;
		s->time_said = 0;
	}
}

/* It counts from when it has nearly all: until then nobody would want to wait for it. */
static void count(struct sender *s, const struct frame *f)
{
	struct member_view v;
	bool counted, linked;

	store_view(s->store, &v);
	counted = sender_counts(s, &v);
	linked = counted && (s->linked || v.end - f->pos <= SENDER_NEAR);
	if (s->linked != linked && store_linked(s->store, s->node, linked)) {
		s->linked = linked;
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
	if (order.order != FRAME_HAND_OVER || sender_state(s) == SENDER_ANSWER || epoch_compare(&f->epoch, &s->epoch))
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

void sender_spoilt(struct sender *s, int err)
{
	ending_set(&s->ending, err, FRAME_DAMAGED, "what came is no frame, or was changed on its way");
	progress_moved(store_progress(s->store));
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
	sender_set_state(s, SENDER_HANDED_OVER);
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
	to->full = s->full;
	to->unheld = s->status_member && v.unheld;
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
