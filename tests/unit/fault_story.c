/* SPDX-License-Identifier: Apache-2.0 */
#include "fault_story.h"
#include "scratch.h"
#include "scrub.h"
#include "supply.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char before[80];                /* the directory that story_make() has left */
static struct done did_before;

static bool go_on(void *ctx)
{
	(void)ctx;
	return true;
}

static bool hurry(void *ctx)
{
	(void)ctx;
	return false;
}

/* Retention lets segments go: the first to be filled with zeros, the next to be thrown away, one that is needed before it is filled. */
static void run_trim(void)
{
	if (!work_begin())
		return;
	work_topics();
	for (int n = 0; n < 17; n++) {
		work_append_wait(TRIM);
		work_keep();
		if (n == 12)
			supply_prepare(store->supply, 1, hurry, NULL);
	}
	work_finish();
}

/* The file system is all but full: prepared segments go, and messages before their time. */
static void run_full(void)
{
	work_options.retention_free = UINT64_MAX / 2;
	if (!work_begin())
		return;
	work_topics();
	for (int n = 0; n < 14; n++) {
		work_append_wait(TRIM);
		if (n == 6)
			supply_prepare(store->supply, 2, go_on, NULL);
		if (n > 6)
			work_keep();
	}
	work_finish();
}

/* The store's directory is not there yet. */
static void run_new(void)
{
	char path[80];

	snprintf(path, sizeof path, "%s-new", scratch_path);
	if (work_begin_in(path)) {
		work_topics();
		work_finish();
	}
	rmdir(path);
}

static void run_busy(void)
{
	struct store *other;
	char why[STORE_WHY];

	if (!work_begin())
		return;
	cr_assert_lt(store_open(&other, scratch_path, &work_options, why), 0);
	cr_assert_neq(why[0], 0);
	work_topics();
	work_finish();
}

/* It is there, so that no failure may make it missing. */
static void run_looked_at(void)
{
	char why[STORE_WHY];
	int err;

	if (!work_begin())
		return;
	err = store_look(scratch_path, why);
	cr_assert(!err || (err != -ENOENT && why[0]), "%d: %s", err, why);
	work_topics();
	work_finish();
}

static void run_slow(void)
{
	work_options.sync_delay = 1;
	if (!work_begin())
		return;
	work_topics();
	work_append_wait(KEEP);
	work_finish();
}

static void run_scrub(void)
{
	struct scrub *c;

	work_options.scrub_rate = 1 << 20;
	if (!work_begin())
		return;
	work_topics();
	for (int n = 0; n < 8; n++)
		work_append_wait(n % TOPICS);
	work_keep();
	if (scrub_new(&c, store) == 0) {
		for (int n = 0; n < 100 && scrub_step(c, 100000) > 0; n++)
			;
		scrub_free(c);
	}
	work_finish();
}

/* A mapped file that cannot be read for a while. */
static void run_unreadable(void)
{
	static uint8_t bytes[SEGMENT_HEADER + WORK_SEGMENT];
	char path[120];
	ssize_t len;
	int fd;

	if (!work_begin())
		return;
	work_topics();
	work_append_wait(KEEP);
	work_read(KEEP);
	snprintf(path, sizeof path, "%s/log/0000000000000000", scratch_path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		len = pread(fd, bytes, sizeof bytes, 0);
		cr_assert_eq(ftruncate(fd, SEGMENT_HEADER), 0);
		work_read(KEEP);
		cr_assert_eq(pwrite(fd, bytes, (size_t)len, 0), len);
		close(fd);
	}
	work_finish();
}

/* On the system's own file system, without a disk of ours between: what is there afterwards is all that can be looked at. */
static void run_real(void)
{
	work_sound = true;
	run_scrub();
	work_sound = false;
}

const struct story stories[] = {
	{"life", NULL, work_life, work_check},
	{"torn tail", make_torn, work_restart, work_check},
	{"short file", make_short, work_restart, work_check},
	{"new segment", make_rolled, work_restart, work_check},
	{"name lost", make_unnamed, work_restart, work_check},
	{"foreign header", make_foreign, work_restart, work_check},
	{"retention", NULL, run_trim, work_check},
	{"full disk", NULL, run_full, work_check},
	{"new directory", NULL, run_new, work_check},
	{"store in use", NULL, run_busy, work_check},
	{"store looked at", NULL, run_looked_at, work_check},
	{"slow disk", NULL, run_slow, work_check},
	{"large record", NULL, work_large, work_check},
	{"many", NULL, work_many, work_check},
	{"scrub", NULL, run_scrub, work_check},
	{"unreadable", NULL, run_unreadable, work_check},
	{"system", NULL, run_real, work_check_start},
	{"standby", make_standby, standby_run, standby_check},
	{"repair", make_rotten, rotten_run, rotten_check},
	{"made anew", make_given_up, install_run, install_judge},
	{"seed", NULL, seed_run, work_check},
	{"mqctl check --repair", make_derived_damaged, tool_repair, tool_repair_judge},
	{"mqctl check, many", make_many, tool_check, tool_judge},
	{"mqctl check, in use", NULL, tool_check_busy, tool_judge},
	{"mqctl check", make_damaged, tool_check, tool_judge},
	{"mqctl dump", make_damaged, tool_dump, tool_judge},
};
const size_t story_count = sizeof stories / sizeof *stories;

void story_make(const struct story *s)
{
	tool_forget();
	if (!s->make)
		return;
	work_disk(NULL);
	snprintf(before, sizeof before, "%s-story", scratch_path);
	s->make(before);
	did_before = did;
	did_before.failed = did_before.opened = false;
	work_end();
}

static bool chosen(void)
{
	if (!site_disk_fails())
		return false;
	scratch.error = site_error();
	scratch.halved = site_error() == 0;
	return true;
}

void story_begin(const struct story *s)
{
	work_disk(s->make ? before : NULL);
	scratch.chosen = chosen;
	work_once = true;
	if (s->make)
		did = did_before;
}

void story_end(void)
{
	work_end();
}

void story_unmake(const struct story *s)
{
	if (s->make)
		scratch_remove(before);
}
