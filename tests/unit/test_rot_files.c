/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files of a store that are cut short, gone, swapped, or another store's. The rule is that of test_rot.c. */
#include "parts.h"
#include "rot.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rot_verdict v;
static bool may_miss[ROT_RECORDS];     /* records that the accident has taken */

static bool is_segment(const char *path)
{
	return strlen(path) == 20 && !strncmp(path, "log/", 4);
}

static bool matters(const char *path)
{
	return !strncmp(path, "log/0", 5) || !strncmp(path, "checkpoint/", 11) || !strcmp(path, "id");
}

/* All that PATH has from byte FROM on. */
static void take_records(const char *path, size_t from)
{
	uint64_t base = is_segment(path) ? strtoull(path + 4, NULL, 16) : UINT64_MAX;

	for (int n = 0; n < rot.records; n++) {
		const struct rot_record *r = &rot.record[n];
		if (r->base == base && SEGMENT_HEADER + r->pos - base + RECORD_HEADER + r->length > from)
			may_miss[n] = true;
	}
}

static bool takes_any(void)
{
	for (int n = 0; n < rot.records; n++)
		if (may_miss[n])
			return true;
	return false;
}

static void assert_others_there(enum rot_how how, const char *when)
{
	cr_assert(!v.wrong, "%s: %s", when, v.what);
	for (int n = 0; n < rot.records; n++)
		cr_assert(!v.lost[n] || may_miss[n] || (how == ROT_LOOK && rot.record[n].pos >= v.shown),
			"%s%s: record %d at position %llu is lost", when, how == ROT_START ? ", started" : "", n, (unsigned long long)rot.record[n].pos);
}

/* D has had an accident. TOLD: it must be found. */
static void judge(struct disk *d, const char *name, const char *when, bool told)
{
	for (enum rot_how how = ROT_LOOK; how <= ROT_START; how++) {
		rot_judge(d, how, &v);
		rot_count(name, &v);
		if (!v.refused) {
			assert_others_there(how, when);
			cr_assert(!v.missing || v.by_reads || how == ROT_LOOK, "%s: messages are missing, and no read says so", when);
			cr_assert(!takes_any() || v.by_scrub || v.by_start, "%s: not found by the scrub", when);
			cr_assert_leq(v.lost_files, 1, "%s: something committed was cut", when);
		}
		if (how == ROT_LOOK)
			cr_assert(!told || v.by_check || v.noted, "%s: not found by check", when);
	}
	memset(may_miss, 0, sizeof may_miss);
}

static void cut(const char *path, size_t len, bool told)
{
	struct disk *d = memory_disk_copy(rot.sound);
	uint8_t *bytes;
	char when[100];
	size_t all;

	bytes = memory_disk_get(rot.sound, path, &all);
	memory_disk_put(d, path, bytes, len);
	snprintf(when, sizeof when, "%s cut to %zu", path, len);
	take_records(path, len);
	judge(d, is_segment(path) ? "segment cut short" : "other file cut short", when, told || takes_any());
	disk_free(d);
}

Test(rot, no_file_cut_short_costs_more_than_what_was_cut, .timeout = 600)
{
	rot_make(ROT_APPENDS, false, 0, NULL);
	for (int n = 0; n < rot.regions; n++) {
		const struct rot_region *g = &rot.region[n];
		const char *path = rot.file[g->file];
		size_t step = (g->to - g->from) / (rot_long() ? 4000 : 6) + 1;
		if (g->kind == ROT_HARMLESS && !is_segment(path))
			continue;
		for (size_t at = g->from; at < g->to; at += step)
			cut(path, at, !is_segment(path) || at < 72);
		for (int by = -1; by <= 1; by++)
			if (g->to + (size_t)by > g->from && g->kind == ROT_RECORD)
				cut(path, g->to + (size_t)by, false);
	}
	rot_print("files cut short");
	rot_free();
}

/* What a copy of before has there, or a disk that lost writes. */
Test(rot, records_that_turned_to_zeros_are_missed, .timeout = 600)
{
	size_t len;

	rot_make(ROT_APPENDS, false, 0, NULL);
	for (int n = 0; n < rot.regions; n++) {
		const struct rot_region *g = &rot.region[n];
		struct disk *d;
		char when[100];
		if (g->kind != ROT_RECORD)
			continue;
		d = memory_disk_copy(rot.sound);
		uint8_t *bytes = memory_disk_get(d, rot.file[g->file], &len);
		memset(bytes + g->from, 0, len - g->from);
		snprintf(when, sizeof when, "%s zeros from %zu on", rot.file[g->file], g->from);
		take_records(rot.file[g->file], g->from);
		judge(d, "segment's end turned to zeros", when, true);
		disk_free(d);
	}
	rot_print("zeros");
	rot_free();
}

static void remove_file(struct disk *d, const char *path)
{
	cr_assert_eq(disk_unlink(d, path), 0);
}

Test(rot, a_file_that_is_gone_costs_no_more_than_it_had, .timeout = 600)
{
	char when[100];

	rot_make(ROT_APPENDS, false, 0, NULL);
	for (int n = 0; n < rot.files; n++) {
		const char *path = rot.file[n];
		struct disk *d = memory_disk_copy(rot.sound);
		remove_file(d, path);
		take_records(path, 0);
		snprintf(when, sizeof when, "%s removed", path);
		/* Without a checkpoint the log, which is whole, is read instead. */
		judge(d, matters(path) ? "file removed" : "file without meaning removed", when, matters(path) && strncmp(path, "checkpoint", 10));
		disk_free(d);
	}
	rot_print("files removed");
	rot_free();
}

static void swap(struct disk *d, const char *one, const char *other)
{
	cr_assert_eq(disk_rename(d, one, "log/between"), 0);
	cr_assert_eq(disk_rename(d, other, one), 0);
	cr_assert_eq(disk_rename(d, "log/between", other), 0);
}

Test(rot, swapped_files_are_no_others_place, .timeout = 600)
{
	char when[100];

	rot_make(ROT_APPENDS, false, 0, NULL);
	for (int a = 0; a < rot.files; a++) {
		for (int b = a + 1; b < rot.files; b++) {
			if (!matters(rot.file[a]) || !matters(rot.file[b]))
				continue;
			struct disk *d = memory_disk_copy(rot.sound);
			swap(d, rot.file[a], rot.file[b]);
			take_records(rot.file[a], 0);
			take_records(rot.file[b], 0);
			snprintf(when, sizeof when, "%s and %s swapped", rot.file[a], rot.file[b]);
			judge(d, "files swapped", when, true);
			disk_free(d);
		}
	}
	rot_print("files swapped");
	rot_free();
}

/* The store, with each of its files in turn that of OTHER. */
static void replace_each(struct disk *other, const char *name)
{
	char when[100];

	for (int n = 0; n < rot.files; n++) {
		const char *path = rot.file[n];
		size_t len, own_len;
		const uint8_t *own = memory_disk_get(rot.sound, path, &own_len), *bytes = memory_disk_get(other, path, &len);
		struct disk *d;
		if (!bytes || !matters(path) || (len == own_len && !memcmp(own, bytes, len)))
			continue;
		d = memory_disk_copy(rot.sound);
		memory_disk_put(d, path, bytes, len);
		take_records(path, 0);
		snprintf(when, sizeof when, "%s of %s", path, name);
		judge(d, name, when, true);
		disk_free(d);
	}
}

Test(rot, a_file_of_another_store_is_not_taken_for_ours, .timeout = 600)
{
	struct disk *other;

	rot_make(ROT_APPENDS, false, 1, NULL);
	other = memory_disk_copy(rot.sound);
	rot_free();
	rot_make(ROT_APPENDS, false, 0, NULL);
	replace_each(other, "another cluster's file");
	rot_print("files of another store");
	disk_free(other);
	rot_free();
}

/*
 * Two logs of one cluster have the same secret, so where they have parted, a record of the other one is valid by itself. What shows it is the
 * chain, which the start, the scrub and check follow.
 */
Test(rot, a_segment_of_the_clusters_other_log_is_found_by_the_chain, .timeout = 600)
{
	struct disk *other, *first;

	rot_make(ROT_APPENDS, false, 0, NULL);
	first = memory_disk_copy(rot.sound);
	rot_free();
	rot_make(ROT_APPENDS, false, 1, first);
	other = memory_disk_copy(rot.sound);
	rot_free();
	rot_make(ROT_APPENDS, false, 0, first);
	for (int n = 0; n < rot.files; n++) {
		size_t len;
		const uint8_t *bytes = memory_disk_get(other, rot.file[n], &len);
		if (!bytes || !is_segment(rot.file[n]))
			continue;
		struct disk *d = memory_disk_copy(rot.sound);
		memory_disk_put(d, rot.file[n], bytes, len);
		rot_judge(d, ROT_LOOK, &v);
		cr_assert(v.by_check, "%s: not found by check", rot.file[n]);
		cr_assert(v.by_scrub || v.refused, "%s: not found by the scrub", rot.file[n]);
		disk_free(d);
	}
	disk_free(first);
	disk_free(other);
	rot_free();
}
