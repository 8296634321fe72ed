/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statusfile.c - the files of .mqfs/: what this node is and how it is.
 *
 *   version       0.1.0
 *   pid           of the daemon
 *   role          primary, or standby. Writing "primary" is the order to promote this node
 *   metrics.prom  see metrics.c
 *   scrub         how far the verification in the background is: "idle", or a share as "40 %"; "off" without one. Writing "now" begins a pass
 *   standbys      see peers_status.c, where the object "replication" is made as well
 *   order         the operator's last order and what came of it. Writing one gives it: see peers_order.c
 *   status.json   one object. Its keys stay; new ones may come. Bytes, log positions and counts are numbers, times RFC 3339 texts in UTC,
 *                 ids 16 hexadecimal digits.
 *
 *     version, pid, role
 *     mountpoint, store       absolute paths
 *     cluster, node           ids
 *     epoch                   reign, start, node
 *     replication             this node among others: peers_status.c
 *     started, now            times
 *     health                  state: "fine"; of the store "full", "failed" or "read-only"; of a node among others "away" (appends are refused, as who must
 *                             acknowledge them is), "standby-full" (a commit waits for it), "rival" or "unlinked" (a standby); "damaged": places of the log are;
 *                             why: a line for other than "fine", else ""
 *     log                     positions start, committed, written, end, checkpoint (of the newest one, made at checkpoint_time,
 *                             null: none); segments, segments_unsealed, segments_prepared, segment_size; pinned: bytes
 *                             that only topics without limits keep; recovered: bytes replayed at start
 *     disk                    store (bytes of its files), total, free (of its file system)
 *     appended                records, messages, bytes, all since start; refused_full: appends refused with ENOSPC
 *     commit                  mode; timeout_ns; syncs, sync_ns: number of syncs since start, and the time they took
 *     damage                  found (records, indexes and checkpoints since start); open: places of the log that are damaged now;
 *                             repaired, repaired_bytes: records that came from another node since start; lost_files, lost_bytes (in lost/)
 *     scrub                   of the verification in the background: rate (bytes a second, 0: off); running; position and end of this or the
 *                             last pass; bytes (since start); passes (completed ever); found (damaged places in this pass); began and
 *                             ended: when this pass began, and when the last whole one ended (null: none)
 *     mount                   handles, nodes, parked, unfinished: now open, known to the kernel, waiting; bytes of unfinished lines
 *     pins                    of the topics that keep the oldest segments from going, most bytes first: topic, bytes
 *     counts                  topics, queues
 *     topics                  of each topic: name, queues, retired, bytes and messages (since its beginning), retained (bytes), partial
 *                             (lines ended without their newline), last (time of the last commit); since start: lost (unfinished
 *                             lines that were dropped), skips and skipped (reads that were moved on to the head, and the bytes
 *                             they missed)
 */
#include "control.h"
#include "others.h"
#include "tally.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PINS_SHOWN 16
#define ID_TEXT 17

static int version_print(struct mount *m, struct node *n, FILE *to)
{
	(void)m, (void)n;
	fputs(MQFS_VERSION "\n", to);
	return 0;
}

static int pid_print(struct mount *m, struct node *n, FILE *to)
{
	(void)m, (void)n;
	fprintf(to, "%d\n", (int)getpid());
	return 0;
}

static int standbys_print(struct mount *m, struct node *n, FILE *to)
{
	(void)n;
	return m->others->print_standbys(m->others->ctx, to);
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *id(uint64_t n)
{
	char text[ID_TEXT];

	snprintf(text, sizeof text, "%016" PRIx64, n);
	return json_string(text);
}

static json_t *time_text(int64_t ns)
{
	char text[40];

	print_time(ns, text);
	return json_string(text);
}

static json_t *now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return time_text(ts.tv_sec * 1000000000LL + ts.tv_nsec);
}

static json_t *past(int64_t ns)
{
	return ns ? time_text(ns) : json_null();
}

_Static_assert(STATUS_WHY >= OTHERS_WHY && STATUS_WHY >= STORE_WHY, "a line of either fits");

const char *status_health(struct mount *m, const struct store_status *s, char why[STATUS_WHY])
{
	static const char *const states[] = {[STORE_FULL] = "full", [STORE_FAILED] = "failed", [STORE_READ_ONLY] = "read-only"};
	const char *ill = s->health != STORE_FINE ? states[s->health] : m->others->ails(m->others->ctx, why);

	if (s->health != STORE_FINE)
		snprintf(why, STATUS_WHY, "%s", s->why);
	if (!ill && s->damaged_open) {
		ill = "damaged";
		snprintf(why, STATUS_WHY, "places of the log that are damaged: %" PRIu64 "; what is there cannot be read", s->damaged_open);
	}
	if (!ill)
		*why = 0;
	return ill ? ill : "fine";
}

static json_t *health(struct mount *m, const struct store_status *s)
{
	char why[STATUS_WHY];
	const char *state = status_health(m, s, why);

	return json_pack("{s:s, s:s}", "state", state, "why", why);
}

static json_t *log_status(const struct store_status *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"start", number(s->log_start),
		"committed", number(s->log_committed),
		"written", number(s->log_written),
		"end", number(s->log_end),
		"checkpoint", number(s->checkpoint_pos),
		"checkpoint_time", past(s->checkpoint_time),
		"segments", number(s->segments),
		"segments_unsealed", number(s->segments_unsealed),
		"segments_prepared", number(s->segments_prepared),
		"segment_size", number(s->segment_size),
		"pinned", number(s->retained_pinned),
		"recovered", number(s->recovered_bytes));
}

static json_t *commit_status(struct mount *m, const struct store_status *s)
{
	char mode[SETTING_TEXT];

	setting_print(SETTING_COMMIT, store_settings(m->store)->value[SETTING_COMMIT], mode);
	return json_pack("{s:s, s:o, s:o, s:o}", "mode", mode, "timeout_ns", number(m->commit_timeout), "syncs",
		number(s->syncs), "sync_ns", number(s->sync_ns));
}

static json_t *scrub_part(const struct scrub_status *s)
{
	return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"rate", number(s->rate),
		"running", s->under_way ? 1 : 0,
		"position", number(s->pos),
		"end", number(s->end),
		"bytes", number(s->bytes),
		"passes", number(s->passes),
		"found", number(s->found),
		"began", past(s->began),
		"ended", past(s->ended));
}

static json_t *mount_status(struct mount *m)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "handles", number(m->handles), "nodes", number(m->nodes), "parked",
		number(m->parked), "unfinished", number(m->unfinished));
}

static json_t *pins(struct mount *m)
{
	struct pin pin[PINS_SHOWN];
	size_t n = store_pins(m->store, pin, PINS_SHOWN);
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, json_pack("{s:s, s:o}", "topic", pin[i].topic, "bytes", number(pin[i].bytes)));
	return all;
}

static json_t *topics(struct mount *m)
{
	json_t *all = json_array();
	struct topic *t;
	uint64_t after = 0;

	while ((t = topic_next(m->store, after))) {
		struct tally sum = tally_of(t);

		json_array_append_new(all, json_pack("{s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			"name", t->name,
			"queues", number(sum.queues),
			"retired", t->retired ? 1 : 0,
			"bytes", number(sum.bytes),
			"messages", number(sum.messages),
			"retained", number(sum.retained),
			"partial", number(sum.partial),
			"lost", number(sum.lost),
			"skips", number(sum.skips),
			"skipped", number(sum.skipped),
			"last", time_text(sum.last)));
		after = t->id;
		topic_put(t);
	}
	return all;
}

/* A file's name may be any bytes, and JSON has none but UTF-8. */
static json_t *path(const char *name)
{
	json_t *text = json_string(name);
	char *ascii;

	if (text || !(ascii = strdup(name)))
		return text;
	for (char *c = ascii; *c; c++)
		if (*c & 0x80)
			*c = '?';
	text = json_string(ascii);
	free(ascii);
	return text;
}

/* A member that could not be made for want of memory makes json_pack() fail as a whole. */
static json_t *status(struct mount *m)
{
	struct store_status s;

	store_status(m->store, &s);
	return json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o},"
			 " s:{s:o, s:o, s:o, s:o}, s:o, s:{s:o, s:o, s:o, s:o, s:o, s:o}, s:o, s:o, s:o, s:{s:o, s:o}, s:o}",
		"version", MQFS_VERSION,
		"pid", (int)getpid(),
		"role", m->others->role(m->others->ctx),
		"mountpoint", path(m->mountpoint),
		"store", path(m->store_path),
		"cluster", id(s.cluster),
		"node", id(s.node),
		"epoch", "reign", number(s.epoch.reign), "start", number(s.epoch.start), "node", id(s.epoch.node),
		"replication", m->others->status(m->others->ctx),
		"started", time_text(m->started),
		"now", now(),
		"health", health(m, &s),
		"log", log_status(&s),
		"disk", "store", number(s.bytes_on_disk), "total", number(s.disk_total), "free", number(s.disk_free),
		"appended", "records", number(s.records), "messages", number(s.messages), "bytes", number(s.bytes),
		"refused_full", number(s.refused_full),
		"commit", commit_status(m, &s),
		"damage", "found", number(s.damaged), "open", number(s.damaged_open), "repaired", number(s.repaired),
			"repaired_bytes", number(s.repaired_bytes), "lost_files", number(s.lost_files), "lost_bytes", number(s.lost_bytes),
		"scrub", scrub_part(&s.scrub),
		"mount", mount_status(m),
		"pins", pins(m),
		"counts", "topics", number(s.topics), "queues", number(s.queues),
		"topics", topics(m));
}

static int status_print(struct mount *m, struct node *n, FILE *to)
{
	json_t *all = status(m);
	int err = 0;

	(void)n;
	if (!all || json_dumpf(all, to, JSON_INDENT(2)) < 0)
		err = -ENOMEM;
	fputc('\n', to);
	json_decref(all);
	return err;
}

static int scrub_print(struct mount *m, struct node *n, FILE *to)
{
	struct store_status s;
	uint64_t all, done;

	(void)n;
	store_status(m->store, &s);
	all = s.scrub.end - s.log_start;
	done = s.scrub.pos > s.log_start ? s.scrub.pos - s.log_start : 0;
	if (!s.scrub.rate)
		fputs("off\n", to);
	else if (!s.scrub.under_way)
		fputs("idle\n", to);
	else
		fprintf(to, "%.0f %%\n", s.scrub.end > s.log_start ? 100.0 * (double)done / (double)all : 100.0);
	return 0;
}

/* Nothing is logged for it, so it is done at once. */
static int scrub_set(struct mount *m, struct node *n, const char *text, struct command *c)
{
	(void)n;
	if (strcmp(text, "now") != 0 || !store_scrub(m->store))
		return -EINVAL;
	c->done(c, 0);
	return 0;
}

static const struct control controls[] = {
	{.print = version_print},
	{.print = pid_print},
	{.print = role_print, .set = role_set},
	{.print = status_print},
	{.print = metrics_print},
	{.print = scrub_print, .set = scrub_set},
	{.print = standbys_print},
	{.print = order_print, .set = order_set},
};
_Static_assert(sizeof controls / sizeof *controls == STATUS_FILES, "as control.h says");
static const char *const names[] = {"version", "pid", "role", "status.json", "metrics.prom", "scrub", "standbys", "order"};

bool status_entry(uint32_t index, struct control_entry *e)
{
	if (index >= sizeof controls / sizeof *controls)
		return false;
	*e = (struct control_entry){.control = &controls[index], .which = index, .index = index};
	snprintf(e->name, sizeof e->name, "%s", names[index]);
	return true;
}

bool status_find(const char *name, struct control_entry *e)
{
	for (uint32_t i = 0; status_entry(i, e); i++) {
		if (strcmp(e->name, name) == 0)
			return true;
	}
	return false;
}
