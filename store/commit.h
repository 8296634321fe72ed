/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit.h - the commit point: how far the log is durable wherever it has to be.
 *
 * One committer thread syncs for everyone (group commit): at once when anyone waits, otherwise COMMIT_LATEST after the first
 * append. Followers ask to be told when a position is committed; a position once committed stays committed. What is
 * committed is applied (applied() in log order) before any follower is told, so that a follower sees what it waited for.
 *
 * What this node has synced is not always enough: allowed() says how far the commit point may go, and may be asked again by
 * commit_look() whenever it would answer more. So an acknowledgement that comes while this disk is at work waits for no sync.
 *
 * Units    positions are log bytes; times are CLOCK_MONOTONIC nanoseconds.
 * Errors   negative errno. After a failed sync every follower beyond the commit point gets -EIO; one that has waited for the commit
 *          timeout gets -ETIMEDOUT, from a thread of its own, so also while a sync hangs.
 * Threads  any thread may call; done() runs on the committer, the timer, inside commit_follow() or commit_look(), and must not block.
 *          What calls commit_look() ends before commit_stop().
 *          Lock: commit; done() and the calls of commit_calls run outside it.
 * Owns     nothing of the follower: it stays the caller's until done() or commit_unfollow() returns.
 */
#ifndef MQFS_STORE_COMMIT_H
#define MQFS_STORE_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMIT_LATEST 10000000    /* ns */

struct commit;
struct log;
struct log_entry;

struct follower {
	uint64_t pos;                                  /* told once the commit point has reached it */
	void (*done)(struct follower *f, int err);
	/* the committer's */
	int64_t deadline;
	struct follower *prev, *next;
	bool linked;
};

struct commit_calls {
	/* How far the commit point may go, at most SYNCED: a record's end. Any thread, one at a time. */
	uint64_t (*allowed)(void *ctx, uint64_t synced);
	/* All up to TO that the log's entries do not have: received, or left by an earlier run. Before applied() for what stands behind. */
	int (*replay)(void *ctx, uint64_t to);
	void (*synced)(void *ctx, uint64_t synced);                                  /* on the committer, after each sync */
	void (*applied)(void *ctx, const struct log_entry *entries, size_t count);   /* in log order */
	void (*advanced)(void *ctx, uint64_t committed);                             /* after it, once a batch, also one that ends early */
	void (*failed)(void *ctx, int err);                                          /* the log failed; once */
	void *ctx;
};

int commit_start(struct commit **c, struct log *log, uint64_t committed, int64_t timeout_ns, const struct commit_calls *calls);
/* Commits what is written, ends every follower left, and those to come, with -ENOTCONN, joins the threads. */
void commit_stop(struct commit *c);
void commit_free(struct commit *c);

/* 0: f->done will be called, or was. Otherwise it is not called: -EIO when POS can never be committed, -ENOTCONN after
 * commit_stop(). */
int commit_follow(struct commit *c, struct follower *f);
/* True: taken back, done() will not be called. False: it was called, or is being called right now. */
bool commit_unfollow(struct commit *c, struct follower *f);
/* Something was appended. URGENT: someone waits for it. */
void commit_appended(struct commit *c, bool urgent);
/* Someone waits for what is appended already: sync now. */
void commit_hurry(struct commit *c);
/* allowed() would answer more than before. */
void commit_look(struct commit *c);
uint64_t commit_point(struct commit *c);
/* Bytes that may be appended and not committed before who appends more has to wait: a sync of so many, and the one before it, end well within the
 * commit timeout, or a program that appends faster than the disk takes it would hear -ETIMEDOUT at its fsync. */
uint64_t commit_backlog(struct commit *c);
uint64_t commit_synced(struct commit *c);              /* the position up to which this node's disk has everything */
/* Nobody syncs, applies or tells until commit_go_on(): for who changes what lies behind the commit point. Not twice. */
void commit_pause(struct commit *c);
/* The log ends at END now: what was synced behind it is not, and who follows a position behind it gets ERR. */
void commit_go_on(struct commit *c, uint64_t end, int err);
int64_t commit_clock(void);                            /* CLOCK_MONOTONIC, ns */

#endif
