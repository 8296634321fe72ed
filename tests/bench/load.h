/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - the load generator: the same work on any path, be it a queue, the floor or a plain file system.
 *
 * One verb a run, and one line of JSON on standard output. Whatever fails ends the program with a line on stderr and status 1:
 * a figure of a run in which something failed is worth nothing.
 *
 * Units    sizes in bytes, times in seconds, latencies in microseconds.
 */
#ifndef MQFS_BENCH_LOAD_H
#define MQFS_BENCH_LOAD_H

#include "ground.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sync_mode { SYNC_NONE, SYNC_EACH, SYNC_DSYNC, SYNC_END };

struct load {
	const char *path;        /* %d in it stands for a number: of the thread's file, of a topic */
	const char *other;       /* the second path, of the verbs that have one */
	uint64_t messages;       /* in all */
	size_t size;             /* of a message, its newline included */
	unsigned per;            /* messages a write */
	enum sync_mode sync;
	unsigned threads;
	unsigned files;          /* a thread writes to, in turn */
	double rate;             /* messages a second of a thread; 0: as fast as it goes */
	size_t buffer;           /* of a read */
	uint64_t bytes;          /* to read at most; 0: all */
	unsigned topics, queues;
	unsigned readers;
	uint64_t seed;
	bool direct;             /* O_DIRECT */
};

void load_append(const struct load *l);
void load_read(const struct load *l);
void load_random(const struct load *l);
void load_tail(const struct load *l);
void load_count(const struct load *l);
void load_pingpong(const struct load *l);
void load_deliver(const struct load *l);
void load_park(const struct load *l);
void load_topics(const struct load *l);
void load_stat(const struct load *l);

#endif
