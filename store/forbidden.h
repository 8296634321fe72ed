/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forbidden.h - which file of a store its user may not read.
 *
 * Errors   -EACCES: PATH is one, "log/0000000000000000". 0: none was found. Any other: the directory cannot be listed.
 * Threads  any.
 */
#ifndef MQFS_STORE_FORBIDDEN_H
#define MQFS_STORE_FORBIDDEN_H

#include "disk.h"

#define FORBIDDEN_PATH 300             /* bytes of PATH, its NUL included */

int forbidden_find(struct disk *d, char path[FORBIDDEN_PATH]);

#endif
