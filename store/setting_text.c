/* SPDX-License-Identifier: Apache-2.0 */
#include "setting.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first, as printing looks for the first that divides. */
static const struct unit byte_units[] = {
	{"T", UINT64_C(1) << 40}, {"G", UINT64_C(1) << 30}, {"M", UINT64_C(1) << 20}, {"K", UINT64_C(1) << 10}, {"", 1}, {NULL, 0},
};

static const struct unit duration_units[] = {
	{"d", 86400 * SECOND}, {"h", 3600 * SECOND}, {"m", 60 * SECOND}, {"s", SECOND}, {"", SECOND},
	{"ms", 1000000}, {"us", 1000}, {"ns", 1}, {NULL, 0},
};

/* Moves *TEXT over digits, at least one. */
static int parse_digits(const char **text, uint64_t *value)
{
	const char *p = *text;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	*text = p;
	*value = v;
	return 0;
}

static int parse_scaled(const char *text, const struct unit *units, uint64_t *value)
{
	uint64_t v;
	int err = parse_digits(&text, &v);

	if (err)
		return err;
	while (units->name && strcmp(units->name, text) != 0)
		units++;
	if (!units->name)
		return -EINVAL;
	if (__builtin_mul_overflow(v, units->factor, &v) || v == SETTING_NONE)
		return -ERANGE;
	*value = v;
	return 0;
}

static void print_scaled(uint64_t value, const struct unit *units, char *to)
{
	while (units[1].name && (value % units->factor != 0 || (value == 0 && units->factor != 1)))
		units++;
	snprintf(to, SETTING_TEXT, "%" PRIu64 "%s", value / units->factor, units->name);
}

int parse_bytes(const char *text, uint64_t *bytes)
{
	return parse_scaled(text, byte_units, bytes);
}

int parse_duration(const char *text, uint64_t *ns)
{
	return parse_scaled(text, duration_units, ns);
}

void print_bytes(uint64_t bytes, char *to)
{
	print_scaled(bytes, byte_units, to);
}

void print_duration(uint64_t ns, char *to)
{
	if (ns == 0)
		strcpy(to, "0s");
	else
		print_scaled(ns, duration_units, to);
}

/* Exactly N digits. */
static bool parse_field(const char **text, int n, int *value)
{
	*value = 0;
	for (; n > 0; n--, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		*value = *value * 10 + (**text - '0');
	}
	return true;
}

static bool parse_char(const char **text, const char *allowed)
{
	if (!**text || !strchr(allowed, **text))
		return false;
	(*text)++;
	return true;
}

/* ".789": what is finer than a nanosecond is cut off. */
static bool parse_fraction(const char **text, int64_t *ns)
{
	int64_t unit = 100000000;

	*ns = 0;
	if (**text != '.')
		return true;
	(*text)++;
	if (**text < '0' || **text > '9')
		return false;
	for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10)
		*ns += (**text - '0') * unit;
	return true;
}

/* "Z" or "+01:30", in seconds east of UTC. */
static bool parse_zone(const char **text, int *east)
{
	const char *sign = *text;
	int hours, minutes;

	*east = 0;
	if (parse_char(text, "Zz"))
		return true;
	if (!parse_char(text, "+-") || !parse_field(text, 2, &hours) || !parse_char(text, ":") ||
		!parse_field(text, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*east = (hours * 60 + minutes) * 60 * (*sign == '-' ? -1 : 1);
	return true;
}

static int parse_rfc3339(const char *text, int64_t *ns)
{
	struct tm tm = {0};
	int year, month, east;
	int64_t fraction, seconds;

	if (!parse_field(&text, 4, &year) || !parse_char(&text, "-") || !parse_field(&text, 2, &month) ||
		!parse_char(&text, "-") || !parse_field(&text, 2, &tm.tm_mday) || !parse_char(&text, "Tt ") ||
		!parse_field(&text, 2, &tm.tm_hour) || !parse_char(&text, ":") || !parse_field(&text, 2, &tm.tm_min) ||
		!parse_char(&text, ":") || !parse_field(&text, 2, &tm.tm_sec) || !parse_fraction(&text, &fraction) ||
		!parse_zone(&text, &east) || *text)
		return -EINVAL;
	if (month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;

	struct tm day = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
	timegm(&day);
	if (day.tm_mday != tm.tm_mday)          /* a 30th of February, moved on into March */
		return -EINVAL;
	seconds = timegm(&tm) - east;
	/* The first moments that 64 bits hold lie within a second that begins before them. */
	return __builtin_add_overflow((__int128)seconds * (int64_t)SECOND, fraction, ns) ? -ERANGE : 0;
}

int parse_time(const char *text, int64_t now_ns, int64_t *ns)
{
	uint64_t ago;
	int err;

	if (*text != '-')
		return parse_rfc3339(text, ns);
	err = parse_duration(text + 1, &ago);
	if (err)
		return err;
	if (ago > INT64_MAX || __builtin_sub_overflow(now_ns, (int64_t)ago, ns))
		return -ERANGE;
	return 0;
}

void print_time(int64_t ns, char to[40])
{
	int64_t fraction = ns % (int64_t)SECOND;
	time_t seconds = ns / (int64_t)SECOND;
	struct tm tm;
	size_t len;

	if (fraction < 0) {
		fraction += (int64_t)SECOND;
		seconds--;
	}
	gmtime_r(&seconds, &tm);
	len = strftime(to, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(to + len, 40 - len, ".%09uZ", (unsigned)fraction);
}
