/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view {
	unsigned topic, queue;
	char line[LEDGER_LINE];         /* what came of it so far */
	size_t length;
	struct {
		bool known;
		uint64_t next;
	} of[LEDGER_WRITERS];
};

static size_t make_line(unsigned writer, unsigned topic, unsigned queue, uint64_t number, char to[LEDGER_LINE])
{
	size_t len = (size_t)snprintf(to, LEDGER_LINE, "%u %u %u %" PRIu64 " ", writer, topic, queue, number);
	size_t more = (number * 7 + writer * 13) % (number % 50 ? 60 : 300);

	memset(to + len, 'a' + (int)(number % 26), more);
	to[len + more] = '\n';
	return len + more + 1;
}

size_t ledger_write(const struct ledger *h, unsigned writer, unsigned topic, unsigned queue, unsigned lines, char *to)
{
	size_t len = 0;

	for (unsigned n = 0; n < lines; n++)
		len += make_line(writer, topic, queue, h->of[writer][topic][queue].next + n, to + len);
	return len;
}

void ledger_appended(struct ledger *h, unsigned writer, unsigned topic, unsigned queue, unsigned lines)
{
	h->of[writer][topic][queue].next += lines;
}

void ledger_acknowledged(struct ledger *h, unsigned writer, unsigned topic, unsigned queue)
{
	h->of[writer][topic][queue].acknowledged = h->of[writer][topic][queue].next;
}

static _Noreturn void wrong(const struct view *v, const char *what, uint64_t wanted)
{
	fprintf(stderr, "topic %u, queue %u: %s; %" PRIu64 " was wanted: %.*s\n", v->topic, v->queue, what, wanted, (int)v->length, v->line);
	abort();
}

struct view *view_new(unsigned topic, unsigned queue)
{
	struct view *v = calloc(1, sizeof *v);

	if (v) {
		v->topic = topic;
		v->queue = queue;
	}
	return v;
}

void view_free(struct view *v)
{
	free(v);
}

static void take_line(struct view *v)
{
	char same[LEDGER_LINE];
	unsigned writer, topic, queue;
	uint64_t number;

	v->line[v->length - 1] = 0;
	if (sscanf(v->line, "%u %u %u %" SCNu64, &writer, &topic, &queue, &number) != 4 || writer >= LEDGER_WRITERS)
		wrong(v, "a line that nobody wrote", 0);
	v->line[v->length - 1] = '\n';
	if (topic != v->topic || queue != v->queue || make_line(writer, topic, queue, number, same) != v->length ||
		memcmp(same, v->line, v->length) != 0)
		wrong(v, "a line that nobody wrote here", 0);
	if (v->of[writer].known && number != v->of[writer].next)
		wrong(v, "a line is missing or there twice", v->of[writer].next);
	v->of[writer].known = true;
	v->of[writer].next = number + 1;
	v->length = 0;
}

void view_take(struct view *v, const char *bytes, size_t len)
{
	for (; len > 0; bytes++, len--) {
		if (v->length == LEDGER_LINE)
			wrong(v, "a line that is too long", 0);
		v->line[v->length++] = *bytes;
		if (*bytes == '\n')
			take_line(v);
	}
}

void view_skip(struct view *v)
{
	v->length = 0;
	for (unsigned n = 0; n < LEDGER_WRITERS; n++)
		v->of[n].known = false;
}

void view_is_all(const struct view *v, const struct ledger *h)
{
	if (v->length)
		wrong(v, "the queue ends within a line", 0);
	for (unsigned n = 0; n < LEDGER_WRITERS; n++)
		if (v->of[n].known && v->of[n].next < h->of[n][v->topic][v->queue].acknowledged)
			wrong(v, "a line that was acknowledged is missing", v->of[n].next);
}
