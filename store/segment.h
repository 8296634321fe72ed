/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - the files of the log, and which of them holds a position.
 *
 * A segment is the file log/BASE (16 hex digits): SEGMENT_HEADER bytes of header, then records from position
 * BASE on, without gaps; the byte at position P is at SEGMENT_HEADER + P - BASE. It ends where the next one's base is.
 * While a segment is unsealed its runs are in memory (runs.h). Sealed, which it is only when committed to its end, it
 * has an index file beside it, log/BASE.index (index.h), and never changes again.
 *
 * Header, little endian: 0 "MQFS-SEG"; 8 u32 format version; 12 u32 0; 16 u64 cluster id; 24 u64 base; 32 u64 chain (header
 * checksum of the record before the base, 0 at 0); 40 epoch there (u32 reign, u32 start, u64 node); 56 i64 time there
 * (ns); 64 u64 checksum (XXH3 with the cluster's secret) of bytes 0-63. The rest is zeros.
 *
 * Calling  a segment got by segments_find() is held by the caller until segment_put().
 * Errors   negative errno.
 * Threads  any. `end` and `sealed` change under the segments' lock, and once; but the end of one that is not sealed is open again when the
 *          segment behind it is cut. The rest is constant.
 */
#ifndef MQFS_STORE_SEGMENT_H
#define MQFS_STORE_SEGMENT_H

#include "mapping.h"
#include "record.h"
#include <pthread.h>
#include <stdatomic.h>

#define SEGMENT_HEADER 4096u
#define SEGMENT_HEAD 72u               /* bytes of it that are not zeros */
#define FORMAT_VERSION 3u
#define POSITION_MAX INT64_MAX         /* sums of positions and lengths never overflow */

struct runs;
struct index;

struct segment_head {
	uint64_t cluster;
	uint64_t base;
	uint64_t chain;
	struct epoch epoch;
	int64_t time;                  /* TIME_UNKNOWN: only the base is, of an old segment or as the header is damaged; see segment_time() */
};

#define TIME_UNKNOWN INT64_MIN

struct holder {
	uint64_t queue;                /* 0: none */
	uint64_t end;                  /* queue offset behind its last record in the segment */
};

/* Queues whose messages keep a sealed segment, see pins.c. */
struct holders {
	/* the keeper's */
	bool known;
	uint64_t limits;               /* the store's, when the segment was looked at */
	struct holder one, other;      /* of different topics */
	struct holder limited;         /* of a topic with a limit */
	/* what follows of these */
	_Atomic uint64_t topic;        /* the only one that keeps it; 0: none or several do, or it is not known */
	_Atomic bool pinned;
};

struct segment {
	struct segments *all;
	struct segment_head head;
	_Atomic uint64_t end;          /* position behind its last record; UINT64_MAX while it is the last segment */
	_Atomic bool sealed;
	struct runs *runs;             /* unsealed: in memory; freed with the segment's last user after sealing */
	struct holders holders;
	/* guarded by the segments' lock */
	int users;
	struct mapping mapping;
	struct index *index;           /* sealed: opened at first use */
	enum segment_index_state { INDEX_GOOD, INDEX_BAD, INDEX_RENEWED } index_state;
	int64_t used;                  /* CLOCK_MONOTONIC ns of its last segment_map(): who only walks past does not use it */
};

struct segments;

/* The log position that a file's NAME begins with, as 16 hex digits in front of END, '.' or NUL. False: it does not, or no log reaches so far. */
bool position_named(const char *name, char end, uint64_t *pos);
void segment_name(char to[32], uint64_t base);          /* "log/0000000000000000" */
void segment_index_name(char to[40], uint64_t base);    /* "log/0000000000000000.index" */
void segment_head_encode(const struct segment_head *h, const uint8_t *secret, uint8_t to[SEGMENT_HEAD]);
/* -EBADMSG for no valid header, -EPROTONOSUPPORT for a newer format version (told without the secret). With -EBADMSG the cluster id is told
 * too, where there is a whole header that says it is a segment's; else it is left alone. */
int segment_head_decode(struct segment_head *h, const uint8_t *secret, const uint8_t from[SEGMENT_HEAD]);
int segment_head_write(struct disk *d, int fd, const struct segment_head *h, const uint8_t *secret);
int segment_head_read(struct disk *d, int fd, struct segment_head *h, const uint8_t *secret);

int segments_new(struct segments **all, struct disk *d, const uint8_t *secret);
void segments_free(struct segments *all);
/* Adds the next segment behind the last. RUNS is NULL for a sealed one, else owned by the segment. */
int segments_add(struct segments *all, const struct segment_head *h, uint64_t end, struct runs *runs, struct segment **s);
/* The segment that holds POS, or the first one when POS is before it; NULL behind the last one's end. */
struct segment *segments_find(struct segments *all, uint64_t pos);
struct segment *segments_first(struct segments *all);
struct segment *segments_last(struct segments *all);
/* The one behind S, or NULL. S is put. */
struct segment *segment_next(struct segment *s);
void segment_put(struct segment *s);
size_t segments_count(struct segments *all);
uint64_t segments_start(struct segments *all);          /* base of the first one */

/* The time at S's base, ns since 1970; from its header at first use. */
int segment_time(struct segment *s, int64_t *ns);
/* S and all its records: *BYTES is the mapping of the record area, so that position P is at (*BYTES)[P - base];
 * *LEN is how much of it may be read. Valid while S is held. Reading it needs disk_guard(). -ENOMEM: there is no memory, or no room for a
 * mapping although all that nobody uses has made some; so with the index. */
int segment_map(struct segment *s, const uint8_t **bytes, size_t *len);
/* S's file may be longer than it was: who maps it from here on sees all of it. */
void segment_map_again(struct segment *s);
/* Of a mapped one: most of it is going to be read, in order. */
void segment_read_in_order(struct segment *s);
/* disk_guard() said -EIO of the mapping. True: the same read may do better now. */
bool segment_read_failed(struct segment *s);
/* The index of a sealed segment, valid while S is held. -ENODATA when it is missing or damaged: the caller reports it. */
int segment_index(struct segment *s, struct index **index);
/* A part of S's index is damaged, which only reading it shows: from here on it counts as missing. True: until now it did not. */
bool segment_index_bad(struct segment *s);
/* It was made again. It is used from when nobody holds S, as until then somebody may be reading the old one. */
void segment_index_renewed(struct segment *s);
/* 1: S is sealed, and its index is missing or damaged; 0: it is not. Negative errno: that could not be told now. */
int segment_wants_index(struct segment *s);
/* S is committed to its END and its index file is in place and durable. */
void segment_seal(struct segment *s, uint64_t end);
/* Takes the first segment out of the list, never the last one (NULL). Its files are the caller's to remove or recycle once
 * segment_wait_unused() has returned: it waits until nobody else holds S, and frees it. */
struct segment *segments_take_first(struct segments *all);
/* The same with the last one, whose records are cut from the log; NULL: there is none. */
struct segment *segments_take_last(struct segments *all);
void segment_wait_unused(struct segment *s);
/* Unmaps what nobody has used for AGE_NS; returns how many are still mapped, but for the last one, which the log holds. */
size_t segments_trim(struct segments *all, int64_t age_ns);

/* Sealed segments from FROM on that end at END at most leave the system's page cache; who wants them again waits for the disk. It stops at one that
 * somebody reads now, or did a moment ago. Returns where it is to go on. */
uint64_t segments_leave_cache(struct segments *all, uint64_t from, uint64_t end);

#endif
