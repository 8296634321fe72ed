/* SPDX-License-Identifier: Apache-2.0 */
/* log_part.h - what log.c, log_receive.c and log_cut.c share. */
#ifndef MQFS_STORE_LOG_PART_H
#define MQFS_STORE_LOG_PART_H

#include "log.h"
#include <pthread.h>
#include <stdatomic.h>

/* A segment file that the log still has to sync something of. */
struct open_segment {
	int fd;
	uint64_t base;
	bool fresh;                    /* its name in the directory is not durable yet */
	struct open_segment *next;
};

struct log {
	struct disk *disk;
	const uint8_t *secret;
	uint64_t cluster;
	struct segments *segments;
	struct supply *supply;
	struct log_settings settings;

	pthread_mutex_t lock;
	uint64_t end;
	uint64_t chain;
	int64_t time;
	struct epoch epoch;            /* of records to come */
	struct epoch last_epoch;       /* of the last one */
	struct segment *active;        /* held */
	struct open_segment *files;    /* oldest first; the last one is the active segment's */
	struct open_segment *file;     /* the active segment's */
	uint64_t limit;                /* position where the active segment has no more room */
	struct log_entry *ring;
	size_t ring_size;              /* a power of two */
	uint64_t first, marked, next;  /* counts: entries taken out, behind the written prefix, and given */
	uint64_t written;
	pthread_cond_t prefix;         /* `written` has moved, or the log has failed; told while somebody waits */
	unsigned waiting;
	_Atomic int refuse;            /* what appends get, 0: they are taken */
	struct log_stats stats;
	uint64_t refused;              /* bytes of the messages refused last for want of space, their record's; 0: longer ones came in since */
	int refused_by;                /* -ENOSPC, -EDQUOT */
	uint64_t refused_free;         /* bytes free on the disk then */
	bool given_up;                 /* a new segment's file was, and its name may not be gone for good */
	_Atomic int failed;            /* 0, or the errno it failed with */
};

static inline struct log_entry *log_entry_at(struct log *l, uint64_t n)
{
	return &l->ring[n & (l->ring_size - 1)];
}

/* Under the lock: a new active segment at the log's end, with room for a record of SIZE bytes. On failure nothing has changed. */
int log_roll(struct log *l, uint64_t size);
/* Under the lock: SIZE bytes had no room, and more of it was refused with ERR. */
void log_note_full(struct log *l, uint64_t size, int err);

#endif
