/* SPDX-License-Identifier: Apache-2.0 */
#include "read.h"
#include "park.h"
#include <errno.h>

void reply_slice(fuse_req_t req, ssize_t n, struct slice *s)
{
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else if (n == 0)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_iov(req, s->part, s->parts);
	slice_free(s);
}

/* Under h->reading. */
static ssize_t read_at(struct handle *h, struct reading *r)
{
	int err = h->reader ? 0 : reader_new(&h->reader, handle_mount(h)->store, h->queue);

	if (err)
		return err;
	if (!r->ahead)
		ahead_leave(h);
	else if (ahead_take(h, r->offset, r->size, &r->slice))
		return (ssize_t)r->size;
	if (r->paged)
		return reader_read_whole(h->reader, r->offset, r->size, &r->slice);
	return (r->messages ? reader_read_messages : reader_read)(h->reader, r->offset, r->size, &r->slice);
}

static void count_skip(struct queue *q, uint64_t skipped)
{
	if (!skipped)
		return;
	q->skips++;
	q->skipped += skipped;
}

ssize_t handle_read(struct handle *h, struct reading *r)
{
	uint64_t at = (uint64_t)r->at, skipped;
	struct offsets before;
	ssize_t n;

	slice_init(&r->slice);
	pthread_mutex_lock(&h->reading);
	/* When the head moves on meanwhile, or nothing can be read, this was no read. */
	before = h->offsets;
	do {
		h->offsets = before;
		n = offsets_find(&h->offsets, at, h->queue->head, &r->offset, &skipped);
		if (r->paged && (n || r->offset != at))
			n = -EINVAL;
		if (!n)
			n = read_at(h, r);
	} while (n == -ENODATA && r->offset < h->queue->head);
	if (n >= 0)
		offsets_served(&h->offsets, at, r->offset, (size_t)n);
	else if (n != -EPIPE)
		h->offsets = before;
	r->ahead = r->ahead && n > 0 && ahead_follow(h, r->offset, r->size, &r->slice);
	pthread_mutex_unlock(&h->reading);
	if (n >= 0 || n == -EPIPE)
		count_skip(h->queue, skipped);
	return n;
}

/*
 * The live view at its end. What was appended before the handle's mark is waited for, so that a program reads what was
 * written before it opened; behind the mark the file ends, or cat would run after a busy queue for ever. It ends as well when the
 * commit does not come: only the stop of the mount is an error.
 */
static void end_of_file(fuse_req_t req, struct handle *h, int err)
{
	if (err == -ENOTCONN || err == -EINTR || err == -ENOMEM) {
		fuse_reply_err(req, -err);
		return;
	}
	handle_mark(h);
	fuse_reply_buf(req, NULL, 0);
}

/* What was below the mark may have been cut off since: nothing of it is to come. Nor is anything while the other node is known to be away. */
static bool awaited(const struct handle *h, uint64_t offset)
{
	return offset < h->mark && offset < queue_appended(h->queue) && store_refusing(handle_mount(h)->store) != -EHOSTDOWN;
}

static void read_woken(struct parked *p, int err);

/* Answers REQ, or parks it: as P, which is NULL while it never was. */
static void read_or_park(fuse_req_t req, struct handle *h, size_t size, off_t at, bool paged, struct parked *p)
{
	struct reading r = {.size = size, .at = at, .paged = paged, .ahead = !p};
	ssize_t n;
	int err = 1;

	while ((n = handle_read(h, &r)) == 0 && awaited(h, r.offset) && err > 0) {
		slice_free(&r.slice);
		if (!p) {
			p = park_new(req, read_woken);
			if (!p) {
				err = -ENOMEM;
				break;
			}
			p->handle = h;
			p->size = size;
			p->at = at;
			p->paged = paged;
			p->deadline = commit_clock() + (int64_t)handle_mount(h)->commit_timeout;
		}
		err = park_watch_queue(p, h->queue, r.offset, PARK_INTERRUPTIBLE);
		if (!err)
			return;
		/* A removed topic has nothing more to come. */
		if (h->queue->topic->removed && h->queue->committed <= r.offset)
			break;
	}
	park_free(p);
	if (n == 0)
		end_of_file(req, h, err);
	else
		reply_slice(req, n, &r.slice);
	if (r.ahead)
		ahead_run(h, size, false);
}

static void read_woken(struct parked *p, int err)
{
	if (err) {
		end_of_file(p->req, p->handle, err);
		park_free(p);
	} else {
		read_or_park(p->req, p->handle, p->size, p->at, p->paged, p);
	}
}

void queue_read(fuse_req_t req, struct node *n, size_t size, off_t at, struct fuse_file_info *fi)
{
	(void)n;
	read_or_park(req, handle_of(fi), size, at, read_paged(fi), NULL);
}
