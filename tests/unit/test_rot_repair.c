/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqctl check --repair of a spoilt store: what is derived is right again, no record has changed, a second repair finds nothing to do, and
 * wherever it is interrupted, the store opens and nothing is missing.
 */
#include "parts.h"
#include "rot.h"
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rot_verdict v;

static bool is_segment(const char *path)
{
	return strlen(path) == 20 && !strncmp(path, "log/", 4);
}

/* All records of D are those of BEFORE. */
static void assert_records_left_alone(struct disk *d, struct disk *before, const char *when)
{
	const char *path;
	size_t len, old_len;

	for (size_t n = 0; (path = memory_disk_name(before, n)); n++) {
		if (!is_segment(path))
			continue;
		const uint8_t *old = memory_disk_get(before, path, &old_len), *now = memory_disk_get(d, path, &len);
		cr_assert(now && len >= old_len, "%s: %s is gone", when, path);
		if (old_len > SEGMENT_HEADER)
			cr_assert_arr_eq(now + SEGMENT_HEADER, old + SEGMENT_HEADER, old_len - SEGMENT_HEADER, "%s: %s has changed", when, path);
	}
}

static void assert_sound(struct disk *d, const char *when)
{
	for (enum rot_how how = ROT_LOOK; how <= ROT_START; how++) {
		rot_judge(d, how, &v);
		cr_assert(!v.wrong && !v.refused, "%s: %s%s", when, v.what, v.refusal);
		cr_assert(!v.by_reads && !v.by_scrub && !v.by_check, "%s: is not repaired: %s", when, v.why);
		for (int n = 0; n < rot.records; n++)
			cr_assert(!v.lost[n] || (how == ROT_LOOK && rot.record[n].pos >= v.shown), "%s: record %d is lost", when, n);
	}
}

/* D has a fault that can be repaired. */
static void repair(struct disk *d, const char *when)
{
	struct disk *before = memory_disk_copy(d);
	unsigned count, again;

	cr_assert_eq(rot_repair(d, UINT_MAX, &v, &count), 0, "%s: cannot be repaired", when);
	rot_count("repaired", &v);
	cr_assert_gt(count, 0, "%s: there was nothing to repair", when);
	cr_assert(!v.by_check, "%s: is not repaired: %s", when, v.why);
	assert_records_left_alone(d, before, when);
	cr_assert_eq(rot_repair(d, UINT_MAX, &v, &again), 0);
	cr_assert_eq(again, 0, "%s: is repaired twice: %s", when, v.what);
	assert_sound(d, when);
	disk_free(before);
}

/* The same, killed at each of its changes. It must have come to its end some time. */
static void repair_killed(struct disk *spoilt, const char *when)
{
	for (unsigned calls = 0;; calls++) {
		struct disk *d = memory_disk_copy(spoilt);
		char then[160];
		unsigned count;
		snprintf(then, sizeof then, "%s, killed after %u changes", when, calls);
		rot_repair(d, calls, &v, &count);
		bool whole = !v.by_check && !v.noted;
		rot_judge(d, ROT_START, &v);
		cr_assert(!v.wrong && (!v.refused || strstr(v.refusal, "header is damaged")), "%s: %s%s", then, v.what, v.refusal);
		cr_assert(v.refused || !v.missing, "%s: something is missing", then);
		rot_count("repair killed", &v);
		rot_repair(d, UINT_MAX, &v, &count);
		cr_assert(!v.by_check, "%s: is not repaired: %s", then, v.why);
		assert_sound(d, then);
		disk_free(d);
		if (whole)
			break;
		cr_assert_lt(calls, 100);
	}
}

Test(rot, what_is_derived_is_repaired, .timeout = 600)
{
	char when[100];
	size_t len;

	rot_make(ROT_APPENDS, false, 0, NULL);
	for (int n = 0; n < rot.regions; n++) {
		const struct rot_region *g = &rot.region[n];
		if (g->kind != ROT_HEAD && g->kind != ROT_INDEX && g->kind != ROT_CHECKPOINT)
			continue;
		for (size_t at = g->from; at < g->to; at += rot_long() ? 1 : (g->to - g->from) / 16 + 1) {
			struct disk *d = memory_disk_copy(rot.sound);
			memory_disk_get(d, rot.file[g->file], &len)[at] ^= 0x81;
			snprintf(when, sizeof when, "byte %zu of %s", at, rot.file[g->file]);
			if (at == g->from)
				repair_killed(d, when);
			repair(d, when);
			disk_free(d);
		}
	}
	rot_print("repairs of flipped bytes");
	rot_free();
}

Test(rot, a_store_without_anything_derived_is_repaired_from_its_records, .timeout = 600)
{
	struct disk *d;
	size_t len;

	rot_make(ROT_APPENDS, false, 0, NULL);
	d = memory_disk_copy(rot.sound);
	for (int n = 0; n < rot.files; n++) {
		uint8_t *bytes = memory_disk_get(d, rot.file[n], &len);
		if (is_segment(rot.file[n]))
			memset(bytes, 0xff, SEGMENT_HEADER);
		else if (!strncmp(rot.file[n], "checkpoint/", 11) || strstr(rot.file[n], ".index"))
			memset(bytes, 0xff, len);
	}
	repair_killed(d, "all that is derived is damaged");
	repair(d, "all that is derived is damaged");
	disk_free(d);
	rot_free();
}

Test(rot, leftovers_are_removed)
{
	struct disk *d;
	size_t len;

	rot_make(ROT_APPENDS, false, 0, NULL);
	d = memory_disk_copy(rot.sound);
	memory_disk_put(d, "id.new", "x", 1);
	memory_disk_put(d, "log/filling", NULL, 5000);
	memory_disk_put(d, "log/0000000000000000.index.new", "x", 1);
	memory_disk_put(d, "log/0000000000000001.index", "x", 1);
	memory_disk_put(d, "checkpoint/0000000000000001.new", "x", 1);
	repair_killed(d, "leftovers");
	repair(d, "leftovers");
	cr_assert_null(memory_disk_get(d, "log/filling", &len));
	cr_assert_null(memory_disk_get(d, "log/0000000000000001.index", &len));
	disk_free(d);
	rot_free();
}

Test(rot, a_sound_store_is_left_alone)
{
	unsigned count;

	for (int crashed = 0; crashed < 2; crashed++) {
		rot_make(ROT_APPENDS, crashed, 0, NULL);
		struct disk *d = memory_disk_copy(rot.sound);
		cr_assert_eq(rot_repair(d, 0, &v, &count), 0);
		cr_assert_eq(count, 0, "%s", v.what);
		cr_assert(!v.by_check);
		disk_free(d);
		rot_free();
	}
}

/* Bytes of records stay as they are, and are still told of; what is derived beside them is made again. */
Test(rot, a_damaged_record_is_kept_as_it_is, .timeout = 600)
{
	char when[100];
	unsigned count;
	size_t len;

	rot_make(ROT_APPENDS, false, 0, NULL);
	for (int n = 0; n < rot.regions; n++) {
		const struct rot_region *g = &rot.region[n];
		if (g->kind != ROT_RECORD || g->to - g->from < 2)
			continue;
		struct disk *d = memory_disk_copy(rot.sound), *before;
		memory_disk_get(d, rot.file[g->file], &len)[g->from + 1] ^= 4;
		for (int k = 0; k < rot.files; k++)
			if (strstr(rot.file[k], ".index"))
				memory_disk_get(d, rot.file[k], &len)[5000] ^= 4;
		before = memory_disk_copy(d);
		snprintf(when, sizeof when, "byte %zu of %s, and the indexes", g->from + 1, rot.file[g->file]);
		cr_assert_eq(rot_repair(d, UINT_MAX, &v, &count), 0);
		cr_assert_gt(count, 0, "%s: the indexes were not repaired", when);
		cr_assert(v.by_check, "%s: the record was taken for repaired", when);
		assert_records_left_alone(d, before, when);
		rot_judge(d, ROT_LOOK, &v);
		cr_assert(!v.wrong && !v.refused, "%s: %s", when, v.what);
		for (int k = 0; k < rot.records; k++)
			cr_assert(!v.lost[k] || k == g->record, "%s: record %d is lost", when, k);
		disk_free(before);
		disk_free(d);
	}
	rot_free();
}

/* An index proves that its segment is committed to the end, which nobody knows of the last one. */
Test(rot, an_index_beside_the_last_segment_is_removed_and_not_made)
{
	char path[40] = "";
	struct disk *d;
	size_t len;

	rot_make(ROT_APPENDS, true, 0, NULL);
	d = memory_disk_copy(rot.sound);
	for (int n = 0; n < rot.files; n++)
		if (is_segment(rot.file[n]) && strcmp(rot.file[n], path) > 0)
			strcpy(path, rot.file[n]);
	strcat(path, ".index");
	memory_disk_put(d, path, "no index", 8);
	repair_killed(d, path);
	repair(d, path);
	cr_assert_null(memory_disk_get(d, path, &len));
	disk_free(d);
	rot_free();
}

static void flip_second(struct disk *d, const struct rot_region *g)
{
	size_t len;

	memory_disk_get(d, rot.file[g->file], &len)[g->from + 1] ^= 1;
}

/* A checkpoint made without a record would hide it when it comes back. */
Test(rot, no_checkpoint_is_made_from_a_damaged_log)
{
	const struct rot_region *record = NULL;
	unsigned count;
	struct disk *d;
	size_t len;

	rot_make(ROT_APPENDS, false, 0, NULL);
	d = memory_disk_copy(rot.sound);
	for (int n = 0; n < rot.regions; n++) {
		if (rot.region[n].kind == ROT_CHECKPOINT)
			flip_second(d, &rot.region[n]);
		else if (rot.region[n].kind == ROT_RECORD && !rot.record[rot.region[n].record].messages && rot.record[rot.region[n].record].pos > 1000)
			record = &rot.region[n];
	}
	flip_second(d, record);
	cr_assert_eq(rot_repair(d, UINT_MAX, &v, &count), 0);
	cr_assert(v.by_check);
	for (int n = 0; n < rot.files; n++)
		if (!strncmp(rot.file[n], "checkpoint/", 11))
			cr_assert(memory_disk_get(d, rot.file[n], &len), "%s is gone", rot.file[n]);
	flip_second(d, record);
	repair(d, "a record that came back");
	disk_free(d);
	rot_free();
}
