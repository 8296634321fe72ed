/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .follow/Q: the bytes of the queue as they are committed. A read at the end is parked, and answered by the deliverer.
 */
#include "follow.h"
#include "park.h"
#include "polled.h"
#include "read.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/poll.h>

static void follow_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		fuse_reply_err(req, EPERM);
	else
		handle_open(req, n, fi, n->start, 0, NULL);
}

static void follow_woken(struct parked *p, int err);

static bool removed(const struct queue *q)
{
	return q->topic->removed;
}

/* Parks REQ, which found nothing at OFFSET. 0: it is parked; 1: there is more now; -errno. */
static int wait_for_more(fuse_req_t req, struct handle *h, const struct reading *r, struct parked **p)
{
	if (!*p)
		*p = park_new(req, follow_woken);
	if (!*p)
		return -ENOMEM;
	(*p)->handle = h;
	(*p)->size = r->size;
	(*p)->at = r->at;
	(*p)->paged = r->paged;
	return park_watch_queue(*p, h->queue, r->offset, PARK_INTERRUPTIBLE);
}

/* Answers REQ, or parks it: as P, which is NULL while it never was. */
static void read_or_park(fuse_req_t req, struct handle *h, size_t size, off_t at, bool paged, bool nonblock, struct parked *p)
{
	struct reading r = {.size = size, .at = at, .paged = paged, .ahead = !p, .messages = true};
	ssize_t n;

	for (;;) {
		/* Before reading: what was committed by then is read first. */
		bool last = removed(h->queue);

		n = handle_read(h, &r);
		if (n || last)
			break;
		n = nonblock ? follow_nothing(handle_mount(h)->store) : wait_for_more(req, h, &r, &p);
		if (n == 0)
			return;
		if (n < 0)
			break;
	}
	park_free(p);
	reply_slice(req, n, &r.slice);
	if (r.ahead)
		ahead_run(h, size, true);
}

static void follow_woken(struct parked *p, int err)
{
	if (err) {
		fuse_reply_err(p->req, -err);
		park_free(p);
	} else {
		read_or_park(p->req, p->handle, p->size, p->at, p->paged, false, p);
	}
}

static void follow_read(fuse_req_t req, struct node *n, size_t size, off_t at, struct fuse_file_info *fi)
{
	bool paged = read_paged(fi);

	(void)n;
	read_or_park(req, handle_of(fi), paged ? size : follow_size(size), at, paged, fi->flags & O_NONBLOCK, NULL);
}

/* Beyond the last read, as the request has no offset. The next growth is told in any case, see polled.h. */
static void follow_poll(fuse_req_t req, struct node *n, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct handle *h = handle_of(fi);
	struct queue *q = h->queue;
	uint64_t position, committed;
	struct polled *polled;
	bool gone;
	int err;

	(void)n;
	pthread_mutex_lock(&h->reading);
	polled_take(&h->polled, handle_mount(h)->store, ph);
	polled = h->polled;
	position = offsets_position(&h->offsets, q->head);
	pthread_mutex_unlock(&h->reading);
	if (ph && !polled) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	do {
		gone = removed(q);
		committed = q->committed;
		err = polled ? polled_watch_queue(polled, q, committed) : watch_error(handle_mount(h)->store);
	} while (err > 0 && !gone);
	fuse_reply_poll(req, gone || err < 0 || committed > position ? POLLIN | POLLRDNORM : 0);
}

static void follow_release(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	(void)n;
	handle_free(handle_of(fi));
	fuse_reply_err(req, 0);
}

const struct file_ops follow_file = {
	.open = follow_open,
	.read = follow_read,
	.poll = follow_poll,
	.release = follow_release,
};
