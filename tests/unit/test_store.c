/* SPDX-License-Identifier: Apache-2.0 */
/* A whole store: which directories are one, and what it does by itself while it is open. */
#include "bytes.h"
#include "checkpoint.h"
#include "identity.h"
#include "parts.h"
#include "seal.h"
#include "segment.h"
#include "store_rig.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(store, .init = rig_begin, .fini = rig_end);

/* ---- whose it is ---- */

static int refused(void)
{
	char why[STORE_WHY];
	int err = store_open(&store, scratch_path, &options, why);

	if (!err)
		return 0;
	store = NULL;
	cr_assert_neq(why[0], 0);
	return err;
}

Test(store, a_second_process_is_refused)
{
	struct store *first;

	open_store();
	first = store;
	cr_assert_eq(refused(), -EBUSY);
	store = first;
}

Test(store, somebody_elses_directory_is_refused_and_left_alone)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof path, "%s/letter.txt", scratch_path);
	cr_assert_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	cr_assert_eq(refused(), -ENOTEMPTY);
	snprintf(path, sizeof path, "%s/log", scratch_path);
	cr_assert_eq(stat(path, &st), -1);
}

Test(store, a_log_without_its_identity_is_refused)
{
	char path[128];

	three_lines();
	close_store();
	snprintf(path, sizeof path, "%s/id", scratch_path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(refused(), -ENOTEMPTY);
}

/* What it says, in `look_why`. */
static char look_why[STORE_WHY];

static int look_at(const char *path)
{
	look_why[0] = 0;
	return store_look(path, look_why);
}

Test(store, what_is_no_store_is_told_from_one_and_left_alone)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof path, "%s/none", scratch_path);
	cr_assert_eq(look_at(path), -ENOENT);
	cr_expect_str_eq(look_why, "is no store, and create=no");
	cr_expect_eq(stat(path, &st), -1);
	cr_assert_eq(look_at(scratch_path), -ENOENT);
	cr_expect_str_eq(look_why, "is no store, and create=no");
	cr_expect_eq(rmdir(scratch_path), 0, "something was made in it");
	cr_assert_eq(mkdir(scratch_path, 0700), 0);
	three_lines();
	close_store();
	cr_expect_eq(look_at(scratch_path), 0);
	snprintf(path, sizeof path, "%s/id", scratch_path);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(look_at(scratch_path), -ENOTEMPTY);
	cr_expect(strstr(look_why, "has a log but no file"), "%s", look_why);
	snprintf(path, sizeof path, "%s/joining", scratch_path);
	cr_assert_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	cr_expect_eq(look_at(scratch_path), 0, "one in the making is made to its end");
}

Test(store, a_newer_format_is_refused_untouched)
{
	uint8_t version[4];
	char path[128];
	int fd;

	three_lines();
	close_store();
	snprintf(path, sizeof path, "%s/id", scratch_path);
	fd = open(path, O_RDWR);
	put32(version, FORMAT_VERSION + 1);
	cr_assert_eq(pwrite(fd, version, 4, 8), 4);
	close(fd);
	snprintf(path, sizeof path, "%s/lock", scratch_path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(refused(), -EPROTONOSUPPORT);
	cr_assert_neq(access(path, F_OK), 0, "the lock file was written");
}

Test(store, one_of_an_older_format_becomes_one_of_this_on_a_full_disk_too)
{
	char why[STORE_WHY];
	struct identity id;
	struct stat st;

	three_lines();
	close_store();
	cr_assert_eq(disk_stat(&scratch.disk, RESERVE_FILE, &st), 0);
	cr_assert_eq(identity_load(&scratch.disk, &id), 0);
	id.format = FORMAT_VERSION - 1;
	cr_assert_eq(identity_save(&scratch.disk, &id), 0);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_RENAME] = 1;
	cr_assert_eq(store_open_disk(&store, &scratch.disk, scratch_path, &options, why), 0, "%s", why);
	expect("orders", "one\ntwo\nthree\n");
	cr_assert_eq(identity_load(&scratch.disk, &id), 0);
	cr_assert_eq(id.format, FORMAT_VERSION);
}

Test(store, a_damaged_identity_is_refused)
{
	char path[128];
	int fd;

	three_lines();
	close_store();
	snprintf(path, sizeof path, "%s/id", scratch_path);
	fd = open(path, O_RDWR);
	cr_assert_eq(pwrite(fd, "X", 1, 100), 1);
	close(fd);
	cr_assert_eq(refused(), -EBADMSG);
}

Test(store, the_log_of_another_store_is_refused_and_left_alone)
{
	struct identity id;
	struct store_status st;

	killed_after(three_lines);
	cr_assert_eq(identity_load(&scratch.disk, &id), 0);
	id.cluster++;
	id.secret[0]++;
	cr_assert_eq(identity_save(&scratch.disk, &id), 0);
	cr_assert_eq(refused(), -EXDEV);
	id.cluster--;
	id.secret[0]--;
	cr_assert_eq(identity_save(&scratch.disk, &id), 0);
	open_store();
	expect("orders", "one\ntwo\nthree\n");
	store_status(store, &st);
	cr_assert_eq(st.lost_files, 0);
}

Test(store, its_segments_are_counted_as_long_as_they_are)
{
	struct store_status before, after;
	uint64_t files;

	killed_after(big_lines);
	open_store();
	store_status(store, &before);
	close_store();
	cr_assert_gt(before.segments, 10);
	options.segment_size = 8 * MiB;
	open_store();
	store_status(store, &after);
	/* Each is as long as before, but that the last one and what is prepared may grow. */
	files = after.segments_prepared + 2;
	cr_assert_lt(after.bytes_on_disk, before.bytes_on_disk + files * (8 * MiB + SEGMENT_HEADER));
	cr_assert_gt(after.bytes_on_disk, BIG * BIG_LINES);
}

Test(store, each_start_is_an_epoch_of_its_own_in_the_same_reign)
{
	struct store_status first, second;

	open_store();
	store_status(store, &first);
	close_store();
	open_store();
	store_status(store, &second);
	cr_assert_eq(second.epoch.reign, first.epoch.reign);
	cr_assert_eq(second.epoch.start, first.epoch.start + 1);
	cr_assert_eq(second.epoch.node, first.node);
}

static int not_ready(void *ctx, char why[STORE_WHY])
{
	(void)ctx;
	snprintf(why, STORE_WHY, "no address");
	return -EADDRNOTAVAIL;
}

Test(store, a_start_that_may_not_go_on_appends_nothing)
{
	struct store_status first, then;

	open_store();
	store_status(store, &first);
	close_store();
	options.ready = not_ready;
	for (int n = 0; n < 3; n++)
		cr_assert_eq(refused(), -EADDRNOTAVAIL);
	options.ready = NULL;
	open_store();
	store_status(store, &then);
	cr_assert_eq(then.epoch.start, first.epoch.start + 1);
}

Test(store, who_made_it_owns_its_root_for_good)
{
	struct owner o;

	options.owner = (struct owner){1234, 5678, 0755};
	open_store();
	close_store();
	options.owner = (struct owner){1, 1, 0755};
	open_store();
	owner_get(store, NULL, NULL, &o);
	cr_assert_eq(o.uid, 1234);
	cr_assert_eq(o.gid, 5678);
}

/* ---- what it does by itself ---- */

/* Retention looks at the first segment's index: it must not keep it, and itself awake, for that. */
Test(store, an_idle_store_lets_go_of_what_it_has_mapped)
{
	static char got[BIG_LINES * BIG + 1];

	killed_after(big_lines);
	open_store();
	cr_assert_eq(read_all("orders", got, sizeof got), BIG_LINES * BIG);
	topic_put(make_topic("other"));        /* which wakes the keeper */
	cr_assert_gt(segments_trim(store->segments, INT64_MAX), 0);
	while (segments_trim(store->segments, INT64_MAX) > 0)
		usleep(10000);
}

/* The keeper makes it, and may be late on a busy machine. */
static void await_file(const char *path)
{
	int64_t give_up = commit_clock() + 20000000000;

	while (access(path, F_OK) != 0) {
		cr_assert_lt(commit_clock(), give_up, "%s is not made", path);
		sched_yield();
	}
}

Test(store, a_missing_index_is_made_again)
{
	static struct store_status status;
	static char got[BIG_LINES * BIG + 1];
	char path[128], name[40];

	killed_after(big_lines);
	open_store();
	close_store();                 /* with everything sealed: the keeper of the killed one may not have got to it */
	segment_index_name(name, 0);
	snprintf(path, sizeof path, "%s/%s", scratch_path, name);
	cr_assert_eq(unlink(path), 0);
	open_store();
	cr_assert_eq(read_all("orders", got, sizeof got), BIG_LINES * BIG);
	await_file(path);
	store_status(store, &status);
	cr_assert_eq(status.damaged, 0, "nothing was lost by it");
}

/* As when the keeper has made it just after somebody missed it. */
Test(store, an_index_that_is_there_again_is_no_damage)
{
	static struct store_status status;
	struct segment *first;

	killed_after(big_lines);
	open_store();
	close_store();
	open_store();
	first = segments_first(store->segments);
	cr_assert(first->sealed);
	seal_index_bad(store, first);
	segment_put(first);
	store_status(store, &status);
	cr_assert_eq(status.damaged, 0);
}

/* It would be taken for sealed, and cut where it ends now. */
Test(store, the_segment_that_is_appended_to_gets_no_index)
{
	uint64_t from = 8;
	char path[128];

	open_store();
	cr_assert_eq(seal_rebuild(store, &from), 0);
	snprintf(path, sizeof path, "%s/log/%016x.index", scratch_path, 0);
	cr_assert_neq(access(path, F_OK), 0);
}

/* What it writes there is only for people to read. */
static void open_without_room_for_the_lock(int err)
{
	char why[STORE_WHY];

	scratch.error = err;
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(store_open_disk(&store, &scratch.disk, scratch_path, &options, why), 0, "%s", why);
	cr_assert_eq(scratch.fail[CALL_PWRITEV], 0);
	close_store();
}

Test(store, a_full_disk_is_no_reason_not_to_start)
{
	open_store();
	close_store();
	open_without_room_for_the_lock(-ENOSPC);
	open_without_room_for_the_lock(-EDQUOT);
}

Test(store, room_for_checkpoints_is_kept_aside)
{
	char path[128];

	open_store();
	snprintf(path, sizeof path, "%s/reserve", scratch_path);
	await_file(path);
}

/* In a process of its own, which has one descriptor left, then none: the one is a new segment's, and its name is to be synced. */
static void without_descriptors(void)
{
	static char big[64 << 10];
	struct rlimit few;
	struct topic *t;
	int err = 0, next;

	open_store();
	t = make_topic("orders");
	getrlimit(RLIMIT_NOFILE, &few);
	next = dup(0);
	close(next);
	/* Below what seems to be free, too: the keeper may have had one open just now. */
	for (int left = 1; left >= -3 && (!err || err == -ENOBUFS); left--) {
		few.rlim_cur = (rlim_t)(next + left);
		setrlimit(RLIMIT_NOFILE, &few);
		for (int n = 0; n < 40 && (!err || err == -ENOBUFS); n++)
			err = append(t, big, sizeof big, true);
	}
	few.rlim_cur = few.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	_exit(err == -ENOBUFS && append(t, big, sizeof big, true) == 0 ? 0 : 1);
}

Test(store, a_process_without_descriptors_heals)
{
	killed_after(without_descriptors);
}

/* As state_command() leaves it. */
Test(store, one_that_had_no_memory_for_a_change_says_so)
{
	struct store_status st;

	open_store();
	store->read_only = true;
	store_status(store, &st);
	cr_assert_eq(st.health, STORE_READ_ONLY);
	cr_assert(strstr(st.why, "memory"), "%s", st.why);
	store->read_only = false;
}
