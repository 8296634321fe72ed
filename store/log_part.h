/* SPDX-License-Identifier: Apache-2.0 */
/* log_part.h - what log.c, log_gather.c, log_receive.c, log_roll.c, log_cut.c and log_sync.c share. */
#ifndef MQFS_STORE_LOG_PART_H
#define MQFS_STORE_LOG_PART_H

#include "log.h"
#include <pthread.h>
#include <stdatomic.h>

/* A segment file that the log still has to sync something of. */
struct open_segment {
	int fd;
	uint64_t base;
	uint64_t room;                 /* bytes of records that the disk has for it */
	bool fresh;                    /* its name in the directory is not durable yet */
	struct open_segment *next;
};

#define GATHER_MAX (32u << 10)         /* bytes */
#define GATHER_RECORD (2u << 10)       /* bytes of a record: copying more than that, under the lock, would save nothing */

/* Small records, each directly behind the one before it, that are given positions and are not written yet. */
struct gathered {
	int fd;
	uint64_t at;                   /* place in the file of the first one */
	uint64_t first, count;         /* their entries */
	size_t len;                    /* 0: there is none */
	uint8_t bytes[GATHER_MAX];
};

#define RECEIVED 8192u                 /* a power of two */

/* A ring of the records that were received last. */
struct received {
	struct record *of;             /* NULL: none was yet */
	uint64_t count;                /* ever */
	uint64_t next;                 /* the first one that nobody has asked for */
};

struct log {
	struct disk *disk;
	const uint8_t *secret;
	uint64_t cluster;
	struct segments *segments;
	struct supply *supply;
	struct log_settings settings;

	pthread_mutex_t writing_out;   /* held while one of the two is written; the other one fills meanwhile */
	pthread_mutex_t lock;
	struct gathered gathered[2];   /* [filling] is guarded by the lock, the other one by writing_out */
	unsigned filling;              /* changed under both */
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
	_Atomic uint64_t written;      /* changed under the lock */
	uint64_t synced;               /* `written` as of the last sync */
	pthread_cond_t prefix;         /* `written` has moved, or the log has failed; told while somebody waits */
	unsigned waiting;
	_Atomic int refuse;            /* what appends get, 0: they are taken */
	struct log_stats stats;
	struct received received;      /* a standby's */
	uint64_t refused;              /* bytes of the messages refused last for want of space, their record's; 0: longer ones came in since */
	int refused_by;                /* -ENOSPC, -EDQUOT */
	uint64_t refused_free;         /* bytes free on the disk then */
	uint64_t reserve;              /* bytes that are to stay in the reserve, besides those for the active segment's index */
	bool given_up;                 /* a new segment's file was, and its name may not be gone for good */
	_Atomic int failed;            /* 0, or the errno it failed with */
};

static inline struct log_entry *log_entry_at(struct log *l, uint64_t n)
{
	return &l->ring[n & (l->ring_size - 1)];
}

/* COUNT entries from FIRST on are written, or it failed with ERR, which is -EIO for good then. */
int log_wrote(struct log *l, uint64_t first, uint64_t count, int err);

/* log_gather.c. Under the lock: the record of A, which has just been given entry NUMBER, will be written by log_write_out(). False: the caller
 * writes it. */
bool log_gather(struct log *l, const struct append *a, uint64_t number, const uint8_t *header, uint64_t size);
/* What is gathered, or is just being written: into the file. */
int log_write_out(struct log *l);

/* log_roll.c. Bytes of the active segment that are kept for state: less where it was begun when segments were smaller. */
uint64_t log_state_room(const struct log *l);
/* Under the lock: a new active segment at the log's end, with room for a record of SIZE bytes. On failure nothing has changed but, where a file
 * is left that cannot be removed, that there is no room in the segment before it. */
int log_roll(struct log *l, uint64_t size);
/* Under the lock: SIZE bytes had no room, and more of it was refused with ERR. */
void log_note_full(struct log *l, uint64_t size, int err);

#endif
