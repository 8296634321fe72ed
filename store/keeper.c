/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"
#include "checkpoint.h"
#include "repair.h"
#include "retain.h"
#include "runs.h"
#include "seal.h"
#include "spans.h"
#include "supply.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#define TICK 1000000000                /* ns between two looks while the store is used */
#define LONGEST_SLEEP INT64_C(3600000000000) /* ns: the clock may have been set meanwhile */
#define UNUSED 3000000000              /* ns after which a mapping nobody reads goes */
#define CHECKPOINT_FACTOR 16           /* a checkpoint waits for this many times its own size of log */
#define PREPARED 1u                    /* segments kept ready */
#define PREPARED_FAST 3u               /* and while one fills up within a tick */
#define RESERVE_LEAST (128u << 10)     /* bytes reserved beyond two checkpoints and the indexes of segments: what file systems take for the names */
#define RESERVE_SPARE (1u << 20)       /* and beyond that, so that these may grow on a full disk */
#define BUSY (16u << 20)               /* bytes appended since the last look with which zeroing would compete */

enum task { SEAL, CHECKPOINT, RESERVE, RETAIN, REBUILD, PREPARE, FIND, REPAIR, TASKS };

static const char *const task_names[TASKS] = {
	[SEAL] = "sealing a segment",
	[CHECKPOINT] = "making a checkpoint",
	[RESERVE] = "reserving room for checkpoints",
	[RETAIN] = "retention",
	[REBUILD] = "making a segment's index again",
	[PREPARE] = "preparing a segment",
	[FIND] = "looking for what is damaged",
	[REPAIR] = "writing back what was damaged",
};

struct keeper {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool poked, stopping;
	_Atomic bool asleep;           /* without a tick: the first commit must wake it */
	_Atomic uint64_t checkpoint_pos;
	_Atomic int64_t checkpoint_time;
	_Atomic uint64_t due;          /* position at which the next checkpoint is made */
	_Atomic uint64_t tried;        /* what was applied before the last one was begun: commits ask for no other of the same pair */
	_Atomic uint64_t seen;         /* the log's end at this look */
	_Atomic bool index_bad;        /* a segment's index was found damaged */
	_Atomic bool records_bad;      /* so were records */
	_Atomic bool full;             /* an append was refused for want of space since the last look began */
	/* the thread's */
	uint64_t seen_before;          /* the log's end at the look before */
	uint64_t applied;              /* what was at the last look at everything */
	uint64_t prepare_from;         /* the log's end at which the next segment may be prepared */
	int64_t retry;                 /* CLOCK_MONOTONIC ns before which one that failed is not tried again for the pair's sake */
	bool quiet;                    /* the next look is for unused mappings only */
	uint64_t unsealed_from;        /* the base of the first segment that is not sealed, or before it */
	uint64_t rebuild_from;
	uint64_t cached_from;          /* what is before it has left the page cache, or was written by an earlier process */
	bool rebuilt;
	bool finding;                  /* not all damage was found that is to be */
	int said[TASKS];               /* the last outcome of each: an error is told once */
};

static int64_t wall_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void tell(struct keeper *k, enum task task, int err)
{
	if (err && err != k->said[task])
		store_say(k->store, LOG_WARNING, "%s: %s", task_names[task], strerror(-err));
	k->said[task] = err;
}

static uint64_t checkpoint_distance(struct store *s)
{
	uint64_t by_size = CHECKPOINT_FACTOR * checkpoint_size(s);

	return by_size > s->options.checkpoint_every ? by_size : s->options.checkpoint_every;
}

/* The first segment that is not sealed, held; NULL: there is none. One that is sealed stays so: each is passed once. */
static struct segment *first_unsealed(struct keeper *k)
{
	struct segment *g = segments_find(k->store->segments, k->unsealed_from);

	while (g && g->sealed)
		g = segment_next(g);
	if (g)
		k->unsealed_from = g->head.base;
	return g;
}

/* Bytes for the indexes of the segments before the active one that have none yet, also where a checkpoint did not wait for them, and for
 * the one that is to be made again; *ACTIVE for that of the active one, as long as it is now. */
static uint64_t for_indexes(struct keeper *k, uint64_t *active)
{
	struct store *s = k->store;
	uint64_t base = log_active(s->log), bytes = s->index_wanted;

	*active = 0;
	for (struct segment *g = first_unsealed(k); g; g = segment_next(g)) {
		if (!g->sealed && g->head.base < base)
			bytes += runs_memory(g->runs);
		else if (!g->sealed)
			*active = runs_memory(g->runs);
	}
	return bytes;
}

static bool leaves_a_segment(struct store *s, uint64_t bytes)
{
	struct disk_space space;

	return disk_space(s->disk, &space) != 0 || space.free >= SEGMENT_HEADER + s->options.segment_size + bytes ||
		supply_ready(s->supply) > 0;
}

/*
 * What was given away of it is made again where the log keeps room for one more segment. Two checkpoints later the file of a segment that went may be
 * a little short for the next one: where there is no other left that could go, appends would wait for ever.
 */
static void keep_reserve(struct keeper *k)
{
	struct store *s = k->store;
	uint64_t active, least = 2 * checkpoint_size(s) + RESERVE_LEAST + for_indexes(k, &active), bytes;

	log_reserve(s->log, least);            /* without so much, and room for its own index, no segment is begun: none could ever go */
	least += active;
	bytes = least + RESERVE_SPARE;
	if (!leaves_a_segment(s, bytes)) {
		if (segments_count(s->segments) < 2)
			return;
		bytes = least;
	}
	tell(k, RESERVE, reserve_keep(s->disk, bytes));
}

int keeper_checkpoint(struct keeper *k)
{
	struct checkpoint_info info;
	int err = 0;

	if (k->store->read_only)       /* memory may not say any more what the log does: see state_command() */
		return -EROFS;
	err = checkpoint_write(k->store, &info);
	if (err)
		return err;
	k->checkpoint_pos = info.pos;
	k->checkpoint_time = wall_clock();
	k->due = info.pos + checkpoint_distance(k->store);
	return checkpoint_prune(k->store, 2);
}

/* How far the log's END is behind FROM. A cut takes it back, and of two positions that are read one after the other the second may be ahead. */
static uint64_t grown(uint64_t from, uint64_t end)
{
	return end > from ? end - from : 0;
}

/* Asked before each piece of zeros: appends come first. */
static bool may_fill(void *ctx)
{
	struct keeper *k = ctx;

	return !k->store->stopping && grown(k->seen_before, log_end(k->store->log)) < BUSY;
}

/* Segments to have ready: one once the active one is well begun, or where the log has grown as much since the look at SINCE; more while
 * segments fill up faster than the keeper looks. */
static unsigned wanted(struct store *s, uint64_t since)
{
	uint64_t quarter = s->options.segment_size / 4, end = log_end(s->log);

	if (grown(since, end) >= 4 * quarter)
		return PREPARED_FAST;
	return grown(since, end) >= quarter || grown(log_active(s->log), end) >= quarter ? PREPARED : 0;
}

/* The disk has room to spare, or retention would give back what is prepared. */
static bool has_room(const struct store *s)
{
	uint64_t prepared = PREPARED_FAST * s->options.segment_size;
	struct disk_space space;

	return disk_space(s->disk, &space) == 0 && space.free >= 2 * prepared && space.free - prepared >= s->options.retention_free;
}

/* A recycled file needs no room. One for which there was none is not tried again in each tick: for a quota that takes the whole rest of it. */
static bool wants_prepared(struct keeper *k)
{
	struct store *s = k->store;

	if (supply_filling(s->supply))
		return true;
	return k->seen >= k->prepare_from && supply_ready(s->supply) < wanted(s, k->seen_before) && has_room(s);
}

static void prepare(struct keeper *k)
{
	int err;

	if (!wants_prepared(k))
		return;
	err = supply_prepare(k->store->supply, wanted(k->store, k->seen_before), may_fill, k);
	k->prepare_from = disk_error_full(err) ? k->seen + k->store->options.segment_size / 4 : 0;
	tell(k, PREPARE, err);
}

/*
 * The page cache is everybody's on this machine, and a stream of messages would push out what the programs there have in it, and take new memory
 * for each page of its own. So each segment leaves it once, when it is so far behind the log's end; but not before who reads there has passed,
 * and what he comes to next stays for him.
 */
static void leave_cache(struct keeper *k)
{
	struct store *s = k->store;

	if (s->options.cache)
		k->cached_from = segments_leave_cache(s->segments, k->cached_from, grown(s->options.cache, k->seen));
}

static void rebuild(struct keeper *k)
{
	if (atomic_exchange(&k->index_bad, false)) {
		k->rebuild_from = segments_start(k->store->segments);
		k->rebuilt = false;
	}
	if (k->rebuilt)
		return;
	int made = seal_rebuild(k->store, &k->rebuild_from);

	if (made == 0)
		k->rebuilt = true;
	else
		tell(k, REBUILD, made < 0 ? made : 0);
}

/* Records that are not committed yet, and what could not be read now, are looked at again. */
static void repair(struct keeper *k)
{
	struct store *s = k->store;
	int err = repair_write(s);

	if (err != -ENOENT)
		tell(k, REPAIR, err);
	if (atomic_exchange(&k->records_bad, false) || k->finding) {
		tell(k, FIND, spans_find(s));
		k->finding = damage_any_new(s);
	}
}

/* Who counts is in a checkpoint at once: were its record to rot before, a start would go by the pair before it, and could commit alone. */
static bool pair_is_new(struct keeper *k, uint64_t since, uint64_t committed)
{
	struct pair_row last;

	return annals_last_pair(k->store->annals, &last) && last.pos >= since && last.pos < committed;
}

/* No checkpoint has it yet; on a node that is read-only none will. */
static bool pair_is_left(struct keeper *k)
{
	return !k->store->read_only && pair_is_new(k, k->checkpoint_pos, k->store->applied);
}

static bool wants_checkpoint(struct keeper *k)
{
	uint64_t applied = k->store->applied;

	return applied >= k->due || pair_is_new(k, k->tried, applied) || (pair_is_left(k) && commit_clock() >= k->retry);
}

/* One that failed is tried again a segment later, or in a tick where who counts is not in one yet. */
static void checkpoint(struct keeper *k)
{
	int err;

	k->tried = k->store->applied;
	err = keeper_checkpoint(k);

	if (err) {
		k->due = k->store->applied + k->store->options.segment_size;
		k->retry = commit_clock() + TICK;
	}
	tell(k, CHECKPOINT, err);
}

static bool is_of_age(struct keeper *k)
{
	int64_t now = wall_clock();

	return retain_next(k->store, now) <= now;
}

/*
 * One look at everything. True: look again in a tick. Where that is for unused mappings only, nothing else is looked at next time, unless
 * there is cause: retention uses mappings itself, and would keep them, and the ticks, for ever. Appends that a full disk refuses are cause
 * for a look a tick, however many they are.
 */
static bool look(struct keeper *k, bool poked)
{
	struct store *s = k->store;
	uint64_t end = log_end(s->log);
	bool full = atomic_exchange(&k->full, false), active = end != k->seen || full, need_checkpoint = false;

	if (k->quiet && !active && !poked && !is_of_age(k))
		return k->quiet = segments_trim(s->segments, UNUSED) > 0;
	k->applied = s->applied;
	k->seen_before = k->seen;
	k->seen = end;
	prepare(k);                    /* first: a segment under full load is full in a tenth of a second */
	keep_reserve(k);
	tell(k, SEAL, seal_committed(s));
	leave_cache(k);
	if (wants_checkpoint(k))
		checkpoint(k);
	int gone = retain_run(s, wall_clock(), &need_checkpoint);
	tell(k, RETAIN, gone < 0 ? gone : 0);
	if (need_checkpoint && s->applied > k->checkpoint_pos)
		checkpoint(k);
	rebuild(k);
	repair(k);
	active = retain_pins(s) || active || log_end(s->log) != end;
	active = active || !k->rebuilt || k->finding || wants_prepared(k) || gone > 0 || need_checkpoint;
	active = active || pair_is_left(k);
	k->quiet = segments_trim(s->segments, UNUSED) > 0 && !active;
	return active || k->quiet;
}

static void sleep_until(struct keeper *k, int64_t deadline)
{
	struct timespec t = {deadline / 1000000000, deadline % 1000000000};

	if (deadline == INT64_MAX)
		pthread_cond_wait(&k->wake, &k->lock);
	else
		pthread_cond_timedwait(&k->wake, &k->lock, &t);
}

/* When the next look is, on CLOCK_MONOTONIC. Ages go by the other clock, which may be set, and goes on while the machine is suspended. */
static int64_t next_look(struct keeper *k, bool again)
{
	int64_t now = wall_clock(), next;

	if (again)
		return commit_clock() + TICK;
	next = retain_next(k->store, now);
	if (next == INT64_MAX)
		return next;
	if (next > now + LONGEST_SLEEP)
		next = now + LONGEST_SLEEP;
	return commit_clock() + (next > now + TICK ? next - now : TICK);
}

/* Whether nothing is left to look at in a tick. What is committed or refused from here on wakes us; what was before found us awake, and so did
 * not. */
static bool fall_asleep(struct keeper *k)
{
	k->asleep = true;
	k->asleep = k->store->applied == k->applied && !k->full;
	return k->asleep;
}

static void *keeper(void *arg)
{
	struct keeper *k = arg;
	bool poked = false;

	for (;;) {
		bool again = look(k, poked) || !fall_asleep(k);
		int64_t deadline = next_look(k, again);
		pthread_mutex_lock(&k->lock);
		while (!k->poked && !k->stopping && commit_clock() < deadline)
			sleep_until(k, deadline);
		k->asleep = false;
		bool stop = k->stopping;
		poked = k->poked;
		k->poked = false;
		pthread_mutex_unlock(&k->lock);
		if (stop)
			return NULL;
	}
}

int keeper_start(struct keeper **to, struct store *s, uint64_t checkpoint_pos)
{
	struct keeper *k = calloc(1, sizeof *k);
	pthread_condattr_t monotonic;

	if (!k)
		return -ENOMEM;
	k->store = s;
	k->checkpoint_pos = k->tried = checkpoint_pos;
	k->checkpoint_time = checkpoint_made(s->disk, checkpoint_pos);
	k->due = checkpoint_pos + checkpoint_distance(s);
	k->seen = log_end(s->log);
	k->cached_from = log_active(s->log);
	k->rebuild_from = k->unsealed_from = segments_start(s->segments);
	k->records_bad = true;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*to = k;
	int err = -pthread_create(&k->thread, NULL, keeper, k);
	if (err) {
		*to = NULL;
		keeper_free(k);
	}
	return err;
}

void keeper_poke(struct keeper *k)
{
	pthread_mutex_lock(&k->lock);
	k->poked = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
}

/* A tick's wait is cut short for a checkpoint that is due, as recovery's time or who counts depends on it, and for a segment that fills up within the
 * tick: an appender that has to make the next one itself waits for a busy disk. */
void keeper_advanced(struct keeper *k, uint64_t committed)
{
	struct store *s = k->store;

	if (k->asleep || committed >= k->due || pair_is_new(k, k->tried, committed) || supply_ready(s->supply) < wanted(s, k->seen))
		keeper_poke(k);
}

void keeper_renew(struct keeper *k, enum damage_kind kind)
{
	if (kind == DAMAGE_INDEX)
		k->index_bad = true;
	else if (kind == DAMAGE_RECORD)
		k->records_bad = true;
	else if (kind == DAMAGE_CHECKPOINT)
		k->due = 0;
	else
		return;
	keeper_poke(k);
}

void keeper_full(struct keeper *k)
{
	k->full = true;
	if (k->asleep)
		keeper_poke(k);
}

void keeper_stop(struct keeper *k)
{
	pthread_mutex_lock(&k->lock);
	bool already = k->stopping;
	k->stopping = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	if (!already)
		pthread_join(k->thread, NULL);
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->wake);
	free(k);
}

void keeper_checkpoint_info(struct keeper *k, uint64_t *pos, int64_t *time)
{
	*pos = k->checkpoint_pos;
	*time = k->checkpoint_time;
}
