/* SPDX-License-Identifier: Apache-2.0 */
#include "quorum.h"
#include <string.h>

void quorum_begin(struct quorum *q, uint64_t self, uint64_t first_end, bool current)
{
	q->self = self;
	q->first_end = first_end;
	q->current = current;
	for (size_t n = 0; n < q->count; n++) {
		q->nodes[n].acknowledged = 0;
		q->nodes[n].answered = q->nodes[n].current = false;
	}
}

static struct quorum_node *find(struct quorum *q, uint64_t node)
{
	for (size_t n = 0; n < q->count; n++)
		if (q->nodes[n].node == node)
			return &q->nodes[n];
	return NULL;
}

const struct quorum_node *quorum_node(const struct quorum *q, uint64_t node)
{
	return find((struct quorum *)q, node);
}

/* The place of NODE. Where there is none left, one that is not linked goes: it has to say HELLO again before it counts for anything. */
static struct quorum_node *place(struct quorum *q, uint64_t node)
{
	struct quorum_node *at = find(q, node);

	if (at)
		return at;
	for (size_t n = 0; q->count == QUORUM_NODES && !at && n < QUORUM_NODES; n++)
		if (!q->nodes[n].linked)
			at = &q->nodes[n];
	if (!at && q->count < QUORUM_NODES)
		at = &q->nodes[q->count++];
	if (at)
		*at = (struct quorum_node){.node = node};
	return at;
}

bool quorum_linked(struct quorum *q, uint64_t node, bool linked)
{
	struct quorum_node *at = place(q, node);

	if (!at)
		return false;
	at->linked = linked;
	if (linked)
		at->acknowledged = 0;
	return true;
}

void quorum_acknowledge(struct quorum *q, uint64_t node, uint64_t pos, bool current)
{
	struct quorum_node *at = place(q, node);

	if (!at)
		return;
	at->acknowledged = pos;
	at->answered = true;
	at->current |= current;
}

/* May pair P have gone on without this node, which was restarted? Nobody of it that was current has answered, and not all have. */
static bool unheard(const struct quorum *q, const struct pair *p)
{
	bool all = true;

	for (unsigned n = 0; n < p->nodes; n++) {
		const struct quorum_node *at = quorum_node(q, p->node[n]);

		if (at && at->answered && at->current)
			return false;
		all &= p->node[n] == q->self || (at && at->answered);
	}
	return !all;
}

static bool in_doubt(const struct quorum *q, const struct pair *p)
{
	return !q->current && p->min_standbys && unheard(q, p);
}

/* Have others than this node confirmed what was committed before POS? With min_standbys=0 it commits without asking them, and does not know
 * by that whether the other one was promoted meanwhile. */
static bool confirmed(const struct quorum *q, const struct pair_row *pairs, size_t count, uint64_t pos)
{
	if (pos < q->first_end)
		return false;
	for (size_t i = 0; i < count && (i == 0 || pairs[i].pos < pos); i++)
		if (unheard(q, &pairs[i].pair))
			return false;
	return true;
}

/* Whether NODE is said to be stopped by any of PAIRS from FROM on that stand before POS. */
static bool stopped(const struct pair_row *pairs, size_t from, size_t count, uint64_t pos, uint64_t node)
{
	for (size_t n = from; n < count && pairs[n].pos < pos; n++)
		if (pairs[n].pair.stopped == node)
			return true;
	return false;
}

/* May everything before POS be committed? By every pair that stands before it; the first of PAIRS is committed and always does. */
static bool may_commit(const struct quorum *q, const struct pair_row *pairs, size_t count, uint64_t pos)
{
	for (size_t i = 0; i < count && (i == 0 || pairs[i].pos < pos); i++) {
		const struct pair *p = &pairs[i].pair;
		unsigned have = 0;

		if (in_doubt(q, p))
			return false;
		for (unsigned n = 0; n < p->nodes; n++) {
			const struct quorum_node *at = quorum_node(q, p->node[n]);

			have += p->node[n] == q->self || (at && at->acknowledged >= pos) || stopped(pairs, i + 1, count, pos, p->node[n]);
		}
		if (have < p->min_standbys + 1u)
			return false;
	}
	return true;
}

/* Between two changes of the pair, what may be committed ends at what somebody has acknowledged, or at this node's disk: only these places
 * have to be tried, and those where a change stands, for what is before it does not need the new pair. */
uint64_t quorum_commit(struct quorum *q, const struct pair_row *pairs, size_t count, uint64_t synced, uint64_t committed)
{
	uint64_t tried[1 + QUORUM_NODES + QUORUM_PAIRS], best = committed;
	size_t n = 0;

	if (synced < q->first_end)
		return committed;
	tried[n++] = synced;
	for (size_t i = 0; i < q->count; i++)
		tried[n++] = q->nodes[i].acknowledged;
	for (size_t i = 1; i < count; i++)
		tried[n++] = pairs[i].pos;
	for (size_t i = 0; i < n; i++)
		if (tried[i] > best && tried[i] <= synced && tried[i] >= q->first_end && may_commit(q, pairs, count, tried[i]))
			best = tried[i];
	q->current = q->current || confirmed(q, pairs, count, best);
	return best;
}

bool quorum_reachable(const struct quorum *q, const struct pair_row *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct pair *p = &pairs[i].pair;
		unsigned have = 0;

		for (unsigned n = 0; n < p->nodes; n++) {
			const struct quorum_node *at = quorum_node(q, p->node[n]);

			have += p->node[n] == q->self || (at && at->linked) || stopped(pairs, i + 1, count, UINT64_MAX, p->node[n]);
		}
		if (have < p->min_standbys + 1u)
			return false;
	}
	return true;
}

bool quorum_alone(uint64_t self, const struct pair_row *pairs, size_t count)
{
	const struct quorum q = {.self = self};

	for (size_t i = 0; i < count; i++)
		if (in_doubt(&q, &pairs[i].pair))
			return false;
	return quorum_reachable(&q, pairs, count);
}
