/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.h - what a store is made of. For store/'s own files only.
 *
 * Produce: store_append() -> log_append() -> segment -> disk; the committer syncs, hands the entries to applied() in store.c, which moves
 * queues' ends and applies commands (state.c), then tells followers; the deliverer (watch.c) tells watchers.
 * The keeper (keeper.c) is the one thread for what can wait: prepared segments, seals, checkpoints, retention.
 */
#ifndef MQFS_STORE_PARTS_H
#define MQFS_STORE_PARTS_H

#include "disk.h"
#include "identity.h"
#include "annals.h"
#include "damage.h"
#include "log.h"
#include "member.h"
#include "quorum.h"
#include "record.h"
#include "segment.h"
#include "store.h"
#include <pthread.h>

struct topics;
struct watch;
struct supply;
struct keeper;
struct scrub;

#define DAMAGES 1024                   /* places that are remembered; a store with more is beyond counting */

/* repair.c's, guarded by the damage lock: what another node gave, until it is written. */
struct repair {
	struct damage span;
	uint8_t *bytes;                /* of the span; NULL: there are none */
	_Atomic uint64_t records, written;     /* repaired since start: records, bytes */
};

/* member.c's: what the node is among others. */
struct member {
	pthread_mutex_t lock;
	enum role role;
	struct promise promise;
	bool promised;                 /* it is in its file */
	struct quorum quorum;          /* a primary's */
	uint64_t held_pos, held_end;   /* what lies between is not sent before it is durable, and nothing behind it */
	uint64_t announced;            /* a standby's: committed, as its primary says */
	uint64_t proved;               /* what the log proved to be committed at the start; not all of it is applied where that is held up */
	uint64_t known;                /* the greatest commit point known of, before the last HELLO clipped it */
	uint64_t current_at;           /* current once this is synced; 0: never said */
	bool current;
	uint64_t hold;                 /* see store_hold(); 0: that node has not been heard of since this one rules */
	bool unheld;                   /* and it was said */
	bool wants_pair;               /* see store_want_pair() */
	bool handing_over;             /* see store_hand_over() */
	bool holding_back;             /* see store_hold_back() */
};

struct store {
	struct disk *disk;
	char path[4096];
	int lock_fd;
	struct identity id;
	struct store_options options;
	struct epoch epoch;

	struct segments *segments;
	struct annals *annals;
	struct progress progress;
	struct member member;
	struct supply *supply;
	struct log *log;
	struct commit *commit;
	struct topics *topics;         /* topics, queues, the root's owner: topic.c */
	struct watch *watch;
	struct keeper *keeper;
	struct scrub *scrub;           /* NULL: scrub_rate is 0 */

	/* The log position up to which everything is applied, and the log as it ends there. The committer applies a batch and moves both
	 * within one topics_apply_lock(), so that whoever holds it sees state exactly at this position. Without it, what lies before
	 * `applied` is in the state. */
	_Atomic uint64_t applied;
	uint64_t began;                /* `applied` when the store was opened */
	struct log_start applied_at;   /* guarded by the apply lock */
	uint64_t unneeded;             /* see retain_unneeded(); the keeper's */
	_Atomic uint64_t limits;       /* how often a topic's limits have changed */
	uint64_t pins_from;            /* see retain_pins(); the keeper's */
	uint64_t index_wanted;         /* bytes of the last index that was to be made again, where there was no room for it. The keeper's */
	bool leaving, stays;           /* a segment's files have not all gone; that their names have is not durable. The keeper's */
	uint64_t leaving_base;         /* that segment's */
	_Atomic bool stopping;
	_Atomic bool read_only;        /* opened so, or recovery could not make the tail durable, or memory lacks what the log has */
	/* places that were found damaged: damage.h */
	pthread_mutex_t damage_lock;
	_Atomic uint64_t damaged;      /* since start */
	uint64_t tellings;             /* of damage so far, those of places that are known and were looked at included */
	struct damage damage[DAMAGES];
	size_t damages;
	_Atomic uint64_t damage_news;          /* counts what was found of the extents of damage */
	struct repair repair;
	struct store_status base;      /* what is fixed at open: path, ids, start time, recovered bytes */
};

void store_say(struct store *s, int priority, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Something is damaged at POS: counted and said once a place, and made again where it can be. Any thread; no lock held but the apply lock. */
void store_damaged(struct store *s, enum damage_kind kind, uint64_t pos, const char *what);

/* ---- topic.c: the tables behind topic.h ---- */
int topics_new(struct topics **t, struct store *s);
void topics_free(struct topics *t);
void topics_read_lock(struct topics *t);
void topics_write_lock(struct topics *t);
void topics_unlock(struct topics *t);
/* The apply lock, before topics' in the order of locks: held while a batch of records is applied, and while a checkpoint is
 * copied. It keeps nobody from looking topics up. */
void topics_apply_lock(struct topics *t);
void topics_apply_unlock(struct topics *t);
/* The root's owner and the id of the last topic made; guarded by the topics' lock. */
struct owner *topics_root(struct topics *t);
uint64_t *topics_counter(struct topics *t);
/* Raises Q's head, which never goes back. The committer does, the keeper for this node only, and who reads a removed topic. */
void queue_raise_head(struct queue *q, uint64_t head);
/* For writers of the topics' lock. A topic made without queues, which topic_grow() adds; -ENOMEM changes nothing. */
int topic_add(struct topics *t, uint64_t id, const char *name, size_t len, const struct owner *o, int64_t born, struct topic **to);
int topic_grow(struct topic *t, uint32_t count, const struct owner *o, int64_t born);
/* Takes T out of the tables: those who hold it may go on with it. */
void topic_remove(struct topics *t, struct topic *topic);
/* For who holds the topics' lock, without holding the topic: NULL when there is none. */
struct topic *topic_at(struct topics *t, size_t n);      /* the Nth in order of id */
struct topic *topic_with_id(struct topics *t, uint64_t id);
struct topic *topic_with_name(struct topics *t, const char *name, size_t len);
/* Queue by id, without holding its topic: for replay, which is alone. */
struct queue *queue_by_id(struct store *s, uint64_t id);
/* Recovery has ended here, and offsets are given from now on: queue_lacked() goes by this. */
void queues_begin(struct store *s);
/* R, which lies before that, ends behind what its queue had then: its offsets are given to others, or were already. Any thread. */
bool queue_lacked(struct store *s, const struct record *r);

/* ---- member.c, for store.c and reign.c ---- */
bool member_is_standby(struct store *s);
/* What appends are told from now on. Under the member's lock. */
void member_refresh(struct store *s);
/* All before it is committed, as far as it is known here: no further than the log. */
uint64_t member_proved(struct store *s);
/* The commit point that may be, with SYNCED on this disk. */
uint64_t member_allowed(struct store *s, uint64_t synced);
void member_synced(struct store *s);           /* this node's disk got further */
void member_committed(struct store *s);        /* the commit point moved: appends may be taken now */
/* A commit needs another node than this one. */
bool member_needs_others(struct store *s);
/* The commit point does not move without another node, which so is there to repair from. */
bool member_waits_for_others(struct store *s);
/* No segment from this position on may go; UINT64_MAX: all may. */
uint64_t member_needed(struct store *s);

/* ---- reign.c, for store.c ---- */
/* Of the own reign that is promised: returns when the epoch's first record is durable. */
int member_begin_epoch(struct store *s, bool current);

/* ---- watch.c ---- */
int watch_start(struct watch **w, struct store *s);
/* Queue Q got a commit that `applied` is behind; called by the committer for each record, cheap when nobody watches. */
void watch_committed(struct store *s, struct queue *q);
/* T was removed: its watchers are told. */
void watch_removed(struct store *s, struct topic *t);
/* One wake-up of the deliverer for all that watch_committed() collected. */
void watch_deliver(struct store *s);
void watch_fail(struct store *s, int err);     /* ends every watcher with ERR, and those to come */
void watch_stop(struct watch *w);              /* joins the deliverer, after watch_fail(): all are told; NULL is nothing */
void watch_free(struct watch *w);              /* after watch_stop() */

#endif
