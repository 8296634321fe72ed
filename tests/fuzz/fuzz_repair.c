/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another node sends in the place of what is damaged here: records that fit the span, and such as do not in each way there is. What is
 * taken fills the span from end to end, follows what stands before it, and is followed by what stands behind it.
 */
#include "bytes.h"
#include "fuzz.h"
#include "record.h"
#include "repair.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPAN 4096u
#define BASE 8192u                       /* log position of the span's beginning */
#define BEFORE 4711u                     /* header checksum of the record before it */

struct span_bytes {
	uint8_t bytes[SPAN];
	size_t len;
	uint64_t chain;                  /* of the last record */
};

/* One record more, which mostly follows. */
static void put(struct span_bytes *s, struct input *in)
{
	uint8_t *at = s->bytes + s->len, wrong = take_byte(in), how = take_byte(in);
	struct record r = {.type = RECORD_MESSAGES, .messages = 1, .pos = BASE + s->len, .epoch = {1, 1, 7}, .queue = 1024u + how % 3,
		.offset = take_byte(in), .time = 1, .prev = s->chain};
	struct iovec iov = {at + RECORD_HEADER, 0};
	const uint8_t *body = take_bytes(in, take_byte(in) % 40, &iov.iov_len);

	memset(at, 0, RECORD_HEADER + 64);
	if (iov.iov_len)
		memcpy(at + RECORD_HEADER, body, iov.iov_len);
	r.length = (uint32_t)iov.iov_len;
	r.prev ^= wrong == 1;
	r.pos += wrong == 2 ? 8 : 0;
	r.body_sum = record_body_sum(fuzz_secret, &iov, 1) ^ (wrong == 3);
	record_encode(&r, fuzz_secret, at);
	if (wrong == 4)
		at[how % record_size(r.length)] ^= 4;
	if (wrong == 5)
		memset(at, how, record_size(r.length));
	s->len += record_size(r.length);
	s->chain = r.sum;
}

/* In words of its own: CHAIN_KNOWN or not, from the first record to the last, whose checksum is D->next. */
static bool fits(const struct damage *d, const uint8_t *bytes, size_t len)
{
	uint64_t last = d->chain;
	struct record r;
	size_t at = 0, end;

	while (at < len) {
		if (len - at < RECORD_HEADER || record_decode(&r, fuzz_secret, bytes + at, d->pos + at))
			return false;
		end = at + record_size(r.length);
		if (end > len || record_check_body(&r, fuzz_secret, bytes + at + RECORD_HEADER))
			return false;
		if ((at > 0 || d->chain_known) && r.prev != last)
			return false;
		for (size_t n = at + RECORD_HEADER + r.length; n < end; n++)
			if (bytes[n])
				return false;
		last = r.sum;
		at = end;
	}
	return last == d->next;
}

/* The bytes stand alone, so that reading behind them shows. */
int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};
	struct span_bytes s = {.chain = BEFORE};
	uint8_t how = take_byte(&in), cut = take_byte(&in);
	struct damage d = {.pos = BASE, .kind = DAMAGE_RECORD, .state = DAMAGE_SPAN, .chain = BEFORE ^ (how % 16 == 1), .chain_known = how & 16};
	uint8_t *alone;

	for (unsigned n = take_byte(&in) % 12 + 1; n > 0 && s.len < SPAN - 256; n--)
		put(&s, &in);
	if (how % 16 == 2)
		s.len -= cut % s.len & ~7u;
	if (how % 16 == 3)
		s.len += 8 * (1 + cut % 4u);
	d.end = BASE + s.len;
	d.next = s.chain ^ (how % 16 == 4);
	alone = malloc(s.len);
	must(alone);
	memcpy(alone, s.bytes, s.len);
	must((repair_check(fuzz_secret, &d, alone) == 0) == fits(&d, alone, s.len));
	must(memcmp(alone, s.bytes, s.len) == 0);
	free(alone);
	return 0;
}
