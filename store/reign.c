/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's reign: what it promises, the roles it takes, and the records of its own that say so. member.c has who counts and what a standby receives.
 */
#include "member.h"
#include "checkpoint.h"
#include "commit.h"
#include "log.h"
#include "parts.h"
#include <errno.h>
#include <unistd.h>

/* ---- what must be durable before anything else happens ---- */

struct moved {
	struct progress_waiter waiter;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool moved;
};

static void wake(struct progress_waiter *w)
{
	struct moved *m = (struct moved *)w;

	pthread_mutex_lock(&m->lock);
	m->moved = true;
	pthread_cond_signal(&m->cond);
	pthread_mutex_unlock(&m->lock);
}

static bool all_written(struct store *s, uint64_t pos)
{
	return log_written(s->log) >= pos;
}

static bool all_synced(struct store *s, uint64_t pos)
{
	return commit_synced(s->commit) >= pos;
}

/* Until REACHED, however long the disk takes. -EIO: it never will be. */
static int wait_until(struct store *s, bool (*reached)(struct store *s, uint64_t pos), uint64_t pos)
{
	struct moved m = {{.moved = wake}, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
	int err = 0;

	progress_add(&s->progress, &m.waiter);
	for (;;) {
		progress_arm(&s->progress, &m.waiter);
		if (reached(s, pos))
			break;
		if (log_failed(s->log)) {
			err = -EIO;
			break;
		}
		pthread_mutex_lock(&m.lock);
		while (!m.moved)
			pthread_cond_wait(&m.cond, &m.lock);
		m.moved = false;
		pthread_mutex_unlock(&m.lock);
	}
	progress_remove(&s->progress, &m.waiter);
	return err;
}

/* Appends one of the node's own records, which is not sent before it is durable, and nothing behind it either. */
static int append_held(struct store *s, struct append *a)
{
	struct member *m = &s->member;
	int err;

	pthread_mutex_lock(&m->lock);
	m->held_pos = log_tail(s->log).pos;
	m->held_end = UINT64_MAX;
	pthread_mutex_unlock(&m->lock);
	a->own = true;
	a->uid = getuid();
	a->pid = (uint32_t)getpid();
	err = log_append(s->log, a, s->applied);
	pthread_mutex_lock(&m->lock);
	m->held_end = err ? 0 : a->end;
	pthread_mutex_unlock(&m->lock);
	if (err == -EIO)
		commit_hurry(s->commit);
	return err;
}

/* ---- roles ---- */

/* On a full disk out of the reserve: a promise that cannot be kept would leave a pair without a primary. */
static int save_promise(struct store *s, const struct promise *p)
{
	int err = promise_save(s->disk, &s->id, p);

	while (disk_error_full(err) && reserve_release(s) == 0)
		err = promise_save(s->disk, &s->id, p);
	return err;
}

int store_promise(struct store *s, struct reign r)
{
	struct member *m = &s->member;
	struct promise p;
	int than, err = 0;

	pthread_mutex_lock(&m->lock);
	than = reign_compare(r, m->promise.reign);
	if (than < 0)
		err = -EPERM;
	else if (than > 0 && m->role == ROLE_PRIMARY)
		err = -EBUSY;
	p = m->promise;
	pthread_mutex_unlock(&m->lock);
	if (err || (than == 0 && m->promised))
		return err;
	p.reign = r;
	if (than > 0) {
		p.own = 0;
		p.accepted_loss = false;
	}
	err = save_promise(s, &p);
	pthread_mutex_lock(&m->lock);
	m->promised = !err;
	if (!err)
		m->promise = p;
	pthread_mutex_unlock(&m->lock);
	return err;
}

void store_hand_over(struct store *s, bool on)
{
	pthread_mutex_lock(&s->member.lock);
	s->member.handing_over = on && s->member.role == ROLE_PRIMARY;
	member_refresh(s);
	pthread_mutex_unlock(&s->member.lock);
}

int store_step_down(struct store *s)
{
	struct member *m = &s->member;

	pthread_mutex_lock(&m->lock);
	if (m->role == ROLE_STANDBY) {
		pthread_mutex_unlock(&m->lock);
		return 0;
	}
	m->role = ROLE_STANDBY;
	m->handing_over = m->holding_back = false;
	m->announced = s->applied;
	m->known = s->applied > m->proved ? s->applied : m->proved;
	m->current = m->quorum.current;
	m->current_at = 0;
	member_refresh(s);
	pthread_mutex_unlock(&m->lock);
	return wait_until(s, all_written, log_tail(s->log).pos);
}

/*
 * The epoch's first record. On a full disk it may not take what commands need to relieve it, or restarts would: a node that was never of a pair
 * goes on in the epoch that its log ends with, as if it had not been away. Epochs are there to tell logs of nodes apart that went on without
 * each other, and no other one could have. (A mirror may have got what this node then lost to a power cut. It hears of it all the same: the chain
 * shows it.) A node of a pair needs its record, and takes the last room for it.
 */
static int append_epoch(struct store *s, struct append *a)
{
	struct log_start tail = log_tail(s->log);
	int err = append_held(s, a);

	if (!disk_error_full(err))
		return err;
	if (!annals_paired(s->annals) && tail.epoch.node == s->id.node && tail.epoch.reign == s->epoch.reign) {
		s->epoch = tail.epoch;
		log_set_epoch(s->log, &s->epoch);
		a->end = tail.pos;
		return 0;
	}
	a->claim = CLAIM_LAST;
	return append_held(s, a);
}

int member_begin_epoch(struct store *s, bool current)
{
	struct append a = {.type = RECORD_EPOCH};
	struct member *m = &s->member;
	struct pair_row pair;
	int err;

	s->epoch = (struct epoch){.reign = m->promise.own, .node = s->id.node,
		.start = annals_last_start(s->annals, m->promise.own, s->id.node) + 1};
	if (s->epoch.start == 1 && m->promise.accepted_loss)
		a.flags = RECORD_ACCEPTED_LOSS;
	pthread_mutex_lock(&m->lock);
	m->role = ROLE_PRIMARY;
	quorum_begin(&m->quorum, s->id.node, UINT64_MAX, current);
	m->hold = annals_last_pair(s->annals, &pair) && pair.pair.nodes > 1 ? 0 : UINT64_MAX;
	member_refresh(s);
	pthread_mutex_unlock(&m->lock);
	log_set_epoch(s->log, &s->epoch);
	err = append_epoch(s, &a);
	if (err)
		return err;
	pthread_mutex_lock(&m->lock);
	m->quorum.first_end = a.end;
	member_refresh(s);
	pthread_mutex_unlock(&m->lock);
	commit_hurry(s->commit);
	err = wait_until(s, all_synced, a.end);
	commit_look(s->commit);
	return err;
}

/* Nothing of it is in the log. Where that cannot be written down, the next start begins it. */
static void give_up_reign(struct store *s)
{
	struct member *m = &s->member;
	struct promise p = m->promise;

	pthread_mutex_lock(&m->lock);
	m->role = ROLE_STANDBY;
	member_refresh(s);
	pthread_mutex_unlock(&m->lock);
	p.own = 0;
	p.accepted_loss = false;
	if (save_promise(s, &p))
		return;
	pthread_mutex_lock(&m->lock);
	m->promise = p;
	pthread_mutex_unlock(&m->lock);
}

int store_begin_reign(struct store *s, struct reign r, uint8_t flags, bool current)
{
	struct member *m = &s->member;
	struct promise p = m->promise;
	int err;

	if (!member_is_standby(s))
		return -EROFS;
	if (r.node != s->id.node || reign_compare(r, p.reign) != 0)
		return -EPERM;
	if (p.own != r.number) {
		p.own = r.number;
		p.accepted_loss = flags & RECORD_ACCEPTED_LOSS;
		err = save_promise(s, &p);
		if (err)
			return err;
		pthread_mutex_lock(&m->lock);
		m->promise = p;
		pthread_mutex_unlock(&m->lock);
	}
	err = member_begin_epoch(s, current);
	/* Who needs nobody rules all the same, if not before the next start: nobody else could be promoted. */
	if (err && !log_failed(s->log) && member_needs_others(s))
		give_up_reign(s);
	return err;
}

int store_set_pair(struct store *s, const struct pair *p, uint64_t *end)
{
	uint8_t body[PAIR_MAX];
	struct iovec iov = {body, pair_encode(p, body)};
	struct append a = {.type = RECORD_PAIR, .iov = &iov, .iovcnt = 1, .claim = CLAIM_RELIEF};
	struct member *m = &s->member;
	struct pair_row last;
	size_t count;
	int err;

	if (member_is_standby(s))
		return -EROFS;
	if (!p->stopped && s->applied < m->quorum.first_end)
		return -EAGAIN;
	if (!p->stopped && annals_last_pair(s->annals, &last) && last.pos >= s->applied)
		return -EBUSY;
	err = annals_pairs(s->annals, s->applied, &(struct pair_row){0}, 0, &count);
	if (err == -ENOBUFS && count >= QUORUM_PAIRS)
		return -EBUSY;
	err = append_held(s, &a);
	if (err)
		return err;
	*end = a.end;
	pthread_mutex_lock(&m->lock);
	member_refresh(s);
	pthread_mutex_unlock(&m->lock);
	commit_appended(s->commit, true);
	return p->stopped ? wait_until(s, all_synced, a.end) : 0;
}

int store_prove_committed(struct store *s)
{
	struct append a = {.type = RECORD_HEADS, .claim = CLAIM_LAST};
	int err;

	if (member_is_standby(s))
		return -EROFS;
	err = append_held(s, &a);
	if (err)
		return err;
	commit_appended(s->commit, true);
	return wait_until(s, all_synced, a.end);
}
