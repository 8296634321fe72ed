/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setting.h - the settings a topic can have: one table from which parsing, printing, .config, -o, the configuration file,
 * --help and the checks of the man pages come.
 *
 * A setting is a number of 64 bits; its row says how text becomes that number and back. Each has a value for the mount
 * (an option of the same name) and may have one for a topic, which wins.
 *
 * Text     counts and bytes with optional suffix K, M, G, T (powers of 1024); durations with ns, us, ms, s, m, h, d (a plain number
 *          is seconds), kept as ns; words from the row's list; "none" is no limit, kept as UINT64_MAX.
 * Errors   -EINVAL for text that is no value of the setting, -ERANGE outside its limits, -ENOENT for no such setting.
 */
#ifndef MQFS_STORE_SETTING_H
#define MQFS_STORE_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_id {
	SETTING_COMMIT,             /* enum commit_mode */
	SETTING_FRAMING,            /* enum framing */
	SETTING_PARTIAL,            /* enum partial */
	SETTING_MAX_MESSAGE,        /* bytes */
	SETTING_RETENTION_AGE,      /* ns */
	SETTING_RETENTION_SIZE,     /* bytes of messages in the topic */
	SETTING_RETENTION_PINNED,   /* enum pinned */
	SETTINGS,
};

enum commit_mode { COMMIT_WRITE, COMMIT_CLOSE, COMMIT_FSYNC };
enum framing { FRAMING_LINES, FRAMING_WRITE };
enum partial { PARTIAL_NEWLINE, PARTIAL_KEEP, PARTIAL_LOST };
enum pinned { PINNED_KEEP, PINNED_DROP };

#define SETTING_NONE UINT64_MAX
#define SETTING_TEXT 64              /* bytes that any value's text and its NUL fit in */

enum setting_kind { SETTING_WORD, SETTING_BYTES, SETTING_DURATION };

struct setting {
	const char *name;            /* as in .config, -o and the configuration file */
	const char *values;          /* for people: "write|close|fsync", "BYTES", "DURATION|none" */
	const char *help;            /* one line */
	const char *normal;          /* text of the built-in value */
	enum setting_kind kind;
	bool none;                   /* may be "none" */
	uint64_t least, most;        /* of a word: its place in `values` */
};

extern const struct setting setting_table[SETTINGS];

struct settings {
	uint64_t value[SETTINGS];
	uint32_t set;                /* bit ID: has a value of its own (always all of them for the mount's) */
};

int setting_find(const char *name);                                /* its id, or -ENOENT */
/* 0 when VALUE is one that setting_parse() gives, else -ERANGE. */
int setting_check(enum setting_id id, uint64_t value);
int setting_parse(enum setting_id id, const char *text, uint64_t *value);
/* The same by a row that need not be of the table: what is set for the mount only is declared in rows of this kind too (fs/option.c). */
int setting_parse_as(const struct setting *row, const char *text, uint64_t *value);
/* Canonical text, which setting_parse() takes back; needs SETTING_TEXT bytes. */
void setting_print(enum setting_id id, uint64_t value, char *to);
void settings_normal(struct settings *s);                          /* the built-in values, all set */

/* setting_text.c: the scalar parsers behind the table, for options and control files outside it. */
int parse_bytes(const char *text, uint64_t *bytes);
int parse_duration(const char *text, uint64_t *ns);
/* The shortest text that they take back exactly; SETTING_TEXT bytes. */
void print_bytes(uint64_t bytes, char *to);
void print_duration(uint64_t ns, char *to);
/* An RFC 3339 time (2026-11-23T04:05:06.789Z, any offset) as ns since 1970, or "-10m" (a duration before NOW_NS). */
int parse_time(const char *text, int64_t now_ns, int64_t *ns);
void print_time(int64_t ns, char to[40]);                          /* RFC 3339, UTC, ns precision */

#endif
