/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write of 200 bytes to a file costs about as much as one of 4 KiB. So small appends whose callers wait for them a little later are copied
 * together, and go into the file by one write.
 *
 * They are given their positions as all others are. What is gathered is one stretch of one file: a record that does not follow it directly,
 * because its segment is another one or somebody's own write came between, is not added, and the caller writes it. No order of writes is needed:
 * the written prefix moves over what is written, whoever wrote it, and what is not written holds it back.
 */
#include "log_part.h"
#include <errno.h>
#include <string.h>

bool log_gather(struct log *l, const struct append *a, uint64_t number, const uint8_t *header, uint64_t size)
{
	struct gathered *g = &l->gathered[l->filling];
	uint64_t at = SEGMENT_HEADER + a->pos - l->file->base;
	uint8_t *to = g->bytes + g->len;

	if (size > GATHER_RECORD || size > GATHER_MAX - g->len)
		return false;
	if (!g->len) {
		g->fd = l->file->fd;
		g->at = at;
		g->first = number;
		g->count = 0;
	} else if (g->fd != l->file->fd || g->at + g->len != at) {
		return false;
	}
	memset(to + size - 8, 0, 8);           /* what fills it up to a multiple of 8 */
	memcpy(to, header, RECORD_HEADER);
	to += RECORD_HEADER;
	for (int i = 0; i < a->iovcnt; i++) {
		memcpy(to, a->iov[i].iov_base, a->iov[i].iov_len);
		to += a->iov[i].iov_len;
	}
	g->len += size;
	g->count++;
	return true;
}

/* Under the lock. NULL: nothing is gathered. */
static struct gathered *take_gathered(struct log *l)
{
	struct gathered *g = &l->gathered[l->filling];

	if (!g->len)
		return NULL;
	l->filling = !l->filling;
	return g;
}

int log_write_out(struct log *l)
{
	struct gathered *g;
	int err = 0;

	pthread_mutex_lock(&l->writing_out);
	pthread_mutex_lock(&l->lock);
	g = take_gathered(l);
	pthread_mutex_unlock(&l->lock);
	if (g) {
		err = l->failed ? -EIO : disk_write(l->disk, g->fd, g->bytes, g->len, g->at);
		err = log_wrote(l, g->first, g->count, err);
		g->len = 0;
	}
	pthread_mutex_unlock(&l->writing_out);
	return err;
}
