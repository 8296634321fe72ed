/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a pair's record: what is decoded is a pair, and encodes to the same bytes. */
#include "fuzz.h"
#include "pair.h"
#include <errno.h>
#include <string.h>

static void plausible(const struct pair *p)
{
	must(p->nodes >= 1 && p->nodes <= PAIR_NODES && p->min_standbys < p->nodes);
	for (unsigned n = 0; n < p->nodes; n++) {
		must(strlen(p->name[n]) <= PAIR_NAME);
		must(p->node[n] && pair_has(p, p->node[n]));
		must(!*p->name[n] || pair_named(p, p->name[n]));
	}
	must(p->nodes == 1 || p->node[0] != p->node[1]);
	must(pair_other(p, p->node[0]) == (p->nodes == 2 ? p->node[1] : 0));
}

int fuzz(const uint8_t *bytes, size_t len)
{
	uint8_t again[PAIR_MAX];
	struct pair p;
	int err = pair_decode(&p, bytes, len);

	must(err == 0 || err == -EBADMSG);
	if (err)
		return 0;
	plausible(&p);
	must(pair_encode(&p, again) == len && memcmp(again, bytes, len) == 0);
	return 0;
}
