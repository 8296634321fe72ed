/* SPDX-License-Identifier: Apache-2.0 */
/* test_crash - a store on a simulated disk, crashed anywhere, and what must be there after each crash. */
#include "run.h"
#include "seeds.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Distinct ones, of the default run. */
#ifdef __SANITIZE_ADDRESS__
#define STATES 10000
#else
#define STATES 100000
#endif
#define STATES_TELLING 100000          /* with so many all but the rare branches have been reached, each hundreds of times */

static int run(const struct seed *s)
{
	struct run *r = calloc(1, sizeof *r);
	int err;

	if (!r)
		return -ENOMEM;
	r->seed = s->number;
	r->counts = s->counts;
	r->is_new = s->is_new;
	r->tell = s->tell;
	r->failed = s->failed;
	r->ctx = s->ctx;
	err = run_seed(r);
	free(r);
	return err;
}

static uint64_t states(const void *counts)
{
	return ((const struct run_counts *)counts)->states;
}

/* These come to pass a few times in a default run, or not at all. */
static bool is_rare(enum branch b)
{
	return b == INDEX_MADE_AGAIN || b == RESERVE_RELEASED;
}

static const char *missing(const void *counts)
{
	if (STATES < STATES_TELLING)
		return NULL;
	for (enum branch b = 0; b < BRANCHES; b++)
		if (!is_rare(b) && !((const struct run_counts *)counts)->branches[b])
			return branch_names[b];
	return NULL;
}

static void print(const void *counts, uint64_t distinct, double seconds)
{
	const struct run_counts *c = counts;

	printf("%" PRIu64 " states, %" PRIu64 " of them distinct, in %.1f s; %" PRIu64 " runs, %" PRIu64 " crashes, %" PRIu64 " starts, %" PRIu64
		" calls of the disk\n", c->states, distinct, seconds, c->runs, c->crashes, c->starts, c->calls);
	printf("%" PRIu64 " appends, %" PRIu64 " acknowledged, %" PRIu64 " refused; %" PRIu64 " changes, %" PRIu64 " reads\n", c->appends, c->acked,
		c->refused, c->changes, c->reads);
	for (int b = 0; b < BRANCHES; b++)
		printf("%10" PRIu64 "  %s\n", c->branches[b], branch_names[b]);
}

int main(int argc, char **argv)
{
	static const struct simulation simulation = {
		.name = "test_crash",
		.cases = "states",
		.enough = STATES,
		.counts = sizeof(struct run_counts),
		.run = run,
		.cases_of = states,
		.print = print,
		.missing = missing,
	};

	return seeds_main(&simulation, argc, argv);
}
