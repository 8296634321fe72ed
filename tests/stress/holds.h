/* SPDX-License-Identifier: Apache-2.0 */
/* holds.h - what must hold, and what a program leaves behind when all of it did. */
#ifndef MQFS_TESTS_HOLDS_H
#define MQFS_TESTS_HOLDS_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#define check(what) ((what) ? (void)0 : does_not_hold(__FILE__, __LINE__, #what))

static _Noreturn inline void does_not_hold(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	(void)st, (void)kind, (void)walk;
	return remove(path);
}

static inline void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
