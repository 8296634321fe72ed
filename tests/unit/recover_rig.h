/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover_rig.h - starts on what a process that was killed has left, and what they said of it.
 *
 * Calling  TestSuite(name, .init = begin, .fini = rig_end); killed_after(work); open_store(); then what is there, and `said`.
 */
#ifndef MQFS_TESTS_RECOVER_RIG_H
#define MQFS_TESTS_RECOVER_RIG_H

#include "parts.h"
#include "segment.h"
#include "store_rig.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char said[4096];

static inline void say(void *ctx, int priority, const char *text)
{
	(void)ctx;
	(void)priority;
	strncat(said, text, sizeof said - strlen(said) - 2);
	strcat(said, "\n");
}

static inline void begin(void)
{
	rig_begin();
	options.say = say;
	said[0] = 0;
}

static inline int open_segment(uint64_t base)
{
	char name[32], path[128];

	segment_name(name, base);
	snprintf(path, sizeof path, "%s/%s", scratch_path, name);
	return open(path, O_RDWR);
}

static inline int count_lost(void)
{
	struct store_status st;

	store_status(store, &st);
	return (int)st.lost_files;
}

#endif
