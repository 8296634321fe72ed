/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line in two manners: mqfs, as people type it, and mount.fuse.mqfs, as mount(8) calls it, with its own meaning of
 * -f, -s, -n, -v, -t and -N. mount.fuse(8) calls it as people do. Options may stand behind the paths in both.
 */
#include "conffile.h"
#include "option.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_OPTION 256          /* getopt_long()'s value of option 0 */
/* Letters that have a long form. */
static const struct option letters[] = {
	{"foreground", no_argument, NULL, 'f'}, {"debug", no_argument, NULL, 'd'}, {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'}, {0},
};
#define LONG_OPTIONS (OPTIONS + sizeof letters / sizeof *letters)

struct line {
	struct options *o;
	struct choices choices;
	bool helper;             /* mount(8) calls */
	bool sloppy;             /* mount -s: unknown mount options are fine */
	char *why;
};

/* ---- -o ---- */

static int take_one(struct line *l, char *text)
{
	char *value;
	int err;

	if (!*text)
		return 0;
	err = generic_take(&l->o->generic, text);
	if (err != -ENOENT)
		return err;
	if (strcmp(text, "allow_other") == 0) {
		l->o->allow_other = true;
		return 0;
	}
	value = strchr(text, '=');
	if (value)
		*value++ = 0;
	err = choices_take(&l->choices, WEIGHT_O, "-o ", text, value, l->why);
	return err == -ENOENT && l->sloppy ? 0 : err;
}

/* Splits "a=1,b=2\,3": a backslash takes the next character as it is. */
static int take_list(struct line *l, const char *list)
{
	char *text = malloc(strlen(list) + 1), *to = text;
	int err = text ? 0 : -ENOMEM;

	for (; !err; list++) {
		if (*list && *list != ',') {
			if (*list == '\\' && list[1])
				list++;
			*to++ = *list;
			continue;
		}
		*to = 0;
		err = take_one(l, text);
		to = text;
		if (!*list)
			break;
	}
	free(text);
	return err;
}

/* ---- letters and long options ---- */

static void long_options(struct option to[LONG_OPTIONS])
{
	for (int id = 0; id < OPTIONS; id++)
		to[id] = (struct option){option_row(id)->name, option_bare(id) ? optional_argument : required_argument, NULL, LONG_OPTION + id};
	memcpy(to + OPTIONS, letters, sizeof letters);
}

/* mount(8) stays in its own and leaves it to the helper to mount in the other one, where all paths are meant: before they are looked at. */
static int enter_namespace(struct line *l, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = fd < 0 || setns(fd, CLONE_NEWNS) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (!err)
		return 0;
	snprintf(l->why, STORE_WHY, "-N %.100s: cannot enter the mount namespace: %s", path, strerror(-err));
	return -EINVAL;
}

static int take_flag(struct line *l, int flag)
{
	struct options *o = l->o;

	switch (flag) {
	case 'o':
		return take_list(l, optarg);
	case 'f':
		*(l->helper ? &o->fake : &o->foreground) = true;
		return 0;
	case 's':
		l->sloppy = true;
		return 0;
	case 'N':
		return enter_namespace(l, optarg);
	case 'n': case 'v': case 't':
		return 0;
	case 'd':
		o->debug = o->foreground = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	case 'V':
		o->version = true;
		return 0;
	}
	return choices_take(&l->choices, WEIGHT_COMMAND_LINE, "--", option_row(flag - LONG_OPTION)->name, optarg, l->why);
}

/* What getopt_long() would not take. */
static int refuse_flag(struct line *l, int result, const char *text)
{
	char name[64], letter[] = {'-', (char)optopt, 0};
	size_t len;

	if (result == ':') {
		snprintf(l->why, STORE_WHY, "%.60s: needs an argument", optopt >= LONG_OPTION ? text : letter);
		return -EINVAL;
	}
	if (strncmp(text, "--", 2) != 0) {
		snprintf(l->why, STORE_WHY, "%s: there is no such option; --help shows them", letter);
		return -EINVAL;
	}
	len = strcspn(text + 2, "=");
	snprintf(name, sizeof name, "%.*s", len < sizeof name ? (int)len : (int)sizeof name - 1, text + 2);
	for (const struct option *o = letters; o->name; o++)
		if (strcmp(name, o->name) == 0) {
			snprintf(l->why, STORE_WHY, "--%s: takes no value", name);
			return -EINVAL;
		}
	return choices_take(&l->choices, WEIGHT_COMMAND_LINE, "--", name, NULL, l->why);
}

static int take_flags(struct line *l, int argc, char **argv)
{
	struct option longs[LONG_OPTIONS];
	int flag, err = 0;

	long_options(longs);
	optind = 0;
	opterr = 0;
	while (!err && (flag = getopt_long(argc, argv, l->helper ? ":o:sfnvt:N:" : ":o:fdhV", longs, NULL)) != -1)
		err = flag == '?' || flag == ':' ? refuse_flag(l, flag, argv[optind - 1]) : take_flag(l, flag);
	return err;
}

/* ---- paths ---- */

/* Absolute and without links as far as it exists, also of what is not there yet or a dead mount. What cannot be is for whoever uses it to refuse. */
static char *absolute(const char *path)
{
	char *found = realpath(path, NULL), *copy = strdup(path), *copy2 = strdup(path), *parent, *directory;

	if (!found && copy && copy2) {
		directory = dirname(copy);
		parent = strcmp(directory, path) ? absolute(directory) : strdup(path);
		if (!parent || asprintf(&found, "%s/%s", strcmp(parent, "/") ? parent : "", basename(copy2)) < 0)
			found = NULL;
		free(parent);
	}
	free(copy);
	free(copy2);
	return found;
}

static int refuse_path(struct line *l, const char *what)
{
	snprintf(l->why, STORE_WHY, "%.60s; usage: mqfs [-o OPTIONS] STORE MOUNTPOINT", what);
	return -EINVAL;
}

static int take_paths(struct line *l, int count, char **paths)
{
	struct options *o = l->o;

	if (count == 0)
		return refuse_path(l, "STORE and MOUNTPOINT are missing");
	if (!*paths[0])
		return refuse_path(l, "STORE is empty");
	if (count == 1)
		return refuse_path(l, "MOUNTPOINT is missing");
	if (!*paths[1])
		return refuse_path(l, "MOUNTPOINT is empty");
	if (count > 2)
		return refuse_path(l, "there is an argument too many");
	o->store_given = paths[0];
	o->mountpoint_given = paths[1];
	o->store = absolute(paths[0]);
	o->mountpoint = absolute(paths[1]);
	return o->store && o->mountpoint ? 0 : -ENOMEM;
}

static int take_file(struct line *l)
{
	const char *named = l->choices.of[OPTION_CONFIG].text;
	int err = conffile_take(&l->choices, named ? named : OPTION_FILE, l->o->store, l->why);

	return err == -ENOENT && !named ? 0 : err;
}

/* ---- all ---- */

static int parse(struct line *l, int argc, char **argv)
{
	struct options *o = l->o;
	int err = take_flags(l, argc, argv);

	if (err || o->help || o->version)
		return err;
	err = take_paths(l, argc - optind, argv + optind);
	if (!err)
		err = take_file(l);
	if (!err)
		err = choices_check(&l->choices, l->why);
	if (err)
		return err;
	choices_apply(&l->choices, o);
	if (o->private && o->allow_other) {
		snprintf(l->why, STORE_WHY, "allow_other and private contradict each other");
		return -EINVAL;
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, char why[STORE_WHY])
{
	struct line l = {.o = o, .why = why};
	int err;

	memset(o, 0, sizeof *o);
	why[0] = 0;
	l.helper = argc > 0 && strncmp(basename(argv[0]), "mount.", 6) == 0;
	store_options_normal(&o->store_options);
	choices_normal(&l.choices);
	err = parse(&l, argc, argv);
	choices_free(&l.choices);
	if (err == -ENOMEM)
		snprintf(why, STORE_WHY, "out of memory");
	if (err) {
		refusal_clean(why);
		options_free(o);
	}
	return err;
}

void options_free(struct options *o)
{
	free(o->store);
	free(o->mountpoint);
	o->store = o->mountpoint = NULL;
	generic_free(&o->generic);
	free(o->node.listen);
	free(o->node.others);
	free(o->node.cert);
	free(o->node.key);
	free(o->node.ca);
	memset(&o->node, 0, sizeof o->node);
}
