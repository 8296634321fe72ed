/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figures.h - what a run measured: latencies, and the one line of JSON that is printed.
 *
 * Calling  latency_room(&l, count); latency_add(&l, seconds) ...; figures_begin("append"); figures_number("rate", r);
 *          figures_latency("", &l); figures_end();
 * Units    latencies go in as seconds and come out as microseconds.
 * Threads  a latency belongs to one thread at a time; latency_join() brings those of several together.
 */
#ifndef MQFS_BENCH_FIGURES_H
#define MQFS_BENCH_FIGURES_H

#include <stddef.h>

struct latency {
	double *seconds;
	size_t count, room;
};

void latency_room(struct latency *l, size_t room);
void latency_add(struct latency *l, double seconds);     /* beyond the room: counted as nothing */
void latency_join(struct latency *to, const struct latency *from);
void latency_free(struct latency *l);

void figures_begin(const char *verb);
void figures_number(const char *name, double value);
/* PREFIXp50_us, PREFIXp99_us, PREFIXp999_us, PREFIXmax_us; sorts L */
void figures_latency(const char *prefix, struct latency *l);
void figures_end(void);

#endif
