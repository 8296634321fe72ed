/* SPDX-License-Identifier: Apache-2.0 */
#include "tail.h"
#include "lost.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <syslog.h>

/* NULL: there is none. */
static const struct found_segment *last(const struct survey *v)
{
	return v->count ? &v->segments[v->count - 1] : NULL;
}

int tail_move(struct survey *v)
{
	const struct found_segment *f;
	uint64_t bytes;
	int err;

	while ((f = last(v)) && (f->head.base > v->tail || (f->head.base == v->tail && !f->head_valid))) {
		err = lost_move(v->store->disk, f->head.base, &bytes);
		if (err)
			return err;
		v->lost += bytes;
		v->count--;
	}
	return 0;
}

/*
 * After the pages of the file have gone: a start whose sync of these zeros failed has left them in memory only, and what they were to replace
 * would come back behind the log's new end. Where the header is not right the log does not go on, so nothing need go; and the file may be
 * another's, in the wrong place.
 */
int tail_cut(struct survey *v)
{
	const struct found_segment *f = last(v);
	uint64_t bytes = 0;
	int err = f && !f->sealed && f->head_valid ? lost_cut(v->store->disk, f->head.base, v->tail, &bytes) : 0;

	if (!err && v->lost + bytes)
		store_say(v->store, LOG_NOTICE, "the last run was interrupted: %" PRIu64 " bytes that were never committed are in lost/", v->lost + bytes);
	return err;
}

/* A file that was cut short within the padding of its last record has lost nothing. */
static int lengthen(struct disk *d, const char *name, int fd, uint64_t size)
{
	struct stat st;
	int err = disk_stat(d, name, &st);

	return !err && (uint64_t)st.st_size < size ? disk_truncate(d, fd, size) : err;
}

/*
 * What recovery took for valid in segment F, its header where HEAD and its bytes from FROM to TO, is made what the disk has.
 *
 * The system may have it in memory without having it on the disk. Then writing to that memory is not enough: where ext4 has failed to write to an
 * allocated block, it takes the block for written from then on as long as its page is in memory; the same bytes written again are
 * synced without an error, and are zeros once the page is gone. So the pages go first, those behind TO too, to which the log will append;
 * and since only clean ones go, a sync comes before: an append may have been on its way when the sync of that process failed.
 */
static int write_again(struct store *s, const struct found_segment *f, bool head, uint64_t from, uint64_t to)
{
	size_t len = from < to ? (size_t)(to - from) : 0;
	uint8_t *bytes = malloc(len + 1);
	uint64_t at = SEGMENT_HEADER + from - f->head.base;
	char name[32];
	int err = bytes ? 0 : -ENOMEM, fd;

	segment_name(name, f->head.base);
	fd = err ? err : disk_open(s->disk, name, O_RDWR, 0);
	if (fd < 0)
		err = fd;
	if (!err && len)
		err = lengthen(s->disk, name, fd, at + len);
	if (!err)
		err = disk_read(s->disk, fd, bytes, len, at);
	if (!err)
		err = disk_sync(s->disk, fd);
	if (!err)
		err = disk_forget(s->disk, fd);
	if (!err && head)
		err = segment_head_write(s->disk, fd, &f->head, s->id.secret);
	if (!err && len)
		err = disk_write(s->disk, fd, bytes, len, at);
	if (!err && (head || len))
		err = disk_sync(s->disk, fd);
	disk_close(s->disk, fd);
	free(bytes);
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
		err = write_again(v->store, f, f->head.base >= v->durable, from, f->sealed ? from : to);
	}
	return err ? err : make_names_durable(v->store);
}
