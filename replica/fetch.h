/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h - what is damaged in one node's log is asked of the other: both sides of a link have one, and do the same.
 *
 * It asks for one span at a time (store_damaged_span()), in pieces of at most a frame, one question after the other, and hands what came to
 * store_repair(), which takes only what is valid and joins the log at both ends. It answers the other's questions with bytes that it has
 * read and verified there and then; where it has none it says so, and where it cannot tell for now it answers later. Since a question may be
 * for the middle of a record, as the one before it was for its beginning, it goes on where the last answer ended, and takes any other position
 * for a record's beginning.
 *
 * What the other side did not have, or what did not fit, is asked for again when new damage is found, or FETCH_AGAIN later.
 *
 * Calling
 *	fetch_new(&f, store)
 *	one thread:   fetch_next(f, now, upto, &frame, iov, &n)      1: send it; 0: nothing to say
 *	another one:  fetch_hear(f, &frame, body)                    a FETCH or FETCHED came; then the first has something to do
 *	fetch_free(f)
 *
 * Memory   the span, at most the longest record; and RAW_CHUNK, or the longest record that was asked for.
 * Errors   negative errno: the link must end. -EPROTO: an answer to nothing, or a question before the last was answered.
 * Threads  next and hear may run at the same time, each in one thread.
 * Owns     what iov points to is the fetch's until the next fetch_next().
 */
#ifndef MQFS_REPLICA_FETCH_H
#define MQFS_REPLICA_FETCH_H

#include "frame.h"

#define FETCH_AGAIN INT64_C(60000000000) /* ns */

struct fetch;
struct store;

int fetch_new(struct fetch **f, struct store *store);
void fetch_free(struct fetch *f);                    /* also NULL */
/* The next frame, but for its epoch. It asks for nothing behind UPTO, which the other node has. LAST: nobody else is to be asked, so what the
 * other node has not is absent. */
int fetch_next(struct fetch *f, int64_t now, uint64_t upto, bool last, struct frame *to, struct iovec *iov, int *n);
int fetch_hear(struct fetch *f, const struct frame *frame, const void *body);

#endif
