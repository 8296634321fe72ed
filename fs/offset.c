/* SPDX-License-Identifier: Apache-2.0 */
#include "offset.h"
#include <errno.h>

void offsets_init(struct offsets *o, uint64_t start)
{
	*o = (struct offsets){.start = start, .position = start};
}

static bool shifted(const struct offsets *o, uint64_t at)
{
	return o->shift && at >= o->from && at <= o->to;
}

/* AT stands for OFFSET, and so do those that will be read behind it. */
static void shift(struct offsets *o, uint64_t at, uint64_t offset)
{
	o->from = o->to = at;
	o->shift = offset - at;
}

int offsets_find(struct offsets *o, uint64_t at, uint64_t head, uint64_t *offset, uint64_t *skipped)
{
	bool first = !o->begun;
	uint64_t wanted;

	*skipped = 0;
	o->begun = true;
	if (first && at == 0 && o->start > 0)
		shift(o, 0, o->start);
	wanted = shifted(o, at) ? at + o->shift : at;
	*offset = wanted;
	if (wanted >= head)
		return 0;
	/* Who reads from 0 asks for all there is, and gets it. Who was refused has been told already. */
	if (wanted > 0 && !o->refused)
		*skipped = head - wanted;
	if (!first && !o->refused) {
		*skipped = head - wanted;
		o->refused = true;
		return -EPIPE;
	}
	shift(o, at, head);
	*offset = head;
	return 0;
}

void offsets_served(struct offsets *o, uint64_t at, uint64_t offset, size_t size)
{
	if (shifted(o, at) && at + size > o->to)
		o->to = at + size;
	o->refused = false;
	o->position = offset + size;
}

uint64_t offsets_position(const struct offsets *o, uint64_t head)
{
	return !o->begun && o->position < head ? head : o->position;
}
