/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pieces.h - whole records out of frames that may end inside one.
 *
 * Calling  pieces_begin(p, secret, take, ctx, end); pieces_segment(); pieces_add() for each RECORDS frame; pieces_free(p).
 * Errors   -EPROTO: the frame is not the next one; -EBADMSG: no record follows there; whatever take() says. After -ENOSPC, -EDQUOT, -ENOMEM and
 *          -ENOBUFS, the same frame goes on where it stopped when it is added again.
 * Memory   the longest record.
 * Threads  one.
 */
#ifndef MQFS_REPLICA_PIECES_H
#define MQFS_REPLICA_PIECES_H

#include "frame.h"

struct pieces {
	const uint8_t *secret;
	/* LEN bytes of whole records of the segment of BASE; *TOOK of them were taken, also with an error. */
	int (*take)(void *ctx, const uint8_t *bytes, size_t len, uint64_t base, size_t *took);
	void *ctx;
	uint64_t end;                  /* of the log so far */
	uint64_t base;                 /* of the segment under way; UINT64_MAX where none has begun yet, so that the log knows it */
	uint8_t *part;                 /* of a record, whose rest is to come */
	size_t part_len, part_room;
	size_t done;                   /* bytes of the frame under way that are taken */
};

void pieces_begin(struct pieces *p, const uint8_t *secret, int (*take)(void *ctx, const uint8_t *bytes, size_t len, uint64_t base, size_t *took),
	void *ctx, uint64_t end);
void pieces_free(struct pieces *p);
/* A segment begins at POS. */
int pieces_segment(struct pieces *p, uint64_t pos);
int pieces_add(struct pieces *p, const struct frame *f, const uint8_t *body);
/* ERR is one after which it goes on. */
bool pieces_heals(int err);

#endif
