/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is shown of this node among others.
 *
 *   standbys     one line for each node that is linked to this primary: name, node id, hello, checkpoint, log or handed-over (what it is being
 *                sent), member, joining or mirror, lag in bytes, messages and seconds; of a member current or behind, of others level or
 *                behind; full (its disk) or unheld (what it lacks is not kept for it any more)
 *
 *   status.json's object "replication":
 *
 *     role, name              "primary" or "standby"; the name in the certificate, "" without one
 *     linked                  standby: to a primary; primary: the other node of the pair is linked, and what it acknowledges counts
 *     current                 see mqfs-replication(7)
 *     refused                 appends are refused because who must acknowledge them is away
 *     why                     why there is no link, or appends are refused; "": all is well
 *     unheld                  primary: what the pair's other node, or the one left out, lacks is more than `hold`, and not kept any more
 *     rival                   primary: another node commits alone as this one does, both on an operator's word
 *     primary                 of a standby, of its last link: name, node, address; null: there was none
 *     received, synced, committed     positions in this node's log
 *     lag                     what this node has not got, as far as it has heard: bytes, messages, seconds
 *     pair                    null: there is none; nodes (of each: name, node), min_standbys, stopped (the node that was left out, or null),
 *                             committed
 *     standbys                of each that is linked: name, node, state, member, mirror, joining, linked, current, full, sent, acknowledged, lag (as above),
 *                             round_trip_ns, silent_ns (since it last said something), blank_end (while it starts blank)
 *     promise                 reign, node
 *     last_order              and what came of it
 */
#include "metric.h"
#include "peers.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ID_TEXT 17

struct lacks {
	uint64_t bytes, messages;
	int64_t ns;
};

static const char *const state_names[] = {
	[SENDER_ANSWER] = "hello", [SENDER_CHECKPOINT] = "checkpoint", [SENDER_LOG] = "log", [SENDER_HANDED_OVER] = "handed-over"};

static struct lacks standby_lacks(const struct sender_status *s)
{
	return (struct lacks){s->end > s->acknowledged ? s->end - s->acknowledged : 0, s->messages,
		s->behind_since ? link_in(0) - s->behind_since : 0};
}

/* Without a link it is not known what there is to lack; but since when nothing was heard of it is. */
static struct lacks own_lacks(const struct replicator_status *s)
{
	const struct receiver_status *r = &s->receiver;
	int64_t since = r->behind_since;

	if (s->view.role == ROLE_PRIMARY)
		return (struct lacks){0};
	if (!since && !s->linked)
		since = r->heard;
	return (struct lacks){r->primary_end > s->view.synced ? r->primary_end - s->view.synced : 0, r->messages, since ? link_in(0) - since : 0};
}

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

static bool is_primary(const struct replicator_status *s)
{
	return s->view.role == ROLE_PRIMARY;
}

static const char *role(const struct replicator_status *s)
{
	return is_primary(s) ? "primary" : "standby";
}

/* The other node of the pair counts. */
static bool pair_linked(const struct replicator_status *s)
{
	for (size_t i = 0; i < s->senders; i++)
		if (s->sender[i].member && s->sender[i].linked)
			return true;
	return false;
}

static bool linked(const struct replicator_status *s)
{
	return is_primary(s) ? pair_linked(s) : s->linked;
}

const char *peers_role(void *ctx)
{
	struct replicator_status s;

	replicator_status(ctx, &s);
	return role(&s);
}

/* A primary that is alone refuses nothing for longer than its start takes. */
static bool away(const struct replicator_status *s)
{
	return s->view.refused && (s->view.settled || s->view.paired);
}

/* The primary waits for a standby that takes nothing more. */
static bool waits_for_room(const struct replicator_status *s)
{
	for (size_t i = 0; i < s->senders; i++)
		if (s->sender[i].full && s->sender[i].member && s->view.pair.min_standbys)
			return true;
	return false;
}

const char *peers_ails(void *ctx, char why[OTHERS_WHY])
{
	struct replicator_status s;

	replicator_status(ctx, &s);
	if (s.rival) {
		snprintf(why, OTHERS_WHY, "%s", s.why);
		return "rival";
	}
	if (away(&s)) {
		snprintf(why, OTHERS_WHY, "%s", *s.why ? s.why : "appends are refused: who must acknowledge them is not linked");
		return "away";
	}
	if (waits_for_room(&s)) {
		snprintf(why, OTHERS_WHY, "the disk of the standby is full: nothing more is committed until it has room");
		return "standby-full";
	}
	snprintf(why, OTHERS_WHY, "%s", *s.why ? s.why : "not linked to a primary");
	return !is_primary(&s) && !s.linked ? "unlinked" : NULL;
}

static bool is_joining(const struct replicator_status *s, const struct sender_status *one)
{
	return !one->mirror && (!s->view.paired || s->view.pair.nodes < PAIR_NODES || pair_has(&s->view.pair, one->node));
}

static const char *place(const struct replicator_status *s, const struct sender_status *one)
{
	return one->member ? "member" : is_joining(s, one) ? "joining" : "mirror";
}

/* Only who is of the pair is told that it is, and so may call itself current. */
static const char *condition(const struct sender_status *one)
{
	if (one->full)
		return "full";
	if (one->unheld)
		return "unheld";
	if (one->member)
		return one->current ? "current" : "behind";
	return one->acknowledged < one->end ? "behind" : "level";
}

int peers_print_standbys(void *ctx, FILE *to)
{
	struct replicator_status s;

	replicator_status(ctx, &s);
	for (size_t i = 0; i < s.senders; i++) {
		const struct sender_status *one = &s.sender[i];
		struct lacks lacks = standby_lacks(one);

		fprintf(to, "%s %016" PRIx64 " %s %s %" PRIu64 " %" PRIu64 " %.3f %s\n", one->name, one->node, state_names[one->state],
			place(&s, one), lacks.bytes, lacks.messages, seconds(lacks.ns), condition(one));
	}
	return 0;
}

int peers_print_order(void *ctx, FILE *to)
{
	struct replicator_status s;

	replicator_status(ctx, &s);
	if (*s.last_order)
		fprintf(to, "%s\n", s.last_order);
	return 0;
}

/* ---- status.json ---- */

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *id(uint64_t n)
{
	char text[ID_TEXT];

	snprintf(text, sizeof text, "%016" PRIx64, n);
	return json_string(text);
}

static json_t *lag_json(struct lacks lacks)
{
	return json_pack("{s:o, s:o, s:f}", "bytes", number(lacks.bytes), "messages", number(lacks.messages), "seconds", seconds(lacks.ns));
}

static json_t *primary_json(const struct replicator_status *s)
{
	if (is_primary(s) || !s->receiver.node)
		return json_null();
	return json_pack("{s:s, s:o, s:s}", "name", s->receiver.name, "node", id(s->receiver.node), "address", s->calling);
}

static json_t *pair_json(const struct member_view *v)
{
	json_t *nodes;

	if (!v->paired)
		return json_null();
	nodes = json_array();
	for (unsigned i = 0; i < v->pair.nodes; i++)
		json_array_append_new(nodes, json_pack("{s:s, s:o}", "name", v->pair.name[i], "node", id(v->pair.node[i])));
	return json_pack("{s:o, s:i, s:o, s:b}", "nodes", nodes, "min_standbys", (int)v->pair.min_standbys,
		"stopped", v->pair.stopped ? id(v->pair.stopped) : json_null(), "committed", v->pair_committed ? 1 : 0);
}

static json_t *standby_json(const struct replicator_status *of, const struct sender_status *s)
{
	return json_pack("{s:s, s:o, s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}",
		"name", s->name,
		"node", id(s->node),
		"state", state_names[s->state],
		"member", s->member ? 1 : 0,
		"mirror", s->mirror ? 1 : 0,
		"joining", !s->member && is_joining(of, s) ? 1 : 0,
		"linked", s->linked ? 1 : 0,
		"current", s->current ? 1 : 0,
		"full", s->full ? 1 : 0,
		"sent", number(s->sent),
		"acknowledged", number(s->acknowledged),
		"lag", lag_json(standby_lacks(s)),
		"round_trip_ns", number((uint64_t)s->round_trip),
		"silent_ns", s->heard ? number((uint64_t)(link_in(0) - s->heard)) : json_null(),
		"blank_end", s->blank_end ? number(s->blank_end) : json_null());
}

static json_t *standbys_json(const struct replicator_status *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->senders; i++)
		json_array_append_new(all, standby_json(s, &s->sender[i]));
	return all;
}

json_t *peers_status(void *ctx)
{
	struct replicator_status s;

	replicator_status(ctx, &s);
	return json_pack("{s:s, s:s, s:b, s:b, s:b, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:s}",
		"role", role(&s),
		"name", s.name,
		"linked", linked(&s) ? 1 : 0,
		"current", s.view.current ? 1 : 0,
		"refused", s.view.refused ? 1 : 0,
		"why", s.why,
		"unheld", s.view.unheld ? 1 : 0,
		"rival", s.rival ? 1 : 0,
		"primary", primary_json(&s),
		"received", number(s.view.written),
		"synced", number(s.view.synced),
		"committed", number(s.view.committed),
		"lag", lag_json(own_lacks(&s)),
		"pair", pair_json(&s.view),
		"standbys", standbys_json(&s),
		"promise", "reign", number(s.view.promise.reign.number), "node", id(s.view.promise.reign.node),
		"last_order", s.last_order);
}

/* ---- metrics.prom ---- */

static void print_role(const struct replicator_status *s, FILE *to)
{
	metric_head(to, "mqfs_role", "gauge", "1 for the role that this node has.");
	fprintf(to, "mqfs_role{role=\"primary\"} %d\nmqfs_role{role=\"standby\"} %d\n", is_primary(s), !is_primary(s));
}

static void print_own(const struct replicator_status *s, FILE *to)
{
	const struct member_view *v = &s->view;
	struct lacks lacks = own_lacks(s);

	print_role(s, to);
	metric_gauge(to, "mqfs_epoch_reign", "The reign of the last record in the log.", v->last.reign);
	metric_gauge(to, "mqfs_promise_reign", "The highest reign that this node has agreed to.", v->promise.reign.number);
	metric_gauge(to, "mqfs_current", "1 while this node is known to have had all that was committed.", v->current);
	metric_gauge(to, "mqfs_pair_nodes", "Nodes of the pair, 0 when there is none.", v->paired ? v->pair.nodes : 0);
	metric_gauge(to, "mqfs_min_standbys", "Other nodes of the pair that a commit waits for.", v->paired ? v->pair.min_standbys : 0);
	metric_gauge(to, "mqfs_refused_away", "1 while appends are refused because who must acknowledge them is away.", v->refused);
	metric_gauge(to, "mqfs_rival", "1 while a primary knows of another node that commits alone as well: both were promoted.", s->rival);
	metric_gauge(to, "mqfs_replication_linked", "1 while a standby is linked to its primary, and a primary to the other node of its pair.", linked(s));
	metric_gauge(to, "mqfs_replication_lag_bytes", "Bytes of log that this standby has not got.", lacks.bytes);
	metric_gauge(to, "mqfs_replication_lag_messages", "Messages that this standby has not got, at most.", lacks.messages);
	metric_seconds(to, "mqfs_replication_lag_seconds", "gauge", "For how long this standby has lacked something.", (uint64_t)lacks.ns);
}

static void print_standbys(const struct replicator_status *s, FILE *to, const char *name, const char *help,
	void (*figure)(const struct sender_status *s, FILE *to))
{
	metric_head(to, name, "gauge", help);
	for (size_t i = 0; i < s->senders; i++) {
		fprintf(to, "%s{", name);
		metric_label(to, "node", s->sender[i].name);
		fputs("} ", to);
		figure(&s->sender[i], to);
		fputc('\n', to);
	}
}

static void member_of(const struct sender_status *s, FILE *to)
{
	fprintf(to, "%d", s->member);
}

static void current_of(const struct sender_status *s, FILE *to)
{
	fprintf(to, "%d", s->current);
}

static void linked_of(const struct sender_status *s, FILE *to)
{
	fprintf(to, "%d", s->linked);
}

static void full_of(const struct sender_status *s, FILE *to)
{
	fprintf(to, "%d", s->full);
}

static void bytes_of(const struct sender_status *s, FILE *to)
{
	fprintf(to, "%" PRIu64, standby_lacks(s).bytes);
}

static void messages_of(const struct sender_status *s, FILE *to)
{
	fprintf(to, "%" PRIu64, standby_lacks(s).messages);
}

static void seconds_of(const struct sender_status *s, FILE *to)
{
	fprintf(to, "%.9f", seconds(standby_lacks(s).ns));
}

static void round_trip_of(const struct sender_status *s, FILE *to)
{
	fprintf(to, "%.9f", seconds(s->round_trip));
}

int peers_print_metrics(void *ctx, FILE *to)
{
	struct replicator_status s;

	replicator_status(ctx, &s);
	print_own(&s, to);
	metric_gauge(to, "mqfs_standbys", "Standbys and mirrors that are linked to this primary.", s.senders);
	print_standbys(&s, to, "mqfs_standby_member", "1 for the other node of the pair.", member_of);
	print_standbys(&s, to, "mqfs_standby_linked", "1 while what it acknowledges counts.", linked_of);
	print_standbys(&s, to, "mqfs_standby_current", "1 while it is known to have had all that was committed.", current_of);
	print_standbys(&s, to, "mqfs_standby_full", "1 while its disk is full, so that it takes nothing more.", full_of);
	print_standbys(&s, to, "mqfs_standby_lag_bytes", "Bytes of log that it has not acknowledged.", bytes_of);
	print_standbys(&s, to, "mqfs_standby_lag_messages", "Messages that it has not acknowledged, at most.", messages_of);
	print_standbys(&s, to, "mqfs_standby_lag_seconds", "For how long it has lacked something.", seconds_of);
	print_standbys(&s, to, "mqfs_standby_round_trip_seconds", "Time from a word of the commit point to its acknowledgement; 0: none yet.", round_trip_of);
	return 0;
}
