/* SPDX-License-Identifier: Apache-2.0 */
#include "annals.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct annals {
	pthread_mutex_t lock;
	struct epoch_row *epochs;
	size_t epochs_count, epochs_room;
	struct pair_row *pairs;
	_Atomic size_t pairs_count;
	size_t pairs_room;
};

int annals_new(struct annals **to)
{
	struct annals *h = calloc(1, sizeof *h);

	if (!h)
		return -ENOMEM;
	pthread_mutex_init(&h->lock, NULL);
	*to = h;
	return 0;
}

void annals_free(struct annals *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	free(h->epochs);
	free(h->pairs);
	free(h);
}

static int reserve(struct annals *h)
{
	if (h->epochs_count == h->epochs_room) {
		size_t room = h->epochs_room ? 2 * h->epochs_room : 8;
		struct epoch_row *epochs = reallocarray(h->epochs, room, sizeof *epochs);
		if (!epochs)
			return -ENOMEM;
		h->epochs = epochs;
		h->epochs_room = room;
	}
	if (h->pairs_count == h->pairs_room) {
		size_t room = h->pairs_room ? 2 * h->pairs_room : 4;
		struct pair_row *pairs = reallocarray(h->pairs, room, sizeof *pairs);
		if (!pairs)
			return -ENOMEM;
		h->pairs = pairs;
		h->pairs_room = room;
	}
	return 0;
}

int annals_reserve(struct annals *h)
{
	int err;

	pthread_mutex_lock(&h->lock);
	err = reserve(h);
	pthread_mutex_unlock(&h->lock);
	return err;
}

static bool same_epoch(const struct epoch *a, const struct epoch *b)
{
	return a->reign == b->reign && a->start == b->start && a->node == b->node;
}

static int note_pair(struct annals *h, const struct record *r, const void *body)
{
	struct pair_row row = {.pos = r->pos};
	int err = pair_decode(&row.pair, body, r->length);

	if (!err && (!h->pairs_count || h->pairs[h->pairs_count - 1].pos < r->pos))
		h->pairs[h->pairs_count++] = row;
	return err;
}

/* An epoch begins with its own record; where that has rotted, with whatever shows it first, and nothing tells what was before it. */
static void note_epoch(struct annals *h, const struct record *r)
{
	const struct epoch_row *last = h->epochs_count ? &h->epochs[h->epochs_count - 1] : NULL;
	bool first = r->type == RECORD_EPOCH;

	if (last && (last->start >= r->pos || same_epoch(&last->epoch, &r->epoch)))
		return;
	h->epochs[h->epochs_count++] = (struct epoch_row){.epoch = r->epoch, .start = r->pos, .chain = first ? r->prev : 0,
		.accepted_loss = first && r->flags & RECORD_ACCEPTED_LOSS};
}

int annals_note(struct annals *h, const struct record *r, const void *body)
{
	int err;

	pthread_mutex_lock(&h->lock);
	err = reserve(h);
	if (!err)
		note_epoch(h, r);
	if (!err && r->type == RECORD_PAIR)
		err = note_pair(h, r, body);
	pthread_mutex_unlock(&h->lock);
	return err;
}

/* There is room. The epoch may be known by a record behind its first one. */
static void mend_epoch(struct annals *h, const struct record *r)
{
	struct epoch_row row = {.epoch = r->epoch, .start = r->pos, .chain = r->prev, .accepted_loss = r->flags & RECORD_ACCEPTED_LOSS};
	size_t n = h->epochs_count;

	while (n > 0 && h->epochs[n - 1].start > r->pos && !same_epoch(&h->epochs[n - 1].epoch, &r->epoch))
		n--;
	if (n > 0 && same_epoch(&h->epochs[n - 1].epoch, &r->epoch)) {
		h->epochs[n - 1] = row;
		return;
	}
	memmove(h->epochs + n + 1, h->epochs + n, (h->epochs_count++ - n) * sizeof *h->epochs);
	h->epochs[n] = row;
}

static int mend_pair(struct annals *h, const struct record *r, const void *body)
{
	struct pair_row row = {.pos = r->pos};
	size_t n = h->pairs_count;
	int err = pair_decode(&row.pair, body, r->length);

	while (n > 0 && h->pairs[n - 1].pos > r->pos)
		n--;
	if (err || (n > 0 && h->pairs[n - 1].pos == r->pos))
		return err;
	memmove(h->pairs + n + 1, h->pairs + n, (h->pairs_count++ - n) * sizeof *h->pairs);
	h->pairs[n] = row;
	return 0;
}

int annals_mend(struct annals *h, const struct record *r, const void *body)
{
	int err;

	pthread_mutex_lock(&h->lock);
	err = reserve(h);
	if (!err && r->type == RECORD_EPOCH)
		mend_epoch(h, r);
	if (!err && r->type == RECORD_PAIR)
		err = mend_pair(h, r, body);
	pthread_mutex_unlock(&h->lock);
	return err;
}

int annals_restore_epoch(struct annals *h, const struct epoch_row *row)
{
	int err;

	pthread_mutex_lock(&h->lock);
	err = reserve(h);
	if (!err)
		h->epochs[h->epochs_count++] = *row;
	pthread_mutex_unlock(&h->lock);
	return err;
}

int annals_restore_pair(struct annals *h, const struct pair_row *row)
{
	int err;

	pthread_mutex_lock(&h->lock);
	err = reserve(h);
	if (!err) {
		h->pairs[h->pairs_count] = *row;
		h->pairs_count++;
	}
	pthread_mutex_unlock(&h->lock);
	return err;
}

void annals_cut(struct annals *h, uint64_t pos)
{
	pthread_mutex_lock(&h->lock);
	while (h->epochs_count && h->epochs[h->epochs_count - 1].start >= pos)
		h->epochs_count--;
	while (h->pairs_count && h->pairs[h->pairs_count - 1].pos >= pos)
		h->pairs_count--;
	pthread_mutex_unlock(&h->lock);
}

/* The place of the last pair that is committed; 0 when none is. */
static size_t committed_pair(const struct annals *h, uint64_t committed)
{
	size_t n = h->pairs_count;

	while (n > 0 && h->pairs[n - 1].pos >= committed)
		n--;
	return n ? n - 1 : 0;
}

void annals_forget(struct annals *h, uint64_t pos, uint64_t committed)
{
	size_t old = 0, replaced;

	pthread_mutex_lock(&h->lock);
	while (old + 1 < h->epochs_count && h->epochs[old + 1].start <= pos)
		old++;
	h->epochs_count -= old;
	if (old)
		memmove(h->epochs, h->epochs + old, h->epochs_count * sizeof *h->epochs);
	replaced = committed_pair(h, committed);
	h->pairs_count -= replaced;
	if (replaced)
		memmove(h->pairs, h->pairs + replaced, h->pairs_count * sizeof *h->pairs);
	pthread_mutex_unlock(&h->lock);
}

int annals_epochs(struct annals *h, struct epoch_row **to, size_t *count)
{
	pthread_mutex_lock(&h->lock);
	*count = h->epochs_count;
	*to = reallocarray(NULL, h->epochs_count + 1, sizeof **to);
	if (*to && h->epochs_count)
		memcpy(*to, h->epochs, h->epochs_count * sizeof **to);
	pthread_mutex_unlock(&h->lock);
	return *to ? 0 : -ENOMEM;
}

uint32_t annals_last_start(struct annals *h, uint32_t reign, uint64_t node)
{
	uint32_t start = 0;

	pthread_mutex_lock(&h->lock);
	for (size_t n = 0; n < h->epochs_count; n++) {
		const struct epoch *e = &h->epochs[n].epoch;
		if (e->reign == reign && e->node == node && e->start > start)
			start = e->start;
	}
	pthread_mutex_unlock(&h->lock);
	return start;
}

struct epoch_row annals_last_epoch(struct annals *h)
{
	struct epoch_row row = {0};

	pthread_mutex_lock(&h->lock);
	if (h->epochs_count)
		row = h->epochs[h->epochs_count - 1];
	pthread_mutex_unlock(&h->lock);
	return row;
}

int annals_pairs(struct annals *h, uint64_t committed, struct pair_row *to, size_t max, size_t *count)
{
	size_t first, lone;

	pthread_mutex_lock(&h->lock);
	first = committed_pair(h, committed);
	lone = h->epochs_count && (!h->pairs_count || h->pairs[0].pos >= committed);
	*count = lone + h->pairs_count - first;
	if (*count <= max) {
		if (lone)
			to[0] = (struct pair_row){.pair = {.nodes = 1, .node = {h->epochs[0].epoch.node}}};
		if (h->pairs_count > first)
			memcpy(to + lone, h->pairs + first, (h->pairs_count - first) * sizeof *to);
	}
	pthread_mutex_unlock(&h->lock);
	return *count <= max ? 0 : -ENOBUFS;
}

bool annals_paired(const struct annals *h)
{
	return h->pairs_count > 0;
}

bool annals_last_pair(struct annals *h, struct pair_row *to)
{
	bool any;

	pthread_mutex_lock(&h->lock);
	any = h->pairs_count > 0;
	if (any)
		*to = h->pairs[h->pairs_count - 1];
	pthread_mutex_unlock(&h->lock);
	return any;
}
