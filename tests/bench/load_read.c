/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"
#include "load.h"
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int must_open(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | flags);
	if (fd < 0)
		die("open", path);
	return fd;
}

static size_t must_read(int fd, char *to, size_t len)
{
	ssize_t n;
	do
		n = read(fd, to, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		die("read", "failed");
	return (size_t)n;
}

static uint64_t file_size(int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		die("fstat", "failed");
	return (uint64_t)st.st_size;
}

static uint64_t read_file(const struct load *l, const char *path, char *to)
{
	int fd = must_open(path, l->direct ? O_DIRECT : 0);
	uint64_t total = 0;
	for (size_t n; (n = must_read(fd, to, l->buffer)) > 0;) {
		total += n;
		if (l->bytes && total >= l->bytes)
			break;
	}
	close(fd);
	return total;
}

/* One file, or as many as --files says, one after the other. */
void load_read(const struct load *l)
{
	char *to = aligned_alloc(4096, (l->buffer + 4095) & ~(size_t)4095);
	if (!to)
		die("memory", "buffer");
	memset(to, 0, l->buffer);
	uint64_t total = 0;
	double from = now();
	for (unsigned i = 0; i < (strstr(l->path, "%d") ? l->files : 1); i++) {
		char path[4096];
		path_number(path, sizeof path, l->path, i);
		total += read_file(l, path, to);
	}
	double seconds = now() - from;
	figures_begin("read");
	figures_number("bytes", (double)total);
	figures_number("seconds", seconds);
	figures_number("mb_s", (double)total / seconds / 1e6);
	figures_end();
	free(to);
}

/* What the disk can do at best for reads that nothing foretells: no reading ahead, and the file is larger than what they touch. */
void load_random(const struct load *l)
{
	int fd = must_open(l->path, l->direct ? O_DIRECT : 0);
	uint64_t blocks = file_size(fd) / l->size, seed = l->seed;
	char *to = aligned_alloc(4096, (l->size + 4095) & ~(size_t)4095);
	if (!blocks || !to)
		die("too short", l->path);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	struct latency latency;
	latency_room(&latency, l->messages);
	double start = now();
	for (uint64_t i = 0; i < l->messages; i++) {
		uint64_t at = random_next(&seed) % blocks * l->size;
		double from = now();
		if (pread(fd, to, l->size, (off_t)at) != (ssize_t)l->size)
			die("pread", l->path);
		latency_add(&latency, now() - from);
	}
	double seconds = now() - start;
	figures_begin("random");
	figures_number("reads", (double)l->messages);
	figures_number("seconds", seconds);
	figures_latency("", &latency);
	figures_end();
	latency_free(&latency);
	free(to);
	close(fd);
}

/* As tail(1) with a known size of a line: the time includes the open, the look at the size and the seek. */
void load_tail(const struct load *l)
{
	char *to = must_alloc(1, l->buffer);
	double from = now();
	int fd = must_open(l->path, 0);
	uint64_t size = file_size(fd), want = l->messages * l->size, total = 0;
	if (size < want) {
		errno = 0;
		die("fewer messages than asked for", l->path);
	}
	if (lseek(fd, (off_t)(size - want), SEEK_SET) < 0)
		die("lseek", l->path);
	for (size_t n; (n = must_read(fd, to, l->buffer)) > 0;)
		total += n;
	double seconds = now() - from;
	if (total < want) {
		errno = 0;
		die("read less than was there", l->path);
	}
	figures_begin("tail");
	figures_number("messages", (double)(total / l->size));
	figures_number("seconds", seconds);
	figures_end();
	free(to);
	close(fd);
}

struct tally {
	uint64_t next[MESSAGE_WRITERS];  /* the sequence number behind the highest seen */
	uint64_t messages, missing, again, alien;
};

static void tally_message(struct tally *t, const char *at, size_t len)
{
	unsigned writer;
	uint64_t sequence;
	t->messages++;
	if (!message_read(at, len, &writer, &sequence)) {
		t->alien++;
	} else if (sequence < t->next[writer]) {
		t->again++;
	} else {
		t->missing += sequence - t->next[writer];
		t->next[writer] = sequence + 1;
	}
}

static void tally_file(struct tally *t, int fd, char *buffer, size_t room)
{
	size_t kept = 0;
	for (size_t n; (n = must_read(fd, buffer + kept, room - kept)) > 0;) {
		char *at = buffer, *end = buffer + kept + n, *newline;
		while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
			tally_message(t, at, (size_t)(newline + 1 - at));
			at = newline + 1;
		}
		kept = (size_t)(end - at);
		memmove(buffer, at, kept);
		if (kept == room) {
			errno = 0;
			die("a message is longer than --buffer", "count");
		}
	}
	t->alien += kept > 0;
}

/*
 * missing: numbers that no message of a writer's bears though a later one's is there. again: not above the one before it of the
 * same writer, so there twice or out of order. alien: no messages of ours. The caller knows how many there should be. Messages
 * that went to several files in turn are counted, not checked: only the messages of one file are in an order.
 */
void load_count(const struct load *l)
{
	struct tally *t = must_alloc(1, sizeof *t);
	char *buffer = must_alloc(1, l->buffer);
	bool many = strstr(l->path, "%d");
	for (unsigned i = 0; i < (many ? l->files : 1); i++) {
		char path[4096];
		path_number(path, sizeof path, l->path, i);
		int fd = must_open(path, 0);
		tally_file(t, fd, buffer, l->buffer);
		close(fd);
	}
	figures_begin("count");
	figures_number("messages", (double)t->messages);
	figures_number("missing", (double)t->missing);
	figures_number("again", (double)t->again);
	figures_number("alien", (double)t->alien);
	figures_end();
	free(buffer);
	free(t);
}
