/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"
#include <criterion/criterion.h>
#include <errno.h>

static struct order order;

Test(order, words_are_an_order)
{
	cr_assert_eq(order_parse(&order, "promote"), 0);
	cr_expect(order.kind == ORDER_PROMOTE && !*order.stopped && !order.accept_loss);
	cr_assert_eq(order_parse(&order, "promote  accept-loss\tstopped=b"), 0);
	cr_expect(order.kind == ORDER_PROMOTE && order.accept_loss);
	cr_expect_str_eq(order.stopped, "b");
	cr_assert_eq(order_parse(&order, "alone stopped=node-2.example"), 0);
	cr_expect(order.kind == ORDER_ALONE && !order.accept_loss);
	cr_expect_str_eq(order.stopped, "node-2.example");
	cr_assert_eq(order_parse(&order, "switchover"), 0);
	cr_expect_eq(order.kind, ORDER_SWITCHOVER);
	cr_assert_eq(order_parse(&order, "min_standbys 1"), 0);
	cr_expect(order.kind == ORDER_MIN_STANDBYS && order.count == 1);
	cr_assert_eq(order_parse(&order, "min_standbys 0"), 0);
	cr_expect_eq(order.count, 0);
}

/* Half an order could be another one. */
Test(order, what_is_not_all_of_an_order_is_none)
{
	static const char *const none[] = {"", " ", "Promote", "promote now", "promote stopped", "promote stopped=", "promote stopped=a stopped=b",
		"promote accept-loss accept-loss", "promote stopped=a/b", "promote stopped=ca", "promote --stopped b", "alone", "alone accept-loss",
		"switchover b", "min_standbys", "min_standbys 2", "min_standbys 1 1", "min_standbys -0", "primary",
		"alone stopped=0123456789012345678901234567890123456789012345678901234567890123"};

	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		cr_expect_eq(order_parse(&order, none[i]), -EINVAL, "\"%s\"", none[i]);
}
