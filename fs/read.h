/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.h - what is read of a queue, as far as the live view and .follow have it in common.
 *
 * Errors   negative errno: as reader.h, -EPIPE as offset.h.
 * Threads  any; reads of one handle are made one after the other, their replies are not.
 */
#ifndef MQFS_FS_READ_H
#define MQFS_FS_READ_H

#include "handle.h"

/* One READ. */
struct reading {
	size_t size;
	off_t at;
	bool messages;           /* it ends where a message of framing=write begins or ends, unless it is paged */
	bool ahead;              /* ahead_run() is made after the answer; in the answer: when it is wanted */
	bool paged;              /* whole pages for splice(2) or sendfile(2): read_paged() */
	/* the answer */
	uint64_t offset;         /* in the queue */
	struct slice slice;
};

/*
 * splice(2), sendfile(2) and copy_file_range(2) read through the kernel's page cache, from a page's beginning on and not from where the
 * program does. Such a READ names no lock owner. It is answered where file offsets are queue offsets; where they are shifted
 * (offset.h) its bytes would be shown elsewhere, so it is -EINVAL, at which programs go over to read(2).
 *
 * The kernel takes a short answer for the end of the file, and the rest of the pages for zeros. So it gets all that it asks for and is
 * there, whatever messages that is of, or an error: at one it asks for each page by itself.
 */
static inline bool read_paged(const struct fuse_file_info *fi)
{
	return fi->lock_owner == 0;
}

/* Committed bytes for R in r->slice, which is the caller's to free: how many. 0: r->offset is the committed end. */
ssize_t handle_read(struct handle *h, struct reading *r);
/* The answer with N bytes of S, or the error that N is; frees S. */
void reply_slice(fuse_req_t req, ssize_t n, struct slice *s);

/* The live view. */
void queue_read(fuse_req_t req, struct node *n, size_t size, off_t at, struct fuse_file_info *fi);

#endif
