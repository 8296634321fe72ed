/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the log: gives positions, chains records, writes them, and knows how far it is written without a hole.
 *
 * log_append() takes a position and links the chain under the log's lock, then writes the record's bytes outside it.
 * What is decided before a position is given can still be refused (-ENOSPC, -EROFS); once given, the write must succeed,
 * or the log has failed for good (section 2 of the design): -EIO to everyone from then on. The written prefix is the position up to
 * which every append's write has returned; the committer syncs no further than that.
 *
 * Units    positions are log bytes.
 * Errors   negative errno; -ENOSPC heals, -EIO is final.
 * Threads  any. Lock: log, see store.h for the order.
 */
#ifndef MQFS_STORE_LOG_H
#define MQFS_STORE_LOG_H

#include "disk.h"
#include "record.h"
#include "segment.h"

struct queue;
struct command;
struct log;
struct supply;
struct annals;
struct progress;

#define APPEND_PARTS 14                /* of a body, at most */

/* How much of the room for state a record may take, on a full disk: log_roll.c tells who claims what. Each claim leaves something to the next. */
enum claim {
	CLAIM_ORDINARY,                /* what does not relieve the disk */
	CLAIM_RELIEF,                  /* what does, and so cannot be repeated for ever */
	CLAIM_LAST,                    /* what a segment goes by; what a node cannot start without */
};

/* What one append puts in the log. */
struct append {
	uint8_t type;
	uint8_t flags;
	uint32_t messages;
	struct queue *queue;           /* NULL for state */
	struct topic *topic;           /* of RECORD_TOPIC_REMOVE: counted in its `closing`, so closed to appends from this record on */
	struct command *command;       /* NULL for messages */
	const struct iovec *iov;       /* the body */
	int iovcnt;
	uint32_t uid, pid;
	bool own;                      /* the node's own affair (an epoch, a pair): never refused by log_refuse() */
	enum claim claim;              /* of state */
	bool later;                    /* its bytes may be in memory only until log_wait_written() */
	/* given by log_append() */
	uint64_t pos;                  /* of the record */
	uint64_t end;                  /* behind it: committed once the commit point has reached this */
	uint64_t offset;               /* queue offset of its first byte */
};

/* One appended record, handed over in log order once it is committed. */
struct log_entry {
	uint64_t end;                  /* position behind it */
	uint64_t pos;
	struct queue *queue;
	uint64_t queue_end;            /* queue offset behind it */
	int64_t time;                  /* ns since 1970 */
	uint32_t messages;
	uint8_t flags;                 /* enum record_flag */
	bool written;
	struct command *command;
	uint64_t chain;                /* its header's checksum */
	struct epoch epoch;
};

struct log_start {                     /* where recovery found the log to end */
	uint64_t pos;
	uint64_t chain;
	struct epoch epoch;
	int64_t time;
};

struct log_settings {
	uint64_t segment_size;         /* bytes of records in a segment */
	struct annals *annals;       /* gets the epochs and pairs that are appended or received */
	struct progress *progress;     /* told when the written prefix has moved */
};

int log_new(struct log **log, struct disk *d, const uint8_t *secret, uint64_t cluster, struct segments *segments,
	struct supply *supply, const struct log_start *start, const struct log_settings *settings);
void log_free(struct log *log);

/* COMMITTED is the commit point for the record's field. Besides record.h's limits:
 * -ENOSPC: no room, nothing taken. -EROFS: the queue's topic is closed to appends. -EIO: the log has failed.
 * -ENOBUFS, -ENOMEM: nothing taken either. */
int log_append(struct log *log, struct append *a, uint64_t committed);
/* Until all before END, which an append was given, is written: recovery would cut what stands behind a hole off, so that only then does
 * the append survive kill -9. A follower of END needs no such wait, unless the append is `later`: then somebody has to wait, soon. -EIO: the log has failed, or was cut before END. */
int log_wait_written(struct log *log, uint64_t end);
/* From now on appends are refused with ERR, 0: taken. When it returns nothing is being given a position any more but what is taken. */
void log_refuse(struct log *log, int err);
int log_refusing(struct log *log);           /* the error, or 0. Takes no lock */
/* From now on records carry EPOCH. */
void log_set_epoch(struct log *log, const struct epoch *epoch);

uint64_t log_end(struct log *log);           /* behind the last position given */
uint64_t log_written(struct log *log);       /* the written prefix */
/* Syncs all segments that hold anything between the last sync and the written prefix, returns that prefix in *TO. Only the
 * committer calls it. -EIO when it failed, now or before: sticky. */
int log_sync(struct log *log, uint64_t *to);
/* Takes the entries whose end is at most POS out, in log order, up to MAX of them that follow each other without a gap; returns how many. */
size_t log_take(struct log *log, uint64_t pos, struct log_entry *to, size_t max);
/* The position of the first entry that log_take() has left: what the log has before it was not appended by this process, or is taken.
 * UINT64_MAX: there is none. */
uint64_t log_first_entry(struct log *log);
bool log_failed(struct log *log);
void log_fail(struct log *log, int err);     /* for good */
/* An append of messages, on a standby what is received, would be refused for want of space now: one as long as the last that was
 * refused, or the shortest. */
bool log_full(struct log *log);
/* From now on no segment is begun that leaves less than BYTES, and what the index of the one before it takes, in the reserve. */
void log_reserve(struct log *log, uint64_t bytes);
void log_reserve_more(struct log *log, uint64_t bytes);   /* where it was less */
/* Segments went. Where a quota was in the way, only the next append shows whether there is room now. */
void log_relieved(struct log *log);
/* The base of the segment that is appended to. */
uint64_t log_active(struct log *log);
/* Makes the unsealed segment that recovery found last the one that is appended to; its file is open as FD, which the log owns
 * from now on. ROOM: bytes of the file that the disk has; the record that has no place in them has to find some. Without this call the first
 * record begins a segment. */
int log_adopt(struct log *log, struct segment *last, int fd, uint64_t room);
/* Where the log ends: what was written last, whether it is committed or not. */
struct log_start log_tail(struct log *log);

/* log_receive.c: whole records of another node's log, LEN bytes at exactly this log's end, of its segment of BASE. They are verified one
 * by one: checksums, position, chain, and that epochs only go up and each begins with its own record, up to UPTO at most. Then they are
 * written and the written prefix moves; segments begin where the sender's do. *TOOK is how many bytes were taken, and may be more than 0
 * with an error. -EBADMSG: at *TOOK there is no record that may follow. -ENOSPC, -ENOMEM, -ENOBUFS: nothing of the rest was taken, it heals.
 * -EIO: the log has failed. Appends must be refused meanwhile; one thread at a time. ONCE: it is much, and nobody will read it soon. */
int log_receive(struct log *log, const void *bytes, size_t len, uint64_t base, const struct epoch *upto, bool once, size_t *took);
/* Of what was received: headers of records of messages that stand directly one behind the other from POS on, up to TO; each is given once. Returns
 * how many; 0: there is none at POS, or it is not kept any more. */
size_t log_received(struct log *log, uint64_t pos, uint64_t to, struct record *headers, size_t max);

/* log_cut.c: all from POS on goes to lost/, durably, and the log ends there. POS is a record's end and not before what was taken by
 * log_take(); appends are refused, nothing is received, nobody syncs, and nobody reads what is cut. Entries behind POS are given up. After
 * a failure the log is as it was, and can be cut again; or it has failed, where a part of the cut was made. CHAIN is what another node says of
 * POS, the header checksum of the record before it, for where that does not read here; 0: nothing. *BYTES is how much went. */
struct log_losses {
	void (*command)(void *ctx, struct command *c);       /* its entry is given up */
	int (*make_room)(void *ctx);                         /* the disk is full; 0: there is more room now. May be NULL: there never is */
	void *ctx;
};
int log_cut(struct log *log, uint64_t pos, uint64_t chain, const struct log_losses *losses, uint64_t *bytes);

struct log_stats {
	uint64_t records, messages, bytes;      /* appended since start; bytes of messages */
	uint64_t syncs;
	uint64_t sync_ns;                       /* time spent in them */
	uint64_t refused;                       /* appends refused for want of space */
};
void log_stats(struct log *log, struct log_stats *to);

#endif
