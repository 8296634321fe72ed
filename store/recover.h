/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.h - from the files of a store to its state: what is there, what is committed, what is torn.
 *
 * recover() fills the store's empty tables and segment list, and tells where the log goes on. The argument for each of its
 * decisions stands at the top of recover.c.
 *
 * Errors   negative errno, with a line for people in WHY. Nothing was changed then that was there before but a torn tail,
 *          whose copy in lost/ is durable.
 */
#ifndef MQFS_STORE_RECOVER_H
#define MQFS_STORE_RECOVER_H

#include "parts.h"

struct recovered {
	struct log_start start;        /* where the log ends; what stands between what is applied and there is not known to be committed */
	struct log_start applied;      /* up to here it is committed, and applied */
	struct segment *active;        /* the segment it goes on in, held; NULL: a new one */
	int active_fd;                 /* open for writing */
	uint64_t active_room;          /* bytes of its file that the disk has; 0: it is not known which */
	bool read_only;                /* the tail could not be made durable: show what is committed, take nothing */
	uint64_t committed;            /* C, which may lie behind the end of a standby's log */
	uint64_t replayed;             /* bytes of log */
};

int recover(struct store *s, struct recovered *r, char why[STORE_WHY]);

#endif
