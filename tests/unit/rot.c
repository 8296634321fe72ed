/* SPDX-License-Identifier: Apache-2.0 */
/* How the store is made, and what each of its bytes is for. */
#include "rot.h"
#include "../../store/index_format.h"
#include "bytes.h"
#include "identity.h"
#include "keeper.h"
#include "make.h"
#include "parts.h"
#include "state.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DO(call) ({ struct command *c = command_new_waited(); cr_assert_eq(command_wait(c, call), 0); })

struct rot rot;

static struct store *store;
static struct topic *topics[2];

/* ---- making it ---- */

/* Lengths on both sides of what a read copies, and of none and all kinds of padding; one line in a record, or several. */
static uint32_t length_of(int n)
{
	static const uint32_t some[] = {40, 41, 200, 7, 64, 333, 1, 90};

	return n % 41 == 11 ? 4300 : some[n % 8] + (uint32_t)(n % 5);
}

static void make_bytes(uint8_t *to, uint32_t length, int n, int seed)
{
	for (uint32_t i = 0; i < length; i++)
		to[i] = (uint8_t)('a' + (n * 7 + i + seed * 3) % 26);
	if (length > 20)
		to[length / 2] = '\n';
	to[length - 1] = '\n';
}

static void append(int n, int seed)
{
	int topic = n % 5 == 4;
	uint32_t queue = topic ? 0 : n % 3 == 2;
	struct rot_record *r = &rot.record[rot.records++];
	struct place place;

	*r = (struct rot_record){.messages = true, .topic = topic, .queue = queue, .length = length_of(n)};
	r->bytes = malloc(r->length);
	make_bytes(r->bytes, r->length, n, seed);
	struct iovec iov = {r->bytes, r->length};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = topic || r->length <= 20 ? 1 : 2, .flags = topic ? RECORD_WRITE : 0};
	cr_assert_eq(store_append(topic_queue(topics[topic], queue), &b, &place), 0);
	r->offset = place.offset;
	r->end = place.end;
	r->pos = place.end - record_size(r->length);
}

static void wait_committed(void)
{
	while (store_committed(store) < log_end(store->log))
		usleep(100);
}

static void fill(int appends, bool crashed, int seed)
{
	keeper_stop(store->keeper);              /* nothing happens but what is done here */
	DO(store_mkdir(store, c, "lines", &(struct owner){0, 0, 0755}));
	DO(store_mkdir(store, c, "writes", &(struct owner){0, 0, 0755}));
	topics[0] = topic_find(store, "lines");
	topics[1] = topic_find(store, "writes");
	DO(store_set(store, c, topics[1], SETTING_FRAMING, "write"));
	DO(store_set_queues(store, c, topics[0], 2));
	for (int n = 0; n < appends; n++) {
		append(n, seed);
		if (n == appends / 2) {
			wait_committed();
			DO(store_set_owner(store, c, topics[0], NULL, OWNER_MODE, &(struct owner){0, 0, 0700}));
			cr_assert_eq(keeper_checkpoint(store->keeper), 0);
		}
	}
	wait_committed();
	for (int n = appends; crashed && n < appends + 4; n++)
		append(n, seed);
	topic_put(topics[0]);
	topic_put(topics[1]);
}

/* Files that a store may have besides, with bytes in them. */
static void add_files(struct disk *d)
{
	static const char bytes[300] = "what once was torn";

	memory_disk_put(d, "lost/0000000000000100.0", bytes, sizeof bytes);
	memory_disk_put(d, "log/prepared.0", NULL, SEGMENT_HEADER + rot.options.segment_size);
	memory_disk_put(d, "reserve", NULL, 100);
	memory_disk_put(d, "scrub", bytes, 56);
	memory_disk_put(d, "lock", "4711 /mnt/mq\n", 13);
}

/* ---- what the bytes are for ---- */

static void add_region(size_t from, size_t to, enum rot_kind kind, const char *name, int record)
{
	if (from >= to)
		return;
	cr_assert_lt(rot.regions, ROT_REGIONS);
	rot.region[rot.regions++] = (struct rot_region){rot.files - 1, from, to, kind, name, record};
}

/* The known messages are found again by position; what is between them are changes of state. */
static int record_at(const struct record *r, uint64_t base)
{
	int n = 0;

	while (n < rot.records && rot.record[n].pos != r->pos)
		n++;
	if (n == rot.records) {
		cr_assert_neq(r->type, RECORD_MESSAGES);
		cr_assert_lt(n, ROT_RECORDS);
		rot.record[rot.records++] = (struct rot_record){.pos = r->pos, .end = r->pos + record_size(r->length), .length = r->length};
	}
	rot.record[n].base = base;
	return n;
}

static void segment_regions(const uint8_t *bytes, size_t len, uint64_t base, const uint8_t *secret)
{
	size_t at = SEGMENT_HEADER;
	struct record r;

	add_region(0, 72, ROT_HEAD, "segment's header", -1);
	add_region(72, SEGMENT_HEADER, ROT_HARMLESS, "segment's header: no meaning", -1);
	while (at + RECORD_HEADER <= len && record_decode(&r, secret, bytes + at, base + at - SEGMENT_HEADER) == 0) {
		enum rot_kind kind = r.pos < rot.committed ? ROT_RECORD : ROT_TAIL;
		int n = record_at(&r, base);
		size_t body = at + RECORD_HEADER, end = at + record_size(r.length);
		add_region(at, body, kind, kind == ROT_TAIL ? "uncommitted record's header" : "record's header", n);
		add_region(body, body + r.length, kind, kind == ROT_TAIL ? "uncommitted record's body" : "record's body", n);
		add_region(body + r.length, end, ROT_HARMLESS, "record's padding", -1);
		at = end;
	}
	add_region(at, len, ROT_HARMLESS, "segment: behind its last record", -1);
}

static void index_regions(const uint8_t *bytes, size_t len)
{
	size_t pages = (size_t)(get64(bytes + 40) + PAGE_ROWS - 1) / PAGE_ROWS, fences = HEADER + 8 * pages + 8;

	add_region(0, fences, ROT_INDEX, "index: header", -1);
	add_region(fences, directory_at(pages), ROT_HARMLESS, "index: no meaning", -1);
	add_region(directory_at(pages), directory_at(pages) + pages * PAGE, ROT_INDEX, "index: directory", -1);
	add_region(directory_at(pages) + pages * PAGE, len, ROT_INDEX, "index: entries", -1);
}

static bool begins(const char *path, const char *with)
{
	return strncmp(path, with, strlen(with)) == 0;
}

static void add_file(const char *path, const uint8_t *secret)
{
	size_t len;
	const uint8_t *bytes = memory_disk_get(rot.sound, path, &len);

	cr_assert_lt(rot.files, ROT_FILES);
	snprintf(rot.file[rot.files++], sizeof rot.file[0], "%s", path);
	if (begins(path, "log/0") && strstr(path, ".index"))
		index_regions(bytes, len);
	else if (begins(path, "log/0"))
		segment_regions(bytes, len, strtoull(path + 4, NULL, 16), secret);
	else if (begins(path, "checkpoint/"))
		add_region(0, len, ROT_CHECKPOINT, "checkpoint", -1);
	else if (!strcmp(path, "id"))
		add_region(0, len, ROT_IDENTITY, "identity", -1);
	else if (begins(path, "lost/"))
		add_region(0, len, ROT_HARMLESS, "lost/: for people", -1);
	else if (begins(path, "log/prepared."))
		add_region(0, len, ROT_HARMLESS, "prepared segment: no meaning", -1);
	else
		add_region(0, len, ROT_HARMLESS, "lock, reserve, scrub: no meaning", -1);
}

static int by_pos(const void *a, const void *b)
{
	const struct rot_record *x = a, *y = b;

	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

static void add_all_files(void)
{
	struct rot_verdict *v = malloc(sizeof *v);
	struct identity id;
	const char *path;

	cr_assert_eq(identity_load(rot.sound, &id), 0);
	cr_assert_eq(rot_check(rot.sound, v), 0);
	cr_assert(!v->by_check, "%s", v->why);
	qsort(rot.record, (size_t)rot.records, sizeof *rot.record, by_pos);
	for (size_t n = 0; (path = memory_disk_name(rot.sound, n)); n++)
		add_file(path, id.secret);
	free(v);
}

static struct disk *disk_of(struct disk *keep)
{
	struct disk *d = memory_disk_new();
	const uint8_t *bytes;
	size_t len;

	if (keep) {
		bytes = memory_disk_get(keep, "id", &len);
		memory_disk_put(d, "id", bytes, len);
	}
	return d;
}

void rot_make(int appends, bool crashed, int seed, struct disk *keep)
{
	char why[STORE_WHY];
	struct disk *d = disk_of(keep);

	memset(&rot, 0, sizeof rot);
	store_options_normal(&rot.options);
	rot.options.segment_size = 8u << 10;
	rot.options.scrub_rate = 0;
	cr_assert_eq(store_open_disk(&store, d, "rot", &rot.options, why), 0, "%s", why);
	fill(appends, crashed, seed);
	if (!crashed)
		store_stop(store);
	/* The disk goes with its store: what is left of it is a copy, made when everything of a stop is there, or nothing of it is. */
	if (!crashed)
		cr_assert_eq(keeper_checkpoint(store->keeper), 0);
	rot.sound = memory_disk_copy(d);
	store_stop(store);
	store_close(store);
	add_files(rot.sound);
	add_all_files();
}

void rot_free(void)
{
	for (int n = 0; n < rot.records; n++)
		free(rot.record[n].bytes);
	disk_free(rot.sound);
}
