/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store on a disk, and with memory, that fail it: each call in turn.
 *
 * One workload, small but with everything in it: topics made, set and removed, segments filled, sealed, prepared and given back, checkpoints, retention,
 * reads. It is run once for every disk call it makes, with that call failing, and once for every allocation; whatever then fails must
 * say so at once, and whatever was acknowledged must be there for the next start, also when only what was synced is left. The keeper's thread
 * is stopped and its work done by the test, so that the calls come in about the same order each time.
 */
#include "committed.h"
#include "checkpoint.h"
#include "commit.h"
#include "keeper.h"
#include "log.h"
#include "powercut.h"
#include "retain.h"
#include "scratch.h"
#include "seal.h"
#include "state.h"
#include "supply.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEGMENT ((uint64_t)160 << 10)
#define CHECKPOINT ((uint64_t)256 << 10)
#define MESSAGES 36                    /* of each topic */
#define KEPT 9000u                     /* bytes of a message of the topic that keeps everything */
#define TRIMMED 17000u                 /* bytes of one of the topic with a limit */
#define LIMIT "100K"

/* ---- the disk and the memory that the store gets ---- */

int __real_disk_open_directory(struct disk **d, const char *path);
int __wrap_disk_open_directory(struct disk **d, const char *path);
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

static bool faulty;                    /* the store gets the disk that fails */
static _Atomic int memory;             /* counts down to the allocation that fails; 0: none */
static _Atomic bool memory_stays;      /* and all after it */

int __wrap_disk_open_directory(struct disk **d, const char *path)
{
	if (!faulty)
		return __real_disk_open_directory(d, path);
	*d = &scratch.disk;
	return 0;
}

static bool no_memory(void)
{
	int left = memory;

	while (left > 1 && !atomic_compare_exchange_weak(&memory, &left, left - 1))
		;
	if (left == 1 && !memory_stays)
		memory = 0;
	return left == 1;
}

void *__wrap_malloc(size_t n)
{
	return no_memory() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return no_memory() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return no_memory() ? NULL : __real_reallocarray(p, n, size);
}

static void forget(void *ctx, int fd)
{
	(void)ctx;
	powercut_forget(fd);
}

static struct store_options options;
static struct store *store;
static char said[1024], why[STORE_WHY];

static void say(void *ctx, int priority, const char *text)
{
	(void)ctx;
	(void)priority;
	snprintf(said, sizeof said, "%s", text);
}

static void begin(void)
{
	store_options_normal(&options);
	options.segment_size = SEGMENT;
	options.checkpoint_every = CHECKPOINT;
	options.say = say;
}

TestSuite(faults, .init = begin, .timeout = 100);

static void new_disk(void)
{
	struct disk *real;

	faulty = false;
	scratch_init_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");       /* the faster, the better: nothing is really synced */
	real = scratch.under;
	if (powercut_open(&scratch.under, scratch_path))
		abort();
	disk_free(real);
	scratch.sync_failed = forget;
	faulty = true;
}

/* ---- what is attempted, and what of it was acknowledged ---- */

enum { KEEP, TRIM, TOPICS };
static const char *const names[TOPICS] = {"keep", "trim"};
static const uint32_t length[TOPICS] = {KEPT, TRIMMED};

static struct done {
	_Atomic int tried[TOPICS];     /* messages */
	_Atomic bool acked[TOPICS][MESSAGES + 2];
	_Atomic bool made[TOPICS];
	_Atomic bool limited;
	_Atomic bool other_made, other_removing, other_removed;
	bool again;                    /* the topic that was made after the next start */
	bool failed;                   /* the log had failed in the end */
	bool opened;
} did;

static void message(int topic, int n, char to[TRIMMED])
{
	memset(to, 'a' + n % 26, length[topic]);
	snprintf(to, 32, "%s %06d", names[topic], n);
	to[11] = ' ';
	to[length[topic] - 1] = '\n';
}

#define DO(call) ({ struct command *c = command_new_waited(); c ? command_wait(c, call) : -ENOMEM; })

/* Two messages of a topic with one wait. */
static int append(int topic)
{
	static char text[TRIMMED];
	struct topic *t = topic_find(store, names[topic]);
	int first = did.tried[topic], given = 0, err = 0;
	struct place place;

	if (!t)
		return -ENOENT;
	for (int i = 0; !err && i < 2; i++) {
		struct iovec iov = {text, length[topic]};
		struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
		message(topic, first + i, text);
		did.tried[topic]++;
		err = store_append(topic_queue(t, 0), &b, &place);
		if (!err)
			given++;
		if (err == -ENOSPC || err == -ENOMEM || err == -ENOBUFS)
			did.tried[topic]--;            /* not there, says the contract */
	}
	if (given && wait_committed(store, place.end) == 0)
		for (int i = 0; i < given; i++)
			did.acked[topic][first + i] = true;
	topic_put(t);
	return err;
}

/* What the keeper would do. */
static void keep(void)
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
}

static bool go_on(void *ctx)
{
	(void)ctx;
	return true;
}

static void read_some(int topic)
{
	struct topic *t = topic_find(store, names[topic]);
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

static void other_topic(void)
{
	struct topic *t;

	did.other_made = DO(store_mkdir(store, c, "other", &(struct owner){0, 0, 0755})) == 0;
	t = topic_find(store, "other");
	if (!t)
		return;
	DO(store_set_queues(store, c, t, 3));
	if (DO(store_set_retired(store, c, t, true)) == 0) {
		did.other_removing = true;
		did.other_removed = DO(store_rmdir(store, c, t)) == 0;
	}
	topic_put(t);
}

static void set_limit(void)
{
	struct topic *t = topic_find(store, names[TRIM]);

	if (t)
		did.limited = DO(store_set(store, c, t, SETTING_RETENTION_SIZE, LIMIT)) == 0;
	topic_put(t);
}

static int open_store(const char *path)
{
	int err = store_open(&store, path, &options, why);

	if (err) {
		store = NULL;
		cr_assert_neq(why[0], 0, "no reason given for %d", err);
		return err;
	}
	if (store->keeper)
		keeper_stop(store->keeper);
	return 0;
}

static void close_store(void)
{
	store_stop(store);
	store_close(store);
	store = NULL;
}

/* Opens, works, closes. Errors are what it is for. */
static void work(void)
{
	memset(&did, 0, sizeof did);
	if (open_store(scratch_path))
		return;
	did.opened = true;
	if (store->read_only) {                          /* it could not make durable what it found */
		cr_assert_eq(DO(store_mkdir(store, c, "new", &(struct owner){0, 0, 0755})), -EROFS);
		close_store();
		return;
	}
	for (int n = 0; n < TOPICS; n++)
		did.made[n] = DO(store_mkdir(store, c, names[n], &(struct owner){0, 0, 0755})) == 0;
	set_limit();
	for (int n = 0; n < MESSAGES / 2; n++) {
		append(n % TOPICS);
		if (n % 4 == 3)
			keep();
		if (n == 6)
			supply_prepare(store->supply, 1, go_on, NULL);
		if (n == 10)
			read_some(KEEP), read_some(TRIM);
		if (n == 12)
			other_topic();
	}
	did.failed = log_failed(store->log);
	close_store();
}

/* ---- what must hold ---- */

/* Reads from OFFSET; what cannot be read is what fails. */
static size_t read_all(struct queue *q, uint64_t offset, char *to, size_t max, const char *when)
{
	struct reader *r;
	struct slice s;
	size_t got = 0;
	ssize_t n;

	slice_init(&s);
	cr_assert_eq(reader_new(&r, store, q), 0);
	while ((n = reader_read(r, offset + got, max - got, &s)) > 0) {
		slice_copy(&s, to + got);
		got += (size_t)n;
		slice_free(&s);
	}
	cr_assert_eq(n, 0, "%s: reading: %zd (%s)", when, n, said);
	slice_free(&s);
	reader_free(r);
	return got;
}

static void check_topic(int topic, const char *when)
{
	static char got[(MESSAGES + 2) * TRIMMED + 1], text[TRIMMED];
	struct topic *t = topic_find(store, names[topic]);
	int last = -1, first = -1;
	struct queue *q;
	size_t bytes;

	cr_assert(t || !did.made[topic], "%s: topic %s is gone", when, names[topic]);
	if (!t)
		return;
	q = topic_queue(t, 0);
	if (topic == TRIM && did.limited)
		cr_assert_eq(topic_setting(t, SETTING_RETENTION_SIZE), 100 << 10, "%s: a setting is gone", when);
	bytes = read_all(q, q->head, got, sizeof got - 1, when);
	cr_assert_eq(bytes, q->committed - q->head, "%s", when);
	cr_assert_eq(bytes % length[topic], 0, "%s", when);
	got[bytes] = 0;
	for (size_t at = 0; at < bytes; at += length[topic]) {
		int n = atoi(got + at + 5);
		cr_assert(n >= 0 && n < did.tried[topic] && n > last, "%s: %s: message %d behind %d of %d", when, names[topic], n, last, did.tried[topic]);
		message(topic, n, text);
		cr_assert_arr_eq(got + at, text, length[topic], "%s: wrong bytes in message %d of %s", when, n, names[topic]);
		for (int between = (first < 0 ? n : last + 1); between < n; between++)
			cr_assert_not(did.acked[topic][between], "%s: message %d of %s is not there", when, between, names[topic]);
		first = first < 0 ? n : first;
		last = n;
	}
	if (topic == KEEP || !q->head)
		for (int n = 0; n < first; n++)
			cr_assert_not(did.acked[topic][n], "%s: message %d of %s is not there", when, n, names[topic]);
	for (int n = last + 1; n < did.tried[topic]; n++)
		cr_assert_not(did.acked[topic][n], "%s: message %d of %s, behind the last one, is not there", when, n, names[topic]);
	topic_put(t);
}

static void check_other(const char *when)
{
	struct topic *t = topic_find(store, "other");

	cr_assert(t || !did.other_made || did.other_removing, "%s: a topic is gone", when);
	cr_assert(!t || !did.other_removed, "%s: a removed topic is there", when);
	topic_put(t);
}

/* PATH's store, on a disk that is sound: all that was acknowledged, in order, nothing else; and it goes on. CUT gets what a power cut
 * leaves of that. */
static void check(const char *path, const char *cut, const char *when)
{
	int err;

	said[0] = 0;
	err = open_store(path);
	cr_assert_eq(err, 0, "%s: it does not open: %s (%s)", when, why, said);
	cr_assert(!store->read_only && store->damaged == 0, "%s: %s", when, said);
	for (int n = 0; n < TOPICS; n++)
		check_topic(n, when);
	check_other(when);
	err = DO(store_mkdir(store, c, "again", &(struct owner){0, 0, 0755}));
	cr_assert_eq(err, did.again ? -EEXIST : 0, "%s: it does not go on", when);
	did.again = true;
	if (cut)
		powercut_copy(cut, CUT_LEAST);
	close_store();
}

static void remove_all(void)
{
	disk_free(scratch.under);
	scratch_remove(scratch_path);
}

static int64_t ms(void)
{
	return commit_clock() / 1000000;
}

/* What is left on the disk, for a process that knows nothing of this one. */
static void check_left(const char *left, const char *when)
{
	faulty = false;
	check(left, NULL, when);
	faulty = true;
	scratch_remove(left);
}

/* What is there after a run: for the next process after a power cut; for the next process, which sees what never got to the disk as well;
 * and for one after a power cut in that one. */
static void check_all(const char *when, int64_t took)
{
	char left[80], after[200];

	scratch.fail_any = 0;
	scratch.stays = false;
	cr_assert_lt(took, 3000, "%s: somebody waited in vain", when);
	cr_assert_eq(scratch.opened, 0, "%s: %d descriptors were left open", when, scratch.opened);
	cr_assert_eq(scratch.retried, 0, "%s: a failed sync was tried again", when);
	snprintf(left, sizeof left, "%s-left", scratch_path);
	if (did.opened) {
		powercut_copy(left, CUT_LEAST);
		snprintf(after, sizeof after, "%s, then a power cut", when);
		check_left(left, after);
		did.again = false;
	}
	check(scratch_path, left, when);
	snprintf(after, sizeof after, "%s, then a start, then a power cut", when);
	check_left(left, after);
	remove_all();
}

static const char *const kind_names[CALLS] = {"open", "pread", "pwritev", "sync", "allocate", "rename", "sync_directory", "truncate", "stat", "unlink",
	"mkdir", "list", "map", "space", "lock"};
static const unsigned every_kind = (1u << CALLS) - 1;
static const unsigned writing = 1u << CALL_OPEN | 1u << CALL_PWRITEV | 1u << CALL_SYNC | 1u << CALL_ALLOCATE | 1u << CALL_TRUNCATE | 1u << CALL_RENAME |
	1u << CALL_MKDIR | 1u << CALL_SYNC_DIRECTORY;

static const unsigned making = 1u << CALL_OPEN | 1u << CALL_ALLOCATE | 1u << CALL_TRUNCATE | 1u << CALL_RENAME | 1u << CALL_MKDIR;
static const unsigned transfers = 1u << CALL_PREAD | 1u << CALL_PWRITEV;

struct fault {
	const char *what;
	unsigned kinds;
	int error;
	bool halved, stays;
	bool heals;            /* the log goes on */
	bool harmless;         /* nobody but the store may notice */
};

/* The workload with call N failing. False: it has not that many. */
static bool run_with(const struct fault *f, int n)
{
	char when[120];
	int64_t start;

	snprintf(when, sizeof when, "%s at call %d", f->what, n);
	new_disk();
	scratch.kinds = f->kinds;
	scratch.error = f->error;
	scratch.halved = f->halved;
	scratch.stays = f->stays;
	scratch.fail_any = n;
	start = ms();
	work();
	if (f->heals)
		cr_assert_not(did.failed, "%s: the log has failed", when);
	bool reached = f->stays ? scratch.fail_any == 1 : scratch.fail_any == 0;
	if (f->harmless)
		for (int t = 0; t < TOPICS; t++)
			for (int m = 0; m < MESSAGES / 2; m++)
				cr_assert(did.acked[t][m], "%s: message %d of %s was refused", when, m, names[t]);
	if (reached)
		snprintf(when, sizeof when, "%s at call %d (%s)", f->what, n, kind_names[scratch.failed]);
	check_all(when, ms() - start);
	return reached;
}

static void run_all(const struct fault *f)
{
	int n = 1;

	while (run_with(f, n))
		n++;
	cr_assert_gt(n, 20, "%s: only %d calls", f->what, n);
}

Test(faults, a_call_that_fails_loses_nothing)
{
	run_all(&(struct fault){.what = "EIO", .kinds = every_kind, .error = -EIO});
}

Test(faults, a_disk_that_dies_loses_nothing)
{
	run_all(&(struct fault){.what = "a dead disk", .kinds = every_kind, .error = -EIO, .stays = true});
}

Test(faults, a_full_disk_loses_nothing)
{
	run_all(&(struct fault){.what = "ENOSPC", .kinds = writing, .error = -ENOSPC});
}

Test(faults, a_full_disk_that_is_met_before_a_position_is_given_heals)
{
	run_all(&(struct fault){.what = "ENOSPC", .kinds = making, .error = -ENOSPC, .heals = true});
}

Test(faults, too_many_open_files_heal)
{
	run_all(&(struct fault){.what = "EMFILE", .kinds = 1u << CALL_OPEN | 1u << CALL_LIST, .error = -EMFILE, .heals = true});
}

Test(faults, short_transfers_are_continued)
{
	run_all(&(struct fault){.what = "half a transfer", .kinds = transfers, .halved = true, .harmless = true});
}

Test(faults, an_interrupted_call_is_made_again)
{
	run_all(&(struct fault){.what = "EINTR", .kinds = transfers | 1u << CALL_OPEN | 1u << CALL_ALLOCATE | 1u << CALL_TRUNCATE, .error = -EINTR,
		.harmless = true});
}

/* ---- the power goes ---- */

#define EVERY 20                       /* calls between two cuts of one run */
#define CUTS_MAX 100

static pthread_mutex_t cut_lock = PTHREAD_MUTEX_INITIALIZER;
static int until_cut, cuts;
static struct done did_then[CUTS_MAX];

static void left_of(int n, char to[80])
{
	snprintf(to, 80, "%s-left%d", scratch_path, n);
}

/* Runs in front of a call: what is acknowledged by now must be on what is left. */
static void cut_power(void *ctx)
{
	char left[80];

	(void)ctx;
	pthread_mutex_lock(&cut_lock);
	if (--until_cut == 0 && cuts < CUTS_MAX) {
		until_cut = EVERY;
		memcpy(&did_then[cuts], &did, sizeof did);
		left_of(cuts, left);
		powercut_copy(left, (enum cut)(cuts % CUTS));
		cuts++;
	}
	pthread_mutex_unlock(&cut_lock);
}

static void check_cut(int n, int first)
{
	char left[80], when[100];

	snprintf(when, sizeof when, "the power went before call %d, cut %d", first + n * EVERY, n % CUTS);
	left_of(n, left);
	memcpy(&did, &did_then[n], sizeof did);
	if (did.opened)
		check_left(left, when);
	else
		scratch_remove(left);
}

Test(faults, a_power_cut_loses_nothing_that_was_acknowledged)
{
	for (int first = 1; first <= EVERY; first++) {
		new_disk();
		cuts = 0;
		until_cut = first;
		scratch.before_call = cut_power;
		work();
		scratch.before_call = NULL;
		cr_assert_gt(cuts, 5);
		for (int n = 0; n < cuts; n++)
			check_cut(n, first);
		remove_all();
	}
}

/* ---- memory ---- */

static void run_without_memory(bool stays)
{
	bool reached = true;
	char when[100];
	int n;

	for (n = 1; reached; n++) {
		snprintf(when, sizeof when, "no memory%s at allocation %d", stays ? " any more" : "", n);
		new_disk();
		memory_stays = stays;
		memory = n;
		int64_t start = ms();
		work();
		reached = stays ? memory == 1 : memory == 0;
		memory = 0;
		check_all(when, ms() - start);
	}
	cr_assert_gt(n, 100, "only %d allocations", n);
}

Test(faults, an_allocation_that_fails_loses_nothing)
{
	run_without_memory(false);
}

Test(faults, no_memory_at_all_loses_nothing)
{
	run_without_memory(true);
}
