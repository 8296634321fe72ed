/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST ((size_t)4096)

void history_init(struct history *h, _Atomic uint64_t *used, uint64_t max)
{
	*h = (struct history){.used = used, .max = max};
}

static void put(struct history *h, uint64_t at, const char *from, size_t size)
{
	size_t place = at & (h->room - 1), first = h->room - place;

	if (first > size)
		first = size;
	memcpy(h->bytes + place, from, first);
	memcpy(h->bytes, from + first, size - first);
}

/* What counts of ROOM among what all handles hold. */
static size_t price(size_t room)
{
	return room > HISTORY_FREE ? room : 0;
}

void history_free(struct history *h)
{
	free(h->bytes);
	*h->used -= price(h->room);
}

static int resize(struct history *h, size_t room, uint64_t max)
{
	struct history old = *h;
	struct iovec piece[2];
	uint64_t at = h->end - h->kept;

	if (price(room) && atomic_fetch_add(h->used, price(room)) + price(room) > max) {
		*h->used -= price(room);
		return -ENOBUFS;
	}
	h->bytes = malloc(room);
	if (!h->bytes) {
		*h = old;
		*h->used -= price(room);
		return -ENOMEM;
	}
	h->room = room;
	history_get(&old, at, old.kept, piece);
	for (int i = 0; i < 2 && old.kept; at += piece[i++].iov_len)
		put(h, at, piece[i].iov_base, piece[i].iov_len);
	free(old.bytes);
	*h->used -= price(old.room);
	return 0;
}

/* The least room for the last SIZE bytes, or the most there is. */
static size_t room_for(size_t size)
{
	size_t room = ROOM_LEAST;

	while (room < HISTORY_MAX && room < size)
		room *= 2;
	return room;
}

static int grow(struct history *h, size_t size, uint64_t max)
{
	size_t room = room_for(h->kept + size);

	return room > h->room ? resize(h, room, max) : 0;
}

int history_reserve(struct history *h, size_t size)
{
	return grow(h, size, h->max);
}

void history_fit(struct history *h)
{
	size_t room = room_for(h->kept);

	if (room < h->room && *h->used > h->max / 2)
		resize(h, room, UINT64_MAX);
}

void history_add(struct history *h, const char *from, size_t size)
{
	if (grow(h, size, h->max / 2) < 0 && h->room < HISTORY_FREE)
		resize(h, HISTORY_FREE, h->max);
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
