/* SPDX-License-Identifier: Apache-2.0 */
/* What a standby has said, and what it shows, is on its disk: seen by holding its syncs, and by cutting its power. */
#include "member_rig.h"
#include "checkpoint.h"
#include "keeper.h"
#include "powercut.h"
#include "retain.h"
#include "seal.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <unistd.h>

static char path_c[128];               /* what a power cut leaves of B */
static sem_t arrived, go;
static struct store *_Atomic held;     /* once more of its log is written than up to held_from, syncs are held, or fail; NULL: none is */
static uint64_t held_from;

static bool behind_it(void)
{
	struct store *s = held;

	return s && log_written(s->log) > held_from;
}

static void before_sync(void *ctx)
{
	(void)ctx;
	if (!behind_it())
		return;
	sem_post(&arrived);
	sem_wait(&go);
}

static void begin(void)
{
	stores_begin();
	snprintf(path_c, sizeof path_c, "%s/c", scratch_path);
	sem_init(&arrived, 0, 0);
	sem_init(&go, 0, 0);
	held = NULL;
}

TestSuite(standby, .init = begin, .fini = stores_end, .timeout = 60);

static struct store *open_on(struct disk *d)
{
	char why[STORE_WHY];
	struct store *s;

	options.standby = true;
	cr_assert_eq(store_open_disk(&s, d, path_b, &options, why), 0, "%s", why);
	return s;
}

/* B once more, on a disk whose syncs can be held. */
static struct store *open_held(struct store *b)
{
	store_close(b);
	disk_free(scratch.under);
	cr_assert_eq(disk_open_directory(&scratch.under, path_b), 0);
	scratch.before_sync = before_sync;
	return open_on(&scratch.disk);
}

/* The next record that B writes is not synced before this is over. */
static void hold_syncs(struct store *b)
{
	held_from = view(b).written;
	held = b;
}

static void let_go(void)
{
	held = NULL;
	for (int n = 0; n < 8; n++)    /* whoever is held */
		sem_post(&go);
}

/* B once more, on a disk that knows what a power cut would leave. */
static struct store *open_cut(struct store *b)
{
	struct disk *d;

	store_close(b);
	cr_assert_eq(powercut_open(&d, path_b), 0);
	return open_on(d);
}

static struct store *after_a_power_cut(struct store *b)
{
	powercut_copy(path_c, CUT_LEAST);
	store_stop(b);
	store_close(b);
	return open_as(path_c, true);
}

Test(standby, announced_only_what_is_not_synced_here_is_not_shown)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");

	put(t, "one\n");
	b = open_held(b);
	send(a, b);
	announce(a, b);
	cr_assert(comes_to_show(b, "orders", "one\n"));
	hold_syncs(b);
	put(t, "two\n");
	carry(a, b);
	sem_wait(&arrived);
	announce(a, b);
	cr_assert_str_eq(shown(b, "orders"), "one\n");
	let_go();
	cr_assert(comes_to_show(b, "orders", "one\ntwo\n"));
	topic_put(t);
	close_both(a, b);
}

Test(standby, current_once_it_has_synced_what_was_committed_when_it_was_told)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");

	make_pair(a, b, 0);
	b = open_held(b);
	cr_assert(!view(b).current, "that was another process");
	hold_syncs(b);
	put(t, "one\n");
	carry(a, b);
	sem_wait(&arrived);
	announce(a, b);
	cr_assert(!view(b).current);
	let_go();
	synced(b);
	announce(a, b);
	cr_assert(view(b).current);
	topic_put(t);
	close_both(a, b);
}

Test(standby, standby_sync_what_is_written_is_not_yet_what_it_acknowledges)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	uint64_t before;

	b = open_held(b);
	send(a, b);
	before = view(b).synced;
	hold_syncs(b);
	put(t, "one\n");
	carry(a, b);
	sem_wait(&arrived);
	cr_assert_eq(view(b).synced, before);
	let_go();
	synced(b);
	cr_assert_eq(view(b).synced, view(a).end);
	topic_put(t);
	close_both(a, b);
}

static void *begin_reign(void *b)
{
	cr_assert_eq(store_begin_reign(b, (struct reign){2, view(b).node}, 0, true), 0);
	return NULL;
}

Test(standby, start_durable_the_first_record_of_a_reign_is_sent_when_it_is_synced)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	uint64_t end;
	pthread_t thread;

	make_pair(a, b, 1);
	b = open_held(b);
	cr_assert_eq(store_promise(b, (struct reign){2, view(b).node}), 0);
	synced(b);
	end = view(b).end;
	hold_syncs(b);
	pthread_create(&thread, NULL, begin_reign, b);
	sem_wait(&arrived);
	cr_assert_gt(view(b).written, end);
	cr_assert_eq(store_sendable(b), end);
	let_go();
	pthread_join(thread, NULL);
	cr_assert_gt(store_sendable(b), end);
	close_both(a, b);
}

Test(standby, start_durable_a_reign_whose_first_record_cannot_be_synced_has_not_begun)
{
	struct store *a = open_as(path_a, false), *b = join(a);

	make_pair(a, b, 1);
	b = open_held(b);
	cr_assert_eq(store_promise(b, (struct reign){2, view(b).node}), 0);
	synced(b);
	scratch.before_sync = NULL;
	scratch.error = -EIO;
	scratch.chosen = behind_it;
	hold_syncs(b);
	cr_assert_eq(store_begin_reign(b, (struct reign){2, view(b).node}, 0, true), -EIO);
	let_go();
	close_both(a, b);
}

Test(standby, fence_durable_a_promise_outlives_a_power_cut)
{
	struct store *a = open_as(path_a, false), *b = open_cut(join(a));
	uint64_t node = view(a).node;

	cr_assert_eq(store_promise(b, (struct reign){7, node}), 0);
	cr_assert_eq(store_promise(b, (struct reign){6, node}), -EPERM);
	b = after_a_power_cut(b);
	cr_assert_eq(view(b).promise.reign.number, 7);
	cr_assert_eq(store_promise(b, (struct reign){6, node}), -EPERM);
	close_both(a, b);
}

static off_t reserved(void)
{
	struct stat st;

	return disk_stat(scratch.under, "reserve", &st) == 0 ? st.st_size : 0;
}

/* The disk is full: of each of these the first write fails. */
Test(standby, on_a_full_disk_a_promise_and_a_reign_are_kept_out_of_the_reserve)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	off_t before;

	make_pair(a, b, 1);
	b = open_held(b);
	keeper_stop(b->keeper);
	cr_assert_eq(reserve_keep(b->disk, 1 << 20), 0);
	before = reserved();
	scratch.error = -ENOSPC;
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(store_promise(b, (struct reign){2, view(b).node}), 0);
	cr_assert_lt(reserved(), before);
	before = reserved();
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(store_begin_reign(b, (struct reign){2, view(b).node}, 0, true), 0);
	cr_assert_lt(reserved(), before);
	cr_assert_eq(view(b).promise.own, 2);
	close_both(a, b);
}

/* COUNT messages of 100000 bytes. */
static void put_long(struct topic *t, int count)
{
	static char text[100001];

	memset(text, 'x', sizeof text - 1);
	for (int n = 0; n < count; n++)
		put(t, text);
}

static void fill_disk(void)
{
	scratch.kinds = 1u << CALL_ALLOCATE;
	scratch.error = -ENOSPC;
	scratch.stays = true;
	scratch.fail_any = 1;
	scratch.free = 1;
}

/* A node of a pair writes its epoch's first record, or does not start. */
Test(standby, on_a_full_disk_a_primary_starts_behind_a_message_longer_than_a_segment)
{
	static char text[2 << 20];
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	char why[STORE_WHY];
	uint64_t pos;

	make_pair(a, b, 1);
	memset(text, 'x', sizeof text - 1);
	cr_assert_eq(append(t, text, &pos), 0);
	topic_put(t);
	store_stop(a);
	store_close(a);
	disk_free(scratch.under);
	cr_assert_eq(disk_open_directory(&scratch.under, path_a), 0);
	fill_disk();
	options.standby = false;
	cr_assert_eq(store_open_disk(&a, &scratch.disk, path_a, &options, why), 0, "%s", why);
	cr_assert_eq(view(a).epoch.start, 2);
	close_both(a, b);
}

/* The keeper's rounds. */
static void keep(struct store *s)
{
	for (int n = 0; n < 4; n++) {
		bool need;

		cr_assert_eq(seal_committed(s), 0);
		cr_assert_geq(retain_run(s, 0, &need), 0);
	}
}

/* A pair whose topic has a limit, and B's disk has room for what A has of it; B's keeper is the test. */
static struct store *open_nearly_full(struct store *a, struct topic *t)
{
	struct command *c = command_new_waited();
	struct store *b = join(a);

	cr_assert_eq(command_wait(c, store_set(a, c, t, SETTING_RETENTION_AGE, "30d")), 0);
	options.segment_size = 8 << 20;        /* what is sent needs a file of its own all the same */
	b = open_held(b);
	keeper_stop(b->keeper);
	b->options.retention_free = 1;
	while (view(a).end - log_active(a->log) < 850000 || log_active(a->log) == 0)
		put_long(t, 1);
	send(a, b);
	announce(a, b);
	cr_assert_eq(wait_committed(b, view(a).end), 0);
	return b;
}

/* What is in A's log and not in B's; the error that B gives. */
static int receive(struct store *a, struct store *b)
{
	struct member_view v = view(a);
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	size_t took;
	ssize_t n;
	int err;

	cr_assert_eq(store_raw(a, view(b).end, &raw), 0);
	n = raw_read(raw, store_sendable(a), &bytes, &base);
	cr_assert_gt(n, 0);
	err = store_receive(b, bytes, (size_t)n, base, &v.epoch, &took);
	raw_close(raw);
	return err;
}

/* Its log does not move any more, so there are no two checkpoints; and a kill between leaves a store that starts. */
Test(standby, a_full_one_relieves_itself_although_its_log_stands_still)
{
	struct store *a = open_as(path_a, false), *b, *c;
	struct topic *t = make_topic(a, "orders"), *there;
	struct queue *q;

	b = open_nearly_full(a, t);
	fill_disk();
	keep(b);
	cr_assert_eq(segments_start(b->segments), 0, "nothing was refused yet");
	put_long(t, 2);
	cr_assert_eq(receive(a, b), -ENOSPC);
	keep(b);
	cr_assert_gt(segments_start(b->segments), 0);
	scratch_copy(path_b, path_c);
	c = open_as(path_c, true);
	there = topic_find(c, "orders");
	q = topic_queue(there, 0);
	cr_assert_gt(q->head, 0);
	cr_assert_eq(c->damaged, 0);
	topic_put(there);
	store_close(c);
	scratch.fail_any = 0;
	scratch.stays = false;
	scratch.free = 0;
	send(a, b);
	topic_put(t);
	close_both(a, b);
}

/* More messages than are retained, acknowledged by B; A's keeper then has heads in the log that nobody acknowledges. */
static void make_keeper_wait(struct store *a, struct store *b, struct topic *t)
{
	static char text[3001];
	uint64_t end = 0;

	memset(text, 'x', sizeof text - 1);
	for (int n = 0; n < 3; n++)
		cr_assert_eq(append(t, text, &end), 0);
	send(a, b);
	acknowledge(b, a);
	while (view(a).end == end)
		usleep(1000);
}

Test(standby, a_primary_stops_although_its_keeper_waits_for_another_node)
{
	struct store *a, *b;
	struct command *c = command_new_waited();
	struct topic *t;
	int64_t began;

	options.commit_timeout = 20000000000;
	a = open_as(path_a, false);
	t = make_topic(a, "orders");
	cr_assert_eq(command_wait(c, store_set(a, c, t, SETTING_RETENTION_SIZE, "4000")), 0);
	b = join(a);
	make_pair(a, b, 1);
	make_keeper_wait(a, b, t);
	began = commit_clock();
	store_stop(a);
	cr_assert_lt(commit_clock() - began, INT64_C(10000000000));
	topic_put(t);
	close_both(a, b);
}

/* Its own promise is of what it received when it joined: what it wrote in an earlier life proves nothing of this disk. */
Test(standby, one_that_joins_has_promised_what_it_was_given)
{
	struct store *a = open_as(path_a, false), *b;
	struct topic *t = make_topic(a, "orders");
	uint64_t end;

	put(t, "one\n");
	end = view(a).end;
	b = join(a);
	cr_assert_eq(view(b).promise.received, end);
	cr_assert_eq(view(b).promise.reign.node, view(a).node);
	topic_put(t);
	close_both(a, b);
}

/* The log of B is cut at POS, and then the power. */
static struct store *cut_twice(struct store *b, uint64_t pos)
{
	char lost[200];

	cr_assert_eq(store_cut(b, pos, 0), 0);
	b = after_a_power_cut(b);
	cr_assert_eq(view(b).end, pos);
	snprintf(lost, sizeof lost, "%s/lost/%016" PRIx64 ".0", path_c, pos);
	if (access(lost, F_OK))
		strcat(lost, ".segment");
	cr_assert_eq(access(lost, F_OK), 0, "what was cut is in lost/");
	return b;
}

/* B, on a disk that can fail, has a record that A's log is to have no more, from *POS on. */
static struct store *open_parted(struct store *a, uint64_t *pos)
{
	struct topic *t = make_topic(a, "orders");
	struct store *b = join(a);

	put(t, "both\n");
	send(a, b);
	*pos = view(b).end;
	put(t, "only here\n");
	send(a, b);
	topic_put(t);
	b = open_held(b);
	keeper_stop(b->keeper);
	disk_unlink(scratch.under, "reserve");
	return b;
}

Test(standby, on_a_full_disk_what_is_cut_is_kept_out_of_the_reserve)
{
	struct store *a = open_as(path_a, false), *b;
	uint64_t pos;
	off_t before;

	b = open_parted(a, &pos);
	cr_assert_eq(reserve_keep(b->disk, 1 << 20), 0);
	before = reserved();
	scratch.error = -ENOSPC;
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(store_cut(b, pos, 0), 0);
	cr_assert_lt(reserved(), before);
	cr_assert_eq(view(b).end, pos);
	close_both(a, b);
}

Test(standby, a_cut_that_finds_no_room_or_descriptor_is_made_later)
{
	struct store *a = open_as(path_a, false), *b;
	uint64_t pos, end;
	int opens = 0;

	b = open_parted(a, &pos);
	end = view(b).end;
	scratch.error = -ENOSPC;
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(store_cut(b, pos, 0), -ENOSPC);
	cr_assert(!log_failed(b->log));
	cr_assert_eq(view(b).end, end);
	scratch.error = -EMFILE;
	do
		scratch.fail[CALL_OPEN] = ++opens;
	while (store_cut(b, pos, 0) == -EMFILE);
	cr_assert_gt(opens, 3);
	scratch.fail[CALL_OPEN] = 0;
	cr_assert(!log_failed(b->log));
	cr_assert_eq(view(b).end, pos);
	send(a, b);
	cr_assert_eq(view(b).chain, view(a).chain);
	close_both(a, b);
}

Test(standby, a_cut_that_is_made_in_part_fails_the_log)
{
	struct store *a = open_as(path_a, false), *b;
	uint64_t pos;

	b = open_parted(a, &pos);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_PWRITEV] = 2;        /* the zeros behind the copy */
	cr_assert_eq(store_cut(b, pos, 0), -ENOSPC);
	cr_assert(log_failed(b->log));
	close_both(a, b);
}

struct reader {
	struct watcher watcher;
	sem_t told;
	int err;
};

static void reader_told(struct watcher *w, int err)
{
	struct reader *r = (struct reader *)w;

	r->err = err;
	sem_post(&r->told);
}

/* Nothing is to be synced, so the committer would not look by itself. */
Test(standby, a_log_that_fails_while_it_receives_tells_who_waits)
{
	struct store *a = open_as(path_a, false), *b;
	struct topic *t = make_topic(a, "orders"), *there;
	struct reader r = {.watcher.ready = reader_told};

	b = open_held(join(a));
	send(a, b);
	announce(a, b);
	keeper_stop(b->keeper);
	there = topic_find(b, "orders");
	sem_init(&r.told, 0, 0);
	cr_assert_eq(watch_queue(topic_queue(there, 0), 0, &r.watcher), 0);
	put(t, "more\n");
	scratch.error = -EIO;
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(receive(a, b), -EIO);
	sem_wait(&r.told);
	cr_assert_eq(r.err, -EIO);
	cr_assert_eq(watch_error(b), -EIO);
	topic_put(there);
	topic_put(t);
	close_both(a, b);
}

Test(standby, what_is_cut_does_not_come_back)
{
	struct store *a = open_as(path_a, false), *b = open_cut(join(a));
	struct topic *t = make_topic(a, "orders");
	uint64_t pos;

	put(t, "one\n");
	pos = view(a).end;
	put(t, "two\n");
	send(a, b);
	b = cut_twice(b, pos);
	topic_put(t);
	close_both(a, b);
}

Test(standby, a_whole_segment_that_is_cut_does_not_come_back)
{
	static char line[50001];
	struct store *a, *b;
	struct topic *t;
	uint64_t pos;

	options.segment_size = 64 << 10;
	a = open_as(path_a, false);
	b = open_cut(join(a));
	t = make_topic(a, "orders");
	memset(line, 'x', sizeof line - 2);
	line[sizeof line - 2] = '\n';
	put(t, line);
	pos = view(a).end;
	put(t, line);
	send(a, b);
	cr_assert_eq(log_active(b->log), pos, "it is in a segment of its own");
	b = cut_twice(b, pos);
	topic_put(t);
	close_both(a, b);
}

Test(standby, who_waits_for_what_is_cut_is_not_told_that_it_is_committed)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	struct reign r = {2, view(b).node};
	struct waiter w = {.follow.done = told};
	uint64_t before;

	make_pair(a, b, 1);
	before = view(a).end;
	cr_assert_eq(append(t, "only here\n", &w.follow.pos), 0);
	sem_init(&w.told, 0, 0);
	cr_assert_eq(store_follow(a, &w.follow), 0);
	cr_assert_eq(store_step_down(a), 0);
	cr_assert_eq(store_promise(a, r), 0);
	cr_assert_eq(store_cut(a, before, 0), 0);
	sem_wait(&w.told);
	cr_assert_eq(w.err, -ETIMEDOUT);
	topic_put(t);
	close_both(a, b);
}

/* The records behind it tell that it was committed, on the primary's disk. */
Test(standby, intact_end_a_record_that_did_not_get_to_the_disk_is_no_damage)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	struct store_status status;
	uint64_t pos;
	char name[200];
	int fd;

	put(t, "one\n");
	pos = view(a).end;
	put(t, "two\n");
	put(t, "three\n");
	put(t, "four\n");
	send(a, b);
	scratch_copy(path_b, path_c);
	snprintf(name, sizeof name, "%s/log/%016x", path_c, 0);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, "\0\0\0\0", 4, (off_t)(SEGMENT_HEADER + pos)), 4);
	close(fd);
	store_stop(b);
	store_close(b);
	b = open_as(path_c, true);
	cr_assert_eq(view(b).end, pos);
	store_status(b, &status);
	cr_assert_eq(status.damaged, 0);
	cr_assert_eq(status.lost_files, 1);
	send(a, b);
	announce(a, b);
	cr_assert(comes_to_show(b, "orders", "one\ntwo\nthree\nfour\n"));
	topic_put(t);
	close_both(a, b);
}
