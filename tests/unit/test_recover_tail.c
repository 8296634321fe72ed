/* SPDX-License-Identifier: Apache-2.0 */
/* What a start makes of the end of the log: what is torn goes to lost/ for good, or nothing goes. */
#include "identity.h"
#include "recover_rig.h"
#include <inttypes.h>
#include <stdlib.h>

TestSuite(recover_tail, .init = begin, .fini = rig_end);

/* The segment's byte behind its last one that is not zero. */
static off_t last_byte(int fd)
{
	static uint8_t all[2 * MiB];
	ssize_t n = pread(fd, all, sizeof all, 0);

	while (n > 0 && !all[n - 1])
		n--;
	return n;
}

static void commit_then_more(void)
{
	struct topic *t;

	open_store();
	t = make_topic("orders");
	cr_assert_eq(append(t, "one\n", 4, true), 0);
	cr_assert_eq(append(t, "torn\n", 5, false), 0);
	topic_put(t);
}

Test(recover_tail, a_torn_tail_goes_to_lost_and_appends_go_on_before_it)
{
	int fd;
	struct topic *t;

	killed_after(commit_then_more);
	fd = open_segment(0);
	cr_assert_eq(pwrite(fd, "X", 1, last_byte(fd) - 2), 1);
	close(fd);
	open_store();
	expect("orders", "one\n");
	cr_assert_eq(count_lost(), 1);
	t = topic_find(store, "orders");
	cr_assert_eq(append(t, "two\n", 4, true), 0);
	topic_put(t);
	close_store();
	open_store();
	expect("orders", "one\ntwo\n");
	cr_assert_eq(count_lost(), 1);
}

static const struct disk_ops *whole;     /* the scratch disk's own */
static int no_lost;                      /* with what a new file in lost/ fails; 0: it does not */
static char taken[128];                  /* the file that takes the room for it; empty: none does */

static int open_but_lost(struct disk *d, const char *path, int flags, mode_t mode)
{
	bool fails = no_lost && strncmp(path, "lost/", 5) == 0 && (!taken[0] || access(taken, F_OK) == 0);

	return fails ? no_lost : whole->open(d, path, flags, mode);
}

/* A start on the torn tail of commit_then_more(), which cannot be copied: what store_open_disk() returns. */
static int start_without_lost(int err)
{
	static struct disk_ops ops;
	char why[STORE_WHY];

	whole = scratch.disk.ops;
	ops = *whole;
	ops.open = open_but_lost;
	no_lost = err;
	scratch.disk.ops = &ops;
	err = store_open_disk(&store, &scratch.disk, scratch_path, &options, why);
	scratch.disk.ops = whole;
	if (err)
		store = NULL;
	return err;
}

static void leave_torn(void)
{
	char reserve[128];
	int fd;

	killed_after(commit_then_more);
	fd = open_segment(0);
	cr_assert_eq(pwrite(fd, "X", 1, last_byte(fd) - 2), 1);
	close(fd);
	snprintf(reserve, sizeof reserve, "%s/reserve", scratch_path);
	unlink(reserve);
	taken[0] = 0;
}

static void goes_on(void)
{
	cr_assert(!store->read_only, "%s", said);
	expect("orders", "one\n");
	cr_assert_eq(count_lost(), 1);
}

/* It would serve read-only for good what the next start can go on with. */
Test(recover_tail, a_start_that_lacks_memory_or_a_descriptor_for_the_tail_fails)
{
	leave_torn();
	cr_assert_eq(start_without_lost(-EMFILE), -EMFILE);
	cr_assert_eq(start_without_lost(-ENFILE), -ENFILE);
	cr_assert_eq(start_without_lost(-ENOMEM), -ENOMEM);
	open_store();
	goes_on();
}

Test(recover_tail, a_torn_tail_takes_the_room_of_what_was_prepared)
{
	leave_torn();
	snprintf(taken, sizeof taken, "%s/log/prepared.0", scratch_path);
	close(open(taken, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(start_without_lost(-ENOSPC), 0);
	goes_on();
}

static int syncs;                        /* of files, from the one of the copy in lost/ on */

static int open_and_count(struct disk *d, const char *path, int flags, mode_t mode)
{
	if (strncmp(path, "lost/", 5) == 0)
		syncs = 1;
	return whole->open(d, path, flags, mode);
}

static int sync_but_the_second(struct disk *d, int fd)
{
	return syncs && syncs++ == 2 ? -ENOSPC : whole->sync(d, fd);
}

/* In memory they are there: a second look would find nothing to cut. */
Test(recover_tail, zeros_that_could_not_be_synced_are_not_on_the_disk)
{
	static struct disk_ops ops;
	char why[STORE_WHY];

	leave_torn();
	whole = scratch.disk.ops;
	ops = *whole;
	ops.open = open_and_count;
	ops.sync = sync_but_the_second;
	scratch.disk.ops = &ops;
	cr_assert_eq(store_open_disk(&store, &scratch.disk, scratch_path, &options, why), 0);
	scratch.disk.ops = whole;
	cr_assert_gt(syncs, 2);
	cr_assert(store->read_only);
	expect("orders", "one\n");
}

Test(recover_tail, without_room_for_the_torn_tail_what_is_committed_can_be_read)
{
	leave_torn();
	cr_assert_eq(start_without_lost(-ENOSPC), 0);
	cr_assert(store->read_only);
	expect("orders", "one\n");
	cr_assert(strstr(said, "with more room"), "%s", said);
	close_store();
	open_store();
	goes_on();
}

#define FILLING 960000                   /* bytes that leave room for state only in a segment of 1 MiB */
#define FIRST 30000

static void first_of_a_segment(void)
{
	static char line[FILLING];
	struct topic *t;

	open_store();
	t = make_topic("filling");
	cr_assert_eq(append(t, line, FILLING, true), 0);
	topic_put(t);
	t = make_topic("orders");
	cr_assert_eq(append(t, line, FIRST, true), 0);
	topic_put(t);
}

static int header_fd;                    /* of the second segment, whose header is not read */

static int open_header(struct disk *d, const char *path, int flags, mode_t mode)
{
	int fd = whole->open(d, path, flags, mode);

	if (strncmp(path, "log/0", 5) == 0 && strcmp(path, "log/0000000000000000") != 0)
		header_fd = fd;
	else if (fd == header_fd)
		header_fd = -1;
	return fd;
}

static ssize_t read_but_the_header(struct disk *d, int fd, void *to, size_t len, uint64_t at)
{
	return fd == header_fd && at < SEGMENT_HEADER ? -EIO : whole->pread(d, fd, to, len, at);
}

/* Nobody knows whether it was torn: what is behind it may have been acknowledged. */
Test(recover_tail, a_last_segment_whose_header_is_not_read_is_left_alone)
{
	static struct disk_ops ops;
	static char got[FIRST + 1];
	char why[STORE_WHY];

	killed_after(first_of_a_segment);
	whole = scratch.disk.ops;
	ops = *whole;
	ops.open = open_header;
	ops.pread = read_but_the_header;
	ops.pread_once = NULL;
	header_fd = -1;
	scratch.disk.ops = &ops;
	cr_assert_eq(store_open_disk(&store, &scratch.disk, scratch_path, &options, why), 0, "%s", why);
	scratch.disk.ops = whole;
	cr_assert(store->read_only);
	close_store();
	open_store();
	cr_assert_eq(count_lost(), 0);
	cr_assert_eq(read_all("orders", got, sizeof got), FIRST);
}

/* As a disk that failed left it: the write of a segment's header ended early, and its removal was forgotten at the power cut. */
Test(recover_tail, a_torn_header_is_nobodys)
{
	uint8_t head[SEGMENT_HEAD];
	struct store_status st;
	struct identity id;
	char path[128];
	FILE *f;

	killed_after(three_lines);
	cr_assert_eq(identity_load(&scratch.disk, &id), 0);
	open_store();
	store_status(store, &st);
	segment_head_encode(&(struct segment_head){.cluster = id.cluster, .base = st.log_end}, id.secret, head);
	snprintf(path, sizeof path, "%s/log/%016" PRIx64, scratch_path, st.log_end);
	close_store();
	for (size_t len = 8; len < SEGMENT_HEAD; len++) {
		f = fopen(path, "w");
		cr_assert_eq(fwrite(head, 1, len, f), len);
		cr_assert_eq(ftruncate(fileno(f), MiB), 0);
		fclose(f);
		open_store();
		expect("orders", "one\ntwo\nthree\n");
		close_store();
	}
}
