/* SPDX-License-Identifier: Apache-2.0 */
/* A check from its beginning to its end: the store's lock and identity, its files, then the log (check_log.c). */
#include "check_part.h"
#include "forbidden.h"
#include "make.h"
#include "promise.h"
#include "scan.h"
#include "segment.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void check_tell(struct check *c, bool damage, const char *where, const char *format, ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	if (damage)
		c->totals->damage++;
	else
		c->totals->notes++;
	c->calls->found(c->calls->ctx, damage, where, what);
}

void check_repaired(struct check *c, const char *where, const char *format, ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	c->totals->repaired++;
	c->calls->repaired(c->calls->ctx, where, what);
}

void check_index_fault(struct check *c, struct log_file *f, bool damage, const char *what)
{
	char path[40];

	segment_index_name(path, f->base);
	if (c->repair)
		f->index_fault = what;
	else
		check_tell(c, damage, path, "%s", what);
}

int check_suspect(struct check *c, uint64_t base, uint64_t pos, const char *format, ...)
{
	struct suspect *s;
	va_list args;

	if (c->suspect_count == c->suspect_max) {
		size_t max = c->suspect_max ? 2 * c->suspect_max : 16;
		s = realloc(c->suspects, max * sizeof *s);
		if (!s)
			return -ENOMEM;
		c->suspects = s;
		c->suspect_max = max;
	}
	for (s = c->suspects + c->suspect_count++; s > c->suspects && s[-1].pos > pos; s--)
		*s = s[-1];
	s->pos = pos;
	snprintf(s->where, sizeof s->where, "log/%016" PRIx64 " at position %" PRIu64 " (byte %" PRIu64 ")", base, pos,
		pos - base + SEGMENT_HEADER);
	va_start(args, format);
	vsnprintf(s->what, sizeof s->what, format, args);
	va_end(args);
	check_durable(c, c->durable);
	return 0;
}

void check_committed(struct check *c, uint64_t pos)
{
	if (pos > c->totals->committed)
		c->totals->committed = pos;
}

void check_durable(struct check *c, uint64_t pos)
{
	size_t n = 0;

	check_committed(c, pos);
	if (pos > c->durable)
		c->durable = pos;
	while (n < c->suspect_count && c->suspects[n].pos < c->durable) {
		check_tell(c, true, c->suspects[n].where, "%s", c->suspects[n].what);
		n++;
	}
	if (!n)
		return;
	c->suspect_count -= n;
	memmove(c->suspects, c->suspects + n, c->suspect_count * sizeof *c->suspects);
}

void check_progress(struct check *c, uint64_t done)
{
	c->done = done;
	if (c->calls->progress)
		c->calls->progress(c->calls->ctx, done, c->total);
}

static bool starts_with_position(const char *name)
{
	return strspn(name, "0123456789abcdef") == 16;
}

static int note_strange(void *ctx, const char *name)
{
	struct check *c = ctx;
	char path[300];

	if (starts_with_position(name) && (name[16] == 0 || strcmp(name + 16, ".index") == 0))
		return 0;
	if (strncmp(name, "prepared.", 9) == 0 || strcmp(name, "filling") == 0)
		return 0;
	snprintf(path, sizeof path, "log/%s", name);
	check_tell(c, false, path, "no file of the log");
	return 0;
}

static int list_segments(struct check *c)
{
	uint64_t *base;
	char path[40];
	struct stat st;
	int err = scan_segments(c->disk, &base, &c->file_count);

	if (err)
		return err;
	c->files = calloc(c->file_count + 1, sizeof *c->files);
	if (!c->files)
		err = -ENOMEM;
	for (size_t i = 0; i < c->file_count && !err; i++) {
		struct log_file *f = &c->files[i];
		f->base = base[i];
		segment_name(path, base[i]);
		err = disk_stat(c->disk, path, &st);
		f->size = err ? 0 : (uint64_t)st.st_size;
		c->total += f->size;
		segment_index_name(path, base[i]);
		f->index = disk_stat(c->disk, path, &st) == 0;
	}
	free(base);
	return err;
}

static int note_lost(void *ctx, const char *name)
{
	struct check *c = ctx;
	struct stat st;
	char path[300];

	snprintf(path, sizeof path, "lost/%s", name);
	if (disk_stat(c->disk, path, &st) == 0 && S_ISREG(st.st_mode)) {
		c->totals->lost_files++;
		c->totals->lost_bytes += (uint64_t)st.st_size;
	}
	return 0;
}

static int note_checkpoint(struct check *c, uint64_t pos, bool tell)
{
	struct checkpoint_info info, *points;
	char where[40];
	int err = checkpoint_check(c->disk, c->id.secret, pos, &info);

	snprintf(where, sizeof where, "checkpoint/%016" PRIx64, pos);
	if (err == -ENOMEM)
		return err;
	if (err) {
		c->bad_points++;
		if (tell)
			check_tell(c, true, where, err == -EBADMSG ? "damaged" : "cannot be read: %s", strerror(-err));
		return 0;
	}
	points = realloc(c->points, (c->point_count + 1) * sizeof *points);
	if (!points)
		return -ENOMEM;
	c->points = points;
	points[c->point_count++] = info;
	c->totals->checkpoints++;
	check_durable(c, info.pos);
	return 0;
}

int check_points_there(struct check *c, bool tell)
{
	uint64_t pos[64];
	size_t count;
	int err = checkpoint_list(c->disk, pos, 64, &count);

	if (err == -ENOENT)
		return 0;
	if (err)
		return err;
	c->point_count = c->bad_points = c->totals->checkpoints = 0;
	for (size_t i = count; i-- > 0;) {
		err = note_checkpoint(c, pos[i], tell);
		if (err)
			return err;
	}
	return 0;
}

/* Does the whole log stand without what was dropped in front of it? */
static void judge_start(struct check *c)
{
	const struct checkpoint_info *newest = c->point_count ? &c->points[c->point_count - 1] : NULL;

	if (newest && newest->unneeded < c->totals->start)
		check_tell(c, true, "log", "begins at position %" PRIu64 ", but is needed from position %" PRIu64 " on: segments are missing",
			c->totals->start, newest->unneeded);
	if (c->totals->start && !c->point_count)
		check_tell(c, true, "checkpoint", "the log begins at position %" PRIu64 ", and there is no valid checkpoint: topics and their"
			" queues' ends are lost", c->totals->start);
	else if (c->totals->start && c->point_count < 2)
		check_tell(c, false, "checkpoint", "the log begins at position %" PRIu64 ", and there is only one valid checkpoint; mqfs makes"
			" another", c->totals->start);
}

/* What is left of the suspects lies at or behind D. */
static void judge_end(struct check *c)
{
	struct check_totals *t = c->totals;
	char where[64];

	if (c->suspect_count)
		t->end = c->suspects[0].pos;
	snprintf(where, sizeof where, "position %" PRIu64, t->end);
	if (c->durable > t->end)
		check_tell(c, true, where, "the log ends here, but was committed up to position %" PRIu64, c->durable);
	if (c->suspect_count)
		check_tell(c, false, c->suspects[0].where, "torn tail, %s: %s; the next start moves it to lost/",
			t->end < t->committed ? "not known to have been synced here" : "not committed", c->suspects[0].what);
}

/* Without it the store does not start: what it promised to other nodes cannot be made again. */
static int check_promise(struct check *c)
{
	struct promise p;
	int err = promise_load(c->disk, &c->id, &p);

	if (err == -ENOMEM)
		return err;
	c->received = !err ? p.received : err == -ENOENT ? 0 : UINT64_MAX;
	if (err && err != -ENOENT)
		check_tell(c, true, PROMISE_FILE, err == -EBADMSG ? "damaged: what was promised to other nodes is not known" :
			"cannot be read: %s", strerror(-err));
	return 0;
}

static int check_files(struct check *c)
{
	int err = c->repair ? repair_leftovers(c) : 0;

	if (!err)
		err = check_promise(c);
	if (!err)
		err = list_segments(c);
	if (!err)
		err = disk_list(c->disk, "log", note_strange, c);
	if (!err)
		err = check_points_there(c, !c->repair);
	if (!err)
		err = check_log(c);
	if (!err && c->repair)
		err = repair_heads(c);
	if (!err && c->repair)
		err = repair_indexes(c);
	if (!err && c->repair)
		err = repair_checkpoints(c);
	if (!err) {
		judge_start(c);
		judge_end(c);
		err = disk_list(c->disk, "lost", note_lost, c);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/* Takes the lock, so that the store stays stopped. *LOCK is -1 for a store that was made and never locked. */
static int lock_store(struct check *c, const char *path, int *lock, char *why, size_t why_len)
{
	void *text;
	size_t len;
	int err;

	*lock = disk_open(c->disk, "lock", O_RDONLY, 0);
	if (*lock == -ENOENT) {
		*lock = -1;
		return 0;
	}
	err = *lock < 0 ? *lock : disk_lock(c->disk, *lock);
	if (err == -EBUSY && disk_load(c->disk, "lock", 8192, &text, &len) == 0) {
		const char *user = text;
		int digits = (int)strspn(user, "0123456789"), rest = (int)strcspn(user, "\n") - digits;
		snprintf(why, why_len, "%s is in use by mqfs, pid %.*s%s%.*s: unmount it first", path, digits, user,
			rest > 1 ? ", mounted at" : "", rest, user + digits);
		free(text);
	} else if (err) {
		snprintf(why, why_len, "%s/lock: %s", path, strerror(-err));
	}
	return err;
}

static int open_stopped(struct check *c, const char *path, int *lock, char *why, size_t why_len)
{
	int err = disk_open_directory(&c->disk, path);

	if (err) {
		snprintf(why, why_len, "%s: %s", path, strerror(-err));
		return err;
	}
	err = identity_load(c->disk, &c->id);
	if (err == -ENOENT)
		snprintf(why, why_len, "%s: %s", path, store_missing(c->disk));
	else if (err == -EPROTONOSUPPORT)
		snprintf(why, why_len, "%s has a newer format than this mqctl knows (%u)", path, FORMAT_VERSION);
	else if (err == -EBADMSG)
		snprintf(why, why_len, "%s/%s is damaged: without the secret in it nothing can be verified", path, IDENTITY_FILE);
	else if (err)
		snprintf(why, why_len, "%s/%s: %s", path, IDENTITY_FILE, strerror(-err));
	return err ? err : lock_store(c, path, lock, why, why_len);
}

static int check(struct check *c, char *why, size_t why_len)
{
	char file[FORBIDDEN_PATH];
	int lock = -1;
	int err;

	memset(c->totals, 0, sizeof *c->totals);
	err = open_stopped(c, c->path, &lock, why, why_len);
	if (!err) {                            /* what may not be looked at is not damaged */
		err = forbidden_find(c->disk, file);
		if (err)
			snprintf(why, why_len, "%s/%s: %s", c->path, file, strerror(-err));
	}
	if (!err) {
		err = check_files(c);
		if (err)
			snprintf(why, why_len, "%s: %s", c->path, strerror(-err));
	}
	disk_close(c->disk, lock);
	disk_free(c->disk);
	free(c->files);
	free(c->points);
	free(c->suspects);
	return err;
}

int check_store(const char *path, const struct check_calls *calls, struct check_totals *totals, char *why, size_t why_len)
{
	return check(&(struct check){.path = path, .calls = calls, .totals = totals}, why, why_len);
}

int repair_store(const char *path, const struct check_calls *calls, struct check_totals *totals, char *why, size_t why_len)
{
	return check(&(struct check){.path = path, .repair = true, .calls = calls, .totals = totals}, why, why_len);
}
