/* SPDX-License-Identifier: Apache-2.0 */
/* What uses a node while it is up: writers, a reader, and who hands on its operator's orders. */
#include "duo.h"
#include "parts.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MILLI INT64_C(1000000)

static bool ended(const struct node *n)
{
	return n->dead || n->ending || n->again;
}

static struct topic *topic_of(struct node *n, int queue)
{
	char text[8] = {'t', (char)('0' + ledger_topic(queue)), 0};
	struct topic *t = topic_find(n->store, text);

	if (t && topic_queue(t, ledger_number(queue)))
		return t;
	topic_put(t);
	return NULL;
}

/* ---- writers ---- */

struct follow {
	struct follower follower;
	struct node *node;
	uint32_t number;
	bool *told;                    /* of who waits; NULL: nobody does */
};

static void told(struct follower *f, int err)
{
	struct follow *w = (struct follow *)f;
	struct node *n = w->node;

	if (!n->dead && !err) {
		duo_say(n->duo, "append %u is acknowledged by %s", w->number, simnet_name(n->number));
		ledger_acked(&n->duo->ledger, w->number, node_is_outside(n));
		n->duo->counts->acked++;
	}
	if (!n->dead && err == -ETIMEDOUT)
		duo_meet(n->duo, UNKNOWN_TIMEOUT);
	if (w->told) {
		*w->told = true;
		world_wake(n->duo->world, w->told, true);
	}
	free(w);
}

static void follow(struct node *n, uint32_t number, uint64_t end, bool wait)
{
	struct follow *w = calloc(1, sizeof *w);
	bool is_told = false;

	if (!w)
		ledger_fail(&n->duo->ledger, "out of memory");
	*w = (struct follow){.follower = {.pos = end, .done = told}, .node = n, .number = number, .told = wait ? &is_told : NULL};
	if (store_follow(n->store, &w->follower)) {
		free(w);
		return;
	}
	while (wait && !is_told)
		world_wait(n->duo->world, &is_told, WORLD_NEVER);
}

static uint32_t any_length(struct world *w)
{
	static const uint32_t most[8] = {40, 40, 200, 200, 600, 600, 2000, LEDGER_MOST};

	return LEDGER_LEAST + (uint32_t)chance_of(w, most[chance_of(w, 8)] - LEDGER_LEAST);
}

static void count_refusal(struct node *n, int err)
{
	n->duo->counts->refused++;
	if (err == -EHOSTDOWN)
		duo_meet(n->duo, REFUSED_HOSTDOWN);
	if (err == -EROFS)
		duo_meet(n->duo, REFUSED_STANDBY);
	if (err == -ENOSPC)
		duo_meet(n->duo, DISK_FILLED);
}

static int append(struct node *n)
{
	struct duo *p = n->duo;
	int queue = (int)chance_of(p->world, LEDGER_QUEUES), err;
	struct topic *t = topic_of(n, queue);
	uint32_t number, len = any_length(p->world);
	uint8_t body[LEDGER_MOST];
	struct place at = {0};

	if (!t)
		return -ENOENT;
	if (ledger_intend(&p->ledger, n->number, queue, len, &number))
		ledger_fail(&p->ledger, "out of memory");
	ledger_body(&p->ledger, number, body);
	duo_say(p, "append %u at %s: %u bytes to queue %d", number, simnet_name(n->number), len, queue);
	err = store_append(topic_queue(t, ledger_number(queue)), &(struct batch){.iov = &(struct iovec){body, len}, .iovcnt = 1, .messages = 1}, &at);
	p->counts->appends++;
	if (!n->dead) {
		duo_say(p, "append %u: %s, offset %" PRIu64 ", up to position %" PRIu64, number, err ? strerror(-err) : "in the log", at.offset, at.end);
		ledger_answered(&p->ledger, number, err, at.offset);
		if (err)
			count_refusal(n, err);
		else if (!once_in(p->world, 8))
			follow(n, number, at.end, !once_in(p->world, 3));
	}
	topic_put(t);
	return err;
}

static void *writer(void *arg)
{
	struct node *n = arg;
	struct duo *p = n->duo;

	while (!ended(n)) {
		int64_t pause = 40 * MILLI;
		if (p->quiet || p->left <= 0) {
			pause = 500 * MILLI;
		} else if (append(n)) {
			pause = 400 * MILLI;
		} else {
			p->left--;
			pause = once_in(p->world, 3) ? 0 : once_in(p->world, 4) ? 300 * MILLI : 20 * MILLI;
		}
		if (pause)
			world_wait(p->world, &n->programs, world_now(p->world) + (int64_t)chance_of(p->world, (uint64_t)pause));
	}
	return NULL;
}

/* ---- the reader ---- */

/* Where a record begins, as far as is known. */
static uint64_t any_start(struct node *n, struct queue *q, int queue)
{
	struct ledger *l = &n->duo->ledger;
	struct history *h = &l->queues[queue];
	uint64_t head = q->head, offset;

	if (l->lied || l->loss || !h->count || once_in(n->duo->world, 4))
		return head;
	offset = l->entries[h->at[h->count - 1 - chance_of(n->duo->world, h->count < 6 ? h->count : 6)]].offset;
	return offset > head ? offset : head;
}

static void check_end(struct node *n, int queue, uint64_t end)
{
	if (end < n->committed[queue])
		ledger_fail(&n->duo->ledger, "%s shows queue %d up to %" PRIu64 ", and showed it up to %" PRIu64 " before", simnet_name(n->number), queue, end,
			n->committed[queue]);
	n->committed[queue] = end;
}

static void read_records(struct node *n, struct queue *q, int queue)
{
	uint8_t bytes[LEDGER_MOST];
	uint64_t at = any_start(n, q, queue);
	int reads = 1 + (int)chance_of(n->duo->world, 4);
	struct member_view v;
	struct reader *reader;
	struct slice s;

	store_view(n->store, &v);
	if (reader_new(&reader, n->store, q))
		ledger_fail(&n->duo->ledger, "out of memory");
	while (reads-- && !ended(n)) {
		slice_init(&s);
		ssize_t len = reader_read_record(reader, at, sizeof bytes, &s);
		if (len <= 0 || slice_copy(&s, bytes) || n->dead) {
			slice_free(&s);
			break;
		}
		slice_free(&s);
		duo_say(n->duo, "%s shows %zd bytes at %" PRIu64 " of queue %d", simnet_name(n->number), len, at, queue);
		ledger_shown(&n->duo->ledger, queue, at, bytes, (size_t)len, node_is_outside(n));
		n->duo->counts->shown++;
		duo_meet_if(n->duo, READ_ON_STANDBY, v.role == ROLE_STANDBY);
		at += (uint64_t)len;
	}
	reader_free(reader);
}

static void read_some(struct node *n)
{
	int queue = (int)chance_of(n->duo->world, LEDGER_QUEUES);
	struct topic *t = topic_of(n, queue);

	if (!t)
		return;
	struct queue *q = topic_queue(t, ledger_number(queue));
	check_end(n, queue, q->committed);
	read_records(n, q, queue);
	topic_put(t);
}

static void *reader(void *arg)
{
	struct node *n = arg;
	struct duo *p = n->duo;

	while (!ended(n)) {
		if (!p->quiet)
			read_some(n);
		world_wait(p->world, &n->programs, world_now(p->world) + (int64_t)chance_of(p->world, 600 * (uint64_t)MILLI));
	}
	return NULL;
}

/* ---- orders ---- */

static void *clerk(void *arg)
{
	struct node *n = arg;

	while (!ended(n)) {
		node_carry_out(n);
		if (!ended(n))
			world_wait(n->duo->world, &n->order, WORLD_NEVER);
	}
	return NULL;
}

void node_programs_start(struct node *n)
{
	static void *(*const runs[NODE_PROGRAMS])(void *arg) = {writer, writer, reader, clerk};

	for (int i = 0; i < NODE_PROGRAMS; i++) {
		n->programs[i] = world_start(n->duo->world, runs[i], n);
		if (!n->programs[i])
			ledger_fail(&n->duo->ledger, "out of memory");
	}
}

void node_programs_join(struct node *n)
{
	world_wake(n->duo->world, &n->programs, true);
	world_wake(n->duo->world, &n->order, true);
	for (int i = 0; i < NODE_PROGRAMS; i++)
		world_join(n->duo->world, n->programs[i]);
}
