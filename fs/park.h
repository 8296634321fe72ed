/* SPDX-License-Identifier: Apache-2.0 */
/*
 * park.h - requests that wait: for the commit point, or for more of a queue. No thread waits with them.
 *
 * Calling
 *	p = park_new(req, woken)
 *	err = park_follow(p, pos, ...) or park_watch_...(p, ...)
 *	0: it is parked, and not the caller's any more. woken(p, err) will be called, or was
 *	1: there is nothing to wait for; negative errno: it cannot wait. p is still the caller's
 *	park_free(p)                  by whoever has it, before or after the answer to p->req
 *
 * woken() answers the request, or parks it again. It is called once for each time that it was parked, by the committer (done), the
 * deliverer (more is there, the deadline has passed, the store stops), from within INTERRUPT or by who looks after callers; without a lock
 * of ours, and must not block. ERR is what those say, -EINTR from the last two.
 *
 * Threads  any.
 */
#ifndef MQFS_FS_PARK_H
#define MQFS_FS_PARK_H

#include "caller.h"
#include "mount.h"
#include "state.h"
#include <sys/types.h>

struct handle;

struct parked {
	fuse_req_t req;
	void (*woken)(struct parked *p, int err);
	/* what the request asked for: the caller's */
	void *handle;
	size_t size;
	off_t at;
	uint64_t pos;                   /* log position */
	uint32_t cuts;                  /* the queue's, before POS was looked at */
	bool paged;                     /* see read.h */
	int64_t deadline;               /* CLOCK_MONOTONIC ns; 0: none */
	/* park.c's */
	struct mount *mount;
	union {
		struct follower follower;
		struct watcher watcher;
		struct command *command;
	};
	enum { PARK_FOLLOWS, PARK_WATCHES, PARK_COMMANDS } kind;
	bool elsewhere;                 /* who completes the command minds INTERRUPT: the caller's */
	bool firm;
	struct caller caller;           /* if it is firm */
	_Atomic int phase;
	int err;                        /* that it was woken with in phase PARK_WOKEN */
};

/* NULL: out of memory. */
struct parked *park_new(fuse_req_t req, void (*woken)(struct parked *p, int err));
void park_free(struct parked *p);

/* Until log position POS is committed; at most for the commit timeout, then -ETIMEDOUT. */
enum park_manner {
	PARK_FIRM,              /* no signal ends it but one that kills: its record is in the log */
	PARK_INTERRUPTIBLE,
};
int park_follow(struct parked *p, uint64_t pos, enum park_manner manner);
/* Until Q is committed beyond OFFSET or its topic is removed; at most until p->deadline, then -ETIMEDOUT. FIRM as above. */
int park_watch_queue(struct parked *p, struct queue *q, uint64_t offset, enum park_manner manner);
/* Until T has more that is readable than SEEN, or is removed. Interruptible. */
int park_watch_topic(struct parked *p, struct topic *t, uint64_t seen);

/*
 * Until C is completed; firm, as its record is in the log. P is the caller's own here, and so is C.
 *	park_command(p, req, c, woken)           before C is given to who completes it
 *	park_command_done(p, err)                by whom: C's done()
 *	err = park_command_given(p, err)         ERR is what became of giving it; returns as the functions above
 */
void park_command(struct parked *p, fuse_req_t req, struct command *c, void (*woken)(struct parked *p, int err));
void park_command_done(struct parked *p, int err);
int park_command_given(struct parked *p, int err);

#endif
