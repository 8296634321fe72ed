/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A standby's log
 *
 * It takes the bytes of another node's log as they are. Every record is checked before anything is written, and again in what it says
 * about its place: a record that does not follow the last one by its chain belongs to another log, whatever its checksums say.
 *
 * There are no entries for what is received: nobody waits for it with a command, and the queue of a record may not be there yet,
 * because the record that makes it is not known to be committed. What is received is applied (apply.c) by the headers that are kept of it: a record of
 * messages changes no state but where its queue ends. Where they are not kept any more, and for all other records, the log is read again.
 */
#include "log_part.h"
#include "annals.h"
#include "progress.h"
#include "promise.h"
#include "raw.h"
#include "runs.h"
#include <errno.h>
#include <stdlib.h>

static bool same_epoch(const struct epoch *a, const struct epoch *b)
{
	return epoch_compare(a, b) == 0;
}

/* Whether R may follow a record of epoch LAST, of time TIME, with the header checksum CHAIN. */
static bool follows(const struct record *r, const struct log_start *last, const struct epoch *upto)
{
	if (r->prev != last->chain || r->time < last->time || epoch_compare(&r->epoch, upto) > 0)
		return false;
	if (same_epoch(&r->epoch, &last->epoch))
		return r->type != RECORD_EPOCH;
	return r->type == RECORD_EPOCH && epoch_compare(&r->epoch, &last->epoch) > 0;
}

/* How many of LEN bytes are whole records that may follow the log's end. */
static int verify(struct log *l, const uint8_t *bytes, size_t len, const struct epoch *upto, size_t *whole)
{
	struct log_start last = log_tail(l);
	struct record r;
	size_t need;
	int err;

	for (*whole = 0; *whole < len; *whole += need) {
		err = raw_record(&r, l->secret, bytes + *whole, len - *whole, last.pos, &need);
		if (err || !follows(&r, &last, upto))
			return -EBADMSG;
		last = (struct log_start){.pos = last.pos + need, .chain = r.sum, .epoch = r.epoch, .time = r.time};
	}
	return 0;
}

/* The sender's segments are longer than this node's where it was told so; room is made before anything is written. */
static int make_room(struct log *l, uint64_t base, size_t len)
{
	int err = 0;

	if (!l->active || (base == l->end && l->active->head.base != base))
		err = log_roll(l, len);
	if (!err && l->end + len > l->limit) {
		err = disk_allocate(l->disk, l->file->fd, SEGMENT_HEADER + l->end + len - l->file->base);
		if (!err) {
			l->limit = l->end + len;
			l->file->room = l->limit - l->file->base;
			segment_map_again(l->active);
		}
	}
	if (disk_error_full(err))
		log_note_full(l, len, err);
	else if (!err)
		l->refused = 0;
	return err;
}

/* Without memory for it the log is read again. */
static void keep_header(struct received *k, const struct record *r)
{
	if (!k->of)
		k->of = malloc(RECEIVED * sizeof *k->of);
	if (k->of)
		k->of[k->count++ & (RECEIVED - 1)] = *r;
}

size_t log_received(struct log *l, uint64_t pos, uint64_t to, struct record *headers, size_t max)
{
	struct received *k = &l->received;
	size_t n = 0;

	pthread_mutex_lock(&l->lock);
	if (k->count - k->next > RECEIVED)
		k->next = k->count - RECEIVED;
	for (; n < max && k->next < k->count; k->next++) {
		const struct record *r = &k->of[k->next & (RECEIVED - 1)];

		if (r->pos < pos)
			continue;
		if (r->pos > pos || r->type != RECORD_MESSAGES || pos + record_size(r->length) > to)
			break;
		headers[n++] = *r;
		pos += record_size(r->length);
	}
	pthread_mutex_unlock(&l->lock);
	return n;
}

/* Under the lock: one written record is the log's last one now. */
static int take(struct log *l, const uint8_t *bytes, size_t *size)
{
	struct run_queue *cache = NULL;
	struct record r;
	int err = record_decode(&r, l->secret, bytes, l->end);

	if (!err && (!same_epoch(&r.epoch, &l->last_epoch) || r.type == RECORD_PAIR))
		err = annals_note(l->settings.annals, &r, bytes + RECORD_HEADER);
	if (!err && r.type == RECORD_MESSAGES)
		err = runs_add(l->active->runs, &cache, r.queue, r.offset, r.pos, r.length, r.messages);
	if (err == -EINVAL)            /* it overlaps what its queue has: whoever reads it passes it over as well */
		err = 0;
	if (err)
		return err;
	*size = record_size(r.length);
	l->end += *size;
	l->written = l->end;
	l->chain = r.sum;
	l->time = r.time;
	l->epoch = l->last_epoch = r.epoch;
	keep_header(&l->received, &r);
	l->stats.records++;
	if (r.type == RECORD_MESSAGES) {
		l->stats.messages += r.messages;
		l->stats.bytes += r.length;
	}
	return 0;
}

static int write_and_take(struct log *l, const uint8_t *bytes, size_t len, uint64_t base, bool once, size_t *took)
{
	uint64_t at;
	size_t size;
	int err, fd;

	pthread_mutex_lock(&l->lock);
	err = l->failed ? -EIO : make_room(l, base, len);
	if (!err) {
		fd = l->file->fd;
		at = SEGMENT_HEADER + l->end - l->file->base;
	}
	pthread_mutex_unlock(&l->lock);
	if (err)
		return err;
	err = once ? disk_write_once(l->disk, fd, bytes, len, at) : disk_write(l->disk, fd, bytes, len, at);
	if (err) {
		log_fail(l, -EIO);
		return -EIO;
	}
	pthread_mutex_lock(&l->lock);
	for (; !err && *took < len; *took += err ? 0 : size)
		err = take(l, bytes + *took, &size);
	pthread_mutex_unlock(&l->lock);
	return err;
}

int log_receive(struct log *l, const void *bytes, size_t len, uint64_t base, const struct epoch *upto, bool once, size_t *took)
{
	size_t whole;
	int refused = verify(l, bytes, len, upto, &whole), err = 0;

	*took = 0;
	if (whole)
		err = write_and_take(l, bytes, whole, base, once, took);
	if (*took)
		progress_moved(l->settings.progress);
	return err ? err : refused;
}
