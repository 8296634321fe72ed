/* SPDX-License-Identifier: Apache-2.0 */
/* A store has two epochs and makes a topic in each; logs that have parted from it here and there left files in its lost/. Which topic is meant? */
#include "dump.h"
#include "identity.h"
#include "scratch.h"
#include "segment.h"
#include "store.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EPOCH_1, ROOT, CREATE_OLD, MESSAGE_OLD, EPOCH_2, CREATE_NEW, MESSAGE_NEW, RECORDS };
#define OLD log_of[MESSAGE_OLD].queue
#define NEW log_of[MESSAGE_NEW].queue

static const struct epoch other = {.reign = 1, .start = 9, .node = 99};   /* that the store never had */
static struct record log_of[RECORDS];            /* the store's */
static struct identity id;
static char names[128];                          /* of the messages of a file, in order; or why there is none */
static char why[STORE_WHY];
static const char *none;
static size_t count;

static void one_epoch(const char *topic)
{
	struct command *c = command_new_waited();
	struct owner owner = {0, 0, 0777};
	struct iovec iov = {"one\n", 4};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct store_options options;
	struct place place;
	struct topic *t;
	struct store *s;

	store_options_normal(&options);
	options.create = true;
	cr_assert_eq(store_open(&s, scratch_path, &options, why), 0, "%s", why);
	cr_assert_eq(command_wait(c, store_mkdir(s, c, topic, &owner)), 0);
	t = topic_find(s, topic);
	cr_assert_eq(store_append(topic_queue(t, 0), &b, &place), 0);
	topic_put(t);
	store_stop(s);
	store_close(s);
}

static int note(void *ctx, const struct record *r, const char *topic, const void *body)
{
	(void)ctx;
	(void)topic;
	(void)body;
	cr_assert_lt(count, RECORDS);
	log_of[count++] = *r;
	return 0;
}

static void damaged(void *ctx, const char *where, const char *what)
{
	(void)ctx;
	(void)where;
	(void)what;
}

static void setup(void)
{
	struct dump_calls calls = {.record = note, .damaged = damaged};

	scratch_init();
	one_epoch("old");
	one_epoch("new");
	count = 0;
	cr_assert_eq(dump_store(scratch_path, &dump_all, &calls, why, sizeof why), 0, "%s", why);
	cr_assert_eq(count, RECORDS);
	cr_assert_eq(identity_load(scratch.under, &id), 0);
}

/* ---- the other log, from somewhere on ---- */

static uint8_t bytes[4096];
static uint64_t base, pos, chain;

static void begin(uint64_t at, uint64_t follows)
{
	memset(bytes, 0, sizeof bytes);
	base = pos = at;
	chain = follows;
}

static void put(uint8_t type, const struct epoch *epoch, uint64_t queue)
{
	struct iovec iov = {"lost\n", type == RECORD_MESSAGES ? 5 : 0};
	struct record r = {.type = type, .length = (uint32_t)iov.iov_len, .messages = 1, .pos = pos, .epoch = *epoch, .queue = queue, .prev = chain,
		.body_sum = record_body_sum(id.secret, &iov, 1)};

	record_encode(&r, id.secret, bytes + (pos - base));
	memcpy(bytes + (pos - base) + RECORD_HEADER, iov.iov_base, iov.iov_len);
	chain = r.sum;
	pos += record_size(r.length);
}

static void put_messages(const struct epoch *epoch)
{
	put(RECORD_MESSAGES, epoch, OLD);
	put(RECORD_MESSAGES, epoch, NEW);
}

static const char *save(void)
{
	static char name[64];
	char path[80];
	int fd;

	snprintf(name, sizeof name, "%016" PRIx64 ".0", base);
	snprintf(path, sizeof path, "lost/%s", name);
	fd = disk_open(scratch.under, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(disk_write(scratch.under, fd, bytes, pos - base, 0), 0);
	disk_close(scratch.under, fd);
	return name;
}

static int name(void *ctx, const struct record *r, const char *topic, const void *body)
{
	(void)ctx;
	(void)body;
	if (r->type == RECORD_MESSAGES)
		snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", topic ? topic : none);
	return 0;
}

/* "-": another topic has the id, "?": that is not known, "none": there is no topic of that id */
static void unnamed(void *ctx, const char *reason)
{
	(void)ctx;
	none = strstr(reason, "cannot be found") ? "?" : strstr(reason, "made behind") ? "-" : strstr(reason, "is not there") ? "none" : reason;
}

static const char *names_of(const char *file)
{
	struct dump_calls calls = {.record = name, .damaged = damaged, .unnamed = unnamed};
	struct dump_query q = dump_all;

	q.lost = file;
	names[0] = 0;
	cr_assert_eq(dump_store(scratch_path, &q, &calls, why, sizeof why), 0, "%s", why);
	return names;
}

TestSuite(parting, .init = setup, .fini = scratch_end);

Test(parting, an_epoch_of_both_ends_where_they_part)
{
	begin(log_of[EPOCH_2].pos + 800, 1);
	put_messages(&log_of[EPOCH_1].epoch);
	cr_assert_str_eq(names_of(save()), "old - ", "what was before the file does not matter");
}

Test(parting, the_last_epoch_of_the_store_has_all_topics)
{
	begin(log_of[MESSAGE_NEW].pos + 800, 1);
	put_messages(&log_of[EPOCH_2].epoch);
	cr_assert_str_eq(names_of(save()), "old new ");
}

Test(parting, an_epoch_of_its_own_begins_where_the_chain_is_the_same)
{
	begin(log_of[CREATE_NEW].pos, log_of[CREATE_NEW].prev);
	put(RECORD_EPOCH, &other, 0);
	put_messages(&other);
	cr_assert_str_eq(names_of(save()), "old - ", "the topic was made by the very record that the file's log has not");
}

Test(parting, what_was_made_before_the_chains_part_is_the_same)
{
	begin(log_of[MESSAGE_NEW].pos, log_of[MESSAGE_NEW].prev);
	put_messages(&other);
	cr_assert_str_eq(names_of(save()), "old new ");
}

Test(parting, another_chain_at_the_same_position_says_nothing)
{
	begin(log_of[MESSAGE_NEW].pos, log_of[MESSAGE_NEW].prev + 1);
	put_messages(&other);
	cr_assert_str_eq(names_of(save()), "? ? ");
}

/* The store's own record of the epoch, as the other log has it, and then one that goes on otherwise. */
Test(parting, an_epoch_of_both_may_have_ended_earlier_in_the_file)
{
	char path[32];
	int fd;

	begin(log_of[EPOCH_2].pos, log_of[EPOCH_2].prev);
	segment_name(path, 0);
	fd = disk_open(scratch.under, path, O_RDONLY, 0);
	pos = log_of[CREATE_NEW].pos;
	cr_assert_eq(disk_read(scratch.under, fd, bytes, pos - base, SEGMENT_HEADER + base), 0);
	disk_close(scratch.under, fd);
	chain = log_of[EPOCH_2].sum;
	put_messages(&other);
	cr_assert_str_eq(names_of(save()), "old - ");
}

Test(parting, a_file_behind_another_one_is_of_its_log)
{
	char first[64], path[80];
	const char *last;

	begin(log_of[CREATE_NEW].pos, log_of[CREATE_NEW].prev);
	put(RECORD_EPOCH, &other, 0);
	snprintf(first, sizeof first, "%s", save());
	begin(pos, chain);
	put_messages(&other);
	save();
	begin(pos, chain);
	put_messages(&other);
	last = save();
	cr_assert_str_eq(names_of(last), "old - ");

	snprintf(path, sizeof path, "lost/%s", first);
	cr_assert_eq(disk_unlink(scratch.under, path), 0);
	cr_assert_str_eq(names_of(last), "? ? ", "without the one that joins the store's log nothing is sure");
}

Test(parting, a_file_behind_one_of_an_epoch_of_both_is_of_that_log)
{
	begin(log_of[MESSAGE_NEW].pos + 800, 1);
	put(RECORD_MESSAGES, &log_of[EPOCH_1].epoch, OLD);
	save();
	begin(pos, chain);
	put_messages(&other);
	cr_assert_str_eq(names_of(save()), "old - ");
}

Test(parting, a_place_that_cannot_be_read_says_nothing)
{
	char path[32];
	int fd;

	begin(log_of[EPOCH_2].pos + 800, 1);
	put_messages(&log_of[EPOCH_1].epoch);
	save();
	segment_name(path, 0);
	fd = disk_open(scratch.under, path, O_RDWR, 0);
	cr_assert_eq(disk_write(scratch.under, fd, "rot", 3, SEGMENT_HEADER + log_of[EPOCH_2].pos + 60), 0);
	disk_close(scratch.under, fd);
	begin(log_of[EPOCH_2].pos + 1600, 1);
	put_messages(&log_of[EPOCH_1].epoch);
	cr_assert_str_eq(names_of(save()), "? ? ");
}

Test(parting, a_topic_that_only_the_other_log_has_made_has_no_name)
{
	begin(log_of[EPOCH_2].pos, log_of[EPOCH_2].prev);
	put(RECORD_MESSAGES, &log_of[EPOCH_1].epoch, NEW + ((uint64_t)1 << QUEUE_BITS));
	cr_assert_str_eq(names_of(save()), "none ");
}

Test(parting, an_epoch_that_the_store_has_further_on_is_not_that_one)
{
	begin(log_of[EPOCH_2].pos - 240, 1);
	put_messages(&log_of[EPOCH_2].epoch);
	cr_assert_str_eq(names_of(save()), "? ? ");
}

Test(parting, what_the_store_has_forgotten_of_its_epochs_is_not_the_files_own)
{
	begin(log_of[MESSAGE_NEW].pos + 800, 1);
	put(RECORD_MESSAGES, &other, OLD);
	put_messages(&log_of[EPOCH_2].epoch);
	cr_assert_str_eq(names_of(save()), "old old new ");
}

Test(parting, a_file_of_yet_another_log_is_no_neighbour)
{
	begin(log_of[CREATE_NEW].pos, log_of[CREATE_NEW].prev);
	put(RECORD_EPOCH, &other, 0);
	save();
	begin(pos, chain + 1);
	put_messages(&other);
	cr_assert_str_eq(names_of(save()), "? ? ");
}
