/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option.h - what the command line, -o, the configuration file and the defaults say, in this order of weight.
 *
 * One table declares every option: its name, its values for people, its help, its default, how it is parsed. The settings of
 * topics (setting.h) are options of the mount by the same names. --help and the test of the man pages read the same table.
 *
 * Errors   a refusal is one line in WHY.
 */
#ifndef MQFS_FS_OPTION_H
#define MQFS_FS_OPTION_H

#include "store.h"

struct options {
	char *store;                     /* absolute path */
	char *mountpoint;                /* absolute path */
	bool foreground;                 /* -f */
	bool debug;                      /* -d: libfuse's trace */
	bool private;                    /* no allow_other */
	bool help, version;
	unsigned workers;                /* threads that serve requests */
	char *fuse_options;              /* generic mount options that libfuse or the kernel takes: "ro,noatime,..." */
	struct store_options store_options;
};

int options_parse(struct options *o, int argc, char **argv, char why[STORE_WHY]);
void options_free(struct options *o);
void options_help(void);             /* on standard output */

#endif
