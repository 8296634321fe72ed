/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole store that somebody has been at: bytes changed, files cut, taken away, put in another's place. It is checked, dumped, opened for
 * reading, opened, written to and opened again. Nobody is given bytes that were not written there, and what is acknowledged then stays.
 *
 * One in four inputs has its records' checksums made right afterwards, as if who was at it knew the secret: all that must hold then is that
 * nothing crashes or waits for ever.
 */
#include "bytes.h"
#include "check.h"
#include "dump.h"
#include "fuzz.h"
#include "keeper.h"
#include "memory_disk.h"
#include "parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define QUEUES 2u
#define MESSAGES 90u
#define CHANGES 6u
#define SEGMENT 4096u
#define BYTES 16384u                     /* of a queue, at most */

/* The same secret and ids in each run. */
ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags);

ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags)
{
	(void)flags;
	memset(to, 0x5a, len);
	memcpy(to, fuzz_secret, len < RECORD_SECRET ? len : RECORD_SECRET);
	return (ssize_t)len;
}

/* What a queue has had since it was made, as far as is known. */
struct wrote {
	char bytes[BYTES];
	uint64_t end;
};

struct kind {
	struct disk *disk;
	struct wrote queue[QUEUES];
	uint64_t topic;                  /* id */
};

static struct store_options options(bool read_only)
{
	struct store_options o;

	store_options_normal(&o);
	o.segment_size = SEGMENT;
	o.commit_timeout = 600000000000u;        /* a slow machine is no finding */
	o.read_only = read_only;
	return o;
}

/* ---- what there is to be at ---- */

static int command(struct command *c, int err)
{
	must(c);
	return command_wait(c, err);
}
#define COMMAND(call) ({ struct command *c = command_new_waited(); command(c, call); })

static int append(struct store *s, struct topic *t, unsigned n, const char *text, struct wrote *to)
{
	struct iovec iov = {(void *)text, strlen(text)};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct owner owner;
	struct place at;
	int err = store_append(topic_queue(t, n), &b, &at);

	if (err)
		return err;
	must(at.offset + iov.iov_len <= BYTES);
	memcpy(to->bytes + at.offset, text, iov.iov_len);
	to->end = at.offset + iov.iov_len;
	/* a command behind it is committed after it */
	owner_get(s, t, NULL, &owner);
	return COMMAND(store_set_owner(s, c, t, NULL, OWNER_MODE, &owner));
}

/* Closed in peace, killed, or with its beginning gone. */
static void make(struct kind *k, unsigned number)
{
	struct store_options o = options(false);
	struct owner owner = {.mode = 0755};
	char why[STORE_WHY], text[128];
	struct store *s;
	struct topic *t;

	k->disk = memory_disk_new();
	memory_disk_serve(k->disk);
	must(store_open(&s, "/", &o, why) == 0);
	keeper_stop(s->keeper);
	must(COMMAND(store_mkdir(s, c, "orders", &owner)) == 0);
	t = topic_find(s, "orders");
	k->topic = t->id;
	must(COMMAND(store_set_queues(s, c, t, QUEUES)) == 0);
	for (unsigned n = 0; n < MESSAGES; n++) {
		snprintf(text, sizeof text, "%u: %.*s\n", n, (int)(n * 7 % 80), "what a message says, which goes on like this for as long as is needed, or longer");
		must(append(s, t, n % 3 % QUEUES, text, &k->queue[n % 3 % QUEUES]) == 0);
		if (n % 40 == 39)
			must(keeper_checkpoint(s->keeper) == 0);
	}
	if (number == 2) {
		struct head_move move[] = {{topic_queue(t, 0)->id, k->queue[0].end / 2}, {topic_queue(t, 1)->id, k->queue[1].end / 2}};

		must(queue_message_start(s, topic_queue(t, 0), move[0].head, &move[0].head) == 0);
		must(queue_message_start(s, topic_queue(t, 1), move[1].head, &move[1].head) == 0);
		must(COMMAND(store_set_heads(s, c, move, 2)) == 0);
	}
	topic_put(t);
	if (number == 1) {
		struct disk *killed = memory_disk_copy(k->disk);

		store_close(s);
		disk_free(k->disk);
		k->disk = killed;
	} else {
		store_close(s);
	}
}

/* ---- being at it ---- */

static const char *take_file(struct disk *d, struct input *in)
{
	static const char *const strange[] = {"log/0000000000000008", "log/ffffffffffffff00", "log/7ffffffffffff000", "log/0000000000001000.index",
		"checkpoint/0000000000000000", "checkpoint/0000000000100000", "lost/0000000000000000.0", "lost/0000000000000000.0.segment", "log/prepared.0", "reserve"};
	uint8_t n = take_byte(in);
	size_t count = 0;

	if (n >= 240)
		return strange[n % (sizeof strange / sizeof *strange)];
	while (memory_disk_name(d, count))
		count++;
	return memory_disk_name(d, n % count);
}

enum { FLIP, SET, ZERO, CUT, REMOVE, COPY, LENGTHEN, HEADER, CHANGES_OF };

static void change(struct disk *d, struct input *in)
{
	uint8_t what = take_byte(in) % CHANGES_OF, *bytes;
	const char *name = take_file(d, in), *other;
	size_t at = take_number(in, 2), n = take_number(in, 1), len = 0, other_len;
	const uint8_t *from;

	if (strcmp(name, "id") == 0 && n % 16)
		return;
	bytes = memory_disk_get(d, name, &len);
	if (what == REMOVE) {
		disk_unlink(d, name);
	} else if (what == COPY) {
		other = take_file(d, in);
		from = memory_disk_get(d, other, &other_len);
		if (from && strcmp(name, other) != 0)
			memory_disk_put(d, name, from, other_len);
	} else if (what == LENGTHEN) {
		uint8_t *longer = calloc(1, len + n + 1);

		if (bytes)
			memcpy(longer, bytes, len);
		from = take_bytes(in, n, &other_len);
		memcpy(longer + len, from, other_len);
		memory_disk_put(d, name, longer, len + n);
		free(longer);
	} else if (!bytes || len == 0) {
		return;
	} else if (what == CUT) {
		uint8_t *shorter = malloc(len);

		memcpy(shorter, bytes, len);
		memory_disk_put(d, name, shorter, at % len);
		free(shorter);
	} else if (what == FLIP) {
		bytes[at % len] ^= (uint8_t)(1u << n % 8);
	} else if (what == ZERO) {
		memset(bytes + at % len, 0, n < len - at % len ? n : len - at % len);
	} else {
		/* a header's fields, or what stands behind a segment's own header */
		at = what == HEADER && len > 4096 ? 4096 + at % (len - 4096) / 8 * 8 : at % len;
		from = take_bytes(in, n % 16 + 1, &other_len);
		memcpy(bytes + at, from, other_len < len - at ? other_len : len - at);
	}
}

static void seal_record(uint8_t *at)
{
	struct record r = {.type = at[4], .flags = at[5], .length = get32(at + 8), .messages = get32(at + 12), .pos = get64(at + 16),
		.epoch = {get32(at + 24), get32(at + 28), get64(at + 32)}, .queue = get64(at + 40), .offset = get64(at + 48),
		.time = (int64_t)get64(at + 56), .uid = get32(at + 64), .pid = get32(at + 68), .committed = get64(at + 72), .prev = get64(at + 80),
		.body_sum = get64(at + 88)};

	record_encode(&r, fuzz_secret, at);
}

/* Whatever looks like a record's header gets its checksum. */
static void seal_records(struct disk *d)
{
	const char *name;
	size_t len;

	for (size_t n = 0; (name = memory_disk_name(d, n)); n++) {
		uint8_t *bytes = memory_disk_get(d, name, &len);
		uint64_t base;

		if (strncmp(name, "log/", 4) != 0 || !position_named(name + 4, 0, &base))
			continue;
		for (size_t at = SEGMENT_HEADER; at + RECORD_HEADER <= len; at += 8)
			if (memcmp(bytes + at, "MQR1", 4) == 0)
				seal_record(bytes + at);
	}
}

/* ---- what must hold ---- */

static void compare(const struct wrote *w, uint64_t offset, const uint8_t *bytes, size_t len)
{
	must(offset <= w->end && len <= w->end - offset);
	must(memcmp(w->bytes + offset, bytes, len) == 0);
}

static bool strict;                      /* nobody knew the secret */
static const struct kind *dumped;

static int record(void *ctx, const struct record *r, const char *topic, const void *body)
{
	uint64_t queue = r->queue & (QUEUES_MAX - 1);

	(void)ctx, (void)topic;
	if (!strict || r->type != RECORD_MESSAGES)
		return 0;
	must(r->queue >> QUEUE_BITS == dumped->topic && queue < QUEUES);
	compare(&dumped->queue[queue], r->offset, body, r->length);
	return 0;
}

static void damaged(void *ctx, const char *where, const char *what)
{
	(void)ctx;
	must(*where && *what);
}

static void found(void *ctx, bool damage, const char *where, const char *what)
{
	(void)ctx, (void)damage;
	must(*where && *what);
}

static void repaired(void *ctx, const char *where, const char *what)
{
	(void)ctx;
	must(*where && *what);
}

static void look_from_outside(const struct kind *k, struct disk *d, bool repair)
{
	struct dump_calls dump = {.record = record, .damaged = damaged};
	struct check_calls check = {.found = found, .repaired = repaired};
	struct dump_query query = dump_all;
	struct check_totals totals;
	char why[256] = "";
	const char *name;
	int err;

	err = (repair ? repair_store : check_store)("/", &check, &totals, why, sizeof why);
	must(err == 0 || *why);
	dumped = k;
	err = dump_store("/", &query, &dump, why, sizeof why);
	must(err == 0 || *why);
	for (size_t n = 0; (name = memory_disk_name(d, n)); n++)
		if (strncmp(name, "lost/", 5) == 0) {
			query.lost = name + 5;
			dump_store("/", &query, &dump, why, sizeof why);
		}
}

static void read_queue(struct store *s, struct queue *q, const struct wrote *w)
{
	uint64_t offset = q->head;
	uint8_t bytes[512];
	struct reader *r;
	struct slice to;

	must(reader_new(&r, s, q) == 0);
	slice_init(&to);
	for (unsigned steps = 0; offset < q->committed; steps++) {
		ssize_t n = reader_read(r, offset, sizeof bytes, &to);
		int err = n > 0 ? slice_copy(&to, bytes) : 0;

		must(steps < 10000);
		slice_free(&to);
		must(!err);
		if (n > 0 && strict)
			compare(w, offset, bytes, (size_t)n);
		if (n == -EIO)
			n = (ssize_t)(reader_behind(r) - offset);
		if (n <= 0)
			break;
		offset += (uint64_t)n;
	}
	reader_free(r);
}

static void read_all(struct store *s, const struct kind *k)
{
	struct topic *t = topic_by_id(s, k->topic);

	for (unsigned n = 0; t && n < QUEUES; n++)
		if (topic_queue(t, n))
			read_queue(s, topic_queue(t, n), &k->queue[n]);
	topic_put(t);
}

/* Returns whether it was acknowledged. */
static bool write_more(struct store *s, struct kind *k)
{
	struct topic *t = topic_by_id(s, k->topic);
	bool there = t && topic_queue(t, 0) && topic_queue(t, 0)->committed < BYTES / 2;
	bool done = there && append(s, t, 0, "and one more\n", &k->queue[0]) == 0;

	topic_put(t);
	return done;
}

static void has_more(struct store *s, const struct kind *k, uint64_t end)
{
	struct topic *t = topic_by_id(s, k->topic);
	struct queue *q = t ? topic_queue(t, 0) : NULL;
	struct slice to;
	struct reader *r;

	must(q && q->committed == end && q->head < end);
	must(reader_new(&r, s, q) == 0);
	slice_init(&to);
	must(reader_read(r, end - strlen("and one more\n"), 100, &to) == (ssize_t)strlen("and one more\n"));
	slice_free(&to);
	reader_free(r);
	topic_put(t);
}

static struct store *open_store(bool read_only)
{
	struct store_options o = options(read_only);
	char why[STORE_WHY] = "";
	struct store *s;

	if (store_open(&s, "/", &o, why) == 0)
		return s;
	must(*why);
	return NULL;
}

static void use(struct kind *k)
{
	struct store *s = open_store(true);
	bool more = false;

	if (s) {
		read_all(s, k);
		store_close(s);
	}
	s = open_store(false);
	if (!s)
		return;
	read_all(s, k);
	more = write_more(s, k);
	read_all(s, k);
	store_close(s);
	s = open_store(false);
	must(s || !more || !strict);
	if (!s)
		return;
	read_all(s, k);
	if (more && strict)
		has_more(s, k, k->queue[0].end);
	store_close(s);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	static struct kind kinds[3], k;
	struct input in = {bytes, len};
	uint8_t first = take_byte(&in);
	struct kind *of = &kinds[first % 3];

	if (!of->disk)
		make(of, first % 3);
	k = *of;
	k.disk = memory_disk_copy(of->disk);
	strict = first / 3 % 4 != 0;
	for (unsigned n = 0; n < CHANGES && in.len > 0; n++)
		change(k.disk, &in);
	if (!strict)
		seal_records(k.disk);
	memory_disk_serve(k.disk);
	look_from_outside(&k, k.disk, first / 12 % 4 == 0);
	use(&k);
	disk_free(k.disk);
	return 0;
}
