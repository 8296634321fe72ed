/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repair writes only what follows from the records, so that it can be done again at any time.
 *
 * - An index is replaced as a whole. It proves that this node has synced its segment to the end, so it is only made where that is known.
 * - A header is written in place: while that is interrupted it is as damaged as before. It is made only in front of a valid record of its
 *   position, which says that the file is what its name says, and carries the chain and the epoch.
 * - A checkpoint is made of the state that a start would find, up to what is committed. Not when that is not all known to have been synced
 *   here, which it would prove; and not when records are damaged which that state would come from, as they may yet be got from elsewhere,
 *   and not be read any more behind a checkpoint. Damaged ones go only when there is a valid one.
 */
#include "check_part.h"
#include "index.h"
#include "runs.h"
#include "scan.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- leftovers ---- */

struct leftovers {
	struct check *check;
	const char *directory;
	int removed;
};

static bool ends(const char *name, const char *with)
{
	size_t len = strlen(name), n = strlen(with);

	return len > n && strcmp(name + len - n, with) == 0;
}

/* An index whose segment is gone: somebody removed that, for where retention stops halfway it has left the segment. */
static bool orphan(struct check *c, const char *name)
{
	struct stat st;
	char path[40];

	if (strlen(name) != 22 || strspn(name, "0123456789abcdef") != 16 || !ends(name, ".index"))
		return false;
	snprintf(path, sizeof path, "log/%.16s", name);
	return disk_stat(c->disk, path, &st) == -ENOENT;
}

static int remove_leftover(void *ctx, const char *name)
{
	struct leftovers *l = ctx;
	struct check *c = l->check;
	bool in_log = strcmp(l->directory, "log") == 0;
	const char *what = ends(name, ".new") || (in_log && strcmp(name, "filling") == 0) ? "was on its way to its place: removed" :
		in_log && orphan(c, name) ? "belonged to no segment: removed" : NULL;
	char path[300];
	int err;

	if (!what)
		return 0;
	snprintf(path, sizeof path, *l->directory == '.' ? "%s%s" : "%s/%s", *l->directory == '.' ? "" : l->directory, name);
	err = disk_unlink(c->disk, path);
	if (err)
		check_tell(c, false, path, "left over, and cannot be removed: %s", strerror(-err));
	else
		check_repaired(c, path, "%s", what);
	l->removed += !err;
	return 0;
}

static int make_directory(struct check *c, const char *name)
{
	int err = disk_mkdir(c->disk, name, 0700);

	if (err == -EEXIST)
		return 0;
	if (!err)
		err = disk_sync_directory(c->disk, ".");
	if (err)
		check_tell(c, true, name, "the directory cannot be made: %s", strerror(-err));
	else
		check_repaired(c, name, "the directory was missing: made");
	return err == -ENOMEM ? err : 0;
}

int repair_leftovers(struct check *c)
{
	static const char *const directories[] = {".", "log", "checkpoint"};
	int err = make_directory(c, "checkpoint");

	if (!err)
		err = make_directory(c, "lost");
	for (size_t i = 0; !err && i < sizeof directories / sizeof *directories; i++) {
		struct leftovers l = {.check = c, .directory = directories[i]};
		err = disk_list(c->disk, l.directory, remove_leftover, &l);
		if (!err && l.removed)
			err = disk_sync_directory(c->disk, l.directory);
	}
	return err;
}

/* ---- headers ---- */

/* The segment's first record; -EBADMSG when it is not valid. */
static int first_record(struct check *c, uint64_t base, struct record *first)
{
	enum scan_found found;
	const void *body;
	struct scan *s;
	int err = scan_open(&s, c->disk, c->id.secret, base);

	if (err)
		return err;
	scan_bodies(s, false);
	err = scan_next(s, first, &body, &found);
	scan_close(s);
	return err ? err : found == SCAN_RECORD || found == SCAN_BODY ? 0 : -EBADMSG;
}

static int write_head(struct check *c, const struct segment_head *h)
{
	char path[32];
	int fd, err;

	segment_name(path, h->base);
	fd = disk_open(c->disk, path, O_RDWR, 0);
	err = fd < 0 ? fd : segment_head_write(c->disk, fd, h, c->id.secret);
	if (!err)
		err = disk_sync(c->disk, fd);
	disk_close(c->disk, fd);
	return err;
}

/* What is not proved to have been synced gets its header where the chain goes on in it: without, the next start would take all of it for
 * what a crash has torn. */
static int repair_head(struct check *c, const struct log_file *f)
{
	struct segment_head h = {.cluster = c->id.cluster, .base = f->base};
	struct record first;
	char path[32];
	int err = first_record(c, f->base, &first);

	if (!err && f->base >= c->durable && !(f->follows && first.prev == f->chain))
		err = -EBADMSG;
	if (!err) {
		h.chain = first.prev;
		h.epoch = first.epoch;
		h.time = f->follows ? f->time : first.time;
		err = write_head(c, &h);
	}
	if (err == -ENOMEM)
		return err;
	if (err)
		return check_head_fault(c, f, f->head_fault);
	segment_name(path, f->base);
	check_repaired(c, path, "the header was damaged: made again from the first record");
	return 0;
}

int repair_heads(struct check *c)
{
	int err = 0;

	for (size_t n = 0; n < c->file_count && !err; n++)
		if (c->files[n].head_fault)
			err = repair_head(c, &c->files[n]);
	return err;
}

/* ---- indexes ---- */

static int make_index(struct check *c, const struct log_file *f, uint64_t end)
{
	int64_t last_time;
	struct runs *runs;
	int err = runs_scan(c->disk, c->id.secret, f->base, end, &runs, &last_time);

	if (err)
		return err;
	err = index_write(c->disk, c->id.secret, f->base, end, last_time, runs);
	runs_free(runs);
	return err;
}

static int repair_index(struct check *c, size_t n)
{
	struct log_file *f = &c->files[n];
	uint64_t end = n + 1 < c->file_count ? f[1].base : UINT64_MAX;
	bool make = end <= c->durable;
	char path[40];
	int err;

	segment_index_name(path, f->base);
	if (make)
		err = make_index(c, f, end);
	else if (!(err = disk_unlink(c->disk, path)))
		err = disk_sync_directory(c->disk, "log");
	if (err == -ENOMEM)
		return err;
	if (err)
		check_tell(c, true, path, "%s; it cannot be repaired: %s", f->index_fault, strerror(-err));
	else
		check_repaired(c, path, make ? "made again from its segment" : "was damaged, and belongs to no sealed segment: removed");
	return 0;
}

int repair_indexes(struct check *c)
{
	int err = 0;

	for (size_t n = 0; n < c->file_count && !err; n++)
		if (c->files[n].index_fault || (!c->files[n].index && n + 1 < c->file_count && c->files[n + 1].base <= c->durable))
			err = repair_index(c, n);
	return err;
}

/* ---- checkpoints ---- */

/* Damage to records only: what is derived has been seen to, or will be. */
static bool records_damaged(const struct store *s)
{
	for (size_t i = 0; i < s->damaged && i < DAMAGES; i++)
		if (s->damage[i].kind == DAMAGE_RECORD)
			return true;
	return false;
}

/* Of the state that the next start would find, as far as it is proved. */
static int make_checkpoint(struct check *c, char why[STORE_WHY])
{
	struct checkpoint_info info;
	struct store_options options;
	struct store *s;
	char where[40];
	int err;

	store_options_normal(&options);
	options.read_only = true;
	err = store_open(&s, c->path, &options, why);
	if (err)
		return err;
	if (records_damaged(s)) {
		snprintf(why, STORE_WHY, "records that it would come from are damaged");
		err = -EBADMSG;
	} else {
		err = checkpoint_write(s, &info);
		if (err)
			snprintf(why, STORE_WHY, "%s", strerror(-err));
	}
	store_stop(s);
	store_close(s);
	if (err)
		return err;
	snprintf(where, sizeof where, "checkpoint/%016" PRIx64, info.pos);
	check_repaired(c, where, "made from the log");
	return 0;
}

static int remove_bad(struct check *c)
{
	struct checkpoint_info info;
	uint64_t pos[64];
	char path[40];
	size_t count;
	int err = checkpoint_list(c->disk, pos, 64, &count);

	for (size_t i = 0; !err && i < count; i++) {
		err = checkpoint_check(c->disk, c->id.secret, pos[i], &info);
		if (!err || err == -ENOMEM)
			continue;
		snprintf(path, sizeof path, "checkpoint/%016" PRIx64, pos[i]);
		err = disk_unlink(c->disk, path);
		if (!err)
			check_repaired(c, path, "was damaged: removed, as there is a valid one");
	}
	return err ? err : disk_sync_directory(c->disk, "checkpoint");
}

int repair_checkpoints(struct check *c)
{
	char why[STORE_WHY] = "";
	bool wanted = c->file_count && (c->bad_points || (c->totals->start && c->point_count < 2));
	int err = 0;

	if (wanted && c->totals->committed > c->durable)
		check_tell(c, false, "checkpoint", "another is not made: what it would stand for is not known to have been synced here");
	else if (wanted && (!c->point_count || c->points[c->point_count - 1].pos < c->durable))
		err = make_checkpoint(c, why);
	if (err == -ENOMEM)
		return err;
	if (err)
		check_tell(c, true, "checkpoint", "another cannot be made: %s", why);
	err = check_points_there(c, false);
	if (!err && c->bad_points && c->point_count)
		err = remove_bad(c);
	if (err && err != -ENOMEM)
		check_tell(c, true, "checkpoint", "a damaged one cannot be removed: %s", strerror(-err));
	return err == -ENOMEM ? err : check_points_there(c, true);
}
