/* SPDX-License-Identifier: Apache-2.0 */
/* What a store tells about itself. */
#include "checkpoint.h"
#include "keeper.h"
#include "log.h"
#include "lost.h"
#include "parts.h"
#include "retain.h"
#include "scrub.h"
#include "supply.h"
#include <stdio.h>
#include <string.h>

static void count_queues(struct store *s, struct store_status *to)
{
	topics_read_lock(s->topics);
	for (size_t n = 0; topic_at(s->topics, n); n++) {
		to->topics++;
		to->queues += topic_at(s->topics, n)->count;
	}
	topics_unlock(s->topics);
}

static void count_segments(struct store *s, struct store_status *to)
{
	uint64_t file = to->segment_size + SEGMENT_HEADER;
	struct segment *seg;

	to->segments = segments_count(s->segments);
	to->segments_prepared = s->supply ? supply_ready(s->supply) : 0;
	to->bytes_on_disk = to->segments_prepared * file;
	for (seg = segments_first(s->segments); seg; seg = segment_next(seg)) {
		uint64_t end = seg->end;
		bool last = end == UINT64_MAX;
		to->segments_unsealed += !seg->sealed;
		to->bytes_on_disk += last ? file : end - seg->head.base + SEGMENT_HEADER;
	}
}

static void log_figures(struct store *s, struct store_status *to)
{
	struct log_stats l = {0};

	to->log_start = segments_start(s->segments);
	to->log_committed = s->applied;
	to->log_written = s->log ? log_written(s->log) : to->log_committed;
	to->log_end = s->log ? log_end(s->log) : to->log_committed;
	if (s->log)
		log_stats(s->log, &l);
	to->records = l.records;
	to->messages = l.messages;
	to->bytes = l.bytes;
	to->syncs = l.syncs;
	to->sync_ns = l.sync_ns;
	to->refused_full = l.refused;
}

static const char *why_read_only(const struct store *s)
{
	if (s->options.read_only)
		return "opened for reading";
	return s->log ? "there was no memory for a change that is in the log: start mqfs again" : "the log's tail could not be made durable";
}

static void judge(struct store *s, struct store_status *to)
{
	if (s->log && log_failed(s->log)) {
		to->health = STORE_FAILED;
		snprintf(to->why, sizeof to->why, "the log could not be written; reads go on; check the disk, then start mqfs again");
	} else if (s->read_only) {
		to->health = STORE_READ_ONLY;
		snprintf(to->why, sizeof to->why, "%s", why_read_only(s));
	} else if (s->log && log_full(s->log)) {
		to->health = STORE_FULL;
		snprintf(to->why, sizeof to->why, "the disk is full: appends are refused until there is space; see retention.age, retention.size");
	}
}

bool store_scrub(struct store *s)
{
	if (s->scrub)
		scrub_now(s->scrub);
	return s->scrub;
}

bool store_read_only(struct store *s)
{
	return s->read_only;
}

void store_disk(struct store *s, uint64_t *total, uint64_t *available)
{
	struct disk_space space = {0};

	disk_space(s->disk, &space);
	*total = space.total;
	*available = space.free;
}

void store_status(struct store *s, struct store_status *to)
{
	*to = s->base;
	to->cluster = s->id.cluster;
	to->node = s->id.node;
	to->epoch = s->log ? log_tail(s->log).epoch : s->applied_at.epoch;
	snprintf(to->path, sizeof to->path, "%s", s->path);
	to->segment_size = s->options.segment_size;
	to->damaged = s->damaged;
	to->damaged_open = damage_open(s);
	to->repaired = s->repair.records;
	to->repaired_bytes = s->repair.written;
	log_figures(s, to);
	count_segments(s, to);
	count_queues(s, to);
	store_disk(s, &to->disk_total, &to->disk_free);
	if (s->keeper)
		keeper_checkpoint_info(s->keeper, &to->checkpoint_pos, &to->checkpoint_time);
	if (s->scrub)
		scrub_status(s->scrub, &to->scrub);
	to->retained_pinned = retain_pinned(s);
	lost_count(s->disk, &to->lost_files, &to->lost_bytes);
	judge(s, to);
}
