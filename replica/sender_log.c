/* SPDX-License-Identifier: Apache-2.0 */
#include "sender_part.h"
#include <errno.h>

static int say_segment(struct sender *s, const struct log_start *at, struct frame *f, struct iovec *iov, int *n)
{
	struct frame_segment body = {.chain = at->chain, .epoch = at->epoch, .time = at->time};

	s->begun = at->pos;
	return sender_say(s, f, iov, n, FRAME_SEGMENT, at->pos, frame_put_segment(&body, s->talk, FRAME_TALK));
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
		sender_set_state(s, SENDER_LOG);
		return (int)len;
	}
	err = frame_put_checkpoint(&head, s->talk, FRAME_CHECKPOINT_HEAD);
	s->checkpoint_sent += (uint64_t)len;
	return sender_say(s, f, iov, n, FRAME_CHECKPOINT, pos, err < 0 ? err : err + (int)len);
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
	return sender_say(s, f, iov, n, FRAME_COMMIT, end, frame_put_commit(&body, s->talk, FRAME_TALK));
}

/* Neither keeps the other waiting: where both are due, they take turns. */
int sender_go_on(struct sender *s, const struct member_view *v, int64_t now, struct frame *f, struct iovec *iov, int *n)
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
