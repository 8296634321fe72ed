/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "mounts.h"
#include "mqctl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

struct checking {
	struct progress progress;
};

static void found(void *ctx, bool damage, const char *where, const char *what)
{
	struct checking *k = ctx;

	progress_clear(&k->progress);
	printf("%s: %s: %s\n", damage ? "damage" : "note", where, what);
}

static void repaired(void *ctx, const char *where, const char *what)
{
	struct checking *k = ctx;

	progress_clear(&k->progress);
	printf("repaired: %s: %s\n", where, what);
}

static void progress(void *ctx, uint64_t done, uint64_t total)
{
	struct checking *k = ctx;

	progress_show(&k->progress, done, total);
}

static void print_totals(const char *store, const struct check_totals *t)
{
	char a[32], b[32], c[32], d[24], e[24];

	printf("log       position %" PRIu64 " to %" PRIu64 ", committed up to %" PRIu64 "; segments: %s, indexes: %s\n", t->start, t->end,
		t->committed < t->end ? t->committed : t->end, print_count(t->segments, a), print_count(t->indexes, b));
	printf("messages  %s, %s; records: %s, queues: %s\n", print_count(t->messages, a), print_size(t->bytes, d),
		print_count(t->records, b), print_count(t->queues, c));
	printf("state     valid checkpoints: %" PRIu64 "\n", t->checkpoints);
	if (t->lost_files)
		printf("lost      files: %" PRIu64 ", %s; mqctl dump %s/lost/FILE shows what is in them\n", t->lost_files,
			print_size(t->lost_bytes, e), store);
}

typedef int check_function(const char *path, const struct check_calls *calls, struct check_totals *totals, char *why, size_t why_len);

/* umount(8) returns before the daemon has left the store, which takes it some syncs: seconds where the disk is busy. */
static int check_unmounted(check_function *check, const char *store, const struct check_calls *calls, struct check_totals *totals, char why[WHY])
{
	const struct timespec look = {.tv_nsec = 20000000};
	struct timespec began, now;
	int err = check(store, calls, totals, why, WHY);

	clock_gettime(CLOCK_MONOTONIC, &began);
	now = began;
	while (err == -EBUSY && now.tv_sec - began.tv_sec < MOUNTS_LEAVING && !find_served(store)) {
		nanosleep(&look, NULL);
		err = check(store, calls, totals, why, WHY);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	return err;
}

int verb_check(const struct call *c)
{
	struct checking k;
	struct check_calls calls = {.found = found, .repaired = repaired, .progress = progress, .ctx = &k};
	struct check_totals totals;
	const char *store = c->operand[0];
	char why[WHY];
	int err;

	progress_start(&k.progress, store);
	err = check_unmounted(call_option(c, "repair") ? repair_store : check_store, store, &calls, &totals, why);
	progress_clear(&k.progress);
	if (err)
		return call_fail(c, "%s", why);
	if (!call_option(c, "quiet")) {
		print_totals(store, &totals);
		if (totals.damage)
			printf("%s: DAMAGED in %" PRIu64 " place%s\n", store, totals.damage, totals.damage == 1 ? "" : "s");
		else
			printf("%s: %s\n", store, totals.repaired ? "repaired" : "fine");
	}
	return totals.damage ? EXIT_WRONG : EXIT_FINE;
}
