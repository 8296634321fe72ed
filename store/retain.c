/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which segments go
 *
 * 1. Only from the front, only sealed ones, only when the heads of all queues that have records there have passed them.
 * 2. Only when the two newest valid checkpoints say so themselves: each carries `unneeded`, the log position before which no
 *    head lay when its heads were copied. So whichever of the two a recovery loads, the log that it needs is there, and
 *    no head that it finds lies before the start of the log. Both are on the disk by then, not only in the cache.
 *    When checkpoints are all that keeps a segment, the keeper is asked for one. Two in a row need two log positions: where nothing is
 *    appended, an empty command moves the log on. A standby cannot move its log, and a full one is sent nothing that it has room for: there the
 *    checkpoint at the position where it stands is enough. Should that one rot before there is another, the standby has to start blank.
 *    What the pair's other node has not got yet stays as well, up to a bound (hold_bytes): past it that node starts blank again.
 * 3. With less than retention_free left on the file system, or too little for the log's next segment, so that appends are refused:
 *      prepared segments go first, nobody has written to them;
 *      then what has had its time, which is rules 1 and 2;
 *      then, from the front, segments whose messages have limits that they have not reached yet, and pinned ones where
 *      retention.pinned=drop. One segment with a message of a topic that is to be kept ends this: it is the front.
 *    For these the heads are moved in memory, on this node only: another one may have the space. They are in the two
 *    checkpoints that rule 2 asks for.
 */
#include "retain.h"
#include "checkpoint.h"
#include "damage.h"
#include "index.h"
#include "keeper.h"
#include "seal.h"
#include "supply.h"
#include <errno.h>
#include <inttypes.h>
#include <syslog.h>

#define WORTH 4                        /* a checkpoint is made for segments of this many times its size */
#define LOOKED_AT 16                   /* checkpoints, to find two that are valid */

/* Where OF ends of Q, whose own end may lie before that: the record there has rotted. */
static uint64_t end_in(const struct queue *q, const struct index_queue *of)
{
	uint64_t committed = atomic_load(&q->committed);

	return of->end < committed ? of->end : committed;
}

enum hold retain_hold(struct store *s, const struct index_queue *of, uint64_t *topic)
{
	enum hold hold = HOLD_NONE;
	struct queue *q;

	*topic = of->queue >> QUEUE_BITS;
	topics_read_lock(s->topics);
	q = queue_by_id(s, of->queue);
	if (q && atomic_load(&q->head) < end_in(q, of)) {
		if (topic_setting(q->topic, SETTING_RETENTION_AGE) != SETTING_NONE ||
			topic_setting(q->topic, SETTING_RETENTION_SIZE) != SETTING_NONE)
			hold = HOLD_LIMITED;
		else if (topic_setting(q->topic, SETTING_RETENTION_PINNED) == PINNED_DROP)
			hold = HOLD_DROP;
		else
			hold = HOLD_KEEP;
	}
	topics_unlock(s->topics);
	return hold;
}

/* An index that is of no use is made again, or nothing would go from there on. */
static int index_error(struct store *s, struct segment *g, int err)
{
	if (err == -ENODATA || err == -EBADMSG || err == -EIO)
		seal_index_bad(s, g);
	return err;
}

/*
 * The firmest hold on G; ENOUGH or firmer ends the search. A start whose applying is held up by a damaged command has sealed segments behind
 * what is applied: the queues of their records may not be there yet.
 */
static enum hold hold_on(struct store *s, struct segment *g, enum hold enough)
{
	enum hold most = HOLD_NONE, hold;
	struct index_queue q;
	struct index *index;
	uint64_t topic;

	if (!atomic_load(&g->sealed) || atomic_load(&g->end) > atomic_load(&s->applied) || index_error(s, g, segment_index(g, &index)) != 0)
		return HOLD_KEEP;
	for (size_t n = 0; n < index_queues(index) && most < enough; n++) {
		if (index_error(s, g, index_queue_at(index, n, &q)) != 0)
			return HOLD_KEEP;
		hold = retain_hold(s, &q, &topic);
		if (hold > most)
			most = hold;
	}
	return most;
}

uint64_t retain_unneeded(struct store *s)
{
	uint64_t start = segments_start(s->segments);
	struct segment *g;

	if (s->unneeded < start && !retain_before_start(s))
		s->unneeded = start;
	if (s->unneeded < start)
		return s->unneeded;            /* segments are missing that were not to go */
	for (g = segments_first(s->segments); g; g = segment_next(g)) {
		uint64_t end = atomic_load(&g->end);

		if (end <= s->unneeded)
			continue;
		if (hold_on(s, g, HOLD_LIMITED) != HOLD_NONE)
			break;
		s->unneeded = end;
	}
	if (g)
		segment_put(g);
	return s->unneeded;
}

/* There can be no checkpoint behind the one at NEWEST before something goes. */
static bool stands_still(struct store *s, uint64_t newest)
{
	return newest == atomic_load(&s->applied) && member_is_standby(s) && log_full(s->log);
}

/* What the two newest valid checkpoints allow to go, or the one of a log that stands still; 0 when there are not so many. *NEWEST is the
 * newest one's position. */
static int allowed(struct store *s, uint64_t *before, uint64_t *newest)
{
	struct checkpoint_info info;
	uint64_t pos[LOOKED_AT];
	size_t count, valid = 0, enough = 2;
	int err = checkpoint_list(s->disk, pos, LOOKED_AT, &count);

	*before = UINT64_MAX;
	*newest = 0;
	for (size_t n = 0; !err && n < count && valid < enough; n++) {
		if (checkpoint_check(s->disk, s->id.secret, pos[n], &info) != 0)
			continue;
		if (valid++ == 0) {
			*newest = info.pos;
			enough = stands_still(s, info.pos) ? 1 : 2;
		}
		if (info.unneeded < *before)
			*before = info.unneeded;
	}
	if (valid < enough)
		*before = 0;
	return err;
}

/* The index goes first: without it the segment is whole, but without the segment nobody would ever look for it. What somebody else has removed is
 * gone as well. */
static int remove_names(struct store *s, bool recycle)
{
	char name[32], index[40];
	int err;

	segment_name(name, s->leaving_base);
	segment_index_name(index, s->leaving_base);
	err = disk_unlink(s->disk, index);
	if (!err || err == -ENOENT)
		err = recycle ? supply_recycle(s->supply, name) : disk_unlink(s->disk, name);
	return err == -ENOENT ? 0 : err;
}

/*
 * A name that a crash brings back in front of a gap would be damage: so each segment has gone for good before the next one goes. One that could
 * not be removed is tried again. But once a sync of the directory has failed all later ones do (disk.h): nothing more goes before the next start,
 * which makes the names durable that it finds.
 */
static int remove_first(struct store *s, bool recycle)
{
	struct segment *g;
	int err;

	if (s->stays)
		return -EIO;
	if (!s->leaving) {
		g = segments_take_first(s->segments);
		if (!g)
			return -ENOENT;
		s->leaving_base = g->head.base;
		s->leaving = true;
		segment_wait_unused(g);
	}
	err = remove_names(s, recycle);
	if (err)
		return err;
	err = disk_sync_directory(s->disk, "log");
	s->stays = err;
	s->leaving = err;
	if (recycle)
		supply_recycled(s->supply, !err);
	return err;
}

/*
 * All that end at BEFORE or earlier. Returns how many. The checkpoints that allow it were only seen so far: where a sync of their directory
 * failed, or could not be begun, a power cut would bring back older ones, which want the segments.
 */
static int remove_before(struct store *s, uint64_t before, bool recycle)
{
	int gone = 0, err;

	for (;;) {
		struct segment *g = segments_first(s->segments);
		bool may = g && atomic_load(&g->sealed) && atomic_load(&g->end) <= before;

		if (g)
			segment_put(g);
		if (!may)
			return gone;
		err = gone ? 0 : disk_sync_directory(s->disk, "checkpoint");
		if (err)
			return err;
		err = remove_first(s, recycle);
		if (err)
			return err == -ENOENT ? gone : err;
		gone++;
	}
}

/* Something new in the log, so that a new checkpoint is another one than the last. */
static int move_log(struct store *s)
{
	struct command *c = command_new_waited();

	if (!c)
		return -ENOMEM;
	c->claim = CLAIM_LAST;
	return command_wait(c, store_set_heads(s, c, NULL, 0));
}

/* What may go once two checkpoints say so. */
static uint64_t may_go(struct store *s)
{
	uint64_t unneeded = retain_unneeded(s), needed = member_needed(s);

	return unneeded < needed ? unneeded : needed;
}

/* Rules 1 and 2. */
static int remove_unneeded(struct store *s, bool *need_checkpoint)
{
	uint64_t unneeded = may_go(s), before, newest, start;
	int gone = 0, err;

	if (segments_start(s->segments) >= unneeded)
		return 0;
	err = allowed(s, &before, &newest);
	if (!err)
		gone = remove_before(s, before < unneeded ? before : unneeded, true);
	if (err || gone < 0)
		return err ? err : gone;
	start = segments_start(s->segments);
	if (start < unneeded && unneeded - start >= WORTH * checkpoint_size(s)) {
		*need_checkpoint = true;
		if (newest >= atomic_load(&s->applied) && !log_refusing(s->log))
			err = move_log(s);
	}
	return err ? err : gone;
}

/* Where appends are refused although there seems to be room, for a quota or for a file longer than a segment's, one segment at a time goes. */
static bool short_of_space(struct store *s, uint64_t *missing)
{
	uint64_t wanted = s->options.retention_free, segment = SEGMENT_HEADER + s->options.segment_size;
	bool full = wanted && log_full(s->log);
	struct disk_space space;

	if (full && wanted < segment)
		wanted = segment;
	if (!wanted || disk_space(s->disk, &space) != 0 || (space.free >= wanted && !full))
		return false;
	*missing = space.free < wanted ? wanted - space.free : 1;
	return true;
}

/* This node's heads move behind G. */
static int pass(struct store *s, struct segment *g)
{
	struct index_queue of;
	struct index *index;
	int err = segment_index(g, &index);

	for (size_t n = 0; !err && n < index_queues(index); n++) {
		struct queue *q;

		err = index_queue_at(index, n, &of);
		if (err)
			break;
		topics_read_lock(s->topics);
		q = queue_by_id(s, of.queue);
		if (q)
			queue_raise_head(q, end_in(q, &of));
		topics_unlock(s->topics);
	}
	return err;
}

/* Passes segments from the front until those passed make up for MISSING bytes, or one must be kept; also for the other node, as passing what stays
 * all the same would free nothing. */
static int pass_enough(struct store *s, uint64_t missing)
{
	uint64_t freed = 0, needed = member_needed(s);
	struct segment *g;
	int passed = 0, err = 0;

	for (g = segments_first(s->segments); g && freed < missing; g = segment_next(g)) {
		enum hold hold = hold_on(s, g, HOLD_KEEP);

		if (hold == HOLD_KEEP || atomic_load(&g->end) > needed)
			break;
		if (hold != HOLD_NONE) {
			err = pass(s, g);
			passed++;
		}
		if (err)
			break;
		freed += atomic_load(&g->end) - g->head.base;
	}
	if (g)
		segment_put(g);
	return err ? err : passed;
}

/* The checkpoints of rule 2, now; that of a log that stands still is made again where it stands. What fails shows in what they allow. */
static void make_checkpoints(struct store *s, uint64_t unneeded)
{
	uint64_t before, newest;

	for (int n = 0; n < 2; n++) {
		if (allowed(s, &before, &newest) != 0 || before >= unneeded)
			return;
		if (newest >= atomic_load(&s->applied) && !stands_still(s, newest) && move_log(s) != 0)
			return;
		keeper_checkpoint(s->keeper);
	}
}

/* Rule 3. */
static int make_space(struct store *s)
{
	uint64_t missing, before, newest, unneeded;
	int passed, gone, err;

	if (!short_of_space(s, &missing))
		return 0;
	supply_drop(s->supply);
	if (!short_of_space(s, &missing))
		return 0;
	passed = pass_enough(s, missing);
	if (passed < 0)
		return passed;
	unneeded = may_go(s);
	if (segments_start(s->segments) >= unneeded)
		return 0;
	make_checkpoints(s, unneeded);
	err = allowed(s, &before, &newest);
	if (err)
		return err;
	gone = remove_before(s, before < unneeded ? before : unneeded, false);
	if (gone > 0)
		log_relieved(s->log);
	if (gone > 0 && passed > 0)
		store_say(s, LOG_WARNING, "the disk is nearly full: %d segments went, %d of them before their time", gone,
			passed < gone ? passed : gone);
	return gone;
}

int retain_run(struct store *s, int64_t now_ns, bool *need_checkpoint)
{
	int err, gone, more;
	uint64_t start;

	*need_checkpoint = false;
	if (atomic_load(&s->read_only) || log_failed(s->log))
		return 0;
	/* On a full disk a head may fail to move, and still there be segments to remove. */
	err = log_refusing(s->log) ? 0 : retain_heads(s, now_ns);
	gone = s->leaving ? remove_first(s, true) : 0;
	if (!gone)
		gone = remove_unneeded(s, need_checkpoint);
	more = gone < 0 ? 0 : make_space(s);
	start = segments_start(s->segments);
	damage_gone(s, start < s->unneeded ? start : s->unneeded);
	err = gone < 0 ? gone : more < 0 ? more : err;
	if (err == -ENOTCONN)                            /* the store stops: the next start goes on */
		return 0;
	return err ? err : gone + more;
}
