/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.h - from a queue offset to verified bytes.
 *
 * A reader is one handle's place in a queue. It finds the record that holds an offset by the segments' indexes, verifies header and
 * body of every record it touches, and remembers where it was, so that reading on costs no look-up and reading a long
 * record in pieces verifies it once.
 *
 * Calling
 *	reader_new(&r, store, queue);
 *	slice_init(&s);
 *	n = reader_read(r, offset, max, &s);       n bytes in s.part[0 .. s.parts - 1]
 *	slice_free(&s);
 *	reader_free(r);
 *
 * Units    queue offsets in bytes.
 * Errors   -EIO: damaged or unreadable here, told by store_damaged(); what lies behind the damage can be read, see
 *          reader_behind(). -ENODATA: below the head. 0 bytes: at the committed end.
 * Threads  a reader is used by one thread at a time; a slice by any one thread.
 * Owns     a slice holds what its bytes lie in until slice_free(); it does not need the reader. A reader holds nothing between calls.
 */
#ifndef MQFS_STORE_READER_H
#define MQFS_STORE_READER_H

#include "record.h"
#include "topic.h"
#include <sys/uio.h>

#define SLICE_PARTS 64

struct segment;

/* Bytes of a queue, in order: short records copied together, long ones in place in the segment's mapping. Reading those in this
 * process needs disk_guard(); a system call that is given them fails with EFAULT where the disk fails. */
struct slice {
	struct iovec part[SLICE_PARTS];
	int parts;
	size_t bytes;
	uint8_t *copied;
	size_t copied_len, copied_max;
	struct segment *held[SLICE_PARTS];
	int holds;
};

void slice_init(struct slice *s);
void slice_free(struct slice *s);            /* what it holds; it may be used again */
/* Its bytes to TO, under disk_guard(): -EIO when the disk fails meanwhile. */
int slice_copy(const struct slice *s, void *to);
/* Room to copy BYTES more. */
int slice_reserve(struct slice *s, size_t bytes);

struct reader;

/* Q's topic must be held as long. */
int reader_new(struct reader **r, struct store *s, struct queue *q);
void reader_free(struct reader *r);
/* Committed bytes from OFFSET on, at most MAX; at least one when any is there. Fewer than MAX may come though more is
 * there: before damage, and when the slice has no more parts. They come behind what TO has already, here and below. */
ssize_t reader_read(struct reader *r, uint64_t offset, size_t max, struct slice *to);
/* The same of one record only: from OFFSET, which lies in it, to the record's end at most. */
ssize_t reader_read_record(struct reader *r, uint64_t offset, size_t max, struct slice *to);
/* reader_read() that ends where a message of framing=write begins or ends. */
ssize_t reader_read_messages(struct reader *r, uint64_t offset, size_t max, struct slice *to);
/* reader_read(), with MESSAGES reader_read_messages(), before it is asked for: long records are copied too, and TO holds no segment. */
ssize_t reader_ahead(struct reader *r, uint64_t offset, size_t max, bool messages, struct slice *to);
/* All of MAX bytes, or up to the committed end, or an error, behind which TO may have some; copied, so that no part is wanting. */
ssize_t reader_read_whole(struct reader *r, uint64_t offset, size_t max, struct slice *to);
/* The header of the record that holds OFFSET, checked. -ENOENT: OFFSET is at the committed end. */
int reader_record(struct reader *r, uint64_t offset, struct record *to);
/* The header and the verified body, in TO. */
int reader_load(struct reader *r, uint64_t offset, struct record *rec, struct slice *to);
/* After -EIO: the queue offset behind the damage, at most the committed end; the one that was asked for where it is not known. After another
 * error nothing may be passed over. */
uint64_t reader_behind(const struct reader *r);

/* Queue offset of Q's first record at or behind log position POS: its committed end when there is none. Where damage hides it, of the damage's
 * beginning; so with times. */
int queue_offset_at_pos(struct store *s, struct queue *q, uint64_t pos, uint64_t *offset);
/* Of its first record whose time is at or after NS. */
int queue_offset_at_time(struct store *s, struct queue *q, int64_t ns, uint64_t *offset);
/* Log position of the first record at or after NS (of any queue), by the segments' times and then their records; what is applied
 * ends before it when there is none. */
int log_pos_at_time(struct store *s, int64_t ns, uint64_t *pos);
/* OFFSET or, when it lies inside a message, the beginning of the message that holds it. */
int queue_message_start(struct store *s, struct queue *q, uint64_t offset, uint64_t *start);

#endif
