/* SPDX-License-Identifier: Apache-2.0 */
/* Each way to spoil a store is found, once, with its place. */
#include "check_rig.h"

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
