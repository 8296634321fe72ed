/* SPDX-License-Identifier: Apache-2.0 */
/* A sender and a receiver, each on a store of its own: what comes over, what is refused, and what a link may do to them. */
#include "pair_rig.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(sender, .init = rig_begin, .fini = rig_end);

/* A is the primary with a topic, B its standby; both are the pair. */
static void make_pair(uint8_t min_standbys)
{
	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	rig_connect(&rig.a, &rig.b);
	rig_pair(min_standbys);
	rig_settle();
}

static void put(const char *text)
{
	uint64_t pos;

	cr_assert_eq(rig_append(rig.primary, text, strlen(text), &pos), 0);
	rig_settle_to(pos);
	cr_assert_geq(rig_view(rig.primary).committed, pos);
}

Test(sender, what_is_appended_is_committed_once_it_is_on_both_disks)
{
	uint64_t pos;

	make_pair(1);
	cr_assert_eq(rig_append(&rig.a, "one\n", 4, &pos), 0);
	cr_assert_lt(rig_view(&rig.a).committed, pos);
	rig_settle_to(pos);
	cr_assert_geq(rig_view(&rig.a).committed, pos);
	rig_settle();
	rig_same_logs();
	cr_assert_eq(rig_view(&rig.b).committed, rig_view(&rig.a).committed);
	cr_assert(rig_view(&rig.b).current);
}

static bool is_linked(uint64_t pos)
{
	struct sender_status s;

	(void)pos;
	sender_status(rig.sender, &s);
	return s.linked;
}

Test(sender, a_standby_for_which_there_is_no_place_does_not_count_until_there_is)
{
	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	for (uint64_t node = 100; store_linked(rig.a.store, node, true); node++)
		cr_assert_lt(node, 1000);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(!is_linked(0), "one that has no place could be taken into the pair");
	store_linked(rig.a.store, 100, false);
	rig.now += 60000000000;
	rig_until(is_linked, 0);
	rig_pair(1);
	put("one\n");
}

Test(sender, while_the_standby_is_away_appends_are_refused_and_resume_when_it_is_back)
{
	uint64_t pos;

	make_pair(1);
	put("one\n");
	rig_cut();
	cr_assert_eq(rig_append(&rig.a, "two\n", 4, &pos), -EHOSTDOWN);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	put("two\n");
	rig_settle();
	rig_same_logs();
}

Test(sender, a_blank_log_is_filled_across_segments_and_a_record_may_be_longer_than_a_frame)
{
	size_t len = 3500000;
	char *line = malloc(len);
	uint64_t pos;

	memset(line, 'x', len);
	rig_open(&rig.a, false);
	rig_topic();
	for (int i = 0; i < 12; i++)
		cr_assert_eq(rig_append(&rig.a, line, i == 5 ? len : 200000, &pos), 0);
	rig_join();
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	rig_same_logs();
	cr_assert_eq(rig_append(&rig.a, line, len, &pos), 0);
	rig_settle();
	rig_same_logs();
	free(line);
}

/* The link breaks in place of its first frame, its second one, and so on, while it is appended to; what was lost with it comes again. */
Test(sender, the_link_may_break_at_any_frame)
{
	char *line = malloc(700000);
	uint64_t pos;

	memset(line, 'y', 700000);
	make_pair(1);
	for (unsigned n = 1; n <= 24; n++) {
		if (!rig.connected)
			rig_connect(&rig.a, &rig.b);
		rig_settle();
		cr_assert_eq(rig_append(&rig.a, line, n % 4 ? 100 * n : 700000, &pos), 0);
		rig_append(&rig.a, line, 50, &pos);
		rig_cut();
		rig_connect(&rig.a, &rig.b);
		rig.lose = n;
		rig_settle();
		rig.lose = 0;
		rig_cut();
		rig_connect(&rig.a, &rig.b);
		rig_settle();
		rig_same_logs();
	}
	free(line);
}

/* It had received a record, and synced it or not, but not said so. */
Test(sender, a_restarted_standby_acknowledges_what_it_has)
{
	uint64_t pos;

	make_pair(1);
	cr_assert_eq(rig_append(&rig.a, "one\n", 4, &pos), 0);
	rig_frame(FRAME_RECORDS);
	rig_cut();
	cr_assert_geq(rig_view(&rig.b).end, pos);
	rig_close(&rig.b);
	rig_open(&rig.b, true);
	rig_connect(&rig.a, &rig.b);
	rig_settle_to(pos);
	cr_assert_geq(rig_view(&rig.a).committed, pos);
}

static unsigned draw(uint32_t *seed, unsigned below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

static void restart(struct rig_node *n, bool standby)
{
	rig_cut();
	rig_close(n);
	rig_open(n, standby);
}

/* Whatever was acknowledged is in both logs: check_rules() of the rig sees to it behind every frame. */
Test(sender, links_break_and_stores_restart_at_random)
{
	char line[4000];
	uint64_t pos, acknowledged = 0;
	uint32_t seed = 7;

	memset(line, 'z', sizeof line);
	make_pair(1);
	for (int round = 0; round < 60; round++) {
		cr_assert(!rig.sender_err && !rig.receiver_err, "%d, %d", rig.sender_err, rig.receiver_err);
		if (!rig.connected)
			rig_connect(&rig.a, &rig.b);
		for (unsigned n = draw(&seed, 5); n; n--)
			rig_append(&rig.a, line, 1 + draw(&seed, sizeof line), &pos);
		for (unsigned n = draw(&seed, 12); n && rig.connected; n--)
			rig_step();
		acknowledged = rig_view(&rig.a).committed;
		switch (draw(&seed, 8)) {
		case 0:
			rig_cut();
			break;
		case 1:
			restart(&rig.a, false);
			break;
		case 2:
			restart(&rig.b, true);
			break;
		case 3:
			rig_settle();
			break;
		default:
			break;
		}
		cr_assert_geq(rig_view(&rig.b).end, acknowledged);
	}
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	rig_same_logs();
}

Test(sender, only_a_node_of_the_pair_of_a_settled_primary_is_told_that_it_is_a_member)
{
	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(!rig_view(&rig.b).current, "there is no pair yet");
	rig_pair(1);
	rig_settle();
	cr_assert(rig_view(&rig.b).current);
	restart(&rig.b, true);
	restart(&rig.a, false);
	cr_assert(!rig_view(&rig.a).settled);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(rig_view(&rig.b).current);
}

/* ---- roles ---- */

/* What A had not sent when B was promoted goes from A's log when it comes back as B's standby. */
Test(sender, the_old_primary_is_cut_where_the_logs_part)
{
	uint64_t pos;

	make_pair(1);
	put("one\n");
	rig_settle();
	rig_cut();
	cr_assert_eq(rig_append(&rig.a, "refused\n", 8, &pos), -EHOSTDOWN);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert_eq(rig_append(&rig.a, "only here\n", 10, &pos), 0);
	rig_cut();
	rig_promote(&rig.b, 0);

	/* The old primary does not take its standby back, which is one no more, and hears why. */
	cr_assert_eq(store_step_down(rig.a.store), 0);
	rig_connect(&rig.b, &rig.a);
	rig_settle();
	cr_assert_eq(rig.sender_err, 0);
	rig_same_logs();
	cr_assert_eq(rig_view(&rig.a).promise.reign.number, 2);
	put("two\n");
	rig_settle();
	rig_same_logs();
}

static void start_often(struct rig_node *n)
{
	for (unsigned i = 0; i < FRAME_EPOCHS + 100; i++) {
		rig_close(n);
		rig_open(n, false);
	}
}

/* Nobody hears of all these starts. */
Test(sender, both_go_on_although_one_was_started_more_often_than_can_be_said, .timeout = 120)
{
	make_pair(1);
	put("one\n");
	rig_settle();
	rig_cut();
	start_often(&rig.a);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	rig_same_logs();
	rig_cut();
	start_often(&rig.a);
	rig_promote(&rig.b, 0);
	cr_assert_eq(store_step_down(rig.a.store), 0);
	rig_connect(&rig.b, &rig.a);
	rig_settle();
	cr_assert_eq(rig.sender_err, 0);
	rig_same_logs();
}

Test(sender, a_primary_that_hears_of_a_higher_promise_in_its_pair_is_told_to_step_down)
{
	struct iovec iov[SENDER_PARTS];
	char why[FRAME_REASON];
	struct frame f;
	int n;

	make_pair(1);
	rig_cut();
	cr_assert_eq(store_promise(rig.b.store, (struct reign){2, rig_view(&rig.b).node}), 0);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert_eq(sender_next(rig.sender, rig.now, &f, iov, &n), -ESTALE);
	cr_assert_eq(rig.receiver_err, -ECONNREFUSED);
	receiver_why(rig.receiver, why);
	cr_assert(strstr(why, "promised"), "%s", why);
}

Test(sender, a_standby_that_has_promised_another_reign_takes_and_acknowledges_nothing)
{
	uint64_t pos, before;

	make_pair(1);
	before = rig_view(&rig.b).end;
	cr_assert_eq(rig_append(&rig.a, "one\n", 4, &pos), 0);
	cr_assert_eq(store_promise(rig.b.store, (struct reign){2, rig_view(&rig.b).node}), 0);
	rig_settle();
	cr_assert(rig.receiver_err == -ESTALE || rig.sender_err == -ECONNABORTED);
	cr_assert_eq(rig_view(&rig.b).end, before);
	cr_assert_lt(rig_view(&rig.a).committed, pos);
}

Test(sender, a_primary_that_has_stepped_down_sends_nothing_more)
{
	make_pair(1);
	cr_assert_eq(store_step_down(rig.a.store), 0);
	rig_settle();
	while (rig_step())
		;
	cr_assert(rig.sender_err == -EROFS || rig.receiver_err == -ECONNABORTED);
}

/* ---- what has no place ---- */

static int hear_again(const struct frame *f)
{
	return receiver_hear(rig.receiver, rig.now, f, rig.body);
}

static struct frame next_records(void)
{
	uint64_t pos;

	cr_assert_eq(rig_append(&rig.a, "one\n", 4, &pos), 0);
	rig_frame(FRAME_RECORDS);
	return rig.frame;
}

Test(sender, records_that_came_before_are_refused)
{
	struct frame f;

	make_pair(1);
	f = next_records();
	cr_assert_eq(hear_again(&f), -EPROTO);
}

Test(sender, records_from_further_on_are_refused)
{
	struct frame f;
	uint64_t end;

	make_pair(1);
	f = next_records();
	end = rig_view(&rig.b).end;
	f.pos = end + 8;
	cr_assert_eq(hear_again(&f), -EPROTO);
	cr_assert_eq(rig_view(&rig.b).end, end);
}

Test(sender, records_that_are_not_those_of_their_place_are_refused)
{
	struct frame f;
	uint64_t end;
	char why[FRAME_REASON];

	make_pair(1);
	f = next_records();
	f.pos = end = rig_view(&rig.b).end;
	cr_assert_eq(hear_again(&f), -EBADMSG);
	cr_assert_eq(rig_view(&rig.b).end, end);
	receiver_why(rig.receiver, why);
	cr_assert(strstr(why, "RECORDS"), "%s", why);
	/* The primary is told. */
	rig.receiver_err = 0;
	while (rig_step())
		;
	cr_assert_eq(rig.sender_err, -ECONNABORTED);
}

Test(sender, a_frame_of_another_epoch_is_refused)
{
	struct frame f;

	make_pair(1);
	f = next_records();
	f.pos = rig_view(&rig.b).end;
	f.epoch.start--;
	cr_assert_eq(hear_again(&f), -EPROTO);
}

Test(sender, commit_points_only_go_up_and_lie_in_the_log)
{
	struct frame f, old;
	uint8_t body[64];

	make_pair(1);
	rig_append(&rig.a, "one\n", 4, &f.pos);
	rig_frame(FRAME_COMMIT);
	old = rig.frame;
	memcpy(body, rig.body, old.length);
	put("two\n");
	rig_settle();
	memcpy(rig.body, body, old.length);
	cr_assert_eq(hear_again(&old), -EPROTO);
	f = old;
	f.pos = rig_view(&rig.a).end;
	f.committed = f.pos + 8;
	cr_assert_eq(hear_again(&f), -EPROTO);
}

Test(sender, commit_points_do_not_go_down_although_the_log_goes_on)
{
	struct frame f;

	make_pair(1);
	rig_append(&rig.a, "one\n", 4, &f.pos);
	rig_frame(FRAME_COMMIT);
	f = rig.frame;
	cr_assert_eq(hear_again(&f), 0);
	f.committed -= 8;
	cr_assert_eq(hear_again(&f), -EPROTO);
}

Test(sender, only_where_no_commit_waits_for_it_a_standby_gets_many_appends_at_once)
{
	struct frame commit = {.type = FRAME_COMMIT};
	char *line = malloc(300000);
	uint64_t pos;

	memset(line, 'z', 300000);
	make_pair(0);
	rig_append(&rig.a, "one\n", 4, &pos);
	rig_frame(FRAME_RECORDS);
	cr_assert_gt(sender_rest(rig.sender, &rig.frame), 0);
	cr_assert_eq(sender_rest(rig.sender, &commit), 0);
	rig_append(&rig.a, line, 300000, &pos);
	cr_assert_eq(sender_rest(rig.sender, &rig.frame), 0, "there is enough for a frame already");
	rig_settle();
	rig_pair(1);
	rig_settle();
	rig_append(&rig.a, "two\n", 4, &pos);
	rig_frame(FRAME_RECORDS);
	cr_assert_eq(sender_rest(rig.sender, &rig.frame), 0);
	free(line);
}

Test(sender, a_segment_begins_only_at_the_end_of_the_log)
{
	struct frame_segment s = {.chain = 1};
	struct frame f;

	make_pair(1);
	rig_settle();
	f = (struct frame){.type = FRAME_SEGMENT, .epoch = rig_view(&rig.a).epoch, .pos = rig_view(&rig.b).end};
	f.length = (uint32_t)frame_put_segment(&s, rig.body, FRAME_BODY);
	cr_assert_eq(hear_again(&f), -EPROTO, "another chain");
}

static struct frame ack(uint64_t pos, uint64_t received)
{
	struct frame_ack a = {.received = received};
	struct frame f = {.type = FRAME_ACK, .epoch = rig_view(&rig.a).epoch, .pos = pos};

	f.length = (uint32_t)frame_put_ack(&a, rig.body, FRAME_BODY);
	return f;
}

Test(sender, what_was_not_sent_cannot_be_acknowledged)
{
	struct frame f;
	uint64_t pos, before;

	make_pair(1);
	before = rig_view(&rig.a).committed;
	cr_assert_eq(rig_append(&rig.a, "one\n", 4, &pos), 0);
	f = ack(pos, pos);
	cr_assert_eq(sender_hear(rig.sender, rig.now, &f, rig.body), -EPROTO);
	cr_assert_eq(rig_view(&rig.a).committed, before);
}

Test(sender, an_acknowledgement_does_not_go_back)
{
	struct frame f;

	make_pair(1);
	f = ack(8, 8);
	cr_assert_eq(sender_hear(rig.sender, rig.now, &f, rig.body), -EPROTO);
}

Test(sender, an_acknowledgement_of_another_epoch_is_refused)
{
	struct frame f;

	make_pair(1);
	f = ack(rig_view(&rig.a).end, rig_view(&rig.a).end);
	f.epoch.start++;
	cr_assert_eq(sender_hear(rig.sender, rig.now, &f, rig.body), -EPROTO);
}

Test(sender, what_only_the_other_side_says_ends_the_link)
{
	struct frame f = {.type = FRAME_HELLO_ACK};

	make_pair(1);
	cr_assert_eq(sender_hear(rig.sender, rig.now, &f, rig.body), -EPROTO);
	f.epoch = rig_view(&rig.a).epoch;
	cr_assert_eq(receiver_hear(rig.receiver, rig.now, &f, rig.body), -EPROTO);
}

Test(sender, nothing_is_taken_before_the_hello_is_answered)
{
	struct receiver *r;
	struct frame f = {.type = FRAME_COMMIT};

	make_pair(1);
	cr_assert_eq(receiver_new(&r, rig.b.store, "b", "a"), 0);
	cr_assert_eq(receiver_hear(r, rig.now, &f, rig.body), -EPROTO);
	receiver_free(r);
}

Test(sender, a_standby_with_another_name_than_its_certificates_is_refused)
{
	make_pair(1);
	rig_cut();
	rig.b.name[0] = 'c';
	rig_connect(&rig.a, &rig.b);
	rig.b.name[0] = 'b';
	rig_cut();
	struct frame_hello *h = calloc(1, sizeof *h);
	struct iovec iov[SENDER_PARTS];
	char why[FRAME_REASON];
	struct frame f;
	int n;

	snprintf(h->name, sizeof h->name, "c");
	h->version = FRAME_VERSION;
	h->cluster = rig_view(&rig.a).cluster;
	h->node = rig_view(&rig.b).node;
	cr_assert_eq(sender_new(&rig.sender, rig.a.store, "a", "b", h, false, 0), 0);
	free(h);
	cr_assert_eq(sender_next(rig.sender, rig.now, &f, iov, &n), 1);
	cr_assert_eq(f.type, FRAME_HELLO_ACK);
	cr_assert_eq(sender_next(rig.sender, rig.now, &f, iov, &n), -EPERM);
	sender_why(rig.sender, why);
	cr_assert(strstr(why, "certificate"), "%s", why);
}

/* ---- a standby's readers ---- */

/* All that queue 0 of the topic shows at N. */
static uint64_t shown(struct rig_node *n)
{
	struct topic *t = topic_find(n->store, "orders");
	struct queue *q = topic_queue(t, 0);
	uint64_t at = 0;
	struct reader *r;
	struct slice s;
	ssize_t len;

	cr_assert_eq(reader_new(&r, n->store, q), 0);
	do {
		slice_init(&s);
		len = reader_read(r, at, 1 << 20, &s);
		cr_assert_geq(len, 0, "%s at %lu", strerror((int)-len), at);
		at += (uint64_t)len;
		slice_free(&s);
	} while (len);
	reader_free(r);
	topic_put(t);
	return at;
}

Test(sender, who_reads_a_standby_sees_also_what_its_segment_grew_for)
{
	char text[4096];

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\n';
	rig_open(&rig.a, false);
	rig_topic();
	rig.options.segment_size = 16 << 10;
	rig_join();
	rig_connect(&rig.a, &rig.b);
	for (uint64_t n = 1; n <= 20; n++) {
		uint64_t pos;
		cr_assert_eq(rig_append(&rig.a, text, sizeof text, &pos), 0);
		rig_settle();
		cr_assert_eq(shown(&rig.b), n * sizeof text);
	}
}

/* ---- time ---- */

Test(sender, before_its_answer_it_waits_for_the_log_and_not_for_the_clock)
{
	struct frame_hello *h = calloc(1, sizeof *h);

	rig_open(&rig.a, false);
	cr_assert_eq(sender_new(&rig.sender, rig.a.store, "a", "b", h, 0, 0), 0);
	free(h);
	cr_assert_eq(sender_due(rig.sender), INT64_MAX);
}

Test(sender, both_sides_say_something_every_second)
{
	struct receiver_status standby;
	struct sender_status status;
	unsigned before;

	make_pair(1);
	rig_settle();
	while (rig_step())
		;
	before = rig.frames;
	rig.now += LINK_HEARTBEAT - 1;
	cr_assert(!rig_step());
	rig.now += 1;
	while (rig_step())
		;
	cr_assert_geq(rig.frames, before + 2, "a COMMIT and its ACK");
	sender_status(rig.sender, &status);
	cr_assert(status.linked && status.member && status.current);
	cr_assert_eq(status.acknowledged, status.end);
	cr_assert_eq(status.messages, 0);
	cr_assert_eq(status.behind_since, 0);
	receiver_status(rig.receiver, &standby);
	cr_assert_eq(standby.messages, 0);
	cr_assert_eq(standby.behind_since, 0);
}
