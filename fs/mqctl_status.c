/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of a mounted node, made from its status.json, whose keys stand at the top of statusfile.c. */
#include "mqctl.h"
#include "setting.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPICS_SHOWN 20

const json_t *status_member(const json_t *of, const char *path)
{
	while (of && *path) {
		size_t len = strcspn(path, ".");
		of = json_object_getn(of, path, len);
		path += len + (path[len] == '.');
	}
	return of;
}

const char *status_text(const json_t *of, const char *path)
{
	const char *s = json_string_value(status_member(of, path));

	return s ? s : "?";
}

uint64_t status_number(const json_t *of, const char *path)
{
	return (uint64_t)json_integer_value(status_member(of, path));
}

/* "3 min ago", or OTHERWISE where there is no time. */
static const char *ago(const json_t *status, const json_t *of, const char *path, const char *otherwise, char to[48])
{
	int64_t now, then;
	char span[32];

	if (parse_time(status_text(status, "now"), 0, &now) || parse_time(status_text(of, path), 0, &then) || then <= 0)
		return otherwise;
	snprintf(to, 48, "%s ago", print_span(now > then ? (uint64_t)(now - then) : 0, span));
	return to;
}

static bool healthy(const json_t *s)
{
	return strcmp(status_text(s, "health.state"), "fine") == 0;
}

static void print_node(const json_t *s)
{
	char up[48];

	printf("%s\n", status_text(s, "mountpoint"));
	printf("  node      %s, %s, mqfs %s, pid %" PRIu64 ", started %s\n", status_text(s, "role"), status_text(s, "node"), status_text(s, "version"),
		status_number(s, "pid"), ago(s, s, "started", "?", up));
	printf("  health    %s%s%s\n", status_text(s, "health.state"), *status_text(s, "health.why") ? ": " : "", status_text(s, "health.why"));
}

static void print_store(const json_t *s)
{
	uint64_t total = status_number(s, "disk.total"), left = status_number(s, "disk.free");
	char a[24], b[24], c[24];

	printf("  store     %s: %s on a disk with %s free of %s (%.0f %%)\n", status_text(s, "store"), print_size(status_number(s, "disk.store"), a),
		print_size(left, b), print_size(total, c), total ? 100.0 * (double)left / (double)total : 0.0);
}

static void print_log(const json_t *s)
{
	uint64_t start = status_number(s, "log.start"), committed = status_number(s, "log.committed"), end = status_number(s, "log.end");
	char a[24], b[32], c[48], d[24], e[24];

	printf("  log       %s in %s segment%s, up to position %" PRIu64 "; checkpoint %s\n", print_size(end - start, a),
		print_count(status_number(s, "log.segments"), b), status_number(s, "log.segments") == 1 ? "" : "s", end, ago(s, s, "log.checkpoint_time", "none", c));
	if (end > committed)
		printf("            %s not committed yet\n", print_size(end - committed, d));
	if (status_number(s, "log.pinned"))
		printf("            %s kept only by topics without limits\n", print_size(status_number(s, "log.pinned"), e));
}

static void print_work(const json_t *s)
{
	uint64_t syncs = status_number(s, "commit.syncs"), refused = status_number(s, "appended.refused_full");
	char a[32], b[32], c[24], d[32], e[32];

	printf("  appended  %s messages in %s records, %s since start\n", print_count(status_number(s, "appended.messages"), a),
		print_count(status_number(s, "appended.records"), b), print_size(status_number(s, "appended.bytes"), c));
	if (refused)
		printf("            %s appends refused for want of space\n", print_count(refused, d));
	printf("  commit    mode %s, timeout %s; %s syncs", status_text(s, "commit.mode"), print_span(status_number(s, "commit.timeout_ns"), d),
		print_count(syncs, e));
	if (syncs)
		printf(", %.2f ms each", (double)status_number(s, "commit.sync_ns") / 1e6 / (double)syncs);
	putchar('\n');
	printf("  mount     %s open files, %s waiting requests, %s in unfinished lines\n", print_count(status_number(s, "mount.handles"), a),
		print_count(status_number(s, "mount.parked"), b), print_size(status_number(s, "mount.unfinished"), c));
}

/* How far the verification in the background is. */
static void print_scrub(const json_t *s)
{
	uint64_t start = status_number(s, "log.start"), pos = status_number(s, "scrub.position"), end = status_number(s, "scrub.end");
	char a[48], b[24];

	if (!status_number(s, "scrub.rate"))
		return;
	printf("  scrub     last whole pass %s", ago(s, s, "scrub.ended", "not yet", a));
	if (json_is_true(status_member(s, "scrub.running")) && end > start && pos >= start)
		printf("; now at %.0f %%, at most %s a second", 100.0 * (double)(pos - start) / (double)(end - start), print_size(status_number(s, "scrub.rate"), b));
	putchar('\n');
}

/* A crash and a change of the primary leave files of one kind, so what is said has to be true of both. */
static void print_lost(const json_t *s)
{
	uint64_t files = status_number(s, "damage.lost_files");
	const char *store = status_text(s, "store");
	char a[24];

	if (!files)
		return;
	printf("  lost      %" PRIu64 " files, %s, put aside: what a crash had left uncommitted, or this node's primary did not have\n", files,
		print_size(status_number(s, "damage.lost_bytes"), a));
	printf("            mqctl dump %s/lost/FILE shows it, mqctl replay --produce %s/lost/FILE MNT produces it again\n", store, store);
}

static void print_damage(const json_t *s)
{
	uint64_t found = status_number(s, "damage.found"), open = status_number(s, "damage.open"), repaired = status_number(s, "damage.repaired");

	if (open)
		printf("  DAMAGE    %" PRIu64 " places of the log are damaged: the log says which, mqctl check finds all\n", open);
	if (found)
		printf("  damage    %" PRIu64 " places found since start, of records, indexes and checkpoints\n", found);
	if (repaired)
		printf("  repaired  %" PRIu64 " records, from another node\n", repaired);
	print_lost(s);
}

static void print_pins(const json_t *s)
{
	const json_t *pins = status_member(s, "pins"), *pin;
	char a[24];
	size_t i;

	if (!json_array_size(pins) || status_number(s, "log.segments") < 2)
		return;
	printf("  pinned by ");
	json_array_foreach(pins, i, pin)
		printf("%s%s %s", i ? ", " : "", status_text(pin, "topic"), print_size(status_number(pin, "bytes"), a));
	putchar('\n');
}

/* Topics by the time of their last message, the latest first: RFC 3339 in UTC sorts as text. */
static int by_last(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;
	int order = strcmp(status_text(*y, "last"), status_text(*x, "last"));

	return order ? order : strcmp(status_text(*x, "name"), status_text(*y, "name"));
}

static void print_topic(const json_t *s, const json_t *t, int width)
{
	char messages[32], retained[24], last[48];
	uint64_t partial = status_number(t, "partial"), skips = status_number(t, "skips");

	printf("  %-*s %6" PRIu64 " %15s %10s  %s", width, status_text(t, "name"), status_number(t, "queues"),
		print_count(status_number(t, "messages"), messages), print_size(status_number(t, "retained"), retained),
		status_number(t, "messages") ? ago(s, t, "last", "-", last) : "-");
	if (json_is_true(status_member(t, "retired")))
		printf(", retired");
	if (partial)
		printf(", unfinished lines: %" PRIu64, partial);
	if (skips)
		printf(", reads that skipped: %" PRIu64 " (%s)", skips, print_size(status_number(t, "skipped"), retained));
	putchar('\n');
}

static int print_topics(const json_t *s, bool all)
{
	const json_t *topics = status_member(s, "topics");
	size_t count = json_array_size(topics), shown = all || count <= TOPICS_SHOWN ? count : TOPICS_SHOWN;
	const json_t **sorted = calloc(count + 1, sizeof *sorted);
	int width = 20;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		sorted[i] = json_array_get(topics, i);
	qsort(sorted, count, sizeof *sorted, by_last);
	for (size_t i = 0; i < shown; i++)
		if ((int)strlen(status_text(sorted[i], "name")) > width)
			width = (int)strlen(status_text(sorted[i], "name"));
	if (count)
		printf("\n  %-*s queues        messages   retained  last message\n", width, "topic");
	else
		printf("\n  no topics yet: mkdir %s/NAME makes one\n", status_text(s, "mountpoint"));
	for (size_t i = 0; i < shown; i++)
		print_topic(s, sorted[i], width);
	if (shown < count)
		printf("  ... and %zu more: mqctl status --all\n", count - shown);
	free(sorted);
	return 0;
}

int verb_status(const struct call *c)
{
	char mountpoint[PATH_MAX], why[WHY];
	json_t *s;
	int status, err = 0;

	if (find_mount(c, mountpoint, why))
		return call_fail(c, "%s", why);
	s = find_status(mountpoint, why);
	if (!s)
		return call_fail(c, "%s", why);
	if (call_option(c, "json")) {
		json_dumpf(s, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_node(s);
		replication_print(s);
		print_store(s);
		print_log(s);
		print_work(s);
		print_scrub(s);
		print_damage(s);
		print_pins(s);
		err = print_topics(s, call_option(c, "all") != NULL);
	}
	status = healthy(s) ? EXIT_FINE : EXIT_WRONG;
	json_decref(s);
	return err ? call_fail(c, "%s", strerror(-err)) : status;
}
