/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generic.h - the options that mount(8) has for any file system: one table of those that are taken, with what the kernel is told of each.
 *
 * Calling  generic_take(&g, text) for each option; generic_names(&g) for libfuse, g.flags for mount(2); generic_free(&g)
 * Errors   negative errno.
 * Threads  one.
 */
#ifndef MQFS_FS_GENERIC_H
#define MQFS_FS_GENERIC_H

#include <stdbool.h>

/* All 0 at first. */
struct generic {
	unsigned long flags;             /* MS_*; of two options that contradict each other the last counts */
	char *context;                   /* SELinux: "context=...", or NULL */
	bool remount;
};

/* -ENOENT: TEXT is no generic option. */
int generic_take(struct generic *g, const char *text);
/* What libfuse is to tell the kernel, as a list with commas, malloc'ed; NULL: no memory. */
char *generic_names(const struct generic *g);
void generic_free(struct generic *g);

#endif
