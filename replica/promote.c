/* SPDX-License-Identifier: Apache-2.0 */
#include "promote.h"
#include "hello.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct reign promote_reign(uint64_t node, struct reign promised, struct reign heard)
{
	struct reign above = reign_compare(promised, heard) > 0 ? promised : heard;

	return (struct reign){above.number + 1, node};
}

int promote_compare(const struct epoch *a, uint64_t a_end, const struct epoch *b, uint64_t b_end)
{
	int than = epoch_compare(a, b);

	return than ? than : (a_end > b_end) - (a_end < b_end);
}

int promote_grant(const struct member_view *view, uint64_t node, struct reign r, char reason[FRAME_REASON])
{
	reason[0] = 0;
	if (r.node != node || reign_compare(r, view->promise.reign) <= 0)
		snprintf(reason, FRAME_REASON, "reign %" PRIu32 " is promised already", view->promise.reign.number);
	else if (!hello_believes(view, r))
		snprintf(reason, FRAME_REASON, "nobody has come to reign %" PRIu32 " from %" PRIu32, r.number, view->promise.reign.number);
	else if (!view->paired || !pair_has(&view->pair, node))
		snprintf(reason, FRAME_REASON, "the node is not of the pair");
	else
		return 0;
	return -EPERM;
}

/* Those of pair P who have promised, and whether one of them is current. */
static unsigned count(const struct promotion *p, const struct pair *of, bool *current)
{
	unsigned have = pair_has(of, p->view.node);

	*current = have && p->view.current;
	for (size_t n = 0; n < p->promised; n++) {
		if (!p->promises[n].granted || !pair_has(of, p->promises[n].node))
			continue;
		have++;
		*current |= p->promises[n].current;
	}
	return have;
}

/* Why this is not enough; false: it is. */
static bool lacking(const struct promotion *p, char reason[FRAME_REASON])
{
	bool current;

	if (p->view.known > p->view.end) {
		snprintf(reason, FRAME_REASON, "%" PRIu64 " bytes that were committed are not here", p->view.known - p->view.end);
		return true;
	}
	for (size_t n = 0; n < p->count; n++) {
		const struct pair *of = &p->pairs[n].pair;
		unsigned have = count(p, of, &current);

		if (have < (unsigned)of->nodes - of->min_standbys) {
			snprintf(reason, FRAME_REASON, p->missing ? "with min_standbys=%u the other node may have committed what is not here: at least %" PRIu64
				" bytes are known to be missing" : "with min_standbys=%u the other node may have committed what is not here, although nothing is known to be missing",
				of->min_standbys, p->missing);
			return true;
		}
		/* Where all have promised, whoever went alone is among them, and has the better log for that. */
		if (!current && have < of->nodes) {
			snprintf(reason, FRAME_REASON, "this node has not been in touch with its primary since it started: the other one may have gone on alone");
			return true;
		}
	}
	return false;
}

int promote_judge(const struct promotion *p, bool *current, uint8_t *flags, char reason[FRAME_REASON])
{
	reason[0] = 0;
	*flags = 0;
	*current = true;
	if (p->view.paired && !pair_has(&p->view.pair, p->view.node)) {
		snprintf(reason, FRAME_REASON, "this node is not of the pair");
		return -EPERM;
	}
	if (!p->count) {                       /* it has only just joined: whose log this is nothing here says */
		snprintf(reason, FRAME_REASON, "nothing of the log is here yet");
		return -EPERM;
	}
	if (!lacking(p, reason))
		return 0;
	if (!p->accept_loss)
		return -EPERM;
	*flags = RECORD_ACCEPTED_LOSS;
	return 0;
}

/* Who is left out already stays so, but the word for it can be given again where it is not committed. */
static uint64_t find_stopped(const struct member_view *view, const struct pair_row *pairs, size_t count, const char *name)
{
	uint64_t node = view->paired ? pair_named(&view->pair, name) : 0;

	for (size_t n = 0; n < count && !node; n++)
		if (view->pair.stopped && pair_named(&pairs[n].pair, name) == view->pair.stopped)
			node = view->pair.stopped;
	return node;
}

int promote_alone(const struct member_view *view, const struct pair_row *pairs, size_t count, const char *name, bool accept_loss, struct pair *to,
	char reason[FRAME_REASON])
{
	uint64_t node = find_stopped(view, pairs, count, name);
	const struct pair *own = &view->pair;

	reason[0] = 0;
	if (!node || node == view->node) {
		snprintf(reason, FRAME_REASON, node == view->node ? "this node is not stopped" : "no other node of the pair has this name");
		return node == view->node ? -EPERM : -ENOENT;
	}
	if (!view->current && !accept_loss) {
		snprintf(reason, FRAME_REASON, "this primary has restarted and does not know whether the other node was promoted since");
		return -EPERM;
	}
	*to = (struct pair){.nodes = 1, .wanted = own->nodes > 1 ? own->min_standbys : own->wanted, .node = {view->node}, .stopped = node};
	for (unsigned n = 0; n < own->nodes; n++)
		if (own->node[n] == view->node)
			memcpy(to->name[0], own->name[n], sizeof to->name[0]);
	return 0;
}

int promote_join(const struct member_view *view, const char *own, uint64_t node, const char *name, int min_standbys, struct pair *to)
{
	*to = view->pair;
	if (!view->paired) {
		to->nodes = 1;
		to->node[0] = view->node;
		snprintf(to->name[0], sizeof to->name[0], "%s", own);
	}
	if (pair_has(to, node))
		return -EALREADY;
	if (to->nodes == PAIR_NODES)
		return -ENOSPC;
	to->node[to->nodes] = node;
	snprintf(to->name[to->nodes], sizeof to->name[0], "%s", name);
	to->nodes++;
	to->stopped = 0;
	to->min_standbys = min_standbys < 0 ? to->wanted : (uint8_t)min_standbys;
	to->wanted = 0;
	return 0;
}
