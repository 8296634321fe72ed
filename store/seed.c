/* SPDX-License-Identifier: Apache-2.0 */
#include "seed.h"
#include "checkpoint.h"
#include "parts.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOKED_AT 16u       /* checkpoints; two are kept */

struct seed {
	struct disk *disk;
	struct log_start start;
	uint64_t checkpoint, size, at;
	int fd;
};

int seed_segment(struct store *s, uint64_t base, struct log_start *to)
{
	struct segment *at = segments_find(s->segments, base);
	struct segment_head h;
	char name[32];
	int fd, err;

	if (!at || at->head.base != base) {
		if (at)
			segment_put(at);
		return -ENODATA;
	}
	segment_name(name, base);
	fd = disk_open(s->disk, name, O_RDONLY, 0);
	err = fd < 0 ? fd : segment_head_read(s->disk, fd, &h, s->id.secret);
	disk_close(s->disk, fd);
	segment_put(at);
	if (!err)
		*to = (struct log_start){h.base, h.chain, h.epoch, h.time};
	return err;
}

/* The newest that is valid and whose file can be opened; it may go at any time until then. */
static int open_checkpoint(struct seed *e, struct store *s)
{
	struct checkpoint_info info;
	uint64_t pos[LOOKED_AT];
	size_t count;
	char name[40];
	int err = checkpoint_list(s->disk, pos, LOOKED_AT, &count);

	for (size_t n = 0; !err && n < count; n++) {
		snprintf(name, sizeof name, "checkpoint/%016" PRIx64, pos[n]);
		e->fd = disk_open(s->disk, name, O_RDONLY, 0);
		if (e->fd >= 0 && !checkpoint_check(s->disk, s->id.secret, pos[n], &info) && info.pos >= e->start.pos) {
			e->checkpoint = info.pos;
			e->size = info.size;
			return 0;
		}
		disk_close(s->disk, e->fd);
		e->fd = -1;
	}
	return err || !e->start.pos ? err : -ENOENT;
}

int seed_open(struct seed **to, struct store *s)
{
	struct seed *e = calloc(1, sizeof *e);
	int err;

	if (!e)
		return -ENOMEM;
	e->disk = s->disk;
	e->fd = -1;
	err = seed_segment(s, segments_start(s->segments), &e->start);
	if (!err)
		err = open_checkpoint(e, s);
	if (err)
		seed_close(e);
	else
		*to = e;
	return err;
}

void seed_close(struct seed *e)
{
	if (!e)
		return;
	disk_close(e->disk, e->fd);
	free(e);
}

struct log_start seed_start(const struct seed *e)
{
	return e->start;
}

uint64_t seed_checkpoint(const struct seed *e, uint64_t *size)
{
	*size = e->size;
	return e->checkpoint;
}

ssize_t seed_read(struct seed *e, void *to, size_t len)
{
	size_t n = e->size - e->at < len ? (size_t)(e->size - e->at) : len;
	int err = n ? disk_read(e->disk, e->fd, to, n, e->at) : 0;

	if (err)
		return err;
	e->at += n;
	return (ssize_t)n;
}
