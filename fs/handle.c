/* SPDX-License-Identifier: Apache-2.0 */
#include "handle.h"
#include "polled.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static void free_opened(struct opened *o)
{
	handle_free((struct handle *)o);
}

static struct handle *handle_new(struct mount *m, struct queue *q, uint64_t start, uint64_t end,
	void (*stop)(struct opened *o))
{
	struct handle *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->queue = q;
	topic_hold(q->topic);
	pthread_mutex_init(&h->reading, NULL);
	pthread_mutex_init(&h->appending, NULL);
	lines_init(&h->lines, &m->unfinished, UNFINISHED_MAX);
	offsets_init(&h->offsets, start);
	ahead_init(&h->ahead);
	h->end = end;
	h->cuts = q->cuts;
	h->cuts_told = q->cuts_told;
	h->opened.stop = stop;
	h->opened.free = free_opened;
	opened_add(m, &h->opened);
	return h;
}

void handle_free(struct handle *h)
{
	struct topic *t = h->queue->topic;

	ahead_end(h);
	opened_remove(&h->opened);
	if (h->polled)
		polled_free(h->polled);
	reader_free(h->reader);
	lines_free(&h->lines);
	pthread_mutex_destroy(&h->reading);
	pthread_mutex_destroy(&h->appending);
	free(h);
	topic_put(t);
}

void handle_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi, uint64_t start, uint64_t end,
	void (*stop)(struct opened *o))
{
	struct handle *h = handle_new(mount_of(req), n->queue, start, end, stop);

	if (!h) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if ((fi->flags & O_ACCMODE) != O_WRONLY)
		handle_mark(h);
	fi->fh = (uintptr_t)h;
	fi->direct_io = 1;
	/* An open that was given up meanwhile is never released. */
	if (fuse_reply_open(req, fi) < 0)
		handle_free(h);
}

void handle_refuse_cut(struct handle *h, uint64_t size)
{
	pthread_mutex_lock(&h->appending);
	if (!h->last_pos && size < h->queue->committed)
		h->replacing = true;
	pthread_mutex_unlock(&h->appending);
}

void handle_mark_at(struct handle *h, uint64_t offset)
{
	uint64_t mark = h->mark;

	while (mark < offset && !atomic_compare_exchange_weak(&h->mark, &mark, offset))
		;
}

void handle_mark(struct handle *h)
{
	handle_mark_at(h, queue_appended(h->queue));
}
