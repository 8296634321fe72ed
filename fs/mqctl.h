/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqctl.h - the tool: its verbs, their options, and what the verbs share. One table (mqctl.c) declares verbs and options;
 * parsing, --help and the test of the man page come from it.
 *
 * Exit status  0 fine, 1 something is wrong with what was looked at, 2 it could not be looked at or the call was wrong.
 */
#ifndef MQFS_FS_MQCTL_H
#define MQFS_FS_MQCTL_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_FINE = 0, EXIT_WRONG = 1, EXIT_TROUBLE = 2 };

#define VERB_OPTIONS 8
#define WHY 8704                     /* bytes for a line that names two paths */

struct verb_option {
	const char *name;            /* NULL ends the list */
	char letter;                 /* 0: none */
	const char *value;           /* for people; NULL: a flag */
	const char *help;
};

struct call;

struct verb {
	const char *name;
	const char *operands;        /* for people */
	int least, most;             /* how many of them */
	const char *help;
	struct verb_option option[VERB_OPTIONS];
	int (*run)(const struct call *c);     /* returns the exit status */
};

struct call {
	const struct verb *verb;
	const char *mount;                    /* -m, or NULL */
	const char *given[VERB_OPTIONS];      /* as in verb->option; "" for a flag */
	char **operand;
	int operands;
};

/* The value of option NAME, or NULL when it was not given. */
const char *call_option(const struct call *c, const char *name);
/* "mqctl VERB: ..." on stderr. Returns EXIT_TROUBLE. */
int call_fail(const struct call *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

int verb_status(const struct call *c);
int verb_check(const struct call *c);
int verb_dump(const struct call *c);
int verb_keys(const struct call *c);
int verb_promote(const struct call *c);
int verb_alone(const struct call *c);
int verb_switchover(const struct call *c);
int verb_min_standbys(const struct call *c);
int verb_replay(const struct call *c);

/* ---- mqctl_find.c ---- */

/* The mountpoint of the mqfs mount that PATH lies in, and the rest of PATH below it ("", "T", "T/0"). -ENOENT: it lies in none. */
int find_mount_of(const char *path, char mountpoint[PATH_MAX], char rest[PATH_MAX], char why[WHY]);
/* The mount that the call is about: -m, else the only one there is. */
int find_mount(const struct call *c, char mountpoint[PATH_MAX], char why[WHY]);
/* PATH is a store, or was one. */
bool find_is_store(const char *path);
/* Splits STORE/lost/FILE, where STORE is one. */
bool find_lost(const char *path, char store[PATH_MAX], char file[PATH_MAX]);
/* A mount of STORE is there, and alive. */
bool find_served(const char *store);
/* The store that MOUNTPOINT shows, and up to where its log is committed. */
int find_store_of(const char *mountpoint, char store[PATH_MAX], uint64_t *committed, char why[WHY]);
/* MOUNTPOINT/.mqfs/status.json; NULL with WHY. */
json_t *find_status(const char *mountpoint, char why[WHY]);

/* ---- mqctl_status.c: members of status.json by their paths, as "log.committed" ---- */

const json_t *status_member(const json_t *of, const char *path);       /* NULL: there is none */
const char *status_text(const json_t *of, const char *path);           /* "?": there is none */
uint64_t status_number(const json_t *of, const char *path);            /* 0: there is none */

/* ---- mqctl_replication.c ---- */

/* What status shows of a node among others, where there are any. */
void replication_print(const json_t *status);

/* ---- mqctl_progress.c ---- */

/* One line on stderr, when that is a terminal: WHAT and how far, rewritten at most ten times a second. */
struct progress {
	const char *what;
	int64_t start, last;         /* CLOCK_MONOTONIC ns */
	bool shown;
};

void progress_start(struct progress *p, const char *what);
void progress_show(struct progress *p, uint64_t done, uint64_t total);
void progress_clear(struct progress *p);      /* before anything else is printed, and at the end */

/* "1.4 GiB" */
const char *print_size(uint64_t bytes, char to[24]);
/* "12,345,678" */
const char *print_count(uint64_t count, char to[32]);
/* "3 d 4 h", "12 min", "7 s" */
const char *print_span(uint64_t ns, char to[32]);

#endif
