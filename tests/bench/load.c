/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct verb {
	const char *name;
	int paths;
	void (*run)(const struct load *l);
	const char *help;
} verbs[] = {
	{ "append", 1, load_append, "messages to PATH, or to a file a thread where PATH has a %d" },
	{ "read", 1, load_read, "PATH once, from its start; with a %d in it, --files of them" },
	{ "random", 1, load_random, "--messages reads of --size bytes at random places of PATH" },
	{ "tail", 1, load_tail, "the last --messages messages of --size bytes of PATH" },
	{ "count", 1, load_count, "the messages that append wrote: how many, missing, twice, out of order" },
	{ "pingpong", 2, load_pingpong, "append to PATH, until a reader blocked on OTHER has it" },
	{ "deliver", 2, load_deliver, "append to PATH, until the last of --readers blocked on OTHER has it" },
	{ "park", 1, load_park, "--readers blocked on PATH until standard input ends" },
	{ "topics", 1, load_topics, "open, append one message, close: over --topics (%d in PATH) of --queues in turn" },
	{ "stat", 1, load_stat, "look up every queue of --topics (%d in PATH)" },
};

static const struct option options[] = {
	{ "messages", required_argument, NULL, 'm' },
	{ "size", required_argument, NULL, 's' },
	{ "per", required_argument, NULL, 'p' },
	{ "sync", required_argument, NULL, 'y' },
	{ "threads", required_argument, NULL, 't' },
	{ "files", required_argument, NULL, 'f' },
	{ "rate", required_argument, NULL, 'r' },
	{ "buffer", required_argument, NULL, 'b' },
	{ "bytes", required_argument, NULL, 'B' },
	{ "topics", required_argument, NULL, 'T' },
	{ "queues", required_argument, NULL, 'Q' },
	{ "readers", required_argument, NULL, 'R' },
	{ "seed", required_argument, NULL, 'S' },
	{ "direct", no_argument, NULL, 'D' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static enum sync_mode sync_named(const char *name)
{
	static const char *names[] = { [SYNC_NONE] = "none", [SYNC_EACH] = "each", [SYNC_DSYNC] = "dsync", [SYNC_END] = "end" };
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(name, names[i]))
			return (enum sync_mode)i;
	errno = 0;
	die("--sync is none, each, dsync or end, not", name);
}

static uint64_t number(const char *text)
{
	char *end;
	errno = 0;
	uint64_t n = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-')
		die("not a number", text);
	return n;
}

static void set_option(struct load *l, int name, const char *value)
{
	switch (name) {
	case 'm': l->messages = number(value); break;
	case 's': l->size = number(value); break;
	case 'p': l->per = (unsigned)number(value); break;
	case 'y': l->sync = sync_named(value); break;
	case 't': l->threads = (unsigned)number(value); break;
	case 'f': l->files = (unsigned)number(value); break;
	case 'r': l->rate = (double)number(value); break;
	case 'b': l->buffer = number(value); break;
	case 'B': l->bytes = number(value); break;
	case 'T': l->topics = (unsigned)number(value); break;
	case 'Q': l->queues = (unsigned)number(value); break;
	case 'R': l->readers = (unsigned)number(value); break;
	case 'S': l->seed = number(value); break;
	case 'D': l->direct = true; break;
	}
}

static void usage(FILE *to)
{
	fprintf(to, "usage: load VERB [--OPTION=VALUE ...] PATH [OTHER]\n");
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].help);
	fprintf(to, "options:");
	for (const struct option *o = options; o->name; o++)
		fprintf(to, " --%s", o->name);
	fprintf(to, "\n");
}

int main(int argc, char **argv)
{
	struct load l = { .messages = 1000, .size = 100, .per = 1, .threads = 1, .files = 1, .buffer = 131072, .topics = 1,
		.queues = 1, .readers = 1, .seed = 1 };
	int name;
	while ((name = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (name == 'h' || name == '?') {
			usage(name == 'h' ? stdout : stderr);
			return name == 'h' ? 0 : 2;
		}
		set_option(&l, name, optarg);
	}
	int left = argc - optind;
	for (size_t i = 0; left >= 2 && i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(argv[optind], verbs[i].name) || left != 1 + verbs[i].paths)
			continue;
		errno = 0;
		if (!l.size || !l.per || !l.threads || !l.files || !l.topics || !l.queues || !l.readers || !l.buffer)
			die("0 is too few of anything", verbs[i].name);
		l.path = argv[optind + 1];
		l.other = left > 2 ? argv[optind + 2] : NULL;
		verbs[i].run(&l);
		return 0;
	}
	usage(stderr);
	return 2;
}
