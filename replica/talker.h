/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talker.h - the thread that sends on a link what a sender or a receiver has to say, until that ends or the link does.
 *
 * Calling  talker_start(&t, link, &voice, progress); the link's other thread receives; talker_stop(t) when that is out.
 * Units    times are CLOCK_MONOTONIC ns.
 * Errors   negative errno. What ended it, talker_stop() returns: of the voice, or of the link, which is shut down then.
 * Threads  its own, and its owner's. When the voice has said its last word the link is left open, or the other side might not hear it: the owner, who
 *          receives, goes on until the other side closes, but no longer than talker_ended() and LINK_SILENCE say.
 */
#ifndef MQFS_REPLICA_TALKER_H
#define MQFS_REPLICA_TALKER_H

#include "link.h"
#include "progress.h"

/* Whose frames they are: sender_next() and sender_due(), or receiver's. */
struct voice {
	int (*next)(void *of, int64_t now, struct frame *f, struct iovec *iov, int *n);
	int64_t (*due)(void *of);
	void *of;
	int64_t (*rest)(void *of, const struct frame *sent);     /* how long to say nothing behind this frame, ns; may be NULL: never */
};

struct talker;

int talker_start(struct talker **t, struct link *l, const struct voice *v, struct progress *p);
bool talker_ended(struct talker *t);
/* Shuts the link down, joins the thread. 0: it had not ended by itself. */
int talker_stop(struct talker *t);

#endif
