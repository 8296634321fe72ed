/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conffile.h - the configuration file: lines NAME = VALUE, comments with # or ;.
 *
 * Lines before any section are for every store. A section [/srv/mq] is for the store of that path; it may be a pattern as in the
 * shell, [/srv/mq/NAME*], and must be where the path is longer than CONFFILE_SECTION.
 *
 * Errors   negative errno, with the refusal as one line in WHY that names file and line.
 */
#ifndef MQFS_FS_CONFFILE_H
#define MQFS_FS_CONFFILE_H

#include "option.h"

#define CONFFILE_SECTION 48              /* bytes of a section's name: libinih keeps no more */
#define CONFFILE_LINE 190                /* bytes of a line */

#define CONFFILE_MAX (1u << 20)          /* bytes of a file */

/* Takes the options in the LEN bytes of a file, called PATH in refusals, into C. Lines for other stores are checked and left. */
int conffile_parse(struct choices *c, const char *bytes, size_t len, const char *path, const char *store, char why[STORE_WHY]);
/* Takes the options in the file PATH. -ENOENT: there is no such file. */
int conffile_take(struct choices *c, const char *path, const char *store, char why[STORE_WHY]);

#endif
