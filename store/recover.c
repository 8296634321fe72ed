/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery
 *
 * 1. The newest valid checkpoint gives the state at its position K. Only the log from K on is read (from the start of K's segment, or of the
 *    one that ends at K, when that is unsealed, for its runs are only in memory; of older segments not even the headers), so the
 *    cost does not follow the size of the store.
 * 2. The survey walks that part once. It finds every place that holds no valid record, and C, the greatest commit
 *    point that any valid record, the checkpoint or the end of a sealed segment tells of. C was durable before it was written down, so
 *    everything before C was once synced: what is invalid there has rotted. It is reported and stays; what stands behind it is readable.
 * 3. The first invalid place at or behind C is where the last process was interrupted: the torn tail, P. Pages reach the disk in any
 *    order, so valid records may stand behind it. None of them was acknowledged, because none was committed: whoever follows P
 *    cannot have been told before P was synced. They are cut too, for a queue with a hole in it would be worse.
 *    The tail is copied to lost/, then zeroed, then synced, behind 4 and before anything is appended: no record of the old end can
 *    be taken for the new end's.
 * 4. What stands between C and P may be in the page cache only, and may have failed to reach the disk without anybody knowing: the error
 *    went to a process that is gone. So it is written again, the same bytes, and synced, before it is shown; not to the same pages, for
 *    their word is not to be trusted either (tail.c). When that fails, the store opens for reading, up to C. The same holds for the header and the name of a segment that begins at C or behind: nothing in it was
 *    committed, so nobody has synced them yet, and the log would go on in a file that a power cut takes away. So they are made durable even
 *    when C and P are the same. And so are all names: whoever was killed between a rename and the sync of its directory has left an identity file
 *    or a checkpoint that we see, build on (segments go because of it), and would not find again.
 * 5. The records from K to C are applied, those up to P make the runs of the unsealed segments. What stands between C and P was never known
 *    to be committed: it is applied like anything else, once the commit point has passed it. On a node that needs no other one this is so
 *    when its new epoch's first record is on its disk; else when the other node has it too; on a standby when its primary says so.
 * 6. Damage before C that hides what happened there, a record's header or a command, leaves the state behind it unknown. A node that cannot commit
 *    without another one applies nothing from there on: the other one has the record, and it is repaired (repair.h) before what is behind
 *    it is applied, as in 5. So no two nodes ever disagree on what the log says. Where nobody has it, and on a node that does not wait for
 *    another one, the damage is passed over (apply.c).
 *
 * A standby writes what another node sends, and C is what that node had committed: it may lie behind what this node had synced, and prove
 * nothing of its disk. What a node has certainly synced, D, is told by the checkpoint, by sealed segments, and by the records of epochs that
 * it was the primary of: there C was written down by itself. So on a node that was alone all its life D is C. Where the above speaks of rot
 * before C and the torn tail behind it, the place that counts is D: a record before it was here once, one behind it may never have been.
 * A standby's log ends at its first invalid record behind D, and it gets the rest again.
 */
#include "recover.h"
#include "checkpoint.h"
#include "forbidden.h"
#include "index.h"
#include "runs.h"
#include "supply.h"
#include "survey.h"
#include "tail.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

/* Up to where there is anything to show, and up to where it is known to be committed. */
struct limits {
	uint64_t end, applied;
};

/* What a record behind the checkpoint amounts to. BODY is NULL where it is not valid. */
static int replay_state(struct store *s, const struct record *r, const void *body, bool apply)
{
	int err = 0;

	if (apply && (r->type == RECORD_MESSAGES || body))
		err = state_apply(s, r, body);
	if (err == -EBADMSG)
		store_damaged(s, DAMAGE_RECORD, r->pos, "a command");
	return err == -ENOMEM ? err : 0;
}

static int replay_record(struct store *s, const struct record *r, const void *body, const struct limits *limits, struct runs *runs,
	struct recovered *to)
{
	struct run_queue *cache = NULL;
	int err = 0;

	if (runs && r->type == RECORD_MESSAGES)
		err = runs_add(runs, &cache, r->queue, r->offset, r->pos, r->length, r->messages);
	if (err == -EINVAL)                      /* it overlaps what its queue has: state_apply() says so and passes it over as well */
		err = 0;
	if (err || r->pos < to->start.pos)
		return err;
	err = replay_state(s, r, body, r->pos < limits->applied);
	to->start = (struct log_start){.pos = r->pos + record_size(r->length), .chain = r->sum, .epoch = r->epoch, .time = r->time};
	if (r->pos < limits->applied)
		to->applied = to->start;
	to->replayed += record_size(r->length);
	return err;
}

/* Reads segment N up to the limits and fills RUNS, which is NULL for a sealed one. */
static int replay_segment(struct survey *v, size_t n, const struct limits *limits, struct runs *runs, struct recovered *to)
{
	struct store *s = v->store;
	const void *body;
	struct scan *scan;
	struct record r;
	int err = survey_walk(v, n, &scan);

	if (err)
		return err;
	scan_limit(scan, survey_next_base(v, n) < limits->end ? survey_next_base(v, n) : limits->end);
	scan_bodies(scan, false);
	for (;;) {
		enum scan_found found;
		uint64_t at = scan_pos(scan);
		err = scan_next(scan, &r, &body, &found);
		if (err == -EIO && survey_unreadable(v, at)) {
			scan_pass_unreadable(scan);
			continue;
		}
		if (err || found == SCAN_END)
			break;
		if (found == SCAN_DAMAGED)
			continue;
		bool command = r.type != RECORD_MESSAGES;
		bool valid = body && (!command || record_check_body(&r, s->id.secret, body) == 0);
		err = replay_record(s, &r, valid ? body : NULL, limits, runs, to);
		if (err)
			break;
	}
	scan_close(scan);
	return err;
}

/*
 * Of a sealed segment all of which is applied. The record of a queue's last messages in it may have rotted: their offsets are not given again, or the
 * segment would answer for them, and what has come to stand there would never be read.
 */
static int reach_ends(struct store *s, const struct found_segment *f)
{
	struct index_queue rows[INDEX_ROWS];
	struct index *index;
	int got, err = index_open(s->disk, s->id.secret, f->head.base, &index);

	if (err)
		return disk_error_passes(err) ? err : 0;
	for (size_t n = 0; (got = index_queues_from(index, n, rows)) > 0; n += (size_t)got)
		for (int i = 0; i < got; i++)
			state_reaches(s, rows[i].queue, rows[i].end, f->sealed_end - 1);
	index_close(index);
	return 0;
}

static int add_segment(struct survey *v, size_t n, const struct limits *limits, struct recovered *to)
{
	const struct found_segment *f = &v->segments[n];
	bool last = n + 1 == v->count;
	struct runs *runs = NULL;
	int err = 0;

	if (n >= v->from && !f->sealed)
		err = runs_new(&runs);
	if (!err && n >= v->from)
		err = replay_segment(v, n, limits, runs, to);
	if (!err && n >= v->from && f->sealed && f->sealed_end <= limits->applied)
		err = reach_ends(v->store, f);
	if (!err)
		err = segments_add(v->store->segments, &f->head, last ? (f->sealed ? f->sealed_end : UINT64_MAX) : survey_next_base(v, n), runs, NULL);
	if (err)
		runs_free(runs);
	return err;
}

static void hold(struct survey *v, struct limits *limits)
{
	struct store *s = v->store;

	s->member.proved = limits->applied;
	if (v->unknown >= limits->applied || s->options.read_only || !(s->options.standby || member_needs_others(s)))
		return;
	limits->applied = v->unknown;
	store_say(s, LOG_WARNING, "what is behind log position %" PRIu64 " is shown when that is repaired from the other node, or it says that it has it not",
		v->unknown);
}

static int replay(struct survey *v, struct recovered *to)
{
	struct limits limits = {.applied = v->committed < v->tail ? v->committed : v->tail};
	int err = 0;

	limits.end = to->read_only ? limits.applied : v->tail;
	annals_cut(v->store->annals, limits.end);
	hold(v, &limits);
	to->start = to->applied = (struct log_start){.pos = v->at.pos, .chain = v->at.chain, .epoch = v->at.epoch, .time = v->at.time};
	for (size_t n = 0; !err && n < v->count; n++)
		if (v->segments[n].head.base < limits.end || n == 0 || !to->read_only)
			err = add_segment(v, n, &limits, to);
	if (to->start.pos < limits.end)
		to->start.pos = limits.end;            /* the records before it are lost to damage; positions are never given twice */
	if (to->applied.pos < limits.applied)
		to->applied.pos = limits.applied;
	v->store->applied_at = to->applied;
	atomic_store(&v->store->applied, to->applied.pos);
	return err;
}

/* The last segment, where the log may go on in it: it is unsealed and sound. */
static const struct found_segment *unfinished(const struct survey *v)
{
	const struct found_segment *f = v->count ? &v->segments[v->count - 1] : NULL;

	return f && !f->sealed && f->head_valid && v->end >= v->durable ? f : NULL;
}

/*
 * A last segment that has an index is a finished one (survey.c). Where the name of the segment behind it was lost and a later one's was not,
 * this one has an index and goes on: then that goes for good before anything is appended, or the next start would not see it.
 */
static int drop_index(const struct survey *v)
{
	const struct found_segment *f = unfinished(v);
	char name[40];
	int err;

	if (!f)
		return 0;
	segment_index_name(name, f->head.base);
	err = disk_unlink(v->store->disk, name);
	if (err)
		return err == -ENOENT ? 0 : err;
	return disk_sync_directory(v->store->disk, "log");
}

/*
 * Bytes of a segment's file that the disk has, SIZE if it can. A copy may have holes where the log is to go on. On a full disk some file systems
 * refuse to allocate what is allocated: then the blocks tell. There the room that a segment was begun with, for a long record or under another
 * segment_size, is all there is to relieve it with. ext4 gives what it has before it refuses: that goes back.
 */
static uint64_t room_of(struct disk *d, int fd, const struct stat *st, uint64_t size)
{
	uint64_t has = (uint64_t)st->st_blocks * 512 >= (uint64_t)st->st_size ? (uint64_t)st->st_size : 0;

	if (size < has)
		size = has;
	if (disk_allocate(d, fd, size) == 0)
		return size;
	disk_truncate(d, fd, (uint64_t)st->st_size);
	return has;
}

/* The log goes on there, as long as it has room on the disk. */
static int adopt(struct survey *v, struct recovered *to)
{
	const struct found_segment *f = unfinished(v);
	uint64_t size = SEGMENT_HEADER + v->store->options.segment_size;
	char name[32];
	struct stat st;
	int err;

	if (!f)
		return 0;
	segment_name(name, f->head.base);
	err = disk_stat(v->store->disk, name, &st);
	if (err)
		return err;
	to->active_fd = disk_open(v->store->disk, name, O_RDWR, 0);
	if (to->active_fd < 0)
		return to->active_fd;
	to->active_room = room_of(v->store->disk, to->active_fd, &st, size);
	to->active = segments_last(v->store->segments);
	return 0;
}

static void explain(struct store *s, int err, char *why)
{
	char file[FORBIDDEN_PATH];

	if (!why[0] && err == -EACCES && forbidden_find(s->disk, file) == err)
		snprintf(why, STORE_WHY, "%.100s: %s; all of a store's files must be its owner's", file, strerror(-err));
	if (!why[0])
		snprintf(why, STORE_WHY, "recovery failed: %s", strerror(-err));
}

/* On a full disk in the place of the files that the last process prepared, then out of the reserve, which the keeper makes again once there
 * is room. */
static int with_room(struct survey *v, int (*step)(struct survey *v))
{
	int err = step(v);

	if (disk_error_full(err) && supply_drop_old(v->store->disk) == 0)
		err = step(v);
	while (disk_error_full(err) && reserve_release(v->store) == 0)
		err = step(v);
	return err;
}

static int make_tail_sound(struct survey *v)
{
	int err = v->unreadable_tail ? -EIO : with_room(v, tail_move);

	if (!err)
		err = tail_make_durable(v);
	if (!err)
		err = with_room(v, tail_cut);
	return err ? err : drop_index(v);
}

/* For want of memory or of a descriptor the start fails: the next one may have it. Else the store can still be read: a disk that fails does not
 * heal, and who is to make room on a full one may have to read first. */
static int end_tail(struct survey *v, struct recovered *r)
{
	int err = make_tail_sound(v);

	if (!err || disk_error_passes(err))
		return err;
	store_say(v->store, LOG_ERR, "the log's tail could not be made durable (%s): the store is read-only, up to what is committed%s",
		strerror(-err), disk_error_full(err) ? ", until it is opened again with more room" : "");
	r->read_only = true;
	return 0;
}

int recover(struct store *s, struct recovered *r, char why[STORE_WHY])
{
	struct survey v = {.store = s};
	int err;

	*r = (struct recovered){.active_fd = -1, .read_only = s->options.read_only};
	why[0] = 0;
	err = survey(&v, why);
	if (err)
		goto done;
	r->committed = v.committed;
	if (!r->read_only)
		err = end_tail(&v, r);
	if (!err)
		err = replay(&v, r);
	if (!err && !r->read_only)
		err = adopt(&v, r);
done:
	if (err)
		explain(s, err, why);
	survey_free(&v);
	return err;
}
