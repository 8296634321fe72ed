/* SPDX-License-Identifier: Apache-2.0 */
#include "apply.h"
#include "raw.h"
#include "watch.h"
#include <errno.h>
#include <syslog.h>

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

/* Another node has it, and will be asked for it: what is behind waits. */
static bool can_be_repaired(struct store *s, uint64_t pos)
{
	return pos < member_proved(s) && member_waits_for_others(s);
}

int apply_from_log(struct store *s, uint64_t to)
{
	uint64_t first, base;
	const uint8_t *bytes;
	struct raw *raw = NULL;
	ssize_t n;
	int err;

	if (s->applied >= to)
		return 0;
	first = log_first_entry(s->log);
	if (first < to)
		to = first;
	if (s->applied >= to)
		return 0;
	err = raw_open(&raw, s->disk, s->segments, s->id.secret, s->applied);
	while (!err && (n = raw_read(raw, to, &bytes, &base)) != 0)
		err = n < 0 ? (int)n : apply_some(s, bytes, (size_t)n, raw_pos(raw) - (uint64_t)n);
	if (err == -EBADMSG || err == -ENODATA)
		store_damaged(s, DAMAGE_RECORD, raw_pos(raw), "a record that is committed and not applied yet");
	if (err == -EBADMSG && can_be_repaired(s, raw_pos(raw)))
		err = -EAGAIN;
	raw_close(raw);
	return err;
}
