/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines put together from writes that are cut anywhere, by several writers, against a model that keeps nothing but what each writer
 * has written of its line so far, and goes through a write byte by byte.
 */
#include "fuzz.h"
#include "line.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OWNERS 3u
#define BUDGET 600u
#define ROOM 4096u

#define SENT 64u

struct writer {
	char line[ROOM];                 /* unfinished */
	size_t length;
	bool broken;
	struct write_head refused;       /* length 0: no write is */
	uint64_t behind;                 /* see struct line; 0: none */
};

/* A write with complete lines, whose first one had something before it. */
struct begun {
	unsigned owner;
	uint64_t behind;                 /* see struct sent */
	char bytes[ROOM];
	size_t length;
	struct write_head head;
};

/* What a write comes to by the model. */
struct outcome {
	int err;
	size_t taken;
	char log[2 * ROOM];
	size_t log_length;
	uint32_t messages;
	uint32_t lost;
	size_t rest;                     /* bytes that become unfinished */
	struct writer then;
};

struct model {
	struct writer writer[OWNERS];
	struct begun sent[SENT];         /* the oldest first */
	unsigned sents;
	size_t max;
	uint64_t behind;                 /* the last one given */
};

static void head_of(struct write_head *h, const char *from, size_t size)
{
	h->length = size < HEAD_MAX ? size : HEAD_MAX;
	memcpy(h->bytes, from, h->length);
}

static bool begins_as(const struct write_head *h, const char *from, size_t size)
{
	return h->length && size >= h->length && memcmp(from, h->bytes, h->length) == 0;
}

static void forget(struct model *m, unsigned i)
{
	memmove(&m->sent[i], &m->sent[i + 1], (--m->sents - i) * sizeof *m->sent);
}

/* A write behind a line that passed the limit. */
static void refuse_next(struct outcome *o, const char *from, size_t size, bool again)
{
	o->err = -EMSGSIZE;
	o->then.broken = from[size - 1] != '\n';
	if (again)
		return;
	for (size_t i = 0; i < size; i++)
		o->lost += from[i] == '\n';
	if (!o->then.broken)
		o->then.refused.length = 0;
}

static void refuse(struct outcome *o, const char *from, size_t size, bool remembered)
{
	bool ends = from[size - 1] == '\n';

	o->err = -EMSGSIZE;
	/* Whoever had nothing unfinished and writes whole lines only is refused the next time for what they are. */
	if (!remembered && ends)
		return;
	o->then.length = 0;
	o->then.broken = !ends;
	head_of(&o->then.refused, from, size);
}

/* W has on hand what goes before the write. KNOWN: something is remembered of it. */
static void expect(const struct model *m, const struct writer *w, const char *from, size_t size, bool known, struct outcome *o)
{
	size_t line = 0;                 /* bytes of whole lines */
	struct writer *t = &o->then;

	o->err = 0;
	o->log_length = o->messages = o->lost = o->rest = 0;
	*t = *w;
	if (w->broken || begins_as(&w->refused, from, size)) {
		refuse_next(o, from, size, begins_as(&w->refused, from, size));
		return;
	}
	t->refused.length = t->behind = 0;
	for (size_t i = 0; i < size; i++) {
		if (t->length > m->max || (t->length == m->max && from[i] != '\n')) {
			/* The line in hand is over the limit: with nothing in front of it all is refused, else it is left to the next write. */
			t->length = 0;
			o->taken = line;
			if (!line) {
				*t = *w;
				refuse(o, from, size, known);
			}
			return;
		}
		if (from[i] == '\n') {
			memcpy(o->log + o->log_length, t->line, t->length);
			o->log_length += t->length;
			o->log[o->log_length++] = '\n';
			o->messages++;
			t->length = 0;
			line = i + 1;
			continue;
		}
		t->line[t->length++] = from[i];
	}
	o->taken = size;
	o->rest = o->messages ? t->length : t->length - w->length;
}

static void same_unfinished(struct lines *l, uint64_t owner, const struct writer *w)
{
	struct line *line = line_of(l, owner);

	must(w->length == (line ? line->length : 0));
	must(!line || memcmp(line->bytes, w->line, w->length) == 0);
}

static uint64_t unfinished(const struct model *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < OWNERS; i++)
		sum += m->writer[i].length;
	return sum;
}

static uint64_t kept(const struct model *m)
{
	uint64_t sum = unfinished(m);

	for (unsigned i = 0; i < m->sents; i++)
		sum += m->sent[i].length;
	return sum;
}

static void same_log(const struct cut *c, const struct outcome *o)
{
	size_t at = 0;

	for (int i = 0; i < c->iovcnt; i++) {
		must(at + c->iov[i].iov_len <= o->log_length);
		must(memcmp(o->log + at, c->iov[i].iov_base, c->iov[i].iov_len) == 0);
		at += c->iov[i].iov_len;
	}
	must(at == o->log_length && c->messages == o->messages && c->taken == o->taken);
}

/* An owner is one thread: what it writes gives up its failed writes, but for those that it may be again. */
static void give_up(struct model *m, unsigned owner, const char *from, size_t size)
{
	for (unsigned i = m->sents; i-- > 0;)
		if (m->sent[i].owner == owner && !m->sent[i].behind && !begins_as(&m->sent[i].head, from, size))
			forget(m, i);
}

/* The failed write of OWNER that this one is again, or NULL. */
static struct begun *before(struct model *m, unsigned owner, const char *from, size_t size)
{
	const struct writer *w = &m->writer[owner];

	if (w->length || w->broken || begins_as(&w->refused, from, size))
		return NULL;
	for (unsigned i = m->sents; i-- > 0;)
		if (m->sent[i].owner == owner && !m->sent[i].behind && begins_as(&m->sent[i].head, from, size))
			return &m->sent[i];
	return NULL;
}

/* Behind a write that is in the log, which found its owner's line as NOW. */
static void went(struct model *m, unsigned owner, struct begun *again, const struct writer *now, const char *from, size_t size,
	struct outcome *o)
{
	struct writer *t = &o->then;

	t->behind = o->messages && t->length ? m->behind : 0;
	m->writer[owner] = *t;
	if (again && o->messages) {
		again->behind = m->behind;
	} else if (again) {
		forget(m, (unsigned)(again - m->sent));
	} else if (o->messages && now->length) {
		struct begun *b = &m->sent[m->sents++];

		b->owner = owner;
		b->behind = m->behind;
		b->length = now->length;
		memcpy(b->bytes, now->line, now->length);
		head_of(&b->head, from, size);
	}
}

static void write_some(struct lines *l, struct model *m, struct input *in, struct outcome *o)
{
	static struct writer now;
	unsigned owner = take_byte(in) % OWNERS;
	const struct line_writer by = {.owner = owner, .thread = owner + 1};
	bool in_log = take_byte(in) % 8 != 0, known;
	size_t size, wanted = take_byte(in);
	struct writer *w = &m->writer[owner];
	const uint8_t *bytes = take_bytes(in, wanted, &size);
	struct begun *again;
	struct cut c;
	char *from;
	int err;

	if (size == 0 || m->sents == SENT)
		return;
	from = malloc(size);             /* of its own, so that reading behind it is seen */
	memcpy(from, bytes, size);
	give_up(m, owner, from, size);
	must(lines_unheard(l, &by, from, size) == 0);
	again = before(m, owner, from, size);
	now = *w;
	if (again) {
		memcpy(now.line, again->bytes, again->length);
		now.length = again->length;
	}
	known = w->length || w->refused.length || again;
	expect(m, &now, from, size, known, o);
	err = lines_cut(l, &by, from, size, m->max, &c);
	must(err == (o->err == 0 && kept(m) + o->rest > BUDGET && o->rest ? -ENOBUFS : o->err));
	must(c.lost == o->lost);
	if (err == 0) {
		same_log(&c, o);
		c.behind = ++m->behind;
		in_log ? lines_keep(l, &c) : lines_drop(l, &c);
	}
	if (err == 0 && in_log)
		went(m, owner, again, &now, from, size, o);
	free(from);
	if (err == -EMSGSIZE) {
		*w = o->then;
		w->behind = 0;
		if (again)
			forget(m, (unsigned)(again - m->sent));
	}
	same_unfinished(l, owner, w);
}

/* Its process is gone, or its descriptor is closed. */
static void leave(struct lines *l, struct model *m, struct input *in)
{
	unsigned owner = take_byte(in) % OWNERS;
	struct line *line = line_of(l, owner);

	same_unfinished(l, owner, &m->writer[owner]);
	if (line)
		line_end(l, line);
	lines_leave(l, owner);
	m->writer[owner] = (struct writer){0};
	for (unsigned i = m->sents; i-- > 0;)
		if (m->sent[i].owner == owner && !m->sent[i].behind)
			forget(m, i);
}

/* A write with complete lines that is not answered yet: the log position behind it; 0: there is none. */
static uint64_t unanswered(const struct model *m, struct input *in)
{
	unsigned pick = take_byte(in) % (OWNERS + SENT);

	if (pick < OWNERS)
		return m->writer[pick].behind;
	return m->sents ? m->sent[(pick - OWNERS) % m->sents].behind : 0;
}

/* It is answered well. */
static void settle(struct lines *l, struct model *m, struct input *in)
{
	uint64_t behind = unanswered(m, in);

	if (!behind)
		return;
	lines_settle(l, behind);
	for (unsigned i = 0; i < OWNERS; i++)
		if (m->writer[i].behind == behind)
			m->writer[i].behind = 0;
	for (unsigned i = m->sents; i-- > 0;)
		if (m->sent[i].behind == behind)
			forget(m, i);
}

/* It got an error after all. */
static void undo(struct lines *l, struct model *m, struct input *in)
{
	uint64_t behind = unanswered(m, in);

	if (!behind)
		return;
	lines_undo(l, behind, -ETIMEDOUT);
	for (unsigned i = 0; i < OWNERS; i++)
		if (m->writer[i].behind == behind)
			m->writer[i].behind = m->writer[i].length = 0;
	for (unsigned i = 0; i < m->sents; i++)
		if (m->sent[i].behind == behind)
			m->sent[i].behind = 0;
}

static void change_limit(struct lines *l, struct model *m, struct input *in)
{
	(void)l;
	m->max = take_byte(in) % 64 + 1u;
}

int fuzz(const uint8_t *bytes, size_t len)
{
	static void (*const other[])(struct lines *, struct model *, struct input *) = {leave, undo, settle, change_limit};
	static struct model m;
	static struct outcome o;
	struct input in = {bytes, len};
	_Atomic uint64_t used = 0;
	struct lines l;

	memset(m.writer, 0, sizeof m.writer);
	m.sents = 0;
	m.behind = 0;
	change_limit(&l, &m, &in);
	lines_init(&l, &used, BUDGET);
	while (in.len > 0) {
		uint8_t what = take_byte(&in) % 16;

		if (what < 4)
			other[what](&l, &m, &in);
		else
			write_some(&l, &m, &in, &o);
		for (unsigned i = 0; i < OWNERS; i++)
			same_unfinished(&l, i, &m.writer[i]);
		must(used == kept(&m));
		must(!lines_first(&l) == !unfinished(&m));
	}
	lines_free(&l);
	must(used == 0);
	return 0;
}
