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

void head_take(struct write_head *h, const char *from, size_t size)
{
	h->length = size < HEAD_MAX ? size : HEAD_MAX;
	memcpy(h->bytes, from, h->length);
}

bool head_is(const struct write_head *h, const char *from, size_t size)
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

static void drop_begun(struct lines *l, struct line *line)
{
	atomic_fetch_sub(l->used, line->begun_length);
	free(line->begun);
	line->begun = NULL;
	line->begun_length = 0;
	line->doubted = false;
}

static void forget(struct lines *l, struct line *line)
{
	LL_DELETE(l->unfinished, line);
	drop_unfinished(l, line);
	drop_begun(l, line);
	free(line);
}

void lines_free(struct lines *l)
{
	while (l->unfinished)
		forget(l, l->unfinished);
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
	return !line->length && !line->broken && !line->refused && !line->begun;
}

void line_end(struct lines *l, struct line *line)
{
	drop_unfinished(l, line);
	if (over_with(line))
		forget(l, line);
}

void lines_settle(struct lines *l, uint64_t behind)
{
	struct line *line;

	LL_SEARCH_SCALAR(l->unfinished, line, behind, behind);
	if (!line)
		return;
	drop_begun(l, line);
	line->behind = 0;
	if (over_with(line))
		forget(l, line);
}

void lines_undo(struct lines *l, uint64_t behind)
{
	struct line *line;

	LL_SEARCH_SCALAR(l->unfinished, line, behind, behind);
	if (!line)
		return;
	drop_unfinished(l, line);
	line->doubted = line->begun != NULL;
	line->behind = 0;
	if (!line->doubted)
		forget(l, line);
}

void lines_leave(struct lines *l, uint64_t owner)
{
	struct line *line = find(l, owner);

	if (line && !line->length && (line->doubted || !line->begun))
		forget(l, line);
}

/* A write of bulk has a thousand lines. The compiler makes vectors of the lanes, which are added up before they overflow. */
static uint32_t newlines(const char *from, size_t size)
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
	c->charged = bytes;
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
static int refuse_long(struct lines *l, uint64_t owner, const char *from, size_t size, struct line *line)
{
	bool ends = from[size - 1] == '\n';

	/* It would be refused again for what it is. */
	if (!line && ends)
		return -EMSGSIZE;
	if (!line)
		line = line_new(l, owner);
	if (!line)
		return -ENOMEM;
	drop_unfinished(l, line);
	drop_begun(l, line);
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

/* What OWNER's line has before the write, which ends the doubt unless it is the doubted one. */
static struct iovec before(struct lines *l, struct line *line, const char *from, size_t size)
{
	if (line->doubted && head_is(&line->head, from, size))
		return (struct iovec){line->begun, line->begun_length};
	if (line->doubted)
		drop_begun(l, line);
	return (struct iovec){line->bytes, line->length};
}

int lines_cut(struct lines *l, uint64_t owner, const char *from, size_t size, size_t max, struct cut *c)
{
	struct line *line = find(l, owner);
	struct iovec kept = {0};
	size_t done;
	bool over;
	int err = 0;

	*c = (struct cut){.line = line, .taken = size, .from = from, .size = size};
	if (line && line->refused && head_is(&line->head, from, size))
		return refuse(line, from, size);
	if (line && line->broken) {
		err = refuse_broken(line, from, size, c);
		if (over_with(line))
			forget(l, line);
		return err;
	}
	if (line)
		kept = before(l, line, from, size);
	done = complete(from, size, kept.iov_len, max, &over);
	if (over && !done)
		return refuse_long(l, owner, from, size, line);
	if (done) {
		if (kept.iov_len)
			c->iov[c->iovcnt++] = kept;
		c->iov[c->iovcnt++] = (struct iovec){(void *)from, done};
		c->messages = newlines(from, done);
	}
	if (over) {
		c->taken = done;
	} else if (done < size) {
		c->rest = from + done;
		c->rest_length = size - done;
		err = prepare(l, owner, c, kept.iov_len);
	}
	if (err)
		lines_drop(l, c);
	return err;
}

/* Complete lines are in the log: what their first one had before is kept until it is known that they are there. */
static void keep_begun(struct lines *l, struct line *line, const struct cut *c)
{
	if (line->doubted) {
		free(line->bytes);
	} else {
		drop_begun(l, line);
		if (line->length) {
			line->begun = line->bytes;
			line->begun_length = line->length;
		} else {
			free(line->bytes);
		}
		head_take(&line->head, c->from, c->size);
	}
	line->bytes = c->bytes;
	line->room = c->room;
	line->length = 0;
	line->doubted = false;
	line->behind = c->behind;
}

/* It is longer now, and no line is complete yet. */
static void keep_unfinished(struct lines *l, struct line *line)
{
	if (line->doubted) {
		memcpy(line->bytes, line->begun, line->begun_length);
		line->length = line->begun_length;
		atomic_fetch_add(l->used, line->length);
	}
	drop_begun(l, line);
	line->behind = 0;
}

void lines_keep(struct lines *l, struct cut *c)
{
	struct line *line = c->line;

	if (!line)
		return;
	if (c->iovcnt)
		keep_begun(l, line, c);
	else
		keep_unfinished(l, line);
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
	if (line && over_with(line))
		forget(l, line);
}
