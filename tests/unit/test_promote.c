/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of promotion, by their names in the model. */
#include "promote.h"
#include <criterion/criterion.h>
#include <errno.h>

#define A 7
#define B 8

static const struct pair both = {.min_standbys = 1, .nodes = 2, .node = {A, B}, .name = {"a", "b"}};
static const struct pair async = {.nodes = 2, .node = {A, B}, .name = {"a", "b"}};
static const struct pair lone = {.nodes = 1, .node = {A}};

static char reason[FRAME_REASON];

/* B, with the pair P in force. */
static struct promotion candidate(const struct pair *p, bool current)
{
	static struct pair_row row;

	row = (struct pair_row){50, *p};
	return (struct promotion){.view = {.role = ROLE_STANDBY, .node = B, .promise = {.reign = {3, A}}, .end = 1000, .known = 900, .current = current,
		.paired = true, .pair = *p}, .pairs = &row, .count = 1};
}

static int judge(const struct promotion *p, uint8_t *flags)
{
	bool current;
	int err = promote_judge(p, &current, flags, reason);

	cr_assert(err || current);
	cr_assert_eq(!reason[0], !err && !*flags);
	return err;
}

Test(promote, epoch_id_a_reign_is_above_all_that_are_known)
{
	struct reign r = promote_reign(B, (struct reign){3, A}, (struct reign){5, B});

	cr_assert_eq(r.number, 6);
	cr_assert_eq(r.node, B);
	cr_assert_gt(reign_compare((struct reign){6, B}, (struct reign){6, A}), 0);
}

Test(promote, best_by_epoch_the_later_epoch_is_better_than_the_longer_log)
{
	cr_assert_gt(promote_compare(&(struct epoch){2, 1, B}, 10, &(struct epoch){1, 9, B}, 100), 0);
	cr_assert_lt(promote_compare(&(struct epoch){2, 1, B}, 10, &(struct epoch){2, 1, B}, 100), 0);
	cr_assert_eq(promote_compare(&(struct epoch){2, 1, B}, 10, &(struct epoch){2, 1, B}, 10), 0);
}

Test(promote, a_current_standby_with_min_standbys_asks_nothing)
{
	struct promotion p = candidate(&both, true);
	uint8_t flags;

	cr_assert_eq(judge(&p, &flags), 0);
	cr_assert_eq(flags, 0);
}

Test(promote, current_one_that_is_not_needs_the_consent_to_a_loss)
{
	struct promotion p = candidate(&both, false);
	uint8_t flags;

	cr_assert_eq(judge(&p, &flags), -EPERM);
	p.accept_loss = true;
	cr_assert_eq(judge(&p, &flags), 0);
	cr_assert_eq(flags, RECORD_ACCEPTED_LOSS);
	p = candidate(&both, false);
	p.promises = &(struct promised){A, true, true};
	p.promised = 1;
	cr_assert_eq(judge(&p, &flags), 0, "the other one is current and has promised");
	p.promises = &(struct promised){A, false, true};
	cr_assert_eq(judge(&p, &flags), -EPERM);
	p.promises = &(struct promised){A, true, false};
	cr_assert_eq(judge(&p, &flags), 0, "all have promised");
	cr_assert_eq(flags, 0);
	p.promises = &(struct promised){9, true, false};
	cr_assert_eq(judge(&p, &flags), -EPERM, "not one of all");
}

Test(promote, fence_count_without_min_standbys_the_other_node_must_promise)
{
	struct promotion p = candidate(&async, true);
	uint8_t flags;

	cr_assert_eq(judge(&p, &flags), -EPERM);
	p.promises = &(struct promised){9, true, true};
	p.promised = 1;
	cr_assert_eq(judge(&p, &flags), -EPERM, "a mirror's promise does not count");
	p.promises = &(struct promised){A, true, false};
	cr_assert_eq(judge(&p, &flags), 0);
}

Test(promote, joint_a_pair_that_is_not_committed_does_not_count_alone)
{
	struct promotion p = candidate(&both, true);
	struct pair_row rows[2] = {{0, lone}, {50, both}};
	uint8_t flags;

	p.pairs = rows;
	p.count = 2;
	cr_assert_eq(judge(&p, &flags), -EPERM);
	p.promises = &(struct promised){A, true, true};
	p.promised = 1;
	cr_assert_eq(judge(&p, &flags), 0);
}

Test(promote, one_that_knows_what_it_lacks_is_no_candidate)
{
	struct promotion p = candidate(&both, true);
	uint8_t flags;

	p.view.known = 1001;
	cr_assert_eq(judge(&p, &flags), -EPERM);
	p.accept_loss = true;
	cr_assert_eq(judge(&p, &flags), 0);
	cr_assert_eq(flags, RECORD_ACCEPTED_LOSS);
}

Test(promote, members_only_who_is_not_of_the_pair_is_no_candidate_and_gets_no_promise)
{
	struct promotion p = candidate(&both, true);
	uint8_t flags;

	cr_assert_eq(promote_grant(&p.view, A, (struct reign){4, A}, reason), 0);
	cr_assert_eq(promote_grant(&p.view, 9, (struct reign){4, 9}, reason), -EPERM);
	cr_assert_eq(promote_grant(&p.view, A, (struct reign){UINT32_MAX, A}, reason), -EPERM, "no reign would be left");
	cr_assert_eq(promote_grant(&p.view, A, (struct reign){3, A}, reason), -EPERM);
	cr_assert_eq(promote_grant(&p.view, A, (struct reign){4, B}, reason), -EPERM, "nobody's reign but the candidate's own");
	p.view.node = 9;
	p.accept_loss = true;
	cr_assert_eq(judge(&p, &flags), -EPERM);
}

Test(promote, members_only_a_node_that_has_nothing_of_the_log_yet_never_rules)
{
	struct promotion p = candidate(&both, true);
	uint8_t flags;

	p.view.paired = false;
	p.count = 0;
	cr_assert_eq(judge(&p, &flags), -EPERM);
	p.accept_loss = true;
	cr_assert_eq(judge(&p, &flags), -EPERM);
}

Test(promote, alone_leaves_out_who_is_said_to_be_stopped)
{
	struct promotion p = candidate(&both, true);
	struct pair to;

	cr_assert_eq(promote_alone(&p.view, p.pairs, p.count, "a", false, &to, reason), 0);
	cr_assert_eq(to.nodes, 1);
	cr_assert_eq(to.min_standbys, 0);
	cr_assert_eq(to.node[0], B);
	cr_assert_str_eq(to.name[0], "b");
	cr_assert_eq(to.stopped, A);
	cr_assert_eq(promote_alone(&p.view, p.pairs, p.count, "b", false, &to, reason), -EPERM);
	cr_assert_eq(promote_alone(&p.view, p.pairs, p.count, "c", false, &to, reason), -ENOENT);
	p.view.current = false;
	cr_assert_eq(promote_alone(&p.view, p.pairs, p.count, "a", false, &to, reason), -EPERM);
	cr_assert_eq(promote_alone(&p.view, p.pairs, p.count, "a", true, &to, reason), 0);
	p.view.pair = to;
	cr_assert_eq(promote_alone(&p.view, p.pairs, p.count, "a", true, &to, reason), 0, "the word was not committed, and is given again");
	cr_assert_eq(to.stopped, A);
	cr_assert_eq(promote_alone(&p.view, p.pairs, p.count, "c", true, &to, reason), -ENOENT);
	cr_assert_eq(promote_alone(&p.view, p.pairs, 0, "a", true, &to, reason), -ENOENT);
	cr_assert_eq(promote_join(&p.view, "b", A, "a", 1, &to), 0);
	cr_assert_eq(to.nodes, 2);
	cr_assert_eq(to.stopped, 0);
	cr_assert_eq(to.min_standbys, 1);
	p.view.pair = to;
	cr_assert_eq(promote_join(&p.view, "b", A, "a", 1, &to), -EALREADY);
	cr_assert_eq(promote_join(&p.view, "b", 9, "c", 1, &to), -ENOSPC);
}

Test(promote, the_first_pair_of_a_lone_node_has_its_name)
{
	struct member_view v = {.node = A};
	struct pair to;

	cr_assert_eq(promote_join(&v, "a", B, "b", 0, &to), 0);
	cr_assert_eq(to.node[0], A);
	cr_assert_str_eq(to.name[0], "a");
	cr_assert_eq(to.node[1], B);
}
