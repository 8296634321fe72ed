/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"
#include "load.h"
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct appender {
	const struct load *load;
	pthread_t thread;
	pthread_barrier_t *start;
	unsigned id;
	uint64_t writes;
	int *fd;
	char *data;
	struct latency latency;
};

/* A short write is no failure of a file's, but what was one write would be two appends of a queue's: counted as a failure. */
static void write_all(int fd, const char *from, size_t len)
{
	ssize_t n;
	do
		n = write(fd, from, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		die("write", "append");
	if ((size_t)n != len) {
		errno = 0;
		die("write", "was cut short");
	}
}

static void appender_open(struct appender *a)
{
	const struct load *l = a->load;
	a->fd = must_alloc(l->files, sizeof *a->fd);
	for (unsigned i = 0; i < l->files; i++) {
		char path[4096];
		path_number(path, sizeof path, l->path, a->id * l->files + i);
		a->fd[i] = open(path, O_WRONLY | O_APPEND | O_CREAT | (l->sync == SYNC_DSYNC ? O_DSYNC : 0), 0644);
		if (a->fd[i] < 0)
			die("open", path);
	}
	a->data = must_alloc(l->per, l->size);
	message_fill(a->data, l->size, l->per, a->id);
	latency_room(&a->latency, a->writes);
}

static void *appender_run(void *arg)
{
	struct appender *a = arg;
	const struct load *l = a->load;
	pthread_barrier_wait(a->start);
	double due = now(), step = l->rate > 0 ? l->per / l->rate : 0;
	for (uint64_t i = 0; i < a->writes; i++) {
		int fd = a->fd[i % l->files];
		message_number(a->data, l->size, l->per, i * l->per);
		if (step > 0)
			sleep_until(due += step);
		double from = now();
		write_all(fd, a->data, l->per * l->size);
		if (l->sync == SYNC_EACH && fdatasync(fd))
			die("fdatasync", "append");
		latency_add(&a->latency, now() - from);
	}
	for (unsigned i = 0; i < l->files; i++)
		if ((l->sync == SYNC_END && fdatasync(a->fd[i])) || close(a->fd[i]))
			die("close", "append");
	return NULL;
}

/* The clock runs from when all files are open to when all are closed. */
void load_append(const struct load *l)
{
	pthread_barrier_t start;
	struct appender *all = must_alloc(l->threads, sizeof *all);
	pthread_barrier_init(&start, NULL, l->threads + 1);
	for (unsigned i = 0; i < l->threads; i++) {
		struct appender *a = &all[i];
		*a = (struct appender){ .load = l, .id = i, .start = &start, .writes = l->messages / l->per / l->threads };
		appender_open(a);
		if ((errno = pthread_create(&a->thread, NULL, appender_run, a)))
			die("thread", "append");
	}
	pthread_barrier_wait(&start);
	double from = now();
	struct latency latency = { 0 };
	uint64_t messages = 0;
	for (unsigned i = 0; i < l->threads; i++)
		pthread_join(all[i].thread, NULL);
	double seconds = now() - from;
	for (unsigned i = 0; i < l->threads; i++) {
		messages += all[i].writes * l->per;
		latency_join(&latency, &all[i].latency);
		latency_free(&all[i].latency);
		free(all[i].data);
		free(all[i].fd);
	}
	figures_begin("append");
	figures_number("messages", (double)messages);
	figures_number("seconds", seconds);
	figures_number("rate", (double)messages / seconds);
	figures_number("mb_s", (double)messages * (double)l->size / seconds / 1e6);
	figures_latency("", &latency);
	figures_end();
	latency_free(&latency);
	pthread_barrier_destroy(&start);
	free(all);
}
