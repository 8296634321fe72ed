/* SPDX-License-Identifier: Apache-2.0 */
#include "conffile.h"
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conffile {
	struct choices *choices;
	const char *path, *store;
	const char *bytes;               /* what is not read yet */
	size_t len;
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
	const char *newline = memchr(f->bytes, '\n', f->len), *from = f->bytes;
	size_t len = newline ? (size_t)(newline - from) + 1 : f->len;

	if (f->err || !len)
		return NULL;
	f->line++;
	if (len > CONFFILE_LINE || len >= (size_t)size || memchr(from, 0, len)) {
		refuse(f, -EINVAL, memchr(from, 0, len) ? "the line is no text" : "the line is too long");
		return NULL;
	}
	f->bytes += len;
	f->len -= len;
	while (len > 0 && isspace((unsigned char)*from)) {
		from++;
		len--;
	}
	memcpy(to, from, len);
	to[len] = 0;
	return to;
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
	choices_free(&others);
	if (err)
		f->err = err == -ENOENT ? -EINVAL : err;
	return err == 0;
}

int conffile_parse(struct choices *c, const char *bytes, size_t len, const char *path, const char *store, char why[STORE_WHY])
{
	struct conffile f = {.choices = c, .path = path, .store = store, .bytes = bytes, .len = len, .why = why};
	int line = ini_parse_stream(next_line, &f, take, &f);

	if (line != 0 && !f.err) {
		f.line = line > 0 ? (unsigned)line : 0;
		refuse(&f, -EINVAL, "is neither NAME = VALUE nor [STORE]");
	}
	if (f.err)
		refusal_clean(why);
	return f.err;
}

/* Any kind of file, a pipe too. */
static int load(const char *path, char **bytes, size_t *len)
{
	FILE *file = fopen(path, "re");
	int err;

	if (!file)
		return -errno;
	*bytes = malloc(CONFFILE_MAX + 1);
	err = *bytes ? 0 : -ENOMEM;
	if (!err) {
		*len = fread(*bytes, 1, CONFFILE_MAX + 1, file);
		err = ferror(file) ? -errno : *len > CONFFILE_MAX ? -EFBIG : 0;
	}
	fclose(file);
	if (err)
		free(*bytes);
	return err;
}

int conffile_take(struct choices *c, const char *path, const char *store, char why[STORE_WHY])
{
	char *bytes = NULL;
	size_t len = 0;
	int err = load(path, &bytes, &len);

	if (err) {
		snprintf(why, STORE_WHY, "config %.100s: cannot be read: %s", path, strerror(-err));
		return err;
	}
	err = conffile_parse(c, bytes, len, path, store, why);
	free(bytes);
	return err;
}
