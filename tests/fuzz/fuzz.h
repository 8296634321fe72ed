/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what the fuzzers share: a way to take an input apart, and a way to say what must hold.
 *
 * A fuzzer is a function fuzz() over bytes; libFuzzer calls it with inputs that reach ever more of the code. What a parser is protected by,
 * a checksum over all it reads, no fuzzer guesses: so each tries the bytes as they are and, with the checksum made right
 * (seal), as somebody who knows the secret could have written them.
 *
 * Calling  struct input in = {bytes, len}; kind = take_byte(&in); ... must(condition);
 * Errors   must() ends the process as a crash does: libFuzzer then keeps the input as a file.
 */
#ifndef MQFS_TESTS_FUZZ_H
#define MQFS_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must(what) ((what) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #what))

_Noreturn void fuzz_broken(const char *file, int line, const char *what);
extern const uint8_t fuzz_secret[];      /* RECORD_SECRET bytes */

/* What is left of an input. Taken numbers and bytes are zeros behind its end. */
struct input {
	const uint8_t *at;
	size_t len;
};

uint8_t take_byte(struct input *in);
uint64_t take_number(struct input *in, unsigned bytes);          /* little endian */
/* At most MAX bytes, fewer at the input's end. *LEN is how many. */
const uint8_t *take_bytes(struct input *in, size_t max, size_t *len);
/* The same up to the next SEPARATOR or the end, as a string in TO, without the bytes that SEPARATOR or NUL are. */
char *take_text(struct input *in, char separator, char *to, size_t room);

int fuzz(const uint8_t *bytes, size_t len);

#endif
