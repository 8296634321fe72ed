/* SPDX-License-Identifier: Apache-2.0 */
/* What the committer does: the files that the log was written to become durable, and those that are done with are closed. */
#include "commit.h"
#include "log_part.h"
#include <errno.h>
#include <stdlib.h>

/* One file up to TO: its bytes, and at first its name. */
static int sync_file(struct log *l, struct open_segment *file)
{
	int err = disk_sync(l->disk, file->fd);

	if (!err && file->fresh)
		err = disk_sync_directory(l->disk, "log");
	file->fresh = err ? file->fresh : false;
	return err;
}

/* Files that are synced to their end and that nobody writes to any more. */
static void close_synced(struct log *l, uint64_t to)
{
	pthread_mutex_lock(&l->lock);
	l->synced = to;
	while (l->files && l->files->next && l->files->next->base <= to) {
		struct open_segment *file = l->files;
		l->files = file->next;
		disk_close(l->disk, file->fd);
		free(file);
	}
	pthread_mutex_unlock(&l->lock);
}

/*
 * Only the committer removes files from the list and appenders add only at its end, so the ones seen here stay. All
 * writes up to the written prefix have returned, so one fdatasync a file covers them.
 *
 * A roll that failed took its file's name away again, and the log goes on in the old segment with what still has room there. Should a
 * power cut bring the name back, recovery would take what lies behind its base for cut off. So it is gone for good before anything more
 * is committed.
 */
int log_sync(struct log *l, uint64_t *to)
{
	struct open_segment *file;
	int64_t start = commit_clock();
	uint64_t written;
	bool given_up;
	int err = 0;

	pthread_mutex_lock(&l->lock);
	written = l->written;
	file = l->files;
	given_up = l->given_up;
	l->given_up = false;
	pthread_mutex_unlock(&l->lock);
	if (l->failed)
		return -EIO;
	if (given_up)
		err = disk_sync_directory(l->disk, "log");
	while (!err && file && file->base < written) {
		err = sync_file(l, file);
		pthread_mutex_lock(&l->lock);
		l->stats.syncs++;
		file = file->next;
		pthread_mutex_unlock(&l->lock);
	}
	if (err) {
		log_fail(l, -EIO);
		return -EIO;
	}
	close_synced(l, written);
	pthread_mutex_lock(&l->lock);
	l->stats.sync_ns += (uint64_t)(commit_clock() - start);
	pthread_mutex_unlock(&l->lock);
	*to = written;
	return 0;
}
