/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that rots. Whatever becomes of its bytes, nobody is given a byte that was not written there, no record is lost but what was
 * hit, nothing crashes, and the damage is found by reads, by the scrub and by mqctl check; or the byte means nothing to anybody, and the
 * tables of rot.c say which these are. What is counted is printed.
 *
 * With MQFS_TEST_LONG=1 the store is larger and each bit is flipped, also of those bytes.
 */
#include "parts.h"
#include "rot.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static struct rot_verdict v;

/* ---- flipped bytes ---- */

static void name_flip(const struct rot_region *g, size_t at, uint8_t flip, char to[200])
{
	snprintf(to, 200, "%s: byte %zu of %s ^ %02x", g->name, at, rot.file[g->file], flip);
}

/* What is missing is the record that was hit, or nothing; but for what only the checkpoint proved to be committed, which a start brings
 * back. */
static void assert_others_there(const struct rot_region *g, const char *when)
{
	for (int n = 0; n < rot.records; n++)
		cr_assert(!v.lost[n] || n == g->record || g->kind == ROT_TAIL || (g->kind == ROT_CHECKPOINT && rot.record[n].pos >= v.shown), "%s: record %d at position %llu is lost", when, n,
			(unsigned long long)rot.record[n].pos);
}

static void judge_flip(const struct rot_region *g, enum rot_how how, const char *when)
{
	bool message = g->record >= 0 && rot.record[g->record].messages;

	cr_assert(!v.wrong, "%s: %s", when, v.what);
	if (v.refused) {
		cr_assert(g->kind == ROT_IDENTITY || strstr(v.refusal, "newer format"), "%s: refused: %s", when, v.refusal);
		return;
	}
	assert_others_there(g, when);
	switch (g->kind) {
	case ROT_HARMLESS:
		cr_assert(!v.by_reads && !v.by_scrub && !v.by_check, "%s: is not harmless: %s", when, v.why);
		break;
	case ROT_RECORD:
		cr_assert(!message || (v.by_reads && v.lost[g->record]), "%s: the damage is not seen by a read", when);
		cr_assert_eq(v.lost_files, how == ROT_START ? 1 : v.lost_files, "%s: something committed was cut", when);
		/* fallthrough */
	case ROT_HEAD:
	case ROT_INDEX:
	case ROT_CHECKPOINT:
		cr_assert(v.by_scrub || (v.by_reads && how == ROT_START), "%s: not found by the scrub", when);
		cr_assert(v.by_check || how == ROT_START, "%s: not found by check", when);
		break;
	case ROT_TAIL:
		break;
	case ROT_IDENTITY:
		cr_assert(how == ROT_LOOK && v.by_check, "%s: is taken for an identity", when);
	}
}

static void flip(const struct rot_region *g, size_t at, uint8_t bits, enum rot_how how)
{
	char when[200];
	size_t len;
	uint8_t *bytes = memory_disk_get(rot.sound, rot.file[g->file], &len);

	bytes[at] ^= bits;
	rot_judge(rot.sound, how, &v);
	bytes[at] ^= bits;
	name_flip(g, at, bits, when);
	rot_count(g->name, &v);
	judge_flip(g, how, when);
}

/* Large stretches without meaning are sampled. */
static size_t step_of(const struct rot_region *g)
{
	return rot_long() || g->kind != ROT_HARMLESS || g->to - g->from < 100 ? 1 : 37;
}

static void flip_all(enum rot_how how, size_t step)
{
	for (int n = 0; n < rot.regions; n++) {
		const struct rot_region *g = &rot.region[n];
		size_t by = g->kind == ROT_HEAD || g->kind == ROT_CHECKPOINT ? 1 : step * step_of(g);
		for (size_t at = g->from; at < g->to; at += by)
			for (unsigned bit = 0; bit < (rot_long() ? 8 : 1); bit++)
				flip(g, at, (uint8_t)(1u << (rot_long() ? bit : at % 8)), how);
	}
}

Test(rot, no_flipped_byte_is_served_or_missed, .timeout = 3000)
{
	rot_make(rot_long() ? 8 * ROT_APPENDS : ROT_APPENDS, false, 0, NULL);
	flip_all(ROT_LOOK, 1);
	rot_print("flipped bytes");
	rot_free();
}

Test(rot, a_start_cuts_nothing_for_a_flipped_byte, .timeout = 3000)
{
	rot_make(ROT_APPENDS, false, 0, NULL);
	flip_all(ROT_START, rot_long() ? 1 : 11);
	rot_print("flipped bytes, started");
	rot_free();
}

/*
 * Behind what is proved to be committed, rot cannot be told from a write that a crash has torn: the log ends there, and what it held goes to
 * lost/. Nothing before it is touched.
 */
Test(rot, rot_in_the_tail_of_a_crash_is_a_torn_write, .timeout = 600)
{
	char when[200];
	size_t len;

	rot_make(ROT_APPENDS, true, 0, NULL);
	for (int n = 0; n < rot.regions; n++) {
		const struct rot_region *g = &rot.region[n];
		uint8_t *bytes = memory_disk_get(rot.sound, rot.file[g->file], &len);
		if (g->kind != ROT_TAIL)
			continue;
		for (size_t at = g->from; at < g->to; at++) {
			name_flip(g, at, 1, when);
			bytes[at] ^= 1;
			rot_judge(rot.sound, ROT_START, &v);
			bytes[at] ^= 1;
			rot_count(g->name, &v);
			cr_assert(!v.wrong && !v.refused, "%s: %s%s", when, v.what, v.refusal);
			cr_assert_eq(v.lost_files, 2, "%s: what was cut is not kept", when);
			for (int r = 0; r < rot.records; r++)
				cr_assert_eq(v.lost[r], rot.record[r].messages && r >= g->record, "%s: record %d", when, r);
		}
	}
	rot_print("flipped bytes in an uncommitted tail");
	rot_free();
}

/* A store that a crash has left, whose committed part rots. */
Test(rot, what_a_crash_left_is_judged_as_well, .timeout = 600)
{
	rot_make(ROT_APPENDS, true, 0, NULL);
	for (int n = 0; n < rot.regions; n++) {
		const struct rot_region *g = &rot.region[n];
		if (g->kind == ROT_RECORD)
			for (size_t at = g->from; at < g->to; at += rot_long() ? 1 : 11)
				flip(g, at, 0x40, ROT_START);
	}
	rot_print("flipped bytes after a crash");
	rot_free();
}
