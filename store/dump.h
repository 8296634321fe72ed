/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump.h - reads records straight from a store's files, for people and their scripts: of a stopped store, of a running one up
 * to what is committed, and of the files in lost/. Where a segment is missing, that is damage, too.
 *
 * It takes no lock and changes nothing, passes over damage and tells of it, and does not mind segments that retention removes
 * meanwhile. What retention has only moved a head past is still there and is given.
 *
 * Calling  query = dump_all; query.topic = "orders"; err = dump_store("/var/lib/mq", &query, &calls, why, sizeof why);
 * Errors   negative errno with a line in WHY, -ENODATA for a topic or queue that is not there; or what record() returned to end it.
 */
#ifndef MQFS_STORE_DUMP_H
#define MQFS_STORE_DUMP_H

#include "record.h"

struct dump_query {
	const char *lost;          /* a file's name in lost/, instead of the log; NULL */
	const char *log;           /* with a file in lost/: the store whose topics are meant; NULL: the one that the file is in */
	const char *topic;         /* NULL: all, changes of state too */
	int queue;                 /* number, -1: all of the topic's */
	uint64_t offset;           /* with a queue: records that end at or before it are left out */
	uint64_t from;             /* records before this log position are left out */
	int64_t since;             /* records before this time are left out, ns since 1970 */
	uint64_t committed;        /* log position to stop at; UINT64_MAX: where the valid log ends */
};

extern const struct dump_query dump_all;

struct dump_calls {
	/* TOPIC is NULL where the name is not known (any more), or not for sure: parting.h. BODY is verified. Other than 0 ends the dump. */
	int (*record)(void *ctx, const struct record *r, const char *topic, const void *body);
	void (*damaged)(void *ctx, const char *where, const char *what);
	void (*progress)(void *ctx, uint64_t done, uint64_t total);    /* bytes of log; may be NULL */
	/* Why the messages that record() gets next are without a TOPIC, in a file of lost/; WHY stays valid. May be NULL. */
	void (*unnamed)(void *ctx, const char *why);
	void *ctx;
};

int dump_store(const char *path, const struct dump_query *query, const struct dump_calls *calls, char *why, size_t why_len);

#endif
