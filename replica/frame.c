/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"
#include "bytes.h"
#include <errno.h>
#define XXH_STATIC_LINKING_ONLY   /* the state on the stack */
#include <xxhash.h>

static const struct kind {
	const char *name;
	uint8_t flags;             /* that it may have */
	uint32_t least, most;      /* bytes of its body */
} kinds[] = {
	[FRAME_HELLO] = {"HELLO", FRAME_BLANK | FRAME_MIRROR, 1, FRAME_TALK},
	[FRAME_HELLO_ACK] = {"HELLO_ACK", FRAME_SETTLED | FRAME_COPY, 1, FRAME_TALK},
	[FRAME_SEGMENT] = {"SEGMENT", 0, 32, 32},
	[FRAME_RECORDS] = {"RECORDS", 0, 1, FRAME_BODY},
	[FRAME_COMMIT] = {"COMMIT", FRAME_MEMBER, 16, 16},
	[FRAME_ACK] = {"ACK", FRAME_CURRENT | FRAME_FULL, 24, 24},
	[FRAME_CHECKPOINT] = {"CHECKPOINT", 0, FRAME_CHECKPOINT_HEAD, FRAME_BODY},
	[FRAME_FETCH] = {"FETCH", 0, 4, 4},
	[FRAME_FETCHED] = {"FETCHED", FRAME_ABSENT, 0, FRAME_BODY},
	[FRAME_PROMISE] = {"PROMISE", 0, 1, FRAME_TALK},
	[FRAME_PROMISED] = {"PROMISED", FRAME_GRANTED | FRAME_CURRENT, 1, FRAME_TALK},
	[FRAME_SWITCHOVER] = {"SWITCHOVER", 0, 1, FRAME_TALK},
	[FRAME_ERROR] = {"ERROR", 0, 1, FRAME_TALK},
};

static const struct kind *find_kind(uint8_t type)
{
	return type < sizeof kinds / sizeof *kinds && kinds[type].name ? &kinds[type] : NULL;
}

static bool allowed(const struct frame *f)
{
	const struct kind *k = find_kind(f->type);

	return k && !(f->flags & ~k->flags) && f->length >= k->least && f->length <= k->most;
}

const char *frame_type_name(uint8_t type)
{
	const struct kind *k = find_kind(type);

	return k ? k->name : "?";
}

static uint64_t body_sum(const struct iovec *iov, int n)
{
	XXH3_state_t state;

	XXH3_64bits_reset(&state);
	for (int i = 0; i < n; i++)
		XXH3_64bits_update(&state, iov[i].iov_base, iov[i].iov_len);
	return XXH3_64bits_digest(&state);
}

int frame_encode(struct frame *f, const struct iovec *iov, int n, uint8_t to[FRAME_HEADER])
{
	size_t length = 0;

	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > FRAME_BODY - length)
			return -EMSGSIZE;
		length += iov[i].iov_len;
	}
	f->length = (uint32_t)length;
	if (!allowed(f))
		return -EINVAL;
	f->body_sum = body_sum(iov, n);
	memset(to, 0, FRAME_HEADER);
	put32(to, FRAME_MAGIC);
	to[4] = f->type;
	to[5] = f->flags;
	put32(to + 8, f->length);
	put32(to + 16, f->epoch.reign);
	put32(to + 20, f->epoch.start);
	put64(to + 24, f->epoch.node);
	put64(to + 32, f->pos);
	put64(to + 40, f->committed);
	put64(to + 48, f->body_sum);
	put64(to + 56, XXH3_64bits(to, FRAME_HEADER - 8));
	return 0;
}

int frame_decode(struct frame *f, const uint8_t from[FRAME_HEADER])
{
	if (get32(from) != FRAME_MAGIC || get64(from + 56) != XXH3_64bits(from, FRAME_HEADER - 8))
		return -EBADMSG;
	f->type = from[4];
	f->flags = from[5];
	f->length = get32(from + 8);
	f->epoch.reign = get32(from + 16);
	f->epoch.start = get32(from + 20);
	f->epoch.node = get64(from + 24);
	f->pos = get64(from + 32);
	f->committed = get64(from + 40);
	f->body_sum = get64(from + 48);
	if (get16(from + 6) || get32(from + 12) || !allowed(f))
		return -EBADMSG;
	return 0;
}

int frame_check_body(const struct frame *f, const void *body)
{
	return XXH3_64bits(body, f->length) == f->body_sum ? 0 : -EBADMSG;
}
