/* SPDX-License-Identifier: Apache-2.0 */
#include "member.h"
#include "checkpoint.h"
#include "keeper.h"
#include "log.h"
#include "parts.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <syslog.h>

#define FAR_BEHIND (16u << 20)         /* bytes */

/* ---- what it is ---- */

/* Under the lock: has the pair's other node less than what is kept for it? Of whom nothing was heard it is known that it has nothing of this reign. */
static bool is_unheld(const struct store *s, uint64_t end)
{
	const struct member *m = &s->member;
	uint64_t has = m->hold ? m->hold : m->quorum.first_end, bound = s->options.hold_bytes;

	return m->role == ROLE_PRIMARY && m->hold != UINT64_MAX && end > bound && has < end - bound;
}

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
	to->unheld = is_unheld(s, tail.pos);
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
	to->failed = s->log && log_failed(s->log);
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

/* Appends are taken once the epoch's first record is committed, and while those who must acknowledge are linked. */
static int what_appends_get(struct store *s, uint64_t applied)
{
	struct member *m = &s->member;
	struct pair_row pairs[QUORUM_PAIRS];
	size_t count;

	if (m->role == ROLE_STANDBY || m->handing_over)
		return -EROFS;
	if (m->holding_back || applied < m->quorum.first_end)
		return -EHOSTDOWN;
	if (!annals_paired(s->annals))
		return m->wants_pair ? -EHOSTDOWN : 0;
	if (annals_pairs(s->annals, applied, pairs, QUORUM_PAIRS, &count) || !quorum_reachable(&m->quorum, pairs, count))
		return -EHOSTDOWN;
	return 0;
}

/* What is committed meanwhile may end the refusal: member_committed() saw nothing to end if it came before log_refuse(), and then it is seen
 * here. */
void member_refresh(struct store *s)
{
	uint64_t applied;
	int refuse;

	do {
		applied = s->applied;
		refuse = what_appends_get(s, applied);
		if (refuse != log_refusing(s->log))
			log_refuse(s->log, refuse);
	} while (refuse == -EHOSTDOWN && s->applied != applied);
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
	member_refresh(s);
	pthread_mutex_unlock(&s->member.lock);
}

bool store_linked(struct store *s, uint64_t node, bool linked)
{
	bool has;

	pthread_mutex_lock(&s->member.lock);
	has = quorum_linked(&s->member.quorum, node, linked);
	member_refresh(s);
	pthread_mutex_unlock(&s->member.lock);
	return has;
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
	member_refresh(s);
	pthread_mutex_unlock(&s->member.lock);
}

void store_hold_back(struct store *s, bool on)
{
	pthread_mutex_lock(&s->member.lock);
	s->member.holding_back = on && s->member.role == ROLE_PRIMARY;
	member_refresh(s);
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

bool member_is_standby(struct store *s)
{
	bool is;

	pthread_mutex_lock(&s->member.lock);
	is = s->member.role == ROLE_STANDBY;
	pthread_mutex_unlock(&s->member.lock);
	return is;
}

/* The last pair is this node alone, and nothing keeps its record from being committed but that not all before it is applied. */
static bool has_gone_alone(struct store *s)
{
	struct member *m = &s->member;
	struct pair_row last;
	bool has;

	if (!annals_last_pair(s->annals, &last) || last.pair.nodes != 1 || last.pair.node[0] != s->id.node)
		return false;
	pthread_mutex_lock(&m->lock);
	has = primary_allowed(s, m, commit_synced(s->commit)) > last.pos;
	pthread_mutex_unlock(&m->lock);
	return has;
}

bool member_waits_for_others(struct store *s)
{
	return member_is_standby(s) || (member_needs_others(s) && !has_gone_alone(s));
}

/* Nobody waits for what a node acknowledges that lacks so much: it syncs when there is something to sync. Nor does anybody read it soon, and the
 * page cache is left to what is read: gigabytes of new pages took half of a processor to get. */
static bool is_far_behind(struct store *s)
{
	bool is;

	pthread_mutex_lock(&s->member.lock);
	is = s->member.known > log_end(s->log) + FAR_BEHIND;
	pthread_mutex_unlock(&s->member.lock);
	return is;
}

int store_receive(struct store *s, const void *bytes, size_t len, uint64_t base, const struct epoch *upto, size_t *took)
{
	bool far;
	int err;

	*took = 0;
	if (!member_is_standby(s))
		return -EROFS;
	far = is_far_behind(s);
	err = log_receive(s->log, bytes, len, base, upto, far, took);
	if (*took)
		commit_appended(s->commit, !far);
	if (disk_error_full(err))
		keeper_full(s->keeper);
	else if (err && log_failed(s->log))
		commit_hurry(s->commit);       /* so that everyone who waits hears of it now; below, too */
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

/* As for the tail that recovery cuts. */
static int make_room(void *ctx)
{
	return reserve_release(ctx);
}

int store_cut(struct store *s, uint64_t pos, uint64_t chain)
{
	struct log_losses losses = {lost_command, make_room, s};
	struct member *m = &s->member;
	uint64_t bytes, end;
	int err;

	if (!member_is_standby(s))
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
		err = log_cut(s->log, pos, chain, &losses, &bytes);
	if (!err && pos < end) {
		forget_runs(s);
		store_say(s, LOG_NOTICE, "the log parted from the primary's at position %" PRIu64 ": %" PRIu64 " bytes are in lost/", pos, bytes);
	}
	commit_go_on(s->commit, err ? end : pos, -ETIMEDOUT);
	if (err && log_failed(s->log))
		commit_hurry(s->commit);
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
	struct member *m = &s->member;
	bool unheld, said;

	pthread_mutex_lock(&m->lock);
	hold = m->role == ROLE_PRIMARY ? m->hold : UINT64_MAX;
	said = m->unheld;
	m->unheld = unheld = is_unheld(s, end);
	pthread_mutex_unlock(&m->lock);
	if (unheld && !said)
		store_say(s, LOG_WARNING, "the pair's other node lacks more of the log than `hold`: what it lacks is not kept for it any more");
	return end > bound && hold < end - bound ? end - bound : hold;
}
