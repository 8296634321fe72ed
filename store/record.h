/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - one record of the log: its bytes and its checks.
 *
 * A record is a header of RECORD_HEADER bytes, a body, and zeros up to the next multiple of 8. Little endian:
 *
 *      0  u32  magic "MQR1"              40  u64  queue: id of the queue, 0 for state
 *      4  u8   type                      48  u64  offset: first byte's place in its queue
 *      5  u8   flags                     56  i64  time: ns since 1970, never less than the record before
 *      6  u16  0                         64  u32  uid of the writer
 *      8  u32  length of the body        68  u32  pid of the writer
 *     12  u32  messages in the body      72  u64  committed: the commit point when it was appended
 *     16  u64  position                  80  u64  prev: header checksum of the record before it
 *     24  u32  epoch: reign              88  u64  checksum of the body
 *     28  u32  epoch: start              96  u64  checksum of bytes 0-95
 *     32  u64  epoch: node id
 *
 * Both checksums are XXH3 (64 bits) with the cluster's secret. The header's covers its position and `prev`, so it is
 * the chain: two logs with the same one at a position are the same up to it. A body of messages is the queue's bytes
 * themselves, newlines included.
 *
 * Errors   -EBADMSG when bytes are no valid record of this position and secret.
 */
#ifndef MQFS_STORE_RECORD_H
#define MQFS_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RECORD_HEADER 104u
#define RECORD_BODY_MAX (20u << 20)      /* bytes; no valid record has a longer body */
#define RECORD_SECRET 192u               /* bytes of the cluster's secret */
#define RECORD_MAGIC 0x3152514du          /* "MQR1", the first four bytes of a header */

enum record_type {
	RECORD_EPOCH = 1,         /* the first of each epoch */
	RECORD_MESSAGES = 2,
	RECORD_TOPIC_CREATE = 3,  /* these and the following are the commands of state.h */
	RECORD_TOPIC_REMOVE = 4,
	RECORD_TOPIC_QUEUES = 5,
	RECORD_TOPIC_SET = 6,
	RECORD_OWNER = 7,
	RECORD_HEADS = 8,
	RECORD_PAIR = 9,          /* who counts: pair.h */
};

enum record_flag {
	RECORD_WRITE = 1,      /* framing=write: the body is one message, whatever bytes it has */
	RECORD_PARTIAL = 2,    /* its last line had no newline when its writer closed; one was added (partial=newline) */
	RECORD_ACCEPTED_LOSS = 4,        /* of an epoch: what only others hold is lost, with the operator's consent */
	RECORD_ID_BY_POSITION = 8,        /* of a topic-create: the topic's id comes from the record's position (state.c) */
};

struct epoch {
	uint32_t reign;
	uint32_t start;
	uint64_t node;
};

struct record {
	uint8_t type;
	uint8_t flags;
	uint32_t length;       /* of the body, bytes */
	uint32_t messages;
	uint64_t pos;
	struct epoch epoch;
	uint64_t queue;
	uint64_t offset;
	int64_t time;
	uint32_t uid;
	uint32_t pid;
	uint64_t committed;
	uint64_t prev;
	uint64_t body_sum;
	uint64_t sum;
};

/* Bytes that a record with a body of LENGTH bytes takes in the log. */
static inline uint64_t record_size(uint32_t length)
{
	return (RECORD_HEADER + (uint64_t)length + 7) & ~(uint64_t)7;
}

/* The checksum of a body. SECRET has RECORD_SECRET bytes here and below. */
uint64_t record_body_sum(const uint8_t *secret, const struct iovec *iov, int n);
/* The same of one part, for long ones: by the widest vectors that the processor has. */
uint64_t record_sum_long(const uint8_t *secret, const void *from, size_t len);
/* Fills in r->sum, then writes the header's bytes. */
void record_encode(struct record *r, const uint8_t *secret, uint8_t to[RECORD_HEADER]);
/* The header at position POS. Its chain and body are not looked at. */
int record_decode(struct record *r, const uint8_t *secret, const uint8_t from[RECORD_HEADER], uint64_t pos);
/* The body of R, r->length bytes. */
int record_check_body(const struct record *r, const uint8_t *secret, const void *body);

/* Whether FROM begins a whole valid record of messages of these values, LENGTH bytes of body included. */
bool record_matches(const uint8_t *from, const uint8_t *secret, uint64_t pos, uint64_t queue, uint64_t offset, uint32_t length);

#endif
