/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - walks the records of one file of the log, valid or not, from one end to the other.
 *
 * For whoever cannot trust the file yet: recovery, check and dump. Everything that is no valid record is skipped up to the
 * next valid header, which no payload can forge (record.h); nothing is believed but what has its checksum.
 *
 * Calling
 *	scan_open(&s, disk, secret, base);
 *	scan_expect_chain(s, head.chain);                    when the record before the first one is known
 *	while ((err = scan_next(s, &r, &body, &found)) == 0 && found != SCAN_END)
 *		use r and body, scan_begin(s), scan_pos(s), scan_chained(s);
 *	scan_close(s);
 *
 * Units    log positions. Memory: SCAN_WINDOW bytes, or the longest record met.
 * Errors   negative errno. After -EIO (the disk does not read there) scan_pass_unreadable() goes on.
 * Threads  one at a time.
 * Owns     a body is the scan's and valid until the next call.
 */
#ifndef MQFS_STORE_SCAN_H
#define MQFS_STORE_SCAN_H

#include "disk.h"
#include "record.h"

#define SCAN_WINDOW (1u << 20)   /* bytes read at a time */
#define SCAN_UNREADABLE 4096u    /* bytes of the file, from a multiple of that on, that a disk does not read together */

struct scan;

/* Bases of the segment files that there are, in order; malloc'ed. */
int scan_segments(struct disk *d, uint64_t **base, size_t *count);

enum scan_found {
	SCAN_RECORD,     /* a valid record: its header, and its body where that is verified */
	SCAN_BODY,       /* a valid header, and a body that is damaged or not all there; *BODY is NULL when it is not all there */
	SCAN_DAMAGED,    /* no valid record from scan_begin() to scan_pos(), where one begins */
	SCAN_END,        /* nothing valid from scan_begin() to the file's end, or the limit is reached; scan_pos() is scan_begin() */
};

/* The segment of BASE, from its first record on; its header is not looked at. */
int scan_open(struct scan **s, struct disk *d, const uint8_t *secret, uint64_t base);
/* Any file of log bytes: position BASE is at byte SKIP of PATH. */
int scan_open_file(struct scan **s, struct disk *d, const uint8_t *secret, const char *path, uint64_t skip, uint64_t base);
void scan_close(struct scan *s);       /* also NULL */

/* Goes on at POS, a multiple of 8 from the base on. What the chain must be there is unknown again. */
void scan_seek(struct scan *s, uint64_t pos);
/* The same, behind the page of the file that could not be read. */
void scan_pass_unreadable(struct scan *s);
/* No record at or behind LIMIT is looked for. */
void scan_limit(struct scan *s, uint64_t limit);
/* The next record's prev must be CHAIN. */
void scan_expect_chain(struct scan *s, uint64_t chain);
/* Whether bodies are verified; they are unless this says otherwise. Without, BODY is still given where it is all there. */
void scan_bodies(struct scan *s, bool verify);

/* What it reads does not stay in the page cache, unless it was there before. */
void scan_once(struct scan *s);

/* *R and *BODY are set for SCAN_RECORD and SCAN_BODY. R and BODY may not be NULL. */
int scan_next(struct scan *s, struct record *r, const void **body, enum scan_found *found);

uint64_t scan_begin(const struct scan *s);     /* where what was found last begins */
uint64_t scan_pos(const struct scan *s);       /* behind it */
uint64_t scan_file_end(const struct scan *s);  /* position behind the file's last byte */
/* Whether the record found last carries the header checksum of the one before it. True when that one is not known: at the first record
 * without scan_expect_chain(), after scan_seek(), behind SCAN_DAMAGED. */
bool scan_chained(const struct scan *s);

#endif
