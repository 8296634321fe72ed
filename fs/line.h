/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line.h - the lines of one handle: what of a write(2) is complete lines, and what waits for its newline.
 *
 * A line is assembled for each lock owner of the handle (a process and its threads), so that lines of processes that share a
 * handle never interleave, however stdio cuts them.
 *
 * Calling
 *	lines_unheard(l, writer, bytes, size)           0, or this write is answered with what its program has not heard
 *	lines_cut(l, writer, bytes, size, max, &cut)    what this write comes to
 *	store_append() of cut.iov                       nothing is copied but the line that the write leaves unfinished
 *	lines_keep(l, &cut) or lines_drop(l, &cut)      it is in the log, or it is refused: then all is as before
 *	lines_settle(l, behind) or lines_undo(...)      the write is answered: well, or with an error
 *	lines_first(), line_end(), lines_leave()        what is unfinished, when its writer is done
 *
 * A line over the limit is refused as a whole: the write in which it passes the limit gets -EMSGSIZE. Complete lines before it in that write
 * are a write of their own, a short one. Unless the refused write ended with a newline, its last line is broken: what comes next may be its rest, or
 * may be another message of a program that gave the long one up. Nobody can tell, so each write is refused until one was that ended with a newline,
 * that one included: whatever it was, it is not there, and its program knows.
 *
 * The kernel cuts a long write(2), and when a later piece of it is refused, the program sees no error but a short count, and goes
 * on with what was refused. So a write that begins as the refused one did is refused again: this time the program sees it.
 *
 * A write whose complete lines are in the log can still get an error, and then nobody knows whether they will be there. Its program may write it
 * again: what its first line had before it is put before it again, or the message would be half a line. If it was a later piece of what the kernel
 * has cut, the program has seen a short count and no error: it gets that when it goes on, once, or it would write the lines twice without knowing.
 *
 * A thread that goes on with something else has given its write up. What other threads of the owner write meanwhile says nothing of it: they may
 * have waited all the time.
 *
 * Errors   -EMSGSIZE; -ENOBUFS: the budget for unfinished lines is spent, as by errors that nobody comes for; -ENOMEM. The latter two change
 *          nothing.
 * Threads  one at a time; the budget is shared by all handles.
 * Owns     the unfinished bytes. A cut's iov points to them and to the write's, until it is kept or dropped.
 */
#ifndef MQFS_FS_LINE_H
#define MQFS_FS_LINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define HEAD_MAX 256u

/* What a write began with, to know it again. */
struct write_head {
	size_t length;
	char bytes[HEAD_MAX];
};

struct line_writer {
	uint64_t owner;
	uint32_t thread;                /* 0: not known, as of one in another pid namespace */
	bool goes_on;                   /* maybe with a write(2) that the kernel has cut: then its program does not see the error */
};

/* A write with complete lines in the log, where something has to be known of it until its program knows what became of it. */
struct sent {
	struct line_writer writer;
	struct write_head head;
	uint64_t behind;                /* log position behind it, the caller's; 0: it has failed, and nobody knows whether the lines will be there */
	int err;                        /* with which it has, and which its program has not seen; 0: it has */
	char *begun;                    /* what its first line had before it; NULL: nothing */
	size_t begun_length;
	uint64_t charged;               /* of the budget, besides that */
	struct sent *next;
};

/* One lock owner's unfinished line. */
struct line {
	uint64_t owner;
	char *bytes;
	size_t length;
	size_t room;                    /* of bytes */
	bool broken;                    /* it was over the limit: writes are refused up to one that ends with a newline */
	bool refused;                   /* it was, and a write may go on with it: that begins with `head` */
	struct write_head head;
	uint64_t behind;                /* log position behind the write that left it, 0: that had no complete lines, or is answered; the caller's */
	struct line *next;
};

struct lines {
	struct line *unfinished;        /* one for each owner that has something unfinished */
	struct sent *sent;
	_Atomic uint64_t *used;         /* bytes of unfinished lines and of what is kept of failed writes, of all handles */
	uint64_t most;                  /* that these may be */
};

/* What one write comes to. */
struct cut {
	struct iovec iov[2];            /* complete lines: an append of their own */
	int iovcnt;                     /* 0: none */
	uint32_t messages;
	size_t taken;                   /* bytes of the write that this takes care of, and the answer to it */
	uint32_t lost;                  /* with -EMSGSIZE: lines that are refused for standing behind one that is broken */
	uint64_t behind;                /* for the caller to set before lines_keep(): see struct line */
	/* line.c's */
	const struct line_writer *writer;
	struct line *line;
	struct sent *again;             /* the failed write that this one is again, whose first line it finishes */
	struct sent *sent;              /* new; NULL: nothing has to be known */
	const char *from;
	size_t size;
	const char *rest;               /* becomes unfinished */
	size_t rest_length;
	char *bytes;                    /* for that, where complete lines stand before it */
	size_t room;
	uint64_t charged;               /* of the budget */
};

void lines_init(struct lines *l, _Atomic uint64_t *used, uint64_t most);
void lines_free(struct lines *l);                /* with what is unfinished */

/* The error that a piece that began as this write has got, and its program has not. */
int lines_unheard(struct lines *l, const struct line_writer *w, const char *from, size_t size);
/* A write of SIZE bytes, more than 0; lines have at most MAX bytes before their newline. */
int lines_cut(struct lines *l, const struct line_writer *w, const char *from, size_t size, size_t max, struct cut *c);
/* The same where a write is a message, whatever is in it. */
int lines_message(struct lines *l, const struct line_writer *w, const char *from, size_t size, struct cut *c);
void lines_keep(struct lines *l, struct cut *c);
void lines_drop(struct lines *l, struct cut *c);

/* An unfinished line with at least one byte: of OWNER, or any. NULL: there is none. */
struct line *line_of(struct lines *l, uint64_t owner);
struct line *lines_first(struct lines *l);
/* It is in the log, or lost. */
void line_end(struct lines *l, struct line *line);
/* The write whose lines end at log position BEHIND is answered, and will not come again. */
void lines_settle(struct lines *l, uint64_t behind);
/* It got ERR, so its program still has what it left unfinished, and may write all of it
 * again. Unless it was gone on with. */
void lines_undo(struct lines *l, uint64_t behind, int err);
/* OWNER's line has ended, if it was over the limit, too, and so have its failed writes: another process may come to be the same owner. What is kept
 * of a write that is not answered yet stays. */
void lines_leave(struct lines *l, uint64_t owner);

#endif
