/* SPDX-License-Identifier: Apache-2.0 */
#include "address.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(const char *text, size_t len, const char *what, char why[ADDRESS_WHY])
{
	snprintf(why, ADDRESS_WHY, "%.*s: %s", (int)(len < 200 ? len : 200), text, what);
	return -EINVAL;
}

static int take_port(struct address *a, const char *text, size_t len)
{
	char digits[6] = "";
	unsigned long port;

	if (!len || len >= sizeof digits || strspn(text, "0123456789") < len)
		return -EINVAL;
	memcpy(digits, text, len);
	port = strtoul(digits, NULL, 10);
	if (port > UINT16_MAX)
		return -EINVAL;
	snprintf(a->port, sizeof a->port, "%u", (uint16_t)port);
	return 0;
}

int address_parse(struct address *a, const char *text, const char **next, char why[ADDRESS_WHY])
{
	size_t len = strcspn(text, ","), host;
	const char *from = text, *behind = text + len, *port;

	*next = *behind ? behind + 1 : NULL;
	if (!len)
		return refuse("\"\"", 2, "an address is HOST, HOST:PORT or [IPV6]:PORT", why);
	if (*text == '[') {
		from = text + 1;
		port = memchr(from, ']', (size_t)(behind - from));
		if (!port || port == from || (port + 1 < behind && port[1] != ':'))
			return refuse(text, len, "an IPv6 address stands in brackets: [2001:db8::1]:6737", why);
		host = (size_t)(port - from);
		port++;
	} else {
		port = memchr(text, ':', len);
		if (!port)
			port = behind;
		else if (memchr(port + 1, ':', (size_t)(behind - port - 1)))
			return refuse(text, len, "an IPv6 address stands in brackets: [2001:db8::1]:6737", why);
		host = (size_t)(port - text);
	}
	if (host >= sizeof a->host)
		return refuse(text, len, "the host's name is too long", why);
	for (size_t i = 0; i < host; i++)
		if ((unsigned char)from[i] <= ' ' || from[i] == 0x7f || strchr("[]", from[i]))
			return refuse(text, len, "no host has such a name", why);
	memcpy(a->host, from, host);
	a->host[host] = 0;
	snprintf(a->port, sizeof a->port, "%u", ADDRESS_PORT);
	if (port < behind && take_port(a, port + 1, (size_t)(behind - port - 1)) != 0)
		return refuse(text, len, "a port is a number up to 65535", why);
	return 0;
}

const char *address_behind(const char *list)
{
	const char *comma = strchr(list, ',');

	return comma ? comma + 1 : NULL;
}

int address_check(const char *list, bool called, char why[ADDRESS_WHY])
{
	struct address a;
	int err = 0;

	for (const char *text = list; !err && text;) {
		const char *this = text;

		err = address_parse(&a, text, &text, why);
		if (!err && called && !*a.host)
			err = refuse(this, strcspn(this, ","), "which host?", why);
		else if (!err && called && strcmp(a.port, "0") == 0)
			err = refuse(this, strcspn(this, ","), "nobody can be called at port 0", why);
	}
	return err;
}
