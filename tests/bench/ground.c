/* SPDX-License-Identifier: Apache-2.0 */
#include "ground.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void die(const char *what, const char *about)
{
	int err = errno;
	fprintf(stderr, "%s: %s: %s%s%s\n", program_invocation_short_name, what, about, err ? ": " : "", err ? strerror(err) : "");
	exit(1);
}

void *must_alloc(size_t count, size_t size)
{
	void *p = calloc(count, size);
	if (!p)
		die("memory", "none left");
	return p;
}

void path_number(char *to, size_t max, const char *pattern, unsigned n)
{
	const char *at = strstr(pattern, "%d");
	int len = at ? snprintf(to, max, "%.*s%u%s", (int)(at - pattern), pattern, n, at + 2) : snprintf(to, max, "%s", pattern);
	if (len < 0 || (size_t)len >= max)
		die("path too long", pattern);
}

double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void sleep_until(double when)
{
	struct timespec t = { .tv_sec = (time_t)when };
	t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

uint64_t random_next(uint64_t *state)    /* splitmix64 (Steele, Lea, Flood 2014) */
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}
