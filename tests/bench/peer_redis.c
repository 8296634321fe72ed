/* SPDX-License-Identifier: Apache-2.0 */
/* Redis Streams over RESP: XADD with an id of the server's, XREAD behind the last id seen. */
#include "ground.h"
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct link {
	struct wire wire;
	char stream[64];
	char last[64];           /* id of the last message seen */
};

/* The number behind the reply's type, which must be TYPE. */
static long expect(struct link *l, char type)
{
	char *line = wire_line(&l->wire);
	if (*line != type) {
		errno = 0;
		die("redis answered", line);
	}
	return atol(line + 1);
}

static char *expect_string(struct link *l, size_t *len)
{
	*len = (size_t)expect(l, '$');
	return wire_bytes(&l->wire, *len);
}

static struct link *redis_open(unsigned port, const char *stream, unsigned id)
{
	(void)id;
	struct link *l = must_alloc(1, sizeof *l);
	wire_open(&l->wire, port);
	snprintf(l->stream, sizeof l->stream, "%s", stream);
	strcpy(l->last, "0-0");
	return l;
}

static void redis_append(struct link *l, const char *data, size_t size, unsigned count)
{
	size_t len;
	for (unsigned i = 0; i < count; i++) {
		wire_text(&l->wire, "*5\r\n$4\r\nXADD\r\n$%zu\r\n%s\r\n$1\r\n*\r\n$1\r\nm\r\n$%zu\r\n", strlen(l->stream), l->stream, size);
		wire_put(&l->wire, data + i * size, size);
		wire_put(&l->wire, "\r\n", 2);
	}
	wire_flush(&l->wire);
	for (unsigned i = 0; i < count; i++)
		expect_string(l, &len);
}

static void redis_consume(struct link *l, int from_start)
{
	size_t len;
	if (from_start)
		return;
	wire_text(&l->wire, "XREVRANGE %s + - COUNT 1\r\n", l->stream);
	wire_flush(&l->wire);
	if (expect(l, '*') == 0)
		return;
	expect(l, '*');
	snprintf(l->last, sizeof l->last, "%.*s", 40, expect_string(l, &len));
	l->last[strcspn(l->last, "\r")] = 0;
	for (long n = expect(l, '*'); n > 0; n--)
		expect_string(l, &len);
}

static uint64_t redis_next(struct link *l, uint64_t max)
{
	size_t len;
	wire_text(&l->wire, "XREAD COUNT %lu BLOCK 0 STREAMS %s %s\r\n", (unsigned long)(max < 1000 ? max : 1000), l->stream, l->last);
	wire_flush(&l->wire);
	expect(l, '*');
	expect(l, '*');
	expect_string(l, &len);
	long count = expect(l, '*');
	for (long i = 0; i < count; i++) {
		expect(l, '*');
		char *id = expect_string(l, &len);
		if (i == count - 1 && len < sizeof l->last) {
			memcpy(l->last, id, len);
			l->last[len] = 0;
		}
		for (long n = expect(l, '*'); n > 0; n--)
			expect_string(l, &len);
	}
	return (uint64_t)count;
}

static void redis_close(struct link *l)
{
	wire_close(&l->wire);
	free(l);
}

const struct peer peer_redis = { "redis", redis_open, redis_append, redis_consume, redis_next, redis_close };
