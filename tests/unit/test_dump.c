/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a stopped store, of one in use, of a damaged one; and what a page that the disk does not read costs both tools. */
#include "check_rig.h"

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

Test(dump, all_but_the_page_that_the_disk_does_not_read_is_verified)
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

Test(dump, a_last_page_that_the_disk_does_not_read_is_no_record_too_long)
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
