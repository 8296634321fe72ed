/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static char why[ADDRESS_WHY];

static void means(const char *text, const char *host, const char *port)
{
	struct address a;
	const char *next;

	cr_expect_eq(address_parse(&a, text, &next, why), 0, "%s: %s", text, why);
	cr_expect_str_eq(a.host, host, "%s: %s", text, a.host);
	cr_expect_str_eq(a.port, port, "%s: %s", text, a.port);
}

Test(address, all_forms)
{
	means("a", "a", "6737");
	means("a.example:80", "a.example", "80");
	means("10.0.0.1:65535", "10.0.0.1", "65535");
	means("[::1]", "::1", "6737");
	means("[fe80::1%eth0]:7", "fe80::1%eth0", "7");
	means(":0080", "", "80");
	means("a:1,b", "a", "1");
	means("[::1],b", "::1", "6737");
}

Test(address, a_list_is_walked_to_its_end)
{
	struct address a;
	const char *text = "a:1,[::2]:2,c";

	cr_assert_eq(address_parse(&a, text, &text, why), 0);
	cr_assert_eq(address_parse(&a, text, &text, why), 0);
	cr_expect_str_eq(a.host, "::2");
	cr_assert_eq(address_parse(&a, text, &text, why), 0);
	cr_expect_str_eq(a.host, "c");
	cr_expect_null(text);
}

Test(address, what_is_none_is_refused_with_what_it_is)
{
	static const char *const bad[] = {"", ",", "a,", ",a", "a:", "a:x", "a:65536", "a:-1", "a:1x", "::1", "fe80::1:80", "[::1", "[]:1", "[::1]80", "a b",
		"a[", "a\n", "a:111111"};
	char longest[300];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		*why = 0;
		cr_expect_eq(address_check(bad[i], false, why), -EINVAL, "%s", bad[i]);
		cr_expect_neq(*why, 0);
	}
	memset(longest, 'a', sizeof longest);
	longest[255] = 0;
	cr_expect_eq(address_check(longest, false, why), 0);
	longest[255] = 'a';
	longest[256] = 0;
	cr_expect_eq(address_check(longest, false, why), -EINVAL);
}

Test(address, who_is_called_has_a_host_and_a_port)
{
	cr_expect_eq(address_check(":1", false, why), 0);
	cr_expect_eq(address_check("a:0", false, why), 0);
	cr_expect_eq(address_check("a,b:7", true, why), 0);
	cr_expect_eq(address_check("a,:1", true, why), -EINVAL);
	cr_expect_neq(strstr(why, ":1: which host?"), NULL, "%s", why);
	cr_expect_eq(address_check("a:0,b", true, why), -EINVAL);
}
