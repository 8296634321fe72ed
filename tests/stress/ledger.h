/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - what was written to which queue, kept outside the store, and what a reader of a queue may see of it.
 *
 * A line says who wrote it and that writer's number for it in this queue, and has a length and letters that follow from these. So a
 * reader knows each byte it must get, whatever the order of writers: their numbers only grow by one, but where it was told to go on at a
 * later head.
 *
 * Errors   a line that nobody wrote, or wrote there, ends the process.
 * Threads  a writer uses its own rows; a view is one thread's. ledger_acknowledged() of others may run meanwhile.
 */
#ifndef MQFS_TESTS_LEDGER_H
#define MQFS_TESTS_LEDGER_H

#include <stdint.h>
#include <stddef.h>

#define TOPICS 2u
#define QUEUES 2u
#define LEDGER_WRITERS 8u
#define LEDGER_LINES 5u                 /* of one append, at most */
#define LEDGER_LINE 400u                /* bytes, at most */

struct ledger {
	struct {
		uint64_t next;           /* number of its next line */
		_Atomic uint64_t acknowledged;   /* lines below are committed */
	} of[LEDGER_WRITERS][TOPICS][QUEUES];
};

/* The bytes of LINES lines of WRITER for this queue; returns how many. */
size_t ledger_write(const struct ledger *h, unsigned writer, unsigned topic, unsigned queue, unsigned lines, char *to);
void ledger_appended(struct ledger *h, unsigned writer, unsigned topic, unsigned queue, unsigned lines);
/* All that it has appended is committed. */
void ledger_acknowledged(struct ledger *h, unsigned writer, unsigned topic, unsigned queue);

/* What one reader has seen of a queue. */
struct view;
struct view *view_new(unsigned topic, unsigned queue);
void view_free(struct view *v);
void view_take(struct view *v, const char *bytes, size_t len);
/* It goes on at the head, at the beginning of a line. */
void view_skip(struct view *v);
/* It saw the queue to its end: whatever was acknowledged, and nothing half. */
void view_is_all(const struct view *v, const struct ledger *h);

#endif
