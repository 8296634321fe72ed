/* SPDX-License-Identifier: Apache-2.0 */
/* What two nodes make of each other, rule by rule. */
#include "hello.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define A 7
#define B 8

static const struct epoch_row rows[] = {
	{{1, 1, A}, 0, 0, false},
	{{1, 2, A}, 1000, 11, false},
	{{2, 1, B}, 2000, 22, false},
	{{2, 2, B}, 3000, 33, false},
};

static const struct pair pair = {.min_standbys = 1, .nodes = 2, .node = {A, B}, .name = {"a", "b"}};

static struct frame_hello *hello;
static struct frame_hello_ack *ack;
static char reason[FRAME_REASON];

static void begin(void)
{
	hello = calloc(1, sizeof *hello);
	ack = calloc(1, sizeof *ack);
}

static void end(void)
{
	free(hello);
	free(ack);
}

TestSuite(hello, .init = begin, .fini = end);

/* B, primary of the epoch of ROWS[3], whose log begins at START and ends at 4000. */
static struct hello_self primary(uint64_t start)
{
	return (struct hello_self){.epochs = rows, .count = 4, .view = {.role = ROLE_PRIMARY, .cluster = 5, .node = B, .promise = {.reign = {2, B}, .own = 2},
		.epoch = {2, 2, B}, .start = start, .end = 4000, .chain = 44, .paired = true, .pair = pair}};
}

/* A, as it was: COUNT epochs, its log's end at END, KNOWN committed. */
static struct hello_self standby(size_t count, uint64_t at, uint64_t known)
{
	return (struct hello_self){.epochs = rows, .count = count, .view = {.role = ROLE_STANDBY, .cluster = 5, .node = A, .promise = {.reign = {1, A}, .own = 1},
		.end = at, .chain = 99, .known = known, .paired = true, .pair = pair}};
}

static void says(const struct hello_self *s)
{
	hello->cluster = s->view.cluster;
	hello->node = s->view.node;
	hello->promise = s->view.promise.reign;
	hello_say(&hello->epochs, s->epochs, s->count, s->view.known);
}

static void answers(const struct hello_self *p)
{
	ack->cluster = p->view.cluster;
	ack->node = p->view.node;
	ack->end = p->view.end;
	hello_say(&ack->epochs, p->epochs, p->count,
		hello_common(p->epochs, p->count, p->view.end, hello->epochs.of, hello->epochs.count, UINT64_MAX));
}

Test(hello, epoch_table_logs_part_at_the_smaller_end_of_the_last_epoch_they_share)
{
	struct epoch_row other[4];

	cr_assert_eq(hello_common(rows, 4, 4000, rows, 4, 3500), 3500);
	cr_assert_eq(hello_common(rows, 4, 4000, rows, 2, 1700), 1700);
	cr_assert_eq(hello_common(rows, 4, 4000, rows, 2, 2500), 2000, "it went on in an epoch that the other one left");
	cr_assert_eq(hello_common(rows, 2, 2500, rows, 4, 4000), 2000);
	cr_assert_eq(hello_common(rows, 4, 4000, NULL, 0, 0), 0);
	memcpy(other, rows, sizeof other);
	other[2].epoch = (struct epoch){1, 3, A};
	cr_assert_eq(hello_common(rows, 4, 4000, other, 3, 5000), 2000);
	memcpy(other, rows, sizeof other);
	other[3].chain = 34;
	cr_assert_eq(hello_common(rows, 4, 4000, other, 4, 4000), 3000, "the same epoch behind another record is none they share");
}

Test(hello, an_epoch_whose_first_record_is_damaged_in_one_log_is_shared_all_the_same)
{
	struct epoch_row other[4];

	memcpy(other, rows, sizeof other);
	other[3].start = 3104;
	other[3].chain = 0;
	cr_assert_eq(hello_common(other, 4, 4000, rows, 4, 3500), 3500);
	cr_assert_eq(hello_common(rows, 4, 4000, other, 4, 3500), 3500);
	cr_assert_eq(hello_common(other, 4, 4000, other, 4, 3500), 3500);
	other[3].chain = 44;
	cr_assert_eq(hello_common(other, 4, 4000, rows, 4, 3500), 3000, "begun by a copy that was older");
	other[3].chain = 0;
	other[3].start = 2900;
	cr_assert_eq(hello_common(other, 4, 4000, rows, 4, 3500), 2900, "it began earlier than it did");
}

Test(hello, a_standby_goes_on_where_its_log_ends_or_parts)
{
	struct hello_self p = primary(0), s = standby(2, 1700, 1500);
	uint64_t pos;

	says(&s);
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_ACCEPTED);
	cr_assert_eq(pos, 1700);
	cr_assert_eq(hello_answer(&p, hello, false, 2500, &pos, reason), HELLO_ACCEPTED);
	cr_assert_eq(pos, 2000);
}

Test(hello, who_lacks_more_than_there_is_starts_blank)
{
	struct hello_self p = primary(1800), s = standby(2, 1700, 1500);
	uint64_t pos;

	says(&s);
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_BLANK);
	cr_assert_eq(pos, 1800);
	cr_assert_neq(reason[0], 0);
	hello->cluster = 0;
	cr_assert_eq(hello_answer(&p, hello, false, 0, &pos, reason), HELLO_BLANK);
}

Test(hello, another_cluster_a_copy_and_a_standby_are_refused)
{
	struct hello_self p = primary(0), s = standby(2, 1700, 1500);
	uint64_t pos;

	says(&s);
	hello->cluster = 6;
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_REFUSED);
	says(&s);
	hello->node = B;
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_REFUSED);
	says(&s);
	p.view.role = ROLE_STANDBY;
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_REFUSED);
}

Test(hello, members_only_a_higher_promise_deposes_when_it_is_one_of_the_pair)
{
	struct hello_self p = primary(0), s = standby(2, 1700, 1500);
	uint64_t pos;

	says(&s);
	hello->promise = (struct reign){3, A};
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_DEPOSED);
	hello->promise = (struct reign){2 + HELLO_REIGNS, A};
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_DEPOSED);
	hello->promise.number++;
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_REFUSED, "nobody has been promoted so often");
	hello->promise = (struct reign){3, 9};
	hello->node = 9;
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_REFUSED);
}

/* A pair with such a node in it is none. */
Test(hello, a_store_without_a_node_id_is_refused)
{
	struct hello_self p = primary(0), s = standby(2, 1700, 1500);
	uint64_t pos;

	s.view.node = 0;
	says(&s);
	cr_assert_eq(hello_answer(&p, hello, false, 1700, &pos, reason), HELLO_REFUSED);
	cr_assert_eq(hello_answer(&p, hello, true, 1700, &pos, reason), HELLO_REFUSED);
	hello->cluster = 0;
	cr_assert_eq(hello_answer(&p, hello, true, 0, &pos, reason), HELLO_BLANK);
}

Test(hello, members_only_a_higher_reign_is_followed_only_of_the_pair)
{
	struct hello_self s = standby(2, 1700, 1500);

	cr_assert(hello_obeys(&s.view, B, (struct reign){2, B}));
	cr_assert_not(hello_obeys(&s.view, 9, (struct reign){2, 9}));
	cr_assert(hello_obeys(&s.view, 9, (struct reign){1, A}), "it has promised that one");
	cr_assert_not(hello_obeys(&s.view, B, (struct reign){0, B}));
	cr_assert(hello_obeys(&s.view, B, (struct reign){1 + HELLO_REIGNS, B}));
	cr_assert_not(hello_obeys(&s.view, B, (struct reign){2 + HELLO_REIGNS, B}));
	s.view.promise.reign.number = UINT32_MAX - 2;
	cr_assert(hello_obeys(&s.view, B, (struct reign){UINT32_MAX - 1, B}));
	cr_assert_not(hello_obeys(&s.view, B, (struct reign){UINT32_MAX, B}), "there is none above it");
	s.view.promise.reign.number = 1;
	s.view.paired = false;
	cr_assert(hello_obeys(&s.view, 9, (struct reign){2, 9}));
}

Test(hello, cut_guard_what_is_known_to_be_committed_stays)
{
	struct hello_self p = primary(0), s = standby(2, 2500, 2000);

	answers(&p);
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 2000, reason), 0);
	s.view.known = 2100;
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 2000, reason), -EPERM);
	cr_assert_neq(reason[0], 0);
	ack->epochs.of[1].accepted_loss = true;
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 2000, reason), -EPERM, "the loss was accepted before");
	ack->epochs.of[2].accepted_loss = true;
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 2000, reason), -ECANCELED);
}

/* It has not got all that it knows to be committed: nothing of what it has is cut. */
Test(hello, a_commit_point_behind_the_end_cuts_nothing)
{
	struct hello_self p = primary(0), s = standby(2, 1700, 3900);

	answers(&p);
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 1700, reason), -EBADMSG, "another chain at the end");
	ack->chain = 99;
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 1700, reason), 0);
}

/* The primary's log begins behind the end of the one that is given up, and what it says of its epochs does not reach back to what both had. */
static uint64_t put_aside(const struct hello_self *s, const struct epoch_row *said, size_t count, uint64_t pos)
{
	struct hello_self p = {.epochs = said, .count = count, .view = {.cluster = 5, .node = B, .end = 9000}};
	uint64_t aside;

	answers(&p);
	cr_assert_eq(hello_give_up(s, ack, pos, &aside, reason), 0);
	return aside;
}

Test(hello, what_parted_is_put_aside_also_where_the_log_of_the_primary_does_not_reach_back)
{
	struct hello_self s = standby(2, 2500, 2500);

	s.view.start = 500;
	cr_assert_eq(put_aside(&s, rows + 2, 2, 3000), 2000, "B began its reign there");
	s.view.start = 2200;
	cr_assert_eq(put_aside(&s, rows + 2, 2, 3000), 2200);
	s.view.start = 500;
	cr_assert_eq(put_aside(&s, rows + 3, 1, 3000), 1000, "A ruled last, since there");
	s = standby(4, 3500, 3500);
	cr_assert_eq(put_aside(&s, rows + 3, 1, 4000), UINT64_MAX, "it is a part of B's");
	cr_assert_eq(put_aside(&s, rows + 3, 1, 3200), UINT64_MAX);
	s = standby(3, 2500, 2500);
	cr_assert_eq(put_aside(&s, rows + 3, 1, 4000), UINT64_MAX, "it was B's standby");
}

Test(hello, an_answer_that_contradicts_the_log_or_an_old_reign_is_not_followed)
{
	struct hello_self p = primary(0), s = standby(2, 2500, 1500);
	struct epoch old = {0, 1, B};

	answers(&p);
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 1900, reason), -EBADMSG);
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 2600, reason), -EBADMSG);
	cr_assert_eq(hello_accept(&s, ack, &old, 2000, reason), -ESTALE);
	ack->cluster = 6;
	cr_assert_eq(hello_accept(&s, ack, &p.view.epoch, 2000, reason), -EBADMSG);
}

/* ---- tables that are longer than what can be said ---- */

#define MANY 3000u

static struct epoch_row many[MANY];

/* COMMON epochs of A in reign 1, then those of NODE in REIGN: each of a record of 100 bytes. */
static void started_often(size_t common, uint32_t reign, uint64_t node)
{
	for (uint32_t n = 0; n < MANY; n++)
		many[n] = (struct epoch_row){{n < common ? 1 : reign, n + 1, n < common ? A : node}, n * 100, n < common ? n : n + 50000, false};
}

static struct hello_self with(struct hello_self s, const struct epoch_row *table, size_t count)
{
	s.epochs = table;
	s.count = count;
	s.view.end = count * 100;
	return s;
}

/* What S makes of the answer of P to its HELLO. */
static int meet(const struct hello_self *s, const struct hello_self *p, uint64_t *pos)
{
	enum hello_answer answer;
	uint64_t aside;

	says(s);
	answer = hello_answer(p, hello, false, s->view.end, pos, reason);
	answers(p);
	ack->chain = s->view.chain;
	return answer == HELLO_ACCEPTED ? hello_accept(s, ack, &p->view.epoch, *pos, reason) : hello_give_up(s, ack, *pos, &aside, reason);
}

Test(hello, a_primary_that_was_started_more_often_than_it_can_say_takes_its_standby_in)
{
	static struct epoch_row short_of_it[300];
	uint64_t pos;

	started_often(300, 2, B);
	memcpy(short_of_it, many, sizeof short_of_it);
	for (size_t count = 1; count <= 300; count++) {
		struct hello_self p = with(primary(0), many, MANY), s = with(standby(0, 0, 100), short_of_it, count);

		cr_assert_eq(meet(&s, &p, &pos), 0, "%zu: %s", count, reason);
		cr_assert_eq(pos, count * 100);
	}
}

Test(hello, so_is_a_standby_that_was_started_so_often_when_it_ruled)
{
	uint64_t pos;

	for (uint32_t common = 100; common < 500; common += 33) {
		struct epoch_row table[500];
		struct hello_self p = with(primary(0), table, common + 1), s = with(standby(0, 0, 9950), many, MANY);

		started_often(common, 1, A);
		memcpy(table, many, sizeof table);
		table[common] = (struct epoch_row){{2, 1, B}, common * 100, 7, false};
		for (uint32_t n = common; n < MANY; n++)
			many[n].chain = n + 50000;
		cr_assert_eq(meet(&s, &p, &pos), 0, "%u: %s", common, reason);
		cr_assert_eq(pos, common * 100);
	}
}

Test(hello, cut_guard_a_log_is_not_cut_at_its_beginning_because_too_little_was_said)
{
	struct hello_self p = with(primary(0), many, 2), s = with(standby(0, 0, 200000), many, MANY);
	struct epoch_row table[2];
	uint64_t pos;

	started_often(MANY, 1, A);
	table[0] = many[0];
	table[1] = (struct epoch_row){{2, 1, B}, 100, 7, false};
	p.epochs = table;
	says(&s);
	cr_assert_eq(hello_answer(&p, hello, false, s.view.end, &pos, reason), HELLO_BLANK);
	cr_assert_eq(meet(&s, &p, &pos), -EPERM);
	cr_assert_neq(reason[0], 0);
	table[1].accepted_loss = true;
	cr_assert_eq(meet(&s, &p, &pos), 0, "%s", reason);
}

Test(hello, a_primary_lacks_what_its_standby_has_committed_behind_where_they_part)
{
	static const struct epoch_row lossy[] = {{{1, 1, A}, 0, 0, false}, {{1, 2, A}, 1000, 11, false}, {{3, 1, B}, 1500, 22, true}};
	struct hello_self p = primary(0);

	ack->epochs.count = 2;
	memcpy(ack->epochs.of, rows, 2 * sizeof *rows);
	ack->end = 2600;
	cr_assert_eq(hello_lacks(&p, ack, 2000), 0, "all is here");
	cr_assert_eq(hello_lacks(&p, ack, 2500), 500);
	p.epochs = lossy;
	p.count = 3;
	cr_assert_eq(hello_lacks(&p, ack, 2500), 0, "its loss was accepted");
	ack->epochs.count = 0;
	p = primary(0);
	cr_assert_eq(hello_lacks(&p, ack, 2500), 0, "nothing is said of its log");
}
