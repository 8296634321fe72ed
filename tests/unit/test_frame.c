/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes say to each other comes back as it was; what no node would say is refused, whatever bytes it has. */
#include "frame.h"
#include "bytes.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#define ROUNDS 2000

/* xorshift64*: the same values in each run. */
static uint64_t dice(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

static struct epoch any_epoch(uint64_t *seed)
{
	return (struct epoch){(uint32_t)dice(seed), (uint32_t)dice(seed), dice(seed)};
}

static void any_text(uint64_t *seed, char *to, size_t room, size_t least)
{
	size_t len = least + dice(seed) % (room - least);

	for (size_t i = 0; i < len; i++)
		to[i] = (char)(' ' + dice(seed) % 95);
	to[len] = 0;
}

static void any_epochs(uint64_t *seed, struct frame_epochs *e)
{
	uint64_t pos = dice(seed) % 1000;

	e->count = (uint32_t)(dice(seed) % 8 ? dice(seed) % 20 : dice(seed) % (FRAME_EPOCHS + 1));
	for (uint32_t i = 0; i < e->count; i++) {
		memset(&e->of[i], 0, sizeof e->of[i]);         /* what lies between the fields is compared too */
		e->of[i].epoch = any_epoch(seed);
		e->of[i].start = pos;
		e->of[i].chain = dice(seed);
		e->of[i].accepted_loss = dice(seed) & 1;
		pos += 1 + dice(seed) % 100000;
	}
}

static struct frame_hello any_hello(uint64_t *seed)
{
	struct frame_hello h = {.version = FRAME_VERSION, .cluster = dice(seed), .node = dice(seed), .promise = {(uint32_t)dice(seed), dice(seed)},
		.checkpoint = dice(seed), .checkpoint_has = dice(seed)};

	any_text(seed, h.name, sizeof h.name, 1);
	any_epochs(seed, &h.epochs);
	return h;
}

static struct frame_hello_ack any_hello_ack(uint64_t *seed)
{
	struct frame_hello_ack a = {.version = FRAME_VERSION, .answer = (uint8_t)(1 + dice(seed) % 3), .cluster = dice(seed), .node = dice(seed),
		.promise = {(uint32_t)dice(seed), dice(seed)}, .chain = dice(seed), .end = dice(seed), .checkpoint = dice(seed), .checkpoint_size = dice(seed),
		.has_secret = dice(seed) & 1};

	for (unsigned i = 0; a.has_secret && i < sizeof a.secret; i++)
		a.secret[i] = (uint8_t)dice(seed);
	any_text(seed, a.name, sizeof a.name, 1);
	any_text(seed, a.reason, sizeof a.reason, 0);
	any_epochs(seed, &a.epochs);
	return a;
}

static struct frame_promised any_promised(uint64_t *seed)
{
	struct frame_promised p = {.cluster = dice(seed), .node = dice(seed), .last = any_epoch(seed)};

	any_text(seed, p.name, sizeof p.name, 1);
	any_text(seed, p.reason, sizeof p.reason, 0);
	any_epochs(seed, &p.epochs);
	return p;
}

/* V comes back as it was; each shorter body and one longer is refused, and no shorter room is overrun. */
#define COMES_BACK(name, type, value) do { \
	static struct type v, got; \
	static uint8_t body[FRAME_TALK + 1]; \
	int len; \
	v = value; \
	len = frame_put_##name(&v, body, FRAME_TALK); \
	cr_assert_gt(len, 0, #name ": %d", len); \
	memset(&got, 0xee, sizeof got); \
	cr_assert_eq(frame_get_##name(&got, body, (size_t)len), 0); \
	cr_assert_eq(memcmp(&got, &v, sizeof v), 0, #name " differs"); \
	for (int cut = 0; cut < len; cut += 1 + len / 50) { \
		cr_assert_eq(frame_get_##name(&got, body, (size_t)cut), -EBADMSG, #name " of %d of %d bytes", cut, len); \
		memset(body, 0x55, sizeof body); \
		cr_assert_eq(frame_put_##name(&v, body, (size_t)cut), -EMSGSIZE); \
		for (int at = cut; at <= len; at++) \
			cr_assert_eq(body[at], 0x55, #name " writes behind its room"); \
		frame_put_##name(&v, body, FRAME_TALK); \
	} \
	if (sizeof #name != sizeof "checkpoint") { \
		body[len] = 0; \
		cr_assert_eq(frame_get_##name(&got, body, (size_t)len + 1), -EBADMSG, #name " with a byte more"); \
	} \
} while (0)

Test(frame, every_body_comes_back_and_no_part_of_it_passes_for_it)
{
	uint64_t seed = 5;

	for (int i = 0; i < 50; i++) {
		COMES_BACK(hello, frame_hello, any_hello(&seed));
		COMES_BACK(hello_ack, frame_hello_ack, any_hello_ack(&seed));
		COMES_BACK(segment, frame_segment, ((struct frame_segment){dice(&seed), any_epoch(&seed), (int64_t)dice(&seed)}));
		COMES_BACK(commit, frame_commit, ((struct frame_commit){(int64_t)dice(&seed), dice(&seed)}));
		COMES_BACK(ack, frame_ack, ((struct frame_ack){dice(&seed), (int64_t)dice(&seed), dice(&seed)}));
		COMES_BACK(checkpoint, frame_checkpoint, ((struct frame_checkpoint){1000 + dice(&seed) % 1000, dice(&seed) % 1000}));
		COMES_BACK(fetch, frame_fetch, ((struct frame_fetch){1 + (uint32_t)(dice(&seed) % FRAME_BODY)}));
		COMES_BACK(promised, frame_promised, any_promised(&seed));
		COMES_BACK(promise, frame_promise, ((struct frame_promise){FRAME_VERSION, dice(&seed), dice(&seed), any_epoch(&seed), "b"}));
		COMES_BACK(switchover, frame_switchover, ((struct frame_switchover){(uint8_t)(1 + dice(&seed) % 3), "not now"}));
		COMES_BACK(error, frame_error_text, ((struct frame_error_text){1 + (uint32_t)(dice(&seed) % 1000), "stopped"}));
	}
}

/* Each type with the longest and the shortest body it may have. */
static const struct { uint8_t type, flags; uint32_t least, most; } types[] = {
	{FRAME_HELLO, FRAME_BLANK | FRAME_MIRROR, 1, FRAME_TALK}, {FRAME_HELLO_ACK, FRAME_SETTLED, 1, FRAME_TALK}, {FRAME_SEGMENT, 0, 32, 32},
	{FRAME_RECORDS, 0, 1, FRAME_BODY}, {FRAME_COMMIT, FRAME_MEMBER, 16, 16}, {FRAME_ACK, FRAME_CURRENT | FRAME_FULL, 24, 24},
	{FRAME_CHECKPOINT, 0, FRAME_CHECKPOINT_HEAD, FRAME_BODY}, {FRAME_FETCH, 0, 4, 4}, {FRAME_FETCHED, FRAME_ABSENT, 0, FRAME_BODY},
	{FRAME_PROMISE, 0, 1, FRAME_TALK}, {FRAME_PROMISED, FRAME_GRANTED | FRAME_CURRENT, 1, FRAME_TALK},
	{FRAME_SWITCHOVER, 0, 1, FRAME_TALK}, {FRAME_ERROR, 0, 1, FRAME_TALK},
};

static uint8_t big[FRAME_BODY + 1];

static int encode(uint8_t type, uint8_t flags, size_t len, uint8_t to[FRAME_HEADER])
{
	struct frame f = {.type = type, .flags = flags};
	struct iovec iov = {big, len};

	return frame_encode(&f, &iov, 1, to);
}

Test(frame, a_header_comes_back)
{
	uint64_t seed = 7;

	for (int i = 0; i < ROUNDS; i++) {
		size_t k = dice(&seed) % (sizeof types / sizeof *types);
		struct frame f = {.type = types[k].type, .flags = (uint8_t)dice(&seed) & types[k].flags, .epoch = any_epoch(&seed), .pos = dice(&seed),
			.committed = dice(&seed)}, got;
		size_t len = types[k].least + dice(&seed) % (types[k].most - types[k].least + 1), first = dice(&seed) % (len + 1);
		struct iovec iov[2] = {{big, first}, {big + first, len - first}};
		uint8_t bytes[FRAME_HEADER];

		if (i % 100 == 0)
			for (size_t j = 0; j < sizeof big; j++)
				big[j] = (uint8_t)dice(&seed);
		cr_assert_eq(frame_encode(&f, iov, 2, bytes), 0);
		memset(&got, 0, sizeof got);
		cr_assert_eq(frame_decode(&got, bytes), 0);
		cr_assert(got.type == f.type && got.flags == f.flags && got.length == len && got.pos == f.pos && got.committed == f.committed);
		cr_assert(got.epoch.reign == f.epoch.reign && got.epoch.start == f.epoch.start && got.epoch.node == f.epoch.node);
		cr_assert_eq(frame_check_body(&got, big), 0);
		if (len) {
			big[first % len] ^= 0x10;
			cr_assert_eq(frame_check_body(&got, big), -EBADMSG);
		}
	}
}

Test(frame, any_flipped_bit_of_a_header_is_found)
{
	struct frame got;
	uint8_t bytes[FRAME_HEADER];

	cr_assert_eq(encode(FRAME_RECORDS, 0, 4096, bytes), 0);
	for (unsigned i = 0; i < FRAME_HEADER * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_assert_eq(frame_decode(&got, bytes), -EBADMSG, "bit %u", i);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

/* With its checksum right, so that it is the field itself that is refused. */
static int with_byte(unsigned at, uint8_t value)
{
	struct frame got;
	uint8_t bytes[FRAME_HEADER];

	cr_assert_eq(encode(FRAME_COMMIT, 0, 16, bytes), 0);
	bytes[at] = value;
	put64(bytes + 56, XXH3_64bits(bytes, 56));
	return frame_decode(&got, bytes);
}

Test(frame, a_header_that_no_node_would_send_is_refused)
{
	cr_expect_eq(with_byte(4, FRAME_COMMIT), 0);
	cr_expect_eq(with_byte(4, 0), -EBADMSG, "no type");
	cr_expect_eq(with_byte(4, FRAME_ERROR + 1), -EBADMSG, "a later type");
	cr_expect_eq(with_byte(4, 255), -EBADMSG, "a type beyond all");
	cr_expect_eq(with_byte(5, FRAME_MEMBER), 0);
	cr_expect_eq(with_byte(5, FRAME_GRANTED), -EBADMSG, "a flag of another type");
	cr_expect_eq(with_byte(5, 0x80), -EBADMSG, "a later flag");
	cr_expect_eq(with_byte(6, 1), -EBADMSG, "reserved");
	cr_expect_eq(with_byte(12, 1), -EBADMSG, "reserved");
	cr_expect_eq(with_byte(8, 17), -EBADMSG, "a COMMIT of 17 bytes");
	cr_expect_eq(with_byte(11, 0x80), -EBADMSG, "a COMMIT of 2 GiB");
}

Test(frame, what_is_too_long_or_has_no_place_is_not_encoded)
{
	struct iovec two[2] = {{big, FRAME_BODY}, {big, SIZE_MAX - 10}};
	struct frame f = {.type = FRAME_RECORDS};
	uint8_t bytes[FRAME_HEADER];

	for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
		cr_expect_eq(encode(types[k].type, types[k].flags, types[k].most, bytes), 0);
		cr_expect_lt(encode(types[k].type, types[k].flags, types[k].most + 1, bytes), 0);
		if (types[k].least)
			cr_expect_eq(encode(types[k].type, types[k].flags, types[k].least - 1, bytes), -EINVAL);
		cr_expect_eq(encode(types[k].type, (uint8_t)~types[k].flags, types[k].least, bytes), -EINVAL);
	}
	cr_expect_eq(encode(0, 0, 1, bytes), -EINVAL);
	cr_expect_eq(frame_encode(&f, two, 2, bytes), -EMSGSIZE, "lengths that overflow");
}

static int hello_with(void (*change)(struct frame_hello *))
{
	static uint8_t body[FRAME_TALK];
	static struct frame_hello h;
	uint64_t seed = 11;

	h = any_hello(&seed);
	h.epochs.count = 2;
	h.epochs.of[0].start = 0;
	h.epochs.of[1].start = 5;
	change(&h);
	return frame_put_hello(&h, body, sizeof body);
}

static void no_change(struct frame_hello *h) { (void)h; }
static void no_name(struct frame_hello *h) { *h->name = 0; }
static void long_name(struct frame_hello *h) { memset(h->name, 'x', sizeof h->name); }
static void bell_in_name(struct frame_hello *h) { strcpy(h->name, "a\ab"); }
static void c1_in_name(struct frame_hello *h) { strcpy(h->name, "a\xc2\x9b" "2J"); }
static void accents_in_name(struct frame_hello *h) { strcpy(h->name, "\xc3\x9bn\xc2\xa0"); }
static void half_a_character_in_name(struct frame_hello *h) { strcpy(h->name, "n\xc3"); }
static void many_epochs(struct frame_hello *h) { h->epochs.count = FRAME_EPOCHS + 1; }
static void epochs_backwards(struct frame_hello *h) { h->epochs.of[1].start = 0; }
static void later_version(struct frame_hello *h) { h->version++; }

Test(frame, what_makes_no_sense_is_not_said)
{
	cr_expect_gt(hello_with(no_change), 0);
	cr_expect_eq(hello_with(no_name), -EINVAL);
	cr_expect_eq(hello_with(long_name), -EINVAL);
	cr_expect_eq(hello_with(bell_in_name), -EINVAL);
	cr_expect_eq(hello_with(c1_in_name), -EINVAL);
	cr_expect_eq(hello_with(accents_in_name), -EINVAL);
	cr_expect_eq(hello_with(half_a_character_in_name), -EINVAL);
	cr_expect_eq(hello_with(many_epochs), -EINVAL);
	cr_expect_eq(hello_with(epochs_backwards), -EINVAL);
	cr_expect_eq(hello_with(later_version), -EINVAL);
}

Test(frame, another_version_is_told_whatever_follows_it)
{
	static struct frame_hello h;
	static struct frame_hello_ack a;
	struct frame_promise p;
	uint8_t body[40] = {7, 1};

	cr_expect_eq(frame_get_hello(&h, body, sizeof body), -EPROTONOSUPPORT);
	cr_expect_eq(h.version, 263);
	cr_expect_eq(frame_get_hello_ack(&a, body, sizeof body), -EPROTONOSUPPORT);
	cr_expect_eq(frame_get_promise(&p, body, 2), -EPROTONOSUPPORT);
	cr_expect_eq(frame_get_hello(&h, body, 1), -EBADMSG);
}

Test(frame, pieces_of_a_checkpoint_lie_in_its_file)
{
	struct frame_checkpoint c = {.size = 100, .offset = 90}, got;
	uint8_t body[FRAME_CHECKPOINT_HEAD + 20] = {0};

	cr_assert_eq(frame_put_checkpoint(&c, body, sizeof body), FRAME_CHECKPOINT_HEAD);
	cr_expect_eq(frame_get_checkpoint(&got, body, FRAME_CHECKPOINT_HEAD + 10), 0);
	cr_expect_eq(frame_get_checkpoint(&got, body, FRAME_CHECKPOINT_HEAD + 11), -EBADMSG);
	c.offset = 101;
	cr_expect_eq(frame_put_checkpoint(&c, body, sizeof body), -EINVAL);
	put64(body + 8, UINT64_MAX);
	cr_expect_eq(frame_get_checkpoint(&got, body, FRAME_CHECKPOINT_HEAD), -EBADMSG);
}

#define GET(name, type) do { \
	static struct type v; \
	static uint8_t again[FRAME_TALK]; \
	int err = frame_get_##name(&v, body, len); \
	cr_assert(err == 0 || err == -EBADMSG || err == -EPROTONOSUPPORT); \
	if (!err && sizeof #name != sizeof "checkpoint") { \
		cr_assert_eq(frame_put_##name(&v, again, sizeof again), (int)len, #name " is accepted but not what would be sent"); \
		cr_assert_eq(memcmp(again, body, len), 0); \
	} \
} while (0)

/* Bytes of a body changed at random: whatever is accepted is what an encoder makes of it. */
Test(frame, whatever_is_accepted_is_what_would_be_sent)
{
	static struct frame_hello h;
	static struct frame_hello_ack a;
	static uint8_t body[FRAME_TALK];
	uint64_t seed = 13;

	for (int i = 0; i < ROUNDS; i++) {
		size_t len;

		if (i & 1) {
			h = any_hello(&seed);
			len = (size_t)frame_put_hello(&h, body, sizeof body);
		} else {
			a = any_hello_ack(&seed);
			len = (size_t)frame_put_hello_ack(&a, body, sizeof body);
		}
		for (uint64_t n = dice(&seed) % 4; n; n--)
			body[2 + dice(&seed) % (len - 2)] = (uint8_t)dice(&seed);
		len -= dice(&seed) % 8 ? 0 : dice(&seed) % len;
		GET(hello, frame_hello);
		GET(hello_ack, frame_hello_ack);
		GET(segment, frame_segment);
		GET(commit, frame_commit);
		GET(ack, frame_ack);
		GET(checkpoint, frame_checkpoint);
		GET(fetch, frame_fetch);
		GET(promise, frame_promise);
		GET(promised, frame_promised);
		GET(switchover, frame_switchover);
		GET(error, frame_error_text);
	}
}

Test(frame, the_longest_of_each_fits_in_the_room_that_is_given_for_it)
{
	static struct frame_hello_ack a = {.version = FRAME_VERSION, .answer = FRAME_BLANK_START, .has_secret = true};
	static struct frame_promised p;
	static uint8_t body[FRAME_TALK];

	memset(a.name, 'n', sizeof a.name - 1);
	memset(a.reason, 'r', sizeof a.reason - 1);
	memcpy(p.name, a.name, sizeof p.name);
	memcpy(p.reason, a.reason, sizeof p.reason);
	p.epochs.count = FRAME_EPOCHS;
	for (uint32_t i = 0; i < FRAME_EPOCHS; i++)
		p.epochs.of[i].start = i;
	a.epochs = p.epochs;
	cr_expect_gt(frame_put_hello_ack(&a, body, sizeof body), 0);
	cr_expect_gt(frame_put_promised(&p, body, sizeof body), 0);
}

Test(frame, a_table_of_more_epochs_than_there_is_room_for_is_refused)
{
	static struct frame_hello h;
	static uint8_t body[FRAME_TALK];
	uint64_t seed = 17;
	size_t len;

	h = any_hello(&seed);
	h.epochs.count = FRAME_EPOCHS;
	for (uint32_t i = 0; i < FRAME_EPOCHS; i++)
		h.epochs.of[i].start = i;
	len = (size_t)frame_put_hello(&h, body, sizeof body);
	cr_assert_eq(frame_get_hello(&h, body, len), 0);
	put16(body + len - FRAME_EPOCHS * 33 - 2, FRAME_EPOCHS + 1);
	memset(body + len, 1, 33);
	cr_assert_eq(frame_get_hello(&h, body, len + 33), -EBADMSG);
}
