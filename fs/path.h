/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h - names to places: what a name in a directory of the tree stands for.
 *
 * Errors   -ENOENT: nothing of that name, which is also the answer to names that nothing can have, and to a START that is none.
 *          -EIO: the log could not be read to find a START given as a time.
 * Threads  any.
 */
#ifndef MQFS_FS_PATH_H
#define MQFS_FS_PATH_H

#include "node.h"

#define PATH_STATUS ".mqfs"
#define PATH_ANY "any"
#define PATH_FOLLOW ".follow"
#define PATH_RETAINED ".retained"
#define PATH_CONFIG ".config"
#define PATH_ALL "all"

/* *N is the kernel's, with one lookup. */
int path_lookup(struct mount *m, struct node *parent, const char *name, struct node **n);
/* A queue's number as it stands in names: decimal, without leading zeros. */
int path_number(const char *name, size_t length, uint32_t *number);
/* Where reading starts by what follows the @ of .follow/Q@START: a queue offset. */
int path_start(struct store *s, struct queue *q, const char *text, uint64_t *offset);
/* By that of .follow/all@START: a log position. */
int path_start_all(struct store *s, const char *text, uint64_t *pos);

#endif
