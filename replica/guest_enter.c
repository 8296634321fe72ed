/* SPDX-License-Identifier: Apache-2.0 */
/* Which guests may be standbys: one of a node, one of a name, and no more than there is place for; the pair's own always may. */
#include "guest_part.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool same(const struct guest *a, const struct guest *b)
{
	return a->node == b->node && strcmp(a->link->peer, b->link->peer) == 0;
}

/* A copied store, which another certificate's owner runs. */
static bool copies(const struct guest *a, const struct guest *b)
{
	return a->node && a->node == b->node && !same(a, b);
}

static bool namesakes(const struct guest *a, const struct guest *b)
{
	return !same(a, b) && strcmp(a->link->peer, b->link->peer) == 0;
}

/* Of those who came before G: who came behind it waits for it, so no two wait for each other. */
static struct guest *find_before(const struct guest *g, bool (*is)(const struct guest *a, const struct guest *b))
{
	struct guest *other = g->next;

	while (other && !(other->standby && is(other, g)))
		other = other->next;
	return other;
}

/* One that was blank may be the very node that has its store now, and the pair's own node goes before who has taken its name. */
static bool gives_way(const struct guest *other, const struct guest *to, const struct member_view *v)
{
	return !other->node || (v->paired && pair_has(&v->pair, to->node));
}

/* Under the lock: no guest before G IS any more. A link that has broken needs a moment to be gone. V is NULL: none gives way; of two that run the same
 * store the one that was there first stays, or both would take the link from each other for ever. */
static bool is_only_one(struct guest *g, bool (*is)(const struct guest *a, const struct guest *b), const struct member_view *v)
{
	int64_t until = link_in(LEAVE_NS);
	struct timespec at = {until / 1000000000, until % 1000000000};
	struct guest *other;
	int err = 0;

	while ((other = find_before(g, is)) && err != ETIMEDOUT) {
		if (v && gives_way(other, g, v)) {
			link_shutdown(other->link);
			pthread_cond_wait(&g->r->left, &g->r->lock);
		} else {
			err = pthread_cond_timedwait(&g->r->left, &g->r->lock, &at);
		}
	}
	return !other;
}

/* Names tell nodes apart in status, metrics and orders. */
static bool has_name_of_own(const struct guest *g, const struct member_view *v)
{
	return g->node == v->node || strcmp(g->link->peer, g->r->name) != 0;
}

static size_t count_standbys(const struct replicator *r)
{
	size_t count = 0;

	for (const struct guest *g = r->guests; g; g = g->next)
		count += g->standby;
	return count;
}

bool guest_enter(struct guest *g, uint64_t node, char why[FRAME_REASON])
{
	struct replicator *r = g->r;
	bool only, original, room;
	struct member_view v;
	struct guest *other;

	pthread_mutex_lock(&r->lock);
	g->node = node;
	g->standby = true;
	while ((other = find_before(g, same))) {
		link_shutdown(other->link);
		pthread_cond_wait(&r->left, &r->lock);
	}
	store_view(r->store, &v);
	original = is_only_one(g, copies, NULL);
	only = has_name_of_own(g, &v) && is_only_one(g, namesakes, &v);
	room = count_standbys(r) <= REPLICATOR_LINKS || (v.paired && pair_has(&v.pair, node));
	g->standby = original && only && room;
	pthread_mutex_unlock(&r->lock);
	if (!original)
		snprintf(why, FRAME_REASON, "the store is a copy of that of another node, which is linked");
	else if (!only)
		snprintf(why, FRAME_REASON, "another node named %s is linked: each node needs a certificate with a name of its own", g->link->peer);
	else if (!room)
		snprintf(why, FRAME_REASON, "there are too many standbys");
	return original && only && room;
}

void guest_leave(struct guest *g)
{
	pthread_mutex_lock(&g->r->lock);
	g->standby = false;
	g->sender = NULL;
	pthread_cond_broadcast(&g->r->left);
	pthread_mutex_unlock(&g->r->lock);
}
