/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file "scrub", little endian: 0 "MQFS-SCR"; 8 u32 format version; 12 u32 0; 16 u64 base of the segment that the pass is at, 2^64-1
 * between passes; 24 i64 when the last pass began; 32 i64 when the last whole one ended, 0: none; 40 u64 passes; 48 u64 XXH3 with the
 * cluster's secret of bytes 0-47.
 *
 * A segment is held only while some of it is read, so that retention never waits for long: between two steps it may go.
 */
#include "scrub.h"
#include "bytes.h"
#include "checkpoint.h"
#include "index.h"
#include "scan.h"
#include "seal.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define SCRUB_MAGIC "MQFS-SCR"
#define SCRUB_SIZE 56u
#define BETWEEN UINT64_MAX             /* the file's position when no pass is under way */
#define SECOND INT64_C(1000000000)
#define PASS_EVERY (7 * 24 * 3600 * SECOND)
#define LONGEST_SLEEP (3600 * SECOND)  /* the clock may have been set meanwhile */
#define SAVE_EVERY (600 * SECOND)
#define BUSY_SHARE 4u                  /* the part of the rate that is used while messages come in */
#define CHECKPOINTS 64

struct scrub {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping, poked;          /* guarded by the lock */
	_Atomic bool asked;            /* for a pass now; until it has begun */
	bool running;                  /* the thread is */
	/* the pass; changed by who steps only */
	_Atomic bool under_way;
	_Atomic uint64_t pos, end;
	_Atomic uint64_t bytes, passes, found;
	_Atomic int64_t began, ended;
	struct scan *scan;             /* of the segment BASE; NULL: none begun */
	uint64_t base;
	uint64_t chain;                /* header checksum of the record before pos */
	bool chain_known;
	int64_t saved;                 /* when the file was written last, CLOCK_MONOTONIC */
	int said;
};

static int64_t wall_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* ---- where it is ---- */

static int save(struct scrub *c)
{
	uint8_t bytes[SCRUB_SIZE] = {0};
	struct store *s = c->store;
	int err;

	if (s->read_only)
		return 0;
	memcpy(bytes, SCRUB_MAGIC, 8);
	put32(bytes + 8, FORMAT_VERSION);
	put64(bytes + 16, !c->under_way ? BETWEEN : c->scan ? c->base : c->pos);
	put64(bytes + 24, (uint64_t)c->began);
	put64(bytes + 32, (uint64_t)c->ended);
	put64(bytes + 40, c->passes);
	put64(bytes + 48, XXH3_64bits_withSecret(bytes, 48, s->id.secret, RECORD_SECRET));
	err = disk_replace(s->disk, SCRUB_FILE, bytes, sizeof bytes, 0600);
	c->saved = commit_clock();
	if (err && err != c->said)
		store_say(s, LOG_WARNING, "keeping the place of the scrub: %s", strerror(-err));
	c->said = err;
	return err;
}

static void load(struct scrub *c)
{
	uint8_t *bytes;
	void *file;
	size_t len;

	if (disk_load(c->store->disk, SCRUB_FILE, SCRUB_SIZE, &file, &len))
		return;
	bytes = file;
	if (len == SCRUB_SIZE && !memcmp(bytes, SCRUB_MAGIC, 8) && get32(bytes + 8) == FORMAT_VERSION &&
		get64(bytes + 48) == XXH3_64bits_withSecret(bytes, 48, c->store->id.secret, RECORD_SECRET)) {
		c->under_way = get64(bytes + 16) != BETWEEN;
		c->pos = c->under_way ? get64(bytes + 16) : 0;
		c->end = c->under_way ? atomic_load(&c->store->applied) : 0;
		c->began = (int64_t)get64(bytes + 24);
		c->ended = (int64_t)get64(bytes + 32);
		c->passes = get64(bytes + 40);
	}
	free(bytes);
}

/* ---- a pass ---- */

static void damaged(struct scrub *c, enum damage_kind kind, uint64_t pos, const char *what)
{
	c->found++;
	store_damaged(c->store, kind, pos, what);
}

/* Those that the keeper has removed meanwhile are none. */
static int check_checkpoints(struct scrub *c, uint64_t *read)
{
	struct store *s = c->store;
	struct checkpoint_info info;
	uint64_t pos[CHECKPOINTS];
	size_t count;
	int err = checkpoint_list(s->disk, pos, CHECKPOINTS, &count);

	for (size_t i = 0; !err && i < count; i++) {
		err = checkpoint_check(s->disk, s->id.secret, pos[i], &info);
		if (disk_error_passes(err))
			return err;
		if (!err)
			*read += info.size;
		else if (err != -ENOENT)
			damaged(c, DAMAGE_CHECKPOINT, pos[i], "a checkpoint");
		err = 0;
	}
	return err;
}

static int begin_pass(struct scrub *c, uint64_t *read)
{
	int err;

	c->found = 0;
	err = check_checkpoints(c, read);
	if (err)
		return err;
	c->pos = segments_start(c->store->segments);
	c->end = atomic_load(&c->store->applied);
	c->chain_known = false;
	c->began = wall_clock();
	c->under_way = true;
	c->asked = false;
	return 0;
}

static void leave(struct scrub *c)
{
	scan_close(c->scan);
	c->scan = NULL;
}

static int end_pass(struct scrub *c)
{
	leave(c);
	c->pos = c->end;
	c->under_way = false;
	c->passes++;
	c->ended = wall_clock();
	save(c);
	return 0;
}

static int check_head(struct scrub *c, const struct segment *seg)
{
	struct store *s = c->store;
	struct segment_head h;
	char name[32];
	int fd, err;

	segment_name(name, seg->head.base);
	fd = disk_open(s->disk, name, O_RDONLY, 0);
	err = fd < 0 ? fd : segment_head_read(s->disk, fd, &h, s->id.secret);
	disk_close(s->disk, fd);
	if (disk_error_passes(err))
		return err;
	if (err || h.base != seg->head.base || h.cluster != s->id.cluster) {
		damaged(c, DAMAGE_HEADER, seg->head.base, "a segment's header");
		return 0;
	}
	if (c->chain_known && h.chain != c->chain)
		damaged(c, DAMAGE_RECORD, h.base, "a segment that does not follow the one before it");
	c->chain = h.chain;
	c->chain_known = true;
	return 0;
}

/* Begins with SEG, or goes on in it. */
static int enter(struct scrub *c, const struct segment *seg)
{
	struct store *s = c->store;
	int err;

	if (c->scan && c->base == seg->head.base)
		return 0;
	leave(c);
	if (c->pos != seg->head.base)  /* a pass of an earlier start was here, or segments have gone */
		c->chain_known = false;
	c->pos = c->base = seg->head.base;
	err = check_head(c, seg);
	if (!err)
		err = scan_open(&c->scan, s->disk, s->id.secret, c->base);
	if (err)
		return err;
	scan_once(c->scan);
	if (c->chain_known)
		scan_expect_chain(c->scan, c->chain);
	return 0;
}

static int check_index(struct scrub *c, struct segment *seg, uint64_t *read)
{
	struct store *s = c->store;
	struct stat st;
	char name[40];
	int err = seal_check_index(s, seg);

	if (disk_error_passes(err))
		return err;
	segment_index_name(name, seg->head.base);
	if (disk_stat(s->disk, name, &st) == 0)
		*read += (uint64_t)st.st_size;
	if (err)
		seal_index_bad(s, seg);
	c->found += err && err != -ENOENT;
	return 0;
}

static void judge(struct scrub *c, const struct record *r, enum scan_found found)
{
	if (found == SCAN_DAMAGED) {
		damaged(c, DAMAGE_RECORD, scan_begin(c->scan), "a record");
		c->chain_known = false;
		return;
	}
	if (!scan_chained(c->scan))
		damaged(c, DAMAGE_RECORD, r->pos, "a record that does not follow the one before it");
	else if (found == SCAN_BODY)
		damaged(c, DAMAGE_RECORD, r->pos, "a record's body");
	c->chain = r->sum;
	c->chain_known = true;
}

/* Records of SEG before LIMIT, until MAX bytes are read: 1; 0: all are. */
static int check_records(struct scrub *c, uint64_t limit, uint64_t max, uint64_t *read)
{
	enum scan_found found;
	struct record r;
	const void *body;

	scan_limit(c->scan, limit);
	while (*read < max && !c->store->stopping) {
		uint64_t at = scan_pos(c->scan);
		int err = scan_next(c->scan, &r, &body, &found);

		if (disk_error_passes(err))
			return err;
		if (err) {
			damaged(c, DAMAGE_RECORD, at, "a place that the disk does not read");
			c->chain_known = false;
			scan_pass_unreadable(c->scan);
		} else if (found == SCAN_END) {
			return 0;
		} else {
			judge(c, &r, found);
		}
		*read += scan_pos(c->scan) - at;
		c->pos = scan_pos(c->scan) < limit ? scan_pos(c->scan) : limit;
	}
	return 1;
}

/* 1: there is more of SEG to do. */
static int check_segment(struct scrub *c, struct segment *seg, uint64_t max, uint64_t *read)
{
	uint64_t limit = seg->end < c->end ? seg->end : atomic_load(&c->end);
	int err = enter(c, seg);

	if (err && !disk_error_passes(err)) {
		damaged(c, DAMAGE_RECORD, seg->head.base, "a segment that cannot be read");
		c->chain_known = false;
		err = 0;
	} else if (!err) {
		err = check_records(c, limit, max, read);
		if (!err && scan_pos(c->scan) < limit) {
			damaged(c, DAMAGE_RECORD, scan_pos(c->scan), "the end of a segment");
			c->chain_known = false;
		}
	}
	if (err)
		return err;
	leave(c);
	c->pos = limit;
	return seg->sealed ? check_index(c, seg, read) : 0;
}

int scrub_step(struct scrub *c, uint64_t max)
{
	uint64_t read = 0;
	int err = c->under_way ? 0 : begin_pass(c, &read);

	while (err >= 0 && read < max && c->pos < c->end && !c->store->stopping) {
		struct segment *seg = segments_find(c->store->segments, c->pos);
		if (!seg || seg->head.base >= c->end) {
			if (!seg)
				damaged(c, DAMAGE_RECORD, c->pos, "records that should be there");
			c->pos = atomic_load(&c->end);
			if (seg)
				segment_put(seg);
			break;
		}
		err = check_segment(c, seg, max, &read);
		segment_put(seg);
		if (!err && commit_clock() - c->saved >= SAVE_EVERY)
			save(c);
	}
	c->bytes += read;
	if (err < 0)
		return err;
	return c->pos < c->end ? 1 : end_pass(c);
}

/* ---- the thread ---- */

/* A disk that serves by priority serves all others first. Not the idle class: a read that never ends would hold its segment, for which
 * retention waits. The processor's share is left alone: it is little, and a lock held by who gets none is worse. */
static void lower_priority(void)
{
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IOPRIO_BE_NR - 1));
}

/* How long until the next pass is due, at most LONGEST_SLEEP; a time that lies ahead of the clock counts for nothing. */
static int64_t before_pass(const struct scrub *c)
{
	int64_t now = wall_clock(), due = c->began + PASS_EVERY;

	if (c->under_way || c->asked || !c->ended || c->began > now || due <= now)
		return 0;
	return due - now < LONGEST_SLEEP ? due - now : LONGEST_SLEEP;
}

int64_t scrub_work(struct scrub *c, uint64_t *log_seen)
{
	uint64_t rate = c->store->options.scrub_rate, end = log_end(c->store->log), before = c->bytes;
	int64_t now = commit_clock(), pause = before_pass(c);

	if (pause)
		return now + pause;
	if (end != *log_seen && rate >= BUSY_SHARE)
		rate /= BUSY_SHARE;
	*log_seen = end;
	scrub_step(c, rate);
	pause = (int64_t)((double)(c->bytes - before) / (double)rate * (double)SECOND);
	return now + (pause > SECOND ? pause : SECOND);
}

static void *scrub(void *arg)
{
	struct scrub *c = arg;
	uint64_t log_seen = log_end(c->store->log);
	bool stop = false;

	lower_priority();
	while (!stop) {
		int64_t until = scrub_work(c, &log_seen);
		struct timespec t = {until / SECOND, until % SECOND};
		pthread_mutex_lock(&c->lock);
		while (!c->stopping && !c->poked && commit_clock() < until)
			pthread_cond_timedwait(&c->wake, &c->lock, &t);
		c->poked = false;
		stop = c->stopping;
		pthread_mutex_unlock(&c->lock);
	}
	return NULL;
}

int scrub_new(struct scrub **to, struct store *s)
{
	struct scrub *c = calloc(1, sizeof *c);
	pthread_condattr_t monotonic;

	if (!c)
		return -ENOMEM;
	c->store = s;
	c->saved = commit_clock();
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	load(c);
	*to = c;
	return 0;
}

int scrub_start(struct scrub **to, struct store *s)
{
	int err = scrub_new(to, s);

	if (err)
		return err;
	err = -pthread_create(&(*to)->thread, NULL, scrub, *to);
	(*to)->running = !err;
	return err;
}

void scrub_now(struct scrub *c)
{
	pthread_mutex_lock(&c->lock);
	c->asked = !c->under_way;
	c->poked = !c->under_way;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

void scrub_stop(struct scrub *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (c->running)
		pthread_join(c->thread, NULL);
	c->running = false;
	if (c->under_way)
		save(c);
}

void scrub_free(struct scrub *c)
{
	if (!c)
		return;
	leave(c);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->wake);
	free(c);
}

void scrub_status(struct scrub *c, struct scrub_status *to)
{
	*to = (struct scrub_status){.rate = c->store->options.scrub_rate, .under_way = c->under_way, .pos = c->pos, .end = c->end,
		.bytes = c->bytes, .passes = c->passes, .found = c->found, .began = c->began, .ended = c->ended};
}
