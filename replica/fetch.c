/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"
#include "member.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct fetch {
	struct store *store;
	/* the sending thread's: answers */
	struct raw *raw;               /* what BYTES are of; NULL: there are none */
	const uint8_t *bytes;          /* verified, not sent yet */
	size_t left;
	uint64_t at;                   /* position of these */
	/* the sending thread's: which question comes next */
	uint64_t cursor;               /* spans before it were asked for */
	uint64_t news;                 /* store_damage_news() when this round began */
	int64_t rest;                  /* no other round until then */
	uint8_t talk[4];               /* the body of a FETCH */
	pthread_mutex_t lock;          /* all below */
	bool owed;                     /* an answer: LEN bytes from POS on */
	uint64_t pos;
	uint32_t len;
	uint8_t *span_bytes;           /* room for the span that is asked for; NULL: none is */
	struct span span;
	uint64_t got;                  /* bytes of it */
	uint32_t asked;                /* bytes, and no answer yet; 0: nothing */
	bool absent;                   /* the other side has no more of it */
};

int fetch_new(struct fetch **to, struct store *store)
{
	struct fetch *f = calloc(1, sizeof *f);

	if (!f)
		return -ENOMEM;
	f->store = store;
	pthread_mutex_init(&f->lock, NULL);
	*to = f;
	return 0;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	raw_close(f->raw);
	free(f->span_bytes);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- answers ---- */

static void forget_bytes(struct fetch *f)
{
	raw_close(f->raw);
	f->raw = NULL;
	f->left = 0;
}

/* Verified bytes from POS on: f->left of them, 0 where there are none. An error says nothing of whether there are. */
static int read_bytes(struct fetch *f, uint64_t pos)
{
	uint64_t base;
	ssize_t n;

	if (f->left && f->at == pos)
		return 0;
	forget_bytes(f);
	n = store_raw(f->store, pos, &f->raw);
	if (!n)
		n = raw_read(f->raw, store_sendable(f->store), &f->bytes, &base);
	f->left = n > 0 ? (size_t)n : 0;
	f->at = pos;
	if (!f->left)
		forget_bytes(f);
	return disk_error_passes((int)n) ? (int)n : 0;
}

static void put_answer(struct fetch *f, uint64_t pos, uint32_t len, struct frame *to, struct iovec *iov, int *n)
{
	to->type = FRAME_FETCHED;
	to->pos = pos;
	if (!f->left) {
		to->flags = FRAME_ABSENT;
		return;
	}
	if (len > f->left)
		len = (uint32_t)f->left;
	iov[0] = (struct iovec){(void *)f->bytes, len};
	*n = 1;
	f->bytes += len;
	f->left -= len;
	f->at += len;
}

/* 0: none is owed, or none can be given now. "Absent" is final for who hears it, so it waits for memory and descriptors. */
static int next_answer(struct fetch *f, struct frame *to, struct iovec *iov, int *n)
{
	uint64_t pos;
	uint32_t len;
	bool owed;

	pthread_mutex_lock(&f->lock);
	owed = f->owed;
	pos = f->pos;
	len = f->len;
	pthread_mutex_unlock(&f->lock);
	if (!owed || read_bytes(f, pos))
		return 0;
	put_answer(f, pos, len, to, iov, n);
	pthread_mutex_lock(&f->lock);
	f->owed = false;
	pthread_mutex_unlock(&f->lock);
	return 1;
}

/* ---- questions ---- */

/* Under the lock: what is asked for is so no more. */
static void leave(struct fetch *f)
{
	free(f->span_bytes);
	f->span_bytes = NULL;
	f->cursor = f->span.to;
}

/* Under the lock: the span is here, or will not come. */
static void finish(struct fetch *f, bool last)
{
	if (f->absent) {
		if (last)
			store_absent(f->store, &f->span);
		leave(f);
	} else if (f->got == f->span.to - f->span.from) {
		int err = store_repair(f->store, &f->span, f->span_bytes);

		if (err == -EBUSY)             /* another one is being written: its end moves the store's progress */
			return;
		if (!err)
			f->span_bytes = NULL;      /* they are the store's */
		leave(f);
	}
}

/* Under the lock: the next span of this round. */
static bool choose(struct fetch *f, int64_t now, uint64_t upto)
{
	uint64_t news = store_damage_news(f->store);

	if (news != f->news) {
		f->news = news;
		f->cursor = 0;
		f->rest = 0;
	}
	if (now < f->rest)
		return false;
	if (!store_damaged_span(f->store, f->cursor, &f->span)) {
		f->cursor = 0;
		f->rest = now + FETCH_AGAIN;
		return false;
	}
	if (f->span.to > upto)
		return false;
	f->span_bytes = malloc(f->span.to - f->span.from);
	if (!f->span_bytes)
		f->rest = now + FETCH_AGAIN;
	f->got = 0;
	f->absent = false;
	return f->span_bytes;
}

/* Under the lock. */
static int ask(struct fetch *f, struct frame *to, struct iovec *iov, int *n)
{
	uint64_t rest = f->span.to - f->span.from - f->got;
	struct frame_fetch body = {.length = rest < FRAME_BODY ? (uint32_t)rest : FRAME_BODY};
	int len = frame_put_fetch(&body, f->talk, sizeof f->talk);

	if (len < 0)
		return len;
	to->type = FRAME_FETCH;
	to->pos = f->span.from + f->got;
	iov[0] = (struct iovec){f->talk, (size_t)len};
	*n = 1;
	f->asked = body.length;
	return 1;
}

static int next_question(struct fetch *f, int64_t now, uint64_t upto, bool last, struct frame *to, struct iovec *iov, int *n)
{
	int err = 0;

	pthread_mutex_lock(&f->lock);
	if (f->span_bytes && !f->asked)
		finish(f, last);
	if (!f->span_bytes)
		choose(f, now, upto);
	if (f->span_bytes && !f->asked && f->got < f->span.to - f->span.from)
		err = ask(f, to, iov, n);
	pthread_mutex_unlock(&f->lock);
	return err;
}

/* ---- the sending thread ---- */

int fetch_next(struct fetch *f, int64_t now, uint64_t upto, bool last, struct frame *to, struct iovec *iov, int *n)
{
	if (next_answer(f, to, iov, n))
		return 1;
	if (f->raw && !f->left)
		forget_bytes(f);
	return next_question(f, now, upto, last, to, iov, n);
}

/* ---- the receiving thread ---- */

/* Under the lock. */
static int hear_question(struct fetch *f, const struct frame *frame, const void *body)
{
	struct frame_fetch question;
	int err = frame_get_fetch(&question, body, frame->length);

	if (err)
		return err;
	if (f->owed)
		return -EPROTO;
	f->owed = true;
	f->pos = frame->pos;
	f->len = question.length;
	return 0;
}

/* Under the lock. */
static int hear_answer(struct fetch *f, const struct frame *frame, const void *body)
{
	bool absent = frame->flags & FRAME_ABSENT;

	if (!f->asked || frame->pos != f->span.from + f->got || frame->length > f->asked || absent != !frame->length)
		return -EPROTO;
	memcpy(f->span_bytes + f->got, body, frame->length);
	f->got += frame->length;
	f->asked = 0;
	f->absent = absent;
	return 0;
}

int fetch_hear(struct fetch *f, const struct frame *frame, const void *body)
{
	int err;

	pthread_mutex_lock(&f->lock);
	err = frame->type == FRAME_FETCH ? hear_question(f, frame, body) : hear_answer(f, frame, body);
	pthread_mutex_unlock(&f->lock);
	if (!err)
		progress_moved(store_progress(f->store));
	return err;
}
