/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topic.h - topics and their queues: what is known of them in memory.
 *
 * All of it is derived from the log. A topic comes, changes and goes when the command for it is applied (state.h), on the
 * committer; what is found here is therefore committed. A topic got from here is held until topic_put(); one that was removed
 * stays usable for those who hold it, with `removed` set.
 *
 * A topic's id is more than those of all topics before it (state.c); a queue's id is (topic id << QUEUE_BITS | number), the topic's own
 * inode number follows from them (see topic_ino()). They are never used again.
 *
 * Errors   negative errno.
 * Threads  any. Lock: topics (a rwlock, not to be taken twice by one thread), for writing only while a command is applied.
 *          Fields say what guards them.
 */
#ifndef MQFS_STORE_TOPIC_H
#define MQFS_STORE_TOPIC_H

#include "setting.h"
#include "watch.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

#define QUEUE_BITS 10
#define QUEUES_MAX 1024u
#define TOPIC_ID_MAX ((UINT64_C(1) << (61 - QUEUE_BITS)) - 1)        /* so that inode numbers fit: queue_id_ino() */
#define TOPIC_NAME_MAX 127u      /* bytes */

struct store;
struct topic;
struct run_queue;
struct runs;
struct queue_block;

struct owner {
	uint32_t uid, gid;
	uint32_t mode;           /* permission bits only */
};

#define OWNER_NOBODY UINT32_MAX   /* the root's uid before the log says one: chown(2) takes it for "leave as it is" */

#define QUEUE_CUTS 4u           /* whose places are kept */

struct queue {
	struct topic *topic;
	uint64_t id;
	/* written under the log's lock */
	_Atomic uint64_t appended;       /* queue offset behind all that was appended, committed or not */
	_Atomic uint32_t cuts;           /* times that what was appended and not committed was cut off: log_cut() */
	_Atomic uint64_t cut_at[QUEUE_CUTS];       /* log positions of the last ones, cut number N at N % QUEUE_CUTS */
	uint64_t run_segment;            /* base of the segment that run_cache belongs to, UINT64_MAX: none */
	struct run_queue *run_cache;
	uint64_t began;                  /* `appended` when the store was opened */
	/* written by the committer, read by anyone */
	_Atomic uint64_t committed;      /* queue offset behind all that is committed; st_size */
	_Atomic uint64_t messages;       /* committed so far, since the queue's beginning */
	_Atomic int64_t mtime;           /* ns since 1970 of the last committed record, or of the queue's creation */
	_Atomic uint64_t last_pos;       /* log position of the last committed record, UINT64_MAX: none yet */
	_Atomic uint64_t head;           /* queue offset of the oldest retained byte */
	_Atomic uint64_t partial;        /* lines that were ended without their newline */
	/* the keeper's: the record at queue offset oldest_at, which was the head, is of this time */
	uint64_t oldest_at;
	int64_t oldest;
	/* counted by readers of this mount, since start */
	_Atomic uint64_t skips;          /* reads that were moved on to the head */
	_Atomic uint64_t skipped;        /* bytes that they missed */
	/* counted by writers of this mount, since start */
	_Atomic uint64_t lost;           /* lines that were dropped unfinished (partial=lost, or no room for them at the end), or refused behind one
	                                  * that was too long */
	_Atomic uint32_t cuts_told;      /* `cuts` as fsync has told it last */
	struct owner owner;              /* guarded by the topics' lock */
	struct watch_list watch;         /* who waits for this queue */
};

/* A topic's queues by number. A longer table replaces a full one, which stays until the topic dies: topic_queue() takes no lock. */
struct queue_table {
	struct queue_table *old;
	uint32_t room;
	struct queue *at[];
};

struct topic {
	struct store *store;
	uint64_t id;
	char name[TOPIC_NAME_MAX + 1];
	int64_t born;                    /* ns since 1970 */
	_Atomic int64_t ctime;           /* ns since 1970 of the last change of its settings, queues or owner */
	/* guarded by the topics' lock */
	struct owner owner;
	/* written by the committer, read by anyone */
	_Atomic uint64_t own[SETTINGS];  /* values of its own; see topic_setting() */
	_Atomic uint32_t own_set;        /* bit ID: has one */
	_Atomic bool retired;
	_Atomic bool removed;
	/* Removals that are in the log and not yet applied: appends are refused with EROFS. Raised under the log's lock, so that nothing
	 * is appended behind one; lowered when it is applied. */
	_Atomic uint32_t closing;
	_Atomic uint32_t count;          /* queues; only grows. Queue N < count is constant once there */
	_Atomic(struct queue_table *) queues;
	struct queue_block *blocks;      /* the queues' memory */
	_Atomic uint32_t users;
	/* Committed records of all queues: `commits` grows with each one before the store's `applied` is behind it, so that who has seen
	 * `applied` finds it counted; `readable` grows after, so that who is told of it finds it before `applied`. */
	_Atomic uint64_t commits, readable;
	struct watch_list watch;         /* who waits for any queue of it */
	/* the keeper's: nothing of it comes of age before this time, ns since 1970, as long as its age limit is this */
	int64_t ages_at;
	uint64_t ages_for;
	UT_hash_handle hh;               /* by name */
};

/* Topic NAME, held; NULL when there is none. */
struct topic *topic_find(struct store *s, const char *name);
/* The topic with the least id above AFTER, held; NULL at the end. For listings: ids are their cookies. */
struct topic *topic_next(struct store *s, uint64_t after);
struct topic *topic_by_id(struct store *s, uint64_t id);
struct topic *topic_hold(struct topic *t);
void topic_put(struct topic *t);
size_t topic_count(struct store *s);

/* Somebody is parked for more of Q or of its topic: appends to it are synced at once. */
static inline bool queue_watched(const struct queue *q)
{
	return atomic_load(&q->watch.watched) > 0 || atomic_load(&q->topic->watch.watched) > 0;
}

/* Queue NUMBER, valid while the topic is held; NULL when it has not that many. */
struct queue *topic_queue(struct topic *t, uint32_t number);
static inline uint32_t queue_number(const struct queue *q)
{
	return (uint32_t)(q->id & (QUEUES_MAX - 1));
}

/* Whether what was appended to Q at a log position that ended at POS, when Q had seen CUTS cuts, has been cut off since; also where so many came
 * that it is not known any more. */
bool queue_cut_since(const struct queue *q, uint32_t cuts, uint64_t pos);

/* What is in force: the topic's own value or the mount's. */
uint64_t topic_setting(struct topic *t, enum setting_id id);
bool topic_has_own(struct topic *t, enum setting_id id);
/* Snapshots; of the root with T == NULL, of a topic with Q == NULL. */
void owner_get(struct store *s, struct topic *t, struct queue *q, struct owner *to);

/* 0, or why NAME can be no topic's: -EINVAL, -ENAMETOOLONG (section 4 of the design). */
int topic_name_check(const char *name);

/* Inode numbers: stable and never used again. 1 is the root's; a topic's and a queue's follow from their ids. The
 * remaining ones (dot directories, control files) are fs/'s: it may use any with bit 63 set. */
static inline uint64_t topic_ino(const struct topic *t)
{
	return (t->id << (QUEUE_BITS + 1)) | 2;
}
static inline uint64_t queue_id_ino(uint64_t id)
{
	return (id << 1) | 1u << 0 | (uint64_t)1 << 62;
}
static inline uint64_t queue_ino(const struct queue *q)
{
	return queue_id_ino(q->id);
}

#endif
