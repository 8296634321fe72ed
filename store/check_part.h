/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_part.h - what the parts of a check share. For check*.c only.
 */
#ifndef MQFS_STORE_CHECK_PART_H
#define MQFS_STORE_CHECK_PART_H

#include "check.h"
#include "checkpoint.h"
#include "disk.h"
#include "identity.h"
#include "segment.h"

/* Something wrong at a place of the log. Before D, see survey.h, it is damage; at or behind it, the torn tail of a crash. */
struct suspect {
	uint64_t pos;
	char where[96];
	char what[160];
};

struct check {
	struct disk *disk;
	const char *path;
	bool repair;
	struct identity id;
	const struct check_calls *calls;
	struct check_totals *totals;

	struct log_file *files;           /* the segments there are, by base */
	size_t file_count;
	struct checkpoint_info *points;   /* the valid checkpoints, by position */
	size_t point_count;
	size_t bad_points;                /* checkpoints that are not valid */
	uint64_t total, done;             /* bytes of files, for progress */

	uint64_t received;                /* as the promise says */
	uint64_t durable;                 /* D, as far as it is known */

	struct suspect *suspects;         /* by position: not known yet to lie before D */
	size_t suspect_count, suspect_max;
};

struct log_file {
	uint64_t base;
	uint64_t size;                    /* of the file */
	bool index;                       /* there is one beside it */
	int head_fault;                   /* why its header is not valid, when a repair is to see to that; 0 */
	bool follows;                     /* the log is valid up to its base: chain and time are those of the record before */
	uint64_t chain;
	int64_t time;
	const char *index_fault;          /* what is wrong with it, when a repair is to see to that; NULL */
};

void check_tell(struct check *c, bool damage, const char *where, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Of the log at POS, in the segment of BASE. -ENOMEM. */
int check_suspect(struct check *c, uint64_t base, uint64_t pos, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Everything before POS is known to be committed. */
void check_committed(struct check *c, uint64_t pos);
/* And to have been synced on this node. */
void check_durable(struct check *c, uint64_t pos);
void check_progress(struct check *c, uint64_t done);

/* The index of F is wrong: told, or left to the repair. */
void check_index_fault(struct check *c, struct log_file *f, bool damage, const char *what);
void check_repaired(struct check *c, const char *where, const char *format, ...) __attribute__((format(printf, 3, 4)));

int check_log(struct check *c);
/* ERR is why F has no valid header. */
int check_head_fault(struct check *c, const struct log_file *f, int err);
/* Fills c->points; tells of those that are damaged unless a repair is to see to them. */
int check_points_there(struct check *c, bool tell);

struct runs;
/* The index of F, which ends at END, against RUNS: what the segment holds. */
int check_index(struct check *c, struct log_file *f, uint64_t end, int64_t last_time, struct runs *runs);

/* ---- check_repair.c: the steps of a repair, in this order. -ENOMEM; all else that goes wrong is told. ---- */

/* Directories that are missing, and what was on its way to a place. */
int repair_leftovers(struct check *c);
/* The headers and the indexes that were found wrong, once D is known. */
int repair_heads(struct check *c);
int repair_indexes(struct check *c);
/* Checkpoints, from the log and the indexes as they are now. */
int repair_checkpoints(struct check *c);

#endif
