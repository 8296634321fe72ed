/* SPDX-License-Identifier: Apache-2.0 */
/* A spoilt store is opened, and all that can read it does. */
#include "check.h"
#include "merge.h"
#include "parts.h"
#include "reader.h"
#include "rot.h"
#include "scrub.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (64u << 10)

/* check_store() opens the disk that the test has at hand, and does not free it. */
static struct disk *opened;
int __wrap_disk_open_directory(struct disk **d, const char *path);

int __wrap_disk_open_directory(struct disk **d, const char *path)
{
	(void)path;
	*d = opened;
	return 0;
}

/* A disk that stays when it is freed, and takes no more changes after some. */
static struct {
	struct disk_ops ops;
	const struct disk_ops *under;
	unsigned left;
} frail;

static bool dead(void)
{
	if (!frail.left)
		return true;
	frail.left--;
	return false;
}

static ssize_t frail_pwritev(struct disk *d, int fd, const struct iovec *iov, int n, uint64_t at)
{
	return dead() ? -EIO : frail.under->pwritev(d, fd, iov, n, at);
}

static int frail_rename(struct disk *d, const char *from, const char *to)
{
	return dead() ? -EIO : frail.under->rename(d, from, to);
}

static int frail_unlink(struct disk *d, const char *path)
{
	return dead() ? -EIO : frail.under->unlink(d, path);
}

static int frail_truncate(struct disk *d, int fd, uint64_t len)
{
	return dead() ? -EIO : frail.under->truncate(d, fd, len);
}

static int frail_open(struct disk *d, const char *path, int flags, mode_t mode)
{
	return flags & O_CREAT && dead() ? -EIO : frail.under->open(d, path, flags, mode);
}

static void frail_free(struct disk *d)
{
	(void)d;
}

static void make_frail(struct disk *d, unsigned calls)
{
	frail.under = d->ops;
	frail.ops = *d->ops;
	frail.ops.pwritev = frail_pwritev;
	frail.ops.rename = frail_rename;
	frail.ops.unlink = frail_unlink;
	frail.ops.truncate = frail_truncate;
	frail.ops.open = frail_open;
	frail.ops.free = frail_free;
	frail.left = calls;
	d->ops = &frail.ops;
}

static void wrong(struct rot_verdict *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void wrong(struct rot_verdict *v, const char *format, ...)
{
	va_list args;

	if (v->wrong)
		return;
	v->wrong = true;
	va_start(args, format);
	vsnprintf(v->what, sizeof v->what, format, args);
	va_end(args);
}

/* The record of messages that has this byte, or NULL: nobody wrote one there. */
static const struct rot_record *record_of(int topic, uint32_t queue, uint64_t offset)
{
	for (int n = 0; n < rot.records; n++) {
		const struct rot_record *r = &rot.record[n];
		if (r->messages && r->topic == topic && r->queue == queue && offset >= r->offset && offset < r->offset + r->length)
			return r;
	}
	return NULL;
}

/* N bytes at OFFSET must be those that were written; GOT notes which records were given whole. */
static void compare(struct rot_verdict *v, int topic, uint32_t queue, uint64_t offset, const uint8_t *bytes, size_t n, bool *got)
{
	while (n && !v->wrong) {
		const struct rot_record *r = record_of(topic, queue, offset);
		uint64_t into = r ? offset - r->offset : 0;
		size_t some = r && r->length - into < n ? r->length - into : n;

		if (!r || memcmp(bytes, r->bytes + into, some) != 0) {
			wrong(v, "topic %d queue %u at offset %llu", topic, queue, (unsigned long long)offset);
			return;
		}
		if (into + some == r->length)
			got[r - rot.record] = true;
		bytes += some;
		offset += some;
		n -= some;
	}
}

/* Where a read goes on that has failed at FROM, as the mount's do. */
static uint64_t behind(struct rot_verdict *v, struct queue *q, struct reader *r, uint64_t from, ssize_t err)
{
	uint64_t next = from;

	if (err == -EIO)
		next = reader_behind(r);
	else if (err == -ENODATA && q->head > from)
		next = q->head;
	else
		wrong(v, "a read fails with %zd", err);
	if (next <= from)
		wrong(v, "a read behind damage gets nowhere");
	return next > from ? next : UINT64_MAX;
}

/* From FROM on, passing over damage as a program does that asks where it ends. */
static void read_on(struct rot_verdict *v, struct store *s, int topic, uint32_t q, uint64_t from, bool once, bool *got)
{
	static uint8_t bytes[PIECE];
	struct topic *t = topic_find(s, topic ? "writes" : "lines");
	struct queue *queue = t ? topic_queue(t, q) : NULL;
	struct reader *r;
	struct slice slice;

	if (queue) {
		cr_assert_eq(reader_new(&r, s, queue), 0);
		for (int i = 0; i < 2 * ROT_RECORDS && from < queue->committed; i++) {
			slice_init(&slice);
			ssize_t n = reader_read(r, from, once ? 1000 : PIECE, &slice);
			if (n > 0 && slice_copy(&slice, bytes) == 0)
				compare(v, topic, q, from, bytes, (size_t)n, got);
			slice_free(&slice);
			from = n > 0 ? from + (uint64_t)n : behind(v, queue, r, from, n);
			if (once)
				break;
		}
		reader_free(r);
	}
	topic_put(t);
}

/* Each queue to its end, then each record by itself, by a reader that knows nothing yet. */
static void read_queues(struct rot_verdict *v, struct store *s)
{
	static bool got[ROT_RECORDS];

	memset(got, 0, sizeof got);
	for (int q = 0; q < 3; q++)
		read_on(v, s, q == 2, q % 2, 0, false, got);
	for (int n = 0; n < rot.records; n++) {
		const struct rot_record *r = &rot.record[n];
		v->lost[n] = r->messages && !got[n];
		v->missing += v->lost[n];
	}
	memset(got, 0, sizeof got);
	for (int n = 0; n < rot.records; n++) {
		const struct rot_record *r = &rot.record[n];
		if (!r->messages)
			continue;
		read_on(v, s, r->topic, r->queue, r->offset + r->length / 2, true, got);
		if (r->length < 1000 && got[n] == v->lost[n])
			wrong(v, "record %d is %s by itself", n, got[n] ? "readable" : "not readable");
	}
}

/* A topic's records, whole and in log order, but for those that are lost. */
static void read_merged(struct rot_verdict *v, struct store *s, int topic)
{
	static uint8_t bytes[PIECE];
	struct topic *t = topic_find(s, topic ? "writes" : "lines");
	int n = 0, errors = 0;
	struct merge *m;

	if (!t)
		return;
	cr_assert_eq(merge_new(&m, s, t, 0), 0);
	for (;;) {
		struct slice slice;
		slice_init(&slice);
		ssize_t len = merge_read(m, PIECE, &slice);
		if (len > 0 && slice_copy(&slice, bytes))
			wrong(v, "merged bytes cannot be copied");
		slice_free(&slice);
		if (len == 0 || v->wrong || errors > ROT_RECORDS)
			break;
		errors += len < 0;
		for (uint64_t at = 0; len > 0 && at < (uint64_t)len && !v->wrong;) {
			while (n < rot.records && (!rot.record[n].messages || rot.record[n].topic != topic || v->lost[n]))
				n++;
			if (n == rot.records || rot.record[n].length > (uint64_t)len - at || memcmp(bytes + at, rot.record[n].bytes, rot.record[n].length))
				wrong(v, "the merge gives something else as record %d", n);
			else
				at += rot.record[n++].length;
		}
	}
	while (n < rot.records && (!rot.record[n].messages || rot.record[n].topic != topic || v->lost[n]))
		n++;
	if (n < rot.records && !v->wrong)
		wrong(v, "the merge ends before record %d", n);
	merge_free(m);
	topic_put(t);
}

static void scrub_it(struct rot_verdict *v, struct store *s)
{
	struct scrub_status st;
	struct scrub *c;
	int err;

	cr_assert_eq(scrub_new(&c, s), 0);
	while ((err = scrub_step(c, PIECE)) > 0)
		;
	if (err)
		wrong(v, "the scrub fails with %d", err);
	scrub_status(c, &st);
	v->by_scrub = st.found > 0;
	scrub_free(c);
}

static void found(void *ctx, bool damage, const char *where, const char *what)
{
	struct rot_verdict *v = ctx;

	if (damage && !v->by_check)
		snprintf(v->why, sizeof v->why, "%.80s: %.150s", where, what);
	v->by_check |= damage;
	v->noted |= !damage;
}

int rot_check(struct disk *d, struct rot_verdict *v)
{
	struct check_calls calls = {.found = found, .ctx = v};
	struct check_totals totals;
	char why[STORE_WHY] = "";
	int err;

	opened = d;
	make_frail(d, UINT_MAX);
	v->by_check = v->noted = false;
	err = check_store("rot", &calls, &totals, why, sizeof why);
	d->ops = frail.under;
	if (err && !why[0])
		wrong(v, "check fails without a reason");
	rot.committed = rot.committed ? rot.committed : totals.committed;
	return err;
}

static void repaired(void *ctx, const char *where, const char *what)
{
	struct rot_verdict *v = ctx;

	snprintf(v->what, sizeof v->what, "%.80s: %.150s", where, what);
}

int rot_repair(struct disk *d, unsigned calls, struct rot_verdict *v, unsigned *count)
{
	struct check_calls told = {.found = found, .repaired = repaired, .ctx = v};
	struct check_totals totals;
	char why[STORE_WHY];
	int err;

	memset(v, 0, sizeof *v);
	opened = d;
	make_frail(d, calls);
	err = repair_store("rot", &told, &totals, why, sizeof why);
	d->ops = frail.under;
	*count = (unsigned)totals.repaired;
	return err;
}

void rot_judge(struct disk *d, enum rot_how how, struct rot_verdict *v)
{
	struct store_options options = rot.options;
	struct store_status st;
	struct store *s;

	memset(v, 0, sizeof *v);
	options.read_only = how == ROT_LOOK;
	if (store_open_disk(&s, memory_disk_copy(d), "rot", &options, v->refusal)) {
		v->refused = true;
		if (!v->refusal[0])
			wrong(v, "refused without a reason");
	} else {
		v->by_start = s->damaged > 0;
		v->shown = how == ROT_LOOK ? store_committed(s) : UINT64_MAX;
		read_queues(v, s);
		v->by_reads = s->damaged > 0;
		for (int topic = 0; topic < 2; topic++)
			read_merged(v, s, topic);
		scrub_it(v, s);
		store_status(s, &st);
		v->lost_files = st.lost_files;
		store_stop(s);
		store_close(s);
	}
	if (how == ROT_LOOK)
		v->by_check = rot_check(d, v) != 0 || v->by_check;
}
