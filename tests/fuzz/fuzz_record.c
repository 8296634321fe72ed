/* SPDX-License-Identifier: Apache-2.0 */
/* A record's header and body: what is encoded is decoded again, holds at its position only, and no changed bit passes. */
#include "bytes.h"
#include "fuzz.h"
#include "record.h"
#include <errno.h>
#include <string.h>

#define BODY 4096u

static struct record take_record(struct input *in)
{
	return (struct record){.type = take_byte(in), .flags = take_byte(in), .messages = (uint32_t)take_number(in, 4), .pos = take_number(in, 8),
		.epoch = {(uint32_t)take_number(in, 4), (uint32_t)take_number(in, 4), take_number(in, 8)}, .queue = take_number(in, 8),
		.offset = take_number(in, 8), .time = (int64_t)take_number(in, 8), .uid = (uint32_t)take_number(in, 4),
		.pid = (uint32_t)take_number(in, 4), .committed = take_number(in, 8), .prev = take_number(in, 8)};
}

static bool same(const struct record *a, const struct record *b)
{
	return a->type == b->type && a->flags == b->flags && a->length == b->length && a->messages == b->messages && a->pos == b->pos &&
		a->epoch.reign == b->epoch.reign && a->epoch.start == b->epoch.start && a->epoch.node == b->epoch.node && a->queue == b->queue &&
		a->offset == b->offset && a->time == b->time && a->uid == b->uid && a->pid == b->pid && a->committed == b->committed &&
		a->prev == b->prev && a->body_sum == b->body_sum && a->sum == b->sum;
}

static void holds_here_only(const uint8_t *header, uint64_t pos, uint64_t elsewhere, unsigned bit)
{
	uint8_t changed[RECORD_HEADER];
	struct record r;

	memcpy(changed, header, RECORD_HEADER);
	changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
	must(record_decode(&r, fuzz_secret, changed, pos) == -EBADMSG);
	if (elsewhere == pos)
		return;
	must(record_decode(&r, fuzz_secret, header, elsewhere) == -EBADMSG);
	/* carried to another position, and made to say so */
	memcpy(changed, header, RECORD_HEADER);
	put64(changed + 16, elsewhere);
	must(record_decode(&r, fuzz_secret, changed, elsewhere) == -EBADMSG);
}

/* WHOLE is a record with its body. */
static void covers_body(uint8_t *whole, const struct record *r, unsigned bit)
{
	uint8_t *body = whole + RECORD_HEADER;
	bool messages = r->type == RECORD_MESSAGES;

	must(record_check_body(r, fuzz_secret, body) == 0);
	must(record_matches(whole, fuzz_secret, r->pos, r->queue, r->offset, r->length) == messages);
	must(!record_matches(whole, fuzz_secret, r->pos, r->queue, r->offset + 1, r->length));
	must(!record_matches(whole, fuzz_secret, r->pos + 8, r->queue, r->offset, r->length));
	if (r->length == 0)
		return;
	body[bit / 8 % r->length] ^= (uint8_t)(1u << bit % 8);
	must(record_check_body(r, fuzz_secret, body) == -EBADMSG);
	must(!record_matches(whole, fuzz_secret, r->pos, r->queue, r->offset, r->length));
}

static void encoded(struct input in)
{
	uint8_t whole[RECORD_HEADER + BODY];
	uint64_t elsewhere = take_number(&in, 8);
	unsigned bit = (unsigned)take_number(&in, 2);
	struct record r = take_record(&in), again;
	size_t len, cut = take_byte(&in);
	const uint8_t *from = take_bytes(&in, BODY, &len);
	struct iovec parts[2];

	memcpy(whole + RECORD_HEADER, from, len);
	cut = cut < len ? cut : len;
	parts[0] = (struct iovec){whole + RECORD_HEADER, cut};
	parts[1] = (struct iovec){whole + RECORD_HEADER + cut, len - cut};
	r.length = (uint32_t)len;
	r.body_sum = record_body_sum(fuzz_secret, parts, 2);
	record_encode(&r, fuzz_secret, whole);
	must(record_decode(&again, fuzz_secret, whole, r.pos) == 0);
	must(same(&r, &again));
	holds_here_only(whole, r.pos, elsewhere, bit % (RECORD_HEADER * 8));
	covers_body(whole, &r, bit);
}

/* A length that is too much is refused whatever the checksum says. */
static void too_long(struct input in)
{
	uint32_t length = (uint32_t)take_number(&in, 4);
	struct record r = take_record(&in), again;
	uint8_t header[RECORD_HEADER];

	r.length = length;
	record_encode(&r, fuzz_secret, header);
	must(record_decode(&again, fuzz_secret, header, r.pos) == (length <= RECORD_BODY_MAX ? 0 : -EBADMSG));
}

static void foreign(struct input in)
{
	uint8_t again[RECORD_HEADER];
	uint64_t pos = take_number(&in, 8);
	struct record r;

	if (in.len < RECORD_HEADER || record_decode(&r, fuzz_secret, in.at, pos))
		return;
	record_encode(&r, fuzz_secret, again);
	must(get16(in.at + 6) || memcmp(again, in.at, RECORD_HEADER) == 0);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	static void (*const kind[])(struct input in) = {encoded, too_long, foreign};
	struct input in = {bytes, len};

	kind[take_byte(&in) % 3](in);
	return 0;
}
