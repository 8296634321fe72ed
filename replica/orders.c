/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promotion
 *
 * First it is judged what is known here: a current standby of a pair with min_standbys=1 needs nobody [fence-count]. Where that is not enough, or is
 * so only because a loss is accepted, the other node is called. If it rules, nothing is done: it can hand over without loss, and a promise given
 * here would only keep this node from following it. Else this node promises its own reign, durably [fence-durable], asks for the other one's
 * promise, and goes on when that is given by a node whose log is no better than this one's [take-best]: a better log is not fetched, its node
 * is to be promoted.
 */
#include "replicator_part.h"
#include "hello.h"
#include "quorum.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define SETTLE_NS 5000000000LL           /* for what an order has changed to be committed */
#define REACH_NS 500000000LL              /* for a primary to answer before its loss is accepted */
#define AWAY_NS 3000000000LL             /* for a node to call again whose link has broken */

int order_tell(char why[REPLICATOR_WHY], int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, REPLICATOR_WHY, format, args);
	va_end(args);
	return err;
}

void order_outcome(struct replicator *r, struct order *o, int err, const char *why)
{
	static const char *const names[] = {
		[ORDER_PROMOTE] = "promote", [ORDER_ALONE] = "alone", [ORDER_SWITCHOVER] = "switchover", [ORDER_MIN_STANDBYS] = "min_standbys"};

	pthread_mutex_lock(&r->lock);
	snprintf(r->last_order, sizeof r->last_order, "%s: %s%.400s", names[o->kind], err ? "not done: " : "", why);
	pthread_mutex_unlock(&r->lock);
	replicator_say(r, LOG_NOTICE, "%s: %s%s", names[o->kind], err ? "not done: " : "", why);
	o->done(o, err, why);
}

void order_end(struct replicator *r, int err, const char *why)
{
	struct order *o;

	pthread_mutex_lock(&r->lock);
	o = r->order;
	r->order = NULL;
	r->order_asked = false;
	pthread_mutex_unlock(&r->lock);
	order_outcome(r, o, err, why);
}

/* ---- promotion ---- */

/* With the operator's consent to a loss. */
static bool would_do(const struct promotion *p)
{
	struct promotion consented = *p;
	char reason[FRAME_REASON];
	uint8_t flags;
	bool current;

	consented.accept_loss = true;
	return !p->accept_loss && promote_judge(&consented, &current, &flags, reason) == 0;
}

/* What is known here; P's view and pairs are looked at anew. */
static int judge(struct replicator *r, struct promotion *p, struct pair_row *pairs, uint8_t *flags, bool *current, char why[REPLICATOR_WHY])
{
	char reason[FRAME_REASON];
	int err;

	store_view(r->store, &p->view);
	if (p->view.failed)
		return order_tell(why, -EIO, "the log of this node has failed: it cannot rule");
	err = store_pairs(r->store, pairs, QUORUM_PAIRS, &p->count);
	if (err)
		return order_tell(why, err, "%s", strerror(-err));
	p->pairs = pairs;
	p->missing = r->last.primary_end > p->view.end ? r->last.primary_end - p->view.end : 0;
	err = promote_judge(p, current, flags, reason);
	if (err && would_do(p))
		snprintf(reason + strlen(reason), sizeof reason - strlen(reason), "; --accept-loss promotes it all the same");
	return err ? order_tell(why, err, "%s", reason) : 0;
}

static int promise(struct replicator *r, struct reign heard, struct reign *to, char why[REPLICATOR_WHY])
{
	struct member_view v;
	int err;

	store_view(r->store, &v);
	*to = promote_reign(v.node, v.promise.reign, heard);
	err = store_promise(r->store, *to);
	return err ? order_tell(why, err, "the promise could not be kept: %s", strerror(-err)) : 0;
}

static int tell_rules(const struct meeting *m, char why[REPLICATOR_WHY])
{
	return order_tell(why, -EPERM, "%s is the primary and can be reached: mqctl switchover loses nothing", m->name);
}

/* The operator accepts the loss of a primary that is gone, not of one that answers. */
static int check_gone(struct replicator *r, const struct promotion *p, char why[REPLICATOR_WHY])
{
	char of_link[LINK_WHY];
	struct meeting m;

	return meet_other(r, &p->view, REACH_NS, &m, of_link) && m.rules ? tell_rules(&m, why) : 0;
}

/* The other node's promise, for what is known here is not enough. WHY says why that is so, and why the other node does not help. */
static int ask(struct replicator *r, struct promised *given, struct reign *reign, char why[REPLICATOR_WHY])
{
	char of_link[LINK_WHY];
	struct member_view v;
	const char *address;
	struct meeting m;
	size_t len;
	int err;

	store_view(r->store, &v);
	address = meet_other(r, &v, MEET_NS, &m, of_link);
	if (!address) {
		len = strlen(why);
		snprintf(why + len, REPLICATOR_WHY - len, " (the other node: %.200s)", of_link);
		return -EPERM;
	}
	if (m.rules)
		return tell_rules(&m, why);
	if (!hello_believes(&v, m.promise))
		return order_tell(why, -EPERM, "%s says that it has promised reign %" PRIu32 ", to which nobody can have come", m.name, m.promise.number);
	err = promise(r, m.promise, reign, why);
	if (err)
		return err;
	if (meet_ask(r, address, *reign, &m, of_link))
		return order_tell(why, -EPERM, "the other node has not answered: %.300s", of_link);
	if (!m.granted)
		return order_tell(why, -EPERM, "%s does not give its promise: %.300s", m.name, m.reason);
	if (promote_compare(&m.last, m.end, &v.last, v.end) > 0)
		return order_tell(why, -EPERM, "%s has more of the log than this node: promote that one", m.name);
	*given = (struct promised){.node = m.node, .granted = true, .current = m.current};
	return 0;
}

/* Nobody has got a promise meanwhile, so this is what a restart would be. */
void order_resume(struct replicator *r)
{
	struct member_view v;
	int err;

	store_view(r->store, &v);
	err = v.promise.own == v.promise.reign.number ? store_begin_reign(r->store, v.promise.reign, 0, v.current) : -EPERM;
	if (err)
		replicator_say(r, LOG_ERR, "ruling again: %s", strerror(-err));
	else
		replicator_say(r, LOG_WARNING, "this node is the primary of reign %" PRIu32 " again", v.promise.reign.number);
	progress_moved(store_progress(r->store));
}

int order_promote(struct replicator *r, struct promotion *p, char why[REPLICATOR_WHY])
{
	struct pair_row pairs[QUORUM_PAIRS];
	struct reign reign = {0};
	struct promised given;
	uint8_t flags;
	bool current;
	int err = judge(r, p, pairs, &flags, &current, why);

	if (err == -EPERM && !p->promised) {
		err = ask(r, &given, &reign, why);
		p->promises = &given;
		p->promised = err ? 0 : 1;
		if (!err)
			err = judge(r, p, pairs, &flags, &current, why);
	} else if (!err && flags & RECORD_ACCEPTED_LOSS) {
		err = check_gone(r, p, why);
	}
	if (!err && p->view.role == ROLE_PRIMARY)
		err = store_step_down(r->store);
	if (!err && !reign.number) {
		err = promise(r, p->heard, &reign, why);
		if (err && p->view.role == ROLE_PRIMARY)
			order_resume(r);
	}
	if (err)
		return err;
	err = store_begin_reign(r->store, reign, flags, current);
	if (err)
		return order_tell(why, err, "the reign could not begin: %s", strerror(-err));
	p->lossy = flags & RECORD_ACCEPTED_LOSS;
	replicator_say(r, LOG_WARNING, "this node is the primary of reign %" PRIu32, reign.number);
	progress_moved(store_progress(r->store));
	return order_tell(why, 0, "this node is the primary of reign %" PRIu32, reign.number);
}

static int wait_settled(struct replicator *r)
{
	int64_t until = link_in(SETTLE_NS);
	struct member_view v;

	for (;;) {
		store_view(r->store, &v);
		if (v.settled)
			return 0;
		if (v.role != ROLE_PRIMARY || link_in(0) > until)
			return -ETIMEDOUT;
		minder_rest(r, LOOK_NS);
	}
}

/* The other node is left out, on the operator's word. */
static int go_alone(struct replicator *r, const char *stopped, bool accept_loss, char why[REPLICATOR_WHY])
{
	struct pair_row pairs[QUORUM_PAIRS];
	char reason[FRAME_REASON];
	struct member_view v;
	struct pair p;
	size_t count;
	int err;

	store_view(r->store, &v);
	err = store_pairs(r->store, pairs, QUORUM_PAIRS, &count);
	if (err)
		return order_tell(why, err, "%s", strerror(-err));
	err = promote_alone(&v, pairs, count, stopped, accept_loss, &p, reason);
	if (err)
		return order_tell(why, err, "%s%s", reason,
			err == -EPERM && !v.current && !accept_loss ? "; --accept-loss goes on all the same" : "");
	if (!v.current)
		store_vouch(r->store);
	err = rule_set_pair(r, &p, SETTLE_NS);
	if (err == -ETIMEDOUT)
		return order_tell(why, err, "going on without %s is in the log, and counts once that is committed", stopped);
	return err ? order_tell(why, err, "going on without %s: %s", stopped, strerror(-err)) : 0;
}

static const char *other_name(const struct member_view *v)
{
	for (unsigned n = 0; v->paired && n < v->pair.nodes; n++)
		if (v->pair.node[n] != v->node)
			return v->pair.name[n];
	return NULL;
}

/* A name that is not the other node's is a mistake that must not cost a promotion. */
static int check_stopped(const struct member_view *v, const char *stopped, char why[REPLICATOR_WHY])
{
	const char *other = other_name(v);

	if (!*stopped || (other && strcmp(other, stopped) == 0))
		return 0;
	return other ? order_tell(why, -EINVAL, "the other node of the pair is %s", other) : order_tell(why, -EINVAL, "the pair has no other node");
}

/* That the other node is stopped does nothing on a primary: that is what alone is for. */
static int primary_already(const struct replicator *r, const struct member_view *v, const char *stopped, char why[REPLICATOR_WHY])
{
	const char *other = other_name(v);

	if (r->rival_known)
		return order_tell(why, -EPERM, "this node is the primary already, and %s", r->rival);
	if (*stopped && other && strcmp(other, stopped) == 0)
		return order_tell(why, -EINVAL, "this node is the primary already: mqctl alone --stopped %s goes on without it", stopped);
	return order_tell(why, 0, "this node is the primary already");
}

static void say_loss(const struct promotion *p, char to[128])
{
	if (p->lossy && p->missing)
		snprintf(to, 128, "; at least %" PRIu64 " bytes of the log of the old one are lost", p->missing);
	else if (p->lossy)
		snprintf(to, 128, "; nothing is known to be lost of the old one");
}

/* Of a node that was promoted just now. */
static int go_alone_promoted(struct replicator *r, const char *stopped, const char *loss, char why[REPLICATOR_WHY])
{
	char of_alone[REPLICATOR_WHY];
	int err = go_alone(r, stopped, true, of_alone);

	return err ? order_tell(why, err, "this node is the primary%s, but %.400s", loss, of_alone) : 0;
}

static int carry_out_promote(struct replicator *r, const struct order *o, char why[REPLICATOR_WHY])
{
	struct promotion p = {.accept_loss = o->accept_loss};
	char loss[128] = "";
	struct member_view v;
	const char *other;
	int err;

	store_view(r->store, &v);
	if (v.role == ROLE_PRIMARY)
		return primary_already(r, &v, o->stopped, why);
	err = check_stopped(&v, o->stopped, why);
	if (!err)
		err = order_promote(r, &p, why);
	if (err)
		return err;
	say_loss(&p, loss);
	if (*o->stopped)
		err = go_alone_promoted(r, o->stopped, loss, why);
	if (err)
		return err;
	other = other_name(&v);
	if (!*o->stopped && v.pair.min_standbys && other)
		return order_tell(why, 0, "this node is the primary%s; appends are taken when %s has come back as its standby, or: mqctl alone --stopped %s",
			loss, other, other);
	err = wait_settled(r);
	return order_tell(why, err, "this node is the primary%s%s", loss, err ? ", but the first record of its reign is not committed yet" : "");
}

/* ---- alone, min_standbys ---- */

/* The operator's word is that the rival does not rule any more, or is not to be waited for. One that was left out already needs no word in the
 * log; one that is of the pair leaves its place, as its log is not this one's any more. */
static int outlive_rival(struct replicator *r, const struct order *o, const struct member_view *v, char why[REPLICATOR_WHY])
{
	uint64_t node = v->paired ? pair_named(&v->pair, o->stopped) : 0;
	int err = 0;

	if (!o->accept_loss)
		return order_tell(why, -EPERM, "%s; --accept-loss goes on all the same", r->rival);
	if (node && node != v->node)
		err = go_alone(r, o->stopped, true, why);
	if (err)
		return err;
	rule_go_on(r);
	return order_tell(why, 0, "this node goes on; %s has to be made anew", o->stopped);
}

static int carry_out_alone(struct replicator *r, const struct order *o, char why[REPLICATOR_WHY])
{
	struct sender_status s;
	struct member_view v;
	int err;

	store_view(r->store, &v);
	if (v.role != ROLE_PRIMARY)
		return order_tell(why, -EROFS, "this node is a standby: mqctl promote --stopped NAME");
	if (v.paired && guest_status(r, pair_named(&v.pair, o->stopped), &s))
		return order_tell(why, -EPERM, "%s is not stopped: it is linked to this node", o->stopped);
	if (r->rival_known && strcmp(o->stopped, r->rival_name) == 0)
		return outlive_rival(r, o, &v, why);
	err = go_alone(r, o->stopped, o->accept_loss, why);
	return err ? err : order_tell(why, 0, "this node goes on without %s, until that has caught up", o->stopped);
}

/* A link that has only just broken is there again in a moment. */
static bool other_comes(struct replicator *r, const struct member_view *v)
{
	int64_t until = link_in(AWAY_NS);

	while (!rule_other_linked(r, v)) {
		if (link_in(0) > until)
			return false;
		minder_rest(r, LOOK_NS);
	}
	return true;
}

static void want_standbys(struct replicator *r, int count)
{
	r->min_standbys = count;
	store_want_pair(r->store, count > 0);
}

void order_forget(struct replicator *r)
{
	want_standbys(r, r->o.min_standbys);
}

/* A pair of one commits alone whatever it is; its record keeps what the next pair of two begins with. No node is said to be stopped by that. */
static int set_min_standbys(struct replicator *r, const struct member_view *v, uint8_t count, char why[REPLICATOR_WHY])
{
	bool two = v->pair.nodes == PAIR_NODES;
	struct pair p = v->pair;
	int err;

	if (two)
		p.min_standbys = count;
	else
		p.wanted = count;
	p.stopped = 0;
	err = rule_set_pair(r, &p, SETTLE_NS);
	if (!err || err == -ETIMEDOUT || err == -EROFS)        /* or rule() would do later what is said not to be done */
		want_standbys(r, count);
	if (err == -ETIMEDOUT)
		return order_tell(why, err, "min_standbys %u is in the log, and counts once %s has it", count, two ? other_name(v) : "the disk");
	if (err)
		return order_tell(why, err, "min_standbys: %s", strerror(-err));
	return order_tell(why, 0, two ? "min_standbys is %u" :
		"min_standbys will be %u once there is a pair again: until then a commit waits for nobody", count);
}

static int carry_out_min_standbys(struct replicator *r, const struct order *o, char why[REPLICATOR_WHY])
{
	struct member_view v;

	store_view(r->store, &v);
	if (v.role != ROLE_PRIMARY)
		return order_tell(why, -EROFS, "this node is a standby");
	if (o->count >= PAIR_NODES)
		return order_tell(why, -EINVAL, "min_standbys is 0 or 1");
	if (o->count && !v.paired && (!r->o.network || !r->o.network->listen))
		return order_tell(why, -EINVAL, "no standby can join this node: listen is missing");
	if (v.paired && v.pair.nodes == PAIR_NODES && v.pair.min_standbys != o->count && !other_comes(r, &v))
		return order_tell(why, -EHOSTDOWN, "%s is away, and has to have this change: mqctl alone --stopped %s goes on without it",
			other_name(&v), other_name(&v));
	if (v.paired)
		return set_min_standbys(r, &v, o->count, why);
	want_standbys(r, o->count);
	return order_tell(why, 0, "min_standbys will be %u once there is a pair%s; the next start forgets it, and goes by the option min_standbys",
		o->count, o->count ? ": until then appends are refused" : "");
}

/* ---- all of them ---- */

static int switch_over(struct replicator *r, char why[REPLICATOR_WHY])
{
	struct member_view v;

	store_view(r->store, &v);
	if (v.role == ROLE_STANDBY)
		return order_tell(why, -ENOTCONN, "this node is not linked to its primary");
	return handover_give(r, v.paired ? pair_other(&v.pair, v.node) : 0, why);
}

void order_carry_out(struct replicator *r, struct order *o)
{
	char why[REPLICATOR_WHY] = "";
	int err = -EINVAL;

	switch (o->kind) {
	case ORDER_PROMOTE:
		err = carry_out_promote(r, o, why);
		break;
	case ORDER_ALONE:
		err = carry_out_alone(r, o, why);
		break;
	case ORDER_SWITCHOVER:
		err = switch_over(r, why);
		break;
	case ORDER_MIN_STANDBYS:
		err = carry_out_min_standbys(r, o, why);
		break;
	}
	order_end(r, err, why);
}
