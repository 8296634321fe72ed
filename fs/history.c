/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST ((size_t)4096)

void history_init(struct history *h)
{
	*h = (struct history){0};
}

void history_free(struct history *h)
{
	free(h->bytes);
}

static void put(struct history *h, uint64_t at, const char *from, size_t size)
{
	size_t place = at & (h->room - 1), first = h->room - place;

	if (first > size)
		first = size;
	memcpy(h->bytes + place, from, first);
	memcpy(h->bytes, from + first, size - first);
}

int history_reserve(struct history *h, size_t size)
{
	size_t room = h->room ? h->room : ROOM_LEAST;
	struct history old = *h;
	struct iovec piece[2];
	uint64_t at = h->end - h->kept;

	while (room < HISTORY_MAX && room < h->kept + size)
		room *= 2;
	if (room == h->room)
		return 0;
	h->bytes = malloc(room);
	if (!h->bytes) {
		*h = old;
		return -ENOMEM;
	}
	h->room = room;
	history_get(&old, at, old.kept, piece);
	for (int i = 0; i < 2 && old.kept; at += piece[i++].iov_len)
		put(h, at, piece[i].iov_base, piece[i].iov_len);
	free(old.bytes);
	return 0;
}

void history_add(struct history *h, const char *from, size_t size)
{
	if (history_reserve(h, size) < 0)
		h->kept = 0;
	if (size > h->room) {
		h->end += size - h->room;
		from += size - h->room;
		size = h->room;
	}
	if (size)
		put(h, h->end, from, size);
	h->end += size;
	h->kept = h->kept + size < h->room ? h->kept + size : h->room;
}

ssize_t history_get(const struct history *h, uint64_t at, size_t max, struct iovec piece[2])
{
	uint64_t first = h->end - h->kept;
	size_t place, size;

	if (at < first || at > h->end)
		return -EINVAL;
	size = h->end - at < max ? (size_t)(h->end - at) : max;
	piece[0] = piece[1] = (struct iovec){h->bytes, 0};
	if (!size)
		return 0;
	place = at & (h->room - 1);
	piece[0] = (struct iovec){h->bytes + place, size < h->room - place ? size : h->room - place};
	piece[1] = (struct iovec){h->bytes, size - piece[0].iov_len};
	return (ssize_t)size;
}
