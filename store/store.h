/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - a store: one node's durable log and all that is derived from it. What fs/ and the tools see of store/.
 *
 * Calling
 *	store_open(&s, path, &options, why)       locks, recovers, starts the committer, deliverer and keeper
 *	topic_find(), topic_queue(), ...          topic.h: what is there
 *	store_mkdir(), store_set(), ...           state.h: change it
 *	store_append(), commit_follow()           produce, and wait until it is committed
 *	reader_read(), merge_read()               consume; watch_queue(), watch_topic() to wait for more
 *	store_stop(), store_close()               refuse appends, commit, end who waits; then checkpoint and free
 *
 * Units    bytes; times in ns since 1970 unless they say CLOCK_MONOTONIC.
 * Errors   negative errno, passed on.
 * Threads  any, but for open and close.
 * Locks    in this order: apply > topics > member > log > annals > segments > commit > watch > disk > progress. No follower, watcher or command is called back
 *          under any of them.
 */
#ifndef MQFS_STORE_H
#define MQFS_STORE_H

#include "commit.h"
#include "merge.h"
#include "reader.h"
#include "setting.h"
#include "state.h"
#include "topic.h"
#include "watch.h"

#define STORE_WHY 256            /* bytes for a line that says why something was refused */

struct store_options {
	bool read_only;          /* take no lock, change nothing, show what the files prove committed: for the tools */
	bool create;             /* a missing or empty directory becomes a store */
	bool standby;            /* begin no epoch: take another node's log, see member.h. Else the node must rule the reign it has promised */
	struct settings settings;        /* the mount's values */
	uint64_t commit_timeout;         /* ns */
	uint64_t segment_size;           /* bytes of records a segment */
	uint64_t checkpoint_every;       /* bytes of log */
	uint64_t retention_free;         /* bytes of the file system to keep free, by dropping what retention allows */
	uint64_t cache;                  /* bytes of the newest log that stay in the page cache; 0: the system keeps what it likes */
	uint64_t scrub_rate;             /* bytes a second that the scrub may read; 0: there is none */
	uint64_t hold_bytes;             /* of log that is kept at most because the pair's other node has not got it yet */
	uint64_t sync_delay;             /* ns added to each sync of the disk: for tests */
	struct owner owner;              /* of the root, when the store is made */
	const char *mountpoint;          /* written into the lock file, for whoever finds the store in use; may be NULL */
	/* a message for the administrator: PRIORITY as in syslog(3) */
	void (*say)(void *ctx, int priority, const char *text);
	void *say_ctx;
	/* May this start go on? Asked when the store is locked and read, before anything is appended; an error, said in WHY, ends it. May be NULL. */
	int (*ready)(void *ctx, char why[STORE_WHY]);
	void *ready_ctx;
};

void store_options_normal(struct store_options *o);

/* Without `create`, before another node is asked for its store: -ENOENT where PATH is neither a store nor one in the making. */
int store_look(const char *path, char why[STORE_WHY]);
/* On failure WHY says in one line, without a newline, what is wrong and what to do. */
int store_open(struct store **s, const char *path, const struct store_options *o, char why[STORE_WHY]);
/* The same on any disk, which is the store's from here on, also when it cannot be opened; PATH is only what status says. */
int store_open_disk(struct store **s, struct disk *d, const char *path, const struct store_options *o, char why[STORE_WHY]);
/* Appends get -ENOTCONN from here on; what is written is committed; followers, commands and watchers are ended. */
void store_stop(struct store *s);
void store_close(struct store *s);

/* One append of whole messages. */
struct batch {
	const struct iovec *iov;
	int iovcnt;
	uint32_t messages;
	uint8_t flags;                   /* enum record_flag */
	uint32_t uid, pid;
	bool later;                      /* a small one may be in memory only until store_append_end() */
};
/* Where it went. */
struct place {
	uint64_t offset;                 /* queue offset of its first byte */
	uint64_t end;                    /* log position behind it: follow this to know it committed */
};
/* 0: in the log file; it survives kill -9 once all in front of it is there, too: store_wait_written(). -EROFS (retired, removed, read-only), -ENOSPC (heals), -EMSGSIZE: not there. -EIO
 * (the log has failed), -ENOTCONN (stopping). */
int store_append(struct queue *q, const struct batch *b, struct place *to);
/* What every append gets now: -EROFS on a standby, -EHOSTDOWN on a primary that cannot commit; 0: none of these. */
int store_refusing(struct store *s);
/* Has to come soon behind an append to Q that was `later`, which ended at END: the first of several writes all of them. As store_wait_written(). */
int store_append_end(struct queue *q, uint64_t end);
/* For who does not follow END: waits no longer than the appends in front take to write. -EIO: the log has failed. */
int store_wait_written(struct store *s, uint64_t end);

int store_follow(struct store *s, struct follower *f);           /* commit_follow() */
bool store_unfollow(struct store *s, struct follower *f);
uint64_t store_committed(struct store *s);                       /* the commit point */
uint64_t store_backlog(struct store *s);                         /* see commit_backlog() */
const struct settings *store_settings(struct store *s);          /* the mount's */

/* Queue offset behind all appends to Q, committed or not. */
uint64_t queue_appended(struct queue *q);
/* Bytes retained: committed end less head, never negative. */
uint64_t queue_retained(struct queue *q);

enum store_health { STORE_FINE, STORE_FULL, STORE_FAILED, STORE_READ_ONLY };

/* The background verification: the pass under way, or the last one. */
struct scrub_status {
	uint64_t rate;                   /* bytes a second, 0: there is none */
	bool under_way;
	uint64_t pos, end;               /* log positions: verified up to, goes on to */
	uint64_t bytes;                  /* verified since start */
	uint64_t passes;                 /* completed since the store was made */
	uint64_t found;                  /* damaged places in this pass */
	int64_t began, ended;            /* this pass, the last one completed; 0: none */
};

struct store_status {
	enum store_health health;
	char why[STORE_WHY];             /* for other than STORE_FINE */
	uint64_t cluster, node;
	struct epoch epoch;              /* of the last record in the log */
	char path[4096];
	uint64_t log_start, log_committed, log_written, log_end;     /* positions */
	uint64_t segments, segments_unsealed, segments_prepared;
	uint64_t segment_size;
	uint64_t bytes_on_disk;          /* of the segments, prepared ones included */
	uint64_t disk_total, disk_free;
	uint64_t topics, queues;
	uint64_t records, messages, bytes;                           /* appended since start */
	uint64_t syncs, sync_ns, refused_full;
	uint64_t checkpoint_pos;         /* of the newest one */
	int64_t checkpoint_time;
	uint64_t damaged;                /* damaged records, indexes and checkpoints found since start */
	uint64_t damaged_open;           /* places of the log that are damaged now */
	uint64_t repaired, repaired_bytes;       /* from another node since start: records, and their bytes of log */
	uint64_t lost_files, lost_bytes; /* in lost/ */
	struct scrub_status scrub;
	uint64_t retained_pinned;        /* bytes of log that only pinned topics keep */
	uint64_t recovered_bytes;        /* replayed at start */
	int64_t start_time;
};
void store_status(struct store *s, struct store_status *to);
bool store_read_only(struct store *s);
/* Bytes of the file system that the store is on; 0: they cannot be told. */
void store_disk(struct store *s, uint64_t *total, uint64_t *available);

/* A pass of the scrub begins now, if none is under way. False: there is no scrub. */
bool store_scrub(struct store *s);

/* Who keeps the oldest segments from going: the topics with the lowest heads, most bytes first. */
struct pin {
	char topic[TOPIC_NAME_MAX + 1];
	uint64_t bytes;                  /* of log that would go if this topic's queues did not need it */
};
size_t store_pins(struct store *s, struct pin *to, size_t max);

#endif
