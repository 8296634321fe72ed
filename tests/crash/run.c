/* SPDX-License-Identifier: Apache-2.0 */
#include "run_part.h"
#include "parts.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KiB ((uint64_t)1 << 10)
#define LIVES 40                       /* of a run, at most */
#define MAKE_CALLS 20                  /* of the disk, to make a store: about */
#define NAMES_MANY 100                 /* files with which a run ends: what is large is slow to look at */
#define THINGS 60                      /* done in a life, at most */

const char *const branch_names[BRANCHES] = {
	[STORE_MADE] = "stores made", [STORE_ADOPTED] = "last segments gone on with", [STORE_ROLLED] = "new segments at start",
	[CHECKPOINT_LOADED] = "checkpoints loaded", [LOG_REPLAYED] = "logs replayed", [TAIL_CUT] = "torn tails cut to lost/", [TAIL_ZEROED] = "tails zeroed",
	[TAIL_WRITTEN_AGAIN] = "valid tails written again", [HEAD_WRITTEN_AGAIN] = "segment headers written again",
	[SEGMENT_TO_LOST] = "segments moved to lost/ or dropped", [INDEX_MADE_AGAIN] = "indexes made again", [OPENED_READ_ONLY] = "starts for reading only",
	[CRASHED_AT_START] = "crashes during a start", [KILLED] = "kills", [POWER_CUT] = "power cuts", [CACHE_DROPPED] = "caches dropped",
	[SYNC_FAILED] = "failed syncs", [WRITE_FAILED] = "failed logs", [DISK_FULL] = "appends refused on a full disk", [BYTES_ROTTED] = "records that rotted", [CHECKPOINT_ROTTED] = "newest checkpoints that rotted", [CLOSED] = "clean ends",
	[SEGMENT_SEALED] = "segments sealed", [SEGMENT_RECYCLED] = "segments recycled", [SEGMENT_PREPARED] = "prepared segments taken",
	[SEGMENT_REMOVED] = "segments removed", [CHECKPOINT_MADE] = "checkpoints made", [RESERVE_RELEASED] = "reserves released",
	[TIMED_OUT] = "followers timed out", [FILES_CHECKED] = "checks of what a crash has left",
};

void run_meet(struct run *r, enum branch b)
{
	r->counts->branches[b]++;
}

void run_say(struct run *r, const char *format, ...)
{
	char line[400];
	va_list args;
	int n;

	if (!r->tell)
		return;
	n = snprintf(line, sizeof line, "%12.6f  ", (double)world_now(r->world) / 1e9);
	va_start(args, format);
	vsnprintf(line + n, sizeof line - (size_t)n, format, args);
	va_end(args);
	r->tell(r->ctx, line);
}

static void broken(void *ctx, const char *what)
{
	struct run *r = ctx;

	run_say(r, "BROKEN: %s", what);
	r->failed(r->ctx, r->seed, what);
}

static void stuck(void *ctx)
{
	broken(ctx, "nobody can go on any more");
}

/* ---- what is seen of the disk ---- */

static bool is_segment(const char *path)
{
	return strlen(path) == 20 && !strncmp(path, "log/", 4) && strspn(path + 4, "0123456789abcdef") == 16;
}

/* What recovery is about to take out of the log. */
static void is_kept(struct run *r, const char *path, uint64_t at, uint64_t end)
{
	if (!simdisk_keeps(r->starting, path, at, end, "lost/"))
		model_fail(&r->model, "%s from byte %" PRIu64 " on goes, and is not in lost/ for good", path, at);
}

static bool is_of_the_log(const char *path)
{
	bool is_index = !strncmp(path, "log/", 4) && !strcmp(path + strlen(path) - 6, ".index");
	bool is_checkpoint = !strncmp(path, "checkpoint/", 11) && strspn(path + 11, "0123456789abcdef") == strlen(path) - 11;

	return is_segment(path) || is_index || is_checkpoint || !strcmp(path, "id");
}

/* What the start has found or made counts from here on. */
static void recovery_is_over(struct run *r)
{
	const char *path = simdisk_unsettled(r->starting, is_of_the_log);

	if (path)
		model_fail(&r->model, "%s may be another one after a power cut, and the start counts on it", path);
	r->phase = BEGINNING;
}

static void saw_write(struct run *r, const char *path, uint64_t at, uint64_t len)
{
	if (!is_segment(path)) {
		r->read_path[0] = 0;
		return;
	}
	if (r->phase == BEGINNING) {           /* the first record of the epoch */
		run_meet(r, at ? STORE_ADOPTED : STORE_ROLLED);
		r->phase = RUNNING;
	}
	if (r->phase != RECOVERY)
		return;
	if (at < SEGMENT_HEADER) {
		run_meet(r, HEAD_WRITTEN_AGAIN);
	} else if (!strcmp(path, r->read_path) && at >= r->read_at && at + len == r->read_at + r->read_len) {
		run_meet(r, TAIL_WRITTEN_AGAIN);
	} else {
		run_meet(r, TAIL_ZEROED);
		is_kept(r, path, at, at + len);
	}
}

static void saw_name(struct run *r, enum sim_call call, const char *path)
{
	if (!strcmp(path, "reserve") && call == SIM_UNLINK)
		run_meet(r, RESERVE_RELEASED);
	if (r->phase == RECOVERY && is_segment(path) && (call == SIM_UNLINK || call == SIM_RENAME))
		run_meet(r, SEGMENT_TO_LOST);
	if (r->phase == RECOVERY && is_segment(path) && call == SIM_UNLINK)
		is_kept(r, path, SEGMENT_HEADER, UINT64_MAX);
	if (r->phase == RECOVERY && !strcmp(path, "log/filling"))
		recovery_is_over(r);
	if (r->phase != RECOVERY && is_segment(path) && call == SIM_RENAME)
		run_meet(r, SEGMENT_RECYCLED);
	if (r->phase != RECOVERY && is_segment(path) && call == SIM_UNLINK)
		run_meet(r, SEGMENT_REMOVED);
	if (!strncmp(path, "log/prepared.", 13) && call == SIM_RENAME)
		run_meet(r, SEGMENT_PREPARED);
	if (strstr(path, ".index.new") && call == SIM_RENAME)
		run_meet(r, SEGMENT_SEALED);
	if (!strncmp(path, "checkpoint/", 11) && call == SIM_RENAME)
		run_meet(r, CHECKPOINT_MADE);
	if (!strcmp(path, "id.new") && call == SIM_RENAME)
		run_meet(r, STORE_MADE);
}

static void saw(void *ctx, enum sim_call call, const char *path, uint64_t at, uint64_t len)
{
	struct run *r = ctx;

	if (call == SIM_WRITE) {
		saw_write(r, path, at, len);
	} else if (call == SIM_READ) {
		strcpy(r->read_path, path);
		r->read_at = at;
		r->read_len = len;
		return;
	} else if (call == SIM_RENAME || call == SIM_UNLINK) {
		saw_name(r, call, path);
	}
	if (call != SIM_CLOSE)
		run_say(r, "    disk: %s %s %" PRIu64 " %" PRIu64, sim_call_names[call], path, at, len);
}

static void say(void *ctx, int priority, const char *text)
{
	struct run *r = ctx;

	(void)priority;
	run_say(r, "  store: %s", text);
	if (strstr(text, "are in lost/")) {
		run_meet(r, TAIL_CUT);
		if (r->clean)
			model_fail(&r->model, "it was closed, and the store finds a torn tail");
	}
	if (strstr(text, "made the index"))
		run_meet(r, INDEX_MADE_AGAIN);
	/* A segment whose index went, and that did not go itself before the crash, is whole; its index is made again. */
	if (strstr(text, "damage at log position") && !strstr(text, "index") && !r->disk->stopped && !r->rotten)
		model_fail(&r->model, "nothing has rotted, and the store finds %s", text);
}

/* ---- starting a store ---- */

static void options(struct run *r, struct store_options *o)
{
	static const uint64_t sizes[4] = {8 * KiB, 16 * KiB, 16 * KiB, 32 * KiB};

	store_options_normal(o);
	o->segment_size = sizes[r->seed % 4];
	o->checkpoint_every = 24 * KiB;
	if (r->seed % 16 == 6)
		o->cache = o->segment_size;
	o->commit_timeout = 5 * (uint64_t)SECOND;
	o->owner = (struct owner){0, 0, 0755};
	o->retention_free = r->model.free_limit ? 256 * KiB : 0;
	o->say = say;
	o->say_ctx = r;
}

static void say_file(void *ctx, const char *path, uint64_t size)
{
	run_say(ctx, "    there is %s of %" PRIu64 " bytes", path, size);
}

struct store *run_start_store(struct run *r, struct simdisk *d)
{
	struct store_options o;
	char why[STORE_WHY];
	struct store *s;
	int err;

	options(r, &o);
	r->phase = RECOVERY;
	r->starting = d;
	d->was_full = false;
	r->read_path[0] = 0;
	r->counts->starts++;
	if (r->tell)
		simdisk_each(d, say_file, r);
	err = store_open_disk(&s, &d->disk, "simulated", &o, why);
	r->phase = RUNNING;
	r->clean = false;
	if (err && !d->stopped) {
		run_say(r, "the store does not start: %s (%s)", why, strerror(-err));
		if (r->healthy)
			model_fail(&r->model, "the store does not start: %s (%s)", why, strerror(-err));
		simdisk_stop(d);
	}
	if (err)
		return NULL;
	if (s->read_only) {
		run_meet(r, OPENED_READ_ONLY);
		if (r->healthy && !d->stopped)
			model_fail(&r->model, "the store opens for reading only");
	} else {
		run_meet(r, s->base.recovered_bytes ? LOG_REPLAYED : CHECKPOINT_LOADED);
	}
	return s;
}

/* ---- lives ---- */

static void make_trouble(struct run *r, struct simdisk *d)
{
	run_calm(d);
	r->healthy = true;
	switch (chance_of(r->world, 8)) {
	case 0:
		d->sync_fails = once_in(r->world, 2) ? 2 + (unsigned)chance_of(r->world, 6) : 4 + (unsigned)chance_of(r->world, 60);
		r->healthy = false;
		break;
	case 1:
		d->write_fails = 20 + (unsigned)chance_of(r->world, 100);
		r->healthy = false;
		break;
	case 2:
		d->sync_hangs = 30;
		break;
	case 3:
		d->budget = d->used + chance_of(r->world, 96 * KiB);
		r->healthy = false;
		break;
	case 4:
		d->write_short = 10;
		break;
	}
}

static void forget_lost(void *ctx, const char *path, uint64_t size)
{
	struct sim_name *to = ctx;

	(void)size;
	if (!strncmp(path, "lost/", 5))
		strcpy(to->path, path);
}

/* A person looks into lost/ and clears it up. */
static void clear_lost(struct simdisk *d)
{
	for (;;) {
		struct sim_name one = {0};
		simdisk_each(d, forget_lost, &one);
		if (!*one.path)
			return;
		simdisk_remove(d, one.path);
	}
}

void run_live(struct run *r, int things)
{
	r->over = false;
	r->left = 1 + (int)chance_of(r->world, (uint64_t)things);
	programs_start(r);
	programs_join(r);
	if (r->disk->failed)
		run_meet(r, SYNC_FAILED);
	if (!r->disk->stopped && log_failed(r->store->log))
		run_meet(r, WRITE_FAILED);
}

static void close_store(struct run *r)
{
	bool sound = r->store->log && !log_failed(r->store->log);

	if (!r->disk->stopped && once_in(r->world, 3)) {
		run_say(r, "the store is closed");
	} else if (!r->disk->stopped && once_in(r->world, 2)) {
		run_say(r, "a crash in the end");
		r->disk->crash_at = r->disk->calls + 1 + chance_of(r->world, 24);
	} else {
		simdisk_stop(r->disk);
	}
	store_close(r->store);
	r->store = NULL;
	if (!r->disk->stopped)
		run_meet(r, CLOSED);
	r->clean = sound && !r->disk->stopped;
}

static void one_life(struct run *r)
{
	struct simdisk *d = r->disk;

	make_trouble(r, d);
	d->crash_near = once_in(r->world, 2) ? 30 : 0;
	d->crash_at = once_in(r->world, 5) ? 0 : 1 + chance_of(r->world, once_in(r->world, 4) ? START_CALLS : 400);
	if (!d->now.count && once_in(r->world, 2))
		d->crash_at = 1 + chance_of(r->world, MAKE_CALLS);
	run_say(r, "======== a start");
	r->store = run_start_store(r, d);
	if (r->store && !d->stopped) {
		run_check(r, r->store, d);
		if (!r->store->read_only)
			run_live(r, THINGS);
		close_store(r);
	} else {
		run_meet(r, CRASHED_AT_START);
		run_end_store(r->store, d);
		r->store = NULL;
	}
	r->counts->calls += d->calls;
	if (d->failed)
		model_memory_lost(&r->model);
	if (d->stopped) {
		r->counts->crashes++;
		run_look_at_images(r);
	}
	r->disk = d->stopped ? run_left(r, d) : run_copy(r, d);
	simdisk_free(d);
	if (once_in(r->world, 4))
		clear_lost(r->disk);
	run_count_state(r, r->disk);
}

int run_seed(struct run *r)
{
	int err = world_new(&r->world, r->seed, stuck, r);

	if (!err)
		err = simdisk_new(&r->disk, r->world);
	if (!err)
		err = model_init(&r->model, r->world, broken, r);
	if (err)
		return err;
	world_enter(r->world);
	r->disk->saw = saw;
	r->disk->ctx = r;
	r->disk->ordered = once_in(r->world, 2);
	r->sized = once_in(r->world, 2);
	r->model.free_limit = once_in(r->world, 3);
	r->model.state.root = (struct owner){0, 0, 0755};
	for (int life = 0; life < LIVES && r->disk->now.count < NAMES_MANY; life++)
		one_life(r);
	r->counts->runs++;
	world_leave(r->world);
	model_end(&r->model);
	simdisk_free(r->disk);
	world_free(r->world);
	return 0;
}
