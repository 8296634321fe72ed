/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bodies of frames. One function a type goes over the fields in their order, to put them or to get them: so the two cannot
 * disagree. What a body has to fulfil besides is checked there too, both ways.
 */
#include "bytes.h"
#include "frame.h"
#include <errno.h>

struct pass {
	const uint8_t *from;       /* getting; NULL: putting */
	uint8_t *to;               /* putting */
	size_t left;
	int err;                   /* the first; nothing is touched after it */
};

static void fail(struct pass *p, int err)
{
	if (!p->err)
		p->err = err;
}

static void require(struct pass *p, bool holds)
{
	if (!holds)
		fail(p, p->from ? -EBADMSG : -EINVAL);
}

/* The next LEN bytes, *GET or *PUT, the other NULL; false when there are none. */
static bool next(struct pass *p, size_t len, const uint8_t **get, uint8_t **put)
{
	*get = NULL;
	*put = NULL;
	if (!p->err && len > p->left)
		fail(p, p->from ? -EBADMSG : -EMSGSIZE);
	if (p->err)
		return false;
	p->left -= len;
	if (p->from) {
		*get = p->from;
		p->from += len;
	} else {
		*put = p->to;
		p->to += len;
	}
	return true;
}

static void bytes(struct pass *p, void *v, size_t len)
{
	const uint8_t *get;
	uint8_t *put;

	if (!next(p, len, &get, &put))
		return;
	if (get)
		memcpy(v, get, len);
	else
		memcpy(put, v, len);
}

static void u8(struct pass *p, uint8_t *v)
{
	bytes(p, v, 1);
}

static void boolean(struct pass *p, bool *v)
{
	uint8_t value = *v;

	u8(p, &value);
	require(p, value <= 1);
	if (p->from && !p->err)
		*v = value;
}

static void u16(struct pass *p, uint16_t *v)
{
	const uint8_t *get;
	uint8_t *put;

	if (!next(p, 2, &get, &put))
		return;
	if (get)
		*v = get16(get);
	else
		put16(put, *v);
}

static void u32(struct pass *p, uint32_t *v)
{
	const uint8_t *get;
	uint8_t *put;

	if (!next(p, 4, &get, &put))
		return;
	if (get)
		*v = get32(get);
	else
		put32(put, *v);
}

static void u64(struct pass *p, uint64_t *v)
{
	const uint8_t *get;
	uint8_t *put;

	if (!next(p, 8, &get, &put))
		return;
	if (get)
		*v = get64(get);
	else
		put64(put, *v);
}

static void i64(struct pass *p, int64_t *v)
{
	uint64_t u = (uint64_t)*v;

	u64(p, &u);
	if (p->from)
		*v = (int64_t)u;
}

static void epoch(struct pass *p, struct epoch *v)
{
	u32(p, &v->reign);
	u32(p, &v->start);
	u64(p, &v->node);
}

static void reign(struct pass *p, struct reign *v)
{
	u32(p, &v->number);
	u64(p, &v->node);
}

/* ASCII without control characters, so no NUL either: what is shown to people does not speak to their terminals, and is valid UTF-8 wherever it
 * is cut. */
static bool printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

/* V has room for ROOM bytes, its NUL included. */
static void text(struct pass *p, char *v, size_t room)
{
	uint16_t len = 0;

	if (!p->from)
		len = (uint16_t)strnlen(v, room);
	u16(p, &len);
	require(p, len < room);
	bytes(p, v, len);
	if (p->err)
		return;
	if (p->from)
		v[len] = 0;
	require(p, printable(v, len));
}

static void name(struct pass *p, char *v)
{
	text(p, v, FRAME_NAME);
	require(p, *v);
}

static void epochs(struct pass *p, struct frame_epochs *v)
{
	uint16_t count = 0;

	if (!p->from) {
		require(p, v->count <= FRAME_EPOCHS);
		count = (uint16_t)v->count;
	}
	u16(p, &count);
	require(p, count <= FRAME_EPOCHS);
	if (p->from)
		v->count = p->err ? 0 : count;
	for (uint32_t i = 0; i < count && !p->err; i++) {
		epoch(p, &v->of[i].epoch);
		u64(p, &v->of[i].start);
		u64(p, &v->of[i].chain);
		boolean(p, &v->of[i].accepted_loss);
		require(p, !i || v->of[i].start > v->of[i - 1].start);
	}
}

/* Whoever speaks another version lays out what follows in its own way. */
static void version(struct pass *p, uint16_t *v)
{
	u16(p, v);
	if (*v != FRAME_VERSION)
		fail(p, p->from ? -EPROTONOSUPPORT : -EINVAL);
}

static void secret(struct pass *p, bool *has, uint8_t v[RECORD_SECRET])
{
	boolean(p, has);
	if (*has)
		bytes(p, v, RECORD_SECRET);
}

/* ---- one function a type ---- */

static void hello(struct pass *p, struct frame_hello *h)
{
	version(p, &h->version);
	u64(p, &h->cluster);
	u64(p, &h->node);
	reign(p, &h->promise);
	u64(p, &h->checkpoint);
	u64(p, &h->checkpoint_has);
	name(p, h->name);
	epochs(p, &h->epochs);
}

static void hello_ack(struct pass *p, struct frame_hello_ack *a)
{
	version(p, &a->version);
	u8(p, &a->answer);
	require(p, a->answer >= FRAME_ACCEPTED && a->answer <= FRAME_BLANK_START);
	u64(p, &a->cluster);
	u64(p, &a->node);
	reign(p, &a->promise);
	u64(p, &a->chain);
	u64(p, &a->end);
	u64(p, &a->checkpoint);
	u64(p, &a->checkpoint_size);
	secret(p, &a->has_secret, a->secret);
	name(p, a->name);
	text(p, a->reason, FRAME_REASON);
	epochs(p, &a->epochs);
}

static void segment(struct pass *p, struct frame_segment *s)
{
	u64(p, &s->chain);
	epoch(p, &s->epoch);
	i64(p, &s->time);
}

static void commit(struct pass *p, struct frame_commit *c)
{
	i64(p, &c->time);
	u64(p, &c->messages);
}

static void ack(struct pass *p, struct frame_ack *a)
{
	u64(p, &a->received);
	i64(p, &a->time);
	u64(p, &a->messages);
}

static void checkpoint(struct pass *p, struct frame_checkpoint *c)
{
	u64(p, &c->size);
	u64(p, &c->offset);
	require(p, c->offset <= c->size);
}

static void fetch(struct pass *p, struct frame_fetch *f)
{
	u32(p, &f->length);
	require(p, f->length >= 1 && f->length <= FRAME_BODY);
}

static void ask_promise(struct pass *p, struct frame_promise *a)
{
	version(p, &a->version);
	u64(p, &a->cluster);
	u64(p, &a->node);
	epoch(p, &a->last);
	name(p, a->name);
}

static void promised(struct pass *p, struct frame_promised *a)
{
	u64(p, &a->cluster);
	u64(p, &a->node);
	epoch(p, &a->last);
	name(p, a->name);
	text(p, a->reason, FRAME_REASON);
	epochs(p, &a->epochs);
}

static void switchover(struct pass *p, struct frame_switchover *s)
{
	u8(p, &s->order);
	require(p, s->order >= FRAME_TAKE_OVER && s->order <= FRAME_HAND_OVER_REFUSED);
	text(p, s->reason, FRAME_REASON);
}

static void error(struct pass *p, struct frame_error_text *e)
{
	u32(p, &e->error);
	require(p, e->error);
	text(p, e->reason, FRAME_REASON);
}

/* ---- the two directions of each ---- */

static int put_end(const struct pass *p, const uint8_t *to)
{
	return p->err ? p->err : (int)(p->to - to);
}

/* More bytes than fields are not ours either. */
static int get_end(const struct pass *p)
{
	return p->err ? p->err : p->left ? -EBADMSG : 0;
}

/* Putting writes nothing through the pointer whose const is taken away. */
#define DIRECTIONS(name, type, walk) \
int frame_put_##name(const struct type *v, uint8_t *to, size_t room) \
{ \
	struct pass p = {.to = to, .left = room}; \
	walk(&p, (struct type *)v); \
	return put_end(&p, to); \
} \
int frame_get_##name(struct type *v, const void *body, size_t len) \
{ \
	struct pass p = {.from = body, .left = len}; \
	memset(v, 0, sizeof *v); \
	walk(&p, v); \
	return get_end(&p); \
}

DIRECTIONS(hello, frame_hello, hello)
DIRECTIONS(hello_ack, frame_hello_ack, hello_ack)
DIRECTIONS(segment, frame_segment, segment)
DIRECTIONS(commit, frame_commit, commit)
DIRECTIONS(ack, frame_ack, ack)
DIRECTIONS(fetch, frame_fetch, fetch)
DIRECTIONS(promise, frame_promise, ask_promise)
DIRECTIONS(promised, frame_promised, promised)
DIRECTIONS(switchover, frame_switchover, switchover)
DIRECTIONS(error, frame_error_text, error)

int frame_put_checkpoint(const struct frame_checkpoint *c, uint8_t *to, size_t room)
{
	struct pass p = {.to = to, .left = room};

	checkpoint(&p, (struct frame_checkpoint *)c);
	return put_end(&p, to);
}

int frame_get_checkpoint(struct frame_checkpoint *c, const void *body, size_t len)
{
	struct pass p = {.from = body, .left = len};

	memset(c, 0, sizeof *c);
	checkpoint(&p, c);
	require(&p, p.left <= c->size - c->offset);
	return p.err;
}
