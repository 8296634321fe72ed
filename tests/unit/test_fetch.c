/* SPDX-License-Identifier: Apache-2.0 */
/* A pair, one or both of whose logs have rotted: what is fetched from the other node, what is not, and what readers see. */
#include "fetch.h"
#include "keeper.h"
#include "pair_rig.h"
#include "parts.h"
#include "repair.h"
#include "scratch.h"
#include "scrub.h"
#include "seal.h"
#include "spans.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(fetch, .init = rig_begin, .fini = rig_end);

#define RECORDS 24
#define LONG (4u << 20)                /* bytes of a record's body */

static struct {
	uint64_t pos, end;             /* in the log */
	size_t len;
	uint64_t offset;               /* in the queue */
} record[RECORDS];
static unsigned records;

static char letter(unsigned n)
{
	return (char)('a' + n % 26);
}

static void put(size_t len)
{
	char *text = malloc(len);

	memset(text, letter(records), len);
	record[records].pos = rig_view(rig.primary).end;
	record[records].len = len;
	record[records].offset = records ? record[records - 1].offset + record[records - 1].len : 0;
	cr_assert_eq(rig_append(rig.primary, text, len, &record[records].end), 0);
	rig_settle_to(record[records++].end);
	free(text);
}

/* A is the primary, B its standby, and both have the same few records. */
static void make_pair(void)
{
	records = 0;
	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	rig_connect(&rig.a, &rig.b);
	rig_pair(1);
	for (int n = 0; n < 6; n++)
		put(300);
	rig_settle();
}

static void make_topic(const char *name)
{
	struct command *c = command_new_waited();

	cr_assert_eq(store_mkdir(rig.primary->store, c, name, &(struct owner){1, 2, 0777}), 0);
	rig_settle();
	cr_assert_eq(command_wait(c, 0), 0);
}

/* ---- rot ---- */

/* XORs LEN bytes from log position POS on with MASK, on N's disk. */
static void rot(struct rig_node *n, uint64_t pos, size_t len, uint8_t mask)
{
	struct segment *s = segments_find(n->store->segments, pos);
	uint8_t *bytes = malloc(len);
	char name[32], path[200];
	off_t at;
	int fd;

	cr_assert(s);
	segment_name(name, s->head.base);
	snprintf(path, sizeof path, "%s/%s", n->path, name);
	at = (off_t)(SEGMENT_HEADER + pos - s->head.base);
	fd = open(path, O_RDWR);
	cr_assert_eq(pread(fd, bytes, len, at), (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		bytes[i] ^= mask;
	cr_assert_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
	close(fd);
	segment_put(s);
	free(bytes);
}

static void rot_body(struct rig_node *n, unsigned which, size_t at)
{
	rot(n, record[which].pos + RECORD_HEADER + at, 1, 0x40);
}

static void rot_header(struct rig_node *n, unsigned which)
{
	rot(n, record[which].pos + 9, 1, 0x40);
}

static void scrub(struct rig_node *n)
{
	struct scrub *c;

	cr_assert_eq(scrub_new(&c, n->store), 0);
	while (scrub_step(c, 1 << 20) > 0)
		;
	scrub_free(c);
}

static struct store_status status(const struct rig_node *n)
{
	struct store_status s;

	store_status(n->store, &s);
	return s;
}

static bool all_sound(uint64_t pos)
{
	(void)pos;
	return !damage_open(rig.a.store) && !damage_open(rig.b.store);
}

static void wait_absent(void)
{
	do
		rig_frame(FRAME_FETCHED);
	while (!(rig.frame.flags & FRAME_ABSENT));
}

/* ---- what readers see ---- */

static ssize_t read_record(struct rig_node *n, struct reader *r, unsigned which)
{
	struct slice s;
	ssize_t got;

	(void)n;
	slice_init(&s);
	got = reader_read(r, record[which].offset, record[which].len, &s);
	for (int i = 0; i < s.parts; i++)
		for (size_t at = 0; at < s.part[i].iov_len; at++)
			cr_assert_eq(((char *)s.part[i].iov_base)[at], letter(which));
	slice_free(&s);
	return got;
}

static struct reader *reader_of(struct rig_node *n)
{
	struct topic *t = topic_find(n->store, "orders");
	struct reader *r;

	cr_assert(t);
	cr_assert_eq(reader_new(&r, n->store, topic_queue(t, 0)), 0);
	topic_put(t);
	return r;
}

static void check_all_read(struct rig_node *n)
{
	struct reader *r = reader_of(n);

	for (unsigned i = 0; i < records; i++)
		cr_assert_eq(read_record(n, r, i), (ssize_t)record[i].len, "record %u of %s", i, n->name);
	reader_free(r);
}

/* N is repaired, and both logs are the same again. */
static void check_repaired(struct rig_node *n, uint64_t count)
{
	cr_assert(!rig.sender_err && !rig.receiver_err, "%d, %d", rig.sender_err, rig.receiver_err);
	cr_assert_eq(status(n).damaged_open, 0);
	cr_assert_eq(status(n).repaired, count);
	rig_same_logs();
	check_all_read(&rig.a);
	check_all_read(&rig.b);
}

static void wait_repaired(struct rig_node *n, uint64_t count)
{
	rig_until(all_sound, 0);
	check_repaired(n, count);
}

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

static void put_elsewhere(const char *name)
{
	struct topic *t = topic_find(rig.primary->store, name);
	struct iovec iov = {"elsewhere\n", 10};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place to;

	cr_assert_eq(store_append(topic_queue(t, 0), &b, &to), 0);
	topic_put(t);
	rig_settle_to(to.end);
}

/* What B's keeper would do. */
static bool sound_when_kept(uint64_t pos)
{
	cr_assert_eq(spans_find(rig.b.store), 0);
	repair_write(rig.b.store);
	return all_sound(pos);
}

Test(fetch, an_index_that_was_made_of_damaged_records_is_made_again)
{
	struct segment *s;
	struct reader *r;
	uint64_t from = 0;

	make_pair();
	make_topic("later");
	for (int n = 0; n < 4; n++) {
		put_elsewhere("later");
		put(300);
	}
	for (int n = 0; n < 4; n++)
		put(400000);
	rig_settle();
	keeper_stop(rig.b.store->keeper);
	cr_assert_eq(seal_committed(rig.b.store), 0);
	rot_header(&rig.b, 8);
	s = segments_find(rig.b.store->segments, record[8].pos);
	segment_index_bad(s);
	segment_put(s);
	while (seal_rebuild(rig.b.store, &from) == 0)
		;
	r = reader_of(&rig.b);
	cr_assert_eq(read_record(&rig.b, r, 7), 300);
	cr_assert_eq(read_record(&rig.b, r, 8), -EIO);
	scrub(&rig.b);
	rig_until(sound_when_kept, 0);
	check_repaired(&rig.b, 1);
	cr_assert_eq(read_record(&rig.b, r, 8), 300);
	reader_free(r);
}

/* ---- what is not applied yet ---- */

static bool has_topic(struct rig_node *n, const char *name)
{
	struct topic *t = topic_find(n->store, name);

	topic_put(t);
	return t;
}

/* N goes on as it was on its disk at some moment, without the checkpoint that a stop makes. */
static void crash(struct rig_node *n)
{
	char was[160];

	snprintf(was, sizeof was, "%s-crashed", n->path);
	scratch_copy(n->path, was);
	rig_cut();
	rig_close(n);
	snprintf(n->path, sizeof n->path, "%.120s", was);
}

/* Log position of the record that makes the topic "later", which has rotted on N at its next start. Much stands behind it. */
static uint64_t rotten_command(struct rig_node *n, bool standby)
{
	uint64_t pos;

	make_pair();
	pos = rig_view(&rig.a).end;
	make_topic("later");
	for (int i = 0; i < 4; i++)
		put(400000);
	rig_settle();
	keeper_stop(n->store->keeper);
	cr_assert_eq(seal_committed(n->store), 0);
	rot(n, pos + RECORD_HEADER + 4, 1, 0x40);
	crash(n);
	rig_open(n, standby);
	return pos;
}

Test(fetch, a_standby_applies_nothing_behind_a_command_that_has_rotted_until_it_is_repaired)
{
	uint64_t pos = rotten_command(&rig.b, true);

	cr_assert_eq(rig_view(&rig.b).committed, pos);
	cr_assert_eq(rig_view(&rig.b).end, record[records - 1].end, "it keeps what is behind");
	cr_assert(!has_topic(&rig.b, "later"));
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(has_topic(&rig.b, "later"));
	wait_repaired(&rig.b, 1);
}

Test(fetch, a_standby_receives_again_what_it_may_not_have_synced)
{
	make_pair();
	rot_header(&rig.b, 3);
	crash(&rig.b);
	rig.guarded = false;           /* what had been acknowledged is gone by the rot */
	rig_open(&rig.b, true);
	cr_assert_eq(rig_view(&rig.b).end, record[3].pos);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	wait_repaired(&rig.b, 0);
}

Test(fetch, so_does_a_primary_that_needs_the_other_node)
{
	uint64_t pos = rotten_command(&rig.a, false);

	cr_assert_eq(rig_view(&rig.a).committed, pos);
	cr_assert(!has_topic(&rig.a, "later"));
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(has_topic(&rig.a, "later"));
	wait_repaired(&rig.a, 1);
	put(300);
}

Test(fetch, it_passes_over_what_the_other_node_has_not_either)
{
	uint64_t pos = rotten_command(&rig.a, false);

	rot(&rig.b, pos + RECORD_HEADER + 4, 1, 0x20);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(!has_topic(&rig.a, "later"));
	cr_assert_eq(status(&rig.a).damaged_open, 1);
	put(300);
	check_all_read(&rig.a);
}

Test(fetch, what_rots_before_it_is_applied_is_repaired_first)
{
	make_pair();
	record[records].pos = rig_view(&rig.a).end;
	record[records].len = 4;
	record[records].offset = record[records - 1].offset + 300;
	cr_assert_eq(rig_append(&rig.a, (char[]){letter(records), letter(records), letter(records), letter(records)}, 4, &record[records].end), 0);
	rig_frame(FRAME_RECORDS);
	rot_body(&rig.b, records++, 1);
	rig_settle();
	wait_repaired(&rig.b, 1);
}

/* ---- what is not ---- */

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

static void wait_found(struct rig_node *n)
{
	keeper_stop(n->store->keeper);
	cr_assert_eq(spans_find(n->store), 0);
}

/* The record's bytes as N has them, malloc'ed. */
static uint8_t *bytes_of(struct rig_node *n, unsigned which)
{
	uint8_t *to = malloc(record[which].end - record[which].pos);
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;

	cr_assert_eq(store_raw(n->store, record[which].pos, &raw), 0);
	cr_assert_gt(raw_read(raw, record[which].end, &bytes, &base), 0);
	memcpy(to, bytes, record[which].end - record[which].pos);
	raw_close(raw);
	return to;
}

/* R, changed, as whoever knows the secret would write it. */
static void forge(struct rig_node *n, struct record *r, uint8_t *bytes)
{
	struct iovec body = {bytes + RECORD_HEADER, r->length};

	r->body_sum = record_body_sum(store_identity(n->store)->secret, &body, 1);
	record_encode(r, store_identity(n->store)->secret, bytes);
}

Test(fetch, an_answer_that_does_not_fit_is_refused)
{
	uint8_t *bytes;
	struct damage d;
	struct record r;
	struct span span;

	make_pair();
	rig_cut();
	bytes = bytes_of(&rig.a, 2);
	rot_header(&rig.b, 2);
	scrub(&rig.b);
	wait_found(&rig.b);
	cr_assert(store_damaged_span(rig.b.store, 0, &span));
	cr_assert(span.from == record[2].pos && span.to == record[2].end);

	cr_assert_eq(record_decode(&r, store_identity(rig.a.store)->secret, bytes, record[2].pos), 0);
	bytes[RECORD_HEADER] ^= 1;
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "another body");
	forge(&rig.a, &r, bytes);
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "a valid record, that the next one does not follow");
	bytes[RECORD_HEADER] ^= 1;
	r.prev ^= 1;
	forge(&rig.a, &r, bytes);
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "a valid record, that does not follow the one before");
	r.prev ^= 1;
	forge(&rig.a, &r, bytes);
	bytes[RECORD_HEADER + 301] ^= 1;
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "not zeros behind the body");
	bytes[RECORD_HEADER + 301] ^= 1;
	cr_assert_eq(store_repair(rig.b.store, &(struct span){span.from, span.to - 8}, bytes), -ENOENT);
	cr_assert(damage_at(rig.b.store, span.from, &d));
	d.chain ^= 1;
	damage_found(rig.b.store, &d, "a record");
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "as if another record were before it");
	d.chain ^= 1;
	damage_found(rig.b.store, &d, "a record");
	cr_assert_eq(repair_write(rig.b.store), -ENOENT, "nothing was taken so far");
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), 0, "the record itself");
	cr_assert_eq(repair_write(rig.b.store), 0);
	rig_same_logs();
}

Test(fetch, what_is_given_again_while_it_is_written_is_not_written_again)
{
	struct span span;

	make_pair();
	rig_cut();
	rot_header(&rig.b, 2);
	scrub(&rig.b);
	wait_found(&rig.b);
	cr_assert(store_damaged_span(rig.b.store, 0, &span));
	cr_assert_eq(store_repair(rig.b.store, &span, bytes_of(&rig.a, 2)), 0);
	damage_mended(rig.b.store, span.from, span.to);        /* the first time came to its end */
	cr_assert_eq(repair_write(rig.b.store), 0);
	cr_assert_eq(status(&rig.b).repaired, 0);
}

Test(fetch, damage_behind_the_commit_point_is_left_alone)
{
	struct span span;

	make_pair();
	rig_settle();
	record[records].pos = rig_view(&rig.a).end;
	cr_assert_eq(rig_append(&rig.a, "not committed\n", 14, &record[records].end), 0);
	store_wait_written(rig.a.store, record[records].end);
	rot_body(&rig.a, records, 3);
	store_damaged(rig.a.store, DAMAGE_RECORD, record[records].pos, "a record");
	wait_found(&rig.a);
	cr_assert(!store_damaged_span(rig.a.store, 0, &span));
	cr_assert_eq(status(&rig.a).damaged_open, 1);
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
