/* SPDX-License-Identifier: Apache-2.0 */
#include "rot.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rot_long(void)
{
	const char *l = getenv("MQFS_TEST_LONG");

	return l && !strcmp(l, "1");
}

static struct count {
	const char *name;
	unsigned tried, refused, start, reads, scrub, check, harmless, wrong;
} counts[64];

static struct count *count_of(const char *name)
{
	struct count *c = counts;

	while (c->name && strcmp(c->name, name))
		c++;
	c->name = name;
	return c;
}

void rot_count(const char *name, const struct rot_verdict *v)
{
	struct count *c = count_of(name);

	c->tried++;
	c->refused += v->refused;
	c->start += v->by_start;
	c->reads += v->by_reads;
	c->scrub += v->by_scrub;
	c->check += v->by_check;
	c->harmless += !v->refused && !v->by_reads && !v->by_scrub && !v->by_check;
	c->wrong += v->wrong;
}

void rot_print(const char *title)
{
	struct count sum = {.name = "all"};

	printf("%-36s %7s %8s %7s %7s %7s %7s %8s %5s\n", title, "tried", "refused", "start", "reads", "scrub", "check", "harmless", "wrong");
	for (struct count *c = counts; c->name; c++) {
		printf("%-36s %7u %8u %7u %7u %7u %7u %8u %5u\n", c->name, c->tried, c->refused, c->start, c->reads, c->scrub, c->check,
			c->harmless, c->wrong);
		sum.tried += c->tried;
		sum.harmless += c->harmless;
		sum.wrong += c->wrong;
	}
	printf("%s: %u, detected: %u, harmless: %u, wrong: %u\n", title, sum.tried, sum.tried - sum.harmless, sum.harmless, sum.wrong);
	fflush(stdout);
}
