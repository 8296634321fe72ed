/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every place in store/ that asks something of the disk, of memory or of the system is made to fail, with each error that it can meet:
 * the first, a middle and the last time that a story comes to it; in long runs (MQFS_TEST_LONG=1) every time, or a hundred times, in every story.
 *
 * The list of places is the linker's (site.h). One that no story comes to fails the test. Places that only a failure leads to fail as
 * well, behind that failure. MQFS_TEST_SITE=supply.c:94 runs that one only, MQFS_TEST_TELL=1 tells of each run.
 */
#include "fault_story.h"
#include "log.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(fault_sites, .timeout = 3600);

#define SITES_MAX 512
#define HITS_MAX 100                   /* of one place in one story, that fail */
#define STORIES_EACH 2                 /* in which a place fails, unless the run is a long one */
#define AGAIN 5                        /* times that all stories are told for places that have not failed yet */

static size_t site_count(void)
{
	return (size_t)(__stop_sites - __start_sites);
}

static const char *file_of(const struct site *s)
{
	const char *slash = strrchr(s->file, '/');

	return slash ? slash + 1 : s->file;
}

static bool is_one_of(const char *name, const char *const *list)
{
	while (*list && strcmp(*list, name) != 0)
		list++;
	return *list;
}

/* ---- what can go wrong ---- */

#define FULL ENOSPC, EDQUOT
#define SHORT -1                       /* not an error: half of the bytes */

static const struct {
	const char *call;
	int errors[8];
} calls[] = {
	{"disk_open", {EIO, FULL, EINTR, EMFILE}},
	{"disk_read", {EIO, EINTR, SHORT}},
	{"disk_read_once", {EIO, EINTR, SHORT}},
	{"disk_write", {EIO, FULL, EINTR, SHORT}},
	{"disk_write_once", {EIO, FULL, EINTR, SHORT}},
	{"disk_writev", {EIO, FULL, EINTR, SHORT}},
	{"disk_sync", {EIO, FULL, EINTR}},
	{"disk_forget", {EIO, EINVAL, ENOSYS}},
	{"disk_allocate", {EIO, FULL, EINTR}},
	{"disk_truncate", {EIO, FULL, EINTR}},
	{"disk_stat", {EIO, EINTR, ENOMEM}},
	{"disk_rename", {EIO, FULL, EINTR}},
	{"disk_unlink", {EIO, FULL, EINTR}},
	{"disk_mkdir", {EIO, FULL, EINTR}},
	{"disk_list", {EIO, EINTR, EMFILE, ENOMEM}},
	{"disk_sync_directory", {EIO, FULL, EINTR, EMFILE}},
	{"disk_map", {EIO, ENOMEM}},
	{"disk_space", {EIO, EINTR}},
	{"disk_lock", {EIO, EINTR, ENOLCK}},
	{"disk_replace", {EIO, FULL, EINTR}},
	{"disk_load", {EIO, EINTR, ENOMEM}},
	{"disk_open_directory", {EIO, EMFILE, ENOMEM}},
	{"disk_open_slow", {ENOMEM}},
	{"malloc", {ENOMEM}},
	{"calloc", {ENOMEM}},
	{"realloc", {ENOMEM}},
	{"reallocarray", {ENOMEM}},
	{"pthread_create", {EAGAIN}},
	{"open", {EIO, EINTR, EMFILE}},
	{"openat", {EIO, EINTR, EMFILE}},
	{"pread", {EIO, EINTR, SHORT}},
	{"pwritev", {EIO, FULL, EINTR, SHORT}},
	{"pwritev2", {EIO, FULL, EINTR, EOPNOTSUPP}},
	{"posix_fadvise", {EIO, EINVAL, ENOSYS}},
	{"fdatasync", {EIO, FULL, EINTR}},
	{"fsync", {EIO, FULL, EINTR}},
	{"fallocate", {EIO, FULL, EINTR, EOPNOTSUPP}},
	{"posix_fallocate", {EIO, FULL, EINTR}},
	{"ftruncate", {EIO, FULL, EINTR}},
	{"fstatat", {EIO, EINTR, ENOMEM}},
	{"renameat", {EIO, FULL, EINTR}},
	{"unlinkat", {EIO, FULL, EINTR}},
	{"mkdirat", {EIO, FULL, EINTR}},
	{"mkdir", {EIO, FULL, EINTR}},
	{"stat", {EIO, EINTR}},
	{"fdopendir", {ENOMEM}},
	{"readdir", {EIO, EINTR}},
	{"mmap", {EIO, ENOMEM}},
	{"mincore", {EAGAIN}},
	{"fstatvfs", {EIO, EINTR}},
	{"flock", {EIO, EINTR, ENOLCK}},
	{"getrandom", {EIO, EINTR}},
};

/* Calls that are made again after EINTR. Of all others it is an error like EIO, above all of a sync: made again, it would say nothing. */
static const char *const begun_anew[] = {"disk_open", "disk_read", "disk_read_once", "disk_write", "disk_write_once", "disk_writev",
	"disk_allocate", "disk_truncate", "openat", "pread", "pwritev", "pwritev2", "fallocate", "posix_fallocate", "ftruncate", "getrandom", NULL};

/* Files that open others to read them only. */
static const char *const readers[] = {"raw.c", "scan.c", "spans.c", "index.c", "check_log.c", NULL};

static const int *errors_of(const struct site *s)
{
	for (size_t n = 0; n < sizeof calls / sizeof *calls; n++)
		if (!strcmp(calls[n].call, s->call))
			return calls[n].errors;
	cr_assert_fail("%s:%d: it is not known how %s can fail", file_of(s), s->line, s->call);
	return NULL;
}

/* ---- one failure ---- */

struct fault {
	struct site *site;
	int nth, error;        /* ERROR as in `calls` */
};

static const char *describe(const struct story *story, const struct fault *f, const struct site *also)
{
	static char text[300];
	int n = snprintf(text, sizeof text, "%s, %s at hit %d of %s:%d %s", story->name, f->error == SHORT ? "half a transfer" : strerrorname_np(f->error),
		f->nth, file_of(f->site), f->site->line, f->site->call);

	if (also)
		snprintf(text + n, sizeof text - (size_t)n, ", and at %s:%d %s", file_of(also), also->line, also->call);
	return text;
}

/* Nobody but the store may notice. */
static bool is_harmless(const struct fault *f)
{
	return f->error == SHORT || f->error == EOPNOTSUPP || (f->error == EINTR && is_one_of(f->site->call, begun_anew));
}

/* What has been written is lost, or a name: that is final. */
static bool may_be_final(const struct fault *f)
{
	static const char *const syncs[] = {"disk_sync_directory", "disk_replace", "fsync", "fdatasync", "pwritev", NULL};
	static const char *const log_files[] = {"log.c", "log_roll.c", "log_sync.c", "raw.c", "segment.c", "supply.c", "disk_directory.c", NULL};
	const char *file = file_of(f->site);

	if (is_one_of(f->site->call, syncs))
		return true;
	if ((!strcmp(file, "log.c") && !strcmp(f->site->call, "disk_writev")) || (!strcmp(file, "log_sync.c") && !strcmp(f->site->call, "disk_sync")))
		return true;
	if (!strcmp(file, "log_gather.c"))
		return true;
	return (f->error == EIO || (f->error == EINTR && !is_harmless(f))) && is_one_of(file, log_files);
}

static struct done did_well;           /* the story, when nothing fails */

static void judge(const struct fault *f, bool also, const char *when)
{
	bool harmless = is_harmless(f);

	if (!did.opened) {
		cr_assert_not(harmless && !also, "%s: the store did not open", when);
		return;
	}
	if (did.read_only) {           /* it could not make durable what it found, or had no memory to apply a command */
		cr_assert_not(harmless && !also, "%s: the store is read-only", when);
		return;
	}
	cr_assert(did.failed || did.went_on, "%s: the store does not go on, and does not say why", when);
	if (!also)
		cr_assert(!did.failed || may_be_final(f), "%s: the log has failed", when);
	for (int t = 0; harmless && !also && t < TOPICS; t++)
		for (int m = 0; m < MESSAGES; m++)
			cr_assert(did.acked[t][m] || !did_well.acked[t][m], "%s: message %d of %s was refused", when, m, work_names[t]);
}

static bool run(const struct story *story, const struct fault *f, struct site *also)
{
	const char *when = describe(story, f, also);
	bool fired;

	if (getenv("MQFS_TEST_TELL"))
		fprintf(stderr, "%s\n", when);
	story_begin(story);
	site_arm(f->site, f->nth, f->error == SHORT ? 0 : -f->error, f->error == SHORT);
	if (also)
		site_arm_also(also, also->kind == SITE_MEMORY ? -ENOMEM : -EIO);
	story->run();
	fired = site_fired();
	site_disarm();
	if (story->check == work_check)
		judge(f, also, when);
	story->check(when);
	story_end();
	return fired;
}

/* ---- all of them ---- */

static struct {
	int hits;                      /* in the story, when nothing fails */
	int stories;                   /* that it has failed in */
	int failed;                    /* runs */
	struct fault behind;           /* the failure that leads to it, in the story */
	const struct story *story;
} known[SITES_MAX];

static long runs;

static void note_hits(const struct story *story)
{
	story_begin(story);
	for (size_t n = 0; n < site_count(); n++)
		__start_sites[n]->hits = 0;
	story->run();
	for (size_t n = 0; n < site_count(); n++)
		known[n].hits = __start_sites[n]->hits;
	did_well = did;
	if (story->check == work_check)
		cr_assert(did.opened && !did.failed && did.went_on, "%s: %s", story->name, work_said);
	story->check(story->name);
	story_end();
}

/* Places that have not been seen before: F has led to them. */
static void note_behind(const struct story *story, const struct fault *f)
{
	for (size_t n = 0; n < site_count(); n++)
		if (__start_sites[n]->hits && !known[n].story) {
			known[n].story = story;
			known[n].behind = *f;
		}
}

/* The first, the middle and the last; or EACH, of many some HITS_MAX. */
static int next_hit(int nth, int last, bool each)
{
	int step = each ? (last + HITS_MAX - 1) / HITS_MAX : (last + 1) / 2 > 1 ? (last + 1) / 2 - 1 : 1;

	return nth < last && nth + step > last ? last : nth + step;
}

static void fail_site(const struct story *story, size_t n, bool each)
{
	struct fault f = {.site = __start_sites[n]};
	int last = known[n].hits;

	for (const int *error = errors_of(f.site); *error; error++) {
		f.error = *error;
		if ((f.error == ENOSPC || f.error == EDQUOT) && is_one_of(file_of(f.site), readers))
			continue;
		for (f.nth = 1; f.nth <= last; f.nth = next_hit(f.nth, last, each)) {
			known[n].failed += run(story, &f, NULL);
			runs++;
			note_behind(story, &f);
		}
	}
	known[n].stories++;
}

static bool is_wanted(const struct site *s)
{
	const char *wanted = getenv("MQFS_TEST_SITE");
	char name[80];

	snprintf(name, sizeof name, "%s:%d", file_of(s), s->line);
	return !wanted || !strcmp(wanted, name);
}

static void tell_story(const struct story *story, bool all)
{
	story_make(story);
	note_hits(story);
	for (size_t n = 0; n < site_count(); n++)
		if (known[n].hits && is_wanted(__start_sites[n]) && (all || known[n].stories < STORIES_EACH))
			fail_site(story, n, all);
	story_unmake(story);
}

static bool is_unfailed(size_t n)
{
	return !known[n].failed && is_wanted(__start_sites[n]);
}

static size_t unfailed(void)
{
	size_t count = 0;

	for (size_t n = 0; n < site_count(); n++)
		count += is_unfailed(n);
	return count;
}

/* Whether a thread comes to some place within a story is a matter of the machine's moods: such a place gets more than one chance. */
static void tell_unfailed(const struct story *story)
{
	story_make(story);
	note_hits(story);
	for (size_t n = 0; n < site_count(); n++)
		if (known[n].hits && is_unfailed(n))
			fail_site(story, n, false);
	story_unmake(story);
}

/* Those that only failures lead to. */
static void fail_behind(size_t n)
{
	story_make(known[n].story);
	known[n].failed += run(known[n].story, &known[n].behind, __start_sites[n]);
	runs++;
	story_unmake(known[n].story);
}

static void fail_all_behind(void)
{
	for (size_t n = 0; n < site_count(); n++)
		if (is_unfailed(n) && known[n].story)
			fail_behind(n);
}

Test(fault_sites, every_call_that_can_fail_has_failed_and_nothing_was_lost)
{
	const char *asked = getenv("MQFS_TEST_LONG");
	bool all = asked && !strcmp(asked, "1");
	size_t failed = 0, missing = 0;

	cr_assert_leq(site_count(), SITES_MAX);
	for (size_t n = 0; n < story_count; n++)
		tell_story(&stories[n], all);
	fail_all_behind();
	for (int again = 0; again < AGAIN && unfailed(); again++) {
		for (size_t n = 0; n < story_count; n++)
			tell_unfailed(&stories[n]);
		fail_all_behind();
	}
	for (size_t n = 0; n < site_count(); n++) {
		failed += known[n].failed > 0;
		missing += is_unfailed(n);
		if (is_unfailed(n))
			fprintf(stderr, "never failed: %s:%d %s\n", file_of(__start_sites[n]), __start_sites[n]->line, __start_sites[n]->call);
	}
	fprintf(stderr, "%zu of %zu call sites failed, in %ld runs\n", failed, site_count(), runs);
	cr_assert_eq(missing, 0);
}
