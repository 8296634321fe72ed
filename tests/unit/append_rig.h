/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append_rig.h - a log of one queue on a scratch disk, whose calls can be made to fail.
 *
 * Calling  TestSuite(name, .init = begin, .fini = end); then append("a line\n", 7, &a); log_sync(log_, &to); check_chain(1);
 */
#ifndef MQFS_TESTS_APPEND_RIG_H
#define MQFS_TESTS_APPEND_RIG_H

#include "annals.h"
#include "log.h"
#include "progress.h"
#include "scan.h"
#include "scratch.h"
#include "supply.h"
#include "topic.h"
#include <criterion/criterion.h>
#include <string.h>

#define SEGMENT (1u << 20)

static struct segments *segments;
static struct supply *supply;
static struct annals *annals;
static struct progress progress;
static struct log *log_;
static struct topic topic;
static struct queue queue;

static inline void begin_at(int64_t time)
{
	struct log_start start = {.time = time};
	struct log_settings settings = {.segment_size = SEGMENT};

	scratch_init();
	cr_assert_eq(disk_mkdir(&scratch.disk, "log", 0700), 0);
	cr_assert_eq(annals_new(&annals), 0);
	progress_init(&progress);
	settings.annals = annals;
	settings.progress = &progress;
	cr_assert_eq(segments_new(&segments, &scratch.disk, scratch_secret), 0);
	cr_assert_eq(supply_new(&supply, &scratch.disk, SEGMENT + SEGMENT_HEADER), 0);
	cr_assert_eq(log_new(&log_, &scratch.disk, scratch_secret, 7, segments, supply, &start, &settings), 0);
	memset(&topic, 0, sizeof topic);
	memset(&queue, 0, sizeof queue);
	queue.topic = &topic;
	queue.id = 1 << QUEUE_BITS;
	queue.run_segment = UINT64_MAX;
}

static inline void begin(void)
{
	begin_at(0);
}

static inline void end(void)
{
	log_free(log_);
	supply_free(supply);
	segments_free(segments);
	annals_free(annals);
	progress_destroy(&progress);
	scratch_end();
}

static inline int append(const char *body, size_t len, struct append *a)
{
	struct iovec iov = {(void *)body, len};

	*a = (struct append){.type = RECORD_MESSAGES, .messages = 1, .queue = &queue, .iov = &iov, .iovcnt = 1, .uid = 1, .pid = 2};
	return log_append(log_, a, 0);
}

static inline int append_state(void)
{
	struct iovec iov = {"a change", 8};
	struct append a = {.type = RECORD_TOPIC_SET, .iov = &iov, .iovcnt = 1};

	return log_append(log_, &a, 0);
}

/* The segment of BASE has so many records, which go on from CHAIN: the chain behind them. */
static inline uint64_t check_segment(uint64_t base, uint64_t chain, unsigned records)
{
	const void *body;
	enum scan_found found;
	struct scan *scan;
	struct record r;

	cr_assert_eq(scan_open(&scan, &scratch.disk, scratch_secret, base), 0);
	scan_expect_chain(scan, chain);
	for (unsigned i = 0; i < records; i++) {
		cr_assert_eq(scan_next(scan, &r, &body, &found), 0);
		cr_assert_eq(found, SCAN_RECORD, "record %u", i);
		cr_assert(scan_chained(scan));
		chain = r.sum;
	}
	cr_assert_eq(scan_next(scan, &r, &body, &found), 0);
	cr_assert_eq(found, SCAN_END);
	scan_close(scan);
	return chain;
}

static inline void check_chain(unsigned records)
{
	check_segment(0, 0, records);
}

#endif
