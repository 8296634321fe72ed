/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simnames.h - the names of a simulated disk, now and on the disk, and the changes between the two. For simdisk.c and simimage.c only.
 */
#ifndef MQFS_TESTS_SIMNAMES_H
#define MQFS_TESTS_SIMNAMES_H

#include "simdisk.h"
#include "simfile.h"

/* NULL: there is none. */
struct sim_name *sim_find(struct sim_tree *t, const char *path);
struct sim_name *sim_find_file(struct sim_tree *t, const struct sim_file *f);
void sim_take_out(struct sim_tree *t, struct sim_name *n);
bool sim_lies_in(const char *path, const char *directory);
bool sim_has_parent(struct sim_tree *t, const char *path);
void sim_make_change(struct sim_tree *t, const struct sim_change *c);
/* Those before number BEFORE that concern DIRECTORY, or all with NULL, are on the disk now, and what they depend on. */
void sim_sync_changes(struct simdisk *d, uint64_t before, const char *directory);
/* The same changes, when that fails. */
void sim_forget_changes(struct simdisk *d, uint64_t before, const char *directory);
/* How much of a file's writes a crash or a failed sync leaves. */
enum sim_part sim_any_part(struct world *w);

#endif
