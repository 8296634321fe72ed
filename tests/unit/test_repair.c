/* SPDX-License-Identifier: Apache-2.0 */
/* What a store takes in the place of a record that has rotted, what it makes again of it, and what it does not apply until it has it. */
#include "committed.h"
#include "fetch_rig.h"
#include "keeper.h"
#include "repair.h"
#include "retain.h"
#include "scratch.h"
#include "seal.h"
#include "spans.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(repair, .init = rig_begin, .fini = rig_end);

/* ---- what it takes ---- */

static void wait_found(struct rig_node *n)
{
	keeper_stop(n->store->keeper);
	cr_assert_eq(spans_find(n->store), 0);
}

/* The record's bytes as N has them, malloc'ed. */
static uint8_t *bytes_of(struct rig_node *n, unsigned which)
{
	uint8_t *to = malloc(record[which].end - record[which].pos);
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;

	cr_assert_eq(store_raw(n->store, record[which].pos, &raw), 0);
	cr_assert_gt(raw_read(raw, record[which].end, &bytes, &base), 0);
	memcpy(to, bytes, record[which].end - record[which].pos);
	raw_close(raw);
	return to;
}

/* R, changed, as whoever knows the secret would write it. */
static void forge(struct rig_node *n, struct record *r, uint8_t *bytes)
{
	struct iovec body = {bytes + RECORD_HEADER, r->length};

	r->body_sum = record_body_sum(store_identity(n->store)->secret, &body, 1);
	record_encode(r, store_identity(n->store)->secret, bytes);
}

Test(repair, an_answer_that_does_not_fit_is_refused)
{
	uint8_t *bytes;
	struct damage d;
	struct record r;
	struct span span;

	make_pair();
	rig_cut();
	bytes = bytes_of(&rig.a, 2);
	rot_header(&rig.b, 2);
	scrub(&rig.b);
	wait_found(&rig.b);
	cr_assert(store_damaged_span(rig.b.store, 0, &span));
	cr_assert(span.from == record[2].pos && span.to == record[2].end);

	cr_assert_eq(record_decode(&r, store_identity(rig.a.store)->secret, bytes, record[2].pos), 0);
	bytes[RECORD_HEADER] ^= 1;
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "another body");
	forge(&rig.a, &r, bytes);
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "a valid record, that the next one does not follow");
	bytes[RECORD_HEADER] ^= 1;
	r.prev ^= 1;
	forge(&rig.a, &r, bytes);
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "a valid record, that does not follow the one before");
	r.prev ^= 1;
	forge(&rig.a, &r, bytes);
	bytes[RECORD_HEADER + 301] ^= 1;
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "not zeros behind the body");
	bytes[RECORD_HEADER + 301] ^= 1;
	cr_assert_eq(store_repair(rig.b.store, &(struct span){span.from, span.to - 8}, bytes), -ENOENT);
	cr_assert(damage_at(rig.b.store, span.from, &d));
	d.chain ^= 1;
	damage_found(rig.b.store, &d, "a record");
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), -EBADMSG, "as if another record were before it");
	d.chain ^= 1;
	damage_found(rig.b.store, &d, "a record");
	cr_assert_eq(repair_write(rig.b.store), -ENOENT, "nothing was taken so far");
	cr_assert_eq(store_repair(rig.b.store, &span, bytes), 0, "the record itself");
	cr_assert_eq(repair_write(rig.b.store), 0);
	rig_same_logs();
}

Test(repair, what_is_given_again_while_it_is_written_is_not_written_again)
{
	struct span span;

	make_pair();
	rig_cut();
	rot_header(&rig.b, 2);
	scrub(&rig.b);
	wait_found(&rig.b);
	cr_assert(store_damaged_span(rig.b.store, 0, &span));
	cr_assert_eq(store_repair(rig.b.store, &span, bytes_of(&rig.a, 2)), 0);
	damage_mended(rig.b.store, span.from, span.to);        /* the first time came to its end */
	cr_assert_eq(repair_write(rig.b.store), 0);
	cr_assert_eq(status(&rig.b).repaired, 0);
}

Test(repair, damage_behind_the_commit_point_is_left_alone)
{
	struct span span;

	make_pair();
	rig_settle();
	record[records].pos = rig_view(&rig.a).end;
	cr_assert_eq(rig_append(&rig.a, "not committed\n", 14, &record[records].end), 0);
	store_wait_written(rig.a.store, record[records].end);
	rot_body(&rig.a, records, 3);
	store_damaged(rig.a.store, DAMAGE_RECORD, record[records].pos, "a record");
	wait_found(&rig.a);
	cr_assert(!store_damaged_span(rig.a.store, 0, &span));
	cr_assert_eq(status(&rig.a).damaged_open, 1);
}

static void make_topic(const char *name)
{
	struct command *c = command_new_waited();

	cr_assert_eq(store_mkdir(rig.primary->store, c, name, &(struct owner){1, 2, 0777}), 0);
	rig_settle();
	cr_assert_eq(command_wait(c, 0), 0);
}

static void put_elsewhere(const char *name)
{
	struct topic *t = topic_find(rig.primary->store, name);
	struct iovec iov = {"elsewhere\n", 10};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place to;

	cr_assert_eq(store_append(topic_queue(t, 0), &b, &to), 0);
	topic_put(t);
	rig_settle_to(to.end);
}

/* What B's keeper would do. */
static bool sound_when_kept(uint64_t pos)
{
	cr_assert_eq(spans_find(rig.b.store), 0);
	repair_write(rig.b.store);
	return all_sound(pos);
}

Test(repair, an_index_that_was_made_of_damaged_records_is_made_again)
{
	struct segment *s;
	struct reader *r;
	uint64_t from = 0;

	make_pair();
	make_topic("later");
	for (int n = 0; n < 4; n++) {
		put_elsewhere("later");
		put(300);
	}
	for (int n = 0; n < 4; n++)
		put(400000);
	rig_settle();
	keeper_stop(rig.b.store->keeper);
	cr_assert_eq(seal_committed(rig.b.store), 0);
	rot_header(&rig.b, 8);
	s = segments_find(rig.b.store->segments, record[8].pos);
	segment_index_bad(s);
	segment_put(s);
	while (seal_rebuild(rig.b.store, &from) > 0)
		;
	r = reader_of(&rig.b);
	cr_assert_eq(read_record(&rig.b, r, 7), 300);
	cr_assert_eq(read_record(&rig.b, r, 8), -EIO);
	scrub(&rig.b);
	rig_until(sound_when_kept, 0);
	check_repaired(&rig.b, 1);
	cr_assert_eq(read_record(&rig.b, r, 8), 300);
	reader_free(r);
}

/* ---- what is not applied yet ---- */

static bool has_topic(struct rig_node *n, const char *name)
{
	struct topic *t = topic_find(n->store, name);

	topic_put(t);
	return t;
}

/* N goes on as it was on its disk at some moment, without the checkpoint that a stop makes. */
static void crash(struct rig_node *n)
{
	char was[160];

	snprintf(was, sizeof was, "%s-crashed", n->path);
	scratch_copy(n->path, was);
	rig_cut();
	rig_close(n);
	snprintf(n->path, sizeof n->path, "%.120s", was);
}

/* Log position of the record that makes the topic "later", which has rotted on N at its next start. Much stands behind it. */
static uint64_t rotten_command(struct rig_node *n, bool standby)
{
	uint64_t pos;

	make_pair();
	pos = rig_view(&rig.a).end;
	make_topic("later");
	for (int i = 0; i < 4; i++)
		put(400000);
	rig_settle();
	keeper_stop(n->store->keeper);
	cr_assert_eq(seal_committed(n->store), 0);
	rot(n, pos + RECORD_HEADER + 4, 1, 0x40);
	crash(n);
	rig_open(n, standby);
	return pos;
}

Test(repair, a_standby_applies_nothing_behind_a_command_that_has_rotted_until_it_is_repaired)
{
	uint64_t pos = rotten_command(&rig.b, true);

	cr_assert_eq(rig_view(&rig.b).committed, pos);
	cr_assert_eq(rig_view(&rig.b).end, record[records - 1].end, "it keeps what is behind");
	cr_assert(!has_topic(&rig.b, "later"));
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(has_topic(&rig.b, "later"));
	wait_repaired(&rig.b, 1);
}

/* The keeper's looks at retention, of which each sees what the one before has made. */
static void retain(struct rig_node *n)
{
	bool need = true;

	for (int looks = 0; need && looks < 3; looks++) {
		cr_assert_geq(retain_run(n->store, 0, &need), 0);
		if (need)
			cr_assert_eq(keeper_checkpoint(n->store->keeper), 0);
	}
}

Test(repair, nothing_goes_of_what_is_not_applied_yet)
{
	uint64_t pos;

	records = 0;
	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	rig_connect(&rig.a, &rig.b);
	begin_pair();
	pos = rig_view(&rig.a).end;
	make_topic("later");
	for (int i = 0; i < 12; i++)
		put(400000);
	rig_settle();
	keeper_stop(rig.b.store->keeper);
	cr_assert_eq(seal_committed(rig.b.store), 0);
	rot(&rig.b, pos + RECORD_HEADER + 4, 1, 0x40);
	crash(&rig.b);
	rig_open(&rig.b, true);
	keeper_stop(rig.b.store->keeper);
	cr_assert_eq(rig_view(&rig.b).committed, pos);
	retain(&rig.b);
	rig_connect(&rig.a, &rig.b);
	rig_until(sound_when_kept, 0);
	rig_settle();
	retain(&rig.b);
	cr_assert_eq(segments_start(rig.b.store->segments), 0);
	check_repaired(&rig.b, 1);
}

Test(repair, a_standby_receives_again_what_it_may_not_have_synced)
{
	make_pair();
	rot_header(&rig.b, 3);
	crash(&rig.b);
	rig.guarded = false;           /* what had been acknowledged is gone by the rot */
	rig_open(&rig.b, true);
	cr_assert_eq(rig_view(&rig.b).end, record[3].pos);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	wait_repaired(&rig.b, 0);
}

Test(repair, so_does_a_primary_that_needs_the_other_node)
{
	uint64_t pos = rotten_command(&rig.a, false);

	cr_assert_eq(rig_view(&rig.a).committed, pos);
	cr_assert(!has_topic(&rig.a, "later"));
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(has_topic(&rig.a, "later"));
	wait_repaired(&rig.a, 1);
	put(300);
}

Test(repair, what_its_log_proves_to_be_committed_is_not_cut_once_it_has_stepped_down)
{
	uint64_t pos = rotten_command(&rig.a, false);

	cr_assert_eq(store_step_down(rig.a.store), 0);
	cr_assert_gt(rig_view(&rig.a).known, pos);
	cr_assert_eq(store_cut(rig.a.store, pos, 0), -EPERM);
	rig_close(&rig.a);
}

Test(repair, it_passes_over_what_the_other_node_has_not_either)
{
	uint64_t pos = rotten_command(&rig.a, false);

	rot(&rig.b, pos + RECORD_HEADER + 4, 1, 0x20);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	cr_assert(!has_topic(&rig.a, "later"));
	cr_assert_eq(status(&rig.a).damaged_open, 1);
	put(300);
	check_all_read(&rig.a);
}

/* N starts without the first record of an epoch, which stands behind its checkpoint. They connect. */
static void rotten_epoch(struct rig_node *n)
{
	uint64_t pos;

	make_pair();
	rig_cut();
	pos = rig_view(&rig.a).end;
	rig_close(&rig.a);
	rig_close(&rig.b);
	rig_open(&rig.a, false);
	rig_open(&rig.b, true);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	for (int i = 0; i < 4; i++)
		put(400000);
	rig_settle();
	keeper_stop(n->store->keeper);
	cr_assert_eq(seal_committed(n->store), 0);
	rot(n, pos + 9, 1, 0x40);
	crash(n);
	rig_open(n, n == &rig.b);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
}

Test(repair, a_primary_without_an_epochs_first_record_gets_it_from_its_standby)
{
	rotten_epoch(&rig.a);
	wait_repaired(&rig.a, 1);
}

Test(repair, so_does_a_standby_from_its_primary)
{
	rotten_epoch(&rig.b);
	wait_repaired(&rig.b, 1);
}

static void go_alone(struct rig_node *n, struct rig_node *stopped)
{
	struct pair p = {.nodes = 1, .stopped = rig_view(stopped).node, .node = {rig_view(n).node}, .name = {"it"}};
	uint64_t pos;

	rig_close(stopped);
	cr_assert_eq(store_set_pair(n->store, &p, &pos), 0);
	cr_assert_eq(wait_committed(n->store, pos), 0);
	cr_assert(!has_topic(n, "later"));
	cr_assert_eq(status(n).damaged_open, 1);
	cr_assert_eq(rig_append(n, "goes on\n", 8, &pos), 0);
	cr_assert_eq(wait_committed(n->store, pos), 0);
}

Test(repair, so_it_does_once_the_other_node_is_said_to_be_stopped)
{
	rotten_command(&rig.a, false);
	store_vouch(rig.a.store);
	go_alone(&rig.a, &rig.b);
}

Test(repair, and_so_does_a_standby_that_is_promoted_and_goes_on_alone)
{
	rotten_command(&rig.b, true);
	rig_promote(&rig.b, RECORD_ACCEPTED_LOSS);
	go_alone(&rig.b, &rig.a);
}

Test(repair, a_command_that_rots_before_it_is_applied_is_repaired_first)
{
	struct command *c = command_new_waited();
	uint64_t pos;

	make_pair();
	pos = rig_view(&rig.a).end;
	cr_assert_eq(store_mkdir(rig.a.store, c, "later", &(struct owner){1, 2, 0777}), 0);
	rig_frame(FRAME_RECORDS);
	rot(&rig.b, pos + RECORD_HEADER + 4, 1, 0x40);
	rig_settle();
	cr_assert_eq(command_wait(c, 0), 0);
	wait_repaired(&rig.b, 1);
	cr_assert(has_topic(&rig.b, "later"));
}

Test(repair, a_command_that_does_not_read_before_it_is_applied_is_repaired_first)
{
	struct command *c = command_new_waited();
	uint64_t pos;

	make_pair();
	pos = rig_view(&rig.a).end;
	cr_assert_eq(store_mkdir(rig.a.store, c, "later", &(struct owner){1, 2, 0777}), 0);
	rig_frame(FRAME_RECORDS);
	spoil_page(&rig.b, pos);
	rig_settle();
	cr_assert_eq(command_wait(c, 0), 0);
	rig_until(all_sound, 0);
	cr_assert(!rig_view(&rig.b).failed);
	cr_assert(has_topic(&rig.b, "later"));
	rig_same_logs();
	page_reads();
}

/* ---- who counts ---- */

/* N starts without the record that made both nodes the pair. */
static void rotten_pair(struct rig_node *n)
{
	struct pair_row last;

	make_pair();
	cr_assert(annals_last_pair(n->store->annals, &last));
	rot(n, last.pos + 9, 1, 0x40);
	crash(n);
	rig_open(n, n == &rig.b);
	cr_assert(rig_view(n).paired && rig_view(n).pair.nodes == 2);
}

Test(repair, a_primary_needs_the_other_node_although_the_record_that_says_so_has_rotted)
{
	uint64_t pos;

	rotten_pair(&rig.a);
	cr_assert(member_needs_others(rig.a.store));
	cr_assert_eq(rig_append(&rig.a, "alone\n", 6, &pos), -EHOSTDOWN);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	put(300);
}

Test(repair, a_standby_is_of_the_pair_although_the_record_that_says_so_has_rotted)
{
	rotten_pair(&rig.b);
	rig_connect(&rig.a, &rig.b);
	rig_settle();
	put(300);
}

static const struct disk_ops *sound_ops;
static _Atomic bool checkpoints_fail;
static _Atomic int failed_checkpoints;

static int rename_no_checkpoint(struct disk *d, const char *from, const char *to)
{
	if (checkpoints_fail && strncmp(to, "checkpoint/", 11) == 0) {
		failed_checkpoints++;
		return -ENOMEM;
	}
	return sound_ops->rename(d, from, to);
}

/* A and B become the pair, and A's keeper fails to make a checkpoint of it. Returns the position of the record that says so. */
static uint64_t pair_without_checkpoint(struct disk_ops *ops)
{
	struct pair_row last;

	records = 0;
	rig_open(&rig.a, false);
	rig_topic();
	rig_join();
	rig_connect(&rig.a, &rig.b);
	sound_ops = rig.a.store->disk->ops;
	*ops = *sound_ops;
	ops->rename = rename_no_checkpoint;
	checkpoints_fail = true;
	rig.a.store->disk->ops = ops;
	rig_pair(1);
	rig_settle();
	cr_assert(annals_last_pair(rig.a.store->annals, &last));
	return last.pos;
}

Test(repair, a_checkpoint_of_who_counts_that_failed_is_made_again_although_nothing_is_appended)
{
	static struct disk_ops ops;
	uint64_t pos = pair_without_checkpoint(&ops);

	nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
	cr_assert_gt(failed_checkpoints, 0);
	cr_assert_leq(failed_checkpoints, 5, "at most once a tick for each pair");
	checkpoints_fail = false;
	cr_assert(comes_to_a_checkpoint(&rig.a, pos));
	rig.a.store->disk->ops = sound_ops;
}
