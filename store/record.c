/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"
#include "bytes.h"
#include <errno.h>
#define XXH_INLINE_ALL   /* the state on the stack, and no call for the short inputs that headers are */
#include <xxhash.h>

/* Short ones inline, long ones with the widest vectors there are. */
static inline uint64_t sum(const uint8_t *secret, const void *from, size_t len)
{
	return len < 1024 ? XXH3_64bits_withSecret(from, len, secret, RECORD_SECRET) : record_sum_long(secret, from, len);
}

uint64_t record_body_sum(const uint8_t *secret, const struct iovec *iov, int n)
{
	XXH3_state_t state;

	if (n == 1)
		return sum(secret, iov->iov_base, iov->iov_len);
	XXH3_64bits_reset_withSecret(&state, secret, RECORD_SECRET);
	for (int i = 0; i < n; i++)
		XXH3_64bits_update(&state, iov[i].iov_base, iov[i].iov_len);
	return XXH3_64bits_digest(&state);
}

void record_encode(struct record *r, const uint8_t *secret, uint8_t to[RECORD_HEADER])
{
	put32(to, RECORD_MAGIC);
	to[4] = r->type;
	to[5] = r->flags;
	put16(to + 6, 0);
	put32(to + 8, r->length);
	put32(to + 12, r->messages);
	put64(to + 16, r->pos);
	put32(to + 24, r->epoch.reign);
	put32(to + 28, r->epoch.start);
	put64(to + 32, r->epoch.node);
	put64(to + 40, r->queue);
	put64(to + 48, r->offset);
	put64(to + 56, (uint64_t)r->time);
	put32(to + 64, r->uid);
	put32(to + 68, r->pid);
	put64(to + 72, r->committed);
	put64(to + 80, r->prev);
	put64(to + 88, r->body_sum);
	r->sum = XXH3_64bits_withSecret(to, RECORD_HEADER - 8, secret, RECORD_SECRET);
	put64(to + 96, r->sum);
}

int record_decode(struct record *r, const uint8_t *secret, const uint8_t from[RECORD_HEADER], uint64_t pos)
{
	if (get32(from) != RECORD_MAGIC || get64(from + 16) != pos)
		return -EBADMSG;
	r->sum = get64(from + 96);
	if (r->sum != XXH3_64bits_withSecret(from, RECORD_HEADER - 8, secret, RECORD_SECRET))
		return -EBADMSG;
	r->type = from[4];
	r->flags = from[5];
	r->length = get32(from + 8);
	r->messages = get32(from + 12);
	r->pos = pos;
	r->epoch.reign = get32(from + 24);
	r->epoch.start = get32(from + 28);
	r->epoch.node = get64(from + 32);
	r->queue = get64(from + 40);
	r->offset = get64(from + 48);
	r->time = (int64_t)get64(from + 56);
	r->uid = get32(from + 64);
	r->pid = get32(from + 68);
	r->committed = get64(from + 72);
	r->prev = get64(from + 80);
	r->body_sum = get64(from + 88);
	return r->length <= RECORD_BODY_MAX ? 0 : -EBADMSG;
}

int record_check_body(const struct record *r, const uint8_t *secret, const void *body)
{
	return sum(secret, body, r->length) == r->body_sum ? 0 : -EBADMSG;
}

/* No branch but the last depends on the bytes, so that the processor is at the next records while it waits for these. */
bool record_matches(const uint8_t *from, const uint8_t *secret, uint64_t pos, uint64_t queue, uint64_t offset, uint32_t length)
{
	uint64_t differs = get32(from) ^ RECORD_MAGIC;

	differs |= from[4] ^ (uint64_t)RECORD_MESSAGES;
	differs |= get32(from + 8) ^ length;
	differs |= get64(from + 16) ^ pos;
	differs |= get64(from + 40) ^ queue;
	differs |= get64(from + 48) ^ offset;
	differs |= get64(from + 88) ^ sum(secret, from + RECORD_HEADER, length);
	differs |= get64(from + 96) ^ XXH3_64bits_withSecret(from, RECORD_HEADER - 8, secret, RECORD_SECRET);
	return !differs;
}
