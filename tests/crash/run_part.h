/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_part.h - what the parts of a run share. For run.c and run_images.c only.
 */
#ifndef MQFS_TESTS_RUN_PART_H
#define MQFS_TESTS_RUN_PART_H

#include "run.h"

#define START_CALLS 48                 /* of the disk, at a start: about */

void run_meet(struct run *r, enum branch b);
/* NULL when it does not start; then the disk has stopped, or a fault is to blame. */
struct store *run_start_store(struct run *r, struct simdisk *d);
/* The store's process dies. S may be NULL. */
void run_end_store(struct store *s, struct simdisk *d);
void run_check(struct run *r, struct store *s, struct simdisk *d);
void run_count_state(struct run *r, struct simdisk *d);
/* The programs do up to THINGS. */
void run_live(struct run *r, int things);
/* No trouble, and room. */
void run_calm(struct simdisk *d);
struct simdisk *run_copy(struct run *r, const struct simdisk *d);
/* What is left of D when its process is gone. */
struct simdisk *run_left(struct run *r, const struct simdisk *d);
/* Some of what may be left of the run's disk; the model stays as it is. */
void run_look_at_images(struct run *r);

#endif
