/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose records have rotted gets them from elsewhere: whatever fails on the way, and whenever the power goes, what was sound
 * is as it was, what has rotted is right or still damaged, and the next repair puts all of it right.
 */
#include "fault_story.h"
#include "powercut.h"
#include "repair.h"
#include "scratch.h"
#include "seal.h"
#include "spans.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROTTEN 4

/* The log from position 0 on, as it was. */
static uint8_t *whole;
static uint64_t whole_end;

static struct {
	uint64_t pos, end, base;
} rotten[ROTTEN];
static uint64_t repaired;              /* of them, as the store says */
static const bool in_header[ROTTEN] = {true, false, true, false};

static void read_log(void)
{
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	ssize_t n;

	whole_end = 0;
	whole = realloc(whole, log_end(store->log));
	cr_assert_eq(store_raw(store, 0, &raw), 0);
	while ((n = raw_read(raw, log_end(store->log), &bytes, &base)) > 0) {
		memcpy(whole + whole_end, bytes, (size_t)n);
		whole_end += (uint64_t)n;
	}
	cr_assert_eq(n, 0);
	raw_close(raw);
}

/* At or behind POS, a record of messages that stands behind one of another queue, so that something has to know of it. */
static uint64_t choose(int which, uint64_t pos)
{
	struct record r = {0};
	struct segment *s;
	uint64_t before;

	do {
		before = r.type == RECORD_MESSAGES ? r.queue : 0;
		cr_assert_eq(record_decode(&r, store_identity(store)->secret, whole + pos, pos), 0);
		pos += record_size(r.length);
	} while (r.type != RECORD_MESSAGES || !before || r.queue == before);
	rotten[which].pos = r.pos;
	rotten[which].end = pos;
	s = segments_find(store->segments, r.pos);
	rotten[which].base = s->head.base;
	segment_put(s);
	return pos;
}

static void rot(const char *in, int which)
{
	uint64_t at = SEGMENT_HEADER + rotten[which].pos - rotten[which].base + (in_header[which] ? 20 : RECORD_HEADER + 20);
	char name[32], path[160];
	int fd;

	segment_name(name, rotten[which].base);
	snprintf(path, sizeof path, "%s/%s", in, name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || pwrite(fd, "rotten", 6, (off_t)at) != 6)
		abort();
	close(fd);
}

/* Two in the first segment, whose index has gone as well and will be made of what is left, and two in the one that the log goes on in. */
void make_rotten(const char *to)
{
	char name[40], path[160];
	uint64_t active;

	cr_assert(work_begin());
	work_topics();
	for (int n = 0; n < 16; n++) {
		work_append_wait(n % TOPICS);
		if (n < 10)
			work_keep();
	}
	read_log();
	active = log_active(store->log);
	choose(1, choose(0, 0));
	choose(3, choose(2, active));
	cr_assert(rotten[0].base == 0 && rotten[1].base == 0 && rotten[3].base == active && active > 0);
	work_close();
	scratch_copy(scratch_path, to);
	for (int n = 0; n < ROTTEN; n++)
		rot(to, n);
	segment_index_name(name, 0);
	snprintf(path, sizeof path, "%s/%s", to, name);
	if (unlink(path))
		abort();
	did.rotten = ROTTEN + 1;
}

static void repair_span(const struct span *span)
{
	uint8_t *bytes = malloc(span->to - span->from);
	int err;

	memcpy(bytes, whole + span->from, span->to - span->from);
	err = store_repair(store, span, bytes);
	if (err) {
		cr_assert(err != -EBADMSG && err != -EBUSY, "%d", err);
		free(bytes);
	}
	repair_write(store);
}

/* What another node and the keeper would do, twice where something fails. */
static void repair_all(void)
{
	uint64_t from = 0;
	struct span span;

	while (seal_rebuild(store, &from) > 0)
		;
	for (int n = 0; n < ROTTEN; n++)
		store_damaged(store, DAMAGE_RECORD, rotten[n].pos, "a record");
	for (int round = 0; round < 2; round++) {
		spans_find(store);
		for (uint64_t pos = 0; store_damaged_span(store, pos, &span); pos = span.to)
			repair_span(&span);
	}
}

void rotten_run(void)
{
	repaired = 0;
	if (!work_begin())
		return;
	repair_all();
	repaired = store->repair.records;
	work_finish();
}

static bool is_rotten(uint64_t pos)
{
	for (int n = 0; n < ROTTEN; n++)
		if (pos >= rotten[n].pos && pos < rotten[n].end)
			return true;
	return false;
}

/* Record by record: right; or, of those that had rotted, not valid. */
static void check_log(const char *when, bool all)
{
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	struct record r;

	for (uint64_t pos = 0; pos < whole_end; pos += record_size(r.length)) {
		size_t size;

		cr_assert_eq(record_decode(&r, store_identity(store)->secret, whole + pos, pos), 0);
		size = record_size(r.length);
		cr_assert_eq(store_raw(store, pos, &raw), 0);
		ssize_t n = raw_read(raw, pos + size, &bytes, &base);
		cr_assert(n == (ssize_t)size || (n == -EBADMSG && !all && is_rotten(pos)), "%s: %zd at position %lu", when, n, pos);
		if (n > 0)
			cr_assert(!memcmp(bytes, whole + pos, size), "%s: other bytes at position %lu", when, pos);
		raw_close(raw);
	}
}

/* As work_check(), but that what has rotted may still be so. */
static void check_again(const char *path, const char *when)
{
	int err;

	work_said[0] = 0;
	err = work_open(path);
	cr_assert_eq(err, 0, "%s: it does not open: %s", when, work_said);
	cr_assert(!store->read_only && store->damaged <= did.rotten, "%s: %s", when, work_said);
	check_log(when, repaired == ROTTEN);
	repair_all();
	cr_assert_eq(damage_open(store), 0, "%s: not all is repaired: %s", when, work_said);
	check_log(when, true);
	work_check_topics(when);
	work_close();
	/* The indexes as well know of all. */
	cr_assert_eq(work_open(path), 0, "%s: %s", when, work_said);
	cr_assert_eq(store->damaged, 0, "%s: %s", when, work_said);
	work_check_topics(when);
	work_close();
}

void rotten_check(const char *when)
{
	static const enum cut cuts[] = {CUT_LEAST, CUT_SOME_PAGES};
	char left[80], after[200];
	struct done before;

	work_check_end(when);
	before = did;
	work_sound = true;
	for (size_t n = 0; n < sizeof cuts / sizeof *cuts; n++) {
		snprintf(left, sizeof left, "%s-left", scratch_path);
		powercut_copy(left, cuts[n]);
		snprintf(after, sizeof after, "%s, then power cut %zu", when, n);
		check_again(left, after);
		scratch_remove(left);
		did = before;
	}
	work_sound = false;
	check_again(scratch_path, when);
}
