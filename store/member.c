/* SPDX-License-Identifier: Apache-2.0 */
#include "member.h"
#include "checkpoint.h"
#include "log.h"
#include "parts.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* ---- what it is ---- */

void store_view(struct store *s, struct member_view *to)
{
	struct member *m = &s->member;
	struct log_start tail = s->log ? log_tail(s->log) : s->applied_at;
	struct log_stats stats = {0};
	struct pair_row row;

	memset(to, 0, sizeof *to);
	pthread_mutex_lock(&m->lock);
	to->role = m->role;
	to->promise = m->promise;
	to->settled = m->role == ROLE_PRIMARY && s->applied >= m->quorum.first_end;
	to->known = m->known > s->applied ? m->known : s->applied;
	to->current = m->role == ROLE_PRIMARY ? m->quorum.current : m->current;
	pthread_mutex_unlock(&m->lock);
	to->cluster = s->id.cluster;
	to->node = s->id.node;
	to->epoch = s->epoch;
	to->start = segments_start(s->segments);
	to->end = tail.pos;
	to->chain = tail.chain;
	to->last = tail.epoch;
	to->written = s->log ? log_written(s->log) : tail.pos;
	to->synced = s->commit ? commit_synced(s->commit) : tail.pos;
	to->committed = s->applied;
	to->paired = annals_last_pair(s->annals, &row);
	if (to->paired) {
		to->pair = row.pair;
		to->pair_committed = row.pos < to->committed;
	}
	to->refused = s->log && log_refusing(s->log) == -EHOSTDOWN;
	if (s->log)
		log_stats(s->log, &stats);
	to->messages = stats.messages;
}

const struct identity *store_identity(struct store *s)
{
	return &s->id;
}

int store_epochs(struct store *s, struct epoch_row **to, size_t *count, uint64_t *end)
{
	*end = s->log ? log_tail(s->log).pos : s->applied;
	return annals_epochs(s->annals, to, count);
}

int store_pairs(struct store *s, struct pair_row *to, size_t max, size_t *count)
{
	return annals_pairs(s->annals, s->applied, to, max, count);
}

struct progress *store_progress(struct store *s)
{
	return &s->progress;
}

/* ---- the commit rule, and what appends are told ---- */

static uint64_t committed(const struct store *s)
{
	return s->applied > s->member.proved ? s->applied : s->member.proved;
}

static uint64_t primary_allowed(struct store *s, struct member *m, uint64_t synced)
{
	struct pair_row pairs[QUORUM_PAIRS];
	uint64_t so_far = committed(s);
	size_t count;

	if (!annals_paired(s->annals))
		return synced >= m->quorum.first_end ? synced : so_far;
	if (annals_pairs(s->annals, so_far, pairs, QUORUM_PAIRS, &count))
		return so_far;
	return quorum_commit(&m->quorum, pairs, count, synced, so_far);
}

uint64_t member_allowed(struct store *s, uint64_t synced)
{
	struct member *m = &s->member;
	uint64_t to;

	pthread_mutex_lock(&m->lock);
	if (m->role == ROLE_STANDBY)
		to = synced < m->announced ? synced : m->announced;
	else
		to = primary_allowed(s, m, synced);
	pthread_mutex_unlock(&m->lock);
	return to;
}

uint64_t member_proved(struct store *s)
{
	uint64_t end = log_written(s->log), known;

	pthread_mutex_lock(&s->member.lock);
	known = s->member.known > s->applied ? s->member.known : s->applied;
	pthread_mutex_unlock(&s->member.lock);
	return known < end ? known : end;
}

/* Under the lock. Appends are taken once the epoch's first record is committed, and while those who must acknowledge are linked. */
static void refresh(struct store *s)
{
	struct member *m = &s->member;
	struct pair_row pairs[QUORUM_PAIRS];
	int refuse = 0;
	size_t count;

	if (m->role == ROLE_STANDBY || m->handing_over)
		refuse = -EROFS;
	else if (s->applied < m->quorum.first_end)
		refuse = -EHOSTDOWN;
	else if (!annals_paired(s->annals))
		refuse = m->wants_pair ? -EHOSTDOWN : 0;
	else if (annals_pairs(s->annals, s->applied, pairs, QUORUM_PAIRS, &count) || !quorum_reachable(&m->quorum, pairs, count))
		refuse = -EHOSTDOWN;
	if (refuse != log_refusing(s->log))
		log_refuse(s->log, refuse);
}

bool member_needs_others(struct store *s)
{
	struct pair_row pairs[QUORUM_PAIRS];
	size_t count;

	return annals_paired(s->annals) && (annals_pairs(s->annals, committed(s), pairs, QUORUM_PAIRS, &count) ||
		!quorum_alone(s->id.node, pairs, count));
}

void member_committed(struct store *s)
{
	if (!log_refusing(s->log))
		return;
	pthread_mutex_lock(&s->member.lock);
	refresh(s);
	pthread_mutex_unlock(&s->member.lock);
}

void store_linked(struct store *s, uint64_t node, bool linked)
{
	pthread_mutex_lock(&s->member.lock);
	quorum_linked(&s->member.quorum, node, linked);
	refresh(s);
	pthread_mutex_unlock(&s->member.lock);
}

void store_acknowledged(struct store *s, uint64_t node, uint64_t pos, bool current)
{
	pthread_mutex_lock(&s->member.lock);
	quorum_acknowledge(&s->member.quorum, node, pos, current);
	pthread_mutex_unlock(&s->member.lock);
	commit_look(s->commit);
}

void store_want_pair(struct store *s, bool on)
{
	pthread_mutex_lock(&s->member.lock);
	s->member.wants_pair = on;
	refresh(s);
	pthread_mutex_unlock(&s->member.lock);
}

void store_vouch(struct store *s)
{
	pthread_mutex_lock(&s->member.lock);
	s->member.quorum.current = true;
	pthread_mutex_unlock(&s->member.lock);
	commit_look(s->commit);
}

/* ---- a standby's log ---- */

static bool is_standby(struct store *s)
{
	bool is;

	pthread_mutex_lock(&s->member.lock);
	is = s->member.role == ROLE_STANDBY;
	pthread_mutex_unlock(&s->member.lock);
	return is;
}

bool member_waits_for_others(struct store *s)
{
	return is_standby(s) || member_needs_others(s);
}

int store_receive(struct store *s, const void *bytes, size_t len, uint64_t base, const struct epoch *upto, size_t *took)
{
	int err;

	*took = 0;
	if (!is_standby(s))
		return -EROFS;
	err = log_receive(s->log, bytes, len, base, upto, took);
	if (*took)
		commit_appended(s->commit, true);
	return err;
}

/* Under the lock: a standby is current once it has synced what was committed when its primary said that it is of the pair. */
static void look_if_current(struct store *s)
{
	struct member *m = &s->member;

	if (m->current_at && commit_synced(s->commit) >= m->current_at)
		m->current = true;
}

void store_announce(struct store *s, uint64_t pos, bool current)
{
	struct member *m = &s->member;

	pthread_mutex_lock(&m->lock);
	if (m->role == ROLE_STANDBY) {
		if (pos > m->announced)
			m->announced = pos;
		if (pos > m->known)
			m->known = pos;
		if (current && (!m->current_at || pos < m->current_at))
			m->current_at = pos;
		look_if_current(s);
	}
	pthread_mutex_unlock(&m->lock);
	commit_look(s->commit);
}

void member_synced(struct store *s)
{
	pthread_mutex_lock(&s->member.lock);
	if (s->member.role == ROLE_STANDBY)
		look_if_current(s);
	pthread_mutex_unlock(&s->member.lock);
	progress_moved(&s->progress);
}

static void lost_command(void *ctx, struct command *c)
{
	state_command_lost(ctx, c);
}

/* The places where a queue's runs were kept are no more. */
static void forget_runs(struct store *s)
{
	struct topic *t;

	topics_read_lock(s->topics);
	for (size_t n = 0; (t = topic_at(s->topics, n)); n++)
		for (uint32_t i = 0; i < atomic_load(&t->count); i++)
			topic_queue(t, i)->run_segment = UINT64_MAX;
	topics_unlock(s->topics);
}

int store_cut(struct store *s, uint64_t pos)
{
	struct log_losses losses = {lost_command, s};
	struct member *m = &s->member;
	uint64_t bytes, end;
	int err;

	if (!is_standby(s))
		return -EROFS;
	commit_pause(s->commit);
	end = log_tail(s->log).pos;
	pthread_mutex_lock(&m->lock);
	err = pos > end ? -EINVAL : pos < s->applied || (pos < end && pos < m->known) ? -EPERM : 0;
	if (!err) {
		m->known = pos < m->known ? pos : m->known;
		m->announced = pos < m->announced ? pos : m->announced;
		m->current_at = 0;
	}
	pthread_mutex_unlock(&m->lock);
	if (!err && pos < end)
		err = log_cut(s->log, pos, &losses, &bytes);
	if (!err && pos < end) {
		forget_runs(s);
		store_say(s, LOG_NOTICE, "the log parted from the primary's at position %" PRIu64 ": %" PRIu64 " bytes are in lost/", pos, bytes);
	}
	commit_go_on(s->commit, err ? end : pos, -ETIMEDOUT);
	return err;
}

int store_raw(struct store *s, uint64_t pos, struct raw **to)
{
	return raw_open(to, s->disk, s->segments, s->id.secret, pos);
}

uint64_t store_sendable(struct store *s)
{
	struct member *m = &s->member;
	uint64_t to = log_written(s->log);

	pthread_mutex_lock(&m->lock);
	if (commit_synced(s->commit) < m->held_end && to > m->held_pos)
		to = m->held_pos;
	pthread_mutex_unlock(&m->lock);
	return to;
}

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
	return err;
}

/* ---- roles ---- */

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
	if (than > 0)
		p.own = 0;
	err = promise_save(s->disk, &s->id, &p);
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
	refresh(s);
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
	m->handing_over = false;
	m->announced = m->known = s->applied;
	m->current = m->quorum.current;
	m->current_at = 0;
	refresh(s);
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

	if (err != -ENOSPC && err != -EDQUOT)
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

int member_begin_epoch(struct store *s, uint8_t flags, bool current)
{
	struct append a = {.type = RECORD_EPOCH, .flags = flags};
	struct member *m = &s->member;
	struct pair_row pair;
	int err;

	s->epoch = (struct epoch){.reign = m->promise.own, .node = s->id.node,
		.start = annals_last_start(s->annals, m->promise.own, s->id.node) + 1};
	pthread_mutex_lock(&m->lock);
	m->role = ROLE_PRIMARY;
	quorum_begin(&m->quorum, s->id.node, UINT64_MAX, current);
	m->hold = annals_last_pair(s->annals, &pair) && pair.pair.nodes > 1 ? 0 : UINT64_MAX;
	refresh(s);
	pthread_mutex_unlock(&m->lock);
	log_set_epoch(s->log, &s->epoch);
	err = append_epoch(s, &a);
	if (err)
		return err;
	pthread_mutex_lock(&m->lock);
	m->quorum.first_end = a.end;
	refresh(s);
	pthread_mutex_unlock(&m->lock);
	commit_hurry(s->commit);
	err = wait_until(s, all_synced, a.end);
	commit_look(s->commit);
	return err;
}

int store_begin_reign(struct store *s, struct reign r, uint8_t flags, bool current)
{
	struct member *m = &s->member;
	struct promise p = m->promise;
	int err;

	if (!is_standby(s))
		return -EROFS;
	if (r.node != s->id.node || reign_compare(r, p.reign) != 0)
		return -EPERM;
	p.own = r.number;
	err = promise_save(s->disk, &s->id, &p);
	if (err)
		return err;
	pthread_mutex_lock(&m->lock);
	m->promise = p;
	pthread_mutex_unlock(&m->lock);
	return member_begin_epoch(s, flags, current);
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

	if (is_standby(s))
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
	refresh(s);
	pthread_mutex_unlock(&m->lock);
	commit_appended(s->commit, true);
	return p->stopped ? wait_until(s, all_synced, a.end) : 0;
}

/* ---- retention ---- */

void store_hold(struct store *s, uint64_t pos)
{
	pthread_mutex_lock(&s->member.lock);
	s->member.hold = pos;
	pthread_mutex_unlock(&s->member.lock);
}

uint64_t member_needed(struct store *s)
{
	uint64_t hold, end = log_end(s->log), bound = s->options.hold_bytes;

	pthread_mutex_lock(&s->member.lock);
	hold = s->member.hold;
	pthread_mutex_unlock(&s->member.lock);
	return end > bound && hold < end - bound ? end - bound : hold;
}
