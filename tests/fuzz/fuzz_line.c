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

struct writer {
	char line[ROOM];                 /* unfinished */
	size_t length;
	bool broken;
	struct write_head refused;       /* length 0: no write is */
	uint64_t behind;                 /* see struct line; 0: none */
	char begun[ROOM];                /* what the first line of the last write with complete lines had before */
	size_t begun_length;
	struct write_head logged;        /* what that write began with */
	bool doubted;
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
	size_t max;
	uint64_t behind;                 /* the last one given */
};

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
	head_take(&o->then.refused, from, size);
}

static void no_doubt(struct writer *w)
{
	w->begun_length = 0;
	w->doubted = false;
}

/* W has on hand what goes before the write. KNOWN: something is remembered of it. */
static void expect(const struct model *m, const struct writer *w, const char *from, size_t size, bool known, struct outcome *o)
{
	size_t line = 0;                 /* bytes of whole lines */
	struct writer *t = &o->then;

	o->err = 0;
	o->log_length = o->messages = o->lost = o->rest = 0;
	*t = *w;
	if (w->broken || head_is(&w->refused, from, size)) {
		refuse_next(o, from, size, head_is(&w->refused, from, size));
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

	for (unsigned i = 0; i < OWNERS; i++)
		sum += m->writer[i].begun_length;
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

/* *NOW: W as the write finds it. The doubted write that comes again finds the line that it found before; any other ends the doubt. */
static void meet(struct writer *w, const char *from, size_t size, struct writer *now)
{
	if (w->doubted && !head_is(&w->logged, from, size))
		no_doubt(w);
	*now = *w;
	if (!w->doubted)
		return;
	memcpy(now->line, w->begun, w->begun_length);
	now->length = w->begun_length;
}

/* What W is behind a write that is in the log, which found it as NOW. */
static void went(struct model *m, struct writer *w, const struct writer *now, const char *from, size_t size, struct outcome *o)
{
	struct writer *t = &o->then;

	if (o->messages && !w->doubted)
		head_take(&t->logged, from, size);
	no_doubt(t);
	if (o->messages) {
		memcpy(t->begun, now->line, now->length);
		t->begun_length = now->length;
		t->behind = o->rest || t->begun_length ? m->behind : 0;
	}
	*w = *t;
}

static void write_some(struct lines *l, struct model *m, struct input *in, struct outcome *o)
{
	static struct writer now;
	unsigned owner = take_byte(in) % OWNERS;
	bool in_log = take_byte(in) % 8 != 0;
	size_t size, wanted = take_byte(in);
	struct writer *w = &m->writer[owner];
	const uint8_t *bytes = take_bytes(in, wanted, &size);
	bool known = w->length || w->refused.length || w->begun_length;
	struct cut c;
	char *from;
	int err;

	if (size == 0)
		return;
	from = malloc(size);             /* of its own, so that reading behind it is seen */
	memcpy(from, bytes, size);
	meet(w, from, size, &now);
	expect(m, &now, from, size, known, o);
	err = lines_cut(l, owner, from, size, m->max, &c);
	must(err == (o->err == 0 && kept(m) + o->rest > BUDGET && o->rest ? -ENOBUFS : o->err));
	must(c.lost == o->lost);
	if (err == 0) {
		same_log(&c, o);
		c.behind = ++m->behind;
		in_log ? lines_keep(l, &c) : lines_drop(l, &c);
	}
	if (err == 0 && in_log)
		went(m, w, &now, from, size, o);
	free(from);
	if (err == -EMSGSIZE) {
		*w = o->then;
		no_doubt(w);
		w->behind = 0;
	}
	same_unfinished(l, owner, w);
}

/* Its process is gone, or its descriptor is closed. */
static void leave(struct lines *l, struct model *m, struct input *in)
{
	unsigned owner = take_byte(in) % OWNERS;
	struct line *line = line_of(l, owner);
	struct writer *w = &m->writer[owner];

	same_unfinished(l, owner, w);
	if (line)
		line_end(l, line);
	lines_leave(l, owner);
	if (w->begun_length && !w->doubted) {
		w->length = w->refused.length = 0;
		w->broken = false;
	} else {
		*w = (struct writer){0};
	}
}

/* The last write with complete lines is answered well. */
static void settle(struct lines *l, struct model *m, struct input *in)
{
	unsigned owner = take_byte(in) % OWNERS;
	struct writer *w = &m->writer[owner];

	if (!w->behind)
		return;
	lines_settle(l, w->behind);
	no_doubt(w);
	w->behind = 0;
	same_unfinished(l, owner, w);
}

/* The last write with complete lines got an error after all. */
static void undo(struct lines *l, struct model *m, struct input *in)
{
	unsigned owner = take_byte(in) % OWNERS;
	struct writer *w = &m->writer[owner];

	if (!w->behind)
		return;
	lines_undo(l, w->behind);
	w->behind = w->length = 0;
	w->doubted = w->begun_length > 0;
	same_unfinished(l, owner, w);
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

	memset(&m, 0, sizeof m);
	change_limit(&l, &m, &in);
	lines_init(&l, &used, BUDGET);
	while (in.len > 0) {
		uint8_t what = take_byte(&in) % 16;

		if (what < 4)
			other[what](&l, &m, &in);
		else
			write_some(&l, &m, &in, &o);
		must(used == kept(&m));
		must(!lines_first(&l) == !unfinished(&m));
	}
	lines_free(&l);
	must(used == 0);
	return 0;
}
