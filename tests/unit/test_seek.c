/* SPDX-License-Identifier: Apache-2.0 */
/* From log positions, times and offsets to the places of records and messages. */
#include "log_rig.h"
#include "reader.h"
#include "scan.h"
#include "state.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

static struct rig g;

static void setup(void)
{
	rig_open(&g, 16);
}

static void teardown(void)
{
	rig_close(&g);
}

TestSuite(seek, .init = setup, .fini = teardown);

/* A record of LENGTH bytes, at most 1000, of queue N. */
static uint64_t append(unsigned n, uint32_t length)
{
	static const char body[1000];

	return rig_append(&g, n, body, length, 0);
}

Test(seek, a_log_position_finds_the_next_record_of_the_queue)
{
	uint64_t pos[3000], offset;

	for (unsigned i = 0; i < 3000; i++)
		pos[i] = append(i % 3, 1000);
	for (unsigned i = 0; i + 3 < 3000; i += 13) {
		cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[0], pos[i], &offset), 0);
		cr_assert_eq(offset, (i + 2) / 3 * 1000);
	}
	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[0], pos[2999], &offset), 0);
	cr_assert_eq(offset, 1000 * 1000);
	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[5], 0, &offset), 0);
	cr_assert_eq(offset, 0);
}

/* Nobody knows which part of it lies where: what goes by this must not lose it before its time. */
Test(seek, damage_in_front_of_a_position_or_time_belongs_to_what_is_behind_it)
{
	uint64_t pos[300], offset, at;

	for (unsigned i = 0; i < 300; i++)
		pos[i] = append(0, 1000);
	rig_damage(&g, pos[100] + 40);
	for (unsigned i = 100; i <= 101; i++) {
		cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[0], pos[i], &offset), 0);
		cr_assert_eq(offset, i * 1000);        /* all of the damage is before what begins right at the position */
		cr_assert_eq(log_pos_at_time(&g.store, 1001 + i, &at), 0);
		cr_assert_eq(at, pos[100]);
	}
	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[0], pos[101] - 1, &offset), 0);
	cr_assert_eq(offset, 100 * 1000);
	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[0], pos[102], &offset), 0);
	cr_assert_eq(offset, 102 * 1000);
	cr_assert_eq(log_pos_at_time(&g.store, 1001 + 102, &at), 0);
	cr_assert_eq(at, pos[102]);
	rig_damage(&g, pos[299] + 40);
	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[0], pos[299], &offset), 0);
	cr_assert_eq(offset, 299 * 1000);
	cr_assert_eq(log_pos_at_time(&g.store, 1 << 20, &at), 0);
	cr_assert_eq(at, pos[299]);
}

static void find_lost(uint64_t pos)
{
	uint64_t offset;

	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[1], pos, &offset), 0);
	cr_assert_eq(offset, 1000);
}

Test(seek, what_no_segment_has_any_more_is_found_by_what_is_known_around_it)
{
	uint64_t between, lost, offset;

	append(1, 1000);
	for (unsigned i = 0; i < 2000; i++)
		append(0, 1000);
	between = append(0, 1000);
	lost = append(1, 1000);
	append(0, 1000);
	rig_flip_and_find(&g, lost);
	find_lost(between);
	find_lost(lost);
	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[1], lost + 8, &offset), 0);
	cr_assert_eq(offset, 2000, "it is known where the queue's last record begins");
	append(1, 1000);
	find_lost(between);
	for (unsigned i = 0; i < 2000; i++)
		append(0, 1000);
	append(1, 1000);
	find_lost(between);
	g.queue[1].head = 2000;
	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[1], between, &offset), 0);
	cr_assert_eq(offset, 2000);
}

/* So that one was lost in the only segment that has any of the queue. */
Test(seek, where_nothing_is_known_it_is_the_head)
{
	uint64_t lost, offset;

	lost = append(1, 1000);
	rig_flip_and_find(&g, lost);
	cr_assert_eq(queue_offset_at_pos(&g.store, &g.queue[1], 0, &offset), 0);
	cr_assert_eq(offset, 0);
}

Test(seek, a_time_finds_the_next_record_of_the_queue)
{
	uint64_t pos[3000], offset, at;

	for (unsigned i = 0; i < 3000; i++)
		pos[i] = append(i % 3, 1000);
	for (unsigned i = 0; i + 3 < 3000; i += 13) {
		cr_assert_eq(log_pos_at_time(&g.store, 1001 + i, &at), 0);
		cr_assert_eq(at, pos[i]);
		cr_assert_eq(queue_offset_at_time(&g.store, &g.queue[0], 1001 + i, &offset), 0);
		cr_assert_eq(offset, (i + 2) / 3 * 1000);
	}
	cr_assert_eq(log_pos_at_time(&g.store, 0, &at), 0);
	cr_assert_eq(at, 0);
	cr_assert_eq(log_pos_at_time(&g.store, 1 << 20, &at), 0);
	cr_assert_eq(at, g.pos);
	cr_assert_eq(queue_offset_at_time(&g.store, &g.queue[0], 1 << 20, &offset), 0);
	cr_assert_eq(offset, 1000 * 1000);
}

static const struct disk_ops *real;
static uint64_t bad;                     /* page of a file that the disk does not read */

static ssize_t read_around_it(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	return at < bad + SCAN_UNREADABLE && at + len > bad ? -EIO : real->pread(d, fd, to, len, at);
}

Test(seek, a_time_behind_a_page_that_cannot_be_read_is_found)
{
	uint64_t pos[300], at, last = 0;
	struct disk_ops ops;

	for (unsigned i = 0; i < 300; i++)
		pos[i] = append(0, 1000);
	bad = (SEGMENT_HEADER + pos[100]) / SCAN_UNREADABLE * SCAN_UNREADABLE;
	real = g.store.disk->ops;
	ops = *real;
	ops.pread = read_around_it;
	g.store.disk->ops = &ops;
	for (unsigned i = 0; i < 300; i++) {
		cr_assert_eq(log_pos_at_time(&g.store, 1001 + i, &at), 0);
		cr_assert(at >= last && at <= pos[i]);
		cr_assert(at == pos[i] || (i >= 96 && i <= 104));
		last = at;
	}
	g.store.disk->ops = real;
}

static int passing;                      /* what the next open fails with; 0: it does not */

static int open_later(struct disk *d, const char *path, int flags, mode_t mode)
{
	int err = passing;

	passing = 0;
	return err ? err : real->open(d, path, flags, mode);
}

/* As a start that does not read the headers of old segments leaves them. */
static void forget_times(void)
{
	for (struct segment *s = segments_find(g.store.segments, 0); s; s = segment_next(s))
		s->head.time = TIME_UNKNOWN;
}

Test(seek, a_time_is_not_guessed_without_a_descriptor_or_memory)
{
	static const int errors[] = {-EMFILE, -ENFILE, -ENOMEM};
	struct disk_ops ops;
	uint64_t pos[5000], at;

	for (unsigned i = 0; i < 5000; i++)
		pos[i] = append(0, 1000);
	cr_assert_gt(segments_count(g.store.segments), 4);
	real = g.store.disk->ops;
	ops = *real;
	ops.open = open_later;
	g.store.disk->ops = &ops;
	for (unsigned n = 0; n < 3; n++) {
		forget_times();
		passing = errors[n];
		cr_assert_eq(log_pos_at_time(&g.store, 1001 + 4500, &at), errors[n]);
		cr_assert_eq(log_pos_at_time(&g.store, 1001 + 4500, &at), 0);
		cr_assert_eq(at, pos[4500]);
	}
	g.store.disk->ops = real;
}

/* The header of the segment at BASE rots, or is mended. */
static void flip_header(uint64_t base)
{
	char name[32];
	uint8_t byte;
	int fd;

	segment_name(name, base);
	fd = disk_open(g.store.disk, name, O_RDWR, 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(disk_read(g.store.disk, fd, &byte, 1, 60), 0);
	byte ^= 1;
	cr_assert_eq(disk_write(g.store.disk, fd, &byte, 1, 60), 0);
	disk_close(g.store.disk, fd);
}

static void find_behind(uint64_t base, uint64_t record, unsigned n)
{
	uint64_t at;

	forget_times();
	cr_assert_eq(log_pos_at_time(&g.store, 1001 + n, &at), 0);
	cr_assert_leq(at, record);
	cr_assert_geq(at, base, "a segment in front of the record's is begun at");
}

/* Each segment alone, and with the one before it: then it is the end of the last one that is known to begin earlier. */
Test(seek, a_time_is_found_where_headers_are_rotten)
{
	uint64_t pos[5000], base[16];
	size_t count = 0;

	for (unsigned i = 0; i < 5000; i++)
		pos[i] = append(0, 1000);
	for (struct segment *s = segments_find(g.store.segments, 0); s; s = segment_next(s))
		base[count++] = s->head.base;
	cr_assert_gt(count, 4);
	for (size_t n = 1; n + 1 < count; n++) {
		flip_header(base[n]);
		find_behind(base[count - 1], pos[4999], 4999);
		flip_header(base[n - 1]);
		find_behind(base[count - 1], pos[4999], 4999);
		flip_header(base[n]);
		flip_header(base[n - 1]);
	}
}

Test(seek, of_many_records_at_one_time_the_first_is_found)
{
	uint64_t first = 0, pos;

	for (unsigned i = 0; i < 5000; i++) {
		uint64_t at = append(0, 1000);

		if (i == 500)
			first = at;
		g.step = i < 500 || i >= 4500;
	}
	cr_assert_gt(segments_count(g.store.segments), 4);
	cr_assert_eq(log_pos_at_time(&g.store, 1501, &pos), 0);
	cr_assert_eq(pos, first);
}

static uint8_t *pages;                   /* two: what `committing` has committed is in the first, its time in the second */
static size_t page;
static struct queue *committing;

/* At the first look at what is committed, there is a message more. */
static void commit_one(int signal)
{
	(void)signal;
	mprotect(pages, page, PROT_READ | PROT_WRITE);
	state_messages(committing, 2000, 1, 0, 1200, 0);
}

static void await_look(void)
{
	_Static_assert(offsetof(struct queue, committed) < offsetof(struct queue, mtime), "it is in the first page");
	page = (size_t)sysconf(_SC_PAGESIZE);
	pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(pages, MAP_FAILED);
	committing = (struct queue *)(pages + page - offsetof(struct queue, mtime));
	memcpy(committing, &g.queue[0], sizeof *committing);
	state_messages(committing, 1000, 1, 0, 1, 0);
	signal(SIGSEGV, commit_one);
	cr_assert_eq(mprotect(pages, page, PROT_NONE), 0);
}

Test(seek, a_message_that_is_committed_meanwhile_is_not_before_an_earlier_time)
{
	uint64_t offset;

	await_look();
	cr_assert_eq(queue_offset_at_time(&g.store, committing, 600, &offset), 0);
	cr_assert_eq(committing->committed, 2000);
	cr_assert_leq(offset, 1000);
	munmap(pages, 2 * page);
}

Test(seek, an_offset_inside_a_message_finds_its_beginning)
{
	uint64_t start;

	rig_append(&g, 0, "one\ntwo\n", 8, 0);
	rig_append(&g, 0, "three\n", 6, 0);
	rig_append(&g, 0, "a\nb\nc\n", 6, RECORD_WRITE);
	for (uint64_t at = 0; at < 20; at++) {
		cr_assert_eq(queue_message_start(&g.store, &g.queue[0], at, &start), 0);
		cr_assert_eq(start, at < 4 ? 0u : at < 8 ? 4u : at < 14 ? 8u : 14u);
	}
	cr_assert_eq(queue_message_start(&g.store, &g.queue[0], 20, &start), 0);
	cr_assert_eq(start, 20);
}
