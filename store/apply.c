/* SPDX-License-Identifier: Apache-2.0 */
#include "apply.h"
#include "raw.h"
#include "scan.h"
#include "watch.h"
#include <errno.h>
#include <syslog.h>

#define HEADERS 64                     /* that are applied at a time */

/* Under the apply lock. What came of a command is nobody's to hear here. */
static int apply_one(struct store *s, const struct record *r, const void *body)
{
	struct queue *q;
	int err = state_apply(s, r, body);

	if (err == -ENOMEM)
		return err;
	if (r->type == RECORD_MESSAGES && (q = queue_by_id(s, r->queue)))
		watch_committed(s, q);
	return 0;
}

static int apply_some(struct store *s, const uint8_t *bytes, size_t len, uint64_t pos)
{
	struct record r;
	int err = 0;

	topics_apply_lock(s->topics);
	for (size_t at = 0; !err && at < len; at += record_size(r.length)) {
		err = record_decode(&r, s->id.secret, bytes + at, pos + at);
		if (!err)
			err = apply_one(s, &r, bytes + at + RECORD_HEADER);
	}
	topics_apply_unlock(s->topics);
	return err;
}

/* What stands at POS is damaged. 1: somebody will repair it, so what is behind waits, as it does until it is known how far the damage goes. */
static int may_pass(struct store *s, uint64_t pos, struct damage *d)
{
	if (pos >= member_proved(s))
		return -EBADMSG;
	if (!damage_at(s, pos, d))
		return 1;
	if (d->end == d->pos + 1)      /* a record that does not follow the one before it: who could tell which of them is wrong */
		return -EBADMSG;
	return d->state == DAMAGE_SPAN && !d->absent && member_waits_for_others(s);
}

/* Where no more than a body of messages is damaged, they are there, and cannot be read. -EBADMSG: the header is damaged. */
static int header_at(struct store *s, uint64_t pos, struct record *r)
{
	struct segment *seg = segments_find(s->segments, pos);
	enum scan_found found;
	struct scan *scan;
	const void *body;
	int err = seg ? scan_open(&scan, s->disk, s->id.secret, seg->head.base) : -EBADMSG;

	if (seg)
		segment_put(seg);
	if (err)
		return err;
	scan_seek(scan, pos);
	scan_bodies(scan, false);
	err = scan_next(scan, r, &body, &found);
	scan_close(scan);
	return err || found == SCAN_RECORD || found == SCAN_BODY ? err : -EBADMSG;
}

/* As recovery does: what a record did whose header is gone, or a command, stays unknown. */
static int pass_over(struct store *s, uint64_t pos, uint64_t to)
{
	struct record r;
	struct damage d;
	int err = may_pass(s, pos, &d);

	if (err || d.end > to)
		return err < 0 ? err : -EAGAIN;
	err = header_at(s, pos, &r);
	if (err && err != -EBADMSG && err != -EIO)
		return err;
	topics_apply_lock(s->topics);
	if (!err && r.type == RECORD_MESSAGES) {
		err = apply_one(s, &r, NULL);
	} else {
		err = 0;
		s->applied_at.pos = d.end;
		s->applied_at.chain = d.next;
		atomic_store(&s->applied, d.end);
	}
	topics_apply_unlock(s->topics);
	return err;
}

/* Up to TO, or to where no valid record stands: -EBADMSG. */
static int apply_valid(struct store *s, uint64_t to)
{
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	ssize_t n;
	int err = raw_open(&raw, s->disk, s->segments, s->id.secret, s->applied);

	if (err)
		return err;
	while (!err && (n = raw_read(raw, to, &bytes, &base)) != 0)
		err = n < 0 ? (int)n : apply_some(s, bytes, (size_t)n, raw_pos(raw) - (uint64_t)n);
	if (err == -EBADMSG || err == -ENODATA)
		store_damaged(s, DAMAGE_RECORD, raw_pos(raw), "a record that is committed and not applied yet");
	raw_close(raw);
	return err;
}

/* What the log still has the headers of: whether it has rotted since it was received, its readers see. */
static int apply_received(struct store *s, uint64_t to)
{
	struct record r[HEADERS];
	size_t n;
	int err = 0;

	while (!err && (n = log_received(s->log, s->applied, to, r, HEADERS))) {
		topics_apply_lock(s->topics);
		for (size_t i = 0; !err && i < n; i++)
			err = apply_one(s, &r[i], NULL);
		topics_apply_unlock(s->topics);
	}
	return err;
}

int apply_from_log(struct store *s, uint64_t to)
{
	uint64_t first;
	int err = 0;

	if (s->applied >= to)
		return 0;
	first = log_first_entry(s->log);
	if (first < to)
		to = first;
	while (!err && s->applied < to) {
		err = apply_received(s, to);
		if (!err && s->applied < to)
			err = apply_valid(s, to);
		if (err == -EBADMSG)
			err = pass_over(s, s->applied, to);
	}
	return err;
}
