/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ground.h - what the programs of the benchmarks stand on: a clock, chance, and an end where something fails.
 */
#ifndef MQFS_BENCH_GROUND_H
#define MQFS_BENCH_GROUND_H

#include <stddef.h>
#include <stdint.h>

/* Says what failed, with errno's text where it is not 0, and exits. */
_Noreturn void die(const char *what, const char *about);
void *must_alloc(size_t count, size_t size);
/* PATTERN with N for its %d into TO, of MAX bytes. */
void path_number(char *to, size_t max, const char *pattern, unsigned n);
double now(void);                /* CLOCK_MONOTONIC, seconds */
void sleep_until(double when);   /* the same clock */
uint64_t random_next(uint64_t *state);

#endif
