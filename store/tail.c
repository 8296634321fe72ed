/* SPDX-License-Identifier: Apache-2.0 */
#include "tail.h"
#include "lost.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <syslog.h>

#define PIECE (1u << 20)               /* bytes written again at a time */

int tail_cut(struct survey *v)
{
	uint64_t bytes = 0, all = 0;
	int err = 0;

	while (!err && v->count && (v->segments[v->count - 1].head.base > v->tail ||
			(v->segments[v->count - 1].head.base == v->tail && !v->segments[v->count - 1].head_valid))) {
		err = lost_move(v->store->disk, v->segments[v->count - 1].head.base, &bytes);
		all += bytes;
		if (!err)
			v->count--;
	}
	/* Where the header is not right the log does not go on, so nothing need go; and the file may be another's, in the wrong place. */
	if (!err && v->count && !v->segments[v->count - 1].sealed && v->segments[v->count - 1].head_valid) {
		err = lost_cut(v->store->disk, v->segments[v->count - 1].head.base, v->tail, &bytes);
		all += bytes;
	}
	if (!err && all)
		store_say(v->store, LOG_NOTICE, "the last run was interrupted: %" PRIu64 " bytes that were never committed are in lost/", all);
	return err;
}

/* A file that was cut short within the padding of its last record has lost nothing. */
static int lengthen(struct disk *d, const char *name, int fd, uint64_t size)
{
	struct stat st;
	int err = disk_stat(d, name, &st);

	return !err && (uint64_t)st.st_size < size ? disk_truncate(d, fd, size) : err;
}

/* The same bytes from FROM to TO of the file of segment BASE. */
static int write_again(struct disk *d, uint64_t base, uint64_t from, uint64_t to)
{
	uint8_t *piece = malloc(PIECE);
	char name[32];
	int err = piece ? 0 : -ENOMEM, fd;

	segment_name(name, base);
	fd = err ? err : disk_open(d, name, O_RDWR, 0);
	if (fd < 0)
		err = fd;
	if (!err)
		err = lengthen(d, name, fd, SEGMENT_HEADER + to - base);
	while (!err && from < to) {
		size_t n = to - from < PIECE ? (size_t)(to - from) : PIECE;
		err = disk_read(d, fd, piece, n, SEGMENT_HEADER + from - base);
		if (!err)
			err = disk_write(d, fd, piece, n, SEGMENT_HEADER + from - base);
		from += n;
	}
	if (!err)
		err = disk_sync(d, fd);
	disk_close(d, fd);
	free(piece);
	return err;
}

static int write_head_again(struct store *s, const struct segment_head *h)
{
	char name[32];
	int fd, err;

	segment_name(name, h->base);
	fd = disk_open(s->disk, name, O_RDWR, 0);
	if (fd < 0)
		return fd;
	err = segment_head_write(s->disk, fd, h, s->id.secret);
	if (!err)
		err = disk_sync(s->disk, fd);
	disk_close(s->disk, fd);
	return err;
}

static int make_names_durable(struct store *s)
{
	static const char *const directories[] = {".", "log", "checkpoint"};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof directories / sizeof *directories; i++)
		err = disk_sync_directory(s->disk, directories[i]);
	return err;
}

int tail_make_durable(struct survey *v)
{
	int err = 0;

	for (size_t n = survey_segment_of(v, v->durable); !err && n < v->count; n++) {
		const struct found_segment *f = &v->segments[n];
		uint64_t from = f->head.base > v->durable ? f->head.base : v->durable;
		uint64_t to = survey_next_base(v, n) < v->tail ? survey_next_base(v, n) : v->tail;
		if (f->head.base >= v->durable)
			err = write_head_again(v->store, &f->head);
		if (!err && !f->sealed && from < to)
			err = write_again(v->store->disk, f->head.base, from, to);
	}
	return err ? err : make_names_durable(v->store);
}
