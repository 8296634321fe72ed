/* SPDX-License-Identifier: Apache-2.0 */
/* mqctl's check and dump when the disk and memory fail them: they say so, or have found all that is there. */
#include "check.h"
#include "dump.h"
#include "fault_story.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <string.h>

struct found {
	int err;
	uint64_t findings;     /* said to be wrong */
	bool unopened;         /* the store as a whole: its names, and what is committed, are not known */
	uint64_t records, bytes;
	char why[STORE_WHY];
};

enum tool { CHECK, CHECK_BUSY, DUMP, TOOLS };

static struct found found;             /* this time */
static struct found sound[TOOLS];      /* and when nothing failed */
static bool known[TOOLS];
static enum tool tool;

static void told(void *ctx, bool damage, const char *where, const char *what)
{
	(void)ctx;
	(void)damage;
	(void)where;
	cr_assert_neq(what[0], 0);
	found.findings++;
}

void tool_check(void)
{
	struct check_calls calls = {.found = told};
	struct check_totals totals;

	memset(&found, 0, sizeof found);
	tool = CHECK;
	found.err = check_store(scratch_path, &calls, &totals, found.why, sizeof found.why);
	found.records = totals.records;
	found.bytes = totals.bytes;
}

static void mended(void *ctx, const char *where, const char *what)
{
	(void)ctx;
	(void)where;
	cr_assert_neq(what[0], 0);
}

void tool_repair(void)
{
	struct check_calls calls = {.found = told, .repaired = mended};
	struct check_totals totals;

	memset(&found, 0, sizeof found);
	found.err = repair_store(scratch_path, &calls, &totals, found.why, sizeof found.why);
}

/* Whatever came of it, it took nothing away; the next one has its chance. */
void tool_repair_judge(const char *when)
{
	if (found.err)
		cr_assert_neq(found.why[0], 0, "%s: no reason given", when);
	work_check_end(when);
	tool_repair();
	cr_assert(!found.err && !found.findings, "%s: it cannot be repaired any more: %s", when, found.why);
	did.rotten = 0;
	work_check_start(when);
}

static int record(void *ctx, const struct record *r, const char *topic, const void *body)
{
	const struct epoch strange = STRANGE_EPOCH;

	(void)ctx;
	(void)body;
	cr_assert(!topic || epoch_compare(&r->epoch, &strange) != 0, "a name for what cannot be known");
	found.records++;
	found.bytes += r->length;
	return 0;
}

static void damaged(void *ctx, const char *where, const char *what)
{
	(void)ctx;
	(void)what;
	found.findings++;
	found.unopened |= !strcmp(where, scratch_path);
}

void tool_dump(void)
{
	struct dump_calls calls = {.record = record, .damaged = damaged};
	struct dump_query all = dump_all, lost = dump_all, topic = dump_all;

	memset(&found, 0, sizeof found);
	tool = DUMP;
	lost.lost = STRANGE_FILE;
	topic.topic = work_names[KEEP];
	topic.queue = 0;
	found.err = dump_store(scratch_path, &all, &calls, found.why, sizeof found.why);
	if (!found.err)
		found.err = dump_store(scratch_path, &lost, &calls, found.why, sizeof found.why);
	if (!found.err)
		found.err = dump_store(scratch_path, &topic, &calls, found.why, sizeof found.why);
}

/* Nor is it one where there is no store. */
void tool_check_busy(void)
{
	struct check_calls calls = {.found = told};
	struct check_totals totals;

	if (!work_begin())
		return;
	cr_assert_eq(disk_rename(scratch.under, "id", "id.away"), 0);
	cr_assert_lt(check_store(scratch_path, &calls, &totals, found.why, sizeof found.why), 0);
	cr_assert_eq(disk_rename(scratch.under, "id.away", "id"), 0);
	tool_check();
	cr_assert_lt(found.err, 0);
	tool = CHECK_BUSY;
	work_close();
}

void tool_forget(void)
{
	memset(known, 0, sizeof known);
}

void tool_judge(const char *when)
{
	cr_assert_eq(scratch.opened, 0, "%s: %d descriptors were left open", when, scratch.opened);
	if (!known[tool]) {
		known[tool] = true;
		sound[tool] = found;
	}
	if (found.err) {
		cr_assert_neq(found.why[0], 0, "%s: no reason given", when);
		return;
	}
	if (found.findings <= sound[tool].findings && !found.unopened)
		cr_assert(found.records == sound[tool].records && found.bytes == sound[tool].bytes, "%s: %lu records of %lu, and nothing said", when,
			(unsigned long)found.records, (unsigned long)sound[tool].records);
}
