/* SPDX-License-Identifier: Apache-2.0 */
#include "setting.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define MINUTE INT64_C(60000000000)

static int parsed(enum setting_id id, const char *text, uint64_t value)
{
	uint64_t v = 0;

	return setting_parse(id, text, &v) == 0 && v == value;
}

static int refused(enum setting_id id, const char *text)
{
	uint64_t v = 4711;
	int err = setting_parse(id, text, &v);

	cr_assert_eq(v, 4711, "\"%s\" changed the value", text);
	return err;
}

Test(setting, values_are_words_bytes_and_durations)
{
	cr_assert(parsed(SETTING_COMMIT, "close", COMMIT_CLOSE));
	cr_assert(parsed(SETTING_FRAMING, "write", FRAMING_WRITE));
	cr_assert(parsed(SETTING_PARTIAL, "lost", PARTIAL_LOST));
	cr_assert(parsed(SETTING_RETENTION_PINNED, "drop", PINNED_DROP));
	cr_assert(parsed(SETTING_MAX_MESSAGE, "64K", 65536));
	cr_assert(parsed(SETTING_MAX_MESSAGE, "1000", 1000));
	cr_assert(parsed(SETTING_RETENTION_SIZE, "3T", UINT64_C(3) << 40));
	cr_assert(parsed(SETTING_RETENTION_AGE, "90", UINT64_C(90000000000)));
	cr_assert(parsed(SETTING_RETENTION_AGE, "2d", UINT64_C(172800000000000)));
	cr_assert(parsed(SETTING_RETENTION_AGE, "1500ms", 1500000000));
	cr_assert(parsed(SETTING_RETENTION_AGE, "none", SETTING_NONE));
}

Test(setting, what_is_no_value_is_refused_and_changes_nothing)
{
	static const char *const bad[] = {"", " ", "none", "M", "-1", "+1", "1.5M", "1MB", "1 M", "0x10", "1m", " 1", "1K\n"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_eq(refused(SETTING_MAX_MESSAGE, bad[i]), -EINVAL, "\"%s\"", bad[i]);
	cr_expect_eq(refused(SETTING_COMMIT, "writ"), -EINVAL);
	cr_expect_eq(refused(SETTING_COMMIT, "write|close"), -EINVAL);
	cr_expect_eq(refused(SETTING_COMMIT, ""), -EINVAL);
	cr_expect_eq(refused(SETTING_RETENTION_AGE, "1K"), -EINVAL);
	cr_expect_eq(setting_find("retention"), -ENOENT);
	cr_expect_eq(setting_find("retention.age"), SETTING_RETENTION_AGE);
}

Test(setting, values_outside_the_limits_are_out_of_range)
{
	cr_expect_eq(refused(SETTING_MAX_MESSAGE, "0"), -ERANGE);
	cr_expect_eq(refused(SETTING_MAX_MESSAGE, "16777217"), -ERANGE);
	cr_expect(parsed(SETTING_MAX_MESSAGE, "16M", 16777216));
	cr_expect_eq(refused(SETTING_RETENTION_AGE, "999ms"), -ERANGE);
	cr_expect_eq(refused(SETTING_RETENTION_SIZE, "0"), -ERANGE);
	cr_expect_eq(refused(SETTING_RETENTION_SIZE, "18446744073709551615"), -ERANGE);
	cr_expect_eq(refused(SETTING_RETENTION_SIZE, "18446744073709551616"), -ERANGE);
	cr_expect_eq(refused(SETTING_RETENTION_SIZE, "99999999999T"), -ERANGE);
	cr_expect_eq(setting_check(SETTING_COMMIT, 3), -ERANGE);
	cr_expect_eq(setting_check(SETTING_COMMIT, SETTING_NONE), -ERANGE);
	cr_expect_eq(setting_check(SETTING_RETENTION_AGE, SETTING_NONE), 0);
}

Test(setting, what_is_printed_is_short_and_parses_back)
{
	static const struct {
		enum setting_id id;
		uint64_t value;
		const char *text;
	} rows[] = {
		{SETTING_COMMIT, COMMIT_WRITE, "write"}, {SETTING_COMMIT, COMMIT_FSYNC, "fsync"},
		{SETTING_PARTIAL, PARTIAL_KEEP, "keep"}, {SETTING_MAX_MESSAGE, 4194304, "4M"},
		{SETTING_MAX_MESSAGE, 1, "1"}, {SETTING_MAX_MESSAGE, 1536, "1536"}, {SETTING_MAX_MESSAGE, 3072, "3K"},
		{SETTING_RETENTION_SIZE, INT64_MAX, "9223372036854775807"}, {SETTING_RETENTION_SIZE, SETTING_NONE, "none"},
		{SETTING_RETENTION_AGE, UINT64_C(5400000000000), "90m"}, {SETTING_RETENTION_AGE, 1000000000, "1s"},
		{SETTING_RETENTION_AGE, 1000000001, "1000000001ns"}, {SETTING_RETENTION_AGE, 1500000000, "1500ms"},
		{SETTING_RETENTION_AGE, UINT64_C(604800000000000), "7d"}, {SETTING_RETENTION_AGE, SETTING_NONE, "none"},
	};
	char text[SETTING_TEXT];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		setting_print(rows[i].id, rows[i].value, text);
		cr_expect_str_eq(text, rows[i].text);
		cr_expect(parsed(rows[i].id, text, rows[i].value), "%s", text);
	}
}

Test(setting, every_built_in_value_is_a_value)
{
	struct settings s;
	char text[SETTING_TEXT];

	settings_normal(&s);
	for (int id = 0; id < SETTINGS; id++) {
		cr_expect(s.set & 1u << id);
		cr_expect_eq(setting_check(id, s.value[id]), 0);
		setting_print(id, s.value[id], text);
		cr_expect_str_eq(text, setting_table[id].normal);
	}
}

Test(setting, no_duration_is_zero_seconds)
{
	char text[SETTING_TEXT];
	uint64_t v;

	print_duration(0, text);
	cr_expect_str_eq(text, "0s");
	cr_expect_eq(parse_duration("0", &v), 0);
	cr_expect_eq(v, 0);
	print_bytes(0, text);
	cr_expect_str_eq(text, "0");
}

static int64_t time_of(const char *text)
{
	int64_t ns = -4711;

	cr_expect_eq(parse_time(text, 1000 * MINUTE, &ns), 0, "%s", text);
	return ns;
}

Test(setting, times_are_rfc_3339_with_fractions_and_offsets)
{
	const int64_t base = INT64_C(1795406706000000000);          /* 2026-11-23T04:05:06Z, as date(1) says */

	cr_expect_eq(time_of("2026-11-23T04:05:06Z"), base);
	cr_expect_eq(time_of("2026-11-23t04:05:06z"), base);
	cr_expect_eq(time_of("2026-11-23 04:05:06Z"), base);
	cr_expect_eq(time_of("2026-11-23T04:05:06.789Z"), base + 789000000);
	cr_expect_eq(time_of("2026-11-23T04:05:06.1234567899Z"), base + 123456789);
	cr_expect_eq(time_of("2026-11-23T05:35:06+01:30"), base);
	cr_expect_eq(time_of("2026-11-22T20:05:06-08:00"), base);
	cr_expect_eq(time_of("1970-01-01T00:00:00Z"), 0);
	cr_expect_eq(time_of("1969-12-31T23:59:59.5Z"), -500000000);
	cr_expect_eq(time_of("2024-02-29T00:00:00Z"), INT64_C(1709164800000000000));
	cr_expect_eq(time_of("2016-12-31T23:59:60Z"), time_of("2017-01-01T00:00:00Z"));
}

Test(setting, what_is_no_time_is_refused)
{
	static const char *const bad[] = {"", "now", "2026-11-23", "2026-11-23T04:05Z", "2026-11-23T04:05:06", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+1:00",
		"2026-01-01T00:00:00+01:60", "2026-01-01T00:00:00ZZ", "26-01-01T00:00:00Z", "-", "-x", "--5", "- 5", "-1K"};
	int64_t ns;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_eq(parse_time(bad[i], 0, &ns), -EINVAL, "\"%s\"", bad[i]);
	cr_expect_eq(parse_time("9999-01-01T00:00:00Z", 0, &ns), -ERANGE);
	cr_expect_eq(parse_time("0000-01-01T00:00:00Z", 0, &ns), -ERANGE);
	cr_expect_eq(parse_time("-18446744073s", 0, &ns), -ERANGE);
}

Test(setting, a_time_may_be_relative)
{
	cr_expect_eq(time_of("-10m"), 990 * MINUTE);
	cr_expect_eq(time_of("-60"), 999 * MINUTE);
	cr_expect_eq(time_of("-0s"), 1000 * MINUTE);
	cr_expect_eq(time_of("-1d"), -440 * MINUTE);
}

Test(setting, printed_times_parse_back)
{
	static const int64_t times[] = {0, 1, -1, INT64_C(1795406706789000001), INT64_MAX, INT64_MIN / 1000000000 * 1000000000, INT64_MIN};
	char text[40];

	print_time(INT64_C(1795406706789000001), text);
	cr_expect_str_eq(text, "2026-11-23T04:05:06.789000001Z");
	print_time(-1, text);
	cr_expect_str_eq(text, "1969-12-31T23:59:59.999999999Z");
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		print_time(times[i], text);
		cr_expect_eq(time_of(text), times[i], "%s", text);
	}
}
