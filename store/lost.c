/* SPDX-License-Identifier: Apache-2.0 */
#include "lost.h"
#include "segment.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (1u << 20)

/* A name in lost/ that nobody has yet. */
static int free_name(struct disk *d, uint64_t pos, const char *suffix, char to[64])
{
	struct stat st;

	for (unsigned n = 0; n < 100000; n++) {
		snprintf(to, 64, "lost/%016" PRIx64 ".%u%s", pos, n, suffix);
		int err = disk_stat(d, to, &st);
		if (err)
			return err == -ENOENT ? 0 : err;
	}
	return -EEXIST;
}

/* The file's byte behind its last one that is not zero, not below FROM. */
static int last_byte(struct disk *d, int fd, uint64_t from, uint64_t size, uint8_t *piece, uint64_t *end)
{
	*end = from;
	while (size > from) {
		size_t n = size - from < PIECE ? (size_t)(size - from) : PIECE;
		int err = disk_read(d, fd, piece, n, size - n);
		if (err)
			return err;
		for (size_t i = n; i > 0; i--) {
			if (piece[i - 1]) {
				*end = size - n + i;
				return 0;
			}
		}
		size -= n;
	}
	return 0;
}

static int copy_out(struct disk *d, int from_fd, uint64_t from, uint64_t end, const char *to, uint8_t *piece)
{
	int err = 0, fd = disk_open(d, to, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd < 0)
		return fd;
	for (uint64_t at = from; !err && at < end;) {
		size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;
		err = disk_read(d, from_fd, piece, n, at);
		if (!err)
			err = disk_write(d, fd, piece, n, at - from);
		at += n;
	}
	if (!err)
		err = disk_sync(d, fd);
	disk_close(d, fd);
	if (!err)
		return disk_sync_directory(d, "lost");
	disk_unlink(d, to);
	return err;
}

/* A sync that failed is no matter of room: tried again, it would find the zeros in memory and take them for what is on the disk. */
static int zero(struct disk *d, int fd, uint64_t from, uint64_t end, uint8_t *piece)
{
	int err = 0;

	memset(piece, 0, PIECE);
	while (!err && from < end) {
		size_t n = end - from < PIECE ? (size_t)(end - from) : PIECE;
		err = disk_write(d, fd, piece, n, from);
		from += n;
	}
	if (!err && disk_sync(d, fd) != 0)
		err = -EIO;
	return err;
}

int lost_cut(struct disk *d, uint64_t base, uint64_t pos, uint64_t *bytes)
{
	uint64_t from = SEGMENT_HEADER + pos - base, end = from;
	uint8_t *piece = malloc(PIECE);
	char name[32], to[64];
	struct stat st;
	int fd = -1, err = piece ? 0 : -ENOMEM;

	*bytes = 0;
	segment_name(name, base);
	if (!err)
		err = disk_stat(d, name, &st);
	if (!err && (fd = disk_open(d, name, O_RDWR, 0)) < 0)
		err = fd;
	if (!err)
		err = last_byte(d, fd, from, (uint64_t)st.st_size, piece, &end);
	if (!err && end > from)
		err = free_name(d, pos, "", to);
	if (!err && end > from)
		err = copy_out(d, fd, from, end, to, piece);
	if (!err && end > from) {
		*bytes = end - from;
		err = zero(d, fd, from, end, piece);
	}
	disk_close(d, fd);
	free(piece);
	return err;
}

int lost_move(struct disk *d, uint64_t base, uint64_t *bytes)
{
	uint8_t *piece = malloc(PIECE);
	char name[32], to[64];
	uint64_t end = SEGMENT_HEADER;
	struct stat st;
	int fd, err;

	*bytes = 0;
	if (!piece)
		return -ENOMEM;
	segment_name(name, base);
	err = disk_stat(d, name, &st);
	fd = err ? err : disk_open(d, name, O_RDONLY, 0);
	if (fd >= 0)
		err = last_byte(d, fd, SEGMENT_HEADER, (uint64_t)st.st_size, piece, &end);
	else
		err = fd;
	disk_close(d, fd);
	free(piece);
	if (err)
		return err;
	if (end == SEGMENT_HEADER)
		err = disk_unlink(d, name);
	else if (!(err = free_name(d, base, ".segment", to)))
		err = disk_rename(d, name, to);
	if (err)
		return err;
	err = disk_sync_directory(d, "lost");
	if (!err)
		err = disk_sync_directory(d, "log");
	*bytes = err ? SEGMENT_HEADER : end - SEGMENT_HEADER;
	return err;
}

struct count {
	struct disk *disk;
	uint64_t files, bytes;
};

static int count_one(void *ctx, const char *name)
{
	struct count *c = ctx;
	char path[300];
	struct stat st;

	snprintf(path, sizeof path, "lost/%s", name);
	if (disk_stat(c->disk, path, &st) == 0) {
		c->files++;
		c->bytes += (uint64_t)st.st_size;
	}
	return 0;
}

int lost_count(struct disk *d, uint64_t *files, uint64_t *bytes)
{
	struct count c = {.disk = d};
	int err = disk_list(d, "lost", count_one, &c);

	*files = c.files;
	*bytes = c.bytes;
	return err;
}
