/* SPDX-License-Identifier: Apache-2.0 */
/* test_pair - two nodes, what befalls them, and what they must hold when they are at one again. */
#include "duo.h"
#include <inttypes.h>
#include <stdio.h>

/* Distinct ones, of the default run. */
#ifdef __SANITIZE_ADDRESS__
#define SCHEDULES_ENOUGH 2000
#else
#define SCHEDULES_ENOUGH 20000
#endif
#define SCHEDULES_TELLING 20000        /* with so many all has been reached */

static uint64_t schedules(const void *counts)
{
	return ((const struct duo_counts *)counts)->schedules;
}

static const char *missing(const void *counts)
{
	if (SCHEDULES_ENOUGH < SCHEDULES_TELLING)
		return NULL;
	for (int b = 0; b < DUO_BRANCHES; b++)
		if (!((const struct duo_counts *)counts)->branches[b])
			return duo_branch_names[b];
	return NULL;
}

static void print(const void *counts, uint64_t distinct, double seconds)
{
	const struct duo_counts *c = counts;

	printf("%" PRIu64 " schedules, %" PRIu64 " of them distinct, in %.1f s; %" PRIu64 " runs, %" PRIu64 " crashes, %" PRIu64 " starts, "
		"%" PRIu64 " orders\n", c->schedules, distinct, seconds, c->runs, c->crashes, c->starts, c->orders);
	printf("%" PRIu64 " appends, %" PRIu64 " acknowledged, %" PRIu64 " refused, %" PRIu64 " shown; %" PRIu64 " lost as the operator accepted\n",
		c->appends, c->acked, c->refused, c->shown, c->lost);
	for (int b = 0; b < DUO_BRANCHES; b++)
		printf("%10" PRIu64 "  %s\n", c->branches[b], duo_branch_names[b]);
}

int main(int argc, char **argv)
{
	static const struct simulation simulation = {
		.name = "test_pair",
		.cases = "schedules",
		.enough = SCHEDULES_ENOUGH,
		.counts = sizeof(struct duo_counts),
		.run = duo_run,
		.cases_of = schedules,
		.print = print,
		.missing = missing,
	};

	return seeds_main(&simulation, argc, argv);
}
