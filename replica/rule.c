/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a primary minds
 *
 * The pair: the first standby that has caught up takes a free place in it, by a record [joint], so the one that was left out comes back by itself.
 * Caught up is who has acknowledged what was committed at the look before: no more is needed, as the new pair counts from its
 * own record on, and that is behind all of this.
 *
 * A higher reign: while the pair's other node is not linked it may have been promoted, and does not call us then. So it is called, by the
 * HELLO of a standby; its answer says the reign that it rules or has promised. Nothing depends on when this is heard: with
 * min_standbys=1, and after each start, a primary of a pair commits nothing without the other node.
 *
 * One that does commit alone (min_standbys=0, or the other node was left out) asks once when it starts, before it takes appends and before its
 * mount is there: the other one may have been promoted with a loss accepted. Where nobody answers it goes on, as it does when its standby dies.
 * Where the one that was left out rules as well, neither follows the other, and this one takes no appends: the operator chooses. So it is where
 * its store turns out to be a copy of the other one's, or was never of a pair, and the other one has another: it may have lost its own.
 */
#include "replicator_part.h"
#include "address.h"
#include "hello.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define TICK_NS 1000000000LL
#define SOON_NS 100000000LL

/* ---- before appends are taken ---- */

/* By what is known, this one may take appends. */
static void let_go(struct replicator *r)
{
	if (r->holding_back && !r->rival_known) {
		r->holding_back = false;
		store_hold_back(r->store, false);
	}
}

/* The first look is over, one way or the other, and it is said what came of it. */
static void answered(struct replicator *r)
{
	uint64_t one = 1;

	if (!r->asking)
		return;
	r->asking = false;
	if (write(r->answered, &one, sizeof one) < 0)
		one = 0;               /* it is full: so it is readable */
}

/* ---- stepping down ---- */

void rule_depose(struct replicator *r, struct reign reign)
{
	struct member_view v;
	int err;

	store_view(r->store, &v);
	if (v.role != ROLE_PRIMARY || reign_compare(reign, epoch_reign(&v.epoch)) <= 0)
		return;
	replicator_say(r, LOG_WARNING, "reign %" PRIu32 " is above this node's %" PRIu32 ": it is a standby from now on", reign.number, v.epoch.reign);
	err = store_step_down(r->store);
	if (!err && hello_obeys(&v, reign.node, reign))
		err = store_promise(r->store, reign);
	if (err)
		replicator_say(r, LOG_ERR, "stepping down: %s", strerror(-err));
	order_forget(r);
	progress_moved(store_progress(r->store));      /* senders see that their reign is over */
	let_go(r);
	answered(r);
}

/* ---- a higher reign ---- */

/* It knows of this one's reign, which is above its own, and rules on: this one is not of its pair. */
static bool rules_on(const struct member_view *v, const struct meeting *m)
{
	return m->settled && !m->rules && reign_compare(m->rule, epoch_reign(&v->epoch)) < 0;
}

/* Both commit alone, with the operator's consent to both: one of them at least is not of the other one's pair. Neither follows the other,
 * whatever their reigns are. */
static bool is_rival(const struct member_view *v, const struct meeting *m)
{
	return v->settled && m->settled && v->paired && (!pair_has(&v->pair, m->node) || rules_on(v, m));
}

/* An address that leads to a node of another cluster: what that promised or rules means nothing here. */
static bool is_stranger(const struct member_view *v, const struct meeting *m)
{
	return m->cluster != v->cluster;
}

/* Of this very store, or that of whom M follows is. */
static bool is_copy(const struct member_view *v, const struct meeting *m)
{
	return m->copy || m->node == v->node;
}

/* It follows this primary and has committed what that does not have: of the two this store is the older one. */
static bool is_older(const struct member_view *v, const struct meeting *m)
{
	return m->lacking && !m->rules && reign_compare(m->promise, epoch_reign(&v->epoch)) <= 0;
}

static void set_rival(struct replicator *r, uint64_t node, const char name[FRAME_NAME], bool commits, const char why[REPLICATOR_WHY])
{
	if (*why && strcmp(why, r->rival) != 0)
		replicator_say(r, LOG_WARNING, "%s", why);
	memcpy(r->rival, why, REPLICATOR_WHY);
	r->rival_node = node;
	memcpy(r->rival_name, name, FRAME_NAME);
	pthread_mutex_lock(&r->lock);
	r->rival_known = commits;
	pthread_mutex_unlock(&r->lock);
}

static void no_rival(struct replicator *r)
{
	static const char nobody[REPLICATOR_WHY];

	if (*r->rival)
		set_rival(r, 0, nobody, false, nobody);
}

void rule_go_on(struct replicator *r)
{
	no_rival(r);
	let_go(r);
}

/* What another address says does not tell that the one that is known has gone. */
static void note_rival(struct replicator *r, const struct member_view *v, const struct meeting *m)
{
	bool stranger = is_stranger(v, m), copy = !stranger && is_copy(v, m);
	bool older = !stranger && !copy && is_older(v, m);
	bool rival = stranger ? r->holding_back && !v->paired : copy || older || is_rival(v, m);
	char why[REPLICATOR_WHY] = "";

	if (stranger)
		snprintf(why, sizeof why, "%s has a store of another cluster", m->name);
	else if (m->copy)
		snprintf(why, sizeof why, "%s says: %.400s", m->name, m->reason);
	else if (copy)
		snprintf(why, sizeof why, "the store of %s has the same id: one of the two is a copy, and has to be made anew", m->name);
	else if (older)
		snprintf(why, sizeof why, "%s has %" PRIu64 " bytes that this node had committed and lacks: the store is an older copy", m->name, m->lacking);
	else if (rival)
		snprintf(why, sizeof why, "%s has gone on alone as well, in reign %" PRIu32 ": one of the two has to be made anew", m->name, m->rule.number);
	if (rival || (stranger && !r->rival_known))
		set_rival(r, m->node, m->name, rival, why);
	else if (m->node == r->rival_node)
		no_rival(r);
}

/* It was left out on the operator's word, and has promised a higher reign before it could know: it was promoted in vain. It follows nobody below
 * that, so a primary that needs no other node takes a reign above it: a promotion by the rules, which costs a record. */
static void outrank(struct replicator *r, const struct member_view *v, const struct meeting *m)
{
	struct promotion p = {.heard = m->promise};
	char why[REPLICATOR_WHY];

	if (v->settled && v->current && v->paired && v->pair_committed && hello_believes(v, m->promise) && order_promote(r, &p, why))
		replicator_say(r, LOG_ERR, "a reign above that which %s has promised: %s", m->name, why);
}

/* False: the minder is wanted elsewhere, so not everybody was asked. */
static bool look_for_higher(struct replicator *r, const struct member_view *v)
{
	struct meeting m;
	char why[LINK_WHY];

	for (const char *address = r->others; address; address = address_behind(address)) {
		int err = meet(r, address, &m, why);

		if (minder_wanted(r))
			return false;
		if (err || m.self)
			continue;
		note_rival(r, v, &m);
		if (is_stranger(v, &m))
			continue;
		if (m.rules && reign_compare(m.rule, m.promise) > 0)
			m.promise = m.rule;
		if (reign_compare(m.promise, epoch_reign(&v->epoch)) <= 0)
			continue;
		if (hello_obeys(v, m.node, m.promise))
			rule_depose(r, m.promise);
		else if (!is_rival(v, &m))
			outrank(r, v, &m);
		break;
	}
	let_go(r);
	return true;
}

bool rule_other_linked(struct replicator *r, const struct member_view *v)
{
	struct sender_status s;
	uint64_t other = v->paired ? pair_other(&v->pair, v->node) : 0;

	return other && guest_status(r, other, &s) && s.linked;
}

/* ---- the pair ---- */

static bool wants_another_count(const struct replicator *r, const struct pair *p)
{
	return p->nodes == PAIR_NODES && r->min_standbys >= 0 && p->min_standbys != r->min_standbys;
}

static bool has_place(const struct member_view *v)
{
	return !v->paired || v->pair.nodes < PAIR_NODES;
}

/* Whoever has caught up, and wants to be of the pair. */
static bool find_candidate(struct replicator *r, uint64_t committed, struct sender_status *to)
{
	struct sender_status all[REPLICATOR_LINKS];
	size_t count = guests_status(r, all, REPLICATOR_LINKS);

	for (size_t n = 0; n < count; n++) {
		*to = all[n];
		if (to->state == SENDER_LOG && to->linked && !to->mirror && !to->blank && to->acknowledged >= committed)
			return true;
	}
	return false;
}

static void take_in(struct replicator *r, const struct member_view *v)
{
	struct sender_status s;
	struct pair p;
	uint64_t end;

	if (!find_candidate(r, r->committed_before, &s) || promote_join(v, r->name, s.node, s.name, r->min_standbys, &p))
		return;
	if (store_set_pair(r->store, &p, &end) == 0)
		replicator_say(r, LOG_NOTICE, "%s is of the pair, min_standbys is %u", s.name, p.min_standbys);
}

/* True: something is still to be done soon. */
static bool mind_pair(struct replicator *r, const struct member_view *v)
{
	bool place = has_place(v);
	struct pair p = v->pair;
	uint64_t end;

	r->attentive = place && r->o.network;
	if (!v->settled || (v->paired && !v->pair_committed))
		return place;
	if (v->paired && wants_another_count(r, &v->pair)) {
		p.min_standbys = (uint8_t)r->min_standbys;
		if (store_set_pair(r->store, &p, &end) == 0)
			replicator_say(r, LOG_NOTICE, "min_standbys is %u", p.min_standbys);
	} else if (place) {
		take_in(r, v);
	}
	r->committed_before = v->committed;
	return false;
}

/* Where nothing is logged behind the pair a crash would leave no trace of its having been committed, and the start go by the old one as well. */
static int prove_pair(struct replicator *r)
{
	int err = store_prove_committed(r->store);

	if (!err || err == -EIO)
		return err;
	replicator_say(r, LOG_WARNING, "the pair is changed, but a start after a crash may not know it: %s", strerror(-err));
	return 0;
}

int rule_set_pair(struct replicator *r, const struct pair *p, int64_t ns)
{
	struct member_view v;
	uint64_t end;
	int err = store_set_pair(r->store, p, &end);
	int64_t until = link_in(ns);           /* the store has waited for the disk, without a bound */

	r->attentive = true;
	for (;;) {
		store_view(r->store, &v);
		if (err)
			return err;
		if (v.committed >= end)
			return prove_pair(r);
		if (v.role != ROLE_PRIMARY)
			return -EROFS;
		if (link_in(0) > until)
			return -ETIMEDOUT;
		minder_rest(r, SOON_NS);
	}
}

/* ---- one look ---- */

/* It is linked, and takes nothing more. */
static bool other_is_full(struct replicator *r, const struct member_view *v)
{
	struct sender_status s;
	uint64_t other = v->paired ? pair_other(&v->pair, v->node) : 0;

	return other && guest_status(r, other, &s) && s.full;
}

/* The pair's other node has a store of another id, as its own is gone: it follows, and is not of the pair. */
static bool other_is_new(struct replicator *r, const struct member_view *v, const char *name)
{
	struct sender_status all[REPLICATOR_LINKS];
	size_t count = guests_status(r, all, REPLICATOR_LINKS);
	uint64_t other = v->paired ? pair_other(&v->pair, v->node) : 0;

	for (size_t n = 0; other && n < count; n++)
		if (all[n].acknowledged && !all[n].mirror && all[n].node != other && strcmp(all[n].name, name) == 0)
			return true;
	return false;
}

static void say_why(struct replicator *r, const struct member_view *v, bool linked)
{
	const char *name = "the other node";

	for (unsigned n = 0; v->paired && n < v->pair.nodes; n++)
		if (v->pair.node[n] != v->node)
			name = v->pair.name[n];
	if (r->holding_back && *r->rival)
		replicator_why(r, "%s; this one takes no appends", r->rival);
	else if (r->holding_back)
		replicator_why(r, "%s is asked first whether it rules", name);
	else if (!linked && other_is_new(r, v, name))
		replicator_why(r, "%s is linked with a store that is not the pair's%s: mqctl alone --stopped %s gives it the place", name,
			v->refused ? ", and appends are refused" : "", name);
	else if (v->refused && !linked && v->paired && v->pair.nodes > 1)
		replicator_why(r, v->settled ? "%s is not linked, and min_standbys is 1: appends are refused" :
			"%s is not linked, and this primary has not heard from it since its start: appends are refused", name);
	else if (v->refused && v->settled && !v->paired)
		replicator_why(r, "no standby has joined yet, and min_standbys is 1: appends are refused%s%s", *r->rival ? "; " : "", r->rival);
	else if (other_is_full(r, v))
		replicator_why(r, v->pair.min_standbys ? "the disk of %s is full, and min_standbys is 1: nothing more is committed until it has room" :
			"the disk of %s is full", name);
	else if (*r->rival)
		replicator_why(r, "%s", r->rival);
	else if (v->unheld)
		replicator_why(r, "%s%s lacks more than hold: the log is not kept for it any more", v->pair.nodes > 1 ? name : "the node that was left out",
			linked ? "" : " is not linked, and");
	else if (!linked && v->paired && v->pair.nodes > 1)
		replicator_why(r, "%s is not linked", name);
	else if (v->refused && !v->settled)
		replicator_why(r, "the first record of this reign is not committed yet");
	else
		replicator_why(r, "%s", "");
}

int64_t rule(struct replicator *r, const struct member_view *v)
{
	bool linked = rule_other_linked(r, v), soon = mind_pair(r, v), looked = linked;

	if (linked)                            /* a standby of this one; the rival has been made anew */
		rule_go_on(r);
	say_why(r, v, linked);
	if (!linked && r->others && r->o.network && link_in(0) >= r->probe_at && look_for_higher(r, v)) {
		r->probe_at = link_in(TICK_NS);
		looked = true;
		say_why(r, v, linked);
	}
	if (looked)
		answered(r);
	if (soon || !v->settled)
		return SOON_NS;
	return (r->others && !linked) || r->attentive ? TICK_NS : v->paired ? TICK_NS : INT64_MAX;
}
