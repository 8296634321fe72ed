/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LANES 32u

void lines_init(struct lines *l, _Atomic uint64_t *used, uint64_t most)
{
	*l = (struct lines){.used = used, .most = most};
}

static struct line *find(struct lines *l, uint64_t owner)
{
	struct line *line;

	LL_SEARCH_SCALAR(l->unfinished, line, owner, owner);
	return line;
}

static void head_take(struct write_head *h, const char *from, size_t size)
{
	h->length = size < HEAD_MAX ? size : HEAD_MAX;
	memcpy(h->bytes, from, h->length);
}

static bool head_is(const struct write_head *h, const char *from, size_t size)
{
	return h->length && size >= h->length && memcmp(from, h->bytes, h->length) == 0;
}

static void drop_unfinished(struct lines *l, struct line *line)
{
	atomic_fetch_sub(l->used, line->length);
	free(line->bytes);
	line->bytes = NULL;
	line->length = line->room = 0;
}

static void forget(struct lines *l, struct line *line)
{
	LL_DELETE(l->unfinished, line);
	drop_unfinished(l, line);
	free(line);
}

static void forget_sent(struct lines *l, struct sent *s)
{
	LL_DELETE(l->sent, s);
	atomic_fetch_sub(l->used, s->begun_length + s->charged);
	free(s->begun);
	free(s);
}

void lines_free(struct lines *l)
{
	while (l->unfinished)
		forget(l, l->unfinished);
	while (l->sent)
		forget_sent(l, l->sent);
}

struct line *line_of(struct lines *l, uint64_t owner)
{
	struct line *line = find(l, owner);

	return line && line->length ? line : NULL;
}

struct line *lines_first(struct lines *l)
{
	struct line *line;

	LL_FOREACH(l->unfinished, line)
		if (line->length)
			return line;
	return NULL;
}

/* Nothing is left to know of it. */
static bool over_with(const struct line *line)
{
	return !line->length && !line->broken && !line->refused;
}

void line_end(struct lines *l, struct line *line)
{
	drop_unfinished(l, line);
	if (over_with(line))
		forget(l, line);
}

/* Nothing waits for the answer to the write that left LINE unfinished any more. */
static void answered(struct lines *l, struct line *line)
{
	line->behind = 0;
	if (over_with(line))
		forget(l, line);
}

void lines_settle(struct lines *l, uint64_t behind)
{
	struct line *line;
	struct sent *s;

	LL_SEARCH_SCALAR(l->sent, s, behind, behind);
	if (s)
		forget_sent(l, s);
	LL_SEARCH_SCALAR(l->unfinished, line, behind, behind);
	if (line)
		answered(l, line);
}

void lines_undo(struct lines *l, uint64_t behind, int err)
{
	struct line *line;
	struct sent *s;

	LL_SEARCH_SCALAR(l->unfinished, line, behind, behind);
	if (line) {
		drop_unfinished(l, line);
		answered(l, line);
	}
	LL_SEARCH_SCALAR(l->sent, s, behind, behind);
	if (!s)
		return;
	s->behind = 0;
	if (s->writer.goes_on)
		s->err = err;
	else if (!s->begun)
		forget_sent(l, s);
}

void lines_leave(struct lines *l, uint64_t owner)
{
	struct line *line = find(l, owner);
	struct sent *s, *next;

	if (line && !line->length)
		forget(l, line);
	LL_FOREACH_SAFE(l->sent, s, next)
		if (s->writer.owner == owner && !s->behind)
			forget_sent(l, s);
}

/* Whether S has failed, and W's is who may write it again. */
static bool failed(const struct sent *s, const struct line_writer *w)
{
	return s->writer.owner == w->owner && !s->behind;
}

/* W, who writes something else, has given up S. Where threads are not known, what is not told yet may be another's. */
static bool gives_up(const struct line_writer *w, const struct sent *s)
{
	return s->writer.thread == w->thread && (w->thread || !s->err);
}

int lines_unheard(struct lines *l, const struct line_writer *w, const char *from, size_t size)
{
	struct sent *s, *next;
	int err = 0;

	LL_FOREACH_SAFE(l->sent, s, next) {
		if (!failed(s, w))
			continue;
		if (!head_is(&s->head, from, size)) {
			if (gives_up(w, s))
				forget_sent(l, s);
		} else if (!err && s->err) {
			err = s->err;
			s->err = 0;
			s->writer.thread = w->thread;
			if (!s->begun)
				forget_sent(l, s);
		}
	}
	return err;
}

/* The failed write that this one is again. */
static struct sent *sent_before(struct lines *l, const struct line_writer *w, const char *from, size_t size)
{
	struct sent *s;

	LL_FOREACH(l->sent, s)
		if (failed(s, w) && !s->err && head_is(&s->head, from, size))
			return s;
	return NULL;
}

/* Also made for the wider vectors of newer processors; which one it is to be is found out at the start, before the thread sanitizer works. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define VECTORS __attribute__((target_clones("default", "avx2")))
#else
#define VECTORS
#endif

/* A write of bulk has a thousand lines. The compiler makes vectors of the lanes, which are added up before they overflow. */
VECTORS static uint32_t newlines(const char *from, size_t size)
{
	uint32_t count = 0;

	while (size >= LANES) {
		uint8_t lane[LANES] = {0};
		for (unsigned rounds = UINT8_MAX; rounds && size >= LANES; rounds--, from += LANES, size -= LANES)
			for (unsigned i = 0; i < LANES; i++)
				lane[i] += from[i] == '\n';
		for (unsigned i = 0; i < LANES; i++)
			count += lane[i];
	}
	for (; size; from++, size--)
		count += *from == '\n';
	return count;
}

/* Bytes of whole lines at the beginning of FROM, whose first line has KEPT bytes already, up to a line over MAX. *OVER: there is
 * one. */
static size_t complete(const char *from, size_t size, size_t kept, size_t max, bool *over)
{
	size_t done = 0;

	*over = false;
	if (size <= max && kept <= max - size) {
		const char *last = memrchr(from, '\n', size);
		return last ? (size_t)(last - from) + 1 : 0;
	}
	while (done < size) {
		const char *newline = memchr(from + done, '\n', size - done);
		size_t length = (newline ? (size_t)(newline - from) : size) - done + kept;
		*over = length > max;
		if (*over || !newline)
			break;
		done = (size_t)(newline - from) + 1;
		kept = 0;
	}
	return done;
}

/* Room for LENGTH bytes in all. */
static int reserve(char **bytes, size_t *room, size_t length)
{
	size_t more = *room ? *room : 64;
	char *moved;

	if (length <= *room)
		return 0;
	while (more < length)
		more *= 2;
	moved = realloc(*bytes, more);
	if (!moved)
		return -ENOMEM;
	*bytes = moved;
	*room = more;
	return 0;
}

static int charge(struct lines *l, struct cut *c, uint64_t bytes)
{
	if (atomic_fetch_add(l->used, bytes) + bytes > l->most) {
		atomic_fetch_sub(l->used, bytes);
		return -ENOBUFS;
	}
	c->charged += bytes;
	return 0;
}

static struct line *line_new(struct lines *l, uint64_t owner)
{
	struct line *line = calloc(1, sizeof *line);

	if (line) {
		line->owner = owner;
		LL_PREPEND(l->unfinished, line);
	}
	return line;
}

/* The line that C leaves unfinished, which has KEPT bytes before it, with room for its rest. */
static int prepare(struct lines *l, uint64_t owner, struct cut *c, size_t kept)
{
	int err;

	if (!c->line)
		c->line = line_new(l, owner);
	if (!c->line)
		return -ENOMEM;
	err = c->iovcnt ? reserve(&c->bytes, &c->room, c->rest_length) :
		reserve(&c->line->bytes, &c->line->room, kept + c->rest_length);
	return err ? err : charge(l, c, c->rest_length);
}

/* A line is over the limit, or was: all of the write is refused, so its last line has lost its beginning, unless it ends there too. What
 * follows of that must not pass for a line of its own. */
static int refuse(struct line *line, const char *from, size_t size)
{
	line->broken = from[size - 1] != '\n';
	return -EMSGSIZE;
}

/* A line over the limit at the beginning of a write. */
static int refuse_long(struct lines *l, const char *from, size_t size, struct cut *c)
{
	bool ends = from[size - 1] == '\n';
	struct line *line = c->line;

	/* It would be refused again for what it is. */
	if (!line && !c->again && ends)
		return -EMSGSIZE;
	if (!line)
		line = line_new(l, c->writer->owner);
	if (!line)
		return -ENOMEM;
	drop_unfinished(l, line);
	if (c->again)
		forget_sent(l, c->again);
	line->behind = 0;
	line->refused = true;
	head_take(&line->head, from, size);
	return refuse(line, from, size);
}

/* The first write behind the broken line that ends with a newline ends it; tried again, it is a message like any other. */
static int refuse_broken(struct line *line, const char *from, size_t size, struct cut *c)
{
	int err = refuse(line, from, size);

	c->lost = newlines(from, size);
	if (!line->broken)
		line->refused = false;
	return err;
}

/* What the line of C has before the write. */
static struct iovec before(const struct cut *c)
{
	if (c->again)
		return (struct iovec){c->again->begun, c->again->begun_length};
	if (c->line)
		return (struct iovec){c->line->bytes, c->line->length};
	return (struct iovec){0};
}

/* For complete lines, of which the first has KEPT bytes before the write, what has to be known of it. Where nobody may come for its error, the
 * budget bounds how many are kept; but a line that is begun may always be finished. */
static int prepare_sent(struct lines *l, struct cut *c, size_t kept)
{
	int err = 0;

	if (c->again || (!kept && !c->writer->goes_on))
		return 0;
	c->sent = calloc(1, sizeof *c->sent);
	if (!c->sent)
		return -ENOMEM;
	head_take(&c->sent->head, c->from, c->size);
	if (c->writer->goes_on)
		err = charge(l, c, sizeof *c->sent);
	c->sent->charged = c->charged;
	return err;
}

int lines_message(struct lines *l, const struct line_writer *w, const char *from, size_t size, struct cut *c)
{
	int err;

	*c = (struct cut){.writer = w, .taken = size, .from = from, .size = size, .iov = {{(void *)from, size}}, .iovcnt = 1, .messages = 1};
	err = prepare_sent(l, c, 0);
	if (err)
		lines_drop(l, c);
	return err;
}

int lines_cut(struct lines *l, const struct line_writer *w, const char *from, size_t size, size_t max, struct cut *c)
{
	struct line *line = find(l, w->owner);
	struct iovec kept;
	size_t done;
	bool over;
	int err = 0;

	*c = (struct cut){.writer = w, .line = line, .taken = size, .from = from, .size = size};
	if (line && line->refused && head_is(&line->head, from, size))
		return refuse(line, from, size);
	if (line && line->broken) {
		err = refuse_broken(line, from, size, c);
		if (over_with(line))
			forget(l, line);
		return err;
	}
	if (!line || !line->length)
		c->again = sent_before(l, w, from, size);
	kept = before(c);
	done = complete(from, size, kept.iov_len, max, &over);
	if (over && !done)
		return refuse_long(l, from, size, c);
	if (done) {
		if (kept.iov_len)
			c->iov[c->iovcnt++] = kept;
		c->iov[c->iovcnt++] = (struct iovec){(void *)from, done};
		c->messages = newlines(from, done);
		err = prepare_sent(l, c, kept.iov_len);
	}
	if (over) {
		c->taken = done;
	} else if (done < size && !err) {
		c->rest = from + done;
		c->rest_length = size - done;
		err = prepare(l, w->owner, c, kept.iov_len);
	}
	if (err)
		lines_drop(l, c);
	return err;
}

/* Complete lines are in the log. */
static void keep_sent(struct lines *l, const struct cut *c)
{
	struct sent *s = c->again ? c->again : c->sent;

	if (!s)
		return;
	if (!c->again) {
		LL_PREPEND(l->sent, s);
		if (c->line && c->line->length) {
			s->begun = c->line->bytes;
			s->begun_length = c->line->length;
			c->line->bytes = NULL;
		}
	}
	s->writer = *c->writer;
	s->behind = c->behind;
}

/* What they leave unfinished. */
static void keep_rest(struct line *line, const struct cut *c)
{
	free(line->bytes);
	line->bytes = c->bytes;
	line->room = c->room;
	line->length = 0;
	line->behind = c->behind;
}

/* It is longer now, and no line is complete yet. */
static void keep_unfinished(struct lines *l, struct line *line, struct sent *again)
{
	line->behind = 0;
	if (!again)
		return;
	memcpy(line->bytes, again->begun, again->begun_length);
	line->length = again->begun_length;
	atomic_fetch_add(l->used, line->length);
	forget_sent(l, again);
}

void lines_keep(struct lines *l, struct cut *c)
{
	struct line *line = c->line;

	if (c->iovcnt)
		keep_sent(l, c);
	if (!line)
		return;
	if (c->iovcnt)
		keep_rest(line, c);
	else
		keep_unfinished(l, line, c->again);
	if (c->rest_length) {
		memcpy(line->bytes + line->length, c->rest, c->rest_length);
		line->length += c->rest_length;
	}
	line->refused = false;
	if (over_with(line))
		forget(l, line);
}

void lines_drop(struct lines *l, struct cut *c)
{
	struct line *line = c->line;

	atomic_fetch_sub(l->used, c->charged);
	free(c->bytes);
	free(c->sent);
	if (line && over_with(line))
		forget(l, line);
}
