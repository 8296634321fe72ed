/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing over
 *
 * The primary refuses appends, waits until all of its log is committed and on the standby's disk, steps down, promises the next reign to the standby, and
 * only then says so. Whoever is stopped on the way, or not heard, leaves two standbys or an old primary that steps down when it hears of
 * the new one; never two that commit. If the standby does not take over in time this node promotes itself again, by the rules of any promotion.
 */
#include "replicator_part.h"
#include <errno.h>
#include <inttypes.h>
#include <syslog.h>

#define DRAIN_NS 5000000000LL            /* for the standby to have all of the log */
#define TAKEN_NS 5000000000LL            /* for the standby to have taken over */

/* All is committed, and on the standby's disk; appends are refused. */
static int drain(struct replicator *r, uint64_t node, char why[REPLICATOR_WHY])
{
	int64_t until = link_in(DRAIN_NS);
	struct sender_status s;
	struct member_view v;

	r->attentive = true;
	for (;;) {
		store_view(r->store, &v);
		if (!guest_status(r, node, &s))
			return order_tell(why, -ENOTCONN, "the standby is not linked any more");
		if (v.committed == v.end && s.acknowledged == v.end)
			return 0;
		if (link_in(0) > until)
			return order_tell(why, -ETIMEDOUT, "the standby does not catch up: it lacks %" PRIu64 " bytes", v.end - s.acknowledged);
		minder_rest(r, LOOK_NS);
	}
}

/* Behind TAKE_OVER: until the other node rules. A call that is broken off says nothing of that. -ECANCELED: this node stops. */
static int await_taker(struct replicator *r, uint64_t node)
{
	int64_t until = link_in(TAKEN_NS);
	char why[LINK_WHY];
	struct member_view v;
	struct meeting m;

	store_view(r->store, &v);
	while (minder_stays(r)) {
		const char *address = meet_other(r, &v, MEET_NS, &m, why);
		if (address && m.node == node && m.rules)
			return 0;
		if (link_in(0) >= until)
			return -ETIMEDOUT;
		minder_rest(r, LOOK_NS);
	}
	return -ECANCELED;
}

/* A standby that is linked soon says that it is current; until then appends are still taken. */
static bool await_current(struct replicator *r, uint64_t node, struct sender_status *s)
{
	int64_t until = link_in(DRAIN_NS);

	while (guest_status(r, node, s)) {
		if (s->linked && s->current)
			return true;
		if (link_in(0) > until)
			return false;
		minder_rest(r, LOOK_NS);
	}
	return false;
}

static int give_over(struct replicator *r, uint64_t node, char why[REPLICATOR_WHY])
{
	struct member_view v;
	int err;

	guest_pause(r, node, true);
	err = store_step_down(r->store);
	store_view(r->store, &v);
	if (!err) {
		err = store_promise(r->store, promote_reign(node, v.promise.reign, v.promise.reign));
		if (err)
			order_resume(r);
	}
	if (err) {
		guest_pause(r, node, false);
		return order_tell(why, err, "stepping down: %s", strerror(-err));
	}
	guest_hand_over(r, node);
	r->hurry_until = link_in(TAKEN_NS);
	replicator_say(r, LOG_WARNING, "handed over: this node is a standby");
	return 0;
}

static int take_back(struct replicator *r, char why[REPLICATOR_WHY])
{
	struct promotion p = {0};
	char reason[REPLICATOR_WHY];

	if (order_promote(r, &p, reason)) {
		order_forget(r);
		return order_tell(why, -ETIMEDOUT, "handed over, and nothing was heard of the other node since: look at its status; where it rules at an address that "
			"is not this node's peer or standby_of, give it that (to rule again: %.200s)", reason);
	}
	return order_tell(why, -ETIMEDOUT, "the other node has not taken over, or could not be called to tell of it: this one is the primary again");
}

int handover_give(struct replicator *r, uint64_t node, char why[REPLICATOR_WHY])
{
	struct sender_status s;
	struct member_view v;
	int err;

	store_view(r->store, &v);
	if (v.role != ROLE_PRIMARY)
		return order_tell(why, -EROFS, "this node is a standby");
	if (!v.settled || !v.paired || !pair_has(&v.pair, node) || !await_current(r, node, &s))
		return order_tell(why, -ENOTCONN, "there is no standby of the pair that is linked and current");
	store_hand_over(r->store, true);
	err = drain(r, node, why);
	if (!err)
		err = give_over(r, node, why);
	if (err) {
		store_hand_over(r->store, false);
		return err;
	}
	err = r->others && r->o.network ? await_taker(r, node) : -ENXIO;
	if (err == -ETIMEDOUT)
		return take_back(r, why);
	order_forget(r);
	if (err == -ENXIO)
		return order_tell(why, 0, "%s takes over; this node knows no address to follow it at", s.name);
	if (err == -ECANCELED)
		return order_tell(why, 0, "%s takes over; this node stops", s.name);
	return order_tell(why, 0, "%s is the primary", s.name);
}

void handover_take(struct replicator *r, uint64_t primary)
{
	const struct promised given = {.node = primary, .granted = true, .current = true};
	struct promotion p = {.promises = &given, .promised = 1};
	char why[REPLICATOR_WHY];
	bool asked;
	int err = order_promote(r, &p, why);

	if (err)
		replicator_say(r, LOG_ERR, "taking over: %s", why);
	pthread_mutex_lock(&r->lock);
	asked = r->order && r->order_asked;
	pthread_mutex_unlock(&r->lock);
	if (asked)
		order_end(r, err, why);
}
