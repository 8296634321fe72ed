/* SPDX-License-Identifier: Apache-2.0 */
/* Both nodes at one: how they get there when all faults have ended, and what they must have then. */
#include "duo.h"
#include "bytes.h"
#include "check.h"
#include "parts.h"
#include "promote.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MILLI INT64_C(1000000)
#define BY_ITSELF (30 * SECOND)        /* that a pair may take to be at one, or to need its operator */
#define ORDER_TIME (30 * SECOND)
#define HELPS 8                        /* times that an operator helps, at most */

static const char *name(const struct node *n)
{
	return simnet_name(n->number);
}

static struct node *other(struct node *n)
{
	return &n->duo->nodes[1 - n->number];
}

/* ---- at one ---- */

static bool leads(const struct member_view *v)
{
	return v->role == ROLE_PRIMARY && v->settled && v->current && !v->refused && v->committed == v->end;
}

static bool is_pair(const struct member_view *a, const struct member_view *b)
{
	return a->paired && a->pair_committed && a->pair.nodes == PAIR_NODES && pair_has(&a->pair, a->node) && pair_has(&a->pair, b->node);
}

static bool follows(const struct member_view *s, const struct member_view *p)
{
	return s->role == ROLE_STANDBY && s->current && s->end == p->end && s->chain == p->chain && s->synced == p->end && s->committed == p->end &&
		!reign_compare(s->promise.reign, epoch_reign(&p->epoch));
}

/* The primary, where it is so. */
static struct node *at_one(struct duo *p, struct member_view *of)
{
	struct member_view v[NODES];

	for (int i = 0; i < NODES; i++)
		if (!node_view(&p->nodes[i], &v[i]))
			return NULL;
	for (int i = 0; i < NODES; i++)
		if (leads(&v[i]) && is_pair(&v[i], &v[1 - i]) && follows(&v[1 - i], &v[i])) {
			*of = v[i];
			return &p->nodes[i];
		}
	return NULL;
}

static bool wait_until_at_one(struct duo *p, int64_t time)
{
	int64_t until = world_now(p->world) + time;
	struct member_view v;

	while (world_now(p->world) < until) {
		if (at_one(p, &v))
			return true;
		for (int i = 0; i < NODES; i++) {
			struct node *n = &p->nodes[i];
			if (n->state == NODE_DOWN && n->unusable)
				return false;
		}
		duo_pass(p, 200 * MILLI);
	}
	return false;
}

/* ---- what an operator does ---- */

static void say_node(struct node *n)
{
	struct replicator_status s;
	struct member_view v;

	if (!node_view(n, &v)) {
		duo_say(n->duo, "%s is not up: %s", name(n), n->why);
		return;
	}
	replicator_status(n->replicator, &s);
	n->duo->explained |= s.why[0] != 0;
	duo_say(n->duo, "%s is %s of reign %u start %u, promise %u of %s, log %" PRIu64 "-%" PRIu64 " synced %" PRIu64 " committed %" PRIu64
		"%s%s%s, pair of %d%s%s; %s",
		name(n), v.role == ROLE_PRIMARY ? "primary" : "standby", v.epoch.reign, v.epoch.start, v.promise.reign.number,
		v.promise.reign.node == v.node ? "itself" : "the other", v.start, v.end, v.synced, v.committed, v.current ? " current" : "",
		v.settled ? " settled" : "", v.refused ? " refused" : "", v.paired ? v.pair.nodes : 0, v.pair_committed ? "" : " not committed",
		v.pair.stopped ? " by its word alone" : "", s.why);
}

void duo_accept_loss(struct node *n)
{
	struct ledger *l = &n->duo->ledger;
	bool *has = calloc(l->count + 1, sizeof *has);
	struct member_view v;
	const uint8_t *bytes;
	uint64_t base;
	struct raw *raw;
	ssize_t len;

	if (!has)
		ledger_fail(l, "out of memory");
	if (node_view(n, &v) && store_raw(n->store, v.start, &raw) == 0) {
		while ((len = raw_read(raw, v.written, &bytes, &base)) > 0)
			for (ssize_t at = 0; at < len; at += (ssize_t)record_size(get32(bytes + at + 8))) {
				uint32_t number;
				if (bytes[at + 4] == RECORD_MESSAGES && ledger_is_entry(l, bytes + at + RECORD_HEADER, get32(bytes + at + 8), &number))
					has[number] = true;
			}
		raw_close(raw);
	}
	ledger_loss(l, has);
	free(has);
}

/* Nothing may be lost any more, whatever the operator has given up before? */
static bool is_honest(const struct duo *p)
{
	return !p->ledger.loss && !p->ledger.lied;
}

static struct node *better(struct duo *p)
{
	struct member_view a, b;

	if (!node_view(&p->nodes[0], &a))
		return &p->nodes[1];
	if (!node_view(&p->nodes[1], &b))
		return &p->nodes[0];
	return &p->nodes[promote_compare(&a.last, a.end, &b.last, b.end) < 0];
}

/* None rules. Either may be asked first: who must not rule refuses. The last order is the operator's word that nobody went on alone: while he has not lied, it is true, and costs nothing. */
static void help_promote(struct duo *p)
{
	struct node *n = better(p), *first = once_in(p->world, 2) ? n : other(n);
	struct order o = {.kind = ORDER_PROMOTE};
	char why[REPLICATOR_WHY];

	if (!node_order(first, &o, ORDER_TIME, why) || !node_order(other(first), &o, ORDER_TIME, why))
		return;
	if (!is_honest(p))
		duo_accept_loss(n);
	o.accept_loss = true;
	node_order(n, &o, ORDER_TIME, why);
}

/* The pair has a node that is there no more. Where that is not enough he gives his word, as above. */
static void help_alone(struct node *n)
{
	struct order o = {.kind = ORDER_ALONE};
	char why[REPLICATOR_WHY];

	strcpy(o.stopped, name(other(n)));
	node_stop(other(n));
	if (node_order(n, &o, ORDER_TIME, why)) {
		o.accept_loss = true;
		node_order(n, &o, ORDER_TIME, why);
	}
	node_start(other(n));
}

/* The other one's store is given up. Never where nothing was given up before. */
static void help_replace(struct duo *p, struct node *keep)
{
	struct node *lost = other(keep);

	if (is_honest(p))
		ledger_fail(&p->ledger, "%s cannot go on, and the operator has done nothing wrong: %s", name(lost), lost->why);
	duo_say(p, "the operator gives %s's store up", name(lost));
	ledger_lie(&p->ledger);
	node_stop(lost);
	node_replace(lost);
	node_start(lost);
}

static bool has_left(const struct member_view *v, const struct member_view *lost)
{
	return v->paired && !pair_has(&v->pair, lost->node) && (v->pair.nodes == PAIR_NODES || !v->settled);
}

/* One of them is not up: it joins, or cannot be opened. */
static void help_one(struct node *n, const struct member_view *v)
{
	if (other(n)->state != NODE_JOINING)
		help_replace(n->duo, n);
	else if (v->role == ROLE_STANDBY)
		help_promote(n->duo);
}

static void help(struct duo *p, int times)
{
	struct member_view a, b;
	bool a_up = node_view(&p->nodes[0], &a), b_up = node_view(&p->nodes[1], &b);

	duo_meet(p, OPERATOR_NEEDED);
	p->explained = !a_up || !b_up;
	for (int i = 0; i < NODES; i++)
		say_node(&p->nodes[i]);
	if (!p->explained)
		ledger_fail(&p->ledger, "the pair needs its operator, and no status says why");
	if (!a_up || !b_up)
		help_one(&p->nodes[a_up ? 0 : 1], a_up ? &a : &b);
	else if (a.role == ROLE_STANDBY && b.role == ROLE_STANDBY)
		help_promote(p);
	else if (a.role == ROLE_PRIMARY && b.role == ROLE_STANDBY && has_left(&a, &b))
		help_alone(&p->nodes[0]);
	else if (b.role == ROLE_PRIMARY && a.role == ROLE_STANDBY && has_left(&b, &a))
		help_alone(&p->nodes[1]);
	else if (a.role == ROLE_PRIMARY && b.role == ROLE_PRIMARY && (has_left(&a, &b) || has_left(&b, &a)))
		help_alone(!has_left(&b, &a) || (has_left(&a, &b) && better(p) == &p->nodes[0]) ? &p->nodes[0] : &p->nodes[1]);
	else if (times > 2)
		help_replace(p, a.role == b.role ? better(p) : &p->nodes[a.role != ROLE_PRIMARY]);
}

/* ---- faults end ---- */

static void calm_disk(struct simdisk *d)
{
	d->sync_fails = d->sync_hangs = d->write_fails = d->write_short = 0;
	d->crash_near = 0;
	d->crash_at = 0;
	d->budget = (uint64_t)1 << 30;
}

static bool has_failed(struct node *n)
{
	return n->disk->disk.unsound || (n->store && (n->store->read_only || (n->store->log && log_failed(n->store->log))));
}

static void end_faults(struct duo *p)
{
	duo_say(p, "-------- all faults end");
	simnet_heal(p->net);
	for (int i = 0; i < NODES; i++) {
		struct node *n = &p->nodes[i];
		p->thaw[i] = 0;
		n->process.frozen = false;
		calm_disk(n->disk);
		node_wait_down_if_dead(n);
		if (has_failed(n))
			node_stop(n);
		node_wait_down_if_dead(n);
		if (n->state == NODE_DOWN && n->fiber)
			node_wait_down(n);
		if (!n->fiber)
			node_start(n);
	}
}

/* A start that was under way, frozen perhaps, has met the disk while it was bad. */
static void start_again(struct duo *p)
{
	for (int i = 0; i < NODES; i++) {
		struct node *n = &p->nodes[i];
		if (n->state == NODE_DOWN) {
			node_wait_down(n);
			node_start(n);
		}
	}
}

/* ---- what they must have ---- */

static void read_queue(struct node *n, int queue, struct queue *q, uint64_t *head)
{
	struct ledger *l = &n->duo->ledger;
	uint8_t bytes[LEDGER_MOST];
	uint64_t at = q->head;
	struct reader *r;
	struct slice s;

	*head = at > *head ? at : *head;
	if (reader_new(&r, n->store, q))
		ledger_fail(l, "out of memory");
	while (at < q->committed) {
		slice_init(&s);
		ssize_t len = reader_read_record(r, at, sizeof bytes, &s);
		if (len <= 0 || slice_copy(&s, bytes))
			ledger_fail(l, "%s: queue %d cannot be read at %" PRIu64 " of %" PRIu64 ": %s", name(n), queue, at, q->committed, strerror((int)-len));
		slice_free(&s);
		ledger_found(l, queue, at, bytes, (size_t)len);
		at += (uint64_t)len;
	}
	reader_free(r);
}

/* Where each queue ends, in ENDS. */
static void read_node(struct node *n, uint64_t heads[LEDGER_QUEUES], uint64_t ends[LEDGER_QUEUES])
{
	for (int queue = 0; queue < LEDGER_QUEUES; queue++) {
		char text[8] = {'t', (char)('0' + ledger_topic(queue)), 0};
		struct topic *t = topic_find(n->store, text);

		if (!t)
			ledger_fail(&n->duo->ledger, "%s has no topic %s", name(n), text);
		read_queue(n, queue, topic_queue(t, ledger_number(queue)), &heads[queue]);
		ends[queue] = topic_queue(t, ledger_number(queue))->committed;
		topic_put(t);
	}
}

static bool new_loss(struct node *n)
{
	return n->duo->ledger.loss && !node_is_outside(n);
}

static void check_both(struct duo *p, struct node *leader)
{
	uint64_t heads[LEDGER_QUEUES] = {0}, ends[NODES][LEDGER_QUEUES];
	struct ledger *l = &p->ledger;
	uint64_t lost = l->lost;
	bool loss = l->loss, took_place = new_loss(leader);

	ledger_check_begin(l);
	for (int i = 0; i < NODES; i++)
		read_node(&p->nodes[i], heads, ends[i]);
	for (int queue = 0; queue < LEDGER_QUEUES; queue++)
		if (ends[0][queue] != ends[1][queue])
			ledger_fail(l, "queue %d ends at %" PRIu64 " on a and at %" PRIu64 " on b", queue, ends[0][queue], ends[1][queue]);
	ledger_check_end(l, heads, took_place);
	p->counts->checks++;
	p->counts->lost += l->lost - lost;
	duo_meet_if(p, LOSS_TOOK_PLACE, took_place);
	duo_meet_if(p, LOST_SOME, l->lost > lost);
	duo_meet_if(p, EXCUSED_NOTHING, loss && l->lost == lost);
	duo_say(p, "both are at one, and hold what they must");
}

static void make_topic(struct node *n, const char *text, bool limited)
{
	struct store *s = n->store;
	struct command *c = command_new_waited();
	int err = command_wait(c, store_mkdir(s, c, text, &(struct owner){0, 0, 0755}));
	struct topic *t;

	if (err == -EEXIST)
		err = 0;
	t = err ? NULL : topic_find(s, text);
	if (!err) {
		c = command_new_waited();
		err = command_wait(c, store_set_queues(s, c, t, LEDGER_QUEUES / LEDGER_TOPICS));
	}
	if (!err && limited) {
		c = command_new_waited();
		err = command_wait(c, store_set(s, c, t, SETTING_RETENTION_SIZE, "6000"));
	}
	if (err)
		ledger_fail(&n->duo->ledger, "%s makes no topic %s: %s", name(n), text, strerror(-err));
	topic_put(t);
}

/* Where all was lost, that is lost too, and is made again. True: it had to be. */
static bool make_topics(struct node *n)
{
	bool made = false;

	for (int topic = 0; topic < LEDGER_TOPICS; topic++) {
		char text[8] = {'t', (char)('0' + topic), 0};
		struct topic *t = topic_find(n->store, text);
		bool whole = t && topic_queue(t, LEDGER_QUEUES / LEDGER_TOPICS - 1);

		topic_put(t);
		if (whole)
			continue;
		if (is_honest(n->duo))
			ledger_fail(&n->duo->ledger, "%s has no topic %s", name(n), text);
		make_topic(n, text, n->duo->ledger.limited[topic]);
		made = true;
	}
	return made;
}

void duo_calm(struct duo *p)
{
	struct member_view v;
	struct node *leader;

	end_faults(p);
	duo_pass(p, 300 * MILLI);
	start_again(p);
	p->quiet = true;
	for (int times = 0; !wait_until_at_one(p, BY_ITSELF); times++) {
		if (times == HELPS)
			ledger_fail(&p->ledger, "the pair is never at one");
		help(p, times);
	}
	leader = at_one(p, &v);
	if (leader && make_topics(leader) && wait_until_at_one(p, BY_ITSELF))
		leader = at_one(p, &v);
	if (!leader)
		ledger_fail(&p->ledger, "the pair was at one, and is not any more");
	check_both(p, leader);
	p->reign = v.epoch.reign;
}

/* ---- the beginning ---- */

void duo_begin(struct duo *p)
{
	p->ledger.limited[0] = once_in(p->world, 3);
	p->ledger.limited[1] = p->ledger.limited[0] || once_in(p->world, 2);
	p->min_standbys = once_in(p->world, 3) ? 0 : 1;
	ledger_lie(&p->ledger);        /* nothing is there yet */
	for (int i = 0; i < NODES; i++)
		node_start(&p->nodes[i]);
	duo_calm(p);
}

static void found(void *ctx, bool damage, const char *where, const char *what)
{
	struct duo *p = ctx;

	duo_say(p, "check: %s%s: %s", damage ? "DAMAGE " : "", where, what);
	if (damage)
		ledger_fail(&p->ledger, "mqctl check finds damage in %s: %s", where, what);
}

void duo_end(struct duo *p)
{
	for (int i = 0; i < NODES; i++) {
		struct node *n = &p->nodes[i];
		struct check_calls calls = {.found = found, .ctx = p};
		struct check_totals totals;
		char why[STORE_WHY];
		int err;

		node_stop(n);
		p->checked = n->disk;
		err = check_store("checked", &calls, &totals, why, sizeof why);
		if (err)
			ledger_fail(&p->ledger, "mqctl check of %s: %s", name(n), why);
	}
}
