/* SPDX-License-Identifier: Apache-2.0 */
/* A store is made and stopped, spoilt in one way, and checked. */
#include "check.h"
#include "committed.h"
#include "dump.h"
#include "identity.h"
#include "index.h"
#include "lost.h"
#include "promise.h"
#include "scan.h"
#include "scratch.h"
#include "segment.h"
#include "store.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT (256u << 10)

static char said[8192];           /* what was found: "damage WHERE: WHAT\n" each */
static char why[STORE_WHY];
static struct check_totals totals;

static uint64_t segment_size = SEGMENT;

/* A page of a file that no disk reads. */
static struct {
	ino_t file;               /* 0: none */
	uint64_t at;
} bad;
static const struct disk_ops *real_ops;

static ssize_t bad_pread(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	struct stat st;

	if (bad.file && at < bad.at + SCAN_UNREADABLE && at + len > bad.at && fstat(fd, &st) == 0 && st.st_ino == bad.file)
		return -EIO;
	return real_ops->pread(d, fd, to, len, at);
}

int __real_disk_open_directory(struct disk **d, const char *path);
int __wrap_disk_open_directory(struct disk **d, const char *path);

int __wrap_disk_open_directory(struct disk **d, const char *path)
{
	static struct disk_ops ops;
	int err = __real_disk_open_directory(d, path);

	if (err)
		return err;
	real_ops = (*d)->ops;
	ops = *real_ops;
	ops.pread = bad_pread;
	ops.pread_once = NULL;
	(*d)->ops = &ops;
	return 0;
}

static struct store *open_store(void)
{
	struct store_options options;
	struct store *s;

	store_options_normal(&options);
	options.create = true;
	options.segment_size = segment_size;
	options.mountpoint = "/mnt/here";
	cr_assert_eq(store_open(&s, scratch_path, &options, why), 0, "%s", why);
	return s;
}

static void close_store(struct store *s)
{
	store_stop(s);
	store_close(s);
}

static struct topic *add_topic(struct store *s, const char *name)
{
	struct command *c = command_new_waited();
	struct owner owner = {0, 0, 0777};

	cr_assert_eq(command_wait(c, store_mkdir(s, c, name, &owner)), 0);
	return topic_find(s, name);
}

static struct place append(struct topic *t, const char *text, uint32_t messages)
{
	struct iovec iov = {(void *)text, strlen(text)};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = messages, .uid = 7, .pid = 77};
	struct place place;

	cr_assert_eq(store_append(topic_queue(t, 0), &b, &place), 0);
	return place;
}

/* Two topics in turn over more than two segments. */
static void fill(struct store *s)
{
	static char line[1001];
	struct topic *a = add_topic(s, "a"), *b = add_topic(s, "b");

	memset(line, 'x', 999);
	line[999] = '\n';
	for (int i = 0; i < 300; i++) {
		append(a, line, 1);
		append(b, "short\n", 1);
		append(b, "one\ntwo\n", 2);
	}
	topic_put(a);
	topic_put(b);
}

static void setup(void)
{
	scratch_init();
	said[0] = 0;
}

static void found(void *ctx, bool damage, const char *where, const char *what)
{
	size_t len = strlen(said);

	(void)ctx;
	snprintf(said + len, sizeof said - len, "%s %s: %s\n", damage ? "damage" : "note", where, what);
}

static int check(void)
{
	struct check_calls calls = {.found = found};

	said[0] = 0;
	return check_store(scratch_path, &calls, &totals, why, sizeof why);
}

/* A byte of a file of the store becomes another. */
static void spoil(const char *path, uint64_t at)
{
	int fd = disk_open(scratch.under, path, O_RDWR, 0);
	uint8_t byte;

	cr_assert_geq(fd, 0);
	cr_assert_eq(disk_read(scratch.under, fd, &byte, 1, at), 0);
	byte ^= 0x20;
	cr_assert_eq(disk_write(scratch.under, fd, &byte, 1, at), 0);
	disk_close(scratch.under, fd);
}

/* The NTH segment's base. */
static uint64_t base_of(size_t nth)
{
	uint64_t *base, found_base;
	size_t count;

	cr_assert_eq(scan_segments(scratch.under, &base, &count), 0);
	cr_assert_lt(nth, count);
	found_base = base[nth];
	free(base);
	return found_base;
}

/* The position of a record of messages in the NTH segment. */
static uint64_t record_in(size_t nth)
{
	struct identity id;
	struct scan *s;
	struct record r;
	const void *body;
	enum scan_found what;
	uint64_t pos = UINT64_MAX;

	cr_assert_eq(identity_load(scratch.under, &id), 0);
	cr_assert_eq(scan_open(&s, scratch.under, id.secret, base_of(nth)), 0);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(scan_next(s, &r, &body, &what), 0);
		cr_assert_eq(what, SCAN_RECORD);
		if (r.type == RECORD_MESSAGES)
			pos = r.pos;
	}
	scan_close(s);
	return pos;
}

static void make(void)
{
	struct store *s = open_store();

	fill(s);
	close_store(s);
}

static bool tells(const char *format, uint64_t pos)
{
	char line[256];

	snprintf(line, sizeof line, format, pos);
	return strstr(said, line) != NULL;
}

TestSuite(check, .init = setup, .fini = scratch_end);

static int remove_index(void *ctx, const char *name)
{
	char path[300];

	(void)ctx;
	snprintf(path, sizeof path, "log/%s", name);
	return strstr(name, ".index") ? disk_unlink(scratch.under, path) : 0;
}

/* As a standby that was killed leaves its store: nothing says that it has synced any of it. */
static void make_received(void)
{
	struct identity id;
	struct promise p = {.reign = {1, 0}, .received = 16u << 20};
	pid_t child = fork();

	if (child == 0) {
		struct store *s = open_store();
		struct topic *t;
		fill(s);
		t = topic_find(s, "a");
		wait_committed(s, append(t, "last\n", 1).end);
		append(t, "and one that tells so\n", 1);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	cr_assert_eq(identity_load(scratch.under, &id), 0);
	p.reign.node = id.node;
	p.own = 1;
	cr_assert_eq(promise_save(scratch.under, &id, &p), 0);
	cr_assert_eq(disk_list(scratch.under, "log", remove_index, NULL), 0);
}

/* What another node had committed says nothing of this node's disk. */
Test(check, what_a_standby_may_not_have_synced_is_its_torn_tail)
{
	make_received();
	cr_assert_eq(check(), 0);
	cr_assert(totals.damage == 0 && totals.notes == 0, "%s", said);
	uint64_t pos = record_in(0), committed = totals.committed;
	cr_assert_gt(committed, base_of(1));
	spoil("log/0000000000000000", SEGMENT_HEADER + pos + 20);
	cr_assert_eq(check(), 0);
	cr_assert(totals.damage == 0 && totals.notes == 1, "%s", said);
	cr_assert(strstr(said, "torn tail, not known to have been synced here"), "%s", said);
	cr_assert(totals.end == pos && totals.committed == committed);
}

static void repaired(void *ctx, const char *where, const char *what)
{
	size_t len = strlen(said);

	(void)ctx;
	snprintf(said + len, sizeof said - len, "repaired %s: %s\n", where, what);
}

/* Neither index nor checkpoint, which would prove that. */
Test(check, a_repair_does_not_prove_what_a_standby_may_not_have_synced)
{
	struct check_calls calls = {.found = found, .repaired = repaired};

	make_received();
	spoil("log/0000000000000000", SEGMENT_HEADER + record_in(0) + 20);
	cr_assert_eq(disk_replace(scratch.under, "checkpoint/0000000000100000", "rotten", 6, 0600), 0);
	cr_assert_eq(repair_store(scratch_path, &calls, &totals, why, sizeof why), 0);
	cr_assert(!strstr(said, ".index") && !strstr(said, "made from the log"), "%s", said);
	cr_assert(strstr(said, "another is not made"), "%s", said);
	cr_assert(strstr(said, "torn tail"), "%s", said);
	close_store(open_store());
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 1, "the checkpoint only: %s", said);
}

Test(check, a_sound_store_is_fine)
{
	make();
	cr_assert_eq(check(), 0, "%s", why);
	cr_assert_eq(totals.damage, 0, "%s", said);
	cr_assert_eq(totals.notes, 0, "%s", said);
	cr_assert_eq(totals.messages, 1200);
	cr_assert_eq(totals.queues, 2);
	cr_assert_eq(totals.bytes, 300 * (1000 + 6 + 8));
	cr_assert_geq(totals.segments, 2);
	cr_assert_geq(totals.checkpoints, 1);
	cr_assert_eq(totals.committed, totals.end);
}

Test(check, a_damaged_body_is_told_with_its_place)
{
	make();
	uint64_t pos = record_in(0);
	spoil("log/0000000000000000", SEGMENT_HEADER + pos + RECORD_HEADER + 1);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 1, "%s", said);
	cr_assert(tells("damage log/0000000000000000 at position %" PRIu64 " ", pos), "%s", said);
	cr_assert(strstr(said, "body is damaged"), "%s", said);
	cr_assert_eq(totals.messages, 1200, "its header still counts");
}

Test(check, a_damaged_header_is_one_finding)
{
	make();
	uint64_t pos = record_in(0);
	spoil("log/0000000000000000", SEGMENT_HEADER + pos + 20);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 1, "%s", said);
	cr_assert(tells("at position %" PRIu64 " ", pos), "%s", said);
	cr_assert(strstr(said, "no valid record for"), "%s", said);
}

/* Another valid header in place of that of the record at POS in the first segment. */
static void forge(uint64_t pos, void (*change)(struct record *r))
{
	struct identity id;
	struct record r;
	uint8_t header[RECORD_HEADER];
	int fd = disk_open(scratch.under, "log/0000000000000000", O_RDWR, 0);

	cr_assert_eq(identity_load(scratch.under, &id), 0);
	cr_assert_eq(disk_read(scratch.under, fd, header, sizeof header, SEGMENT_HEADER + pos), 0);
	cr_assert_eq(record_decode(&r, id.secret, header, pos), 0);
	change(&r);
	record_encode(&r, id.secret, header);
	cr_assert_eq(disk_write(scratch.under, fd, header, sizeof header, SEGMENT_HEADER + pos), 0);
	disk_close(scratch.under, fd);
}

static void change_prev(struct record *r)
{
	r->prev ^= 1;
}

static void change_offset(struct record *r)
{
	r->offset++;
}

static void change_time(struct record *r)
{
	r->time = 1;
}

Test(check, a_record_that_does_not_fit_breaks_the_chain)
{
	make();
	uint64_t pos = record_in(0);
	forge(pos, change_prev);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 2, "it and the one behind it: %s", said);
	cr_assert(tells("at position %" PRIu64 " ", pos) && strstr(said, "chain is broken"), "%s", said);

	forge(pos, change_offset);
	cr_assert_eq(check(), 0);
	cr_assert(strstr(said, "goes on at offset"), "%s", said);

	forge(pos, change_time);
	cr_assert_eq(check(), 0);
	cr_assert(strstr(said, "time is before"), "%s", said);
}

Test(check, a_damaged_segment_header_is_told)
{
	make();
	char path[32];
	segment_name(path, base_of(1));
	spoil(path, 33);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 1, "%s", said);
	cr_assert(strstr(said, "segment's header is damaged"), "%s", said);
}

Test(check, a_missing_segment_is_told)
{
	make();
	char path[32];
	uint64_t base = base_of(1);
	segment_name(path, base);
	cr_assert_eq(disk_unlink(scratch.under, path), 0);
	cr_assert_eq(check(), 0);
	cr_assert_geq(totals.damage, 1);
	cr_assert(tells("position %" PRIu64 " ", base), "%s", said);
}

static void make_index(uint64_t base, bool truly)
{
	struct identity id;
	struct scan *s;
	struct record r;
	const void *body;
	enum scan_found what;
	struct runs *runs;
	struct run_queue *cache;
	uint64_t end = base;
	int64_t time = 0;

	cr_assert_eq(identity_load(scratch.under, &id), 0);
	cr_assert_eq(runs_new(&runs), 0);
	cr_assert_eq(scan_open(&s, scratch.under, id.secret, base), 0);
	while (scan_next(s, &r, &body, &what) == 0 && what == SCAN_RECORD) {
		cache = NULL;
		end = scan_pos(s);
		time = r.time;
		if (r.type == RECORD_MESSAGES && (truly || r.pos % 3))
			cr_assert_eq(runs_add(runs, &cache, r.queue, r.offset, r.pos, r.length, r.messages), 0);
	}
	scan_close(s);
	cr_assert_eq(index_write(scratch.under, id.secret, base, end, time, runs), 0);
	runs_free(runs);
}

Test(check, an_index_must_be_sound_and_true)
{
	make();
	char path[40];
	segment_index_name(path, 0);
	make_index(0, true);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 0, "%s", said);

	make_index(0, false);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 1, "%s", said);
	cr_assert(strstr(said, ".index: does not say"), "%s", said);

	make_index(0, true);
	spoil(path, 4096 + 10);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 1, "%s", said);
	cr_assert(strstr(said, ".index: damaged"), "%s", said);
}

static int first_name(void *ctx, const char *name)
{
	snprintf(ctx, 64, "checkpoint/%s", name);
	return 0;
}

Test(check, a_damaged_checkpoint_is_told)
{
	make();
	char path[64];
	cr_assert_eq(disk_list(scratch.under, "checkpoint", first_name, path), 0);
	spoil(path, 50);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 1, "%s", said);
	cr_assert(strstr(said, path), "%s", said);
}

Test(check, a_damaged_promise_is_told)
{
	make();
	cr_assert_eq(disk_replace(scratch.under, PROMISE_FILE, "rotten", 6, 0600), 0);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 1, "%s", said);
	cr_assert(strstr(said, "damage promise: damaged"), "%s", said);
}

/* kill -9 while the last record is half on the disk */
Test(check, a_torn_tail_is_a_note)
{
	pid_t child = fork();
	if (child == 0) {
		struct store *s = open_store();
		fill(s);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	cr_assert_eq(check(), 0);
	cr_assert_eq(totals.damage, 0, "%s", said);

	uint64_t *base, end = totals.end;
	size_t segments;
	char path[32];
	cr_assert_eq(scan_segments(scratch.under, &base, &segments), 0);
	segment_name(path, base[segments - 1]);
	spoil(path, SEGMENT_HEADER + end - base[segments - 1] - 4);
	free(base);
	cr_assert_eq(check(), 0);
	cr_assert(totals.damage == 0 && totals.notes == 1, "%s", said);
	cr_assert(strstr(said, "torn tail"), "%s", said);
	cr_assert_eq(totals.end, end - record_size(8));
}

Test(check, a_store_in_use_is_refused)
{
	int go[2];
	char byte;

	cr_assert_eq(pipe(go), 0);
	pid_t child = fork();
	if (child == 0) {
		open_store();
		if (write(go[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	cr_assert_eq(read(go[0], &byte, 1), 1);
	cr_assert_eq(check(), -EBUSY);
	cr_assert(strstr(why, "in use by mqfs, pid ") && strstr(why, "/mnt/here"), "%s", why);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

Test(check, what_is_no_store_is_refused)
{
	cr_assert_eq(check(), -ENOENT);
	cr_assert(strstr(why, "no store of mqfs: it has no file"), "%s", why);
	make();
	spoil("id", 40);
	cr_assert_eq(check(), -EBADMSG);
}

/* ---- dump ---- */

struct line {
	char topic[16];
	uint64_t queue, offset, pos;
	char body[1024];
};

static struct line lines[2000];
static int count, enough;

static int record(void *ctx, const struct record *r, const char *topic, const void *body)
{
	struct line *l = &lines[count++];

	(void)ctx;
	snprintf(l->topic, sizeof l->topic, "%s", topic ? topic : "-");
	l->queue = r->queue;
	l->offset = r->offset;
	l->pos = r->pos;
	snprintf(l->body, sizeof l->body, "%.*s", (int)r->length, (const char *)body);
	return count == enough ? 1 : 0;
}

static void damaged(void *ctx, const char *where, const char *what)
{
	found(ctx, true, where, what);
}

static int dump(const struct dump_query *q)
{
	struct dump_calls calls = {.record = record, .damaged = damaged};

	count = 0;
	said[0] = 0;
	return dump_store(scratch_path, q, &calls, why, sizeof why);
}

TestSuite(dump, .init = setup, .fini = scratch_end);

Test(dump, gives_the_records_of_a_queue_in_order)
{
	make();
	struct dump_query q = dump_all;
	uint64_t next = 0;
	q.topic = "b";
	q.queue = 0;
	cr_assert_eq(dump(&q), 0, "%s", why);
	cr_assert_eq(count, 600);
	for (int i = 0; i < count; i++) {
		cr_assert_eq(lines[i].offset, next);
		cr_assert_str_eq(lines[i].topic, "b");
		cr_assert_str_eq(lines[i].body, i % 2 ? "one\ntwo\n" : "short\n");
		next += strlen(lines[i].body);
	}
	cr_assert_str_empty(said);
}

Test(dump, gives_everything_in_log_order)
{
	make();
	cr_assert_eq(dump(&dump_all), 0, "%s", why);
	cr_assert_geq(count, 903, "three epochs and changes of state too");
	for (int i = 1; i < count; i++)
		cr_assert_gt(lines[i].pos, lines[i - 1].pos);
}

Test(dump, begins_at_an_offset_with_index_and_without)
{
	make();
	struct dump_query q = dump_all;
	q.topic = "a";
	q.queue = 0;
	q.offset = 250 * 1000 + 1;
	enough = 1;
	cr_assert_eq(dump(&q), 1);
	cr_assert_eq(lines[0].offset, 250 * 1000);
	make_index(0, true);
	cr_assert_eq(dump(&q), 1);
	cr_assert_eq(lines[0].offset, 250 * 1000);
	q.offset = 100 * 1000;
	cr_assert_eq(dump(&q), 1);
	cr_assert_eq(lines[0].offset, 100 * 1000);
}

Test(dump, ends_at_the_commit_point_it_is_told)
{
	make();
	struct dump_query q = dump_all;
	q.committed = record_in(1);
	cr_assert_eq(dump(&q), 0);
	cr_assert_lt(lines[count - 1].pos, q.committed);
	cr_assert_gt(count, 100);
}

Test(dump, passes_over_damage_and_tells)
{
	make();
	uint64_t pos = record_in(0);
	spoil("log/0000000000000000", SEGMENT_HEADER + pos + RECORD_HEADER + 1);
	cr_assert_eq(dump(&dump_all), 0);
	int all = count;
	cr_assert(tells("at position %" PRIu64, pos), "%s", said);
	spoil("log/0000000000000000", SEGMENT_HEADER + pos + 20);
	cr_assert_eq(dump(&dump_all), 0);
	cr_assert_eq(count, all);
	cr_assert(tells("at position %" PRIu64, pos), "%s", said);
}

/* What it proves is not known then, so damage may be anywhere, and sound segments behind it. */
Test(dump, passes_over_damage_in_a_store_that_does_not_open)
{
	make();
	uint64_t pos = record_in(0), last;
	cr_assert_eq(dump(&dump_all), 0);
	int all = count;
	last = lines[count - 1].pos;
	spoil("log/0000000000000000", SEGMENT_HEADER + pos + RECORD_HEADER + 1);
	cr_assert_eq(disk_replace(scratch.under, PROMISE_FILE, "rotten", 6, 0600), 0);
	cr_assert_eq(dump(&dump_all), 0);
	cr_assert(strstr(said, "promise") && tells("at position %" PRIu64, pos), "%s", said);
	cr_assert_eq(count, all - 1);
	cr_assert_eq(lines[count - 1].pos, last);
}

/* Two segments of records that are read one by one. */
static void make_long_records(void)
{
	static char line[SCAN_WINDOW + 1];
	struct store *s;
	struct topic *t;

	segment_size = 3 * SCAN_WINDOW;
	s = open_store();
	t = add_topic(s, "a");
	memset(line, 'x', SCAN_WINDOW);
	for (int i = 0; i < 4; i++)
		append(t, line, 1);
	topic_put(t);
	close_store(s);
}

/* As retention does it to a segment that is let go: what is left of it are zeros, under another name. */
static int recycle(void *ctx, const struct record *r, const char *topic, const void *body)
{
	static uint8_t zeros[3 * SCAN_WINDOW];
	const uint64_t *base = ctx;
	char path[32];
	int fd;

	(void)topic;
	(void)body;
	segment_name(path, *base);
	if (r->type != RECORD_MESSAGES || disk_rename(scratch.under, path, "log/filling"))
		return 0;
	fd = disk_open(scratch.under, "log/filling", O_RDWR, 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(disk_write(scratch.under, fd, zeros, sizeof zeros, 0), 0);
	disk_close(scratch.under, fd);
	return 0;
}

Test(dump, a_segment_that_is_recycled_while_it_is_read_is_no_damage)
{
	make_long_records();
	struct dump_query q = dump_all;
	uint64_t base = base_of(0);
	struct dump_calls calls = {.record = recycle, .damaged = damaged, .ctx = &base};
	q.committed = base_of(1) + 1;
	cr_assert_eq(dump_store(scratch_path, &q, &calls, why, sizeof why), 0, "%s", why);
	cr_assert_gt(base_of(0), base, "it is gone");
	cr_assert_str_empty(said);
}

Test(dump, what_recovery_cut_off_can_be_read)
{
	make();
	char path[32];
	uint64_t bytes, base = base_of(0), pos = record_in(0);
	cr_assert_eq(lost_cut(scratch.under, base, pos, &bytes), 0);
	segment_name(path, pos);
	memcpy(path, "lost", 4);
	struct dump_query q = dump_all;
	char name[32];
	snprintf(name, sizeof name, "%016" PRIx64 ".0", pos);
	q.lost = name;
	cr_assert_eq(dump(&q), 0, "%s", why);
	cr_assert_gt(count, 100);
	cr_assert_eq(lines[0].pos, pos);
	cr_assert_str_empty(said);
	q.lost = "../id";
	cr_assert_eq(dump(&q), -EINVAL);
}

Test(dump, unknown_topics_and_stores_are_refused)
{
	cr_assert_eq(dump(&dump_all), -ENOENT);
	make();
	struct dump_query q = dump_all;
	q.topic = "c";
	cr_assert_eq(dump(&q), -ENODATA);
	cr_assert(strstr(why, "has no topic \"c\""), "%s", why);
	q.topic = "a";
	q.queue = 1;
	cr_assert_eq(dump(&q), -ENODATA);
}

/* The page at byte AT of the second segment, whose base is no multiple of a page, is not read any more. Of the LINES records: those that begin in it,
 * and those of which any byte is in it. */
static void spoil_page(uint64_t at, int *beginning, int *touching)
{
	uint64_t base = base_of(1);
	struct stat st;
	char path[32];

	segment_name(path, base);
	cr_assert_neq(base % SCAN_UNREADABLE, 0);
	cr_assert_eq(disk_stat(scratch.under, path, &st), 0);
	bad.file = st.st_ino;
	bad.at = at;
	*beginning = *touching = 0;
	for (int i = 0; i + 1 < count; i++) {
		uint64_t begin = SEGMENT_HEADER + lines[i].pos - base, end = SEGMENT_HEADER + lines[i + 1].pos - base;
		if (lines[i].pos < base)
			continue;
		*beginning += begin >= bad.at && begin < bad.at + SCAN_UNREADABLE;
		*touching += begin < bad.at + SCAN_UNREADABLE && end > bad.at;
	}
	cr_assert_gt(*beginning, 0);
}

/* What a disk does not read are pages of the file, at whatever position they begin. */
Test(dump, all_but_the_page_that_the_disk_does_not_read_is_given)
{
	int all, beginning, touching;
	make();
	cr_assert_eq(dump(&dump_all), 0);
	all = count;
	spoil_page(3 * SCAN_UNREADABLE, &beginning, &touching);
	cr_assert_eq(dump(&dump_all), 0);
	cr_assert(strstr(said, "Input/output error"), "%s", said);
	cr_assert_eq(count, all - touching);
}

Test(check, all_but_the_page_that_the_disk_does_not_read_is_verified)
{
	int beginning, touching;
	uint64_t all;
	make();
	cr_assert_eq(check(), 0);
	all = totals.records;
	cr_assert_eq(dump(&dump_all), 0);
	spoil_page(3 * SCAN_UNREADABLE, &beginning, &touching);
	cr_assert_eq(check(), 0);
	cr_assert(strstr(said, "cannot be read: Input/output error"), "%s", said);
	cr_assert_eq(totals.records, all - (uint64_t)beginning);
}

Test(check, a_last_page_that_the_disk_does_not_read_is_no_record_too_long)
{
	int beginning, touching;
	uint64_t end;
	make();
	cr_assert_eq(dump(&dump_all), 0);
	end = SEGMENT_HEADER + base_of(2) - base_of(1);
	spoil_page((end - 1) / SCAN_UNREADABLE * SCAN_UNREADABLE, &beginning, &touching);
	cr_assert_neq(end % SCAN_UNREADABLE, 0);
	cr_assert_eq(check(), 0);
	cr_assert(strstr(said, "cannot be read: Input/output error"), "%s", said);
	cr_assert(!strstr(said, "reaches into the next segment"), "%s", said);
}
