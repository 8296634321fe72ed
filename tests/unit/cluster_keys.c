/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster_keys.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char keys_path[64];

void cluster_keys_init(void)
{
	char why[KEYS_WHY] = "";

	strcpy(keys_path, "/tmp/mqfs-keys-XXXXXX");
	cr_assert(mkdtemp(keys_path));
	cr_assert_eq(keys_init(key_file("us", ""), why), 0, "%s", why);
	cr_assert_eq(keys_node(key_file("us", ""), "a", 0, why), 0, "%s", why);
	cr_assert_eq(keys_node(key_file("us", ""), "b", 0, why), 0, "%s", why);
}

void cluster_keys_end(void)
{
	scratch_remove(keys_path);
}

const char *key_file(const char *cluster, const char *file)
{
	static char path[8][256];
	static int next;
	char *to = path[next++ % 8];

	snprintf(to, sizeof path[0], "%s/%s%s%s", keys_path, cluster, *file ? "/" : "", file);
	return to;
}

struct tls *tls_of(const char *cluster, const char *name)
{
	char crt[128], key[128], why[TLS_WHY] = "";
	struct tls *t;

	snprintf(crt, sizeof crt, "%s.crt", name);
	snprintf(key, sizeof key, "%s.key", name);
	cr_assert_eq(tls_new(&t, key_file(cluster, crt), key_file(cluster, key), key_file(cluster, "ca.crt"), name, why), 0, "%s", why);
	return t;
}
