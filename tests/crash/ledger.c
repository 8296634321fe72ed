/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 8u                      /* of an intent's number, at the beginning of its body */
#define SHIFTS (16u << 10)

int ledger_init(struct ledger *l, struct world *w, void (*fail)(void *ctx, const char *what), void *ctx)
{
	l->world = w;
	l->fail = fail;
	l->ctx = ctx;
	l->pattern = malloc(SHIFTS + LEDGER_MOST);
	l->expected = malloc(LEDGER_MOST);
	if (!l->pattern || !l->expected) {
		ledger_end(l);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < SHIFTS + LEDGER_MOST; i++)
		l->pattern[i] = (uint8_t)('0' + (i * 2654435761u >> 20) % 70);
	return 0;
}

void ledger_end(struct ledger *l)
{
	for (int q = 0; q < LEDGER_QUEUES; q++)
		free(l->queues[q].at);
	free(l->entries);
	free(l->pattern);
	free(l->expected);
}

void ledger_fail(struct ledger *l, const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	l->fail(l->ctx, what);
	abort();
}

int ledger_topic(int queue)
{
	return queue / (LEDGER_QUEUES / LEDGER_TOPICS);
}

uint32_t ledger_number(int queue)
{
	return (uint32_t)queue % (LEDGER_QUEUES / LEDGER_TOPICS);
}

/* ---- intents ---- */

int ledger_intend(struct ledger *l, int node, int queue, uint32_t len, uint32_t *number)
{
	if (l->count == l->room) {
		uint32_t room = l->room ? 2 * l->room : 256;
		struct entry *grown = realloc(l->entries, room * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		l->entries = grown;
		l->room = room;
	}
	l->entries[l->count] = (struct entry){.queue = (uint8_t)queue, .node = (uint8_t)node, .len = len};
	*number = l->count++;
	return 0;
}

void ledger_body(struct ledger *l, uint32_t number, uint8_t *to)
{
	static const char digits[] = "0123456789abcdef";
	const struct entry *e = &l->entries[number];

	memcpy(to, l->pattern + number * 131 % SHIFTS, e->len);
	for (unsigned d = 0; d < DIGITS; d++)
		to[d] = (uint8_t)digits[number >> (4 * (DIGITS - 1 - d)) & 15];
	to[e->len - 1] = '\n';
}

bool ledger_is_entry(const struct ledger *l, const uint8_t *bytes, size_t len, uint32_t *number)
{
	*number = 0;
	for (unsigned d = 0; d < DIGITS; d++) {
		uint32_t digit = len < DIGITS ? 16 : bytes[d] >= 'a' ? bytes[d] - 'a' + 10u : bytes[d] - 0u - '0';
		if (digit > 15)
			return false;
		*number = *number << 4 | digit;
	}
	return *number < l->count;
}

static void place(struct ledger *l, uint32_t number, uint64_t offset)
{
	struct entry *e = &l->entries[number];

	if (e->placed && e->offset != offset)
		ledger_fail(l, "append %u is at offset %" PRIu64 " of queue %d and at %" PRIu64 " too", number, offset, e->queue, e->offset);
	e->placed = true;
	e->offset = offset;
}

void ledger_answered(struct ledger *l, uint32_t number, int err, uint64_t offset)
{
	struct entry *e = &l->entries[number];

	if (!err) {
		place(l, number, offset);
		e->state = ENTRY_LOGGED;
		return;
	}
	if (err == -EIO || err == -ENOTCONN)
		return;
	if (e->placed)
		ledger_fail(l, "append %u was refused (%s) and can be read", number, strerror(-err));
	e->state = ENTRY_REFUSED;
}

/* ---- the history ---- */

static bool overlap(const struct entry *a, const struct entry *b)
{
	return a->offset < b->offset + b->len && b->offset < a->offset + a->len;
}

static void take_out(struct history *h, uint32_t n)
{
	memmove(h->at + n, h->at + n + 1, (h->count - n - 1) * sizeof *h->at);
	h->count--;
}

/* Whether the one at N of a history may make room for another. */
static bool gives_way(const struct ledger *l, const struct history *h, uint32_t n)
{
	return l->lied || l->entries[h->at[n]].may_go;
}

/* What stands where number NEW has to: it goes, or the rule is broken. */
static void make_room(struct ledger *l, struct history *h, uint32_t new, const char *how)
{
	struct entry *e = &l->entries[new];

	for (uint32_t n = h->count; n > 0; n--) {
		struct entry *at = &l->entries[h->at[n - 1]];
		if (at->offset + at->len <= e->offset)
			break;
		if (h->at[n - 1] == new || !overlap(at, e))
			continue;
		if (!gives_way(l, h, n - 1) && !e->may_go)
			ledger_fail(l, "append %u, asked of node %d, is %s at offset %" PRIu64 " of queue %d, where append %u, asked of node %d, was %s%s", new,
				e->node, how, e->offset, e->queue, h->at[n - 1], at->node, at->acked ? "acknowledged" : "", at->shown ? " shown" : "");
		if (!e->may_go || gives_way(l, h, n - 1))
			take_out(h, n - 1);
	}
}

static void enter(struct ledger *l, uint32_t number, const char *how)
{
	struct entry *e = &l->entries[number];
	struct history *h = &l->queues[e->queue];
	uint32_t n = h->count;

	make_room(l, h, number, how);
	for (n = h->count; n > 0 && l->entries[h->at[n - 1]].offset > e->offset; n--)
		;
	if (n > 0 && h->at[n - 1] == number)
		return;
	if (n > 0 && overlap(&l->entries[h->at[n - 1]], e))
		return;                        /* it counts for nothing, and another one does */
	if (h->count == h->room) {
		uint32_t room = h->room ? 2 * h->room : 64;
		uint32_t *grown = realloc(h->at, room * sizeof *grown);
		if (!grown)
			ledger_fail(l, "out of memory");
		h->at = grown;
		h->room = room;
	}
	memmove(h->at + n + 1, h->at + n, (h->count - n) * sizeof *h->at);
	h->at[n] = number;
	h->count++;
}

void ledger_acked(struct ledger *l, uint32_t number, bool outside)
{
	struct entry *e = &l->entries[number];

	if (outside && !e->acked && !e->shown)
		e->may_go = true;
	if (!outside)
		e->may_go = false;
	e->acked = true;
	l->acked++;
	enter(l, number, "acknowledged");
}

static uint32_t identify(struct ledger *l, int queue, uint64_t offset, const uint8_t *bytes, size_t len)
{
	static const char *const never[] = {[ENTRY_REFUSED] = "was refused", [ENTRY_ABSENT] = "was gone when both nodes were at one"};
	struct entry *e;
	uint32_t number;

	if (!ledger_is_entry(l, bytes, len, &number))
		ledger_fail(l, "nobody wrote what is at offset %" PRIu64 " of queue %d: %.8s", offset, queue, bytes);
	e = &l->entries[number];
	if (e->queue != queue)
		ledger_fail(l, "append %u of queue %d is in queue %d, at %" PRIu64, number, e->queue, queue, offset);
	if (e->state == ENTRY_REFUSED || e->state == ENTRY_ABSENT)
		ledger_fail(l, "append %u %s and is at offset %" PRIu64 " of queue %d", number, never[e->state], offset, queue);
	ledger_body(l, number, l->expected);
	if (e->len != len || memcmp(l->expected, bytes, len))
		ledger_fail(l, "append %u is not what was written: at offset %" PRIu64 " of queue %d", number, offset, queue);
	place(l, number, offset);
	return number;
}

void ledger_shown(struct ledger *l, int queue, uint64_t offset, const uint8_t *bytes, size_t len, bool outside)
{
	uint32_t number = identify(l, queue, offset, bytes, len);
	struct entry *e = &l->entries[number];

	if (outside && !e->acked && !e->shown)
		e->may_go = true;
	if (!outside)
		e->may_go = false;
	e->shown = true;
	l->shown++;
	enter(l, number, "shown");
}

/* ---- what the operator gives up ---- */

void ledger_loss(struct ledger *l, const bool *has)
{
	l->loss = true;
	for (uint32_t n = l->open; n < l->count; n++)
		if (!has[n])
			l->entries[n].may_go = true;
}

void ledger_lie(struct ledger *l)
{
	l->lied = true;
}

/* ---- both are at one ---- */

void ledger_check_begin(struct ledger *l)
{
	for (uint32_t n = 0; n < l->count; n++)
		l->entries[n].found = false;
}

void ledger_found(struct ledger *l, int queue, uint64_t offset, const uint8_t *bytes, size_t len)
{
	uint32_t number = identify(l, queue, offset, bytes, len);

	l->entries[number].found = true;
	enter(l, number, "there");
}

static void settle_one(struct ledger *l, uint32_t number, const uint64_t heads[LEDGER_QUEUES], bool took_place)
{
	struct entry *e = &l->entries[number];
	bool dropped = l->limited[ledger_topic(e->queue)] && e->placed && e->offset < heads[e->queue];
	bool excused = l->lied || (e->may_go && took_place);

	if (e->state == ENTRY_REFUSED || (e->state == ENTRY_ABSENT && !e->found))
		return;
	if (!e->found && !dropped && (e->acked || e->shown) && !excused)
		ledger_fail(l, "append %u, asked of node %d, was %s%s and is lost: offset %" PRIu64 " of queue %d", number, e->node,
			e->acked ? "acknowledged" : "", e->shown ? " shown" : "", e->offset, e->queue);
	if (!e->found && !dropped && (e->acked || e->shown))
		l->lost++;
	e->state = e->found || dropped ? ENTRY_SETTLED : ENTRY_ABSENT;
	e->may_go = false;
	if (e->state == ENTRY_ABSENT)
		e->acked = e->shown = false;
}

void ledger_check_end(struct ledger *l, const uint64_t heads[LEDGER_QUEUES], bool took_place)
{
	for (uint32_t n = 0; n < l->count; n++)
		settle_one(l, n, heads, took_place);
	for (int q = 0; q < LEDGER_QUEUES; q++) {
		struct history *h = &l->queues[q];
		for (uint32_t n = h->count; n > 0; n--)
			if (l->entries[h->at[n - 1]].state == ENTRY_ABSENT)
				take_out(h, n - 1);
	}
	l->open = l->count;
	l->loss = l->lied = false;
}
