/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - what a pair of nodes must hold, kept outside of them: what was asked and answered at either, and what was read of either.
 *
 * As in model.h, every append is an intent, noted before a node is asked, and its bytes follow from its number. There is one history: an
 * intent that a node has acknowledged, or shown to a reader, stands in it at its place, for both nodes and for good.
 *
 * The rules, "nothing acknowledged is ever lost", across failover:
 *   1. what was acknowledged or shown is there when both nodes are at one again, byte for byte, once, at its offset
 *   2. no node acknowledges or shows anything else at a place of the history: never do two acknowledge
 *   3. what a node shows does not shrink while it is up
 *   4. nothing is there that nobody wrote, nor what was refused
 *   5. what the pair has settled stays so: what it had not then is never there again
 *   6. when both are at one again their logs are the same
 *
 * What the operator may give up, and no more: with an accepted loss, what the new primary has not got (ledger_loss()), and what a node says
 * that does not know of it yet. After a false word (ledger_lie()) only 4, 5 and 6 hold, until both are at one again.
 *
 * Errors   a broken rule is told to fail(), which does not return.
 */
#ifndef MQFS_TESTS_LEDGER_H
#define MQFS_TESTS_LEDGER_H

#include "store.h"
#include "world.h"

#define LEDGER_TOPICS 2
#define LEDGER_QUEUES 4                /* of both topics */
#define LEDGER_LEAST 12u               /* bytes of a message: the number, and a newline */
#define LEDGER_MOST 6000u

enum entry_state {
	ENTRY_TRIED,                   /* asked; whether it is in a log nobody knows */
	ENTRY_REFUSED,                 /* it is in none */
	ENTRY_LOGGED,                  /* it was given a place */
	ENTRY_SETTLED,                 /* both nodes have it */
	ENTRY_ABSENT,                  /* neither has it, and never will */
};

struct entry {
	uint8_t queue;
	uint8_t node;                  /* that was asked */
	uint8_t state;
	bool placed;                   /* offset is known */
	bool acked, shown;             /* in the history */
	bool may_go;                   /* its loss was accepted, should that come about */
	bool found;                    /* by the check under way */
	uint32_t len;
	uint64_t offset;
};

struct history {
	uint32_t *at;                  /* numbers of what was acknowledged or shown, by offset */
	uint32_t count, room;
};

struct ledger {
	struct world *world;
	void (*fail)(void *ctx, const char *what);
	void *ctx;
	struct entry *entries;
	uint32_t count, room;
	uint32_t open;                 /* the first one that is not settled */
	struct history queues[LEDGER_QUEUES];
	bool limited[LEDGER_TOPICS];   /* retention may drop what is old */
	bool loss;                     /* a loss was accepted since both were at one */
	bool lied;                     /* a false word was given since then */
	uint64_t acked, shown, lost;   /* counted */
	uint8_t *pattern;              /* what bodies are cut from */
	uint8_t *expected;             /* work space for one body */
};

/* What is told is the ledger's; L is zeroed. */
int ledger_init(struct ledger *l, struct world *w, void (*fail)(void *ctx, const char *what), void *ctx);
void ledger_end(struct ledger *l);
void ledger_fail(struct ledger *l, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

int ledger_topic(int queue);           /* of a queue's number here */
uint32_t ledger_number(int queue);     /* in its topic */

/* ---- while nodes run ---- */

int ledger_intend(struct ledger *l, int node, int queue, uint32_t len, uint32_t *number);
void ledger_body(struct ledger *l, uint32_t number, uint8_t *to);
void ledger_answered(struct ledger *l, uint32_t number, int err, uint64_t offset);
/* OUTSIDE: by a node that does not know of the loss that was accepted. */
void ledger_acked(struct ledger *l, uint32_t number, bool outside);
/* A reader was given a whole record, of LEN bytes at OFFSET of QUEUE. */
void ledger_shown(struct ledger *l, int queue, uint64_t offset, const uint8_t *bytes, size_t len, bool outside);

/* ---- what the operator gives up ---- */

/* Whether BYTES, of LEN, begin with the number of a known intent. */
bool ledger_is_entry(const struct ledger *l, const uint8_t *bytes, size_t len, uint32_t *number);
/* A loss is accepted: all that HAS, a flag for each intent, does not have may go. */
void ledger_loss(struct ledger *l, const bool *has);
void ledger_lie(struct ledger *l);

/* ---- both are at one ---- */

void ledger_check_begin(struct ledger *l);
/* A record of a queue, of either node, in order. */
void ledger_found(struct ledger *l, int queue, uint64_t offset, const uint8_t *bytes, size_t len);
/* All was found that is there from HEADS on. TOOK_PLACE: the accepted loss did. */
void ledger_check_end(struct ledger *l, const uint64_t heads[LEDGER_QUEUES], bool took_place);

#endif
