/* SPDX-License-Identifier: Apache-2.0 */
#include "dump.h"
#include "damage.h"
#include "disk.h"
#include "identity.h"
#include "make.h"
#include "index.h"
#include "parting.h"
#include "parts.h"
#include "scan.h"
#include "segment.h"
#include "store.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_STEP (4u << 20)   /* bytes */
#define RUNNING_TRIES 5            /* a running store may take files away between looking and reading */

const struct dump_query dump_all = {.queue = -1, .since = INT64_MIN, .committed = UINT64_MAX};

struct dump {
	const struct dump_query *query;
	const struct dump_calls *calls;
	struct disk *disk;
	struct identity id;
	struct store *store;          /* open for reading: what topics there are. NULL: it could not be opened */
	uint64_t topic;               /* id, when the query has one */
	uint64_t proved;              /* position that the files prove committed */
	uint64_t queue;               /* id, when the query has one; else 0 */
	char name[TOPIC_NAME_MAX + 1];
	uint64_t name_id;             /* of the topic that NAME is of */
	const char *unnamed;          /* why that has none */
	struct parting parting;       /* of the file in lost/ */
	uint64_t end;                 /* position up to which the log is there, as far as the files were looked at */
	bool gone;                    /* the file was removed meanwhile */
	uint64_t first, last;         /* positions, for progress */
	uint64_t shown;
	bool torn;                    /* the torn tail was reached */
};

static void tell_damage(struct dump *d, const char *file, uint64_t pos, const char *format, ...) __attribute__((format(printf, 4, 5)));

static void tell_damage(struct dump *d, const char *file, uint64_t pos, const char *format, ...)
{
	char where[128], what[128];
	va_list args;

	snprintf(where, sizeof where, "%s at position %" PRIu64, file, pos);
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	d->calls->damaged(d->calls->ctx, where, what);
}

/* Why T, which the store has under an id, gives no name to that; NULL: it does. */
static const char *why_unnamed(const struct dump *d, const struct topic *t)
{
	if (!d->store)
		return "what topics there are cannot be read";
	if (!t)
		return "the topic is not there any more, or never was there";
	if (!d->query->lost || parting_had(&d->parting, t))
		return NULL;
	return d->parting.known ? "the topic that has this id now was made behind where the logs part" :
		"where the logs part cannot be found, so the topic that has this id may be another one";
}

/* The name of the topic with ID, which records in a row mostly share. */
static const char *topic_name(struct dump *d, uint64_t id)
{
	if (id != d->name_id) {
		struct topic *t = d->store ? topic_by_id(d->store, id) : NULL;
		d->name_id = id;
		d->unnamed = why_unnamed(d, t);
		if (!d->unnamed)
			memcpy(d->name, t->name, sizeof d->name);
		topic_put(t);
	}
	return d->unnamed ? NULL : d->name;
}

static bool wanted(const struct dump *d, const struct record *r)
{
	const struct dump_query *q = d->query;

	if (r->time < q->since || r->pos < q->from)
		return false;
	if (!q->topic)
		return true;
	if (r->type != RECORD_MESSAGES || r->queue >> QUEUE_BITS != d->topic)
		return false;
	return !d->queue || (r->queue == d->queue && r->offset + r->length > q->offset);
}

static int give(struct dump *d, const char *file, const struct record *r, const void *body, bool valid)
{
	const char *topic;

	if (!wanted(d, r))
		return 0;
	if (!valid) {
		tell_damage(d, file, r->pos, "the record's body is damaged: %u bytes of offset %" PRIu64, r->length, r->offset);
		return 0;
	}
	topic = r->type == RECORD_MESSAGES ? topic_name(d, r->queue >> QUEUE_BITS) : NULL;
	if (r->type == RECORD_MESSAGES && !topic && d->query->lost && d->calls->unnamed)
		d->calls->unnamed(d->calls->ctx, d->unnamed);
	return d->calls->record(d->calls->ctx, r, topic, body);
}

static void show_progress(struct dump *d, uint64_t pos)
{
	if (!d->calls->progress || pos < d->shown + PROGRESS_STEP)
		return;
	d->shown = pos;
	d->calls->progress(d->calls->ctx, pos - d->first, d->last > pos ? d->last - d->first : pos - d->first);
}

/* Damage at POS: is it the torn tail of a store that was not stopped properly? What is behind that was never there. Of a store that does
 * not open nobody knows what it proves. */
static bool torn_at(const struct dump *d, uint64_t pos)
{
	return d->store && !d->query->lost && pos >= d->proved && d->query->committed == UINT64_MAX;
}

/* Everything in S, which reads FILE. A file that is gone by now was removed, and is somebody else's room by now. */
static int dump_scan(struct dump *d, struct scan *s, const char *file)
{
	const void *body;
	struct record r;
	struct stat st;
	int err = 0;

	while (!err && !d->torn) {
		enum scan_found found;
		err = scan_next(s, &r, &body, &found);
		if (err == -EIO && scan_pos(s) < scan_file_end(s)) {
			tell_damage(d, file, scan_pos(s), "%s", strerror(EIO));
			scan_pass_unreadable(s);
			err = 0;
			continue;
		}
		if (err)
			break;
		d->end = scan_pos(s);
		d->gone = found != SCAN_RECORD && disk_stat(d->disk, file, &st) == -ENOENT;
		if (found == SCAN_END || d->gone)
			break;
		if (found != SCAN_RECORD && torn_at(d, scan_begin(s)))
			d->torn = true;
		else if (found == SCAN_DAMAGED)
			tell_damage(d, file, scan_begin(s), "no valid record for %" PRIu64 " bytes", scan_pos(s) - scan_begin(s));
		else
			err = give(d, file, &r, body, found == SCAN_RECORD);
		show_progress(d, scan_pos(s));
	}
	return err;
}

/* By the segment's index, where there is one: false when nothing in it is wanted, else *POS is where the first of it may be. */
static bool look_up(struct dump *d, uint64_t base, uint64_t *pos)
{
	struct run_batch *batch = NULL;
	struct index_queue q;
	struct index *index;
	bool wants = true;
	int err;

	*pos = base;
	if (index_open(d->disk, d->id.secret, base, &index))
		return true;
	d->end = index_end(index);
	if (index_last_time(index) < d->query->since) {
		wants = false;
	} else if (d->queue) {
		err = index_find(index, d->queue, &q);
		wants = !(err == -ENOENT || (!err && q.end <= d->query->offset));
		batch = wants && !err ? malloc(sizeof *batch) : NULL;
		if (batch && index_from_offset(index, d->queue, d->query->offset, batch) == 0 && batch->count)
			*pos = batch->run[0].pos;
	}
	free(batch);
	index_close(index);
	return wants;
}

static int dump_segment(struct dump *d, uint64_t base, uint64_t limit)
{
	struct scan *s;
	char path[32];
	uint64_t pos;
	int err;

	if (!look_up(d, base, &pos))
		return 0;
	segment_name(path, base);
	err = scan_open(&s, d->disk, d->id.secret, base);
	d->gone = err == -ENOENT;
	if (err)
		return d->gone ? 0 : err;
	scan_seek(s, pos);
	scan_limit(s, limit);
	err = dump_scan(d, s, path);
	scan_close(s);
	return err;
}

/* The log goes on at POS, or was committed up to there: what is before it was there once. */
static void expect_all(struct dump *d, uint64_t pos)
{
	char path[32];

	if (d->end < pos && !d->gone && !d->torn) {
		segment_name(path, d->end);
		tell_damage(d, path, d->end, "nothing is there for %" PRIu64 " bytes", pos - d->end);
	}
	d->end = pos;
	d->gone = false;
}

/* Where the log should begin, when it begins at BASE. */
static uint64_t needed_from(struct dump *d, uint64_t base)
{
	struct damage front;

	return d->store && base && damage_at(d->store, base - 1, &front) ? front.pos : base;
}

static int dump_log(struct dump *d)
{
	uint64_t *base, limit = d->query->committed;
	size_t count;
	int err = scan_segments(d->disk, &base, &count);

	if (err)
		return err;
	if (count) {
		d->first = d->shown = base[0];
		d->last = limit < UINT64_MAX ? limit : base[count - 1];
		d->end = needed_from(d, base[0]);
	}
	for (size_t i = 0; i < count && !err && !d->torn && base[i] < limit; i++) {
		expect_all(d, base[i]);
		if (i + 1 == count || base[i + 1] > d->query->from)
			err = dump_segment(d, base[i], i + 1 < count && base[i + 1] < limit ? base[i + 1] : limit);
		else
			d->end = base[i + 1];
	}
	if (!err && count)
		expect_all(d, limit < UINT64_MAX ? limit : d->proved);
	free(base);
	return err;
}

static int dump_lost(struct dump *d)
{
	const char *name = d->query->lost;
	uint64_t base, skip;
	struct scan *s;
	char path[300];
	int err;

	if (!parting_file(name, &base, &skip))
		return -EINVAL;
	snprintf(path, sizeof path, "lost/%s", name);
	err = scan_open_file(&s, d->disk, d->id.secret, path, skip, base);
	if (err)
		return err;
	err = d->store ? parting_find(d->store, d->disk, name, &d->parting) : 0;
	if (err) {
		scan_close(s);
		return err;
	}
	d->first = d->shown = scan_pos(s);
	d->last = scan_file_end(s);
	err = dump_scan(d, s, path);
	scan_close(s);
	return err;
}

/* Names to ids. A store that cannot be opened is dumped without names, as long as nobody asks for one. */
static int find_names(struct dump *d, const char *path, char *why, size_t why_len)
{
	const struct dump_query *q = d->query;
	struct store_options options;
	struct store_status status;
	char opening[STORE_WHY];
	struct topic *t;
	int tries = 0, err;

	store_options_normal(&options);
	options.read_only = true;
	do {
		err = store_open(&d->store, path, &options, opening);
	} while (err && q->committed != UINT64_MAX && ++tries < RUNNING_TRIES);
	if (err) {
		d->store = NULL;
		snprintf(why, why_len, "%s %s", path, opening);
		if (!q->topic)
			d->calls->damaged(d->calls->ctx, path, opening);
		return q->topic ? err : 0;
	}
	if (d->store->id.cluster != d->id.cluster || memcmp(d->store->id.secret, d->id.secret, RECORD_SECRET) != 0) {
		snprintf(why, why_len, "%s is of another cluster", path);
		return -EXDEV;
	}
	store_status(d->store, &status);
	d->proved = status.log_committed;
	if (!q->topic)
		return 0;
	t = topic_find(d->store, q->topic);
	if (t && (q->queue < 0 || topic_queue(t, (uint32_t)q->queue))) {
		d->topic = t->id;
		d->queue = q->queue < 0 ? 0 : t->id << QUEUE_BITS | (uint64_t)q->queue;
	} else {
		snprintf(why, why_len, "%s has no %s \"%s\"", path, t ? "such queue in topic" : "topic", q->topic);
		err = -ENODATA;
	}
	if (t)
		topic_put(t);
	return err;
}

static int open_files(struct dump *d, const char *path, char *why, size_t why_len)
{
	int err = disk_open_directory(&d->disk, path);

	if (!err)
		err = identity_load(d->disk, &d->id);
	if (err == -EPROTONOSUPPORT)
		snprintf(why, why_len, "%s has a newer format than this mqctl knows (%u)", path, FORMAT_VERSION);
	else if (err)
		snprintf(why, why_len, "%s: %s", path, err == -ENOENT && d->disk ? store_missing(d->disk) :
			err == -ENOENT || err == -ENOTDIR ? "no store of mqfs is there" : err == -EBADMSG ? "its file \"id\" is damaged" : strerror(-err));
	return err;
}

int dump_store(const char *path, const struct dump_query *query, const struct dump_calls *calls, char *why, size_t why_len)
{
	struct dump d = {.query = query, .calls = calls, .name_id = UINT64_MAX};
	int err = open_files(&d, path, why, why_len);

	if (!err)
		err = find_names(&d, query->log ? query->log : path, why, why_len);
	if (!err) {
		err = query->lost ? dump_lost(&d) : dump_log(&d);
		if (err < 0)
			snprintf(why, why_len, "%s%s%s: %s", path, query->lost ? "/lost/" : "", query->lost ? query->lost : "",
				query->lost && err == -EINVAL ? "no file that mqfs has put there" : strerror(-err));
	}
	if (d.store)
		store_close(d.store);
	disk_free(d.disk);
	return err;
}
