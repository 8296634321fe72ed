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
	};

	return seeds_main(&simulation, argc, argv);
}
