/* SPDX-License-Identifier: Apache-2.0 */
/* mqctl keys: the files by which the nodes of a cluster know each other. */
#include "keys.h"
#include "mqctl.h"
#include <stdio.h>
#include <string.h>

static int init(const struct call *c, const char *dir)
{
	char why[KEYS_WHY];

	if (keys_init(dir, why) != 0)
		return call_fail(c, "%s", why);
	printf("%s/ca.crt, %s/ca.key: the CA of a new cluster, valid for %d years.\n"
	       "Whoever has ca.key can make nodes: keep it where no node runs. \"mqctl keys node %s NAME\" makes a node's.\n",
		dir, dir, KEYS_YEARS, dir);
	return EXIT_FINE;
}

static int node(const struct call *c, const char *dir, const char *name)
{
	char why[KEYS_WHY];

	if (keys_node(dir, name, 0, why) != 0)
		return call_fail(c, "%s", why);
	printf("%s/%s.crt, %s/%s.key: the node %s. It needs these and ca.crt.\n", dir, name, dir, name, name);
	return EXIT_FINE;
}

int verb_keys(const struct call *c)
{
	const char *what = c->operand[0];

	if (strcmp(what, "init") == 0 && c->operands == 2)
		return init(c, c->operand[1]);
	if (strcmp(what, "node") == 0 && c->operands == 3)
		return node(c, c->operand[1], c->operand[2]);
	return call_fail(c, "it is \"init DIR\" or \"node DIR NAME\"");
}
