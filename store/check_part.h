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

/* Something wrong at a place of the log. Below the commit point it is damage; at or behind it, the torn tail of a crash. */
struct suspect {
	uint64_t pos;
	char where[96];
	char what[160];
};

struct check {
	struct disk *disk;
	struct identity id;
	const struct check_calls *calls;
	struct check_totals *totals;

	struct log_file *files;           /* the segments there are, by base */
	size_t file_count;
	struct checkpoint_info *points;   /* the valid checkpoints, by position */
	size_t point_count;
	uint64_t total, done;             /* bytes of files, for progress */

	struct suspect *suspects;         /* by position: not known yet to lie below the commit point */
	size_t suspect_count, suspect_max;
};

struct log_file {
	uint64_t base;
	uint64_t size;                    /* of the file */
	bool index;                       /* there is one beside it */
};

void check_tell(struct check *c, bool damage, const char *where, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Of the log at POS, in the segment of BASE. -ENOMEM. */
int check_suspect(struct check *c, uint64_t base, uint64_t pos, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Everything below COMMITTED is known to be committed. */
void check_proved(struct check *c, uint64_t committed);
void check_progress(struct check *c, uint64_t done);

int check_log(struct check *c);

struct runs;
/* The index of the segment BASE, which ends at END, against RUNS: what the segment holds. */
int check_index(struct check *c, uint64_t base, uint64_t end, int64_t last_time, struct runs *runs);

#endif
