/* SPDX-License-Identifier: Apache-2.0 */
/* Text of settings, spans and times: what is taken prints as text that is taken as the same value, and nothing else passes the table's check. */
#include "fuzz.h"
#include "setting.h"
#include <errno.h>
#include <string.h>

#define UNTOUCHED UINT64_C(0x5ca1ab1e5ca1ab1e)

static void setting(enum setting_id id, const char *text)
{
	uint64_t value = UNTOUCHED, again;
	char printed[SETTING_TEXT];
	int err = setting_parse(id, text, &value);

	must(err == 0 || err == -EINVAL || err == -ERANGE);
	if (err) {
		must(value == UNTOUCHED);
		return;
	}
	must(setting_check(id, value) == 0);
	setting_print(id, value, printed);
	must(strlen(printed) < SETTING_TEXT);
	must(setting_parse(id, printed, &again) == 0 && again == value);
}

static void number(enum setting_id id, uint64_t value)
{
	char printed[SETTING_TEXT];
	uint64_t again;

	if (setting_check(id, value))
		return;
	setting_print(id, value, printed);
	must(setting_parse(id, printed, &again) == 0 && again == value);
}

/* Digits, and what one of the unit is. */
static unsigned __int128 product(const char *text, int (*parse)(const char *, uint64_t *))
{
	size_t digits = strspn(text, "0123456789");
	unsigned __int128 number = 0;
	char one[16] = "1";
	uint64_t factor;

	must(digits > 0 && strlen(text + digits) < sizeof one - 1);
	for (size_t i = 0; i < digits; i++) {
		number = number * 10 + (unsigned)(text[i] - '0');
		must(number <= UINT64_MAX);
	}
	strcat(one, text + digits);
	must(parse(one, &factor) == 0);
	return number * factor;
}

static void scaled(const char *text, int (*parse)(const char *, uint64_t *), void (*print)(uint64_t, char *))
{
	char printed[SETTING_TEXT], shorter[SETTING_TEXT];
	uint64_t value, again;

	if (parse(text, &value))
		return;
	must(value == product(text, parse));
	print(value, printed);
	must(parse(printed, &again) == 0 && again == value);
	print(again, shorter);
	must(strcmp(printed, shorter) == 0);
}

static void time_of(const char *text, int64_t now)
{
	int64_t ns, again;
	char printed[40];

	if (parse_time(text, now, &ns))
		return;
	print_time(ns, printed);
	must(strlen(printed) < 40);
	/* Years before 0 or after 9999 are no RFC 3339; 64 bits of nanoseconds do not reach that far. */
	must(parse_time(printed, now, &again) == 0 && again == ns);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};
	uint8_t kind = take_byte(&in);
	uint64_t value = take_number(&in, 8);
	char text[256];

	take_text(&in, 0, text, sizeof text);
	for (int id = 0; id < SETTINGS; id++) {
		setting(id, text);
		number(id, value);
	}
	must(setting_find(text) == -ENOENT || strcmp(setting_table[setting_find(text)].name, text) == 0);
	if (kind % 2)
		time_of(text, (int64_t)value);
	scaled(text, parse_bytes, print_bytes);
	scaled(text, parse_duration, print_duration);
	return 0;
}
