/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer - append, read and pingpong of the load generator, on Redis Streams or NATS JetStream at 127.0.0.1.
 *
 * Calling  peer redis|nats append|read|pingpong PORT STREAM MESSAGES SIZE [PER [THREADS [RATE]]]
 */
#include "figures.h"
#include "ground.h"
#include "message.h"
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
	const struct peer *peer;
	unsigned port;
	const char *stream;
	uint64_t messages;
	size_t size;
	unsigned per, threads;
	double rate;
	pthread_barrier_t start;
	sem_t ready, delivered;
	double at;                       /* when the reader had the message */
};

struct appender {
	struct run *run;
	unsigned id;
	pthread_t thread;
	struct latency latency;
};

static void *appender_run(void *arg)
{
	struct appender *a = arg;
	struct run *r = a->run;
	struct link *link = r->peer->open(r->port, r->stream, a->id);
	char *data = must_alloc(r->per, r->size);
	uint64_t writes = r->messages / r->per / r->threads;
	message_fill(data, r->size, r->per, a->id);
	latency_room(&a->latency, writes);
	pthread_barrier_wait(&r->start);
	for (uint64_t i = 0; i < writes; i++) {
		message_number(data, r->size, r->per, i * r->per);
		double from = now();
		r->peer->append(link, data, r->size, r->per);
		latency_add(&a->latency, now() - from);
	}
	pthread_barrier_wait(&r->start);
	r->peer->close(link);
	free(data);
	return NULL;
}

static void append(struct run *r)
{
	struct appender *all = must_alloc(r->threads, sizeof *all);
	struct latency latency = { 0 };
	pthread_barrier_init(&r->start, NULL, r->threads + 1);
	for (unsigned i = 0; i < r->threads; i++) {
		all[i] = (struct appender){ .run = r, .id = i };
		if ((errno = pthread_create(&all[i].thread, NULL, appender_run, &all[i])))
			die("thread", "append");
	}
	pthread_barrier_wait(&r->start);
	double from = now();
	pthread_barrier_wait(&r->start);
	double seconds = now() - from;
	for (unsigned i = 0; i < r->threads; i++) {
		pthread_join(all[i].thread, NULL);
		latency_join(&latency, &all[i].latency);
		latency_free(&all[i].latency);
	}
	double messages = (double)latency.count * r->per;
	figures_begin("append");
	figures_number("messages", messages);
	figures_number("seconds", seconds);
	figures_number("rate", messages / seconds);
	figures_number("mb_s", messages * (double)r->size / seconds / 1e6);
	figures_latency("", &latency);
	figures_end();
	latency_free(&latency);
	free(all);
}

static void consume(struct run *r)
{
	struct link *link = r->peer->open(r->port, r->stream, 0);
	uint64_t got = 0;
	double from = now();
	r->peer->consume(link, 1);
	while (got < r->messages)
		got += r->peer->next(link, r->messages - got);
	double seconds = now() - from;
	figures_begin("read");
	figures_number("messages", (double)got);
	figures_number("seconds", seconds);
	figures_number("rate", (double)got / seconds);
	figures_number("mb_s", (double)got * (double)r->size / seconds / 1e6);
	figures_end();
	r->peer->close(link);
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s) && errno == EINTR)
		;
}

static void *reader_run(void *arg)
{
	struct run *r = arg;
	struct link *link = r->peer->open(r->port, r->stream, 1);
	r->peer->consume(link, 0);
	sem_post(&r->ready);
	for (uint64_t got = 0; got < r->messages;) {
		uint64_t n = r->peer->next(link, 1);
		r->at = now();
		got += n;
		for (; n; n--)
			sem_post(&r->delivered);
	}
	r->peer->close(link);
	return NULL;
}

static void pingpong(struct run *r)
{
	struct link *link = r->peer->open(r->port, r->stream, 0);
	char *data = must_alloc(1, r->size);
	struct latency wrote, delivered;
	pthread_t reader;
	message_fill(data, r->size, 1, 0);
	latency_room(&wrote, r->messages);
	latency_room(&delivered, r->messages);
	sem_init(&r->ready, 0, 0);
	sem_init(&r->delivered, 0, 0);
	if ((errno = pthread_create(&reader, NULL, reader_run, r)))
		die("thread", "reader");
	wait_for(&r->ready);
	double step = 1 / (r->rate > 0 ? r->rate : 50), due = now() + 10 * step;
	for (uint64_t i = 0; i < r->messages; i++, due = (due > now() ? due : now()) + step) {
		sleep_until(due);
		double from = now();
		r->peer->append(link, data, r->size, 1);
		latency_add(&wrote, now() - from);
		wait_for(&r->delivered);
		latency_add(&delivered, r->at - from);
	}
	pthread_join(reader, NULL);
	figures_begin("pingpong");
	figures_latency("write_", &wrote);
	figures_latency("", &delivered);
	figures_end();
	latency_free(&wrote);
	latency_free(&delivered);
	r->peer->close(link);
	free(data);
}

static unsigned long number(char **argv, int argc, int at, unsigned long otherwise)
{
	unsigned long n = at < argc ? strtoul(argv[at], NULL, 10) : otherwise;
	return n ? n : otherwise;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct run *r);
	} verbs[] = { { "append", append }, { "read", consume }, { "pingpong", pingpong } };
	const struct peer *peer = argc > 1 && !strcmp(argv[1], "redis") ? &peer_redis : &peer_nats;
	for (size_t i = 0; argc >= 7 && !strcmp(argv[1], peer->name) && i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(argv[2], verbs[i].name))
			continue;
		struct run r = { .peer = peer, .port = (unsigned)number(argv, argc, 3, 1), .stream = argv[4],
			.messages = number(argv, argc, 5, 1), .size = number(argv, argc, 6, 100),
			.per = (unsigned)number(argv, argc, 7, 1), .threads = (unsigned)number(argv, argc, 8, 1),
			.rate = (double)number(argv, argc, 9, 0) };
		verbs[i].run(&r);
		return 0;
	}
	fprintf(stderr, "usage: peer redis|nats append|read|pingpong PORT STREAM MESSAGES SIZE [PER [THREADS [RATE]]]\n");
	return 2;
}
