/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_work.h - what a store is asked to do while its disk and its memory fail, what of it was acknowledged, and what must hold then.
 *
 * The store is small. Its disk is a faulty one over one that knows what a power cut would leave. The keeper's thread is stopped and its
 * work done here, so that the calls come in about the same order each time.
 *
 * Calling  work_disk(NULL); [arm something;] work_life(); [disarm;] work_check("EIO at ..."); work_end()
 * Errors   what must hold is asserted; the store's own errors are what it is for.
 */
#ifndef MQFS_TESTS_FAULT_WORK_H
#define MQFS_TESTS_FAULT_WORK_H

#include "parts.h"
#include <stdatomic.h>

enum { KEEP, TRIM, TOPICS };           /* the topic that keeps everything, and the one with a limit */
#define MESSAGES 40                    /* of each, at most */
#define WORK_SEGMENT ((uint64_t)160 << 10)
#define WORK_LONGEST 17000             /* bytes of a message */
extern const char *const work_names[TOPICS];
extern const uint32_t work_length[TOPICS];           /* of a message, bytes */
void work_message(int topic, int n, char to[WORK_LONGEST]);

/* What was attempted, and what of it was acknowledged. */
struct done {
	_Atomic int tried[TOPICS];     /* messages */
	_Atomic bool acked[TOPICS][MESSAGES];
	_Atomic bool made[TOPICS];
	_Atomic bool limited;
	_Atomic bool other_made, other_removing, other_removed;
	_Atomic bool large;            /* a record longer than a segment */
	_Atomic bool many;             /* MANY_EACH messages in each of MANY queues */
	unsigned rotten;               /* places of damage that were there before it all, and cost no message */
	bool again;                    /* the topic that was made after the next start */
	bool opened;
	bool failed;                   /* the log had failed in the end */
	bool late;                     /* somebody waited in vain */
	bool read_only;                /* it was, in the end */
	bool went_on;                  /* the last append was committed */
};
extern struct done did;
extern struct store *store;
extern struct store_options work_options;
extern char work_said[1024];           /* by the store, last */
extern bool work_sound;                /* stores are opened on the real disk */
extern bool work_once;                 /* what fails does so once */

/* A new directory, with what FROM has in it; NULL: nothing, and nothing is done yet. */
void work_disk(const char *from);
void work_end(void);

/* Whole workloads: open, work, close. */
void work_life(void);
void work_restart(void);               /* of what is in the directory */
void work_large(void);
void work_many(void);
#define LARGE 130000                   /* bytes */
#define MANY 300
#define MANY_EACH 4
#define MANY_BYTES 8u

/* Parts of them. work_begin() is false when there is no store to write to. */
bool work_begin(void);
bool work_begin_in(const char *path);  /* in a directory that store_open() is to make */
void work_finish(void);
int work_open(const char *path);
void work_close(void);
void work_topics(void);
int work_append(int topic, int count, uint64_t *end);          /* END: log position to wait for, 0: nothing was appended */
int work_append_wait(int topic);
void work_read(int topic);             /* the first of what is there */
void work_keep(void);                  /* what the keeper would do */
#define WORK_DO(call) __extension__({ struct command *c = command_new_waited(); int work_err = c ? command_wait(c, call) : -ENOMEM; \
	did.late |= work_err == -ETIMEDOUT; work_err; })

/* ---- fault_check.c ---- */

/* Of what ran in the directory: all that was acknowledged is there, in order, and nothing that nobody wrote: for whoever opens what is left after a
 * power cut; for whoever opens what the last process saw, which never got to the disk as well; and after a power cut in that one. */
void work_check(const char *when);
/* For the next process only. */
void work_check_start(const char *when);
/* The same of the store in LEFT alone, on a sound disk; takes it away. */
void work_check_left(const char *left, const char *when);
/* Of the open store: what was acknowledged of each topic. */
void work_check_topics(const char *when);
/* Nobody waited in vain, nothing is left open, no failed sync was tried again. */
void work_check_end(const char *when);
/* Of the open store, whose log has failed: it says so wherever it is asked, and reads go on. */
void work_check_failed(void);

#endif
