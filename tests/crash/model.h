/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.h - what a store must hold after whatever happened to it: kept outside of it, from what was asked and what was answered.
 *
 * Every append is an intent, noted before the store is asked. Its bytes follow from its number, which they begin with, so that what
 * is found in a queue tells whose it is. What came of it is one of enum outcome; a start of the store (model_check()) settles
 * what was open: it is there for good, or never will be.
 *
 * The rules, "nothing acknowledged is ever lost":
 *   1. what was acknowledged is there, byte for byte, once, at its offset, in its queue's order
 *   2. what a reader was given is there
 *   3. nothing is there that nobody wrote, nor what was refused
 *   4. what a crash takes is a suffix of the log
 *   5. what a start has settled stays so
 *   6. topics, their settings, queues, owners and counts are what the acknowledged changes made of them, and at most one change more: the
 *      one that was under way
 *   7. messages go only as retention says, and what has gone does not come back
 *   8. each start's epoch is greater than all before it, or the last one where the disk has no room for a segment
 *   9. what write(2) without a commit has returned for is there after a process that was killed, as long as the system goes on
 *  10. when a start has looked at what there is, a power cut cannot change it any more; and what it took out of the log is in lost/ for good
 *  11. what a crash leaves is no damage to who checks the files (check.h)
 *  12. bytes that have rotted are never given to a reader, and cost nothing but the record that they were in
 *
 * Errors   a broken rule is told to fail(), which does not return.
 */
#ifndef MQFS_TESTS_MODEL_H
#define MQFS_TESTS_MODEL_H

#include "store.h"
#include "world.h"

#define NAMES 5                        /* of topics */
#define QUEUES 3                       /* of a topic, at most */
#define IDS 48                         /* topics ever made */
#define NOT_MADE UINT64_MAX
#define BODY_LEAST 12u                 /* bytes: the number, and a newline */
#define BODY_MOST (40u << 10)

enum outcome {
	TRIED,                         /* asked, and not answered; or the answer says that nobody knows */
	REFUSED,                       /* the answer says that it is not there */
	LOGGED,                        /* it has a place; a crash may take it */
	ACKED,
	SETTLED,                       /* found there by a start */
	ABSENT,                        /* not found there by a start */
	REMOVED,                       /* its topic was not found there by a start */
};

struct intent {
	uint64_t topic;                /* its number: model_topic() */
	uint32_t queue;
	uint32_t len;
	uint32_t messages;
	uint8_t flags;                 /* enum record_flag */
	uint8_t outcome;
	bool placed;                   /* offset is known */
	bool written;                  /* all in front of it is in the file, too: a kill does not take it */
	uint64_t offset;
	uint64_t end;                  /* log position behind it, 0: not known */
	uint64_t committed;            /* the commit point when it was asked, which its record carries */
	int64_t time;                  /* when it was asked */
};

struct topic_model {
	uint64_t id;                   /* its number, not the store's id of it; 0: there is none */
	bool retired;
	uint32_t count;
	uint64_t own[SETTINGS];
	uint32_t own_set;
	struct owner owner, owners[QUEUES];
	uint64_t heads[QUEUES];        /* that were set */
};

struct state_model {
	struct topic_model at[NAMES];
	struct owner root;
	uint64_t last_id;
};

enum change_kind { CHANGE_NONE, MAKE, REMOVE, GROW, RETIRE, SET, OWN, OWN_ROOT, HEAD };

struct change_model {
	enum change_kind kind;
	int name;
	uint32_t queue;                /* HEAD, OWN; QUEUES for the topic itself. GROW: how many */
	uint64_t value;                /* SET, HEAD, RETIRE */
	enum setting_id setting;
	bool inherit;                  /* SET to "default" */
	unsigned mask;
	struct owner owner;
	uint64_t end;                  /* log position behind it, 0: not known */
};

/* What is known of a queue, by its topic's number and its own. */
struct queue_model {
	uint32_t settled;              /* intents that are, in order: model->settled[] */
	uint64_t end;                  /* queue offset behind them */
	uint64_t seen;                 /* somebody was given bytes up to here */
	uint64_t head;                 /* somebody was told that it begins here; unless the node may move heads by itself */
	uint64_t messages, partial;    /* in all of them */
	bool counted;                  /* these two are known */
	/* the strictest limits that were ever in force */
	uint64_t least_age, least_size;
	bool may_drop;
	uint32_t longest;              /* intent */
};

struct settled {
	uint32_t *at;                  /* numbers of intents */
	size_t room;
};

struct model {
	struct world *world;
	void (*fail)(void *ctx, const char *what);
	void *ctx;
	struct intent *intents;
	uint32_t count, room;
	uint32_t life;                 /* the first intent that is not settled */
	struct state_model state;
	uint64_t ids[IDS];             /* the store's, of topics by number; 0: nobody has seen it yet */
	struct change_model open;      /* the change that is under way */
	struct epoch epoch;            /* of the last start */
	uint32_t rotten;               /* the append whose bytes have rotted, UINT32_MAX: none */
	bool forgets;                  /* the newest checkpoint has rotted: what only that tells is as the one before says */
	bool free_limit;               /* the store may drop what has limits when the disk is full */
	bool shows_less;               /* the store that is looked at is open for reading only: it may show the log from before topics were removed */
	struct queue_model queues[IDS][QUEUES];
	struct settled (*settled)[QUEUES];         /* IDS of them; they only grow */
	uint8_t *pattern;              /* what bodies are cut from */
	uint8_t *expected;             /* work space for one body */
};

/* A place in the bytes of a queue. */
struct cursor {
	uint64_t topic;
	uint32_t queue;
	uint64_t offset;
	uint32_t intent;               /* that it lies in, UINT32_MAX: at the beginning of one */
	uint32_t into;                 /* bytes of it before the cursor */
};

/* What is told is the model's; MODEL is zeroed. */
int model_init(struct model *m, struct world *w, void (*fail)(void *ctx, const char *what), void *ctx);
void model_end(struct model *m);
void model_fail(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* A new intent; the store has not been asked yet. LEN: at least BODY_LEAST a message. */
int model_intend(struct model *m, const struct intent *i, uint32_t *number);
void model_body(struct model *m, uint32_t number, uint8_t *to);
void model_answered(struct model *m, uint32_t number, int err, const struct place *at);
void model_acked(struct model *m, uint32_t number);
void model_written(struct model *m, uint32_t number);
/* The system's memory has gone as well, or a sync has failed and nobody knows what it still has. */
void model_memory_lost(struct model *m);

void model_change(struct model *m, const struct change_model *c);     /* it is asked for */
/* 0: it took effect; -EIO, -ETIMEDOUT, -ENOTCONN: nobody knows; else it came to nothing. */
void model_changed(struct model *m, int err);
void model_name(int name, char to[8]);
void change_apply(struct state_model *s, const struct change_model *c);

/* The number of T: which topic ever made it is; 0: unknown, nothing was done to it. */
uint64_t model_topic(struct model *m, const struct topic *t);
/* Whether the topic of NUMBER may have ID: the one it was seen with, or one above those of all topics before it. */
bool model_has_id(const struct model *m, uint64_t number, uint64_t id);

/* An append that is there for good and proved to be committed: it lies before log position PROVED, or a later append, there for good too,
 * says so. False: found none. */
bool model_any_proved(struct model *m, uint64_t proved, uint32_t *number);
/* One of its queue behind it is there for good too. */
bool model_is_followed(struct model *m, uint32_t number);

/* A reader was told that the queue begins at HEAD. */
void model_head(struct model *m, uint64_t topic, uint32_t queue, uint64_t head);
/* A reader was given BYTES at C, which moves over those that could be judged. */
void model_read(struct model *m, struct cursor *c, const uint8_t *bytes, size_t len);
/* The cursor at OFFSET of a queue; false: nobody knows yet what is there. */
bool model_cursor(struct model *m, uint64_t topic, uint32_t queue, uint64_t offset, struct cursor *c);

/* After a start. What was open is settled; a read-only store may show less than will be there, and settles nothing. */
void model_check(struct model *m, struct store *s, bool read_only);

/* What model_check() changes, to take it back. */
struct model_save;
int model_save(struct model *m, struct model_save **to);
void model_restore(struct model *m, struct model_save *from);         /* frees it */

#endif
