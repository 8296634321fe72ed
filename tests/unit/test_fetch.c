/* SPDX-License-Identifier: Apache-2.0 */
/* A pair, one or both of whose logs have rotted: what is fetched from the other node, what is not, and what readers see. */
#include "fetch.h"
#include "fetch_rig.h"
#include "keeper.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

TestSuite(fetch, .init = rig_begin, .fini = rig_end);

#define LONG (4u << 20)                /* bytes of a record's body */

/* ---- what is repaired ---- */

static void repair_body(struct rig_node *n)
{
	struct reader *r;

	make_pair();
	r = reader_of(n);
	rot_body(n, 2, 100);
	cr_assert_eq(read_record(n, r, 2), -EIO);
	wait_repaired(n, 1);
	cr_assert_eq(read_record(n, r, 2), 300);
	cr_assert_eq(status(n).repaired_bytes, record[2].end - record[2].pos);
	cr_assert_eq(status(n).damaged, 1, "what was found stays counted");
	reader_free(r);
}

Test(fetch, a_body_is_repaired_on_the_primary)
{
	repair_body(&rig.a);
}

Test(fetch, a_body_is_repaired_on_the_standby)
{
	repair_body(&rig.b);
}

static void repair_header(struct rig_node *n)
{
	make_pair();
	rot_header(n, 3);
	scrub(n);
	wait_repaired(n, 1);
}

Test(fetch, a_header_is_repaired_on_the_primary)
{
	repair_header(&rig.a);
}

Test(fetch, a_header_is_repaired_on_the_standby)
{
	repair_header(&rig.b);
}

Test(fetch, records_beside_each_other_are_repaired)
{
	make_pair();
	rot(&rig.b, record[1].pos + 50, record[4].end - record[1].pos - 60, 0xff);
	scrub(&rig.b);
	wait_repaired(&rig.b, 4);
}

Test(fetch, the_last_record_is_repaired)
{
	make_pair();
	rot_header(&rig.b, 5);
	scrub(&rig.b);
	wait_repaired(&rig.b, 1);
	put(300);
	rig_settle();
	rig_same_logs();
}

/* A has what B, which is promoted, has not; its records around the place where it is cut have rotten, from FROM to TO. */
static void cut_among_rot(uint64_t from, uint64_t to)
{
	uint64_t pos;

	cr_assert_eq(rig_append(&rig.a, "only here\n", 10, &pos), 0);
	rig_cut();
	rot(&rig.a, from, to - from, 0x40);
	rig_promote(&rig.b, 0);
	cr_assert_eq(store_step_down(rig.a.store), 0);
	rig_connect(&rig.b, &rig.a);
	rig_settle();
	cr_assert(!rig.sender_err && !rig.receiver_err, "%d, %d", rig.sender_err, rig.receiver_err);
	scrub(&rig.a);
	wait_repaired(&rig.a, 1);
	put(300);
	rig_settle();
	rig_same_logs();
}

Test(fetch, a_log_is_cut_behind_a_record_that_has_rotten_and_gets_it_again)
{
	make_pair();
	cut_among_rot(record[5].pos + 9, record[5].pos + 10);
}

Test(fetch, nor_need_what_is_cut_say_what_was_before_it)
{
	make_pair();
	cut_among_rot(record[5].pos + 9, record[5].end + 20);
}

Test(fetch, a_record_longer_than_a_frame_is_repaired)
{
	make_pair();
	put(LONG);
	put(300);
	rig_settle();
	rot_body(&rig.a, 6, FRAME_BODY - RECORD_HEADER);
	rot_body(&rig.a, 6, LONG - 1);
	scrub(&rig.a);
	wait_repaired(&rig.a, 1);
	rot_header(&rig.b, 6);
	rot_body(&rig.b, 7, 5);
	scrub(&rig.b);
	wait_repaired(&rig.b, 2);
}

Test(fetch, damage_across_pieces_of_a_frame_is_repaired)
{
	rig.options.segment_size = 4 << 20;
	make_pair();
	for (int n = 0; n < 4; n++)
		put(400000);
	rig_settle();
	rot(&rig.b, record[6].pos, record[9].end - record[6].pos, 0x11);
	scrub(&rig.b);
	wait_repaired(&rig.b, 4);
}

Test(fetch, both_nodes_repair_each_other)
{
	make_pair();
	rot_header(&rig.a, 1);
	rot_body(&rig.a, 4, 0);
	rot_header(&rig.b, 2);
	rot_body(&rig.b, 5, 0);
	scrub(&rig.a);
	scrub(&rig.b);
	wait_repaired(&rig.a, 2);
	cr_assert_eq(status(&rig.b).repaired, 2);
}

Test(fetch, the_log_goes_on_meanwhile)
{
	make_pair();
	rot_header(&rig.b, 1);
	rot_header(&rig.a, 2);
	scrub(&rig.b);
	scrub(&rig.a);
	for (int n = 0; n < 10; n++)
		put(300);
	wait_repaired(&rig.a, 1);
}

Test(fetch, a_sealed_segment_is_repaired)
{
	make_pair();
	for (int n = 0; n < 6; n++)
		put(400000);
	rig_settle();
	rot_header(&rig.b, 7);
	scrub(&rig.b);
	wait_repaired(&rig.b, 1);
}

Test(fetch, a_file_that_was_cut_short_gets_its_end_again)
{
	struct segment *s;
	struct reader *r;
	char name[32], path[200];

	make_pair();
	for (int n = 0; n < 6; n++)
		put(400000);
	rig_settle();
	s = segments_find(rig.b.store->segments, record[6].pos);
	segment_name(name, s->head.base);
	snprintf(path, sizeof path, "%s/%s", rig.b.path, name);
	cr_assert_eq(truncate(path, (off_t)(SEGMENT_HEADER + record[7].pos - s->head.base + 10)), 0);
	segment_put(s);
	segments_trim(rig.b.store->segments, 0);       /* so that it is mapped as it is now */
	r = reader_of(&rig.b);
	cr_assert_eq(read_record(&rig.b, r, 7), -EIO);
	wait_repaired(&rig.b, 1);
	cr_assert_eq(read_record(&rig.b, r, 7), 400000);
	reader_free(r);
}

/* ---- what is not ---- */

static void wait_absent(void)
{
	do
		rig_frame(FRAME_FETCHED);
	while (!(rig.frame.flags & FRAME_ABSENT));
}

Test(fetch, what_the_other_node_has_not_either_stays_until_it_has)
{
	make_pair();
	rot_body(&rig.a, 2, 7);
	rot_body(&rig.b, 2, 9);
	scrub(&rig.b);
	wait_absent();
	cr_assert_eq(status(&rig.b).damaged_open, 1);
	cr_assert_eq(status(&rig.b).repaired, 0);
	while (rig_step())
		cr_assert_neq(rig.frame.type, FRAME_FETCHED, "it does not ask again");
	rot_body(&rig.a, 2, 7);                /* somebody has put it back */
	while (rig_step())
		cr_assert_neq(rig.frame.type, FRAME_FETCHED);
	rig.now += FETCH_AGAIN;
	wait_repaired(&rig.b, 1);
}

static bool is_absent(const struct rig_node *n, uint64_t pos)
{
	struct damage d;

	return damage_at(n->store, pos, &d) && d.absent;
}

static void damage_both(void)
{
	rot_body(&rig.b, 2, 9);
	rot_body(&rig.a, 2, 7);
	scrub(&rig.a);
	wait_absent();
	for (int n = 0; n < 100; n++)
		rig_step();
}

Test(fetch, what_the_pairs_other_node_has_not_either_is_absent)
{
	make_pair();
	damage_both();
	cr_assert(is_absent(&rig.a, record[2].pos));
}

Test(fetch, what_a_mirror_has_not_either_the_pairs_other_node_may_have)
{
	struct pair others = {.nodes = 2, .node = {0, 4711}, .name = {"a", "c"}};
	uint64_t end;

	make_pair();
	others.node[0] = status(&rig.a).node;
	cr_assert_eq(store_set_pair(rig.a.store, &others, &end), 0);
	damage_both();
	cr_assert_not(is_absent(&rig.a, record[2].pos));
}

static int no_descriptor(struct disk *d, const char *path, int flags, mode_t mode)
{
	(void)d, (void)path, (void)flags, (void)mode;
	return -EMFILE;
}

Test(fetch, what_the_other_node_cannot_open_for_now_it_does_not_call_absent)
{
	const struct disk_ops *sound;
	struct disk_ops ops;

	make_pair();
	rot_header(&rig.b, 3);
	scrub(&rig.b);
	rig_frame(FRAME_FETCH);
	keeper_stop(rig.a.store->keeper);
	sound = rig.a.store->disk->ops;
	ops = *sound;
	ops.open = no_descriptor;
	rig.a.store->disk->ops = &ops;
	while (rig_step())
		cr_assert_neq(rig.frame.type, FRAME_FETCHED);
	rig.a.store->disk->ops = sound;
	wait_repaired(&rig.b, 1);
}

/* ---- what has no place on a link ---- */

static int tell(bool primary, uint8_t type, uint64_t pos, uint32_t length)
{
	struct frame f = {.type = type, .epoch = rig_view(&rig.a).epoch, .pos = pos};

	if (type == FRAME_FETCH)
		f.length = (uint32_t)frame_put_fetch(&(struct frame_fetch){.length = length}, rig.body, FRAME_BODY);
	else if (length)
		f.length = length;
	else
		f.flags = FRAME_ABSENT;
	return primary ? sender_hear(rig.sender, rig.now, &f, rig.body) : receiver_hear(rig.receiver, rig.now, &f, rig.body);
}

Test(fetch, an_answer_to_nothing_ends_the_link)
{
	make_pair();
	cr_assert_eq(tell(false, FRAME_FETCHED, record[1].pos, 8), -EPROTO);
	cr_assert_eq(tell(true, FRAME_FETCHED, record[1].pos, 8), -EPROTO);
}

Test(fetch, nor_is_nothing_an_answer_to_nothing)
{
	make_pair();
	cr_assert_eq(tell(false, FRAME_FETCHED, 0, 0), -EPROTO);
}

Test(fetch, one_question_is_answered_before_the_next)
{
	make_pair();
	cr_assert_eq(tell(true, FRAME_FETCH, record[1].pos, 8), 0);
	cr_assert_eq(tell(true, FRAME_FETCH, record[1].pos, 8), -EPROTO);
}

/* B hears what the primary answers to what it never asked: the frames themselves are looked at. */
static const struct frame *answer_of_primary(uint64_t pos, uint32_t length)
{
	static struct frame f;
	struct iovec iov[SENDER_PARTS];
	int n, err;

	cr_assert_eq(tell(true, FRAME_FETCH, pos, length), 0);
	do
		err = sender_next(rig.sender, rig.now, &f, iov, &n);
	while (err == 1 && f.type != FRAME_FETCHED);
	cr_assert_eq(err, 1);
	f.length = n ? (uint32_t)iov[0].iov_len : 0;
	return &f;
}

Test(fetch, what_is_not_verified_is_not_sent)
{
	const struct frame *f;

	make_pair();
	rot_body(&rig.a, 3, 1);
	f = answer_of_primary(record[2].pos, FRAME_BODY);
	cr_assert(!f->flags && f->length == record[2].end - record[2].pos, "up to the damage");
	f = answer_of_primary(record[3].pos, 8);
	cr_assert(f->flags == FRAME_ABSENT && !f->length);
	f = answer_of_primary(record[4].pos + 8, 8);
	cr_assert(f->flags == FRAME_ABSENT && !f->length, "not a record's beginning");
	f = answer_of_primary(record[4].pos, 8);
	cr_assert(!f->flags && f->length == 8);
	f = answer_of_primary(record[4].pos + 8, 16);
	cr_assert(!f->flags && f->length == 16, "it goes on in the record");
	f = answer_of_primary(rig_view(&rig.a).end, 8);
	cr_assert_eq(f->flags, FRAME_ABSENT);
	f = answer_of_primary(UINT64_MAX - 7, 8);
	cr_assert_eq(f->flags, FRAME_ABSENT);
}

Test(fetch, what_stands_in_front_of_a_page_that_does_not_read_is_sent)
{
	const struct frame *f;

	make_pair();
	for (int n = 0; n < 4; n++)
		put(9000);
	rig_settle();
	keeper_stop(rig.a.store->keeper);
	spoil_page(&rig.a, record[8].pos + 5000);
	f = answer_of_primary(record[2].pos, FRAME_BODY);
	cr_assert(!f->flags && f->length >= record[2].end - record[2].pos);
	f = answer_of_primary(record[7].pos, FRAME_BODY);
	cr_assert(!f->flags && f->length == record[7].end - record[7].pos, "up to the page");
	f = answer_of_primary(record[8].pos, 8);
	cr_assert_eq(f->flags, FRAME_ABSENT);
	f = answer_of_primary(record[9].pos, 8);
	cr_assert(!f->flags && f->length == 8, "and what is behind it");
	page_reads();
}

Test(fetch, the_first_record_of_a_segment_whose_header_does_not_read_is_sent)
{
	const struct frame *f;
	struct segment *s;

	rig.options.segment_size = 64 << 10;
	make_pair();
	for (int n = 0; n < 4; n++)
		put(30000);
	rig_settle();
	s = segments_find(rig.a.store->segments, record[8].pos);
	cr_assert_eq(s->head.base, record[8].pos);
	segment_put(s);
	keeper_stop(rig.a.store->keeper);
	spoil_page(&rig.a, record[8].pos);
	bad_page.at = 0;
	f = answer_of_primary(record[8].pos, 8);
	cr_assert(!f->flags && f->length == 8);
	page_reads();
}
