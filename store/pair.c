/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"
#include "bytes.h"
#include <errno.h>
#include <string.h>

#define HEADER 16u

size_t pair_encode(const struct pair *p, uint8_t *to)
{
	uint8_t *at = to + HEADER;

	memset(to, 0, HEADER);
	to[0] = p->min_standbys;
	to[1] = p->nodes;
	to[2] = p->wanted;
	put64(to + 8, p->stopped);
	for (unsigned n = 0; n < p->nodes; n++) {
		size_t len = strlen(p->name[n]);
		put64(at, p->node[n]);
		at[8] = (uint8_t)len;
		memcpy(at + 9, p->name[n], len);
		at += 9 + len;
	}
	return (size_t)(at - to);
}

static int decode_node(struct pair *p, unsigned n, const uint8_t **at, const uint8_t *end)
{
	size_t len;

	if (end - *at < 9)
		return -EBADMSG;
	p->node[n] = get64(*at);
	len = (*at)[8];
	*at += 9;
	if (!p->node[n] || len > PAIR_NAME || (size_t)(end - *at) < len || memchr(*at, 0, len))
		return -EBADMSG;
	memcpy(p->name[n], *at, len);
	*at += len;
	return 0;
}

int pair_decode(struct pair *p, const uint8_t *from, size_t len)
{
	const uint8_t *at = from + HEADER, *end = from + len;
	int err = 0;

	memset(p, 0, sizeof *p);
	if (len < HEADER || from[1] < 1 || from[1] > PAIR_NODES || from[0] >= from[1] ||
		from[2] >= PAIR_NODES || (from[2] && from[1] == PAIR_NODES))
		return -EBADMSG;
	for (unsigned n = 3; n < 8; n++)
		if (from[n])
			return -EBADMSG;
	p->min_standbys = from[0];
	p->nodes = from[1];
	p->wanted = from[2];
	p->stopped = get64(from + 8);
	for (unsigned n = 0; !err && n < p->nodes; n++)
		err = decode_node(p, n, &at, end);
	if (!err && (at != end || (p->nodes == 2 && p->node[0] == p->node[1]) || (p->stopped && pair_has(p, p->stopped))))
		err = -EBADMSG;
	return err;
}

bool pair_has(const struct pair *p, uint64_t node)
{
	for (unsigned n = 0; n < p->nodes; n++)
		if (p->node[n] == node)
			return true;
	return false;
}

uint64_t pair_other(const struct pair *p, uint64_t node)
{
	for (unsigned n = 0; n < p->nodes; n++)
		if (p->node[n] != node)
			return p->node[n];
	return 0;
}

uint64_t pair_named(const struct pair *p, const char *name)
{
	for (unsigned n = 0; n < p->nodes; n++)
		if (strcmp(p->name[n], name) == 0)
			return p->node[n];
	return 0;
}
