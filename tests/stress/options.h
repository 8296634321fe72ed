/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - how a stress is called: NAME [--seconds N] [--rounds N] [DIRECTORY] */
#ifndef MQFS_TESTS_OPTIONS_H
#define MQFS_TESTS_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct stress_options {
	unsigned rounds, seconds;
	const char *directory;         /* NULL: a scratch one */
};

/* O has what holds by default. False: usage was printed. */
static inline bool stress_options(struct stress_options *o, int argc, char **argv, const char *name)
{
	static const struct option longs[] = {{"rounds", required_argument, NULL, 'r'}, {"seconds", required_argument, NULL, 's'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "r:s:", longs, NULL)) != -1)
		if (c == 'r')
			o->rounds = (unsigned)atoi(optarg);
		else if (c == 's')
			o->seconds = (unsigned)atoi(optarg);
		else
			return false;
	if (optind + 1 < argc || o->rounds == 0) {
		fprintf(stderr, "usage: %s [--seconds N] [--rounds N] [DIRECTORY]\n", name);
		return false;
	}
	o->directory = argv[optind];
	return true;
}

#endif
