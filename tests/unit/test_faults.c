/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store on a disk, and with memory, that fail it: the nth call of all, for every n.
 *
 * Whatever then fails must say so at once, and whatever was acknowledged must be there for the next start, also when only what was
 * synced is left (fault_work.h). test_fault_sites.c goes by the places in the code instead.
 */
#include "committed.h"
#include "fault_work.h"
#include "keeper.h"
#include "log.h"
#include "powercut.h"
#include "scratch.h"
#include "site.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

TestSuite(faults, .timeout = 600);

static const char *const kind_names[CALLS] = {"open", "pread", "pwritev", "sync", "forget", "allocate", "rename", "sync_directory", "truncate", "stat", "unlink",
	"mkdir", "list", "map", "space", "lock"};
static const unsigned every_kind = (1u << CALLS) - 1;
static const unsigned writing = 1u << CALL_OPEN | 1u << CALL_PWRITEV | 1u << CALL_SYNC | 1u << CALL_ALLOCATE | 1u << CALL_TRUNCATE | 1u << CALL_RENAME |
	1u << CALL_MKDIR | 1u << CALL_SYNC_DIRECTORY;

static const unsigned making = 1u << CALL_OPEN | 1u << CALL_ALLOCATE | 1u << CALL_TRUNCATE | 1u << CALL_RENAME | 1u << CALL_MKDIR;
static const unsigned transfers = 1u << CALL_PREAD | 1u << CALL_PWRITEV;

struct fault {
	const char *what;
	unsigned kinds;
	int error;
	bool halved, stays;
	bool heals;            /* the log goes on */
	bool harmless;         /* nobody but the store may notice */
};

/* The workload with call N failing. False: it has not that many. */
static bool run_with(const struct fault *f, int n)
{
	char when[120];

	snprintf(when, sizeof when, "%s at call %d", f->what, n);
	work_disk(NULL);
	work_once = !f->stays;
	scratch.kinds = f->kinds;
	scratch.error = f->error;
	scratch.halved = f->halved;
	scratch.stays = f->stays;
	scratch.fail_any = n;
	work_life();
	if (f->heals && did.opened)
		cr_assert(!did.failed && did.went_on, "%s: the store does not go on", when);
	bool reached = f->stays ? scratch.fail_any == 1 : scratch.fail_any == 0;
	if (f->harmless)
		for (int t = 0; t < TOPICS; t++)
			for (int m = 0; m < did.tried[t]; m++)
				cr_assert(did.acked[t][m], "%s: message %d of %s was refused", when, m, work_names[t]);
	if (reached)
		snprintf(when, sizeof when, "%s at call %d (%s)", f->what, n, kind_names[scratch.failed]);
	work_check(when);
	work_end();
	return reached;
}

static void run_all(const struct fault *f)
{
	int n = 1;

	while (run_with(f, n))
		n++;
	cr_assert_gt(n, 20, "%s: only %d calls", f->what, n);
}

Test(faults, a_call_that_fails_loses_nothing)
{
	run_all(&(struct fault){.what = "EIO", .kinds = every_kind, .error = -EIO});
}

Test(faults, a_disk_that_dies_loses_nothing)
{
	run_all(&(struct fault){.what = "a dead disk", .kinds = every_kind, .error = -EIO, .stays = true});
}

Test(faults, a_full_disk_loses_nothing)
{
	run_all(&(struct fault){.what = "ENOSPC", .kinds = writing, .error = -ENOSPC});
}

Test(faults, a_full_disk_that_is_met_before_a_position_is_given_heals)
{
	run_all(&(struct fault){.what = "ENOSPC", .kinds = making, .error = -ENOSPC, .heals = true});
}

Test(faults, too_many_open_files_heal)
{
	run_all(&(struct fault){.what = "EMFILE", .kinds = 1u << CALL_OPEN | 1u << CALL_LIST, .error = -EMFILE, .heals = true});
}

Test(faults, short_transfers_are_continued)
{
	run_all(&(struct fault){.what = "half a transfer", .kinds = transfers, .halved = true, .harmless = true});
}

Test(faults, an_interrupted_call_is_made_again)
{
	run_all(&(struct fault){.what = "EINTR", .kinds = transfers | 1u << CALL_OPEN | 1u << CALL_ALLOCATE | 1u << CALL_TRUNCATE, .error = -EINTR,
		.harmless = true});
}

/* ---- the power goes ---- */

#define EVERY 20                       /* calls between two cuts of one run */
#define CUTS_MAX 100

static pthread_mutex_t cut_lock = PTHREAD_MUTEX_INITIALIZER;
static int until_cut, cuts;
static struct done did_then[CUTS_MAX];

static void left_of(int n, char to[80])
{
	snprintf(to, 80, "%s-left%d", scratch_path, n);
}

/* Runs in front of a call: what is acknowledged by now must be on what is left. */
static void cut_power(void *ctx)
{
	char left[80];

	(void)ctx;
	pthread_mutex_lock(&cut_lock);
	if (--until_cut == 0 && cuts < CUTS_MAX) {
		until_cut = EVERY;
		memcpy(&did_then[cuts], &did, sizeof did);
		left_of(cuts, left);
		powercut_copy(left, (enum cut)(cuts % CUTS));
		cuts++;
	}
	pthread_mutex_unlock(&cut_lock);
}

static void check_cut(int n, int first)
{
	char left[80], when[100];

	snprintf(when, sizeof when, "the power went before call %d, cut %d", first + n * EVERY, n % CUTS);
	left_of(n, left);
	memcpy(&did, &did_then[n], sizeof did);
	if (did.opened)
		work_check_left(left, when);
	else
		scratch_remove(left);
}

Test(faults, a_power_cut_loses_nothing_that_was_acknowledged)
{
	for (int first = 1; first <= EVERY; first++) {
		work_disk(NULL);
		cuts = 0;
		until_cut = first;
		scratch.before_call = cut_power;
		work_life();
		scratch.before_call = NULL;
		cr_assert_gt(cuts, 5);
		for (int n = 0; n < cuts; n++)
			check_cut(n, first);
		work_end();
	}
}

/* A checkpoint ends where its segment does; the next one is begun, and before the full one is sealed comes kill -9. */
Test(faults, a_full_segment_that_was_not_sealed_yet_is_no_damage)
{
	char left[80];
	uint64_t end, active;

	work_disk(NULL);
	cr_assert(work_begin());
	work_topics();
	active = log_active(store->log);
	for (int n = 0; n < MESSAGES && log_active(store->log) == active; n++) {
		cr_assert_eq(keeper_checkpoint(store->keeper), 0);
		cr_assert_eq(work_append(KEEP, 1, &end), 0);
		cr_assert_eq(wait_committed(store, end), 0);
	}
	cr_assert_neq(log_active(store->log), active);
	snprintf(left, sizeof left, "%s-left", scratch_path);
	scratch_copy(scratch_path, left);
	work_close();
	work_check_left(left, "the process was killed");
	cr_assert_eq(work_said[0], 0, "%s", work_said);
	work_end();
}

/* ---- memory ---- */

static void run_without_memory(bool stays)
{
	bool reached = true;
	char when[100];
	int n;

	for (n = 1; reached; n++) {
		snprintf(when, sizeof when, "no memory%s at allocation %d", stays ? " any more" : "", n);
		work_disk(NULL);
		work_once = !stays;
		site_arm_memory(n, stays);
		work_life();
		reached = site_fired();
		site_disarm();
		work_check(when);
		work_end();
	}
	cr_assert_gt(n, 100, "only %d allocations", n);
}

Test(faults, an_allocation_that_fails_loses_nothing)
{
	run_without_memory(false);
}

Test(faults, no_memory_at_all_loses_nothing)
{
	run_without_memory(true);
}
