/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - what two nodes say to each other, as bytes.
 *
 * A frame is a header of FRAME_HEADER bytes and a body of at most FRAME_BODY bytes. Little endian:
 *
 *      0  u32  magic "MQW1"              24  u64  epoch: node id
 *      4  u8   type                      32  u64  position
 *      5  u8   flags                     40  u64  commit point, as known to the sender
 *      6  u16  0                         48  u64  checksum of the body
 *      8  u32  length of the body        56  u64  checksum of bytes 0-55
 *     12  u32  0
 *     16  u32  epoch: reign
 *     20  u32  epoch: start
 *
 * Both checksums are XXH3 (64 bits) without a secret, as a node that joins has none yet: they find what went wrong in a node or on
 * the way. That nobody else speaks is TLS's part (tls.h), and each record in a frame has its checksums with the cluster's secret.
 *
 *   type            from         epoch          position           flags            body
 *    1 HELLO        standby      of its last    end of its log     blank, mirror    version u16, cluster u64, node u64, promise,
 *                                record                                             checkpoint u64, of it u64, name, epochs
 *    2 HELLO_ACK    primary      its own        where the standby  settled, copy    version u16, answer u8, cluster u64, node u64, promise,
 *                                               is cut, or begins                   chain u64, end u64, checkpoint u64, size u64,
 *                                                                                   secret, name, reason, epochs
 *    3 SEGMENT      primary      its own        base of the next                    chain u64, epoch there, time i64
 *                                               segment
 *    4 RECORDS      primary      its own        of the first byte                   bytes of the log
 *    5 COMMIT       primary      its own        end of its log     member           time i64, messages u64
 *    6 ACK          standby      of the link    durable up to      current, full    received u64, time i64, messages u64
 *    7 CHECKPOINT   primary      its own        that it stands for                  size u64, offset u64, bytes of the file
 *    8 FETCH        either       of the link    of the first byte                   length u32
 *    9 FETCHED      either       of the link    of the first byte  absent           bytes of the log
 *   10 PROMISE      candidate    it asks for    end of its log                      version u16, cluster u64, node u64, epoch of its
 *                                                                                   last record, name
 *   11 PROMISED     who is asked its promise    end of its log     granted, current cluster u64, node u64, epoch of its last record, name,
 *                                                                                   reason, epochs
 *   12 SWITCHOVER   either       its own        end of its log                      order u8, reason
 *   13 ERROR        either       its own        0                                   error u32, reason; the link ends
 *
 * An epoch is u32 reign, u32 start, u64 node; a promise is a reign: u32 number, u64 node. Texts are a u16 length and so many bytes, printable
 * ASCII: they go to logs, terminals and JSON. `epochs` is a u16 count, then for each, oldest first: epoch, position u64 of its first record,
 * chain u64 there, u8 whether it was begun with an accepted loss; hello_say() chooses of a longer table. A chain at a position is
 * the header checksum of the record before it, 0 at 0. `secret` is u8 0, or u8 1 and RECORD_SECRET bytes.
 *
 * Nothing is allocated and nothing is read but the bytes given; a decoder accepts exactly what an encoder makes.
 *
 * Units    positions are log bytes; times are nanoseconds.
 * Errors   -EBADMSG when bytes are no valid frame or body; -EPROTONOSUPPORT for another version, the only field that is then decoded;
 *          -EINVAL when an encoder is given what cannot be said; -EMSGSIZE when it does not fit in.
 * Threads  any.
 */
#ifndef MQFS_REPLICA_FRAME_H
#define MQFS_REPLICA_FRAME_H

#include "annals.h"
#include "promise.h"

#define FRAME_HEADER 64u
#define FRAME_BODY (1u << 20)             /* bytes of a body, at most */
#define FRAME_MAGIC 0x3157514du           /* "MQW1" */
#define FRAME_VERSION 2u                  /* of the protocol, said in HELLO and PROMISE */
#define FRAME_EPOCHS 1024u                /* of an epoch table, at most */
#define FRAME_NAME 64u                    /* a node's name and its NUL */
#define FRAME_REASON 512u                 /* a text for people and its NUL */
#define FRAME_CHECKPOINT_HEAD 16u         /* bytes of a CHECKPOINT's body before those of the file */
/* Room that the body of every type but RECORDS, CHECKPOINT and FETCHED fits in. */
#define FRAME_TALK 34816u

enum frame_type {
	FRAME_HELLO = 1,
	FRAME_HELLO_ACK = 2,
	FRAME_SEGMENT = 3,
	FRAME_RECORDS = 4,
	FRAME_COMMIT = 5,          /* the heartbeat too */
	FRAME_ACK = 6,
	FRAME_CHECKPOINT = 7,
	FRAME_FETCH = 8,
	FRAME_FETCHED = 9,
	FRAME_PROMISE = 10,
	FRAME_PROMISED = 11,
	FRAME_SWITCHOVER = 12,
	FRAME_ERROR = 13,
};

enum frame_flag {
	FRAME_BLANK = 1,           /* HELLO: it has no log, or gives its own up */
	FRAME_MIRROR = 2,          /* HELLO: of a node that never is of the pair */
	FRAME_COPY = 2,            /* HELLO_ACK, a refusal: the primary that the sender follows has the asker's id, and another name */
	FRAME_MEMBER = 4,          /* COMMIT: who hears it is in the pair */
	FRAME_CURRENT = 8,         /* ACK, PROMISED: the sender is current */
	FRAME_GRANTED = 16,        /* PROMISED */
	FRAME_ABSENT = 32,         /* FETCHED: the other node has no valid bytes there */
	FRAME_SETTLED = 64,        /* HELLO_ACK, a refusal too: the sender rules on, and has committed the first record of its reign */
	FRAME_FULL = 128,          /* ACK: it takes nothing more, as its disk is full */
};

struct frame {
	uint8_t type;
	uint8_t flags;
	uint32_t length;           /* of the body, bytes */
	struct epoch epoch;
	uint64_t pos;
	uint64_t committed;
	uint64_t body_sum;
};

/* Fills in f->length and f->body_sum from the body's parts, then writes the header's bytes. */
int frame_encode(struct frame *f, const struct iovec *iov, int n, uint8_t to[FRAME_HEADER]);
/* A header alone: its length is in bounds for its type, flags of other types are refused. */
int frame_decode(struct frame *f, const uint8_t from[FRAME_HEADER]);
/* f->length bytes of BODY are what was sent. */
int frame_check_body(const struct frame *f, const void *body);
const char *frame_type_name(uint8_t type);          /* "HELLO"; "?" for none */

/* ---- bodies: frame_put_X() returns how many bytes it wrote to TO, of ROOM, or an error; frame_get_X() 0 or an error ---- */

struct frame_epochs {
	uint32_t count;
	struct epoch_row of[FRAME_EPOCHS];
};

struct frame_hello {
	uint16_t version;
	uint64_t cluster;          /* 0: blank, and joins any */
	uint64_t node;
	struct reign promise;
	uint64_t checkpoint;       /* position of the one that a blank start has begun with */
	uint64_t checkpoint_has;   /* bytes of its file that are here; 0: none */
	char name[FRAME_NAME];
	struct frame_epochs epochs;
};

enum frame_answer { FRAME_ACCEPTED = 1, FRAME_REFUSED = 2, FRAME_BLANK_START = 3 };

struct frame_hello_ack {
	uint16_t version;
	uint8_t answer;            /* enum frame_answer */
	uint64_t cluster;
	uint64_t node;
	struct reign promise;
	uint64_t chain;            /* at the position: header checksum of the record before it */
	uint64_t end;              /* of the primary's log, to show progress */
	uint64_t checkpoint;       /* blank start: position of the one that comes */
	uint64_t checkpoint_size;
	bool has_secret;           /* blank start */
	uint8_t secret[RECORD_SECRET];
	char name[FRAME_NAME];
	char reason[FRAME_REASON];
	struct frame_epochs epochs;
};

struct frame_segment {
	uint64_t chain;
	struct epoch epoch;
	int64_t time;
};

struct frame_commit {
	int64_t time;              /* of the sender's clock; comes back in ACK */
	uint64_t messages;         /* appended so far, as the sender counts */
};

struct frame_ack {
	uint64_t received;         /* written up to, not all of it synced */
	int64_t time;              /* of the last COMMIT heard */
	uint64_t messages;         /* of that count, how many are durable here */
};

struct frame_checkpoint {
	uint64_t size;             /* of the file */
	uint64_t offset;           /* of the bytes in this frame */
};

struct frame_fetch {
	uint32_t length;           /* 1 to FRAME_BODY bytes of the log */
};

struct frame_promise {
	uint16_t version;
	uint64_t cluster;
	uint64_t node;
	struct epoch last;         /* epoch of the last record in its log */
	char name[FRAME_NAME];
};

struct frame_promised {
	uint64_t cluster;
	uint64_t node;
	struct epoch last;
	char name[FRAME_NAME];
	char reason[FRAME_REASON]; /* why not granted */
	struct frame_epochs epochs;
};

enum frame_order {
	FRAME_TAKE_OVER = 1,       /* primary: all up to the position is committed, nothing follows it, promote yourself */
	FRAME_HAND_OVER = 2,       /* standby: its operator asks for the primary's order */
	FRAME_HAND_OVER_REFUSED = 3,
};

struct frame_switchover {
	uint8_t order;             /* enum frame_order */
	char reason[FRAME_REASON];
};

enum frame_error {
	FRAME_STOPPING = 1,        /* the node is stopped in good order */
	FRAME_UNEXPECTED = 2,      /* a frame that has no place here */
	FRAME_DAMAGED = 3,         /* a frame, or records in it, that did not pass their checks */
	FRAME_BUSY = 4,            /* too many links, or one of another node of that name */
	FRAME_DEPOSED = 5,         /* the epoch is not the sender's any more */
	FRAME_FAILED = 6,          /* its disk or memory failed */
};

struct frame_error_text {
	uint32_t error;            /* enum frame_error */
	char reason[FRAME_REASON];
};

int frame_put_hello(const struct frame_hello *h, uint8_t *to, size_t room);
int frame_get_hello(struct frame_hello *h, const void *body, size_t len);
int frame_put_hello_ack(const struct frame_hello_ack *a, uint8_t *to, size_t room);
int frame_get_hello_ack(struct frame_hello_ack *a, const void *body, size_t len);
int frame_put_segment(const struct frame_segment *s, uint8_t *to, size_t room);
int frame_get_segment(struct frame_segment *s, const void *body, size_t len);
int frame_put_commit(const struct frame_commit *c, uint8_t *to, size_t room);
int frame_get_commit(struct frame_commit *c, const void *body, size_t len);
int frame_put_ack(const struct frame_ack *a, uint8_t *to, size_t room);
int frame_get_ack(struct frame_ack *a, const void *body, size_t len);
/* The bytes of the file follow, FRAME_CHECKPOINT_HEAD into the body; get also checks that they lie in the file. */
int frame_put_checkpoint(const struct frame_checkpoint *c, uint8_t *to, size_t room);
int frame_get_checkpoint(struct frame_checkpoint *c, const void *body, size_t len);
int frame_put_fetch(const struct frame_fetch *f, uint8_t *to, size_t room);
int frame_get_fetch(struct frame_fetch *f, const void *body, size_t len);
int frame_put_promise(const struct frame_promise *p, uint8_t *to, size_t room);
int frame_get_promise(struct frame_promise *p, const void *body, size_t len);
int frame_put_promised(const struct frame_promised *p, uint8_t *to, size_t room);
int frame_get_promised(struct frame_promised *p, const void *body, size_t len);
int frame_put_switchover(const struct frame_switchover *s, uint8_t *to, size_t room);
int frame_get_switchover(struct frame_switchover *s, const void *body, size_t len);
int frame_put_error(const struct frame_error_text *e, uint8_t *to, size_t room);
int frame_get_error(struct frame_error_text *e, const void *body, size_t len);

#endif
