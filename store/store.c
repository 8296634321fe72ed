/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"
#include "apply.h"
#include "checkpoint.h"
#include "keeper.h"
#include "log.h"
#include "make.h"
#include "parts.h"
#include "recover.h"
#include "repair.h"
#include "retain.h"
#include "scrub.h"
#include "spans.h"
#include "supply.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define MiB ((uint64_t)1 << 20)

void store_options_normal(struct store_options *o)
{
	memset(o, 0, sizeof *o);
	settings_normal(&o->settings);
	o->create = true;
	o->commit_timeout = 5000000000u;
	o->segment_size = 64 * MiB;
	o->checkpoint_every = 256 * MiB;
	o->hold_bytes = 16384 * MiB;
	o->cache = 1024 * MiB;
	o->owner = (struct owner){getuid(), getgid(), 0755};
}

void store_say(struct store *s, int priority, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (s->options.say)
		s->options.say(s->options.say_ctx, priority, text);
}

/* ---- what the committer calls ---- */

static uint64_t allowed(void *ctx, uint64_t to)
{
	return member_allowed(ctx, to);
}

static int replay(void *ctx, uint64_t to)
{
	return apply_from_log(ctx, to);
}

static void synced(void *ctx, uint64_t to)
{
	(void)to;
	member_synced(ctx);
}

static void applied(void *ctx, const struct log_entry *entries, size_t count)
{
	struct store *s = ctx;
	const struct log_entry *last = &entries[count - 1];

	topics_apply_lock(s->topics);
	for (size_t i = 0; i < count; i++) {
		const struct log_entry *e = &entries[i];
		if (e->queue)
			state_messages(e->queue, e->queue_end, e->messages, e->pos, e->time, e->flags);
		else if (e->command)
			state_command(s, e->command, e);
		s->applied = e->end;
		if (e->queue)
			watch_committed(s, e->queue);
	}
	s->applied_at = (struct log_start){.pos = last->end, .chain = last->chain, .epoch = last->epoch, .time = last->time};
	topics_apply_unlock(s->topics);
}

static void advanced(void *ctx, uint64_t committed)
{
	struct store *s = ctx;

	watch_deliver(s);
	member_committed(s);
	progress_moved(&s->progress);
	if (s->keeper)
		keeper_advanced(s->keeper, committed);
}

static void failed(void *ctx, int err)
{
	struct store *s = ctx;

	store_say(s, LOG_CRIT, "the log could not be written (%s): nothing more is accepted; find out what is wrong with the disk, then start mqfs again",
		strerror(-err));
	watch_fail(s, err);
	progress_moved(&s->progress);
}

/* ---- opening ---- */

static int open_disk(struct store *s, const char *path, char *why)
{
	struct disk *slow;
	int err = disk_open_directory(&s->disk, path);

	if (err) {
		snprintf(why, STORE_WHY, "%s", err == -ENOTDIR ? "is not a directory" : strerror(-err));
		return err;
	}
	if (!s->options.sync_delay)
		return 0;
	err = disk_open_slow(&slow, s->disk, s->options.sync_delay);
	if (!err)
		s->disk = slow;
	return err;
}

static int take_lock(struct store *s, char *why)
{
	char text[4200], *line;
	void *other;
	size_t len, line_len;
	int err;

	s->lock_fd = disk_open(s->disk, "lock", O_RDWR | O_CREAT, 0644);
	if (s->lock_fd < 0) {
		snprintf(why, STORE_WHY, "cannot be written to: %s", strerror(-s->lock_fd));
		return s->lock_fd;
	}
	err = disk_lock(s->disk, s->lock_fd);
	if (err == -EBUSY) {
		line = disk_load(s->disk, "lock", sizeof text, &other, &len) == 0 ? other : NULL;
		line_len = line ? strnlen(line, len) : 0;
		if (line_len && memchr(line, '\n', line_len))
			line_len = (size_t)((char *)memchr(line, '\n', line_len) - line);
		snprintf(why, STORE_WHY, "is in use by another mqfs (pid and mountpoint: %.*s)", line_len ? (int)line_len : 7,
			line_len ? line : "unknown");
		free(line);
		return err;
	}
	if (err) {
		snprintf(why, STORE_WHY, "cannot be locked: %s", strerror(-err));
		return err;
	}
	len = (size_t)snprintf(text, sizeof text, "%d %s\n", (int)getpid(), s->options.mountpoint ? s->options.mountpoint : "-");
	err = disk_truncate(s->disk, s->lock_fd, 0);
	if (!err)
		err = disk_write(s->disk, s->lock_fd, text, len, 0);
	return disk_error_full(err) ? 0 : err;      /* a full disk is no reason not to start: the lock itself is taken */
}

static int load_identity(struct store *s, char *why)
{
	int err = identity_load(s->disk, &s->id);

	if (err == -ENOENT)
		snprintf(why, STORE_WHY, "is not a store: it has no file \"%s\"", IDENTITY_FILE);
	else if (err == -EPROTONOSUPPORT)
		snprintf(why, STORE_WHY, "is of a newer format than this mqfs knows (%u)", FORMAT_VERSION);
	else if (err == -EBADMSG)
		snprintf(why, STORE_WHY, "has a damaged file \"%s\": put it back from a copy", IDENTITY_FILE);
	else if (err)
		snprintf(why, STORE_WHY, "%s: %s", IDENTITY_FILE, strerror(-err));
	return err;
}

/* Before anything is written there, the lock file included. */
static int refuse_newer(struct store *s, char *why)
{
	return identity_load(s->disk, &s->id) == -EPROTONOSUPPORT ? load_identity(s, why) : 0;
}

/* A store of an older format becomes one of this before anything is written to it that the older does not know. */
static int upgrade(struct store *s)
{
	int err;

	if (s->id.format == FORMAT_VERSION)
		return 0;
	s->id.format = FORMAT_VERSION;
	err = identity_save(s->disk, &s->id);
	while (disk_error_full(err) && reserve_release(s) == 0)
		err = identity_save(s->disk, &s->id);
	return err;
}

static int make_tables(struct store *s)
{
	int err = topics_new(&s->topics, s);

	if (!err)
		err = segments_new(&s->segments, s->disk, s->id.secret);
	if (!err)
		err = annals_new(&s->annals);
	if (!err)
		err = watch_start(&s->watch, s);
	return err;
}

static int start_log(struct store *s, struct recovered *r)
{
	struct log_settings settings = {.segment_size = s->options.segment_size, .annals = s->annals, .progress = &s->progress};
	struct commit_calls calls = {allowed, replay, synced, applied, advanced, failed, s};
	int err = supply_new(&s->supply, s->disk, SEGMENT_HEADER + s->options.segment_size);

	if (!err)
		err = log_new(&s->log, s->disk, s->id.secret, s->id.cluster, s->segments, s->supply, &r->start, &settings);
	if (!err && r->active)
		err = log_adopt(s->log, r->active, r->active_fd, r->active_room);
	if (!err)
		r->active_fd = -1, r->active = NULL;
	if (!err)
		err = commit_start(&s->commit, s->log, s->applied, (int64_t)s->options.commit_timeout, &calls);
	return err;
}

struct commit_waiter {
	struct follower follow;
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool done;
	int err;
};

static void commit_done(struct follower *f, int err)
{
	struct commit_waiter *w = (struct commit_waiter *)f;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->err = err;
	pthread_cond_signal(&w->told);
	pthread_mutex_unlock(&w->lock);
}

/* However long the disk takes: nobody waits for an answer yet. */
static int wait_committed(struct store *s, uint64_t pos)
{
	struct commit_waiter w = {.follow = {.pos = pos, .done = commit_done}, .lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};
	int err;

	do {
		w.done = false;
		err = commit_follow(s->commit, &w.follow);
		pthread_mutex_lock(&w.lock);
		while (!err && !w.done)
			pthread_cond_wait(&w.told, &w.lock);
		pthread_mutex_unlock(&w.lock);
	} while (!err && w.err == -ETIMEDOUT);
	return err ? err : w.err;
}

static int load_promise(struct store *s, char *why)
{
	int err = promise_load(s->disk, &s->id, &s->member.promise);

	s->member.promised = !err;
	if (err && err != -ENOENT)
		snprintf(why, STORE_WHY, "what it has promised to other nodes cannot be read (file \"%s\": %s): start it blank, as a standby",
			PROMISE_FILE, err == -EBADMSG ? "damaged" : strerror(-err));
	return err == -ENOENT ? 0 : err;
}

/* LAST is the epoch that the log ends with. */
static int keep_promise(struct store *s, const struct epoch *last, char *why)
{
	struct member *m = &s->member;

	if (!m->promised)
		m->promise = promise_of_log(&s->id, last);
	if (!s->options.standby && !m->promise.own) {
		snprintf(why, STORE_WHY, "has another primary, in reign %" PRIu32 ": start it as that one's standby, and promote it where needed",
			m->promise.reign.number);
		return -EPERM;
	}
	return 0;
}

/* A restart of the same primary keeps its reign and raises `start`. Nothing is committed in an epoch before its first record is; a node that
 * needs no other one for that waits for it, so that all of its log is there when the store is open. */
static int begin_epoch(struct store *s)
{
	int err = member_begin_epoch(s, false);

	return !err && !member_needs_others(s) ? wait_committed(s, log_tail(s->log).pos) : err;
}

/* The root's owner is state like any other: the log's first command says who made the store. */
static int own_root(struct store *s)
{
	struct command *c = command_new_waited();
	int err = c ? command_wait(c, store_set_owner(s, c, NULL, NULL, OWNER_UID | OWNER_GID | OWNER_MODE, &s->options.owner)) : -ENOMEM;

	return err == -ETIMEDOUT ? 0 : err;    /* it is in the log, and takes effect when the disk has got round to it */
}

/* Before the log says whose the root is, it is the caller's. */
static bool lend_root(struct store *s)
{
	bool ownerless = topics_root(s->topics)->uid == OWNER_NOBODY;

	if (ownerless)
		*topics_root(s->topics) = s->options.owner;
	return ownerless;
}

/* What it has, it shows once a primary announces it, and acknowledges all of it, though nothing more may ever come that has to be synced. */
static int begin_as_standby(struct store *s)
{
	log_refuse(s->log, -EROFS);
	commit_hurry(s->commit);
	return 0;
}

static int start(struct store *s, char *why)
{
	struct recovered r;
	uint64_t newest = 0;
	size_t count;
	int err;

	topics_root(s->topics)->uid = OWNER_NOBODY;
	err = load_promise(s, why);
	if (!err)
		err = recover(s, &r, why);
	if (err)
		return err;
	queues_begin(s);
	s->read_only = r.read_only;
	s->base.recovered_bytes = r.replayed;
	spans_tell_missing(s);
	if (s->read_only) {
		lend_root(s);
		return 0;
	}
	if (!err)
		err = keep_promise(s, &r.start.epoch, why);
	if (!err && s->options.ready)
		err = s->options.ready(s->options.ready_ctx, why);
	if (!err)
		err = start_log(s, &r);
	if (r.active)
		segment_put(r.active);
	disk_close(s->disk, r.active_fd);
	s->member.known = r.committed;
	if (!err && s->options.standby)
		err = begin_as_standby(s);
	else if (!err)
		err = begin_epoch(s);
	if (!err && lend_root(s) && !s->options.standby && !log_refusing(s->log))
		err = own_root(s);
	if (!err) {
		checkpoint_list(s->disk, &newest, 1, &count);
		err = keeper_start(&s->keeper, s, newest);
	}
	if (!err && s->options.scrub_rate)
		err = scrub_start(&s->scrub, s);
	if (err && !why[0])
		snprintf(why, STORE_WHY, "cannot be started: %s", strerror(-err));
	return err;
}

static int open_store(struct store *s, char *why)
{
	int err = 0;

	if (s->options.create && !s->options.read_only)
		err = store_check_foreign(s->disk, why);
	if (!err && !s->options.read_only)
		err = refuse_newer(s, why);
	if (!err && !s->options.read_only)
		err = take_lock(s, why);
	if (!err && s->options.create && !s->options.read_only)
		err = store_make(s->disk, why);
	if (!err)
		err = load_identity(s, why);
	if (!err && !s->options.read_only)
		err = upgrade(s);
	if (!err)
		err = make_tables(s);
	if (!err)
		err = start(s, why);
	return err;
}

static int open_directory(struct store *s, char *why)
{
	int err = s->options.create && !s->options.read_only ? store_make_directory(s->path, why) : 0;

	return err ? err : open_disk(s, s->path, why);
}

int store_open(struct store **to, const char *path, const struct store_options *o, char why[STORE_WHY])
{
	return store_open_disk(to, NULL, path, o, why);
}

int store_open_disk(struct store **to, struct disk *d, const char *path, const struct store_options *o, char why[STORE_WHY])
{
	struct store *s = calloc(1, sizeof *s);
	struct timespec t;
	int err;

	why[0] = 0;
	if (!s) {
		disk_free(d);
		snprintf(why, STORE_WHY, "out of memory");
		return -ENOMEM;
	}
	s->disk = d;
	s->options = *o;
	s->lock_fd = -1;
	pthread_mutex_init(&s->damage_lock, NULL);
	pthread_mutex_init(&s->member.lock, NULL);
	progress_init(&s->progress);
	s->member.hold = UINT64_MAX;
	s->member.role = o->standby ? ROLE_STANDBY : ROLE_PRIMARY;
	s->member.quorum.first_end = UINT64_MAX;
	clock_gettime(CLOCK_REALTIME, &t);
	s->base.start_time = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	snprintf(s->path, sizeof s->path, "%s", path);
	err = d ? 0 : open_directory(s, why);
	if (!err)
		err = open_store(s, why);
	if (err) {
		if (!why[0])
			snprintf(why, STORE_WHY, "%s", strerror(-err));
		store_stop(s);
		store_close(s);
		return err;
	}
	*to = s;
	return 0;
}

void store_stop(struct store *s)
{
	if (atomic_exchange(&s->stopping, true))
		return;
	if (s->commit)
		commit_stop(s->commit);        /* before the keeper, which may wait for a commit, too */
	if (s->keeper)
		keeper_stop(s->keeper);
	if (s->watch)
		watch_fail(s, -ENOTCONN);
	watch_stop(s->watch);
	if (s->scrub)
		scrub_stop(s->scrub);
}

void store_close(struct store *s)
{
	uint64_t pos;
	int64_t time;
	int err;

	store_stop(s);
	if (s->keeper && !s->read_only && !log_failed(s->log)) {
		keeper_checkpoint_info(s->keeper, &pos, &time);
		err = s->applied > pos ? keeper_checkpoint(s->keeper) : 0;
		if (err)
			store_say(s, LOG_WARNING, "no checkpoint at the end: %s; the next start reads more of the log", strerror(-err));
	}
	watch_free(s->watch);
	scrub_free(s->scrub);
	keeper_free(s->keeper);
	repair_drop(s);
	commit_free(s->commit);
	log_free(s->log);
	supply_free(s->supply);
	segments_free(s->segments);
	annals_free(s->annals);
	topics_free(s->topics);
	if (s->disk) {
		disk_close(s->disk, s->lock_fd);
		disk_free(s->disk);
	}
	pthread_mutex_destroy(&s->damage_lock);
	pthread_mutex_destroy(&s->member.lock);
	progress_destroy(&s->progress);
	free(s);
}

/* ---- using it ---- */

int store_append(struct queue *q, const struct batch *b, struct place *to)
{
	struct store *s = q->topic->store;
	struct append a = {.type = RECORD_MESSAGES, .flags = b->flags, .messages = b->messages, .queue = q, .iov = b->iov, .iovcnt = b->iovcnt,
		.uid = b->uid, .pid = b->pid, .later = b->later};
	int err;

	if (s->read_only)
		return -EROFS;
	if (s->stopping)
		return -ENOTCONN;
	err = log_append(s->log, &a, commit_point(s->commit));
	if (err == -EIO)
		commit_hurry(s->commit);       /* so that everyone who waits hears of it now */
	if (disk_error_full(err))
		keeper_full(s->keeper);
	if (err)
		return err;
	if (!b->later)
		commit_appended(s->commit, queue_watched(q));
	to->offset = a.offset;
	to->end = a.end;
	return 0;
}

int store_append_end(struct queue *q, uint64_t end)
{
	struct store *s = q->topic->store;
	int err = log_wait_written(s->log, end);

	if (err)
		commit_hurry(s->commit);
	else
		commit_appended(s->commit, queue_watched(q));
	return err;
}

int store_refusing(struct store *s)
{
	return s->log ? log_refusing(s->log) : -EROFS;
}

int store_wait_written(struct store *s, uint64_t end)
{
	return log_wait_written(s->log, end);
}

int store_follow(struct store *s, struct follower *f)
{
	return s->commit ? commit_follow(s->commit, f) : -EROFS;
}

bool store_unfollow(struct store *s, struct follower *f)
{
	return s->commit && commit_unfollow(s->commit, f);
}

uint64_t store_backlog(struct store *s)
{
	return commit_backlog(s->commit);
}

uint64_t store_committed(struct store *s)
{
	return s->applied;
}

const struct settings *store_settings(struct store *s)
{
	return &s->options.settings;
}

uint64_t queue_appended(struct queue *q)
{
	return atomic_load(&q->appended);
}

uint64_t queue_retained(struct queue *q)
{
	uint64_t head = q->head, end = q->committed;

	return end > head ? end - head : 0;
}
