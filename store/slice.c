/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"
#include "segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void slice_init(struct slice *s)
{
	s->parts = 0;
	s->bytes = 0;
	s->copied = NULL;
	s->copied_len = s->copied_max = 0;
	s->holds = 0;
}

void slice_free(struct slice *s)
{
	for (int i = 0; i < s->holds; i++)
		segment_put(s->held[i]);
	free(s->copied);
	slice_init(s);
}

int slice_reserve(struct slice *s, size_t bytes)
{
	uint8_t *copied;

	if (s->copied_max - s->copied_len >= bytes)
		return 0;
	copied = malloc(s->copied_len + bytes);
	if (!copied)
		return -ENOMEM;
	if (s->copied_len)
		memcpy(copied, s->copied, s->copied_len);
	for (int i = 0; i < s->parts; i++) {
		uintptr_t into = (uintptr_t)s->part[i].iov_base - (uintptr_t)s->copied;

		if (s->copied && into < s->copied_len)
			s->part[i].iov_base = copied + into;
	}
	free(s->copied);
	s->copied = copied;
	s->copied_max = s->copied_len + bytes;
	return 0;
}

struct copy {
	const struct slice *from;
	uint8_t *to;
};

static int copy(void *ctx)
{
	const struct copy *c = ctx;
	uint8_t *to = c->to;

	for (int i = 0; i < c->from->parts; i++) {
		memcpy(to, c->from->part[i].iov_base, c->from->part[i].iov_len);
		to += c->from->part[i].iov_len;
	}
	return 0;
}

int slice_copy(const struct slice *s, void *to)
{
	struct copy c = {.from = s, .to = to};

	return disk_guard(copy, &c);
}
