/* SPDX-License-Identifier: Apache-2.0 */
/*
 * others.h - this node among others, as far as its files in .mqfs show it and take orders for it. main() hands the mount this table, so
 * that fs/ needs to know nothing of replica/.
 *
 * Errors   negative errno.
 * Threads  any. order() does not wait: done(), on any thread and perhaps before order() returns, says what came of it: 0 or what the
 *          write(2) that brought the order fails with.
 */
#ifndef MQFS_FS_OTHERS_H
#define MQFS_FS_OTHERS_H

#include <jansson.h>
#include <stdio.h>

#define OTHERS_WHY 512

struct others {
	const char *(*role)(void *ctx);                  /* "primary" or "standby" */
	/* What ails this node where its store is fine: one word for `health`, and a line in WHY; NULL: nothing does. */
	const char *(*ails)(void *ctx, char why[OTHERS_WHY]);
	int (*print_standbys)(void *ctx, FILE *to);      /* a line each */
	int (*print_order)(void *ctx, FILE *to);         /* the last one, and what came of it */
	int (*print_metrics)(void *ctx, FILE *to);
	json_t *(*status)(void *ctx);                    /* NULL: out of memory */
	void (*order)(void *ctx, const char *text, void (*done)(void *arg, int err), void *arg);
	void *ctx;
};

#endif
