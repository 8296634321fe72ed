/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs in which readers are blocked: a writer appends a message only when every reader has had the one before it, and
 * --rate (50 a second at most) leaves them the time to be blocked again.
 */
#include "figures.h"
#include "load.h"
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STACK (128 << 10)        /* of a reader: a thousand of them are cheap */

struct room {
	const struct load *load;
	sem_t opened;            /* posted by each reader once */
	sem_t delivered;         /* posted by the last reader of each message */
	sem_t measured;          /* posted once for each reader: a thousand that close their files would delay the last message */
	atomic_uint left;        /* readers that have not had the message */
	pthread_t *readers;
	struct reader {
		struct room *room;
		double at;       /* when its read returned */
	} *reader;
};

static void wait_for(sem_t *s)
{
	while (sem_wait(s) && errno == EINTR)
		;
}

static int reader_open(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		die("open", path);
	return fd;
}

/* A message may come in pieces; the clock stops when all of it is there. */
static bool read_message(int fd, char *to, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = read(fd, to + got, size - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	struct room *room = r->room;
	const struct load *l = room->load;
	char *to = must_alloc(1, l->size);
	int fd = reader_open(l->other);
	sem_post(&room->opened);
	for (uint64_t i = 0; i < l->messages; i++) {
		if (!read_message(fd, to, l->size))
			die("a reader's read ended", l->other);
		r->at = now();
		if (atomic_fetch_sub(&room->left, 1) == 1)
			sem_post(&room->delivered);
	}
	wait_for(&room->measured);
	close(fd);
	free(to);
	return NULL;
}

static void readers_start(struct room *room, void *(*run)(void *))
{
	unsigned n = room->load->readers;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	room->readers = must_alloc(n, sizeof *room->readers);
	room->reader = must_alloc(n, sizeof *room->reader);
	sem_init(&room->opened, 0, 0);
	sem_init(&room->delivered, 0, 0);
	sem_init(&room->measured, 0, 0);
	for (unsigned i = 0; i < n; i++) {
		room->reader[i].room = room;
		if ((errno = pthread_create(&room->readers[i], &attr, run, &room->reader[i])))
			die("thread", "reader");
	}
	for (unsigned i = 0; i < n; i++)
		wait_for(&room->opened);
	pthread_attr_destroy(&attr);
}

static void readers_join(struct room *room)
{
	for (unsigned i = 0; i < room->load->readers; i++)
		sem_post(&room->measured);
	for (unsigned i = 0; i < room->load->readers; i++)
		pthread_join(room->readers[i], NULL);
	free(room->readers);
	free(room->reader);
}

/* FIRST and LAST: from the start of the write to when the first and the last reader had the message; WROTE: to its return. */
static void deliver(const struct load *l, struct latency *wrote, struct latency *first, struct latency *last)
{
	struct room room = { .load = l };
	char *data = must_alloc(1, l->size);
	message_fill(data, l->size, 1, 0);
	int fd = open(l->path, O_WRONLY | O_APPEND);
	if (fd < 0)
		die("open", l->path);
	readers_start(&room, reader_run);
	double step = 1 / (l->rate > 0 ? l->rate : 50), due = now() + 10 * step;
	for (uint64_t i = 0; i < l->messages; i++, due = (due > now() ? due : now()) + step) {
		sleep_until(due);
		message_number(data, l->size, 1, i);
		atomic_store(&room.left, l->readers);
		double from = now();
		if (write(fd, data, l->size) != (ssize_t)l->size)
			die("write", l->path);
		latency_add(wrote, now() - from);
		wait_for(&room.delivered);
		double low = room.reader[0].at, high = low;
		for (unsigned r = 1; r < l->readers; r++) {
			low = room.reader[r].at < low ? room.reader[r].at : low;
			high = room.reader[r].at > high ? room.reader[r].at : high;
		}
		latency_add(first, low - from);
		latency_add(last, high - from);
	}
	readers_join(&room);
	close(fd);
	free(data);
}

void load_deliver(const struct load *l)
{
	struct latency wrote, first, last;
	latency_room(&wrote, l->messages);
	latency_room(&first, l->messages);
	latency_room(&last, l->messages);
	deliver(l, &wrote, &first, &last);
	figures_begin("deliver");
	figures_number("readers", l->readers);
	figures_latency("write_", &wrote);
	figures_latency("first_", &first);
	figures_latency("", &last);
	figures_end();
	latency_free(&wrote);
	latency_free(&first);
	latency_free(&last);
}

void load_pingpong(const struct load *l)
{
	struct load one = *l;
	one.readers = 1;
	load_deliver(&one);
}

static void *parked_run(void *arg)
{
	struct reader *r = arg;
	const struct load *l = r->room->load;
	char *to = must_alloc(1, l->size);
	int fd = reader_open(l->path);
	sem_post(&r->room->opened);
	while (read_message(fd, to, l->size))
		;
	close(fd);
	free(to);
	return NULL;
}

/* Says "parked" when all have opened PATH; whoever started this ends it, or kills it. */
void load_park(const struct load *l)
{
	struct room room = { .load = l };
	readers_start(&room, parked_run);
	figures_begin("parked");
	figures_number("readers", l->readers);
	figures_end();
	while (getchar() != EOF)
		;
	_exit(0);
}
