/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON Lines: one a line, or one record a line. What the operand means is found out first. */
#include "mqctl.h"
#include "dump.h"
#include "store.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ENOUGH 1     /* --count is reached */

struct dumping {
	const struct call *call;
	struct dump_query query;
	char store[PATH_MAX];
	char topic[PATH_MAX];
	char lost[PATH_MAX];
	uint64_t left;           /* lines still to print */
	bool records;
	bool damaged;
	bool mounted;            /* the topic was seen in a mount */
	int output;              /* why nothing more can be written */
	struct progress progress;
};

/* ---- output ---- */

static json_t *base64(const uint8_t *from, size_t len)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc(len / 3 * 4 + 5), *to = text;
	json_t *json;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)from[i] << 16 | (i + 1 < len ? (uint32_t)from[i + 1] << 8 : 0) | (i + 2 < len ? from[i + 2] : 0u);
		*to++ = digit[v >> 18];
		*to++ = digit[v >> 12 & 63];
		*to++ = i + 1 < len ? digit[v >> 6 & 63] : '=';
		*to++ = i + 2 < len ? digit[v & 63] : '=';
	}
	json = json_stringn_nocheck(text, (size_t)(to - text));
	free(text);
	return json;
}

static const char *type_name(uint8_t type, char to[16])
{
	static const char *name[] = {
		[RECORD_EPOCH] = "epoch", [RECORD_MESSAGES] = "messages", [RECORD_TOPIC_CREATE] = "topic-create",
		[RECORD_TOPIC_REMOVE] = "topic-remove", [RECORD_TOPIC_QUEUES] = "topic-queues", [RECORD_TOPIC_SET] = "topic-set",
		[RECORD_OWNER] = "owner", [RECORD_HEADS] = "heads", [RECORD_PAIR] = "pair",
	};

	if (type < sizeof name / sizeof *name && name[type])
		return name[type];
	snprintf(to, 16, "type-%u", type);
	return to;
}

/* The members of a line around its offset are the same for all messages of a record: their text is made once. */
struct line {
	char *before;      /* type, topic, queue */
	char *behind;      /* what is in front of the body */
};

/* Takes the members of O; NULL when there was no memory for one of them. */
static char *members(json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_EMBED);

	json_decref(o);
	return text;
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *describe_place(const struct record *r, const char *topic, const char *type)
{
	json_t *o = json_pack("{s:s}", "type", type);

	if (r->type != RECORD_MESSAGES)
		return o;
	json_object_set_new(o, "topic", topic ? json_string(topic) : json_null());
	if (!topic)
		json_object_set_new(o, "topic_id", number(r->queue >> QUEUE_BITS));
	json_object_set_new(o, "queue", number(r->queue & (QUEUES_MAX - 1)));
	return o;
}

static json_t *describe_writer(const struct record *r)
{
	char time[40];

	print_time(r->time, time);
	return json_pack("{s:s, s:o, s:o, s:o}", "time", time, "uid", number(r->uid), "pid", number(r->pid), "position", number(r->pos));
}

static void add_record(json_t *o, const struct record *r)
{
	char node[17];

	if (r->type == RECORD_MESSAGES) {
		json_object_set_new(o, "messages", number(r->messages));
		json_object_set_new(o, "framing", json_string(r->flags & RECORD_WRITE ? "write" : "lines"));
	}
	snprintf(node, sizeof node, "%016" PRIx64, r->epoch.node);
	json_object_set_new(o, "committed", number(r->committed));
	json_object_set_new(o, "epoch", json_pack("{s:o, s:o, s:s}", "reign", number(r->epoch.reign), "start", number(r->epoch.start), "node", node));
}

static int line_make(struct line *l, const struct record *r, const char *topic, bool whole)
{
	char unknown[16];
	json_t *behind = describe_writer(r);

	if (whole)
		add_record(behind, r);
	l->before = members(describe_place(r, topic, whole ? type_name(r->type, unknown) : "message"));
	l->behind = members(behind);
	return l->before && l->behind ? 0 : -ENOMEM;
}

static void line_free(struct line *l)
{
	free(l->before);
	free(l->behind);
}

/* *OFFSET is left out where it is NULL. */
static int print_line(struct dumping *k, const struct line *l, const uint64_t *offset, bool partial, const uint8_t *body, size_t len)
{
	json_t *text = json_stringn((const char *)body, len);
	const char *name = text ? "body" : "body64";
	int err = 0;

	if (!text)
		text = base64(body, len);
	if (!text)
		return -ENOMEM;
	errno = 0;
	printf("{%s", l->before);
	if (offset)
		printf(",\"offset\":%" PRIu64, *offset);
	printf(",%s%s,\"%s\":", l->behind, partial ? ",\"partial\":true" : "", name);
	if (json_dumpf(text, stdout, JSON_ENCODE_ANY) < 0 || fputs("}\n", stdout) < 0 || ferror(stdout))
		err = -(k->output = errno ? errno : EIO);
	json_decref(text);
	if (!err && --k->left == 0)
		err = ENOUGH;
	return err;
}

/* Whether the writer left the last line of R without a newline: it got one then, or, with partial=keep, none. */
static bool left_partial(const struct record *r, bool newline)
{
	return r->flags & RECORD_PARTIAL || (!newline && !(r->flags & RECORD_WRITE));
}

/* Each line of the body is a message; its newline only ends it. */
static int print_messages(struct dumping *k, const struct line *l, const struct record *r, const uint8_t *body)
{
	size_t at = 0;
	int err = 0;

	do {
		const uint8_t *newline = r->flags & RECORD_WRITE ? NULL : memchr(body + at, '\n', r->length - at);
		size_t end = newline ? (size_t)(newline - body) : r->length;
		size_t next = newline ? end + 1 : end;
		uint64_t offset = r->offset + at;
		if (offset >= k->query.offset)
			err = print_line(k, l, &offset, next == r->length && left_partial(r, newline), body + at, end - at);
		at = next;
	} while (!err && at < r->length);
	return err;
}

static int print(void *ctx, const struct record *r, const char *topic, const void *body)
{
	struct dumping *k = ctx;
	struct line l;
	int err;

	if (!k->records && r->type != RECORD_MESSAGES)
		return 0;
	err = line_make(&l, r, topic, k->records);
	if (!err && k->records)
		err = print_line(k, &l, r->type == RECORD_MESSAGES ? &r->offset : NULL, false, body, r->length);
	else if (!err)
		err = print_messages(k, &l, r, body);
	line_free(&l);
	return err;
}

static void damaged(void *ctx, const char *where, const char *what)
{
	struct dumping *k = ctx;

	progress_clear(&k->progress);
	call_fail(k->call, "%s: %s", where, what);
	k->damaged = true;
}

static void progress(void *ctx, uint64_t done, uint64_t total)
{
	struct dumping *k = ctx;

	if (!isatty(STDOUT_FILENO))
		progress_show(&k->progress, done, total);
}

/* ---- what is asked for ---- */

/* "orders" or "orders/0" */
static int take_queue(struct dumping *k, const char *name)
{
	char *slash, *end;
	long number;

	snprintf(k->topic, sizeof k->topic, "%s", name);
	slash = strchr(k->topic, '/');
	k->query.topic = k->topic;
	if (!slash)
		return 0;
	*slash = 0;
	if (!slash[1])
		return 0;
	errno = 0;
	number = strtol(slash + 1, &end, 10);
	if (*end || errno || number < 0 || number >= (long)QUEUES_MAX || slash[1] < '0' || slash[1] > '9')
		return call_fail(k->call, "\"%s\" is no queue: TOPIC/QUEUE, as in orders/0", name);
	k->query.queue = (int)number;
	return 0;
}

static int take_mount(struct dumping *k, const char *mountpoint)
{
	char why[WHY];

	return find_store_of(mountpoint, k->store, &k->query.committed, why) ? call_fail(k->call, "%s", why) : 0;
}

/* Whoever runs the store at k->store says in its lock file where it is mounted; what is committed is known there only. */
static void ask_running(struct dumping *k)
{
	char path[PATH_MAX + 8], line[PATH_MAX + 32] = "", here[PATH_MAX], why[WHY];
	char *mountpoint;
	json_t *status;
	const char *store;
	json_int_t pid, committed;
	FILE *f;

	snprintf(path, sizeof path, "%s/lock", k->store);
	f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(line, sizeof line, f))
		line[0] = 0;
	fclose(f);
	line[strcspn(line, "\n")] = 0;
	mountpoint = strchr(line, ' ');
	status = mountpoint ? find_status(mountpoint + 1, why) : NULL;
	if (status && json_unpack(status, "{s:s, s:I, s:{s:I}}", "store", &store, "pid", &pid, "log", "committed", &committed) == 0 &&
			realpath(k->store, here) && strcmp(here, store) == 0 && pid == strtoll(line, NULL, 10))
		k->query.committed = (uint64_t)committed;
	json_decref(status);
}

/* T or T/Q of the mount that -m names, wherever it is called. */
static bool is_name(const struct call *c)
{
	return c->mount && c->operands == 1 && c->operand[0][0] != '/';
}

/* MNT, MNT/T/Q, or with -m MNT only T/Q, which REST is then. */
static int find_place(const struct call *c, char mountpoint[PATH_MAX], char rest[PATH_MAX], char why[WHY])
{
	char path[2 * PATH_MAX];
	struct stat st;

	if (c->operands && !is_name(c))
		return find_mount_of(c->operand[0], mountpoint, rest, why);
	snprintf(rest, PATH_MAX, "%s", c->operands ? c->operand[0] : "");
	if (find_mount(c, mountpoint, why))
		return EXIT_TROUBLE;
	snprintf(path, sizeof path, "%s/%s", mountpoint, rest);
	if (stat(path, &st) == 0)
		return 0;
	snprintf(why, WHY, "%.200s: %s", path, strerror(errno));
	return EXIT_TROUBLE;
}

static int take_operands(struct dumping *k)
{
	const struct call *c = k->call;
	char mountpoint[PATH_MAX], rest[PATH_MAX], why[WHY];
	int status;

	if (c->operands && !is_name(c) && find_is_store(c->operand[0])) {
		snprintf(k->store, sizeof k->store, "%s", c->operand[0]);
		ask_running(k);
		return c->operands == 2 ? take_queue(k, c->operand[1]) : 0;
	}
	if (c->operands == 2)
		return call_fail(c, "%s is no store of mqfs", c->operand[0]);
	if (c->operands && !is_name(c) && find_lost(c->operand[0], k->store, k->lost)) {
		k->query.lost = k->lost;
		return 0;
	}
	if (find_place(c, mountpoint, rest, why))
		return c->operands && !c->mount ? call_fail(c, "%s; neither a store nor a queue", why) : call_fail(c, "%s", why);
	k->mounted = true;
	status = take_mount(k, mountpoint);
	return status || !rest[0] ? status : take_queue(k, rest);
}

static int take_options(struct dumping *k)
{
	const struct call *c = k->call;
	const char *offset = call_option(c, "offset"), *since = call_option(c, "since"), *count = call_option(c, "count");
	struct timespec now;
	char *end;

	k->records = call_option(c, "records") != NULL;
	k->left = UINT64_MAX;
	errno = 0;
	if (offset) {
		k->query.offset = strtoull(offset, &end, 10);
		if (errno || *end || *offset < '0' || *offset > '9')
			return call_fail(c, "--offset: \"%s\" is no offset: a number of bytes", offset);
	}
	if (count) {
		k->left = strtoull(count, &end, 10);
		if (errno || *end || *count < '0' || *count > '9')
			return call_fail(c, "--count: \"%s\" is no number", count);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	if (since && parse_time(since, now.tv_sec * 1000000000ll + now.tv_nsec, &k->query.since))
		return call_fail(c, "--since: \"%s\" is no time: 2026-11-23T04:05:06Z, or -10m", since);
	return 0;
}

int verb_dump(const struct call *c)
{
	struct dumping k = {.call = c, .query = dump_all};
	struct dump_calls calls = {.record = print, .damaged = damaged, .progress = progress, .ctx = &k};
	char why[WHY];
	int status = take_options(&k), err;

	if (!status)
		status = take_operands(&k);
	if (status)
		return status;
	if (k.query.offset && k.query.queue < 0)
		return call_fail(c, "--offset counts the bytes of one queue: name it as TOPIC/QUEUE");
	if (k.left == 0)
		return EXIT_FINE;
	progress_start(&k.progress, k.store);
	err = dump_store(k.store, &k.query, &calls, why, sizeof why);
	progress_clear(&k.progress);
	if (k.output == EPIPE)           /* whoever reads has enough */
		return EXIT_FINE;
	if (k.output)
		return call_fail(c, "standard output: %s", strerror(k.output));
	if (err == -ENODATA && k.mounted)        /* it is too new for the files to prove it, so it has no messages yet */
		return EXIT_FINE;
	if (err < 0)
		return call_fail(c, "%s", why);
	return k.damaged ? EXIT_WRONG : EXIT_FINE;
}
