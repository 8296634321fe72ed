/* SPDX-License-Identifier: Apache-2.0 */
#include "ahead.h"
#include "handle.h"
#include "serve.h"
#include <string.h>

void ahead_init(struct ahead *a)
{
	memset(a, 0, sizeof *a);
	a->next = UINT64_MAX;
	pthread_cond_init(&a->moved, NULL);
}

static void drop(struct handle *h)
{
	struct ahead *a = &h->ahead;

	for (unsigned i = 0; i < a->count; i++) {
		handle_mount(h)->ahead -= a->slice[i].copied_max;
		slice_free(&a->slice[i]);
	}
	a->count = 0;
}

void ahead_end(struct handle *h)
{
	struct ahead *a = &h->ahead;

	pthread_mutex_lock(&h->reading);
	a->stop = true;
	while (a->due)
		pthread_cond_wait(&a->moved, &h->reading);
	drop(h);
	pthread_mutex_unlock(&h->reading);
	pthread_cond_destroy(&a->moved);
}

void ahead_leave(struct handle *h)
{
	struct ahead *a = &h->ahead;

	a->stop = a->busy;
	while (a->busy)
		pthread_cond_wait(&a->moved, &h->reading);
	drop(h);
}

bool ahead_take(struct handle *h, uint64_t offset, size_t size, struct slice *to)
{
	struct ahead *a = &h->ahead;
	bool fits;

	while (!(fits = offset == a->next && size == a->size) || !a->count) {
		if (!fits) {
			drop(h);
			a->stop = a->busy;
		}
		if (!a->busy)
			return false;
		pthread_cond_wait(&a->moved, &h->reading);
	}
	*to = a->slice[0];
	handle_mount(h)->ahead -= to->copied_max;
	a->count--;
	memmove(a->slice, a->slice + 1, a->count * sizeof *a->slice);
	return true;
}

/* The bytes from FROM on may be gathered, and kept. */
static bool has_room(const struct handle *h, uint64_t from, size_t size)
{
	return h->ahead.count < AHEAD_SLICES && h->queue->committed >= from + size && handle_mount(h)->ahead + size <= AHEAD_MAX;
}

bool ahead_follow(struct handle *h, uint64_t offset, size_t size, const struct slice *read)
{
	struct ahead *a = &h->ahead;
	bool goes_on = offset == a->next;

	a->next = offset + read->bytes;
	if (!goes_on || read->bytes != size || a->due || !has_room(h, a->next + a->count * size, size))
		return false;
	a->due = true;
	return true;
}

/* One slice more; false: that is all. */
static bool gather(struct handle *h)
{
	struct ahead *a = &h->ahead;
	struct slice s;
	size_t size = a->size;
	uint64_t from = a->next + a->count * size;
	ssize_t n;

	if (a->stop || !has_room(h, from, size))
		return false;
	slice_init(&s);
	pthread_mutex_unlock(&h->reading);
	n = reader_ahead(h->reader, from, size, a->messages, &s);
	pthread_mutex_lock(&h->reading);
	if (n != (ssize_t)size || a->stop) {
		slice_free(&s);
		return false;
	}
	handle_mount(h)->ahead += s.copied_max;
	a->slice[a->count++] = s;
	pthread_cond_broadcast(&a->moved);
	return true;
}

void ahead_run(struct handle *h, size_t size, bool messages)
{
	struct ahead *a = &h->ahead;

	serve_answered();
	pthread_mutex_lock(&h->reading);
	a->busy = true;
	a->size = size;
	a->messages = messages;
	while (gather(h))
		;
	a->busy = a->stop = a->due = false;
	pthread_cond_broadcast(&a->moved);
	pthread_mutex_unlock(&h->reading);
}
