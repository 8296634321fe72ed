/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - commands: the changes of state that the log carries besides messages.
 *
 * A command is a record whose body says what to change. It is applied when it is committed, in log order, by
 * state_apply(), which alone decides whether it takes effect: the same function serves the running store, recovery and
 * a standby, and its outcome depends on the log only. What a caller could have known beforehand is refused
 * before it is logged, by the functions below.
 *
 * Calling  c->done = ...; err = store_mkdir(s, c, "orders", uid, gid, 0777); 0: done() will be called, or was.
 * Errors   the return: refused, nothing was logged and done() is not called. done(): what came of it: 0, what applying said
 *          (-EEXIST, -ENOENT, -ENOTEMPTY, -EINVAL), or -EIO, -ETIMEDOUT, -ENOTCONN (unknown).
 * Threads  any; done() runs on the committer or its timer and must not block.
 * Owns     a command is its caller's from command_new() until done(), which frees it with command_free(); when it was refused, the caller does.
 *          After -ETIMEDOUT the store still needs it, the log's entry holds it as well: command_free() knows that.
 */
#ifndef MQFS_STORE_STATE_H
#define MQFS_STORE_STATE_H

#include "commit.h"
#include "log.h"
#include "record.h"
#include "topic.h"

struct command {
	void (*done)(struct command *c, int err);
	void *ctx;                     /* the caller's */
	uint32_t uid, pid;             /* of who asks, for the record */
	enum claim claim;              /* CLAIM_ORDINARY: the command decides itself, by what it does */
	/* the store's */
	struct follower follow;
	uint8_t type;
	uint8_t *body;
	uint32_t length;
	int result;
	_Atomic int users;
};

/* NULL: out of memory. */
struct command *command_new(void (*done)(struct command *c, int err), void *ctx);
void command_free(struct command *c);
/* For threads that may block: c = command_new_waited(); err = command_wait(c, store_...(s, c, ...)); C is freed. */
struct command *command_new_waited(void);
int command_wait(struct command *c, int err);

/* Queue 0 gets the owner, and of the mode 0666; queues added later get what queue 0 has then. */
int store_mkdir(struct store *s, struct command *c, const char *name, const struct owner *owner);
int store_rmdir(struct store *s, struct command *c, struct topic *t);                        /* -ENOTEMPTY unless retired */
int store_set_queues(struct store *s, struct command *c, struct topic *t, uint32_t count);  /* -EINVAL to shrink */
int store_set_retired(struct store *s, struct command *c, struct topic *t, bool retired);
/* TEXT "default" inherits again. */
int store_set(struct store *s, struct command *c, struct topic *t, enum setting_id id, const char *text);
#define OWNER_UID 1u
#define OWNER_GID 2u
#define OWNER_MODE 4u
/* The root with T == NULL, the topic with Q == NULL. MASK of OWNER_*. */
int store_set_owner(struct store *s, struct command *c, struct topic *t, struct queue *q, unsigned mask, const struct owner *o);
/* Raises heads for good. No move at all is a command, too: it moves the log on. Offsets must lie at a record's or message's beginning the caller found; lower ones than now are left. */
struct head_move {
	uint64_t queue;                /* id */
	uint64_t head;
};
int store_set_heads(struct store *s, struct command *c, const struct head_move *moves, size_t count);

/* Replay: applies a record that is committed, for messages also to where the queue was appended. BODY has r->length bytes; NULL will do for
 * messages. -EBADMSG: malformed; -ENOMEM; any other error is what came of a command, which then changes nothing. What
 * is applied already is passed over. */
int state_apply(struct store *s, const struct record *r, const void *body);

/* The queue of this ID, where there is one, reaches to END, in a record before log position POS of which no more is known. For recovery. */
void state_reaches(struct store *s, uint64_t id, uint64_t end, uint64_t pos);

/* Messages of Q that end at QUEUE_END, in the record at log position POS; under the apply lock, where there is one yet. FLAGS: enum
 * record_flag. Then `applied` moves behind the record, then watch_committed() is called. */
void state_messages(struct queue *q, uint64_t queue_end, uint32_t messages, uint64_t pos, int64_t time,
	uint8_t flags);
/* The same for a command: applies its body, leaves the outcome in it, and gives it up. When there is no memory to apply it, the
 * store becomes read-only: its memory no more says what the log does, and the next start mends that. */
void state_command(struct store *s, struct command *c, const struct log_entry *e);

/* C's record was cut from the log before it was committed: it is given up. */
void state_command_lost(struct store *s, struct command *c);

#endif
