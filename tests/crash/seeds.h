/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seeds.h - the frame of a simulation's program: seeds side by side, what they counted, and the story of the one that failed.
 *
 * Some processes run seeds until enough distinct cases were checked. A process that meets a broken rule says which seed it was; that seed is
 * run once more, with its story, whose end is printed. The same seed gives the same story.
 *
 * Calling  return seeds_main(&simulation, argc, argv); from main()
 */
#ifndef MQFS_TESTS_SEEDS_H
#define MQFS_TESTS_SEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For one seed. */
struct seed {
	uint64_t number;
	void *counts;
	/* Whether a case is a new one. */
	bool (*is_new)(void *ctx, uint64_t hash);
	/* A line of the story; NULL: nobody listens. */
	void (*tell)(void *ctx, const char *line);
	/* A rule is broken; does not return. */
	void (*failed)(void *ctx, uint64_t seed, const char *what);
	void *ctx;
};

struct simulation {
	const char *name;              /* of the program */
	const char *cases;             /* "states" */
	uint64_t enough;               /* distinct ones, of the default run */
	size_t counts;                 /* bytes of what is counted, all of it uint64_t */
	/* Returns when the run has ended without a broken rule, or a negative errno. */
	int (*run)(const struct seed *s);
	uint64_t (*cases_of)(const void *counts);
	void (*print)(const void *counts, uint64_t distinct, double seconds);
	/* What the default run must have reached and did not; NULL: nothing, or it is not asked for. */
	const char *(*missing)(const void *counts);
};

int seeds_main(const struct simulation *s, int argc, char **argv);

#endif
