/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static uint8_t secret[RECORD_SECRET], other[RECORD_SECRET];

static void keys(void)
{
	for (unsigned i = 0; i < RECORD_SECRET; i++)
		secret[i] = (uint8_t)(i * 37 + 11), other[i] = (uint8_t)(i * 91 + 3);
}

TestSuite(record, .init = keys);

static struct record sample(const char *body)
{
	struct iovec iov = {(void *)body, strlen(body)};
	struct record r = {.type = RECORD_MESSAGES, .flags = RECORD_PARTIAL, .length = (uint32_t)strlen(body), .messages = 2,
		.pos = 4096, .epoch = {3, 7, 0x1122334455667788}, .queue = 1025, .offset = 99, .time = -5, .uid = 1000, .pid = 42,
		.committed = 4000, .prev = 0xabcdef};

	r.body_sum = record_body_sum(secret, &iov, 1);
	return r;
}

Test(record, every_field_comes_back)
{
	struct record r = sample("a\nb\n"), got;
	uint8_t bytes[RECORD_HEADER];

	record_encode(&r, secret, bytes);
	memset(&got, 0, sizeof got);
	cr_assert_eq(record_decode(&got, secret, bytes, 4096), 0);
	cr_assert_eq(got.type, r.type);
	cr_assert_eq(got.flags, r.flags);
	cr_assert_eq(got.length, 4);
	cr_assert_eq(got.messages, 2);
	cr_assert_eq(got.epoch.reign, 3);
	cr_assert_eq(got.epoch.start, 7);
	cr_assert_eq(got.epoch.node, 0x1122334455667788);
	cr_assert_eq(got.queue, 1025);
	cr_assert_eq(got.offset, 99);
	cr_assert_eq(got.time, -5);
	cr_assert_eq(got.uid, 1000);
	cr_assert_eq(got.pid, 42);
	cr_assert_eq(got.committed, 4000);
	cr_assert_eq(got.prev, 0xabcdef);
	cr_assert_eq(got.sum, r.sum);
	cr_assert_eq(record_check_body(&got, secret, "a\nb\n"), 0);
	cr_assert_eq(record_check_body(&got, secret, "a\nc\n"), -EBADMSG);
}

Test(record, any_flipped_bit_of_the_header_is_found)
{
	struct record r = sample("x\n"), got;
	uint8_t bytes[RECORD_HEADER];

	record_encode(&r, secret, bytes);
	for (unsigned bit = 0; bit < RECORD_HEADER * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_assert_eq(record_decode(&got, secret, bytes, 4096), -EBADMSG, "bit %u", bit);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	cr_assert_eq(record_decode(&got, secret, bytes, 4096), 0);
}

Test(record, a_record_of_another_position_or_cluster_is_none)
{
	struct record r = sample("x\n"), got;
	uint8_t bytes[RECORD_HEADER];

	record_encode(&r, secret, bytes);
	cr_assert_eq(record_decode(&got, secret, bytes, 4104), -EBADMSG);
	cr_assert_eq(record_decode(&got, other, bytes, 4096), -EBADMSG);
}

Test(record, a_longer_body_than_any_record_has_is_refused)
{
	struct record r = sample("x\n"), got;
	uint8_t bytes[RECORD_HEADER];

	r.length = RECORD_BODY_MAX + 1;
	record_encode(&r, secret, bytes);
	cr_assert_eq(record_decode(&got, secret, bytes, 4096), -EBADMSG);
}

Test(record, the_body_sum_does_not_depend_on_how_the_body_is_cut)
{
	struct iovec whole = {(void *)"hello\nworld\n", 12};
	struct iovec cut[3] = {{(void *)"hel", 3}, {(void *)"", 0}, {(void *)"lo\nworld\n", 9}};

	cr_assert_eq(record_body_sum(secret, &whole, 1), record_body_sum(secret, cut, 3));
}

Test(record, sizes_are_multiples_of_eight)
{
	cr_assert_eq(record_size(0), RECORD_HEADER);
	cr_assert_eq(record_size(1), RECORD_HEADER + 8);
	cr_assert_eq(record_size(8), RECORD_HEADER + 8);
}
