/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow.h - what the two files that block at their end, .follow/Q and .follow/all, have in common.
 */
#ifndef MQFS_FS_FOLLOW_H
#define MQFS_FS_FOLLOW_H

#include "watch.h"
#include <errno.h>
#include <stddef.h>

/*
 * The most that one READ gives. A read(2) of more than the kernel puts into one request, 1 MiB less the misalignment of its buffer,
 * goes on with a second one when the first was filled, and that would block with data in hand. A shorter answer ends it.
 */
#define FOLLOW_READ_MAX ((size_t)(1u << 20) - 4096)

static inline size_t follow_size(size_t size)
{
	return size < FOLLOW_READ_MAX ? size : FOLLOW_READ_MAX;
}

/* What a read gets that found nothing and does not wait. Not EAGAIN where nothing will come: a poll says ready then, and so on for ever. */
static inline int follow_nothing(struct store *s)
{
	int err = watch_error(s);

	return err ? err : -EAGAIN;
}

#endif
