/* SPDX-License-Identifier: Apache-2.0 */
#include "hello.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* A's log does not read the first record, and the row is that of a later one. */
static bool begins_later(const struct epoch_row *a, const struct epoch_row *b)
{
	return !a->chain && a->start > b->start;
}

static bool same_row(const struct epoch_row *a, const struct epoch_row *b)
{
	return epoch_compare(&a->epoch, &b->epoch) == 0 &&
		((a->start == b->start && a->chain == b->chain) || begins_later(a, b) || begins_later(b, a));
}

static uint64_t end_of(const struct epoch_row *rows, size_t count, size_t n, uint64_t end)
{
	return n + 1 < count ? rows[n + 1].start : end;
}

/* Epochs only go up in a log, so both tables are walked from their ends. */
uint64_t hello_common(const struct epoch_row *a, size_t a_count, uint64_t a_end, const struct epoch_row *b, size_t b_count, uint64_t b_end)
{
	size_t i = a_count, j = b_count;

	while (i > 0 && j > 0) {
		int than = epoch_compare(&a[i - 1].epoch, &b[j - 1].epoch);

		if (than == 0 && same_row(&a[i - 1], &b[j - 1])) {
			uint64_t x = end_of(a, a_count, i - 1, a_end), y = end_of(b, b_count, j - 1, b_end);
			return x < y ? x : y;
		}
		i -= than >= 0;
		j -= than <= 0;
	}
	return 0;
}

void hello_say(struct frame_epochs *to, const struct epoch_row *rows, size_t count, uint64_t pos)
{
	size_t said = count < FRAME_EPOCHS ? count : FRAME_EPOCHS, newest = count - said, from = 0;

	while (from < newest && rows[from + 1].start < pos)
		from++;
	to->count = (uint32_t)said;
	for (size_t n = 0; n < said; n++)
		to->of[n] = rows[n < FRAME_EPOCHS / 2 ? from + n : newest + n];
}

bool hello_believes(const struct member_view *view, struct reign r)
{
	uint32_t promised = view->promise.reign.number;

	return r.number < UINT32_MAX && (r.number <= promised || r.number - promised <= HELLO_REIGNS);
}

bool hello_obeys(const struct member_view *view, uint64_t node, struct reign r)
{
	int than = reign_compare(r, view->promise.reign);

	return than == 0 || (than > 0 && hello_believes(view, r) && (!view->paired || pair_has(&view->pair, node)));
}

static bool of_pair(const struct member_view *view, uint64_t node)
{
	return view->paired && pair_has(&view->pair, node);
}

enum hello_answer hello_answer(const struct hello_self *self, const struct frame_hello *h, bool blank, uint64_t end, uint64_t *pos,
	char reason[FRAME_REASON])
{
	const struct member_view *me = &self->view;

	*pos = me->start;
	reason[0] = 0;
	if (h->cluster && h->cluster != me->cluster) {
		snprintf(reason, FRAME_REASON, "the store is of another cluster");
		return HELLO_REFUSED;
	}
	if (h->cluster && !h->node) {
		snprintf(reason, FRAME_REASON, "the store has no node id");
		return HELLO_REFUSED;
	}
	if (h->node == me->node) {
		snprintf(reason, FRAME_REASON, "the store is a copy of this node's own, with the same id");
		return HELLO_REFUSED;
	}
	if (me->role != ROLE_PRIMARY) {
		snprintf(reason, FRAME_REASON, "this node is a standby");
		return HELLO_REFUSED;
	}
	if (h->cluster && reign_compare(h->promise, epoch_reign(&me->epoch)) > 0) {
		snprintf(reason, FRAME_REASON, "the store has promised reign %" PRIu32 ", which is above this primary's %" PRIu32,
			h->promise.number, me->epoch.reign);
		return of_pair(me, h->node) && hello_believes(me, h->promise) ? HELLO_DEPOSED : HELLO_REFUSED;
	}
	if (blank || !h->cluster)
		return HELLO_BLANK;
	*pos = hello_common(self->epochs, self->count, me->end, h->epochs.of, h->epochs.count, end);
	if (!*pos && h->epochs.count == FRAME_EPOCHS) {
		snprintf(reason, FRAME_REASON, "of its epochs it says %u, and none is of this log", FRAME_EPOCHS);
		*pos = me->start;
		return HELLO_BLANK;
	}
	if (*pos < me->start) {
		snprintf(reason, FRAME_REASON, "the log begins at position %" PRIu64 " and is the same only up to %" PRIu64, me->start, *pos);
		*pos = me->start;
		return HELLO_BLANK;
	}
	return HELLO_ACCEPTED;
}

/* Has the log of these epochs one behind POS that was begun with an accepted loss? */
static bool loss_accepted(const struct epoch_row *epochs, size_t count, uint64_t pos)
{
	for (size_t n = 0; n < count; n++)
		if (epochs[n].accepted_loss && epochs[n].start >= pos)
			return true;
	return false;
}

int hello_accept(const struct hello_self *self, const struct frame_hello_ack *a, const struct epoch *e, uint64_t pos, char reason[FRAME_REASON])
{
	const struct member_view *me = &self->view;
	uint64_t known = me->known < me->end ? me->known : me->end;

	reason[0] = 0;
	if (a->cluster != me->cluster || pos > me->end || (pos == me->end && a->chain != me->chain) ||
		(a->epochs.count && pos != hello_common(self->epochs, self->count, me->end, a->epochs.of, a->epochs.count, a->end))) {
		snprintf(reason, FRAME_REASON, "its answer contradicts this node's log");
		return -EBADMSG;
	}
	if (!hello_obeys(me, a->node, epoch_reign(e))) {
		snprintf(reason, FRAME_REASON, "its reign %" PRIu32 " is not one that this node may follow", e->reign);
		return -ESTALE;
	}
	if (pos >= known)
		return 0;
	snprintf(reason, FRAME_REASON, "the logs part at position %" PRIu64 ", and up to %" PRIu64 " is committed here", pos, known);
	return loss_accepted(a->epochs.of, a->epochs.count, pos) ? -ECANCELED : -EPERM;
}

/*
 * From where on this log, which is given up, may have what the primary's has not; UINT64_MAX: nowhere. A log that ends where that begins, or
 * before, is its beginning, which it does not keep any more, but for two cases: this one has others' records where the first epoch that is
 * said was written already; or its last epoch is of this node, which ruled then, and nothing tells how much of that others got.
 */
static uint64_t find_parting(const struct hello_self *self, const struct frame_epochs *said, uint64_t pos, uint64_t common)
{
	const struct epoch_row *last = self->count ? &self->epochs[self->count - 1] : NULL;
	const struct member_view *me = &self->view;
	uint64_t from = UINT64_MAX;

	if (common || me->end > pos)
		from = common < me->end ? common : UINT64_MAX;
	else if (said->count && said->of[0].start < me->end)
		from = said->of[0].start;
	else if (last && last->epoch.node == me->node)
		from = last->start;
	return from > me->start ? from : me->start;
}

int hello_give_up(const struct hello_self *self, const struct frame_hello_ack *a, uint64_t pos, uint64_t *aside, char reason[FRAME_REASON])
{
	const struct member_view *me = &self->view;
	uint64_t known = me->known < me->end ? me->known : me->end;
	uint64_t common = hello_common(self->epochs, self->count, me->end, a->epochs.of, a->epochs.count, a->end);

	*aside = find_parting(self, &a->epochs, pos, common);
	reason[0] = 0;
	if (known <= pos || known <= common || loss_accepted(a->epochs.of, a->epochs.count, common))
		return 0;
	if (common)
		snprintf(reason, FRAME_REASON, "the logs part at position %" PRIu64 ", and up to %" PRIu64 " is committed here", common, known);
	else
		snprintf(reason, FRAME_REASON, "the logs have no epoch in common that is said, and up to %" PRIu64 " is committed here", known);
	return -EPERM;
}

uint64_t hello_lacks(const struct hello_self *self, const struct frame_hello_ack *a, uint64_t committed)
{
	uint64_t common = hello_common(self->epochs, self->count, self->view.end, a->epochs.of, a->epochs.count, a->end);

	/* Of tables that share nothing one is too short, or its log begins anew: that says nothing. */
	return common && committed > common && !loss_accepted(self->epochs, self->count, common) ? committed - common : 0;
}
