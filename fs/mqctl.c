/* SPDX-License-Identifier: Apache-2.0 */
#include "mqctl.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct verb verbs[] = {
	{"status", "", 0, 0, "show how a mounted node is", {
		{"all", 'a', NULL, "show all topics, not only the latest"},
		{"json", 'j', NULL, "print .mqfs/status.json"},
	}, verb_status},
	{"check", "STORE", 1, 1, "verify every record, chain, index and checkpoint of a stopped store", {
		{"quiet", 'q', NULL, "print findings only"},
		{"repair", 'r', NULL, "make again what follows from the records; they are never changed"},
	}, verb_check},
	{"dump", "[STORE [TOPIC[/QUEUE]] | MNT/TOPIC[/QUEUE] | STORE/lost/FILE]", 0, 2, "print messages as JSON Lines", {
		{"offset", 'o', "OFFSET", "begin with the message at OFFSET of the queue"},
		{"since", 's', "TIME", "begin with what was produced at TIME (RFC 3339, or -10m)"},
		{"count", 'n', "N", "end after N lines"},
		{"records", 'r', NULL, "one record a line, changes of state too"},
	}, verb_dump},
	{"promote", "", 0, 0, "make a standby the primary; refused where that may lose something", {
		{"stopped", 's', "NAME", "the other node of the pair is down, on your word"},
		{"accept-loss", 'l', NULL, "do it all the same"},
	}, verb_promote},
	{"alone", "", 0, 0, "let the primary go on without the other node of the pair", {
		{"stopped", 's', "NAME", "the node that is down, on your word"},
		{"accept-loss", 'l', NULL, "do it all the same"},
	}, verb_alone},
	{"switchover", "", 0, 0, "let primary and standby change places; nothing is lost", {{0}}, verb_switchover},
	{"min-standbys", "0|1", 1, 1, "how many other nodes of the pair a commit waits for", {{0}}, verb_min_standbys},
	{"replay", "STORE/lost/FILE MNT", 2, 2, "produce again what was put aside; without --produce only count it", {
		{"produce", 'p', NULL, "do it"},
		{"from", 'f', "POSITION", "begin with the record at POSITION of the log"},
	}, verb_replay},
	{"keys", "init DIR | node DIR NAME", 2, 3, "make the CA of a cluster (init), or a certificate and key of a node of it (node)", {{0}}, verb_keys},
};

static const struct verb_option common[] = {
	{"mount", 'm', "MNT", "the mount that is meant; by default the only one there is"},
	{"help", 'h', NULL, "print this help"},
	{"version", 'V', NULL, "print the version"},
};

#define VERBS (sizeof verbs / sizeof *verbs)
#define COMMON (sizeof common / sizeof *common)
#define LONG_FIRST 256    /* getopt_long()'s number for the first option of a verb */
#define COMMON_FIRST (LONG_FIRST + VERB_OPTIONS)

const char *call_option(const struct call *c, const char *name)
{
	for (int i = 0; i < VERB_OPTIONS && c->verb->option[i].name; i++)
		if (strcmp(c->verb->option[i].name, name) == 0)
			return c->given[i];
	return NULL;
}

int call_fail(const struct call *c, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "mqctl %s: ", c->verb->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_TROUBLE;
}

static void print_option(const struct verb_option *o)
{
	char text[64];

	snprintf(text, sizeof text, "-%c, --%s%s%s", o->letter, o->name, o->value ? "=" : "", o->value ? o->value : "");
	printf("  %-26s %s\n", text, o->help);
}

static void print_common(void)
{
	for (size_t i = 0; i < COMMON; i++)
		print_option(&common[i]);
}

static void print_help(const struct verb *v)
{
	if (v) {
		printf("usage: mqctl %s [-m MNT] [options]%s%s\n\n%s\n\n", v->name, *v->operands ? " " : "", v->operands, v->help);
		for (int i = 0; i < VERB_OPTIONS && v->option[i].name; i++)
			print_option(&v->option[i]);
		print_common();
	} else {
		printf("usage: mqctl VERB [-m MNT] [options] [operands]\n\n");
		for (size_t i = 0; i < VERBS; i++)
			printf("  %-26s %s\n", verbs[i].name, verbs[i].help);
		printf("\n");
		print_common();
		printf("\nmqctl VERB --help prints the options of a verb. See also mqctl(1).\n");
	}
}

static int usage(const struct verb *v)
{
	fprintf(stderr, "usage: mqctl %s [-m MNT] [options]%s%s\nmqctl%s%s --help tells more\n", v ? v->name : "VERB",
		v && !*v->operands ? "" : " ", v ? v->operands : "[operands]", v ? " " : "", v ? v->name : "");
	return EXIT_TROUBLE;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void add_option(const struct verb_option *o, int number, struct option *to, char **letters)
{
	*to = (struct option){.name = o->name, .has_arg = o->value ? required_argument : no_argument, .val = number};
	*(*letters)++ = o->letter;
	if (o->value)
		*(*letters)++ = ':';
}

/* What getopt_long() returned, as the number add_option() gave. */
static int option_number(const struct verb *v, int c)
{
	if (c >= LONG_FIRST)
		return c;
	for (size_t i = 0; i < COMMON; i++)
		if (common[i].letter == c)
			return COMMON_FIRST + (int)i;
	for (int i = 0; v && i < VERB_OPTIONS && v->option[i].name; i++)
		if (v->option[i].letter == c)
			return LONG_FIRST + i;
	return -1;
}

/* Options before the verb with V == NULL (they end at it), else the verb's. Returns -1 to go on, or the exit status. */
static int parse(struct call *call, const struct verb *v, int argc, char **argv)
{
	struct option options[VERB_OPTIONS + COMMON + 1] = {{0}};
	char letters[2 * (VERB_OPTIONS + COMMON) + 2], *letter = letters;
	int n = 0, c;

	if (!v)
		*letter++ = '+';
	for (size_t i = 0; i < COMMON; i++)
		add_option(&common[i], COMMON_FIRST + (int)i, &options[n++], &letter);
	for (int i = 0; v && i < VERB_OPTIONS && v->option[i].name; i++)
		add_option(&v->option[i], LONG_FIRST + i, &options[n++], &letter);
	*letter = 0;
	while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		int number = option_number(v, c);
		if (c == '?')
			return usage(v);
		if (number < COMMON_FIRST) {
			call->given[number - LONG_FIRST] = optarg ? optarg : "";
		} else if (common[number - COMMON_FIRST].letter == 'm') {
			call->mount = optarg;
		} else if (common[number - COMMON_FIRST].letter == 'h') {
			print_help(v);
			return EXIT_FINE;
		} else {
			printf("mqctl %s\n", MQFS_VERSION);
			return EXIT_FINE;
		}
	}
	return -1;
}

static int parse_call(struct call *call, int argc, char **argv)
{
	int done = parse(call, NULL, argc, argv);

	if (done >= 0)
		return done;
	if (optind == argc) {
		fprintf(stderr, "mqctl: which verb?\n");
		return usage(NULL);
	}
	call->verb = find_verb(argv[optind]);
	if (!call->verb) {
		fprintf(stderr, "mqctl: there is no verb \"%s\"\n", argv[optind]);
		return usage(NULL);
	}
	argv[optind] = argv[0];
	argv += optind;
	argc -= optind;
	optind = 0;
	done = parse(call, call->verb, argc, argv);
	if (done >= 0)
		return done;
	call->operand = argv + optind;
	call->operands = argc - optind;
	if (call->operands < call->verb->least || call->operands > call->verb->most) {
		call_fail(call, call->operands > call->verb->most ? "too many operands" : "%s is missing", call->verb->operands);
		return usage(call->verb);
	}
	return -1;
}

/* It had enough (| head). */
static bool reader_left(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	return poll(&out, 1, 0) > 0 && out.revents & POLLERR;
}

int main(int argc, char **argv)
{
	struct call call = {0};
	int status, lost;

	/* A reader that left shows as EPIPE, which ends the work in peace. */
	signal(SIGPIPE, SIG_IGN);
	opterr = 1;
	status = parse_call(&call, argc, argv);
	if (status < 0)
		status = call.verb->run(&call);
	/* What an earlier write has lost is seen by the flag only: its errno is gone. */
	errno = EIO;
	lost = ferror(stdout);
	if ((fflush(stdout) || lost) && !reader_left() && status == EXIT_FINE) {
		fprintf(stderr, "mqctl: standard output: %s\n", strerror(errno));
		status = EXIT_TROUBLE;
	}
	return status;
}
