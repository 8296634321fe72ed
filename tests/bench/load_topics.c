/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"
#include "load.h"
#include "message.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void queue_path(char *to, size_t max, const char *pattern, unsigned topic, unsigned queue)
{
	char directory[4000];
	path_number(directory, sizeof directory, pattern, topic);
	if (snprintf(to, max, "%s/%u", directory, queue) >= (int)max)
		die("path too long", directory);
}

/* Messages round-robin over the topics, and each time round over the next of their queues. */
void load_topics(const struct load *l)
{
	char *data = must_alloc(1, l->size);
	struct latency latency;
	message_fill(data, l->size, 1, 0);
	latency_room(&latency, l->messages);
	double start = now();
	for (uint64_t i = 0; i < l->messages; i++) {
		char path[4096];
		queue_path(path, sizeof path, l->path, (unsigned)(i % l->topics), (unsigned)(i / l->topics % l->queues));
		message_number(data, l->size, 1, i);
		double from = now();
		int fd = open(path, O_WRONLY | O_APPEND);
		if (fd < 0)
			die("open", path);
		if (write(fd, data, l->size) != (ssize_t)l->size)
			die("write", path);
		if (close(fd))
			die("close", path);
		latency_add(&latency, now() - from);
	}
	double seconds = now() - start;
	figures_begin("topics");
	figures_number("messages", (double)l->messages);
	figures_number("seconds", seconds);
	figures_number("rate", (double)l->messages / seconds);
	figures_latency("", &latency);
	figures_end();
	latency_free(&latency);
	free(data);
}

void load_stat(const struct load *l)
{
	uint64_t bytes = 0;
	double start = now();
	for (unsigned t = 0; t < l->topics; t++)
		for (unsigned q = 0; q < l->queues; q++) {
			char path[4096];
			struct stat st;
			queue_path(path, sizeof path, l->path, t, q);
			if (stat(path, &st))
				die("stat", path);
			bytes += (uint64_t)st.st_size;
		}
	double seconds = now() - start;
	figures_begin("stat");
	figures_number("queues", (double)l->topics * l->queues);
	figures_number("bytes", (double)bytes);
	figures_number("seconds", seconds);
	figures_end();
}
