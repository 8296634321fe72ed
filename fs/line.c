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

static void forget(struct lines *l, struct line *line)
{
	LL_DELETE(l->unfinished, line);
	atomic_fetch_sub(l->used, line->length);
	free(line->bytes);
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

void line_end(struct lines *l, struct line *line)
{
	forget(l, line);
}

void lines_undo(struct lines *l, uint64_t behind)
{
	struct line *line;

	LL_SEARCH_SCALAR(l->unfinished, line, behind, behind);
	if (line)
		forget(l, line);
}

void lines_leave(struct lines *l, uint64_t owner)
{
	struct line *line = find(l, owner);

	if (line && !line->length)
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
static int reserve(struct line *line, size_t length)
{
	size_t room = line->room ? line->room : 64;
	char *bytes;

	if (length <= line->room)
		return 0;
	while (room < length)
		room *= 2;
	bytes = realloc(line->bytes, room);
	if (!bytes)
		return -ENOMEM;
	line->bytes = bytes;
	line->room = room;
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

/* The line that C leaves unfinished, with room for its rest. */
static int prepare(struct lines *l, uint64_t owner, struct cut *c, size_t kept)
{
	size_t before = c->iovcnt ? 0 : kept;
	int err;

	if (!c->line) {
		c->line = calloc(1, sizeof *c->line);
		if (!c->line)
			return -ENOMEM;
		c->line->owner = owner;
		LL_PREPEND(l->unfinished, c->line);
	}
	err = reserve(c->line, before + c->rest_length);
	if (!err)
		err = charge(l, c, c->rest_length);
	return err;
}

static bool refused_before(const struct line *line, const char *from, size_t size)
{
	return line->refused_length && size >= line->refused_length && memcmp(from, line->refused, line->refused_length) == 0;
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
	if (!line) {
		line = calloc(1, sizeof *line);
		if (!line)
			return -ENOMEM;
		line->owner = owner;
		LL_PREPEND(l->unfinished, line);
	}
	atomic_fetch_sub(l->used, line->length);
	free(line->bytes);
	line->bytes = NULL;
	line->length = line->room = 0;
	line->refused_length = size < LINE_REFUSED ? size : LINE_REFUSED;
	memcpy(line->refused, from, line->refused_length);
	return refuse(line, from, size);
}

/* The first write behind the broken line that ends with a newline ends it; tried again, it is a message like any other. */
static int refuse_broken(struct line *line, const char *from, size_t size, struct cut *c)
{
	int err = refuse(line, from, size);

	c->lost = newlines(from, size);
	if (!line->broken)
		line->refused_length = 0;
	return err;
}

/* Nothing is left to know of it. */
static bool over_with(const struct line *line)
{
	return !line->length && !line->broken && !line->refused_length;
}

int lines_cut(struct lines *l, uint64_t owner, const char *from, size_t size, size_t max, struct cut *c)
{
	struct line *line = find(l, owner);
	size_t kept = line ? line->length : 0, done;
	bool over;
	int err = 0;

	*c = (struct cut){.line = line, .taken = size};
	if (line && refused_before(line, from, size))
		return refuse(line, from, size);
	if (line && line->broken) {
		err = refuse_broken(line, from, size, c);
		if (over_with(line))
			forget(l, line);
		return err;
	}
	done = complete(from, size, kept, max, &over);
	if (over && !done)
		return refuse_long(l, owner, from, size, line);
	if (done) {
		if (kept)
			c->iov[c->iovcnt++] = (struct iovec){line->bytes, kept};
		c->iov[c->iovcnt++] = (struct iovec){(void *)from, done};
		c->messages = newlines(from, done);
	}
	if (over) {
		c->taken = done;
	} else if (done < size) {
		c->rest = from + done;
		c->rest_length = size - done;
		err = prepare(l, owner, c, kept);
		/* what prepare() has moved */
		if (!err && kept && c->iovcnt)
			c->iov[0].iov_base = c->line->bytes;
	}
	if (err)
		lines_drop(l, c);
	return err;
}

void lines_keep(struct lines *l, struct cut *c)
{
	struct line *line = c->line;

	if (!line)
		return;
	if (c->iovcnt) {
		atomic_fetch_sub(l->used, line->length);
		line->length = 0;
	}
	if (c->rest_length) {
		memcpy(line->bytes + line->length, c->rest, c->rest_length);
		line->length += c->rest_length;
	}
	line->refused_length = 0;
	line->behind = 0;
	if (over_with(line))
		forget(l, line);
}

void lines_drop(struct lines *l, struct cut *c)
{
	struct line *line = c->line;

	atomic_fetch_sub(l->used, c->charged);
	if (line && over_with(line))
		forget(l, line);
}
