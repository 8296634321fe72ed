/* SPDX-License-Identifier: Apache-2.0 */
#include "seal.h"
#include "checkpoint.h"
#include "index.h"
#include "keeper.h"
#include "runs.h"
#include "supply.h"
#include <errno.h>
#include <inttypes.h>
#include <syslog.h>

/* A full disk must not keep segments from being sealed, or none could go: the room for it is in the reserve, which the
 * keeper fills up again. */
static int write_index(struct store *s, const struct segment *seg, uint64_t end, int64_t last_time, struct runs *runs)
{
	int err = index_write(s->disk, s->id.secret, seg->head.base, end, last_time, runs);

	if (!disk_error_full(err))
		return err;
	supply_spending(s->supply, true);
	while (disk_error_full(err) && reserve_release(s) == 0)
		err = index_write(s->disk, s->id.secret, seg->head.base, end, last_time, runs);
	supply_spending(s->supply, false);
	return err;
}

/* Its records may come to be read after all: then the index is made again (spans.c). */
static void tell_unread(struct store *s, const struct runs *runs)
{
	if (runs_unread(runs) != RUNS_READ)
		store_damaged(s, DAMAGE_RECORD, runs_unread(runs), "a place that the disk does not read");
}

/* The time of a segment's last record stands in the next one's header, unless that is damaged. Runs that a repair has put records in are not those
 * that walking the records would make. */
static int seal(struct store *s, struct segment *seg, uint64_t end, int64_t last_time)
{
	struct runs *walked = NULL;
	int err = 0;

	if (last_time == TIME_UNKNOWN || runs_inserted(seg->runs))
		err = runs_scan(s->disk, s->id.secret, seg->head.base, end, &walked, &last_time);
	if (!err)
		err = write_index(s, seg, end, last_time, walked ? walked : seg->runs);
	if (!err)
		segment_seal(seg, end);
	if (!err && walked)
		tell_unread(s, walked);
	runs_free(walked);
	return err;
}

/* The segment that begins at POS, held; NULL: there is none. */
static struct segment *segment_at(struct store *s, uint64_t pos)
{
	struct segment *seg = segments_find(s->segments, pos);

	if (seg && seg->head.base != pos) {
		segment_put(seg);
		seg = NULL;
	}
	return seg;
}

/* The log may be cut meanwhile, at a segment's end too: then that is open again, but what was committed up to there stays, and is sealed as such. */
int seal_committed(struct store *s)
{
	struct segment *seg = segments_first(s->segments), *next;
	int err = 0;

	if (seg && !s->log) {                  /* opened for reading only: whoever makes a checkpoint of that has seen to the indexes */
		segment_put(seg);
		return 0;
	}
	while (seg && !err && seg->head.base < log_active(s->log)) {
		uint64_t end = seg->end;

		next = end <= s->applied ? segment_at(s, end) : NULL;
		if (!next)
			break;
		if (!seg->sealed)
			err = seal(s, seg, end, next->head.time);
		segment_put(seg);
		seg = next;
	}
	if (seg)
		segment_put(seg);
	return err;
}

int seal_check_index(struct store *s, struct segment *seg)
{
	struct index *index;
	int err = index_open(s->disk, s->id.secret, seg->head.base, &index);

	if (err)
		return err;
	err = index_end(index) == seg->end ? index_check(index) : -EBADMSG;
	index_close(index);
	return err;
}

/* That it is not there is no damage, nothing was lost by it: somebody removed it, or the disk was full when the segment was to be sealed. Whoever
 * missed it may be late, too: the keeper has made it meanwhile. */
static void tell_if_damaged(struct store *s, struct segment *seg)
{
	int err = seal_check_index(s, seg);

	if (err == -EBADMSG || err == -EIO)
		store_damaged(s, DAMAGE_INDEX, seg->head.base, "a segment's index");
}

void seal_index_bad(struct store *s, struct segment *seg)
{
	if (!segment_index_bad(seg))             /* before the keeper hears of it */
		return;
	tell_if_damaged(s, seg);
	if (s->keeper)                           /* also of a place that is known: it may have been made again, and have rotted again */
		keeper_renew(s->keeper, DAMAGE_INDEX);
}

int seal_again(struct store *s, struct segment *seg)
{
	int64_t last_time;
	struct runs *runs;
	bool whole;
	int err = runs_scan(s->disk, s->id.secret, seg->head.base, seg->end, &runs, &last_time);

	if (err)
		return err;
	err = seal_renew(s, seg, last_time, runs);
	whole = runs_unread(runs) == RUNS_READ;
	runs_free(runs);
	if (!err)
		store_say(s, LOG_NOTICE, "made the index of segment %016" PRIx64 " again", seg->head.base);
	return err ? err : whole;
}

static int rebuild(struct store *s, struct segment *seg)
{
	int made;

	tell_if_damaged(s, seg);
	made = seal_again(s, seg);
	return made < 0 ? made : 0;
}

int seal_renew(struct store *s, struct segment *seg, int64_t last_time, struct runs *runs)
{
	int err = write_index(s, seg, seg->end, last_time, runs);

	s->index_wanted = disk_error_full(err) ? runs_memory(runs) : 0;
	if (err)
		return err;
	segment_index_renewed(seg);
	tell_unread(s, runs);
	return 0;
}

static bool may_pass(int err)
{
	return disk_error_passes(err) || disk_error_full(err);
}

int seal_rebuild(struct store *s, uint64_t *from)
{
	struct segment *seg = segments_find(s->segments, *from);
	int wants = 0, err;

	/* The end of one that is not sealed moves: nothing may be concluded from it. */
	while (seg && (seg->head.base < *from || !(wants = segment_wants_index(seg))))
		seg = segment_next(seg);
	if (!seg) {
		s->index_wanted = 0;
		return 0;
	}
	err = wants < 0 ? wants : rebuild(s, seg);
	*from = may_pass(err) ? seg->head.base : seg->end;
	segment_put(seg);
	return err ? err : 1;
}
