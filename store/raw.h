/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw.h - the log's own bytes from a position on: whole records, each verified, across segments.
 *
 * For who sends them to another node, and for applying what this process did not append itself.
 *
 * Calling
 *	raw_open(&r, disk, segments, secret, pos);
 *	while ((n = raw_read(r, upto, &bytes, &base)) > 0)
 *		N bytes of whole records of the segment of BASE; they end at raw_pos(r)
 *	raw_close(r);
 *
 * Units    log positions. Memory: RAW_CHUNK bytes, or the longest record met.
 * Errors   negative errno, and the position stays. -ENODATA: the log begins behind the position. -EBADMSG: no valid record stands at
 *          raw_pos(), or not the one that follows the last, or the disk does not read it: damage, since below the written prefix there are no
 *          others.
 * Threads  one at a time. Nothing is held between calls: retention may remove what has not been read yet.
 * Owns     the bytes are the raw's until the next call.
 */
#ifndef MQFS_STORE_RAW_H
#define MQFS_STORE_RAW_H

#include "disk.h"
#include "record.h"
#include "segment.h"

#define RAW_CHUNK (1u << 20)             /* bytes a call, but for one record that is longer */
#define RAW_MAX (RECORD_HEADER + RECORD_BODY_MAX + 8u)   /* of one record */

struct raw;

int raw_open(struct raw **r, struct disk *d, struct segments *segments, const uint8_t *secret, uint64_t pos);
void raw_close(struct raw *r);               /* also NULL */
/* Whole records that end at or before UPTO, which lies at a record's end and not behind the written prefix. 0: there are none. */
ssize_t raw_read(struct raw *r, uint64_t upto, const uint8_t **bytes, uint64_t *base);
uint64_t raw_pos(const struct raw *r);
/* The next record's prev must be CHAIN. Without this the first one is taken as it is. */
void raw_expect_chain(struct raw *r, uint64_t chain);

/* The record at FROM, of which LEN bytes are there: 0 and *R when it is whole and valid at POS, body included. -EBADMSG: it is not;
 * -ENODATA: LEN is too little to tell, *NEED says how many bytes would do. */
int raw_record(struct record *r, const uint8_t *secret, const uint8_t *from, size_t len, uint64_t pos, size_t *need);

#endif
