/* SPDX-License-Identifier: Apache-2.0 */
#include "conffile.h"
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

struct conffile {
	struct choices *choices;
	const char *path, *store;
	FILE *file;
	unsigned line;                   /* the one that was read last */
	int err;                         /* the first */
	char *why;
};

static int refuse(struct conffile *f, int err, const char *what)
{
	if (!f->err) {
		f->err = err;
		snprintf(f->why, STORE_WHY, "%.100s:%u: %s", f->path, f->line, what);
	}
	return 0;
}

/* As fgets(3), for libinih: without the leading spaces, which would make a line a continuation. */
static char *next_line(char *to, int size, void *ctx)
{
	struct conffile *f = ctx;
	char *p = to;

	if (f->err || !fgets(to, size, f->file))
		return NULL;
	f->line++;
	if (strlen(to) > CONFFILE_LINE) {
		refuse(f, -EINVAL, "the line is too long");
		return NULL;
	}
	while (isspace((unsigned char)*p))
		p++;
	return memmove(to, p, strlen(p) + 1);
}

/* Whose lines these are; 0 for nobody's: a section of another store. */
static enum weight weight_of(struct conffile *f, const char *section)
{
	if (!*section)
		return WEIGHT_FILE;
	if (*section != '/' || strlen(section) > CONFFILE_SECTION) {
		refuse(f, -EINVAL, *section != '/' ? "a section is the absolute path of a store" : "the section is too long: shorten it with a *");
		return WEIGHT_NORMAL;
	}
	return fnmatch(section, f->store, 0) == 0 ? WEIGHT_FILE_STORE : WEIGHT_NORMAL;
}

/* For libinih: 0 is an error. */
static int take(void *ctx, const char *section, const char *name, const char *value)
{
	struct conffile *f = ctx;
	struct choices others = {0};
	enum weight by = weight_of(f, section);
	char where[128];
	int err;

	if (f->err)
		return 0;
	snprintf(where, sizeof where, "%.100s:%u: ", f->path, f->line);
	err = choices_take(by == WEIGHT_NORMAL ? &others : f->choices, by, where, name, value, f->why);
	if (err)
		f->err = err == -ENOENT ? -EINVAL : err;
	return err == 0;
}

int conffile_take(struct choices *c, const char *path, const char *store, char why[STORE_WHY])
{
	struct conffile f = {.choices = c, .path = path, .store = store, .why = why};
	int line;

	f.file = fopen(path, "re");
	if (!f.file) {
		f.err = -errno;
		snprintf(why, STORE_WHY, "config %.100s: cannot be read: %s", path, strerror(errno));
		return f.err;
	}
	line = ini_parse_stream(next_line, &f, take, &f);
	if (ferror(f.file)) {
		f.err = -errno;
		snprintf(why, STORE_WHY, "config %.100s: cannot be read: %s", path, strerror(errno));
	} else if (line != 0 && !f.err) {
		f.line = line > 0 ? (unsigned)line : 0;
		refuse(&f, -EINVAL, "is neither NAME = VALUE nor [STORE]");
	}
	fclose(f.file);
	return f.err;
}
