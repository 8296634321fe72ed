/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - messages that can be counted: each says which writer made it and the how-manieth of the writer's it is.
 *
 * "WWWW SSSSSSSSSSSS ....\n": writer and sequence as hexadecimal digits, dots up to the size. Messages too short for that are all
 * alike; only their number can be checked.
 */
#ifndef MQFS_BENCH_MESSAGE_H
#define MQFS_BENCH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_STAMP 18         /* bytes; a message with a stamp has at least one more */
#define MESSAGE_WRITERS 4096u    /* numbers below it */

/* COUNT messages of SIZE bytes into TO. */
void message_fill(char *to, size_t size, unsigned count, unsigned writer);
/* Numbers them from SEQUENCE on. */
void message_number(char *to, size_t size, unsigned count, uint64_t sequence);
/* False when the LEN bytes (newline included) are no message of these. */
bool message_read(const char *from, size_t len, unsigned *writer, uint64_t *sequence);

#endif
