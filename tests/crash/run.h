/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - one seed: a store on a simulated disk, programs that use it, crashes, and what is checked after each.
 *
 * A run is a row of lives. A life starts a store on what the last one left, checks what it shows (model.h), lets programs write,
 * read and change things, and ends: closed, killed, or stopped in the middle of some call of the disk. Of a crash, several images are
 * drawn and started, each of them to be checked like the one that the run goes on with; starts are crashed too.
 *
 * Errors   a broken rule ends the process by run->failed().
 */
#ifndef MQFS_TESTS_RUN_H
#define MQFS_TESTS_RUN_H

#include "model.h"
#include "simdisk.h"

#define WRITERS 3
#define READERS 1
#define PROGRAMS (WRITERS + READERS + 1)

/* What starts of the store met, to be seen that the runs come to it all. */
enum branch {
	STORE_MADE, STORE_ADOPTED, STORE_ROLLED, CHECKPOINT_LOADED, LOG_REPLAYED, TAIL_CUT, TAIL_ZEROED, TAIL_WRITTEN_AGAIN, HEAD_WRITTEN_AGAIN,
	SEGMENT_TO_LOST, INDEX_MADE_AGAIN, OPENED_READ_ONLY, CRASHED_AT_START, KILLED, POWER_CUT, CACHE_DROPPED, SYNC_FAILED, WRITE_FAILED,
	DISK_FULL, BYTES_ROTTED, CHECKPOINT_ROTTED, CLOSED, SEGMENT_SEALED, SEGMENT_RECYCLED, SEGMENT_PREPARED, SEGMENT_REMOVED, CHECKPOINT_MADE, RESERVE_RELEASED, TIMED_OUT, FILES_CHECKED,
	BRANCHES
};
extern const char *const branch_names[BRANCHES];

struct run_counts {
	uint64_t states, distinct, runs, crashes, appends, acked, refused, changes, reads, starts, calls;
	uint64_t branches[BRANCHES];
};

struct run {
	uint64_t seed;
	struct world *world;
	struct simdisk *disk;
	struct model model;
	struct store *store;
	struct run_counts *counts;
	/* Whether a state is a new one; NULL: all are. */
	bool (*is_new)(void *ctx, uint64_t hash);
	/* A line of the story; NULL: nobody listens. */
	void (*tell)(void *ctx, const char *line);
	void (*failed)(void *ctx, uint64_t seed, const char *what);
	void *ctx;
	/* of this life */
	bool over;                     /* the programs end */
	bool clean;                    /* what the last one left was closed, and nothing has happened to it since */
	bool rotten;                   /* something has rotted in this image */
	bool healthy;                  /* no faults, and room on the disk: it has to start, and to take appends */
	struct fiber *programs[PROGRAMS];
	int left;                      /* things to be done before the life ends */
	enum { RUNNING, RECOVERY, BEGINNING } phase;   /* of a start */
	struct simdisk *starting;      /* on this disk */
	char read_path[SIM_PATH];      /* the last read of the disk */
	uint64_t read_at, read_len;
	bool sized;                    /* of this run: topics may be limited */
};

/* All of it; returns when the run has ended without a broken rule. */
int run_seed(struct run *r);

void run_say(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The programs of a life, as fibers: they end when run->over, or the disk has stopped. */
void programs_start(struct run *r);
void programs_join(struct run *r);

#endif
