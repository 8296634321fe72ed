/* SPDX-License-Identifier: Apache-2.0 */
#include "lag.h"
#include <criterion/criterion.h>

#define SECOND 1000000000LL

static struct lag lag;

Test(lag, who_has_all_lags_by_nothing)
{
	cr_expect_eq(lag_since(&lag), 0);
	lag_mark(&lag, SECOND, 100);
	lag_reach(&lag, 100);
	cr_expect_eq(lag_since(&lag), 0);
}

Test(lag, the_oldest_mark_that_is_not_reached_counts)
{
	lag_mark(&lag, 1 * SECOND, 100);
	lag_mark(&lag, 2 * SECOND, 200);
	lag_mark(&lag, 3 * SECOND, 300);
	lag_reach(&lag, 99);
	cr_expect_eq(lag_since(&lag), SECOND);
	lag_reach(&lag, 250);
	cr_expect_eq(lag_since(&lag), 3 * SECOND);
	lag_reach(&lag, 300);
	cr_expect_eq(lag_since(&lag), 0);
}

Test(lag, a_log_that_does_not_grow_leaves_the_mark_where_it_was)
{
	for (int64_t s = 1; s < 100; s++)
		lag_mark(&lag, s * SECOND, 100);
	cr_expect_eq(lag_since(&lag), SECOND);
	cr_expect_eq(lag.count, 1);
}

/* A follower that stays ten minutes behind: it is told right within a few percent, however often the log's end is marked. */
Test(lag, a_long_lag_keeps_its_measure_in_bounded_memory)
{
	const int64_t behind = 600 * SECOND, step = SECOND / 20;

	for (int64_t now = step; now < 4 * behind; now += step) {
		lag_mark(&lag, now, (uint64_t)now);
		if (now > behind)
			lag_reach(&lag, (uint64_t)(now - behind));
		cr_assert_leq(lag.count, LAG_MARKS);
		if (now > behind) {
			int64_t told = now - lag_since(&lag);

			cr_assert(told <= behind && told >= behind - behind / (LAG_MARKS / 2) - step, "%g s at %g s", (double)told / 1e9, (double)now / 1e9);
		}
	}
	lag_reach(&lag, UINT64_MAX);
	lag_mark(&lag, 5 * behind, UINT64_MAX);
	cr_expect_eq(lag.apart, 0, "what comes now is measured finely again");
}
