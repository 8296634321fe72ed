/* SPDX-License-Identifier: Apache-2.0 */
#include "receiver_part.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int receiver_new(struct receiver **to, struct store *store, const char *name, const char *peer)
{
	struct receiver *r = calloc(1, sizeof *r);

	if (r)
		r->talk = malloc(FRAME_TALK);
	if (!r || !r->talk || fetch_new(&r->fetch, store)) {
		if (r)
			free(r->talk);
		free(r);
		return -ENOMEM;
	}
	r->store = store;
	snprintf(r->name, sizeof r->name, "%s", name);
	snprintf(r->peer, sizeof r->peer, "%s", peer);
	ending_init(&r->ending);
	pthread_mutex_init(&r->lock, NULL);
	*to = r;
	return 0;
}

void receiver_free(struct receiver *r)
{
	if (!r)
		return;
	ending_destroy(&r->ending);
	pthread_mutex_destroy(&r->lock);
	pieces_free(&r->pieces);
	fetch_free(r->fetch);
	free(r->talk);
	free(r);
}

int receiver_look_at_self(struct receiver *r, struct hello_self *self, struct epoch_row **rows)
{
	size_t count;
	uint64_t end;
	int err = store_epochs(r->store, rows, &count, &end);

	if (err)
		return err;
	store_view(r->store, &self->view);
	self->count = count;
	self->epochs = *rows;
	return 0;
}

/* ---- the receiving thread: HELLO_ACK ---- */

static int check_speaker(struct receiver *r, const struct frame *f, const struct frame_hello_ack *a)
{
	if (strcmp(a->name, r->peer) != 0)
		return ending_set(&r->ending, -EPROTO, FRAME_UNEXPECTED, "the name %s is not that of the certificate, %s", a->name, r->peer);
	if (a->answer == FRAME_REFUSED)
		return ending_set(&r->ending, -ECONNREFUSED, ENDING_QUIET, "%s", a->reason);
	if (f->epoch.node != a->node)
		return ending_set(&r->ending, -EPROTO, FRAME_UNEXPECTED, "the epoch is not of the node that speaks");
	return 0;
}

/* -ENODATA: the log is given up. */
static int give_up(struct receiver *r, const struct hello_self *self, const struct frame *f, const struct frame_hello_ack *a)
{
	char reason[FRAME_REASON];
	int err = hello_obeys(&self->view, a->node, epoch_reign(&f->epoch)) ? 0 : -ESTALE;

	if (err)
		return ending_set(&r->ending, err, FRAME_UNEXPECTED, "its reign %" PRIu32 " is not one that this node may follow", f->epoch.reign);
	err = hello_give_up(self, a, f->pos, &r->aside, reason);
	if (err)
		return ending_set(&r->ending, err, FRAME_UNEXPECTED, "%s", reason);
	return ending_set(&r->ending, -ENODATA, ENDING_QUIET, "%s", a->reason);
}

/* In this order, each durable before the next: the promise is an answer that no other primary may get any more, and the cut gives up what
 * only that one's predecessors had. */
static int obey(struct receiver *r, const struct frame *f, const struct frame_hello_ack *a)
{
	struct epoch_row *rows = NULL;
	struct hello_self self;
	char reason[FRAME_REASON];
	int err = receiver_look_at_self(r, &self, &rows);

	if (!err && a->answer == FRAME_BLANK_START) {
		err = give_up(r, &self, f, a);
	} else if (!err) {
		err = hello_accept(&self, a, &f->epoch, f->pos, reason);
		r->aside = f->pos;
		if (err)
			ending_set(&r->ending, err, FRAME_UNEXPECTED, "%s", reason);
	}
	free(rows);
	if (!err)
		err = store_promise(r->store, epoch_reign(&f->epoch));
	return err ? err : store_cut(r->store, f->pos, a->chain);
}

static int receive(void *ctx, const uint8_t *bytes, size_t len, uint64_t base, size_t *took)
{
	struct receiver *r = ctx;

	return store_receive(r->store, bytes, len, base, &r->epoch, took);
}

static int hear_answer(struct receiver *r, const struct frame *f, const void *body)
{
	struct frame_hello_ack *a = malloc(sizeof *a);
	int err = a ? frame_get_hello_ack(a, body, f->length) : -ENOMEM;

	if (!err)
		err = check_speaker(r, f, a);
	if (!err)
		err = obey(r, f, a);
	if (!err) {
		pieces_begin(&r->pieces, store_identity(r->store)->secret, receive, r, f->pos);
		pthread_mutex_lock(&r->lock);
		r->node = a->node;
		r->epoch = f->epoch;
		r->primary_end = a->end;
		r->owed = true;
		r->state = RECEIVER_LOG;
		pthread_mutex_unlock(&r->lock);
	}
	free(a);
	return err;
}

/* ---- the receiving thread: the log ---- */

static int hear_segment(struct receiver *r, const struct frame *f, const void *body)
{
	struct frame_segment segment;
	struct member_view v;
	int err = frame_get_segment(&segment, body, f->length);

	if (err)
		return err;
	store_view(r->store, &v);
	return segment.chain == v.chain ? pieces_segment(&r->pieces, f->pos) : -EPROTO;
}

/* What has come is known to be there, also while it cannot be taken. */
static void note_records(struct receiver *r, uint64_t end, bool full)
{
	pthread_mutex_lock(&r->lock);
	r->full = full;
	if (end > r->primary_end) {
		r->primary_end = end;
		lag_mark(&r->lag, r->heard, end);
	}
	pthread_mutex_unlock(&r->lock);
}

static int hear_records(struct receiver *r, const struct frame *f, const void *body)
{
	struct member_view v;
	int err;

	store_view(r->store, &v);
	err = receiver_check_obedience(r, &v);
	if (!err) {
		err = pieces_add(&r->pieces, f, body);
		note_records(r, f->pos + f->length, disk_error_full(err));
	}
	return pieces_heals(err) ? 1 : err;
}

static int hear_commit(struct receiver *r, const struct frame *f, const void *body)
{
	struct frame_commit c;
	int err = frame_get_commit(&c, body, f->length);

	if (err)
		return err;
	if (f->committed > f->pos || f->pos < r->pieces.end || f->pos < r->primary_end || f->committed < r->committed)
		return -EPROTO;
	r->committed = f->committed;
	store_announce(r->store, f->committed, f->flags & FRAME_MEMBER);
	pthread_mutex_lock(&r->lock);
	r->time = c.time;
	r->owed = true;
	r->primary_end = f->pos;
	if (!r->said_end) {
		r->said_end = f->pos;
		r->said_messages = c.messages;
	}
	r->primary_messages = c.messages;
	if (f->pos > r->acknowledged)
		lag_mark(&r->lag, r->heard, f->pos);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

/* ---- the receiving thread: SWITCHOVER ---- */

/* What the primary hands over is all on this disk, or it would not have. */
static int hear_switchover(struct receiver *r, const struct frame *f, const void *body)
{
	struct frame_switchover order;
	struct member_view v;
	int err = frame_get_switchover(&order, body, f->length);

	if (err)
		return err;
	store_view(r->store, &v);
	if (order.order == FRAME_HAND_OVER_REFUSED) {
		pthread_mutex_lock(&r->lock);
		memcpy(r->refusal, order.reason, sizeof r->refusal);
		pthread_mutex_unlock(&r->lock);
		return RECEIVER_REFUSED;
	}
	if (order.order != FRAME_TAKE_OVER || f->pos != v.end || v.synced != v.end || f->committed != v.end)
		return -EPROTO;
	store_announce(r->store, f->committed, false);
	return RECEIVER_TAKE_OVER;
}

/* ---- the receiving thread ---- */

static int hear(struct receiver *r, const struct frame *f, const void *body)
{
	if (r->state == RECEIVER_HELLO)
		return f->type == FRAME_HELLO_ACK && r->greeted ? hear_answer(r, f, body) : -EPROTO;
	if (epoch_compare(&f->epoch, &r->epoch))
		return ending_set(&r->ending, -EPROTO, FRAME_DEPOSED, "a frame of another epoch came, of reign %" PRIu32, f->epoch.reign);
	switch (f->type) {
	case FRAME_SEGMENT:
		return hear_segment(r, f, body);
	case FRAME_RECORDS:
		return hear_records(r, f, body);
	case FRAME_COMMIT:
		return hear_commit(r, f, body);
	case FRAME_SWITCHOVER:
		return hear_switchover(r, f, body);
	case FRAME_FETCH:
	case FRAME_FETCHED:
		return fetch_hear(r->fetch, f, body);
	default:
		return -EPROTO;
	}
}

/* What it could not use it says in words of its own, where nothing better was said before. */
static void explain(struct receiver *r, int err, const struct frame *f)
{
	const char *type = frame_type_name(f->type);

	if (err == -EPROTO)
		ending_set(&r->ending, err, FRAME_UNEXPECTED, "a frame %s at %" PRIu64 " came, which has no place here", type, f->pos);
	else if (err == -EBADMSG)
		ending_set(&r->ending, err, FRAME_DAMAGED, "a frame %s at %" PRIu64 " came, whose content is not valid here", type, f->pos);
	else if (err == -EPROTONOSUPPORT)
		ending_set(&r->ending, err, FRAME_UNEXPECTED, "the other side speaks another version of the protocol");
	else
		ending_set(&r->ending, err, FRAME_FAILED, "%s", strerror(-err));
}

int receiver_hear(struct receiver *r, int64_t now, const struct frame *f, const void *body)
{
	int err;

	pthread_mutex_lock(&r->lock);
	r->heard = now;
	pthread_mutex_unlock(&r->lock);
	err = f->type == FRAME_ERROR ? ending_heard(&r->ending, f, body) : hear(r, f, body);
	if (err < 0)
		explain(r, err, f);
	progress_moved(store_progress(r->store));
	return err;
}

uint64_t receiver_aside(const struct receiver *r)
{
	return r->aside;
}

void receiver_mirror(struct receiver *r)
{
	r->mirror = true;
}

void receiver_stop(struct receiver *r)
{
	ending_set(&r->ending, -ESHUTDOWN, FRAME_STOPPING, "%s stops", r->name);
	progress_moved(store_progress(r->store));
}

void receiver_ask(struct receiver *r)
{
	pthread_mutex_lock(&r->lock);
	r->asking = true;
	pthread_mutex_unlock(&r->lock);
	progress_moved(store_progress(r->store));
}

void receiver_status(struct receiver *r, struct receiver_status *to)
{
	struct member_view v;

	store_view(r->store, &v);
	memset(to, 0, sizeof *to);
	memcpy(to->name, r->peer, sizeof to->name);
	to->received = v.written;
	to->synced = v.synced;
	to->committed = v.committed;
	pthread_mutex_lock(&r->lock);
	to->node = r->node;
	to->accepted = r->state == RECEIVER_LOG;
	to->epoch = r->epoch;
	to->primary_end = r->primary_end;
	to->full = r->full;
	to->heard = r->heard;
	lag_reach(&r->lag, v.synced);
	to->behind_since = lag_since(&r->lag);
	to->messages = to->primary_end > v.synced && r->messages ? r->primary_messages - r->messages : 0;
	pthread_mutex_unlock(&r->lock);
	ending_why(&r->ending, to->why);
}

void receiver_spoilt(struct receiver *r, int err)
{
	ending_set(&r->ending, err, FRAME_DAMAGED, "what came is no frame, or was changed on its way");
	progress_moved(store_progress(r->store));
}

void receiver_why(struct receiver *r, char to[FRAME_REASON])
{
	pthread_mutex_lock(&r->lock);
	memcpy(to, r->refusal, sizeof r->refusal);
	pthread_mutex_unlock(&r->lock);
	if (!to[0])
		ending_why(&r->ending, to);
}
