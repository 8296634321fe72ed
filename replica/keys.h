/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.h - makes a cluster's private CA and its nodes' certificates (what is in them: tls.h).
 *
 * Files in DIR: ca.crt, ca.key (0600), NAME.crt, NAME.key (0600), PEM. Keys are EC P-256; certificates are valid from a day ago, for clocks that
 * differ, for KEYS_YEARS. Nothing that exists is ever overwritten.
 *
 * Errors   negative errno with one line in WHY; -EEXIST when a file is there already, -ENOENT when DIR has no CA, -EINVAL for what is no
 *          node's name.
 * Threads  any.
 */
#ifndef MQFS_REPLICA_KEYS_H
#define MQFS_REPLICA_KEYS_H

#include <stdbool.h>
#include <time.h>

#define KEYS_YEARS 20
#define KEYS_WHY 8704                     /* bytes for a line that names two paths */
#define KEYS_URI "mqfs:node:"             /* and the name */

/* 1-63 letters, digits, "." "_" "-", the first a letter or digit; not "ca". */
bool keys_name_valid(const char *name);
/* A CA in DIR, which is made if it is missing. */
int keys_init(const char *dir, char why[KEYS_WHY]);
/* A certificate for the node NAME, valid up to UNTIL; 0: KEYS_YEARS. */
int keys_node(const char *dir, const char *name, time_t until, char why[KEYS_WHY]);

#endif
