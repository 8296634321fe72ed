/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.h - what the command line, -o, the configuration file and the defaults say, in this order of weight.
 *
 * One table declares every option: its name, its values for people, its help and its default, in rows as those of setting.h; the value
 * is a number, or a text of which nothing is looked at here. A list of addresses stands with + between them, as -o has commas of its own. The
 * settings of topics are options of the mount by the same names. --help and the test of the man pages read the same table.
 *
 * Calling  options_parse(&o, argc, argv, why); ...; options_free(&o)
 * Errors   negative errno, with the refusal as one line in WHY.
 * Threads  one: getopt(3).
 */
#ifndef MQFS_FS_OPTION_H
#define MQFS_FS_OPTION_H

#include "generic.h"
#include "store.h"

#define OPTION_FILE "/etc/mqfs.conf"     /* read when it is there and no other is named */

/* This node among others. Texts are NULL where they were not given; lists of addresses have commas. */
struct node_options {
	char *listen;
	char *others;                    /* standby_of, or peer */
	char *cert, *key, *ca;           /* paths */
	bool joins;                      /* standby_of: a store that is not there is made from the primary's */
	bool mirror;
	int min_standbys;                /* MIN_STANDBYS_KEEP, 0, 1 */
};

#define MIN_STANDBYS_KEEP (-1)

struct options {
	char *store;                     /* absolute path */
	char *mountpoint;                /* absolute path */
	const char *store_given, *mountpoint_given;      /* as typed; of ARGV */
	bool foreground;                 /* -f */
	bool debug;                      /* -d: libfuse's trace */
	bool fake;                       /* mount -f: look at the options only */
	bool private;                    /* no allow_other */
	bool allow_other;                /* asked for: where it may not be, mounting fails */
	bool help, version;
	unsigned workers;                /* threads that serve requests */
	struct generic generic;          /* the generic options of mount(8) */
	struct node_options node;
	struct store_options store_options;
};

/* cmdline.c */
int options_parse(struct options *o, int argc, char **argv, char why[STORE_WHY]);
void options_free(struct options *o);

/* ---- option.c: the table ---- */

enum { OPTION_COMMIT_TIMEOUT = SETTINGS, OPTION_SEGMENT_SIZE, OPTION_CHECKPOINT_EVERY, OPTION_RETENTION_FREE, OPTION_CACHE, OPTION_SCRUB_RATE, OPTION_WORKERS, OPTION_CREATE,
	OPTION_PRIVATE, OPTION_SYNC_DELAY, OPTION_MIRROR, OPTION_MIN_STANDBYS, OPTION_HOLD,
	/* those whose value is a text */
	OPTION_LISTEN, OPTION_STANDBY_OF, OPTION_PEER, OPTION_CERT, OPTION_KEY, OPTION_CA, OPTION_CONFIG, OPTIONS };

/* Who says it; the heaviest wins, and of the same weight the last. */
enum weight { WEIGHT_NORMAL, WEIGHT_FILE, WEIGHT_FILE_STORE, WEIGHT_O, WEIGHT_COMMAND_LINE };

struct choices {
	struct {
		enum weight weight;
		uint64_t value;
		char *text;              /* of an option whose value is one, malloc'ed; NULL: it was not given */
	} of[OPTIONS];
};

/* The defaults. */
void choices_normal(struct choices *c);
void choices_free(struct choices *c);
/* TEXT for the option NAME; NULL where only the name was given. WHERE opens the refusal: "-o ", "FILE:LINE: ". -ENOENT: no such option. */
int choices_take(struct choices *c, enum weight by, const char *where, const char *name, const char *text, char why[STORE_WHY]);
/* Texts that O needs are O's from then on. */
void choices_apply(struct choices *c, struct options *o);
/* What only makes sense together. */
int choices_check(const struct choices *c, char why[STORE_WHY]);
/* A refusal repeats what it was given: a control character in that must not break the line, or reach a terminal. */
void refusal_clean(char why[STORE_WHY]);
/* Row ID of the table, below OPTIONS. */
const struct setting *option_row(int id);
/* It may stand without a value. */
bool option_bare(int id);
/* Its value is a text, which may be anything. */
static inline bool option_is_text(int id)
{
	return id >= OPTION_LISTEN;
}
void options_help(void);             /* on standard output */

#endif
