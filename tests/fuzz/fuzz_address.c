/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of addresses: each accepted one has a host and port that a resolver may be given, and writes itself back. */
#include "address.h"
#include "fuzz.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void writes_itself_back(const struct address *a)
{
	char text[ADDRESS_HOST + 16], why[ADDRESS_WHY];
	struct address again;
	const char *next;

	snprintf(text, sizeof text, strchr(a->host, ':') ? "[%s]:%s" : "%s:%s", a->host, a->port);
	must(address_parse(&again, text, &next, why) == 0 && !next);
	must(strcmp(again.host, a->host) == 0 && strcmp(again.port, a->port) == 0);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};
	char list[1024], why[ADDRESS_WHY];
	struct address a;
	int err = 0, count = 0;

	take_text(&in, 0, list, sizeof list);
	for (const char *text = list; !err && text; count++) {
		const char *before = text;

		err = address_parse(&a, text, &text, why);
		must(err == 0 || err == -EINVAL);
		must(!text || (text > before && text <= list + strlen(list)));
		if (err)
			break;
		must(strlen(a.host) < sizeof a.host && strspn(a.port, "0123456789") == strlen(a.port) && atoi(a.port) <= 65535);
		writes_itself_back(&a);
	}
	must((address_check(list, false, why) == 0) == (err == 0));
	return 0;
}
