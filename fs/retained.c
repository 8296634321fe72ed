/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .retained/Q: what the queue held when the name was looked up, as a file that does not change: from the head to the committed end of
 * then. Programs that read whole files compare its size before and after.
 */
#include "read.h"
#include <errno.h>
#include <fcntl.h>

static void retained_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		fuse_reply_err(req, EPERM);
	else
		handle_open(req, n, fi, n->start, n->end, NULL);
}

/* Bytes from OFFSET on in S. -ESTALE: they were trimmed meanwhile. */
static ssize_t read_retained(struct handle *h, uint64_t offset, size_t size, bool paged, struct slice *s)
{
	ssize_t n;

	if (offset >= h->end)
		return 0;
	if (offset < h->queue->head)
		return -ESTALE;
	if (size > h->end - offset)
		size = (size_t)(h->end - offset);
	pthread_mutex_lock(&h->reading);
	n = h->reader ? 0 : reader_new(&h->reader, handle_mount(h)->store, h->queue);
	if (!n)
		n = (paged ? reader_read_whole : reader_read)(h->reader, offset, size, s);
	pthread_mutex_unlock(&h->reading);
	return n == -ENODATA ? -ESTALE : n;
}

static void retained_read(fuse_req_t req, struct node *n, size_t size, off_t at, struct fuse_file_info *fi)
{
	struct slice s;

	slice_init(&s);
	reply_slice(req, read_retained(handle_of(fi), n->start + (uint64_t)at, size, read_paged(fi), &s), &s);
}

static void retained_release(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	(void)n;
	handle_free(handle_of(fi));
	fuse_reply_err(req, 0);
}

const struct file_ops retained_file = {
	.open = retained_open,
	.read = retained_read,
	.release = retained_release,
};
