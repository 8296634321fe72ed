/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - .mqfs/metrics.prom: what there is to count.
 *
 * Topics have figures of their own, summed up over their queues; queues only have what counts misfortunes, and only once they
 * had one: with 40,000 queues a line each would be more than anyone wants to keep.
 */
#include "control.h"
#include "metric.h"
#include "others.h"
#include "tally.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct topics {
	size_t count, room;
	struct topic **at;               /* held */
	struct tally *sum;
};

static void topics_free(struct topics *all)
{
	for (size_t i = 0; i < all->count; i++)
		topic_put(all->at[i]);
	free(all->at);
	free(all->sum);
}

static int topics_take(struct store *s, struct topics *all)
{
	struct topic *t;
	uint64_t after = 0;

	all->room = topic_count(s) + 16;
	all->at = calloc(all->room, sizeof *all->at);
	all->sum = calloc(all->room, sizeof *all->sum);
	if (!all->at || !all->sum)
		return -ENOMEM;
	while (all->count < all->room && (t = topic_next(s, after))) {
		after = t->id;
		all->at[all->count] = t;
		all->sum[all->count++] = tally_of(t);
	}
	return 0;
}

static void print_store(struct mount *m, FILE *to)
{
	struct store_status s;
	char why[STATUS_WHY];

	store_status(m->store, &s);
	metric_counter(to, "mqfs_records_total", "Records appended to the log since start.", s.records);
	metric_counter(to, "mqfs_messages_total", "Messages appended since start.", s.messages);
	metric_counter(to, "mqfs_bytes_total", "Bytes of messages appended since start.", s.bytes);
	metric_counter(to, "mqfs_syncs_total", "Syncs of the log since start.", s.syncs);
	metric_seconds(to, "mqfs_sync_seconds_total", "counter", "Time that these syncs took.", s.sync_ns);
	metric_counter(to, "mqfs_refused_full_total", "Appends refused for want of space since start.", s.refused_full);
	metric_counter(to, "mqfs_damaged_total", "Damaged records, indexes and checkpoints found since start.", s.damaged);
	metric_counter(to, "mqfs_repaired_total", "Damaged records repaired from another node since start.", s.repaired);
	metric_counter(to, "mqfs_repaired_bytes_total", "Bytes of log of these records.", s.repaired_bytes);
	metric_counter(to, "mqfs_scrub_bytes_total", "Bytes verified in the background since start.", s.scrub.bytes);
	metric_counter(to, "mqfs_scrub_passes_total", "Verifications of the whole store that were completed.", s.scrub.passes);
	metric_gauge(to, "mqfs_scrub_position_bytes", "Position up to which the log is verified in this pass.", s.scrub.pos);
	metric_gauge(to, "mqfs_scrub_found", "Damaged places in this pass, or in the last one.", s.scrub.found);
	metric_seconds(to, "mqfs_scrub_last_pass_seconds", "gauge", "When the last whole pass ended, since 1970; 0: none did.", (uint64_t)s.scrub.ended);
	metric_gauge(to, "mqfs_healthy", "1 while health in status.json is fine.", strcmp(status_health(m, &s, why), "fine") == 0);
	metric_gauge(to, "mqfs_log_start_bytes", "Position of the oldest byte of the log.", s.log_start);
	metric_gauge(to, "mqfs_log_committed_bytes", "The commit point: position up to which the log is committed.", s.log_committed);
	metric_gauge(to, "mqfs_log_end_bytes", "Position behind the last byte of the log.", s.log_end);
	metric_gauge(to, "mqfs_log_pinned_bytes", "Bytes of log that only topics without limits keep.", s.retained_pinned);
	metric_gauge(to, "mqfs_checkpoint_bytes", "Position of the newest checkpoint.", s.checkpoint_pos);
	metric_gauge(to, "mqfs_recovered_bytes", "Bytes of log replayed at start.", s.recovered_bytes);
	metric_gauge(to, "mqfs_segments", "Segments of the log.", s.segments);
	metric_gauge(to, "mqfs_segments_prepared", "Segments made ahead.", s.segments_prepared);
	metric_gauge(to, "mqfs_damaged_open", "Places of the log that are damaged now.", s.damaged_open);
	metric_gauge(to, "mqfs_lost_bytes", "Bytes put aside under lost/.", s.lost_bytes);
	metric_gauge(to, "mqfs_store_bytes", "Bytes of the segments, prepared ones included.", s.bytes_on_disk);
	metric_gauge(to, "mqfs_disk_bytes", "Size of the file system that the store is on.", s.disk_total);
	metric_gauge(to, "mqfs_disk_free_bytes", "Bytes free on it.", s.disk_free);
	metric_gauge(to, "mqfs_topics", "Topics.", s.topics);
	metric_gauge(to, "mqfs_queues", "Queues of all topics.", s.queues);
}

static void print_mount(struct mount *m, FILE *to)
{
	metric_gauge(to, "mqfs_handles", "Files open now.", m->handles);
	metric_gauge(to, "mqfs_nodes", "Nodes that the kernel knows now.", m->nodes);
	metric_gauge(to, "mqfs_parked_requests", "Requests that wait now, blocked readers included.", m->parked);
	metric_gauge(to, "mqfs_unfinished_bytes", "Bytes of unfinished lines in memory now.", m->unfinished);
	metric_seconds(to, "mqfs_start_time_seconds", "gauge", "When this mount started, since 1970.", (uint64_t)m->started);
	metric_head(to, "mqfs_build_info", "gauge", "The version that runs.");
	fputs("mqfs_build_info{version=\"" MQFS_VERSION "\"} 1\n", to);
}

static void print_topics(const struct topics *all, FILE *to, const char *name, const char *type, const char *help,
	uint64_t (*figure)(const struct tally *sum))
{
	metric_head(to, name, type, help);
	for (size_t i = 0; i < all->count; i++) {
		fprintf(to, "%s{", name);
		metric_label(to, "topic", all->at[i]->name);
		fprintf(to, "} %" PRIu64 "\n", figure(&all->sum[i]));
	}
}

static uint64_t bytes_of(const struct tally *sum)
{
	return sum->bytes;
}

static uint64_t messages_of(const struct tally *sum)
{
	return sum->messages;
}

static uint64_t retained_of(const struct tally *sum)
{
	return sum->retained;
}

static uint64_t queue_skips(struct queue *q)
{
	return q->skips;
}

static uint64_t queue_skipped(struct queue *q)
{
	return q->skipped;
}

static uint64_t queue_partial(struct queue *q)
{
	return q->partial;
}

static uint64_t queue_lost(struct queue *q)
{
	return q->lost;
}

static void print_queues(
	const struct topics *all, FILE *to, const char *name, const char *help, uint64_t (*figure)(struct queue *q))
{
	struct queue *q;

	metric_head(to, name, "counter", help);
	for (size_t i = 0; i < all->count; i++) {
		for (uint32_t n = 0; (q = topic_queue(all->at[i], n)); n++) {
			uint64_t value = figure(q);

			if (!value)
				continue;
			fprintf(to, "%s{", name);
			metric_label(to, "topic", all->at[i]->name);
			fprintf(to, ",queue=\"%" PRIu32 "\"} %" PRIu64 "\n", n, value);
		}
	}
}

int metrics_print(struct mount *m, struct node *n, FILE *to)
{
	struct topics all = {0};
	int err;

	(void)n;
	print_store(m, to);
	print_mount(m, to);
	err = m->others->print_metrics(m->others->ctx, to);
	if (err)
		return err;
	err = topics_take(m->store, &all);
	if (!err) {
		print_topics(&all, to, "mqfs_topic_bytes_total", "counter", "Bytes committed since the topic was made.", bytes_of);
		print_topics(
			&all, to, "mqfs_topic_messages_total", "counter", "Messages committed since the topic was made.", messages_of);
		print_topics(&all, to, "mqfs_topic_retained_bytes", "gauge", "Bytes retained of the topic's queues.", retained_of);
		print_queues(&all, to, "mqfs_queue_skips_total",
			"Reads below the head that were moved on to it, since start; queues without any are left out.", queue_skips);
		print_queues(&all, to, "mqfs_queue_skipped_bytes_total", "Bytes that these reads missed.", queue_skipped);
		print_queues(&all, to, "mqfs_queue_partial_lines_total",
			"Lines that were ended without their newline; queues without any are left out.", queue_partial);
		print_queues(&all, to, "mqfs_queue_lost_lines_total",
			"Lines that were dropped unfinished or refused behind one too long, since start; queues without any are left out.", queue_lost);
	}
	topics_free(&all);
	return err;
}
