/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offset.h - what the file offsets of one handle mean: queue offsets, but for two exceptions.
 *
 * A file is read from offset 0, and no open file can be told to begin elsewhere. So the first read of a handle of `Q@START` that
 * comes for offset 0 is served from START, and a first read below the head (the oldest retained byte) from the head. From then
 * on the file offsets that were so served, and the next one behind them, keep this meaning: they lie a constant SHIFT below
 * their queue offsets. A program that reads ahead and seeks back (bash's read, head) gets what it got before, and cat goes on.
 * All other file offsets are queue offsets, so that a program may go on where it once was: with lseek(2) before its first read.
 *
 * A later read elsewhere below the head is refused once with EPIPE, as on /dev/kmsg: the reader was overtaken, and must know. It
 * then goes on at the head, in the same way.
 *
 * Units    bytes.
 * Threads  one at a time.
 */
#ifndef MQFS_FS_OFFSET_H
#define MQFS_FS_OFFSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct offsets {
	bool begun;              /* the first read was */
	bool refused;            /* the last read was, with EPIPE */
	uint64_t start;          /* queue offset that file offset 0 stands for in the first read */
	uint64_t from, to;       /* file offsets that are shifted, both included */
	uint64_t shift;          /* 0: none are */
	uint64_t position;       /* queue offset behind the last read */
};

void offsets_init(struct offsets *o, uint64_t start);
/* The queue offset that AT means in a read now: at HEAD or behind it. -EPIPE: it is below. *SKIPPED: bytes that the reader asked
 * for by their offset and will not get, told once. */
int offsets_find(struct offsets *o, uint64_t at, uint64_t head, uint64_t *offset, uint64_t *skipped);
/* SIZE bytes from OFFSET on are the answer for AT. */
void offsets_served(struct offsets *o, uint64_t at, uint64_t offset, size_t size);
/* Queue offset behind the last read, or of what the first one from offset 0 would give. */
uint64_t offsets_position(const struct offsets *o, uint64_t head);

#endif
