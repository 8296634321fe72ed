/* SPDX-License-Identifier: Apache-2.0 */
#include "fault_work.h"
#include "checkpoint.h"
#include "committed.h"
#include "keeper.h"
#include "log.h"
#include "powercut.h"
#include "retain.h"
#include "scratch.h"
#include "seal.h"
#include "supply.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKPOINT ((uint64_t)256 << 10)
#define ROUNDS 18
#define LIMIT "100K"

const char *const work_names[TOPICS] = {"keep", "trim"};
const uint32_t work_length[TOPICS] = {9000, 17000};

struct done did;
struct store *store;
struct store_options work_options;
char work_said[1024];
bool work_sound, work_once;

/* ---- the disk that the store gets ---- */

int __real_disk_open_directory(struct disk **d, const char *path);
int __wrap_disk_open_directory(struct disk **d, const char *path);


int __wrap_disk_open_directory(struct disk **d, const char *path)
{
	if (work_sound)
		return __real_disk_open_directory(d, path);
	scratch.disk.unsound = 0;                /* a new process knows nothing of it */
	scratch.names_unsound = false;
	*d = &scratch.disk;
	return 0;
}

static void forget(void *ctx, int fd)
{
	(void)ctx;
	powercut_forget(fd);
}

static void say(void *ctx, int priority, const char *text)
{
	(void)ctx;
	(void)priority;
	if (getenv("MQFS_TEST_TELL"))
		fprintf(stderr, "%s\n", text);
	snprintf(work_said, sizeof work_said, "%s", text);
}

void work_disk(const char *from)
{
	struct disk *real;

	store_options_normal(&work_options);
	work_options.segment_size = WORK_SEGMENT;
	work_options.checkpoint_every = CHECKPOINT;
	work_options.commit_timeout = 60000000000u;          /* so long that whoever comes to its end waited in vain */
	work_options.say = say;
	work_sound = true;
	scratch_init_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");       /* the faster, the better: nothing is really synced */
	real = scratch.under;
	if (from) {
		scratch_remove(scratch_path);
		scratch_copy(from, scratch_path);
	}
	if (powercut_open(&scratch.under, scratch_path))
		abort();
	disk_free(real);
	scratch.sync_failed = forget;
	work_sound = false;
	if (!from)
		memset(&did, 0, sizeof did);
}

void work_end(void)
{
	disk_free(scratch.under);
	scratch_remove(scratch_path);
}

/* ---- what is attempted ---- */

void work_message(int topic, int n, char to[WORK_LONGEST])
{
	memset(to, 'a' + n % 26, work_length[topic]);
	snprintf(to, 32, "%s %06d", work_names[topic], n);
	to[11] = ' ';
	to[work_length[topic] - 1] = '\n';
}

int work_open(const char *path)
{
	char why[STORE_WHY];
	int err = store_open(&store, path, &work_options, why);

	did.opened = err == 0;
	if (err) {
		store = NULL;
		cr_assert_neq(why[0], 0, "no reason given for %d", err);
		snprintf(work_said, sizeof work_said, "%s", why);
		return err;
	}
	if (store->keeper)
		keeper_stop(store->keeper);
	return 0;
}

void work_close(void)
{
	store_stop(store);
	store_close(store);
	store = NULL;
}

int work_append(int topic, int count, uint64_t *end)
{
	static char text[WORK_LONGEST];
	struct topic *t = topic_find(store, work_names[topic]);
	struct place place = {0};
	int err = t ? 0 : -ENOENT;

	for (int i = 0; !err && i < count && did.tried[topic] < MESSAGES; i++) {
		struct iovec iov = {text, work_length[topic]};
		struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
		work_message(topic, did.tried[topic], text);
		did.tried[topic]++;
		err = store_append(topic_queue(t, 0), &b, &place);
		if (err == -ENOSPC || err == -EDQUOT || err == -ENOMEM || err == -ENOBUFS || err == -EROFS)
			did.tried[topic]--;            /* not there, says the contract */
	}
	topic_put(t);
	*end = place.end;
	return err;
}

int work_append_wait(int topic)
{
	int first = did.tried[topic], waited;
	uint64_t end;
	int err = work_append(topic, 2, &end);

	if (!end)
		return err;
	waited = wait_committed(store, end);
	did.late |= waited == -ETIMEDOUT;
	if (waited == 0)
		for (int n = first; n < did.tried[topic] && n < first + (err ? 1 : 2); n++)
			did.acked[topic][n] = true;
	return err ? err : waited;
}

void work_keep(void)
{
	bool need = false;
	uint64_t pos;
	int64_t when;

	seal_committed(store);
	keeper_checkpoint_info(store->keeper, &pos, &when);
	if (store->applied >= pos + CHECKPOINT)
		keeper_checkpoint(store->keeper);
	retain_run(store, 0, &need);
	if (need)
		keeper_checkpoint(store->keeper);
	retain_pins(store);
	segments_leave_cache(store->segments, 0, store->applied);
}

void work_read(int topic)
{
	struct topic *t = topic_find(store, work_names[topic]);
	struct reader *r;
	struct slice s;

	slice_init(&s);
	if (t && reader_new(&r, store, topic_queue(t, 0)) == 0) {
		reader_read(r, topic_queue(t, 0)->head, 1000, &s);
		reader_free(r);
	}
	slice_free(&s);
	topic_put(t);
}

static void read_topic(int topic)
{
	struct topic *t = topic_find(store, work_names[topic]);
	struct merge *m;
	struct slice s;

	slice_init(&s);
	if (t && merge_new(&m, store, t, 0) == 0) {
		while (merge_read(m, 1 << 20, &s) > 0)
			slice_free(&s);
		merge_free(m);
	}
	slice_free(&s);
	topic_put(t);
}

static void look_around(void)
{
	static struct store_status status;
	struct topic *t = topic_find(store, work_names[KEEP]);
	struct pin pins[2];
	uint64_t offset;

	work_read(KEEP);
	work_read(TRIM);
	read_topic(KEEP);
	if (t) {
		queue_offset_at_time(store, topic_queue(t, 0), 1, &offset);
		queue_offset_at_time(store, topic_queue(t, 0), topic_queue(t, 0)->mtime, &offset);
		queue_offset_at_pos(store, topic_queue(t, 0), store->applied / 2, &offset);
		queue_message_start(store, topic_queue(t, 0), work_length[KEEP] + 1, &offset);
	}
	store_status(store, &status);
	store_pins(store, pins, 2);
	topic_put(t);
}

static void other_topic(void)
{
	struct topic *t;

	did.other_made = WORK_DO(store_mkdir(store, c, "other", &(struct owner){0, 0, 0755})) == 0;
	t = topic_find(store, "other");
	if (!t)
		return;
	WORK_DO(store_set_queues(store, c, t, 3));
	WORK_DO(store_set_owner(store, c, t, NULL, OWNER_UID, &(struct owner){7, 0, 0}));
	if (WORK_DO(store_set_retired(store, c, t, true)) == 0) {
		did.other_removing = true;
		did.other_removed = WORK_DO(store_rmdir(store, c, t)) == 0;
	}
	topic_put(t);
}

void work_topics(void)
{
	struct topic *t;

	for (int n = 0; n < TOPICS; n++)
		did.made[n] = WORK_DO(store_mkdir(store, c, work_names[n], &(struct owner){0, 0, 0755})) == 0;
	t = topic_find(store, work_names[TRIM]);
	if (t)
		did.limited = WORK_DO(store_set(store, c, t, SETTING_RETENTION_SIZE, LIMIT)) == 0;
	topic_put(t);
}

static bool go_on(void *ctx)
{
	(void)ctx;
	return true;
}

static bool hurry(void *ctx)
{
	(void)ctx;
	return false;
}

/* ---- whole workloads ---- */

bool work_begin(void)
{
	return work_begin_in(scratch_path);
}

bool work_begin_in(const char *path)
{
	if (work_open(path))
		return false;
	if (!store->read_only)
		return true;
	/* It could not make durable what it found. */
	did.read_only = true;
	cr_assert_eq(WORK_DO(store_mkdir(store, c, "new", &(struct owner){0, 0, 0755})), -EROFS);
	work_close();
	return false;
}

void work_finish(void)
{
	struct topic *t = topic_find(store, work_names[KEEP]);

	if (!t)
		did.made[KEEP] = WORK_DO(store_mkdir(store, c, work_names[KEEP], &(struct owner){0, 0, 0755})) == 0;
	topic_put(t);
	did.went_on = work_append_wait(KEEP) == 0 || work_append_wait(KEEP) == 0;       /* the first may be the one that fails */
	did.failed = log_failed(store->log);
	did.read_only = store->read_only;
	if (did.failed)
		work_check_failed();
	work_close();
}

void work_life(void)
{
	if (!work_begin())
		return;
	work_topics();
	for (int n = 0; n < ROUNDS; n++) {
		work_append_wait(n % TOPICS);
		if (n % 4 == 3)
			work_keep();
		if (n == 6)
			supply_prepare(store->supply, 1, go_on, NULL);
		if (n == 10)
			look_around();
		if (n == 12)
			other_topic();
		if (n == 14)                            /* what retention gave back is needed before it is filled */
			supply_prepare(store->supply, 1, hurry, NULL);
	}
	work_finish();
}

void work_restart(void)
{
	uint64_t rebuild = 0;

	if (!work_begin())
		return;
	while (seal_rebuild(store, &rebuild) > 0)
		;
	look_around();
	work_append_wait(KEEP);
	work_keep();
	work_finish();
}
