/* SPDX-License-Identifier: Apache-2.0 */
/* Records out of frames that end anywhere in them. */
#include "pieces.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define START 1000u        /* log position of the first record */

static uint8_t secret[RECORD_SECRET], log_bytes[4096], taken[4096];
static size_t log_len, taken_len;
static unsigned calls, fail_each;

static void add_record(uint32_t length)
{
	uint8_t *body = log_bytes + log_len + RECORD_HEADER;
	struct record r = {.type = RECORD_MESSAGES, .length = length, .messages = 1, .pos = START + log_len, .epoch = {1, 1, 7}, .queue = 1};

	memset(body, 'r', length);
	r.body_sum = record_body_sum(secret, &(struct iovec){body, length}, 1);
	record_encode(&r, secret, body - RECORD_HEADER);
	log_len += record_size(length);
}

static void make_log(void)
{
	add_record(1);
	add_record(0);
	add_record(500);
	add_record(77);
}

/* Only whole records come, and now and then the disk is full. */
static int take(void *ctx, const uint8_t *bytes, size_t len, uint64_t base, size_t *took)
{
	struct record r;

	(void)ctx;
	cr_assert_eq(base, START);
	if (fail_each && ++calls % fail_each == 0)
		return -ENOSPC;
	for (size_t at = 0; at < len; at += record_size(r.length)) {
		cr_assert_geq(len - at, RECORD_HEADER);
		cr_assert_eq(record_decode(&r, secret, bytes + at, START + taken_len + at), 0);
		cr_assert_geq(len - at, record_size(r.length));
	}
	memcpy(taken + taken_len, bytes, len);
	taken_len += len;
	*took = len;
	return 0;
}

/* The log in frames of SIZE bytes. */
static void feed(struct pieces *p, size_t size)
{
	struct frame f = {.type = FRAME_RECORDS, .pos = START};
	int err;

	for (size_t at = 0; at < log_len; at += f.length) {
		f.length = (uint32_t)(size < log_len - at ? size : log_len - at);
		f.pos = START + at;
		do
			err = pieces_add(p, &f, log_bytes + at);
		while (pieces_heals(err));
		cr_assert_eq(err, 0);
	}
}

static void feed_all(void)
{
	struct pieces p;

	for (size_t size = 1; size <= log_len; size++) {
		taken_len = 0;
		pieces_begin(&p, secret, take, NULL, START);
		cr_assert_eq(pieces_segment(&p, START), 0);
		feed(&p, size);
		cr_assert_eq(taken_len, log_len, "in frames of %zu", size);
		cr_assert(!memcmp(taken, log_bytes, log_len));
		cr_assert_eq(p.end, START + log_len);
		cr_assert_leq(p.part_room, record_size(500));
		pieces_free(&p);
	}
}

Test(pieces, a_frame_may_end_anywhere_in_a_record, .init = make_log)
{
	feed_all();
}

Test(pieces, a_full_disk_is_tried_again_with_the_same_frame, .init = make_log)
{
	for (fail_each = 2; fail_each < 5; fail_each++)
		feed_all();
}

Test(pieces, what_is_no_record_is_refused_where_it_stands, .init = make_log)
{
	struct frame f = {.type = FRAME_RECORDS, .pos = START, .length = (uint32_t)log_len};
	struct pieces p;

	log_bytes[record_size(1) + 20] ^= 1;
	pieces_begin(&p, secret, take, NULL, START);
	cr_assert_eq(pieces_segment(&p, START), 0);
	cr_assert_eq(pieces_add(&p, &f, log_bytes), -EBADMSG);
	cr_assert_eq(p.end, START + record_size(1));
	pieces_free(&p);
}

Test(pieces, a_segment_begins_between_records, .init = make_log)
{
	struct frame f = {.type = FRAME_RECORDS, .pos = START, .length = 50};
	struct pieces p;

	pieces_begin(&p, secret, take, NULL, START);
	cr_assert_eq(pieces_segment(&p, START + 8), -EPROTO);
	cr_assert_eq(pieces_add(&p, &f, log_bytes), 0);
	cr_assert_eq(pieces_segment(&p, START), -EPROTO);
	cr_assert_eq(pieces_add(&p, &f, log_bytes), -EPROTO, "once more");
	pieces_free(&p);
}
