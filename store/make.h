/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make.h - makes a store of a missing or empty directory.
 *
 * Errors   negative errno and a line in WHY.
 */
#ifndef MQFS_STORE_MAKE_H
#define MQFS_STORE_MAKE_H

#include "parts.h"

#define JOINING_FILE "joining"         /* there while install.h makes the store: see install.h */

/* What a directory is that has no IDENTITY_FILE, for people. */
const char *store_missing(struct disk *d);

/* The directory PATH, mode 0700, where it is missing; its parent must exist. */
int store_make_directory(const char *path, char why[STORE_WHY]);
/* A directory that has no store and is not empty is somebody else's: -ENOTEMPTY. -EINPROGRESS: see install.h. What an interrupted store_make() left is ours. */
int store_check_foreign(struct disk *d, char why[STORE_WHY]);
/* log/, checkpoint/ and lost/, where they are missing. */
int store_make_directories(struct disk *d);
/* The directories and, last, the identity, where they are missing. Under the store's lock. */
int store_make(struct disk *d, char why[STORE_WHY]);

#endif
