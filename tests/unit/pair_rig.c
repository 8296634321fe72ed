/* SPDX-License-Identifier: Apache-2.0 */
#include "pair_rig.h"
#include "damage.h"
#include "install.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STILL_S 5
#define MINUTE_NS 60000000000LL

struct rig rig;

/* ---- the link ---- */

static ssize_t end_read(struct link *l, void *to, size_t len, int64_t deadline)
{
	struct rig_end *e = (struct rig_end *)l;
	size_t n = e->len - e->at < len ? e->len - e->at : len;

	(void)deadline;
	if (!n)
		return -ETIMEDOUT;
	memcpy(to, e->bytes + e->at, n);
	e->at += n;
	if (e->at == e->len)
		e->at = e->len = 0;
	return (ssize_t)n;
}

static int end_write(struct link *l, const void *from, size_t len, int64_t deadline)
{
	struct rig_end *to = ((struct rig_end *)l)->other;

	(void)deadline;
	if (to->len + len > to->room) {
		to->room = 2 * (to->len + len);
		to->bytes = realloc(to->bytes, to->room);
		cr_assert(to->bytes);
	}
	memcpy(to->bytes + to->len, from, len);
	to->len += len;
	return 0;
}

static const struct link_ops end_ops = {.read = end_read, .write = end_write};

/* ---- the nodes ---- */

static void moved(struct progress_waiter *w)
{
	(void)w;
	sem_post(&rig.moved);
}

static void node_init(struct rig_node *n, const char *name, struct rig_node *other)
{
	snprintf(n->path, sizeof n->path, "%s/%s", scratch_path, name);
	snprintf(n->name, sizeof n->name, "%s", name);
	n->waiter.moved = moved;
	n->at.link.ops = &end_ops;
	n->at.other = &other->at;
}

void rig_begin(void)
{
	scratch_init();
	memset(&rig, 0, sizeof rig);
	store_options_normal(&rig.options);
	rig.options.segment_size = 1 << 20;
	rig.options.commit_timeout = 20000000000;
	node_init(&rig.a, "a", &rig.b);
	node_init(&rig.b, "b", &rig.a);
	rig.body = malloc(FRAME_BODY);
	rig.now = 1;
	sem_init(&rig.moved, 0, 0);
}

void rig_end(void)
{
	rig_cut();
	rig_close(&rig.a);
	rig_close(&rig.b);
	free(rig.a.at.bytes);
	free(rig.b.at.bytes);
	free(rig.body);
	scratch_end();
}

/* What recovery found is on the disk, but a standby takes it for that only after a sync of its own. */
static void wait_synced(struct rig_node *n)
{
	for (;;) {
		progress_arm(store_progress(n->store), &n->waiter);
		if (rig_view(n).synced >= rig_view(n).end)
			return;
		sem_wait(&rig.moved);
	}
}

void rig_open(struct rig_node *n, bool standby)
{
	char why[STORE_WHY];

	rig.options.standby = standby;
	cr_assert_eq(store_open(&n->store, n->path, &rig.options, why), 0, "%s", why);
	progress_add(store_progress(n->store), &n->waiter);
	wait_synced(n);
}

void rig_close(struct rig_node *n)
{
	if (!n->store)
		return;
	progress_remove(store_progress(n->store), &n->waiter);
	store_stop(n->store);
	store_close(n->store);
	n->store = NULL;
}

struct member_view rig_view(const struct rig_node *n)
{
	struct member_view v;

	store_view(n->store, &v);
	return v;
}

void rig_promote(struct rig_node *n, uint8_t flags)
{
	const struct reign r = {2, rig_view(n).node};

	cr_assert_eq(store_promise(n->store, r), 0);
	cr_assert_eq(store_begin_reign(n->store, r, flags, true), 0);
}

void rig_join(void)
{
	struct member_view v = rig_view(&rig.a);
	struct install *i;
	char why[STORE_WHY];

	cr_assert_eq(install_begin(&i, rig.b.path, false, UINT64_MAX, store_identity(rig.a.store), &(struct log_start){0}, 0, v.end, rig.options.segment_size, why), 0, "%s", why);
	cr_assert_eq(install_finish(i, v.promise.reign), 0);
	install_free(i);
	rig_open(&rig.b, true);
}

void rig_pair(uint8_t min_standbys)
{
	struct pair p = {.min_standbys = min_standbys, .nodes = 2, .node = {rig_view(&rig.a).node, rig_view(&rig.b).node}, .name = {"a", "b"}};
	uint64_t pos;

	rig_settle();
	cr_assert_eq(store_set_pair(rig.a.store, &p, &pos), 0);
	rig_settle_to(pos);
	rig.guarded = min_standbys;
}

/* ---- a link's life ---- */

static void drop(struct rig_node *n)
{
	n->at.len = n->at.at = 0;
}

/* The HELLO is the node's, which makes a sender of it. */
static void greet(void)
{
	struct frame_hello *h = calloc(1, sizeof *h);
	struct iovec iov[SENDER_PARTS];
	struct frame f;
	int n;

	cr_assert_eq(receiver_next(rig.receiver, rig.now, &f, iov, &n), 1);
	cr_assert_eq(link_send(&rig.standby->at.link, &f, iov, n, 0), 0);
	cr_assert_eq(link_receive(&rig.primary->at.link, &f, rig.body, FRAME_BODY, 0), 0);
	cr_assert_eq(f.type, FRAME_HELLO);
	cr_assert_eq(frame_get_hello(h, rig.body, f.length), 0);
	cr_assert_eq(sender_new(&rig.sender, rig.primary->store, rig.primary->name, rig.standby->name, h, f.flags & FRAME_BLANK, f.pos), 0);
	free(h);
}

void rig_connect(struct rig_node *primary, struct rig_node *standby)
{
	rig_cut();
	rig.primary = primary;
	rig.standby = standby;
	drop(primary);
	drop(standby);
	rig.sender_err = rig.receiver_err = 0;
	cr_assert_eq(receiver_new(&rig.receiver, standby->store, standby->name, primary->name), 0);
	greet();
	rig.connected = true;
}

void rig_cut(void)
{
	sender_free(rig.sender);
	receiver_free(rig.receiver);
	rig.sender = NULL;
	rig.receiver = NULL;
	rig.connected = false;
}

/* ---- frames ---- */

/* What must hold whatever has just happened. */
static void check_rules(void)
{
	struct member_view p, s;

	store_view(rig.primary->store, &p);
	store_view(rig.standby->store, &s);
	if (rig.frame.type == FRAME_COMMIT && rig.frame.flags & FRAME_MEMBER)
		cr_assert(p.settled && pair_has(&p.pair, s.node));
	if (!rig.guarded)
		return;
	cr_assert_leq(p.committed, s.synced, "committed up to %lu, on the other disk up to %lu", p.committed, s.synced);
	cr_assert_leq(s.committed, s.synced);
}

static bool lost(void)
{
	rig.frames++;
	if (!rig.lose || --rig.lose)
		return false;
	rig_cut();
	return true;
}

static bool deliver(struct rig_node *to)
{
	int err;

	if (!to->at.len)
		return false;
	if (lost())
		return true;
	err = link_receive(&to->at.link, &rig.frame, rig.body, FRAME_BODY, 0);
	cr_assert_eq(err, 0, "%s", strerror(-err));
	if (to == rig.primary)
		rig.sender_err = sender_hear(rig.sender, rig.now, &rig.frame, rig.body);
	else
		rig.receiver_err = receiver_hear(rig.receiver, rig.now, &rig.frame, rig.body);
	check_rules();
	return true;
}

static bool speak(struct rig_node *from, int *ended)
{
	struct iovec iov[SENDER_PARTS];
	struct frame f;
	int n, err;

	err = from == rig.primary ? sender_next(rig.sender, rig.now, &f, iov, &n) : receiver_next(rig.receiver, rig.now, &f, iov, &n);
	if (err < 0)
		*ended = err;
	if (err <= 0)
		return false;
	cr_assert_eq(link_send(&from->at.link, &f, iov, n, 0), 0);
	return true;
}

bool rig_step(void)
{
	rig.frame.type = 0;
	if (!rig.connected || rig.sender_err < 0 || rig.receiver_err < 0)
		return false;
	return deliver(rig.standby) || deliver(rig.primary) || speak(rig.standby, &rig.receiver_err) || speak(rig.primary, &rig.sender_err);
}

/* Where nothing moves the clock does: what rests is looked at again. If that helps nobody it is told what is open, in place of a hang. */
static void wait_moved(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STILL_S;
	if (!sem_timedwait(&rig.moved, &until)) {
		rig.still = 0;
		return;
	}
	cr_assert_lt(rig.still++, 4, "nothing moves: %" PRIu64 " places of A's log are damaged, and %" PRIu64 " of B's", damage_open(rig.a.store),
		damage_open(rig.b.store));
	rig.now += MINUTE_NS;
}

static void arm(void)
{
	while (!sem_trywait(&rig.moved))
		;
	progress_arm(store_progress(rig.a.store), &rig.a.waiter);
	progress_arm(store_progress(rig.b.store), &rig.b.waiter);
}

void rig_until(bool (*reached)(uint64_t pos), uint64_t pos)
{
	for (;;) {
		arm();
		while (rig_step())
			;
		if (!rig.connected || rig.sender_err < 0 || rig.receiver_err < 0 || reached(pos))
			return;
		wait_moved();
	}
}

void rig_frame(uint8_t type)
{
	for (;;) {
		arm();
		while (rig_step())
			if (rig.frame.type == type)
				return;
		cr_assert(rig.connected && !rig.sender_err && !rig.receiver_err, "%d, %d", rig.sender_err, rig.receiver_err);
		wait_moved();
	}
}

static bool settled(uint64_t pos)
{
	struct member_view p = rig_view(rig.primary), s = rig_view(rig.standby);

	(void)pos;
	return p.settled && p.committed == p.end && s.committed == p.end && s.synced == p.end;
}

static bool committed(uint64_t pos)
{
	return rig_view(rig.primary).committed >= pos;
}

void rig_settle(void)
{
	rig_until(settled, 0);
}

void rig_settle_to(uint64_t pos)
{
	rig_until(committed, pos);
}

/* ---- the logs ---- */

static uint8_t *whole_log(struct store *s, size_t *len)
{
	struct member_view v;
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	uint8_t *to;
	ssize_t n;

	store_view(s, &v);
	to = malloc(v.end - v.start + 1);
	*len = 0;
	cr_assert_eq(store_raw(s, v.start, &raw), 0);
	while ((n = raw_read(raw, v.written, &bytes, &base)) > 0) {
		memcpy(to + *len, bytes, (size_t)n);
		*len += (size_t)n;
	}
	cr_assert_eq(n, 0);
	raw_close(raw);
	return to;
}

void rig_same_logs(void)
{
	size_t a_len, b_len;
	uint8_t *of_a = whole_log(rig.a.store, &a_len), *of_b = whole_log(rig.b.store, &b_len);

	cr_assert_eq(a_len, b_len, "%zu and %zu bytes", a_len, b_len);
	cr_assert(!memcmp(of_a, of_b, a_len));
	free(of_a);
	free(of_b);
}

int rig_append(struct rig_node *n, const char *text, size_t len, uint64_t *pos)
{
	struct iovec iov = {(void *)text, len};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct topic *t = topic_find(n->store, "orders");
	struct place to = {0};
	int err;

	cr_assert(t);
	err = store_append(topic_queue(t, 0), &b, &to);
	topic_put(t);
	*pos = to.end;
	return err;
}

void rig_topic(void)
{
	struct command *c = command_new_waited();

	cr_assert_eq(command_wait(c, store_mkdir(rig.a.store, c, "orders", &(struct owner){1, 2, 0777})), 0);
}
