/* SPDX-License-Identifier: Apache-2.0 */
#include "member_rig.h"
#include "checkpoint.h"
#include "keeper.h"
#include "log_part.h"
#include "lost.h"
#include "supply.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(member, .init = stores_begin, .fini = stores_end);

Test(member, a_standby_shows_what_is_announced_and_synced)
{
	struct store *a = open_as(path_a, false), *b;
	struct topic *t = make_topic(a, "orders");
	uint64_t pos;

	put(t, "one\n");
	b = join(a);
	send(a, b);
	cr_assert_eq(view(a).end, view(b).end);
	cr_assert_eq(view(a).chain, view(b).chain);
	cr_assert_str_eq(shown(b, "orders"), "no topic");
	announce(a, b);
	all_committed(b);
	cr_assert_str_eq(shown(b, "orders"), "one\n");
	put(t, "two\n");
	announce(a, b);
	cr_assert_str_eq(shown(b, "orders"), "one\n");
	send(a, b);
	cr_assert(comes_to_show(b, "orders", "one\ntwo\n"));
	struct topic *there = topic_find(b, "orders");
	cr_assert_eq(append(there, "three\n", &pos), -EROFS);
	topic_put(there);
	topic_put(t);
	close_both(a, b);
}

Test(member, a_standby_has_the_same_segments_and_goes_on_after_a_restart)
{
	struct store *a = open_as(path_a, false), *b;
	struct topic *t = make_topic(a, "orders");
	char *line = malloc(100001);
	struct segment *of_a, *of_b;

	memset(line, 'x', 100000);
	strcpy(line + 99999, "\n");
	b = join(a);
	for (int i = 0; i < 25; i++)
		put(t, line);
	send(a, b);
	announce(a, b);
	store_close(b);
	for (int i = 0; i < 25; i++)
		put(t, line);
	b = open_as(path_b, true);
	cr_assert_eq(store_cut(b, view(b).end, 0), 0);
	send(a, b);
	announce(a, b);
	all_committed(b);
	cr_assert_eq(view(a).chain, view(b).chain);
	cr_assert_eq(view(b).committed, view(a).committed);
	of_a = segments_first(a->segments);
	of_b = segments_first(b->segments);
	for (; of_a && of_b; of_a = segment_next(of_a), of_b = segment_next(of_b))
		cr_assert_eq(of_a->head.base, of_b->head.base);
	cr_assert(!of_a && !of_b);
	free(line);
	topic_put(t);
	close_both(a, b);
}

Test(member, with_min_standbys_a_commit_waits_for_the_other_node)
{
	options.commit_timeout = 1000000000;
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	uint64_t pos;

	make_pair(a, b, 1);
	cr_assert_eq(append(t, "one\n", &pos), 0);
	cr_assert_eq(wait_committed(a, pos), -ETIMEDOUT);
	cr_assert_str_eq(shown(a, "orders"), "");
	send(a, b);
	acknowledge(b, a);
	cr_assert_eq(wait_committed(a, pos), 0);
	cr_assert_str_eq(shown(a, "orders"), "one\n");
	store_linked(a, view(b).node, false);
	cr_assert_eq(append(t, "two\n", &pos), -EHOSTDOWN);
	store_linked(a, view(b).node, true);
	cr_assert_eq(append(t, "two\n", &pos), 0);
	topic_put(t);
	close_both(a, b);
}

void __real_log_refuse(struct log *l, int err);
void __wrap_log_refuse(struct log *l, int err);

static void (*before_refusal)(void);   /* runs once, when it is judged that appends are refused */

void __wrap_log_refuse(struct log *l, int err)
{
	void (*run)(void) = before_refusal;

	if (run && err == -EHOSTDOWN) {
		before_refusal = NULL;
		run();
	}
	__real_log_refuse(l, err);
}

static struct {
	struct store *store;
	uint64_t node, pos;
} ordered;

static void *acknowledge_ordered(void *arg)
{
	(void)arg;
	store_acknowledged(ordered.store, ordered.node, ordered.pos, true);
	return NULL;
}

static void let_it_commit(void)
{
	topics_apply_unlock(ordered.store->topics);
	while (commit_point(ordered.store->commit) < ordered.pos)
		;
}

Test(member, what_is_committed_while_a_lost_link_is_judged_counts)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	struct pair_row row;
	pthread_t thread;

	make_pair(a, b, 1);
	cr_assert(annals_last_pair(a->annals, &row));
	row.pair.min_standbys = 0;
	cr_assert_eq(store_set_pair(a, &row.pair, &ordered.pos), 0);
	synced(a);
	send(a, b);
	ordered.store = a;
	ordered.node = view(b).node;
	topics_apply_lock(a->topics);
	cr_assert_eq(pthread_create(&thread, NULL, acknowledge_ordered, NULL), 0);
	while (log_first_entry(a->log) < ordered.pos)     /* all that is left to do for a commit is to apply it */
		;
	before_refusal = let_it_commit;
	store_linked(a, ordered.node, false);
	pthread_join(thread, NULL);
	cr_assert(!before_refusal);
	put(t, "one\n");
	topic_put(t);
	close_both(a, b);
}

Test(member, what_a_standby_received_is_applied_by_its_headers_and_where_there_are_too_many_by_the_log)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders"), *late;
	uint64_t pos = 0;

	make_pair(a, b, 0);
	for (unsigned n = 0; n < RECEIVED / 2; n++)
		cr_assert_eq(append(t, "x\n", &pos), 0);
	cr_assert_eq(wait_committed(a, pos), 0);
	send(a, b);
	announce(a, b);
	cr_assert_eq(wait_committed(b, pos), 0);
	late = make_topic(a, "late");          /* amid messages, of which more than are kept are received before any is committed there */
	put(late, "here\n");
	for (unsigned n = 0; n < RECEIVED + 100; n++)
		cr_assert_eq(append(t, "y\n", &pos), 0);
	put(late, "and here\n");
	send(a, b);
	cr_assert_lt(view(b).committed, pos);
	announce(a, b);
	cr_assert(comes_to_show(b, "late", "here\nand here\n"));
	all_committed(b);
	cr_assert_eq(view(b).committed, view(a).committed);
	topic_put(late);
	late = topic_find(b, "orders");
	cr_assert_eq(atomic_load(&topic_queue(late, 0)->committed), 2 * (RECEIVED / 2 + RECEIVED + 100));
	topic_put(late);
	topic_put(t);
	close_both(a, b);
}

Test(member, alone_the_primary_goes_on_without_the_one_that_is_said_to_be_stopped)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	struct pair alone = {.nodes = 1, .stopped = view(b).node, .node = {view(a).node}, .name = {"a"}};
	uint64_t pos;

	make_pair(a, b, 1);
	store_linked(a, view(b).node, false);
	cr_assert_eq(append(t, "one\n", &pos), -EHOSTDOWN);
	cr_assert_eq(store_set_pair(a, &alone, &pos), 0);
	cr_assert_eq(wait_committed(a, pos), 0);
	put(t, "one\n");
	cr_assert_str_eq(shown(a, "orders"), "one\n");
	topic_put(t);
	close_both(a, b);
}

Test(member, a_restarted_primary_shows_what_is_proved_and_the_rest_when_the_other_node_confirms_it)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	uint64_t pos;

	make_pair(a, b, 1);
	cr_assert_eq(append(t, "one\n", &pos), 0);
	send(a, b);
	acknowledge(b, a);
	cr_assert_eq(append(t, "two\n", &pos), 0);       /* its record proves the one before it */
	synced(a);
	topic_put(t);
	store_stop(a);
	store_close(a);
	a = open_as(path_a, false);
	cr_assert_str_eq(shown(a, "orders"), "one\n");
	t = topic_find(a, "orders");
	cr_assert_eq(append(t, "three\n", &pos), -EHOSTDOWN);
	cr_assert_eq(view(a).epoch.reign, 1);
	cr_assert_eq(view(a).epoch.start, 2);
	store_linked(a, view(b).node, true);
	send(a, b);
	acknowledge(b, a);
	all_committed(a);
	cr_assert_str_eq(shown(a, "orders"), "one\ntwo\n");
	cr_assert_eq(append(t, "three\n", &pos), 0);
	topic_put(t);
	close_both(a, b);
}

/* B is promoted; what A had not sent goes to lost/ when A comes back as its standby. */
Test(member, after_a_promotion_the_old_primary_is_cut_where_the_logs_part)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders"), *of_b;
	struct reign r = {2, view(b).node};
	uint64_t pos, parted;

	make_pair(a, b, 1);
	cr_assert_eq(append(t, "one\n", &pos), 0);
	send(a, b);
	acknowledge(b, a);
	announce(a, b);
	parted = view(a).end;
	cr_assert_eq(append(t, "only here\n", &pos), 0);
	cr_assert(view(b).current);

	cr_assert_eq(store_promise(b, r), 0);
	cr_assert_eq(store_begin_reign(b, r, 0, true), 0);
	cr_assert_eq(view(b).role, ROLE_PRIMARY);
	of_b = topic_find(b, "orders");
	cr_assert_eq(append(of_b, "two\n", &pos), -EHOSTDOWN);

	cr_assert_eq(store_promise(a, r), -EBUSY);
	cr_assert_eq(store_step_down(a), 0);
	cr_assert_eq(store_promise(a, r), 0);
	cr_assert_eq(append(t, "refused\n", &pos), -EROFS);
	cr_assert_eq(store_cut(a, parted, 0), 0);
	store_linked(b, view(a).node, true);
	send(b, a);
	acknowledge(a, b);
	cr_assert_eq(append(of_b, "two\n", &pos), 0);
	send(b, a);
	acknowledge(a, b);
	cr_assert_eq(wait_committed(b, pos), 0);
	announce(b, a);
	all_committed(a);
	cr_assert_str_eq(shown(a, "orders"), "one\ntwo\n");
	cr_assert_str_eq(shown(b, "orders"), "one\ntwo\n");
	cr_assert_eq(view(a).chain, view(b).chain);
	topic_put(t);
	topic_put(of_b);
	close_both(a, b);

	char lost[200];
	struct stat st;
	snprintf(lost, sizeof lost, "%s/lost/%016" PRIx64 ".0", path_a, parted);
	cr_assert_eq(stat(lost, &st), 0);
	b = open_as(path_b, false);
	cr_assert_eq(view(b).epoch.reign, 2);
	a = open_as(path_a, true);
	cr_assert_eq(view(a).known, view(b).committed);
	close_both(a, b);
	options.standby = false;
	char why[STORE_WHY];
	cr_assert_eq(store_open(&a, path_a, &options, why), -EPERM, "it has promised another's reign");
}

/* As who wrote to it asks by position. */
Test(member, a_queue_tells_of_each_cut_that_took_something_of_it)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders"), *other = make_topic(a, "others");
	struct queue *q = topic_queue(t, 0);
	uint64_t pos, parted;

	make_pair(a, b, 1);
	cr_assert_eq(append(other, "both\n", &pos), 0);
	cr_assert_eq(append(t, "both\n", &pos), 0);
	send(a, b);
	acknowledge(b, a);
	parted = view(a).end;
	cr_assert_eq(append(t, "only\n", &pos), 0);
	cr_assert_eq(append(t, "here\n", &pos), 0);
	cr_assert_eq(store_step_down(a), 0);
	cr_assert_eq(store_cut(a, parted, 0), 0);
	cr_assert_eq(q->cuts, 1);
	cr_assert_eq(q->cut_at[0], parted);
	cr_assert_eq(queue_appended(q), 5);
	cr_assert_eq(topic_queue(other, 0)->cuts, 0);
	topic_put(t);
	topic_put(other);
	close_both(a, b);
}

Test(member, what_was_received_and_cut_is_not_applied_by_its_headers)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct reign r = {2, view(a).node};
	struct topic *t = make_topic(a, "orders");
	uint64_t pos, parted;

	make_pair(a, b, 1);
	send(a, b);
	acknowledge(b, a);
	announce(a, b);
	parted = view(a).end;
	cr_assert_eq(append(t, "received, and cut\n", &pos), 0);
	send(a, b);
	cr_assert_eq(store_step_down(a), 0);
	cr_assert_eq(store_cut(a, parted, 0), 0);
	cr_assert_eq(store_promise(a, r), 0);
	cr_assert_eq(store_begin_reign(a, r, 0, true), 0);
	cr_assert_eq(store_promise(b, r), 0);
	cr_assert_eq(store_cut(b, parted, 0), 0);
	send(a, b);
	acknowledge(b, a);
	cr_assert_eq(append(t, "two\n", &pos), 0);
	send(a, b);
	acknowledge(b, a);
	cr_assert_eq(wait_committed(a, pos), 0);
	announce(a, b);
	cr_assert_eq(wait_committed(b, pos), 0);
	cr_assert_str_eq(shown(b, "orders"), "two\n");
	topic_put(t);
	close_both(a, b);
}

Test(member, joint_one_change_of_the_pair_at_a_time)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct pair p;
	uint64_t pos;

	make_pair(a, b, 1);
	p = view(a).pair;
	p.min_standbys = 0;
	cr_assert_eq(store_set_pair(a, &p, &pos), 0);
	cr_assert_eq(store_set_pair(a, &p, &pos), -EBUSY, "the other node has not got it yet");
	synced(a);
	send(a, b);
	acknowledge(b, a);
	cr_assert_eq(wait_committed(a, pos), 0);
	cr_assert_eq(store_set_pair(a, &p, &pos), 0);
	close_both(a, b);
}

Test(member, what_is_known_to_be_committed_is_never_cut)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	uint64_t before = view(a).end;

	put(t, "one\n");
	send(a, b);
	announce(a, b);
	all_committed(b);
	cr_assert_eq(store_cut(b, before, 0), -EPERM);
	cr_assert_str_eq(shown(b, "orders"), "one\n");
	cr_assert_eq(store_cut(b, view(b).end, 0), 0);
	topic_put(t);
	close_both(a, b);
}

Test(member, bytes_that_do_not_follow_are_not_taken)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	struct epoch old = {.reign = 0}, epoch = view(a).epoch;
	const uint8_t *bytes;
	uint8_t *copy;
	struct raw *raw;
	uint64_t base, start = view(b).end;
	size_t took;
	ssize_t n;

	put(t, "one\n");
	put(t, "two\n");
	cr_assert_eq(store_raw(a, 0, &raw), 0);
	n = raw_read(raw, store_sendable(a), &bytes, &base);
	cr_assert_gt(n, 0);
	copy = malloc((size_t)n);
	memcpy(copy, bytes, (size_t)n);
	cr_assert_eq(store_receive(b, copy, (size_t)n, base, &old, &took), -EBADMSG, "of an epoch above the sender's");
	cr_assert_eq(store_receive(b, copy + 8, (size_t)n - 8, base, &epoch, &took), -EBADMSG);
	copy[n - 8] ^= 1;
	cr_assert_eq(store_receive(b, copy, (size_t)n, base, &epoch, &took), -EBADMSG);
	cr_assert_lt(took, n);
	cr_assert_eq(view(b).end, start + took);
	copy[n - 8] ^= 1;
	cr_assert_eq(store_receive(b, copy + took, (size_t)n - took, base, &epoch, &took), 0);
	cr_assert_eq(view(a).chain, view(b).chain);
	raw_close(raw);
	free(copy);

	/* Right in itself, but behind another record than this log's last one; then of a new epoch without its first record; then a right one. */
	struct member_view v = view(b);
	struct record r = {.type = RECORD_HEADS, .pos = v.end, .epoch = v.last, .prev = v.chain + 1, .time = INT64_MAX,
		.body_sum = record_body_sum(store_identity(b)->secret, &(struct iovec){NULL, 0}, 1)};
	uint8_t header[RECORD_HEADER];

	record_encode(&r, store_identity(b)->secret, header);
	cr_assert_eq(store_receive(b, header, sizeof header, base, &epoch, &took), -EBADMSG);
	r.prev = v.chain;
	r.epoch.start++;
	record_encode(&r, store_identity(b)->secret, header);
	cr_assert_eq(store_receive(b, header, sizeof header, base, &r.epoch, &took), -EBADMSG);
	r.epoch.start--;
	record_encode(&r, store_identity(b)->secret, header);
	cr_assert_eq(store_receive(b, header, sizeof header, base, &epoch, &took), 0);
	topic_put(t);
	close_both(a, b);
}

/* A's log without its beginning: B gets a checkpoint, and the log from the oldest segment on. */
Test(member, a_blank_standby_starts_from_a_checkpoint_and_the_oldest_segment)
{
	struct store *a = open_as(path_a, false), *b;
	struct topic *t = make_topic(a, "orders");
	struct checkpoint_info info;
	struct install *i;
	struct member_view v;
	char why[STORE_WHY], *line = malloc(100001), name[64];
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base, start;
	size_t took, len;
	ssize_t n;
	void *file;

	memset(line, 'x', 100000);
	strcpy(line + 99999, "\n");
	for (int k = 0; k < 25; k++)
		put(t, line);
	keeper_stop(a->keeper);        /* or it seals what the checkpoint seals */
	cr_assert_eq(checkpoint_write(a, &info), 0);
	put(t, "last\n");
	v = view(a);
	struct segment *first = segments_first(a->segments), *second = segment_next(first);
	start = second->head.base;                       /* as if the first one had gone */
	cr_assert_eq(install_begin(&i, path_b, false, UINT64_MAX, store_identity(a), &(struct log_start){start, second->head.chain, second->head.epoch, second->head.time},
		info.pos, v.end, options.segment_size, why), 0, "%s", why);
	segment_put(second);
	snprintf(name, sizeof name, "checkpoint/%016" PRIx64, info.pos);
	cr_assert_eq(disk_load(a->disk, name, 1 << 20, &file, &len), 0);
	cr_assert_eq(install_checkpoint(i, file, len / 2), 0);
	cr_assert_eq(install_checkpoint(i, (char *)file + len / 2, len - len / 2), 0);
	free(file);
	cr_assert_eq(install_finish(i, v.promise.reign), -EAGAIN);
	cr_assert_eq(store_raw(a, start, &raw), 0);
	while ((n = raw_read(raw, info.pos, &bytes, &base)) > 0)
		cr_assert_eq(install_records(i, bytes, (size_t)n, base, &v.epoch, &took), 0);
	raw_close(raw);
	cr_assert_eq(install_end(i), info.pos);
	cr_assert_eq(install_finish(i, v.promise.reign), 0);
	install_free(i);

	b = open_as(path_b, true);
	cr_assert_eq(view(b).committed, info.pos);
	cr_assert_neq(view(b).node, view(a).node);
	cr_assert_eq(view(b).cluster, view(a).cluster);
	send(a, b);
	announce(a, b);
	cr_assert_eq(view(b).chain, view(a).chain);
	all_committed(b);
	struct topic *there = topic_find(b, "orders");
	cr_assert_eq(topic_queue(there, 0)->committed, topic_queue(t, 0)->committed);
	topic_put(there);
	free(line);
	topic_put(t);
	close_both(a, b);
}

Test(member, one_that_was_interrupted_is_no_store_and_is_begun_again)
{
	struct store *a = open_as(path_a, false), *b;
	struct member_view v = view(a);
	char why[STORE_WHY];
	struct install *i;

	cr_assert_eq(install_begin(&i, path_b, false, UINT64_MAX, store_identity(a), &(struct log_start){0}, 0, v.end, options.segment_size, why), 0);
	install_free(i);
	options.standby = true;
	cr_assert_neq(store_open(&b, path_b, &options, why), 0);
	b = join(a);
	send(a, b);
	cr_assert_eq(view(b).chain, view(a).chain);
	cr_assert_eq(install_begin(&i, path_b, true, UINT64_MAX, store_identity(a), &(struct log_start){0}, 0, v.end, options.segment_size, why), -EBUSY);
	close_both(a, b);
}

/* B's directory as far as an interrupted copy of A's log to END brings it; what B has behind ASIDE goes to lost/. */
static void copy_in_part(struct store *a, uint64_t end, uint64_t aside)
{
	struct member_view v = view(a);
	char why[STORE_WHY];
	const uint8_t *bytes;
	struct install *i;
	struct raw *raw;
	uint64_t base;
	size_t took;
	ssize_t n;

	cr_assert_eq(install_begin(&i, path_b, true, aside, store_identity(a), &(struct log_start){0}, 0, v.end, options.segment_size, why), 0, "%s", why);
	cr_assert_eq(store_raw(a, 0, &raw), 0);
	while ((n = raw_read(raw, end, &bytes, &base)) > 0)
		cr_assert_eq(install_records(i, bytes, (size_t)n, base, &v.epoch, &took), 0);
	raw_close(raw);
	install_free(i);
}

static uint64_t lost_files(const char *path)
{
	uint64_t files, bytes;
	struct disk *d;

	cr_assert_eq(disk_open_directory(&d, path), 0);
	cr_assert_eq(lost_count(d, &files, &bytes), 0);
	disk_free(d);
	return files;
}

Test(member, what_is_given_up_goes_to_lost_once_however_often_its_copy_is_interrupted)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	uint64_t half = view(a).end;

	put(t, "one\n");
	put(t, "two\n");
	send(a, b);
	store_stop(b);
	store_close(b);
	copy_in_part(a, view(a).end, half);
	cr_assert_eq(lost_files(path_b), 1);
	copy_in_part(a, view(a).end, half);
	cr_assert_eq(lost_files(path_b), 1);
	b = join(a);
	cr_assert_eq(lost_files(path_b), 1);
	topic_put(t);
	close_both(a, b);
}

static bool is_there(const char *name)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", path_b, name);
	return stat(path, &st) == 0;
}

static void make_file(const char *name)
{
	char path[200];
	int fd;

	snprintf(path, sizeof path, "%s/%s", path_b, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	cr_assert_geq(fd, 0);
	close(fd);
}

Test(member, what_is_given_up_for_certain_makes_room_for_what_goes_to_lost)
{
	struct store *a = open_as(path_a, false), *b = join(a);
	struct topic *t = make_topic(a, "orders");
	const struct rlimit full = {4096, RLIM_INFINITY}, room = {RLIM_INFINITY, RLIM_INFINITY};
	char why[STORE_WHY], edge[32], *line = calloc(1, 400001);
	struct segment *last;
	struct install *i;
	uint64_t aside;

	memset(line, 'x', 399999);
	line[399999] = '\n';
	for (int n = 0; n < 4; n++) {
		aside = view(a).end;
		put(t, line);
	}
	send(a, b);
	store_stop(b);
	store_close(b);
	make_file("reserve");
	make_file("scrub");
	make_file("log/prepared.7");
	cr_assert(is_there("log/0000000000000000") && is_there("id"));
	last = segments_find(a->segments, aside);
	cr_assert(last->head.base > 0 && last->head.base < aside);
	segment_name(edge, last->head.base);
	segment_put(last);
	keeper_stop(a->keeper);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
	cr_assert_eq(install_begin(&i, path_b, true, aside, store_identity(a), &(struct log_start){0}, 0, view(a).end, options.segment_size, why), -EFBIG);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &room), 0);
	cr_assert(!is_there("reserve") && !is_there("log/prepared.7") && !is_there("log/0000000000000000"));
	cr_assert(is_there(edge), "what is to go to lost/ is there");
	cr_assert_not(is_there("scrub"), "it speaks of another store's files");
	copy_in_part(a, view(a).end, UINT64_MAX);
	cr_assert_eq(lost_files(path_b), 1);
	free(line);
	topic_put(t);
	store_stop(a);
	store_close(a);
}

/* Descriptors of this process that lead below PATH. */
static unsigned open_files(const char *path)
{
	char name[32], target[256];
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		ssize_t n;

		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		n = readlink(name, target, sizeof target - 1);
		target[n > 0 ? n : 0] = 0;
		count += strncmp(target, path, strlen(path)) == 0;
	}
	return count;
}

Test(member, a_copy_of_a_long_log_keeps_few_of_its_files_open)
{
	struct store *a = open_as(path_a, false), *b;
	struct topic *t = make_topic(a, "orders");
	struct member_view v;
	struct install *i;
	char why[STORE_WHY], log[160], *line = malloc(500001);
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	size_t took;
	ssize_t n;

	memset(line, 'x', 500000);
	strcpy(line + 499999, "\n");
	for (int k = 0; k < 80; k++)
		put(t, line);
	v = view(a);
	cr_assert_gt(segments_count(a->segments), 32);
	snprintf(log, sizeof log, "%s/log/", path_b);
	cr_assert_eq(install_begin(&i, path_b, false, UINT64_MAX, store_identity(a), &(struct log_start){0}, 0, v.end, options.segment_size, why), 0);
	cr_assert_eq(store_raw(a, 0, &raw), 0);
	while ((n = raw_read(raw, v.end, &bytes, &base)) > 0) {
		cr_assert_eq(install_records(i, bytes, (size_t)n, base, &v.epoch, &took), 0);
		cr_assert_leq(open_files(log), 10);
	}
	raw_close(raw);
	cr_assert_eq(install_finish(i, v.promise.reign), 0);
	install_free(i);
	b = open_as(path_b, true);
	announce(a, b);
	cr_assert_eq(view(b).chain, view(a).chain);
	cr_assert_eq(view(b).end, v.end);
	free(line);
	topic_put(t);
	close_both(a, b);
}

/* Of two queues that take turns each record has an entry in memory. */
Test(member, nor_does_it_take_memory_for_all_of_it)
{
	struct store *a = open_as(path_a, false);
	struct topic *t[] = {make_topic(a, "one"), make_topic(a, "two")};
	size_t least = SIZE_MAX, most = 0;
	uint64_t pos, base;
	struct member_view v;
	struct install *i;
	char why[STORE_WHY];
	const uint8_t *bytes;
	struct raw *raw;
	size_t took;
	ssize_t n;

	for (int k = 0; k < 80000; k++)
		cr_assert_eq(append(t[k % 2], "a message of a hundred bytes or so, of which many come to a segment, and to an entry of its runs each\n", &pos), 0);
	cr_assert_eq(wait_committed(a, pos), 0);
	keeper_stop(a->keeper);        /* it frees memory, too */
	v = view(a);
	cr_assert_eq(install_begin(&i, path_b, false, UINT64_MAX, store_identity(a), &(struct log_start){0}, 0, v.end, options.segment_size, why), 0);
	cr_assert_eq(store_raw(a, 0, &raw), 0);
	while ((n = raw_read(raw, v.end, &bytes, &base)) > 0) {
		cr_assert_eq(install_records(i, bytes, (size_t)n, base, &v.epoch, &took), 0);
		size_t now = mallinfo2().uordblks;
		if (raw_pos(raw) > v.end / 2 && now < least)
			least = now;
		if (raw_pos(raw) > v.end / 2 && now > most)
			most = now;
	}
	raw_close(raw);
	cr_assert_lt(most, least + 300000, "%zu bytes more", most - least);
	install_free(i);
	topic_put(t[0]);
	topic_put(t[1]);
	store_stop(a);
	store_close(a);
}

/* The log that the other node has not got yet stays, up to the bound. */
Test(member, what_the_other_node_needs_is_held)
{
	struct store *a = open_as(path_a, false);

	cr_assert_eq(member_needed(a), UINT64_MAX);
	store_hold(a, 100);
	cr_assert_eq(member_needed(a), 100);
	a->options.hold_bytes = 100;
	cr_assert_eq(member_needed(a), view(a).end - 100);
	store_hold(a, UINT64_MAX);
	cr_assert_eq(member_needed(a), UINT64_MAX);
	store_stop(a);
	store_close(a);
}

/* Also where an ACK was still on its way to it. */
Test(member, a_primary_that_steps_down_holds_nothing_for_the_other_node)
{
	struct store *a = open_as(path_a, false), *b = join(a);

	make_pair(a, b, 1);
	store_hold(a, 100);
	cr_assert_eq(member_needed(a), 100);
	cr_assert_eq(store_step_down(a), 0);
	cr_assert_eq(member_needed(a), UINT64_MAX);
	store_hold(a, 200);
	cr_assert_eq(member_needed(a), UINT64_MAX);
	close_both(a, b);
}

/* A disk with no descriptor left for a segment; with FAIL_RENAME the second file that is replaced stays as it is. */
static struct {
	const struct disk_ops *sound;
	struct disk_ops ops;
	bool fail_rename;
	int renames;
} poor;

static int no_segment(struct disk *d, const char *path, int flags, mode_t mode)
{
	return strncmp(path, "log/", 4) == 0 ? -EMFILE : poor.sound->open(d, path, flags, mode);
}

static int second_rename(struct disk *d, const char *from, const char *to)
{
	return poor.fail_rename && ++poor.renames > 1 ? -EIO : poor.sound->rename(d, from, to);
}

/* S, whose last segment is full, cannot begin reign 2. */
static void fail_to_begin(struct store *s, bool fail_rename)
{
	struct reign r = {2, view(s).node};

	cr_assert_eq(store_promise(s, r), 0);
	keeper_stop(s->keeper);
	poor.sound = s->disk->ops;
	poor.ops = *poor.sound;
	poor.ops.open = no_segment;
	poor.ops.rename = second_rename;
	poor.fail_rename = fail_rename;
	supply_drop(s->supply);
	s->log->limit = s->log->end;
	s->disk->ops = &poor.ops;
	cr_assert_eq(store_begin_reign(s, r, RECORD_ACCEPTED_LOSS, true), -ENOBUFS);
	s->disk->ops = poor.sound;
	cr_assert_eq(view(s).role, ROLE_STANDBY);
}

static struct epoch_row last_epoch(struct store *s)
{
	return annals_last_epoch(s->annals);
}

Test(member, a_reign_that_finds_no_room_for_its_first_record_is_not_begun)
{
	struct store *a = open_as(path_a, false), *b = join(a);

	make_pair(a, b, 1);
	fail_to_begin(b, false);
	cr_assert_eq(view(b).promise.own, 0);
	cr_assert_eq(log_refusing(b->log), -EROFS);
	cr_assert_eq(store_begin_reign(b, view(b).promise.reign, 0, true), 0);
	cr_assert_eq(view(b).role, ROLE_PRIMARY);
	cr_assert_not(last_epoch(b).accepted_loss);
	close_both(a, b);
}

/* As a crash leaves it. */
Test(member, the_consent_to_a_loss_outlives_a_crash_before_the_reigns_first_record)
{
	struct store *a = open_as(path_a, false), *b = join(a);

	make_pair(a, b, 1);
	fail_to_begin(b, true);
	store_stop(b);
	store_close(b);
	b = open_as(path_b, false);
	cr_assert_eq(view(b).epoch.reign, 2);
	cr_assert(last_epoch(b).accepted_loss);
	store_stop(b);
	store_close(b);
	b = open_as(path_b, false);
	cr_assert_eq(view(b).epoch.start, 2);
	cr_assert_not(last_epoch(b).accepted_loss);
	close_both(a, b);
}
