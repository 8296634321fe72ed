/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint8_t fuzz_secret[RECORD_SECRET] =
	"Whoever knows the secret can write valid records. A fuzzer has to know it, or it would get no further than the first "
	"checksum. The secret of a real cluster comes from getrandom(2).";

void fuzz_broken(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

uint8_t take_byte(struct input *in)
{
	return (uint8_t)take_number(in, 1);
}

uint64_t take_number(struct input *in, unsigned bytes)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < bytes && in->len > 0; i++, in->at++, in->len--)
		n |= (uint64_t)*in->at << 8 * i;
	return n;
}

const uint8_t *take_bytes(struct input *in, size_t max, size_t *len)
{
	const uint8_t *at = in->at;

	*len = in->len < max ? in->len : max;
	in->at += *len;
	in->len -= *len;
	return at;
}

char *take_text(struct input *in, char separator, char *to, size_t room)
{
	size_t len = 0;

	while (in->len > 0) {
		char c = (char)*in->at;

		in->at++;
		in->len--;
		if (c == separator)
			break;
		if (c && len + 1 < room)
			to[len++] = c;
	}
	to[len] = 0;
	return to;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	return fuzz(bytes, len);
}
