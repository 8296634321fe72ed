/* SPDX-License-Identifier: Apache-2.0 */
/* The segment that the log is appended to: when the next one begins, with how much room, and what of that is kept for state. */
#include "log_part.h"
#include "runs.h"
#include "supply.h"
#include <errno.h>
#include <stdlib.h>

#define STATE_PART 256u                /* of each segment: the room that only state records may take */
#define STATE_ROOM (64u << 10)         /* bytes of it, at least */
#define STATE_MOST 4u                  /* part of a small segment, at most */

/*
 * The room for state
 *
 * A full disk has no room for a new segment, and the log only grows: what relieves the disk must be said in the rest of the active one. So the
 * end of each is kept for state, and of this
 *
 *	a quarter    is anybody's: topics, owners, looser limits, and a start's epoch;
 *	a half       is for commands that relieve the disk. Such a one takes at least a quarter of what there is to take (command.c), a topic is
 *	             retired or removed once, and to undo it is nobody's relief: so they come to an end before the room does;
 *	a quarter    is for what moves the log on between the two checkpoints by which a segment goes: two small records for each that goes, and then there
 *	             is a new segment.
 *
 * Restarts come to no end. One that finds no room for its epoch goes on in the epoch of the last (reign.c).
 */
static uint64_t state_room(uint64_t size)
{
	uint64_t room = size / STATE_PART;

	if (room < STATE_ROOM)
		room = STATE_ROOM;
	return room < size / STATE_MOST ? room : size / STATE_MOST;
}

uint64_t log_state_room(const struct log *l)
{
	uint64_t size = l->settings.segment_size, has = l->active ? l->limit - l->active->head.base : size;

	return state_room(has < size ? has : size);
}

/* What stands in the way of a new segment file, as the appender should see it: out of space heals, a disk that fails does not. */
static int roll_error(struct log *l, int err)
{
	if (disk_error_full(err) || err == -ENOMEM)
		return err;
	if (err == -EMFILE || err == -ENFILE)
		return -ENOBUFS;
	log_fail(l, -EIO);
	return -EIO;
}

/* Bytes of records that a segment has, whose first one takes SIZE. */
static uint64_t room_for(const struct log *l, uint64_t size)
{
	uint64_t usual = l->settings.segment_size, needed = size + state_room(usual);

	return needed > usual ? needed : usual;
}

static int give_room(struct log *l, int fd, uint64_t size)
{
	return disk_allocate(l->disk, fd, SEGMENT_HEADER + room_for(l, size));
}

/* The file of the segment that begins at the log's end, with room for a record of SIZE bytes and its header written. */
static int new_file(struct log *l, const struct segment_head *h, uint64_t size, struct open_segment *file)
{
	char name[32];
	int err;

	segment_name(name, h->base);
	err = supply_take(l->supply, name, &file->fd);
	if (err)
		return err;
	if (room_for(l, size) > l->settings.segment_size)
		err = give_room(l, file->fd, size);
	if (!err)
		err = segment_head_write(l->disk, file->fd, h, l->secret);
	if (err) {
		disk_close(l->disk, file->fd);
		return err;
	}
	file->base = h->base;
	file->fresh = true;
	return 0;
}

/* FILE is S's, the last segment's, and has room for ROOM bytes of records; the list may have it already. */
static void use_file(struct log *l, struct open_segment *file, struct segment *s, uint64_t room)
{
	struct open_segment **last = &l->files;

	while (*last && *last != file)
		last = &(*last)->next;
	*last = file;
	file->room = room;
	l->file = file;
	if (l->active)
		segment_put(l->active);
	l->active = s;
	l->limit = s->head.base + room;
}

/*
 * A start takes the name at BASE for where the segment before it ends. So while it cannot be removed, nothing more may go into that one: the next
 * append rolls again, to the same name.
 */
static void give_up(struct log *l, uint64_t base)
{
	char name[32];
	int err;

	segment_name(name, base);
	err = disk_unlink(l->disk, name);
	if (err && err != -ENOENT)
		l->limit = l->end;
	l->given_up = true;
}

/* A new active segment at the log's end. */
static int begin_segment(struct log *l, uint64_t size)
{
	struct segment_head h = {.cluster = l->cluster, .base = l->end, .chain = l->chain, .epoch = l->last_epoch, .time = l->time};
	struct open_segment *file = calloc(1, sizeof *file);
	struct runs *runs = NULL;
	int err = file ? runs_new(&runs) : -ENOMEM;

	if (!err)
		err = new_file(l, &h, size, file);
	if (!err) {
		err = segments_add(l->segments, &h, UINT64_MAX, runs, NULL);
		if (!err) {
			use_file(l, file, segments_last(l->segments), room_for(l, size));
			return 0;
		}
		disk_close(l->disk, file->fd);
	}
	give_up(l, h.base);
	runs_free(runs);
	free(file);
	return err;
}

/* The same in the last segment, whose FILE has no record yet: it gets the room. */
static int begin_again(struct log *l, struct open_segment *file, uint64_t size)
{
	struct segment *s;
	int err = give_room(l, file->fd, size);

	if (err)
		return err;
	s = segments_last(l->segments);
	segment_map_again(s);
	use_file(l, file, s, room_for(l, size));
	return 0;
}

/*
 * Nothing goes from the front of the log without two checkpoints, nor the segment that ends here without its index: the last of the disk is theirs, not
 * the next segment's. Where there is no other segment that could go, it is of no use to wait for that.
 */
static int leave_reserve(struct log *l)
{
	if (!l->reserve || !l->active || segments_count(l->segments) < 2)
		return 0;
	return supply_leave(l->supply, l->reserve + runs_memory(l->active->runs), true);
}

/*
 * A start that found no room for its last segment, a cut, or a record that was refused behind the roll for it may have left an empty one: a second
 * one of its base would take its name and hide it.
 */
int log_roll(struct log *l, uint64_t size)
{
	struct open_segment *empty = l->files;
	int err = leave_reserve(l);

	while (empty && empty->base != l->end)
		empty = empty->next;
	if (!err)
		err = empty ? begin_again(l, empty, size) : begin_segment(l, size);
	return err ? roll_error(l, err) : 0;
}

int log_adopt(struct log *l, struct segment *last, int fd, uint64_t room)
{
	struct open_segment *file = calloc(1, sizeof *file);

	if (!file)
		return -ENOMEM;
	file->fd = fd;
	file->base = last->head.base;
	use_file(l, file, last, room > SEGMENT_HEADER ? room - SEGMENT_HEADER : 0);
	return 0;
}
