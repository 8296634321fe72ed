/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_keys.h - keys of a cluster in a scratch directory, for tests of what nodes say to each other.
 */
#ifndef MQFS_TESTS_CLUSTER_KEYS_H
#define MQFS_TESTS_CLUSTER_KEYS_H

#include "keys.h"
#include "tls.h"

extern char keys_path[64];             /* the directory; clusters are directories in it */

void cluster_keys_init(void);          /* the cluster "us" with the nodes a and b */
void cluster_keys_end(void);
/* keys_path/CLUSTER/FILE, valid until the eighth call from here. */
const char *key_file(const char *cluster, const char *file);
/* The context of CLUSTER's node NAME; it must be had. */
struct tls *tls_of(const char *cluster, const char *name);

#endif
