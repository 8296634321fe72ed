/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - the last bytes of a stream, for who seeks back in it.
 *
 * Units    places in the stream, bytes from its beginning.
 * Errors   -ENOMEM changes nothing.
 * Threads  one at a time.
 */
#ifndef MQFS_FS_HISTORY_H
#define MQFS_FS_HISTORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define HISTORY_MAX ((size_t)1 << 20)     /* bytes kept */

struct history {
	char *bytes;
	size_t room;             /* a power of 2, at most HISTORY_MAX; byte N of the stream is at N % room */
	uint64_t end;            /* behind the last byte */
	size_t kept;             /* of the last bytes, how many are there */
};

void history_init(struct history *h);
void history_free(struct history *h);
/* Room for the next SIZE bytes, as far as they will be kept. */
int history_reserve(struct history *h, size_t size);
/* More of the stream. Where there is no memory for it, what was before is forgotten, and these bytes if need be. */
void history_add(struct history *h, const char *from, size_t size);
/* Kept bytes from AT on, at most MAX, as one or two pieces that are good until the next call: how many bytes. 0: AT is the end;
 * -EINVAL: it is none of those kept. */
ssize_t history_get(const struct history *h, uint64_t at, size_t max, struct iovec piece[2]);

#endif
