/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .follow/all: the topic's messages in log order, as they are committed. Offsets count the handle's own bytes: the stream has no
 * other place, so what was read lately is kept for who seeks back, and what a poll had to read to know that there is
 * something waits there as well.
 */
#include "follow.h"
#include "history.h"
#include "node.h"
#include "opened.h"
#include "park.h"
#include "polled.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h>

struct stream {
	struct opened opened;            /* first: it is cast to this */
	struct topic *topic;             /* held */
	uint64_t start;                  /* log position */
	pthread_mutex_t lock;
	/* guarded by it */
	struct merge *merge;             /* NULL before the first read */
	struct history history;          /* its end is where the merge is */
	uint64_t position;               /* behind the last READ */
	int error;                       /* what a poll found at the history's end: the READ's that comes there */
	struct polled *polled;           /* NULL while nobody has polled it */
};

static struct stream *stream_of(const struct fuse_file_info *fi)
{
	return (struct stream *)(uintptr_t)fi->fh;
}

static void stream_free(struct stream *s)
{
	opened_remove(&s->opened);
	if (s->polled)
		polled_free(s->polled);
	merge_free(s->merge);
	history_free(&s->history);
	pthread_mutex_destroy(&s->lock);
	topic_put(s->topic);
	free(s);
}

static void free_opened(struct opened *o)
{
	stream_free((struct stream *)o);
}

static void all_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	struct stream *s;

	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EPERM);
		return;
	}
	s = calloc(1, sizeof *s);
	if (!s) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	s->topic = topic_hold(n->topic);
	s->start = n->start;
	pthread_mutex_init(&s->lock, NULL);
	history_init(&s->history, &mount_of(req)->held, HISTORIES_MAX);
	s->opened.free = free_opened;
	opened_add(mount_of(req), &s->opened);
	fi->fh = (uintptr_t)s;
	fi->direct_io = 1;
	if (fuse_reply_open(req, fi) < 0)
		stream_free(s);
}

/* Under the lock. The next bytes of the stream, at most MAX, into TO and the history; 0: nothing more is committed now. */
static ssize_t stream_next(struct stream *s, char *to, size_t max)
{
	struct slice slice;
	ssize_t n = 0;

	if (!s->merge)
		n = merge_new(&s->merge, s->opened.mount->store, s->topic, s->start);
	if (n)
		return n;
	slice_init(&slice);
	n = merge_read(s->merge, max, &slice);
	if (n > 0) {
		int err = slice_copy(&slice, to);
		if (err)
			n = err;
		else
			history_add(&s->history, to, (size_t)n);
	}
	slice_free(&slice);
	return n;
}

/* Under the lock. From the history, copied as it will move on. */
static ssize_t stream_again(struct stream *s, uint64_t at, char *to, size_t max)
{
	struct iovec piece[2];
	ssize_t n = history_get(&s->history, at, max, piece);

	for (int i = 0; n > 0 && i < 2; to += piece[i++].iov_len)
		memcpy(to, piece[i].iov_base, piece[i].iov_len);
	return n;
}

/* Under the lock. */
static int take_error(struct stream *s)
{
	int error = s->error;

	s->error = 0;
	return error;
}

/* *SEEN: what park_watch_topic() takes, when the answer is 0. */
static ssize_t stream_read(struct stream *s, uint64_t at, char *to, size_t max, uint64_t *seen)
{
	ssize_t n;

	pthread_mutex_lock(&s->lock);
	*seen = s->topic->readable;
	if (at != s->history.end)
		n = stream_again(s, at, to, max);
	else
		n = s->error ? take_error(s) : stream_next(s, to, max);
	if (n >= 0)
		s->position = at + (uint64_t)n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void all_woken(struct parked *p, int err);

/* Parks REQ, which found nothing. 0: it is parked; 1: there may be more now; -errno. */
static int wait_for_more(fuse_req_t req, struct stream *s, size_t size, off_t at, uint64_t seen, struct parked **p)
{
	if (!*p)
		*p = park_new(req, all_woken);
	if (!*p)
		return -ENOMEM;
	(*p)->handle = s;
	(*p)->size = size;
	(*p)->at = at;
	return park_watch_topic(*p, s->topic, seen);
}

/* What REQ gets, in TO, which has SIZE bytes; false: it is parked. */
static bool read_or_wait(
	fuse_req_t req, struct stream *s, size_t size, off_t at, bool nonblock, struct parked *p, char *to, ssize_t *n)
{
	uint64_t seen;

	for (;;) {
		/* Before reading: what was committed by then is read first. */
		bool last = s->topic->removed;

		*n = stream_read(s, (uint64_t)at, to, size, &seen);
		if (*n || last)
			break;
		*n = nonblock ? follow_nothing(s->opened.mount->store) : wait_for_more(req, s, size, at, seen, &p);
		if (*n == 0)
			return false;
		if (*n < 0)
			break;
	}
	park_free(p);
	return true;
}

/* Answers REQ, or parks it: as P, which is NULL while it never was. */
static void read_or_park(fuse_req_t req, struct stream *s, size_t size, off_t at, bool nonblock, struct parked *p)
{
	char *to = malloc(size);
	ssize_t n = -ENOMEM;

	if (!to)
		park_free(p);
	if (!to || read_or_wait(req, s, size, at, nonblock, p, to, &n)) {
		if (n < 0)
			fuse_reply_err(req, (int)-n);
		else
			fuse_reply_buf(req, to, (size_t)n);
	}
	free(to);
}

static void all_woken(struct parked *p, int err)
{
	if (err) {
		fuse_reply_err(p->req, -err);
		park_free(p);
	} else {
		read_or_park(p->req, p->handle, p->size, p->at, false, p);
	}
}

static void all_read(fuse_req_t req, struct node *n, size_t size, off_t at, struct fuse_file_info *fi)
{
	(void)n;
	read_or_park(req, stream_of(fi), follow_size(size), at, fi->flags & O_NONBLOCK, NULL);
}

/* Under the lock. Whether there is something behind the last READ: only reading tells, as what is committed may be trimmed or
 * of no queue that is left. Without room for what would be read there may be something. */
static int stream_ready(struct stream *s)
{
	char *to;
	ssize_t n;

	if (s->position < s->history.end || s->error)
		return 1;
	to = malloc(FOLLOW_READ_MAX);
	if (!to)
		return -ENOMEM;
	n = history_reserve(&s->history, FOLLOW_READ_MAX);
	if (n == -ENOBUFS) {
		free(to);
		return 1;
	}
	if (!n)
		n = stream_next(s, to, FOLLOW_READ_MAX);
	history_fit(&s->history);
	free(to);
	if (n == 0 || n == -ENOMEM)
		return (int)n;
	s->error = n < 0 ? (int)n : 0;
	return 1;
}

static void all_poll(fuse_req_t req, struct node *n, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct stream *s = stream_of(fi);
	struct polled *polled;
	uint64_t seen;
	int ready, err;
	bool gone;

	(void)n;
	pthread_mutex_lock(&s->lock);
	polled_take(&s->polled, s->opened.mount->store, ph);
	polled = s->polled;
	do {
		gone = s->topic->removed;
		seen = s->topic->readable;
		ready = ph && !polled ? -ENOMEM : stream_ready(s);
		err = polled ? polled_watch_topic(polled, s->topic, seen) : watch_error(s->opened.mount->store);
	} while (err > 0 && !gone && ready >= 0);
	pthread_mutex_unlock(&s->lock);
	if (ready < 0)
		fuse_reply_err(req, -ready);
	else
		fuse_reply_poll(req, ready || gone || err < 0 ? POLLIN | POLLRDNORM : 0);
}

static void all_release(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	(void)n;
	stream_free(stream_of(fi));
	fuse_reply_err(req, 0);
}

const struct file_ops follow_all_file = {
	.open = all_open,
	.read = all_read,
	.poll = all_poll,
	.release = all_release,
};
