/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"
#include "ground.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void latency_room(struct latency *l, size_t room)
{
	l->seconds = must_alloc(room ? room : 1, sizeof *l->seconds);
	l->count = 0;
	l->room = room;
	memset(l->seconds, 0, room * sizeof *l->seconds);       /* the page faults, before the clock runs */
}

void latency_add(struct latency *l, double seconds)
{
	if (l->count < l->room)
		l->seconds[l->count++] = seconds;
}

void latency_join(struct latency *to, const struct latency *from)
{
	double *all = realloc(to->seconds, (to->count + from->count + 1) * sizeof *all);
	if (!all)
		die("memory", "latencies");
	memcpy(all + to->count, from->seconds, from->count * sizeof *all);
	to->seconds = all;
	to->count += from->count;
	to->room = to->count;
}

void latency_free(struct latency *l)
{
	free(l->seconds);
	*l = (struct latency){ 0 };
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

void figures_begin(const char *verb)
{
	printf("{\"verb\": \"%s\"", verb);
}

void figures_number(const char *name, double value)
{
	if (value == floor(value) && fabs(value) < 1e15)
		printf(", \"%s\": %.0f", name, value);
	else
		printf(", \"%s\": %.6g", name, value);
}

void figures_latency(const char *prefix, struct latency *l)
{
	static const struct {
		const char *name;
		double share;
	} points[] = { { "p50_us", 0.5 }, { "p99_us", 0.99 }, { "p999_us", 0.999 }, { "max_us", 1 } };
	if (!l->count)
		return;
	qsort(l->seconds, l->count, sizeof *l->seconds, ascending);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		size_t at = (size_t)((double)l->count * points[i].share);
		if (at >= l->count)
			at = l->count - 1;
		printf(", \"%s%s\": %.1f", prefix, points[i].name, l->seconds[at] * 1e6);
	}
}

void figures_end(void)
{
	puts("}");
	if (fflush(stdout))
		die("write", "standard output");
}
