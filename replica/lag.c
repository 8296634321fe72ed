/* SPDX-License-Identifier: Apache-2.0 */
#include "lag.h"
#include <string.h>

/* Every second mark stays, the oldest one among them. */
static void thin_out(struct lag *l)
{
	for (size_t i = 1; 2 * i < l->count; i++)
		l->mark[i] = l->mark[2 * i];
	l->count = (l->count + 1) / 2;
	l->apart = (l->mark[l->count - 1].time - l->mark[0].time) / LAG_MARKS * 2;
}

void lag_mark(struct lag *l, int64_t now, uint64_t end)
{
	const struct lag_mark *last = l->count ? &l->mark[l->count - 1] : NULL;

	if (last && (end <= last->end || now - last->time < l->apart))
		return;
	if (l->count == LAG_MARKS)
		thin_out(l);
	l->mark[l->count++] = (struct lag_mark){now, end};
}

void lag_reach(struct lag *l, uint64_t pos)
{
	size_t reached = 0;

	while (reached < l->count && l->mark[reached].end <= pos)
		reached++;
	l->count -= reached;
	memmove(l->mark, l->mark + reached, l->count * sizeof *l->mark);
	if (!l->count)
		l->apart = 0;
}

int64_t lag_since(const struct lag *l)
{
	return l->count ? l->mark[0].time : 0;
}
