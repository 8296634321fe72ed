/* SPDX-License-Identifier: Apache-2.0 */
/* What another node may say, byte by byte: whatever is accepted, header or body, is what would be sent, and nothing else passes. */
#include "bytes.h"
#include "frame.h"
#include "fuzz.h"
#include "link.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- bodies ---- */

#define AGAIN(name, type) do { \
	static struct type v; \
	int err = frame_get_##name(&v, body, len); \
	must(err == 0 || err == -EBADMSG || err == -EPROTONOSUPPORT); \
	if (!err) { \
		must(frame_put_##name(&v, again, sizeof again) == (int)len); \
		must(memcmp(again, body, len) == 0); \
		must(len == 0 || frame_put_##name(&v, again, len - 1) == -EMSGSIZE); \
	} \
} while (0)

static void decode_body(uint8_t type, const uint8_t *body, size_t len)
{
	static uint8_t again[FRAME_TALK];
	struct frame_checkpoint c;

	switch (type) {
	case FRAME_HELLO: AGAIN(hello, frame_hello); break;
	case FRAME_HELLO_ACK: AGAIN(hello_ack, frame_hello_ack); break;
	case FRAME_SEGMENT: AGAIN(segment, frame_segment); break;
	case FRAME_COMMIT: AGAIN(commit, frame_commit); break;
	case FRAME_ACK: AGAIN(ack, frame_ack); break;
	case FRAME_FETCH: AGAIN(fetch, frame_fetch); break;
	case FRAME_PROMISE: AGAIN(promise, frame_promise); break;
	case FRAME_PROMISED: AGAIN(promised, frame_promised); break;
	case FRAME_SWITCHOVER: AGAIN(switchover, frame_switchover); break;
	case FRAME_ERROR: AGAIN(error, frame_error_text); break;
	case FRAME_CHECKPOINT:
		if (frame_get_checkpoint(&c, body, len) == 0) {
			must(len >= FRAME_CHECKPOINT_HEAD && c.offset <= c.size && len - FRAME_CHECKPOINT_HEAD <= c.size - c.offset);
			must(frame_put_checkpoint(&c, again, sizeof again) == (int)FRAME_CHECKPOINT_HEAD);
			must(memcmp(again, body, FRAME_CHECKPOINT_HEAD) == 0);
		}
		break;
	}
}

/* ---- headers ---- */

/* Accepted: the same comes of sending it. BODY is there only where its sum is right. */
static void accepted(const struct frame *f, const uint8_t *header, const void *body)
{
	struct frame again = *f;
	struct iovec iov = {(void *)body, f->length};
	uint8_t bytes[FRAME_HEADER];

	must(f->length <= FRAME_BODY && frame_type_name(f->type)[0] != '?');
	if (!body)
		return;
	must(frame_encode(&again, &iov, 1, bytes) == 0);
	must(memcmp(bytes, header, sizeof bytes) == 0);
}

static void decode_header(struct input in, bool seal)
{
	uint8_t header[FRAME_HEADER] = {0};
	const uint8_t *from;
	struct frame f;
	size_t len;

	from = take_bytes(&in, sizeof header, &len);
	memcpy(header, from, len);
	if (seal) {
		put32(header, FRAME_MAGIC);
		put64(header + 56, XXH3_64bits(header, 56));
	}
	if (frame_decode(&f, header) == 0)
		accepted(&f, header, NULL);
}

/* ---- a link whose other side says what the input says ---- */

struct said {
	struct link link;
	struct input in;
	uint8_t step;                  /* bytes that come at once */
};

static ssize_t said_read(struct link *l, void *to, size_t len, int64_t deadline)
{
	struct said *s = (struct said *)l;
	size_t n;
	const uint8_t *from = take_bytes(&s->in, len < s->step ? len : s->step, &n);

	(void)deadline;
	memcpy(to, from, n);
	return n ? (ssize_t)n : -ECONNRESET;
}

static const struct link_ops said_ops = {.read = said_read};

/* Frames of a type and flags, a body, and both sums right unless the input says otherwise. */
static size_t say(struct input *in, uint8_t *to, size_t room)
{
	size_t filled = 0, len;

	while (in->len && filled + FRAME_HEADER + 256 < room) {
		uint8_t kind = take_byte(in), *header = to + filled;
		uint8_t length = take_byte(in);
		const uint8_t *body;

		put32(header, FRAME_MAGIC);
		header[4] = kind % 16;
		header[5] = take_byte(in);
		memset(header + 6, 0, FRAME_HEADER - 6);
		body = take_bytes(in, length, &len);
		memcpy(header + FRAME_HEADER, body, len);
		put32(header + 8, (uint32_t)len);
		put64(header + 48, XXH3_64bits(header + FRAME_HEADER, len) ^ (kind & 0x10 ? 1 : 0));
		put64(header + 56, XXH3_64bits(header, 56) ^ (kind & 0x20 ? 1 : 0));
		filled += FRAME_HEADER + len;
	}
	return filled;
}

static void receive(struct input in)
{
	static uint8_t bytes[1 << 16], body[1 << 16];
	struct said s = {.link.ops = &said_ops, .step = take_byte(&in)};
	bool raw = take_byte(&in) & 1;
	struct frame f;
	int err;

	s.step += s.step == 0;
	s.in = in;
	if (!raw)
		s.in = (struct input){bytes, say(&in, bytes, sizeof bytes)};
	for (;;) {
		const uint8_t *header = s.in.at;

		err = link_receive(&s.link, &f, body, sizeof body, 0);
		if (err)
			break;
		accepted(&f, header, body);
		decode_body(f.type, body, f.length);
	}
	must(err == -ECONNRESET || err == -EBADMSG || err == -EMSGSIZE);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};
	uint8_t kind = take_byte(&in);
	uint8_t *copy;

	switch (kind & 3) {
	case 0:
		decode_header(in, kind & 4);
		break;
	case 1:
		receive(in);
		break;
	default:
		/* in a piece of memory of just this size */
		copy = malloc(in.len ? in.len : 1);
		memcpy(copy, in.at, in.len);
		decode_body(kind >> 2, copy, in.len);
		free(copy);
	}
	return 0;
}
