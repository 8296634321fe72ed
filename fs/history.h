/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - the last bytes of a stream, for who seeks back in it.
 *
 * What all histories keep has a bound, of which what was read takes no more than half: the rest is for what poll(2) had to read. Past it
 * a history is no longer than HISTORY_FREE, which programs that read in blocks and seek back get along with.
 *
 * Units    places in the stream, bytes from its beginning.
 * Errors   -ENOMEM, -ENOBUFS: all histories have reached their bound. Both change nothing.
 * Threads  one at a time.
 */
#ifndef MQFS_FS_HISTORY_H
#define MQFS_FS_HISTORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define HISTORY_MAX ((size_t)1 << 20)     /* bytes kept */
#define HISTORY_FREE ((size_t)1 << 14)    /* of these, what is not counted and never refused */

struct history {
	char *bytes;
	size_t room;             /* a power of 2, at most HISTORY_MAX; byte N of the stream is at N % room */
	uint64_t end;            /* behind the last byte */
	size_t kept;             /* of the last bytes, how many are there */
	_Atomic uint64_t *used;
	uint64_t max;
};

/* *USED: the bytes that all histories keep, and whatever else is counted there; they add nothing to it past MAX. */
void history_init(struct history *h, _Atomic uint64_t *used, uint64_t max);
void history_free(struct history *h);
/* Room for the next SIZE bytes, as far as they will be kept. */
int history_reserve(struct history *h, size_t size);
/* Gives back room that nothing is in, where it is getting short. */
void history_fit(struct history *h);
/* More of the stream. Where there is no room for it, what was before is forgotten, and these bytes if need be. */
void history_add(struct history *h, const char *from, size_t size);
/* Kept bytes from AT on, at most MAX, as one or two pieces that are good until the next call: how many bytes. 0: AT is the end;
 * -EINVAL: it is none of those kept. */
ssize_t history_get(const struct history *h, uint64_t at, size_t max, struct iovec piece[2]);

#endif
