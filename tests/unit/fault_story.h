/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_story.h - workloads that together come to every place in store/ where the disk, memory or the system can fail.
 *
 * Calling  for each of stories: story_make(s) once; then story_begin(s); [arm;] s->run(); s->check("..."); story_end(); at last story_unmake(s)
 */
#ifndef MQFS_TESTS_FAULT_STORY_H
#define MQFS_TESTS_FAULT_STORY_H

#include "fault_work.h"
#include "site.h"

struct story {
	const char *name;
	void (*make)(const char *to);  /* what is there before, as the directory TO; NULL: nothing */
	void (*run)(void);
	void (*check)(const char *when);
};

extern const struct story stories[];
extern const size_t story_count;

void story_make(const struct story *s);
void story_begin(const struct story *s);
void story_end(void);
void story_unmake(const struct story *s);

/* fault_before.c: stores as a crash leaves them */
void make_torn(const char *to);        /* a torn tail, valid records and segments behind it, an index gone, litter */
void make_short(const char *to);       /* the last segment's file ends within the padding of its last record */
void make_rolled(const char *to);      /* nothing of the last segment is committed */
void make_unnamed(const char *to);     /* the name of the segment behind one that is sealed was lost, and those of later ones not */
void make_foreign(const char *to);     /* the last segment's header names another cluster */
void make_derived_damaged(const char *to);
/* torn, and damaged in its middle; lost/STRANGE_FILE has a record of STRANGE_EPOCH, which is in no log */
void make_damaged(const char *to);
#define STRANGE_EPOCH {9, 9, 9}
#define STRANGE_FILE "0000000000001000.0"
void make_many(const char *to);        /* work_many() */

/* fault_standby.c: a store that takes another one's log */
void make_standby(const char *to);
void standby_run(void);
void standby_check(const char *when);

/* fault_repair.c: a store whose records have rotted, and are given to it */
void make_rotten(const char *to);
void rotten_run(void);
void rotten_check(const char *when);
/* fault_install.c: a store that is made anew from another one's, and that one */
void make_given_up(const char *to);
void install_run(void);
void install_judge(const char *when);
void seed_run(void);

/* fault_tool.c */
void tool_check(void);
void tool_check_busy(void);            /* of a store that is in use */
void tool_repair(void);
void tool_repair_judge(const char *when);
void tool_dump(void);
/* Its first call since tool_forget() is for a run in which nothing failed. */
void tool_judge(const char *when);
void tool_forget(void);

#endif
