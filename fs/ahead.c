/* SPDX-License-Identifier: Apache-2.0 */
#include "ahead.h"
#include "handle.h"

void ahead_init(struct ahead *a)
{
	a->next = UINT64_MAX;
	a->due = false;
	slice_init(&a->slice);
	pthread_cond_init(&a->done, NULL);
}

static void drop(struct handle *h)
{
	handle_mount(h)->ahead -= h->ahead.slice.copied_max;
	slice_free(&h->ahead.slice);
}

void ahead_end(struct handle *h)
{
	pthread_mutex_lock(&h->reading);
	while (h->ahead.due)
		pthread_cond_wait(&h->ahead.done, &h->reading);
	drop(h);
	pthread_mutex_unlock(&h->reading);
	pthread_cond_destroy(&h->ahead.done);
}

bool ahead_take(struct handle *h, uint64_t offset, size_t size, struct slice *to)
{
	struct ahead *a = &h->ahead;
	bool fits = a->slice.bytes && offset == a->next && a->slice.bytes == size;

	if (!fits) {
		drop(h);
		return false;
	}
	handle_mount(h)->ahead -= a->slice.copied_max;
	*to = a->slice;
	slice_init(&a->slice);
	return true;
}

bool ahead_follow(struct handle *h, uint64_t offset, size_t size, const struct slice *read)
{
	struct ahead *a = &h->ahead;
	bool goes_on = offset == a->next, short_records = read->copied_len == read->bytes;

	a->next = offset + read->bytes;
	if (!goes_on || !short_records || read->bytes != size || a->due)
		return false;
	if (h->queue->committed < a->next + size || handle_mount(h)->ahead + size > AHEAD_MAX)
		return false;
	a->due = true;
	return true;
}

void ahead_run(struct handle *h, size_t size)
{
	struct ahead *a = &h->ahead;

	pthread_mutex_lock(&h->reading);
	/* Another read was quicker, and gathered ahead of it: then there is nothing to do. */
	if (!a->slice.bytes) {
		ssize_t n = reader_read(h->reader, a->next, size, &a->slice);

		handle_mount(h)->ahead += a->slice.copied_max;
		if (n != (ssize_t)size || a->slice.holds)
			drop(h);
	}
	a->due = false;
	pthread_cond_signal(&a->done);
	pthread_mutex_unlock(&h->reading);
}
