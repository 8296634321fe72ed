/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <string.h>

enum { WRITER_DIGITS = 4, SEQUENCE_AT = 5, SEQUENCE_DIGITS = 12 };

static void put_hex(char *to, int digits, uint64_t value)
{
	while (digits--) {
		to[digits] = "0123456789abcdef"[value & 15];
		value >>= 4;
	}
}

static bool get_hex(const char *from, int digits, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++) {
		char c = from[i];
		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	return true;
}

void message_fill(char *to, size_t size, unsigned count, unsigned writer)
{
	memset(to, '.', size * count);
	for (unsigned i = 0; i < count; i++) {
		char *m = to + i * size;
		m[size - 1] = '\n';
		if (size <= MESSAGE_STAMP)
			continue;
		put_hex(m, WRITER_DIGITS, writer);
		m[WRITER_DIGITS] = ' ';
		m[MESSAGE_STAMP - 1] = ' ';
	}
	message_number(to, size, count, 0);
}

void message_number(char *to, size_t size, unsigned count, uint64_t sequence)
{
	if (size <= MESSAGE_STAMP)
		return;
	for (unsigned i = 0; i < count; i++)
		put_hex(to + i * size + SEQUENCE_AT, SEQUENCE_DIGITS, sequence + i);
}

bool message_read(const char *from, size_t len, unsigned *writer, uint64_t *sequence)
{
	uint64_t w;
	if (len <= MESSAGE_STAMP || from[WRITER_DIGITS] != ' ' || from[MESSAGE_STAMP - 1] != ' ')
		return false;
	if (!get_hex(from, WRITER_DIGITS, &w) || w >= MESSAGE_WRITERS || !get_hex(from + SEQUENCE_AT, SEQUENCE_DIGITS, sequence))
		return false;
	*writer = (unsigned)w;
	return from[len - 1] == '\n';
}
