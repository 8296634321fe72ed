/* SPDX-License-Identifier: Apache-2.0 */
#include "install.h"
#include "bytes.h"
#include "checkpoint.h"
#include "lost.h"
#include "make.h"
#include "scrub.h"
#include "supply.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_SEGMENTS 8u               /* with a descriptor, until they are synced together */

struct install {
	struct disk *disk;
	int lock;
	struct identity id;
	uint64_t received;
	uint64_t checkpoint_pos;
	int checkpoint;                /* its file, on its way */
	uint64_t checkpoint_len;
	struct segments *segments;
	size_t done;                   /* segments that were synced and closed */
	struct supply *supply;
	struct annals *annals;
	struct progress progress;
	struct log *log;
};

/* ---- what was there before ---- */

#define MARK 32u

static int save_mark(struct disk *d, const struct install_before *b)
{
	uint8_t mark[MARK] = {0};

	put64(mark, b->node);
	put32(mark + 8, b->promise.reign.number);
	put64(mark + 16, b->promise.reign.node);
	put64(mark + 24, b->aside);
	return disk_replace(d, JOINING_FILE, mark, sizeof mark, 0600);
}

static int load_mark(struct disk *d, struct install_before *to)
{
	uint8_t *mark;
	void *bytes;
	size_t len;
	int err = disk_load(d, JOINING_FILE, 2 * MARK, &bytes, &len);

	if (err)
		return err == -ENOENT ? 0 : err;
	mark = bytes;
	to->joining = true;
	if (len == MARK) {
		to->node = get64(mark);
		to->promise.reign = (struct reign){get32(mark + 8), get64(mark + 16)};
		to->aside = get64(mark + 24);
	}
	free(bytes);
	return len == MARK ? 0 : -EBADMSG;
}

int install_look(struct disk *d, struct install_before *to)
{
	struct identity id;
	int err = identity_load(d, &id);

	*to = (struct install_before){.aside = UINT64_MAX};
	if (err)
		return err == -ENOENT ? load_mark(d, to) : err;
	to->store = true;
	to->cluster = id.cluster;
	to->node = id.node;
	err = promise_load(d, &id, &to->promise);
	if (err == -ENOENT) {
		to->promise = (struct promise){.reign = {1, id.node}, .own = 1};
		err = 0;
	}
	return err;
}

/* ---- making room ---- */

/* Whether the directory may be made a store; the node keeps its id. */
static int look(struct install *i, bool again, uint64_t aside, struct install_before *before, char *why)
{
	int err = install_look(i->disk, before);

	if (err)
		return err;
	if (before->store && before->cluster != i->id.cluster) {
		snprintf(why, STORE_WHY, "is a store of another cluster");
		return -EXDEV;
	}
	if (before->store && !again)
		return -EEXIST;
	if (!before->store && !before->joining)
		err = store_check_foreign(i->disk, why);
	if (before->node)
		i->id.node = before->node;
	before->node = i->id.node;
	if (before->store)
		before->aside = aside;
	return err;
}

struct wipe {
	struct disk *disk;
	const char *directory;
	uint64_t keep;                 /* segments from this base on stay; UINT64_MAX: none */
};

static int wipe_one(void *ctx, const char *name)
{
	struct wipe *w = ctx;
	uint64_t base;
	char path[300];

	if (w->keep != UINT64_MAX && position_named(name, 0, &base) && base >= w->keep)
		return 0;
	snprintf(path, sizeof path, "%s/%s", w->directory, name);
	return disk_unlink(w->disk, path);
}

static int wipe_directory(struct install *i, const char *directory, uint64_t keep)
{
	struct wipe w = {.disk = i->disk, .directory = directory, .keep = keep};
	int err = disk_list(i->disk, directory, wipe_one, &w);

	return err ? err : disk_sync_directory(i->disk, directory);
}

struct aside {
	struct disk *disk;
	uint64_t from, edge;           /* the greatest base that is not behind FROM */
};

static int find_edge(void *ctx, const char *name)
{
	struct aside *a = ctx;
	uint64_t base;

	if (position_named(name, 0, &base) && base <= a->from && base > a->edge)
		a->edge = base;
	return 0;
}

static int move_one(void *ctx, const char *name)
{
	struct aside *a = ctx;
	uint64_t base, moved;

	if (!position_named(name, 0, &base) || base < a->edge)
		return 0;
	return base < a->from ? lost_cut(a->disk, base, a->from, &moved) : lost_move(a->disk, base, &moved);
}

/* From FROM on: what the segment that it lies in has before it is not lost, and all segments behind that. What is given up for certain goes
 * first, as the disk may be full of it, and the copy needs room. */
static int put_aside(struct install *i, uint64_t from)
{
	struct aside a = {.disk = i->disk, .from = from};
	int err = disk_list(i->disk, "log", find_edge, &a);

	if (!err)
		err = wipe_directory(i, "log", a.edge);
	return err ? err : disk_list(i->disk, "log", move_one, &a);
}

static int remove_files(struct disk *d, const char *const *names, size_t count)
{
	int err = 0;

	for (size_t n = 0; !err && n < count; n++) {
		err = disk_unlink(d, names[n]);
		err = err == -ENOENT ? 0 : err;
	}
	return err;
}

/* Whatever is there of a log. With its mark durable and its identity gone it is no store any more, whenever that ends; what was to go to lost/
 * goes there at the next try, but once: what stands there from then on is the other node's. The reserve is room for the mark. */
static int wipe(struct install *i, struct install_before *before)
{
	static const char *const reserve[] = {RESERVE_FILE}, *const gone[] = {IDENTITY_FILE, PROMISE_FILE, SCRUB_FILE};
	int err = remove_files(i->disk, reserve, 1);

	if (!err)
		err = save_mark(i->disk, before);
	if (!err)
		err = remove_files(i->disk, gone, 3);
	if (!err)
		err = disk_sync_directory(i->disk, ".");
	if (!err)
		err = wipe_directory(i, "checkpoint", UINT64_MAX);
	if (!err && before->aside != UINT64_MAX)
		err = put_aside(i, before->aside);
	if (!err)
		err = wipe_directory(i, "log", UINT64_MAX);
	if (err || before->aside == UINT64_MAX)
		return err;
	before->aside = UINT64_MAX;
	return save_mark(i->disk, before);
}

static int open_parts(struct install *i, const struct log_start *start, uint64_t segment_size)
{
	struct log_settings settings = {.segment_size = segment_size, .progress = &i->progress};
	char name[40];
	int err = segments_new(&i->segments, i->disk, i->id.secret);

	if (!err)
		err = supply_new(&i->supply, i->disk, SEGMENT_HEADER + segment_size);
	if (!err)
		err = annals_new(&i->annals);
	settings.annals = i->annals;
	if (!err)
		err = log_new(&i->log, i->disk, i->id.secret, i->id.cluster, i->segments, i->supply, start, &settings);
	if (err || !i->checkpoint_pos)
		return err;
	snprintf(name, sizeof name, "checkpoint/%016" PRIx64 ".new", i->checkpoint_pos);
	i->checkpoint = disk_open(i->disk, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	return i->checkpoint < 0 ? i->checkpoint : 0;
}

static int begin(struct install *i, const char *path, bool again, uint64_t aside, char *why)
{
	struct install_before before;
	int err = store_make_directory(path, why);

	if (!err)
		err = disk_open_directory(&i->disk, path);
	if (!err) {
		i->lock = disk_open(i->disk, "lock", O_RDWR | O_CREAT, 0644);
		err = i->lock < 0 ? i->lock : disk_lock(i->disk, i->lock);
	}
	if (!err)
		err = look(i, again, aside, &before, why);
	if (!err)
		err = store_make_directories(i->disk);
	return err ? err : wipe(i, &before);
}

int install_begin(struct install **to, const char *path, bool again, uint64_t aside, const struct identity *cluster,
	const struct log_start *start, uint64_t checkpoint_pos, uint64_t received, uint64_t segment_size, char why[STORE_WHY])
{
	struct install *i = calloc(1, sizeof *i);
	int err = i ? identity_make(&i->id) : -ENOMEM;

	why[0] = 0;
	if (!err) {
		i->lock = i->checkpoint = -1;
		i->id.cluster = cluster->cluster;
		memcpy(i->id.secret, cluster->secret, RECORD_SECRET);
		i->checkpoint_pos = checkpoint_pos;
		i->received = received;
		progress_init(&i->progress);
		err = begin(i, path, again, aside, why);
		if (!err)
			err = open_parts(i, start, segment_size);
		if (err)
			install_free(i);
	} else {
		free(i);
	}
	if (err && !why[0])
		snprintf(why, STORE_WHY, "cannot be made a standby: %s", strerror(-err));
	if (!err)
		*to = i;
	return err;
}

void install_free(struct install *i)
{
	if (!i)
		return;
	log_free(i->log);
	supply_free(i->supply);
	segments_free(i->segments);
	annals_free(i->annals);
	progress_destroy(&i->progress);
	if (i->disk) {
		disk_close(i->disk, i->checkpoint);
		disk_close(i->disk, i->lock);
		disk_free(i->disk);
	}
	free(i);
}

/* ---- what comes ---- */

int install_checkpoint(struct install *i, const void *bytes, size_t len)
{
	int err = i->checkpoint < 0 ? -EINVAL : disk_write(i->disk, i->checkpoint, bytes, len, i->checkpoint_len);

	i->checkpoint_len += err ? 0 : len;
	return err;
}

/* Nobody looks anything up here: the store's keeper makes the indexes. */
static void drop_runs(struct install *i)
{
	struct segment *s;

	for (s = segments_first(i->segments); s; s = segment_next(s))
		if (atomic_load(&s->end) != UINT64_MAX && !atomic_load(&s->sealed))
			segment_seal(s, s->end);
}

/* However long the log is, it takes the memory of one segment and the descriptors of a few. */
static int let_go(struct install *i)
{
	size_t count = segments_count(i->segments);
	uint64_t synced;
	int err;

	drop_runs(i);
	if (count < i->done + OPEN_SEGMENTS)
		return 0;
	err = log_sync(i->log, &synced);
	i->done = count;
	return err;
}

int install_records(struct install *i, const void *bytes, size_t len, uint64_t base, const struct epoch *upto, size_t *took)
{
	size_t count = segments_count(i->segments);
	int err = log_receive(i->log, bytes, len, base, upto, true, took);

	return err || segments_count(i->segments) == count ? err : let_go(i);
}

uint64_t install_end(const struct install *i)
{
	return log_end(i->log);
}

static int finish_checkpoint(struct install *i)
{
	struct checkpoint_info info;
	char aside[40], name[32];
	int err;

	snprintf(name, sizeof name, "checkpoint/%016" PRIx64, i->checkpoint_pos);
	snprintf(aside, sizeof aside, "%s.new", name);
	err = disk_sync(i->disk, i->checkpoint);
	if (!err)
		err = disk_rename(i->disk, aside, name);
	if (!err)
		err = disk_sync_directory(i->disk, "checkpoint");
	return err ? err : checkpoint_check(i->disk, i->id.secret, i->checkpoint_pos, &info);
}

int install_finish(struct install *i, struct reign reign)
{
	struct promise promise = {.reign = reign, .received = i->received};
	uint64_t synced;
	int err;

	if (install_end(i) < i->checkpoint_pos)
		return -EAGAIN;
	err = log_sync(i->log, &synced);
	if (!err && i->checkpoint_pos)
		err = finish_checkpoint(i);
	if (!err)
		err = promise_save(i->disk, &i->id, &promise);
	if (!err)
		err = identity_save(i->disk, &i->id);
	if (!err)
		err = disk_unlink(i->disk, JOINING_FILE);
	return err ? err : disk_sync_directory(i->disk, ".");
}
