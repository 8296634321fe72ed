/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that parted from another one is cut where they part
 *
 * Backwards, as recovery cuts a torn tail: whole segments behind the place first, then the rest of the one that holds it. Each part is
 * durable in lost/ before it goes, so a crash on the way leaves a log that ends somewhere between, and is cut again. What is left in
 * memory afterwards is what a start would find: positions, chain, epochs, the runs of the segment that the log goes on in.
 */
#include "log_part.h"
#include "annals.h"
#include "lost.h"
#include "runs.h"
#include "scan.h"
#include "topic.h"
#include <errno.h>
#include <stdlib.h>

/* The epoch that the record in front of POS is of, where that does not read itself. */
static int find_epoch(struct log *l, uint64_t pos, struct epoch *to)
{
	struct epoch_row *rows;
	size_t count;
	int err = annals_epochs(l->settings.annals, &rows, &count);

	if (err)
		return err;
	for (size_t n = 0; n < count && rows[n].start < pos; n++)
		*to = rows[n].epoch;
	free(rows);
	return 0;
}

/* The last record in front of POS in the segment of H that reads, or what its header says. */
static int find_last(struct log *l, const struct segment_head *h, uint64_t pos, struct log_start *to)
{
	enum scan_found found = SCAN_RECORD;
	const void *body;
	struct scan *scan;
	struct record r;
	int err;

	*to = (struct log_start){.pos = h->base, .chain = h->chain, .epoch = h->epoch, .time = h->time};
	if (pos == h->base)
		return 0;
	err = scan_open(&scan, l->disk, l->secret, h->base);
	if (err)
		return err;
	scan_limit(scan, pos);
	scan_bodies(scan, false);
	while (!err && found != SCAN_END) {
		err = scan_next(scan, &r, &body, &found);
		if (err == -EIO) {
			scan_pass_unreadable(scan);
			err = 0;
		} else if (!err && (found == SCAN_RECORD || found == SCAN_BODY)) {
			*to = (struct log_start){.pos = scan_pos(scan), .chain = r.sum, .epoch = r.epoch, .time = r.time};
		}
	}
	scan_close(scan);
	return err;
}

/* What the log goes on from at POS. Where the record in front of it has rotten, the CHAIN of who has it too stands for it, so that the node can
 * follow again and get that record from there; 0: nobody says it. -EINVAL: no record ends at POS. */
static int find_start(struct log *l, const struct segment_head *h, uint64_t pos, uint64_t chain, struct log_start *to)
{
	int err = find_last(l, h, pos, to);

	if (err || to->pos == pos)
		return err;
	if (to->pos > pos || !chain)
		return -EINVAL;
	to->pos = pos;
	to->chain = chain;
	return find_epoch(l, pos, &to->epoch);
}

/* Where the list has the file of the segment of BASE; what it points to is NULL when that is not open. */
static struct open_segment **find_file(struct log *l, uint64_t base)
{
	struct open_segment **file = &l->files;

	while (*file && (*file)->base != base)
		file = &(*file)->next;
	return file;
}

/* The log has nothing to do with S any more; its file, where that was open, is the caller's. The keeper goes on asking where the log is. */
static struct open_segment *let_go(struct log *l, struct segment *s)
{
	struct open_segment **file, *gone;

	pthread_mutex_lock(&l->lock);
	if (s == l->active) {
		segment_put(l->active);
		l->active = NULL;
	}
	file = find_file(l, s->head.base);
	gone = *file;
	if (gone)
		*file = gone->next;
	if (l->file == gone)
		l->file = NULL;
	pthread_mutex_unlock(&l->lock);
	return gone;
}

static bool found_room(const struct log_losses *losses, int err)
{
	return disk_error_full(err) && losses->make_room && losses->make_room(losses->ctx) == 0;
}

/* The last segment, of BASE, whole. */
static int cut_segment(struct log *l, uint64_t base, const struct log_losses *losses, uint64_t *bytes, bool *changed)
{
	struct open_segment *gone;
	struct segment *s;
	uint64_t moved;
	int err;

	do
		err = lost_move(l->disk, base, &moved);
	while (!moved && found_room(losses, err));
	*changed |= !err || moved;
	if (err)
		return err;
	*bytes += moved;
	s = segments_take_last(l->segments);
	gone = let_go(l, s);
	if (gone)
		disk_close(l->disk, gone->fd);
	free(gone);
	segment_wait_unused(s);
	return 0;
}

static int cut_rest(struct log *l, struct segment *s, uint64_t pos, const struct log_losses *losses, uint64_t *bytes, bool *changed)
{
	struct runs *kept;
	int64_t time;
	uint64_t cut;
	int err = runs_scan(l->disk, l->secret, s->head.base, pos, &kept, &time);

	if (err)
		return err;
	do {
		err = lost_cut(l->disk, s->head.base, pos, &cut);
		*changed |= cut > 0;
	} while (found_room(losses, err));
	if (!err) {
		*bytes += cut;
		runs_exchange(s->runs, kept);
	}
	runs_free(kept);
	return err;
}

/* Q loses what was appended and not committed, or some of it: how much, the entries that stay will tell. Who asks for it by its end must hear of
 * the cut, so that is said first. */
static void cut_queue(struct queue *q, uint64_t pos)
{
	uint64_t committed = q->committed;

	if (q->appended == committed)
		return;
	q->cut_at[q->cuts % QUEUE_CUTS] = pos;
	q->cuts++;
	q->appended = committed;
}

/* Entries behind the log's new end are given up, and what they stood for is no more. */
static void give_up_entries(struct log *l, uint64_t pos, const struct log_losses *losses)
{
	while (l->next > l->first && log_entry_at(l, l->next - 1)->end > pos) {
		struct log_entry *e = log_entry_at(l, --l->next);

		if (e->queue)
			cut_queue(e->queue, pos);
		if (e->command)
			losses->command(losses->ctx, e->command);
	}
	for (uint64_t n = l->first; n < l->next; n++)
		if (log_entry_at(l, n)->queue)
			atomic_store(&log_entry_at(l, n)->queue->appended, log_entry_at(l, n)->queue_end);
	l->marked = l->next;
}

/* The segment that the log goes on in: the one it went on in before, or the one before that where its end is not synced. A synced one
 * may be committed, so that the keeper may just be sealing what ends there: then none is, and the next record begins a new one. */
static void find_active(struct log *l)
{
	struct open_segment *last = l->files;

	while (last && last->next)
		last = last->next;
	if (l->active)
		return;
	l->file = last;
	l->active = last ? segments_last(l->segments) : NULL;
	if (l->active && (l->active->head.base != last->base || l->end <= l->synced)) {
		segment_put(l->active);
		l->active = NULL;
	}
	if (l->active)
		l->limit = last->base + last->room;
}

/* The files. On failure CHANGED says whether any of them is another than the log takes it for. */
static int cut_files(struct log *l, uint64_t pos, const struct log_losses *losses, uint64_t *bytes, bool *changed)
{
	struct segment *s;
	bool behind = true;
	int err = 0;

	while (!err && behind && (s = segments_last(l->segments))) {
		uint64_t base = s->head.base;
		behind = base > pos || (base == pos && !*find_file(l, pos));
		if (!behind && !s->sealed)
			err = cut_rest(l, s, pos, losses, bytes, changed);
		segment_put(s);
		if (behind)
			err = cut_segment(l, base, losses, bytes, changed);
	}
	return err;
}

static void end_at(struct log *l, uint64_t pos, const struct log_start *start, const struct log_losses *losses)
{
	give_up_entries(l, pos, losses);       /* outside of the lock: nobody else takes or adds any now */
	pthread_mutex_lock(&l->lock);
	annals_cut(l->settings.annals, pos);
	l->received.count = l->received.next = 0;
	l->end = pos;
	l->written = pos;
	pthread_cond_broadcast(&l->prefix);
	l->chain = start->chain;
	l->epoch = l->last_epoch = start->epoch;
	l->time = start->time;
	find_active(l);
	pthread_mutex_unlock(&l->lock);
}

/* The segment where the record before POS is, or the header that speaks for it; NULL when there is none. */
static struct segment *find_segment(struct log *l, uint64_t pos)
{
	struct segment *s = segments_find(l->segments, pos);

	if (!s)
		s = segments_last(l->segments);
	if (s && s->head.base == pos && pos && s->head.time == TIME_UNKNOWN) {
		segment_put(s);
		s = segments_find(l->segments, pos - 1);
	}
	if (s && s->head.base > pos) {
		segment_put(s);
		s = NULL;
	}
	return s;
}

int log_cut(struct log *l, uint64_t pos, uint64_t chain, const struct log_losses *losses, uint64_t *bytes)
{
	struct segment *s = find_segment(l, pos);
	struct log_start start;
	bool changed = false;
	int err;

	*bytes = 0;
	if (!s)
		return -EINVAL;
	err = find_start(l, &s->head, pos, chain, &start);
	segment_put(s);
	if (err)
		return err;
	err = cut_files(l, pos, losses, bytes, &changed);
	if (!err)
		end_at(l, pos, &start, losses);
	else if (changed)
		log_fail(l, -EIO);
	return err;
}
