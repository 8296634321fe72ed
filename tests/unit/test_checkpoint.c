/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include "checkpoint.h"
#include "keeper.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* Two stores without a log on the same disk: what one writes the other loads. */
static struct store a, b;

static void prepare(struct store *s)
{
	memset(s, 0, sizeof *s);
	s->disk = &scratch.disk;
	s->id.cluster = 17;
	memcpy(s->id.secret, scratch_secret, RECORD_SECRET);
	settings_normal(&s->options.settings);
	pthread_mutex_init(&s->damage_lock, NULL);
	cr_assert_eq(topics_new(&s->topics, s), 0);
	cr_assert_eq(segments_new(&s->segments, s->disk, s->id.secret), 0);
	cr_assert_eq(annals_new(&s->annals), 0);
}

static const struct epoch_row first_epoch = {.epoch = {3, 1, 5}, .start = 0};
static const struct epoch_row second_epoch = {.epoch = {3, 4, 5}, .start = 4096, .chain = 0xfeed, .accepted_loss = true};
static const struct epoch_row later_epoch = {.epoch = {3, 5, 5}, .start = 8192, .chain = 0xabcdef};
static const struct pair_row old_pair = {120, {.nodes = 2, .node = {5, 6}, .name = {"a", "b"}}};
static const struct pair_row pair = {4300, {.nodes = 1, .stopped = 6, .node = {5}, .name = {"a"}}};
static const struct pair_row later_pair = {8192, {.min_standbys = 1, .nodes = 2, .node = {5, 6}, .name = {"a", "b"}}};

static void fill(struct store *s)
{
	struct topic *t;
	struct queue *q;

	*topics_root(s->topics) = (struct owner){1, 2, 0711};
	*topics_counter(s->topics) = 9;
	cr_assert_eq(topic_add(s->topics, 3, "orders", 6, &(struct owner){1000, 100, 0750}, 44, &t), 0);
	cr_assert_eq(topic_grow(t, 4, &t->owner, 44), 0);
	t->ctime = 55;
	t->retired = true;
	t->own[SETTING_COMMIT] = COMMIT_FSYNC;
	t->own[SETTING_RETENTION_SIZE] = SETTING_NONE;
	t->own_set = 1u << SETTING_COMMIT | 1u << SETTING_RETENTION_SIZE;
	q = topic_queue(t, 2);
	q->committed = 1000;
	q->messages = 10;
	q->mtime = 66;
	q->last_pos = 4096;
	q->head = 300;
	q->partial = 2;
	q->owner = (struct owner){7, 8, 0600};
	cr_assert_eq(topic_add(s->topics, 9, "b", 1, &(struct owner){0, 0, 0755}, 45, &t), 0);
	cr_assert_eq(topic_grow(t, 1, &t->owner, 45), 0);
	s->applied_at = (struct log_start){.pos = 8192, .chain = 0xabcdef, .epoch = {3, 4, 5}, .time = 77};
	s->applied = 8192;
	cr_assert_eq(annals_restore_epoch(s->annals, &first_epoch), 0);
	cr_assert_eq(annals_restore_epoch(s->annals, &second_epoch), 0);
	cr_assert_eq(annals_restore_epoch(s->annals, &later_epoch), 0);
	cr_assert_eq(annals_restore_pair(s->annals, &old_pair), 0);
	cr_assert_eq(annals_restore_pair(s->annals, &pair), 0);
	cr_assert_eq(annals_restore_pair(s->annals, &later_pair), 0);
}

static void setup(void)
{
	scratch_init();
	disk_mkdir(&scratch.disk, "checkpoint", 0755);
	prepare(&a);
	prepare(&b);
	fill(&a);
}

static void finish(struct store *s)
{
	topics_free(s->topics);
	segments_free(s->segments);
	annals_free(s->annals);
}

static void teardown(void)
{
	finish(&a);
	finish(&b);
	scratch_end();
}

TestSuite(checkpoint, .init = setup, .fini = teardown);

static uint64_t write_at(uint64_t pos)
{
	struct checkpoint_info info;

	a.applied_at.pos = pos;
	a.applied = pos;
	cr_assert_eq(checkpoint_write(&a, &info), 0);
	cr_assert_eq(info.pos, pos);
	cr_assert_eq(info.size, checkpoint_size(&a));
	return info.size;
}

static void path_of(char to[128], uint64_t pos)
{
	snprintf(to, 128, "%s/checkpoint/%016" PRIx64, scratch_path, pos);
}

/* Changes one byte of the checkpoint at POS. */
static void damage(uint64_t pos, off_t at)
{
	char path[128];
	uint8_t byte;
	int fd;

	path_of(path, pos);
	fd = open(path, O_RDWR);
	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

Test(checkpoint, all_that_is_written_is_loaded)
{
	struct checkpoint_info info;
	struct topic *t;
	struct queue *q;

	write_at(8192);
	cr_assert_eq(checkpoint_load(&b, UINT64_MAX, &info), 0);
	cr_assert_eq(info.pos, 8192);
	cr_assert_eq(info.chain, 0xabcdef);
	cr_assert_eq(info.epoch.reign, 3);
	cr_assert_eq(info.epoch.start, 4);
	cr_assert_eq(info.epoch.node, 5);
	cr_assert_eq(info.time, 77);
	cr_assert_eq(b.applied, 8192);
	cr_assert_eq(b.applied_at.chain, 0xabcdef);
	cr_assert_eq(topics_root(b.topics)->mode, 0711);
	cr_assert_eq(*topics_counter(b.topics), 9);
	cr_assert_eq(topic_count(&b), 2);
	t = topic_with_name(b.topics, "orders", 6);
	cr_assert_eq(t->id, 3);
	cr_assert_eq(t->born, 44);
	cr_assert_eq(t->ctime, 55);
	cr_assert(t->retired);
	cr_assert_eq(t->owner.gid, 100);
	cr_assert_eq(t->count, 4);
	cr_assert_eq(topic_setting(t, SETTING_COMMIT), COMMIT_FSYNC);
	cr_assert_eq(topic_setting(t, SETTING_RETENTION_SIZE), SETTING_NONE);
	cr_assert_not(topic_has_own(t, SETTING_FRAMING));
	q = topic_queue(t, 2);
	cr_assert_eq(q->committed, 1000);
	cr_assert_eq(q->appended, 1000);
	cr_assert_eq(q->messages, 10);
	cr_assert_eq(q->mtime, 66);
	cr_assert_eq(q->last_pos, 4096);
	cr_assert_eq(q->head, 300);
	cr_assert_eq(q->partial, 2);
	cr_assert_eq(q->owner.mode, 0600);
	cr_assert_eq(topic_queue(t, 3)->last_pos, UINT64_MAX);
	cr_assert_not(topic_with_name(b.topics, "b", 1)->retired);
}

/* Of what the log says of itself, what stands before the checkpoint, and is not replaced. */
Test(checkpoint, epochs_and_the_pair_are_in_it)
{
	struct checkpoint_info info;
	struct epoch_row *rows;
	struct pair_row in_force[4];
	size_t count;

	write_at(8192);
	cr_assert_eq(checkpoint_load(&b, UINT64_MAX, &info), 0);
	cr_assert_eq(annals_epochs(b.annals, &rows, &count), 0);
	cr_assert_eq(count, 2);
	cr_assert_eq(rows[0].epoch.start, 1);
	cr_assert_eq(rows[1].epoch.start, 4);
	cr_assert_eq(rows[1].epoch.reign, 3);
	cr_assert_eq(rows[1].epoch.node, 5);
	cr_assert_eq(rows[1].start, 4096);
	cr_assert_eq(rows[1].chain, 0xfeed);
	cr_assert(rows[1].accepted_loss);
	cr_assert_not(rows[0].accepted_loss);
	free(rows);
	cr_assert_eq(annals_pairs(b.annals, 8192, in_force, 4, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(in_force[0].pos, 4300);
	cr_assert_eq(in_force[0].pair.nodes, 1);
	cr_assert_eq(in_force[0].pair.stopped, 6);
	cr_assert_str_eq(in_force[0].pair.name[0], "a");
}

Test(checkpoint, of_nothing_is_none)
{
	struct checkpoint_info info;

	cr_assert_eq(checkpoint_load(&b, UINT64_MAX, &info), -ENOENT);
	cr_assert_eq(topic_count(&b), 0);
}

Test(checkpoint, the_newest_within_the_limit_is_loaded)
{
	struct checkpoint_info info;

	write_at(100);
	write_at(0x1000);
	write_at(200);
	cr_assert_eq(checkpoint_load(&b, 0xfff, &info), 0);
	cr_assert_eq(info.pos, 200);
}

Test(checkpoint, a_damaged_one_is_told_and_passed_over)
{
	struct checkpoint_info info;
	off_t size;

	write_at(100);
	size = (off_t)write_at(200);
	for (off_t at = 0; at < size; at++) {
		damage(200, at);
		cr_assert_eq(checkpoint_check(&scratch.disk, scratch_secret, 200, &info), -EBADMSG, "byte %ld", (long)at);
		damage(200, at);
	}
	cr_assert_eq(checkpoint_check(&scratch.disk, scratch_secret, 200, &info), 0);
	damage(200, size / 2);
	cr_assert_eq(checkpoint_load(&b, UINT64_MAX, &info), 0);
	cr_assert_eq(info.pos, 100);
	cr_assert_eq(b.damaged, 1);
	cr_assert_eq(topic_count(&b), 2);
}

Test(checkpoint, one_cut_short_or_renamed_is_damaged)
{
	struct checkpoint_info info;
	char path[128], other[128];
	uint64_t size = write_at(200);

	path_of(path, 200);
	path_of(other, 300);
	for (uint64_t len = 0; len < size; len += 7) {
		cr_assert_eq(truncate(path, (off_t)len), 0);
		cr_assert_eq(checkpoint_check(&scratch.disk, scratch_secret, 200, &info), -EBADMSG);
		write_at(200);
	}
	cr_assert_eq(rename(path, other), 0);
	cr_assert_eq(checkpoint_check(&scratch.disk, scratch_secret, 300, &info), -EBADMSG);
}

/* Any bytes under a right checksum: nothing is read past the end, nothing absurd is believed. */
Test(checkpoint, forged_lengths_are_refused)
{
	struct checkpoint_info info;
	uint64_t size = write_at(200);
	uint8_t *bytes = malloc(size), was;
	char path[128];
	int fd;

	path_of(path, 200);
	fd = open(path, O_RDWR);
	cr_assert_eq(pread(fd, bytes, size, 0), (ssize_t)size);
	srand(5);
	for (int i = 0; i < 3000; i++) {
		size_t at = 64 + (size_t)rand() % (size - 64 - 8);
		was = bytes[at];
		bytes[at] = (uint8_t)rand();
		put64(bytes + size - 8, XXH3_64bits_withSecret(bytes, size - 8, scratch_secret, RECORD_SECRET));
		cr_assert_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
		int err = checkpoint_check(&scratch.disk, scratch_secret, 200, &info);
		cr_assert(err == 0 || err == -EBADMSG);
		struct store c;
		prepare(&c);
		err = checkpoint_load(&c, UINT64_MAX, &info);
		cr_assert(err == 0 || err == -ENOENT || err == -EUCLEAN);
		finish(&c);
		bytes[at] = was;
	}
	close(fd);
	free(bytes);
}

Test(checkpoint, one_of_another_cluster_is_none)
{
	struct checkpoint_info info;

	write_at(200);
	b.id.secret[0] ^= 1;
	cr_assert_eq(checkpoint_load(&b, UINT64_MAX, &info), -ENOENT);
}

Test(checkpoint, those_there_are_listed_newest_first)
{
	uint64_t pos[3];
	size_t count;

	write_at(0x10);
	write_at(0xfffffffff0);
	write_at(0x200);
	write_at(0x8);
	cr_assert_eq(disk_replace(&scratch.disk, "checkpoint/other", "x", 1, 0600), 0);
	cr_assert_eq(checkpoint_list(&scratch.disk, pos, 3, &count), 0);
	cr_assert_eq(count, 3);
	cr_assert_eq(pos[0], 0xfffffffff0);
	cr_assert_eq(pos[1], 0x200);
	cr_assert_eq(pos[2], 0x10);
}

Test(checkpoint, pruning_keeps_the_newest_valid_ones)
{
	uint64_t pos[8];
	struct stat st;
	size_t count;

	for (uint64_t n = 1; n <= 5; n++)
		write_at(n * 100);
	damage(500, 120);
	cr_assert_eq(disk_rename(&scratch.disk, "checkpoint/0000000000000064", "checkpoint/0000000000000064.new"), 0);
	cr_assert_eq(checkpoint_prune(&a, 2), 0);
	cr_assert_eq(disk_stat(&scratch.disk, "checkpoint/0000000000000064.new", &st), -ENOENT);
	cr_assert_eq(checkpoint_list(&scratch.disk, pos, 8, &count), 0);
	cr_assert_eq(count, 3);
	cr_assert_eq(pos[1], 400);
	cr_assert_eq(pos[2], 300);
}

Test(checkpoint, a_crash_while_it_is_written_leaves_the_one_before)
{
	static const enum faulty_call calls[] = {CALL_PWRITEV, CALL_SYNC, CALL_RENAME};
	struct checkpoint_info info;

	write_at(100);
	a.applied_at.pos = 200;
	a.applied = 200;
	for (size_t n = 0; n < sizeof calls / sizeof *calls; n++) {
		scratch.fail[calls[n]] = 1;
		cr_assert_eq(checkpoint_write(&a, &info), -EIO);
		struct store c;
		prepare(&c);
		cr_assert_eq(checkpoint_load(&c, UINT64_MAX, &info), 0);
		cr_assert_eq(info.pos, 100);
		cr_assert_eq(c.damaged, 0);
		finish(&c);
	}
}

Test(checkpoint, a_full_disk_gives_its_reserve_to_it)
{
	struct checkpoint_info info;
	struct stat st;

	cr_assert_eq(reserve_keep(a.disk, 100000), 0);
	cr_assert_eq(disk_stat(&scratch.disk, "reserve", &st), 0);
	cr_assert_geq(st.st_blocks * 512, 100000);
	cr_assert_eq(reserve_keep(a.disk, 50000), 0);
	scratch.error = -ENOSPC;
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(checkpoint_write(&a, &info), 0);
	cr_assert_eq(disk_stat(&scratch.disk, "reserve", &st), 0);
	cr_assert_lt(st.st_blocks * 512, 100000, "all that it needs, and no more");
	scratch.fail[CALL_PWRITEV] = 1;
	cr_assert_eq(checkpoint_write(&a, &info), 0);
	cr_assert_eq(disk_stat(&scratch.disk, "reserve", &st), -ENOENT);
	cr_assert_eq(reserve_keep(a.disk, 100000), 0);
	cr_assert_eq(disk_stat(&scratch.disk, "reserve", &st), 0);
}

Test(checkpoint, forty_thousand_queues)
{
	struct checkpoint_info info;
	struct topic *t;
	char name[16];

	for (uint64_t id = 10; id < 10010; id++) {
		int len = snprintf(name, sizeof name, "topic%" PRIu64, id);
		cr_assert_eq(topic_add(a.topics, id, name, (size_t)len, &(struct owner){0, 0, 0755}, 1, &t), 0);
		cr_assert_eq(topic_grow(t, 4, &t->owner, 1), 0);
		topic_queue(t, 3)->committed = id;
	}
	*topics_counter(a.topics) = 10009;
	cr_assert_lt(write_at(8192), 4 << 20);
	cr_assert_eq(checkpoint_load(&b, UINT64_MAX, &info), 0);
	cr_assert_eq(topic_count(&b), 10002);
	cr_assert_eq(queue_by_id(&b, 5000 << QUEUE_BITS | 3)->committed, 5000);
}
