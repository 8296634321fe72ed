/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_rig.h - a log of messages in a temporary directory, and a struct store and topic around it, for tests of what reads.
 *
 * Calling  rig_open(&g, queues); rig_append(&g, n, body, length, flags); rig_seal(&g); ... rig_close(&g);
 *          What was appended is committed at once. rig_damage() flips a bit of the log.
 */
#ifndef MQFS_TESTS_LOG_RIG_H
#define MQFS_TESTS_LOG_RIG_H

#include "index.h"
#include "parts.h"
#include "runs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RIG_SEGMENT (1u << 20)       /* bytes of records */

struct rig {
	char directory[64];
	struct store store;
	struct topic topic;
	struct queue_table *table;
	struct queue *queue;             /* all of them */
	uint64_t segment_size;
	struct segment *segment;         /* the unsealed one */
	int fd;
	uint64_t pos, chain;
	int64_t time;                    /* of the last record; each is STEP later, 1 unless changed */
	int64_t step;
};

/* Stands in where the store's own is not linked. */
__attribute__((weak)) void store_damaged(struct store *s, enum damage_kind kind, uint64_t pos, const char *what)
{
	(void)kind, (void)pos, (void)what;
	s->damaged++;
}

static inline void rig_segment(struct rig *g)
{
	struct segment_head h = {.base = g->pos, .chain = g->chain, .time = g->time};
	struct runs *runs;
	char name[32];

	segment_name(name, g->pos);
	g->fd = disk_open(g->store.disk, name, O_RDWR | O_CREAT, 0600);
	cr_assert_geq(g->fd, 0);
	cr_assert_eq(disk_truncate(g->store.disk, g->fd, SEGMENT_HEADER + g->segment_size), 0);
	cr_assert_eq(segment_head_write(g->store.disk, g->fd, &h, g->store.id.secret), 0);
	cr_assert_eq(runs_new(&runs), 0);
	cr_assert_eq(segments_add(g->store.segments, &h, UINT64_MAX, runs, &g->segment), 0);
}

static inline void rig_open_sized(struct rig *g, unsigned queues, uint64_t segment_size)
{
	memset(g, 0, sizeof *g);
	strcpy(g->directory, "/tmp/mqfs-test.XXXXXX");
	cr_assert_not_null(mkdtemp(g->directory));
	cr_assert_eq(disk_open_directory(&g->store.disk, g->directory), 0);
	cr_assert_eq(disk_mkdir(g->store.disk, "log", 0700), 0);
	for (size_t i = 0; i < RECORD_SECRET; i++)
		g->store.id.secret[i] = (uint8_t)(i * 37 + 11);
	cr_assert_eq(segments_new(&g->store.segments, g->store.disk, g->store.id.secret), 0);
	g->queue = calloc(queues, sizeof *g->queue);
	g->table = calloc(1, sizeof *g->table + queues * sizeof g->table->at[0]);
	g->topic = (struct topic){.store = &g->store, .id = 5, .count = queues, .queues = g->table};
	for (unsigned i = 0; i < queues; i++) {
		g->queue[i] = (struct queue){.topic = &g->topic, .id = 5 << QUEUE_BITS | i, .last_pos = UINT64_MAX};
		g->table->at[i] = &g->queue[i];
	}
	g->segment_size = segment_size;
	g->time = 1000;
	g->step = 1;
	rig_segment(g);
}

static inline void rig_open(struct rig *g, unsigned queues)
{
	rig_open_sized(g, queues, RIG_SEGMENT);
}

/* The unsealed segment gets its index, and a new one begins. */
static inline void rig_seal(struct rig *g)
{
	struct segment *s = g->segment;

	cr_assert_eq(index_write(g->store.disk, g->store.id.secret, s->head.base, g->pos, g->time, s->runs), 0);
	disk_close(g->store.disk, g->fd);
	rig_segment(g);
	segment_seal(s, s->end);
}

/* A record of queue N with LENGTH bytes; returns its position. It is not committed yet. */
static inline uint64_t rig_write(struct rig *g, unsigned n, const void *body, uint32_t length, uint8_t flags)
{
	struct queue *q = &g->queue[n];
	struct iovec iov = {(void *)body, length};
	uint8_t header[RECORD_HEADER];
	struct run_queue *cache = NULL;
	uint64_t at;

	if (g->pos + record_size(length) - g->segment->head.base > g->segment_size)
		rig_seal(g);
	struct record r = {.type = RECORD_MESSAGES, .flags = flags, .length = length, .messages = 1, .pos = g->pos, .queue = q->id,
		.offset = q->appended, .time = g->time += g->step, .prev = g->chain, .body_sum = record_body_sum(g->store.id.secret, &iov, 1)};

	record_encode(&r, g->store.id.secret, header);
	at = SEGMENT_HEADER + g->pos - g->segment->head.base;
	cr_assert_eq(disk_write(g->store.disk, g->fd, header, RECORD_HEADER, at), 0);
	cr_assert_eq(disk_write(g->store.disk, g->fd, body, length, at + RECORD_HEADER), 0);
	cr_assert_eq(runs_add(g->segment->runs, &cache, q->id, r.offset, r.pos, length, 1), 0);
	q->appended += length;
	g->chain = r.sum;
	g->pos += record_size(length);
	return r.pos;
}

static inline uint64_t rig_append(struct rig *g, unsigned n, const void *body, uint32_t length, uint8_t flags)
{
	uint64_t pos = rig_write(g, n, body, length, flags);

	g->queue[n].last_pos = pos;
	g->queue[n].mtime = g->time;
	g->queue[n].committed = g->queue[n].appended;
	g->topic.commits++;
	g->store.applied = g->pos;
	return pos;
}

/* Flips a bit of the byte at position POS of the log. */
static inline void rig_damage(struct rig *g, uint64_t pos)
{
	struct segment *s = segments_find(g->store.segments, pos);
	char name[32];
	uint8_t byte;
	int fd;

	cr_assert_not_null(s);
	segment_name(name, s->head.base);
	cr_assert_geq(fd = disk_open(g->store.disk, name, O_RDWR, 0), 0);
	cr_assert_eq(disk_read(g->store.disk, fd, &byte, 1, SEGMENT_HEADER + pos - s->head.base), 0);
	byte ^= 4;
	cr_assert_eq(disk_write(g->store.disk, fd, &byte, 1, SEGMENT_HEADER + pos - s->head.base), 0);
	disk_close(g->store.disk, fd);
	segment_put(s);
}

/* The header of the record at POS rots, or is right again, and the unsealed segment's runs are found anew, as by a start or a repair. */
static inline void rig_flip_and_find(struct rig *g, uint64_t pos)
{
	struct runs *found;
	int64_t time;

	rig_damage(g, pos + 9);
	cr_assert_eq(runs_scan(g->store.disk, g->store.id.secret, g->segment->head.base, g->pos, &found, &time), 0);
	runs_exchange(g->segment->runs, found);
	runs_free(found);
}

static inline void rig_close(struct rig *g)
{
	char command[128];

	disk_close(g->store.disk, g->fd);
	segments_free(g->store.segments);
	disk_free(g->store.disk);
	free(g->queue);
	free(g->table);
	snprintf(command, sizeof command, "rm -rf %s", g->directory);
	cr_assert_eq(system(command), 0);
}

#endif
