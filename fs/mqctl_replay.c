/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that were put aside in lost/ are produced again, into the queues that they were of: each record's body in one piece, as it was
 * written then, so that its lines stay whole and in order.
 *
 * The file is read twice: what will become of its messages is known, and said, before the first of them is produced.
 *
 * A topic's id says which one is meant. But ids are counters, and where two logs part both count on from there: what was made behind
 * that point in the log that has stayed is another topic of the same id. So where the file makes topics of its own, those that the log has
 * made since are not taken for them.
 */
#include "dump.h"
#include "mqctl.h"
#include "topic.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BODY_NAME 12                     /* where the name stands in the body of RECORD_TOPIC_CREATE */

/* A queue that the file has messages of. */
struct target {
	uint64_t queue;                  /* id */
	char topic[TOPIC_NAME_MAX + 1];  /* "": it is not there any more */
	const char *why;                 /* why its messages are left out, or NULL */
	bool framing_write;              /* what the topic has now */
	int fd;
	uint64_t messages, other_framing;
	UT_hash_handle hh;
};

struct made {
	char name[TOPIC_NAME_MAX + 1];   /* of a topic that was made since */
	UT_hash_handle hh;
};

struct replay {
	const struct call *call;
	char store[PATH_MAX], file[PATH_MAX], mountpoint[PATH_MAX];
	struct dump_query query;         /* the file */
	uint64_t from;                   /* position to begin at */
	struct target *targets;
	struct made *made;
	uint64_t first;                  /* position of the first record */
	bool makes_topics;
	bool damaged;
	bool again;                      /* the file is read once more: what is wrong with it has been said */
	uint64_t produced, left_out;     /* messages */
	int failed;                      /* status, once it has been said why */
	struct progress progress;
};

static int complain(struct replay *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int complain(struct replay *p, const char *format, ...)
{
	char text[WHY];
	va_list args;

	progress_clear(&p->progress);
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	p->failed = call_fail(p->call, "%s", text);
	return -ECANCELED;
}

/* ---- where messages go ---- */

/* "write" or "lines" in the topic's .config. */
static bool has_framing_write(const struct replay *p, const char *topic)
{
	char path[PATH_MAX + 192], word[16] = "";
	FILE *f;

	snprintf(path, sizeof path, "%s/%s/.config/framing", p->mountpoint, topic);
	f = fopen(path, "re");
	if (f && !fgets(word, sizeof word, f))
		word[0] = 0;
	if (f)
		fclose(f);
	return strncmp(word, "write", 5) == 0;
}

static void queue_path(const struct replay *p, const struct target *t, char to[PATH_MAX + 192])
{
	snprintf(to, PATH_MAX + 192, "%s/%s/%u", p->mountpoint, t->topic, (unsigned)(t->queue & (QUEUES_MAX - 1)));
}

static void judge(const struct replay *p, struct target *t)
{
	char path[PATH_MAX + 192];
	struct made *made;

	HASH_FIND_STR(p->made, t->topic, made);
	queue_path(p, t, path);
	if (!*t->topic)
		t->why = "the topic is not there any more";
	else if (made)
		t->why = "the topic was made anew since";
	else if (access(path, F_OK) < 0)
		t->why = "there is no such queue in the mount";
	else
		t->framing_write = has_framing_write(p, t->topic);
}

static struct target *target_of(struct replay *p, const struct record *r, const char *topic)
{
	struct target *t;

	HASH_FIND(hh, p->targets, &r->queue, sizeof r->queue, t);
	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->queue = r->queue;
	t->fd = -1;
	snprintf(t->topic, sizeof t->topic, "%s", topic ? topic : "");
	HASH_ADD(hh, p->targets, queue, sizeof t->queue, t);
	return t;
}

static bool fits(const struct target *t, const struct record *r)
{
	return t->framing_write == ((r->flags & RECORD_WRITE) != 0);
}

/* ---- the first reading ---- */

static bool wanted(const struct replay *p, const struct record *r)
{
	return r->type == RECORD_MESSAGES && r->pos >= p->from;
}

static int count(void *ctx, const struct record *r, const char *topic, const void *body)
{
	struct replay *p = ctx;
	struct target *t;

	(void)body;
	if (r->pos < p->first)
		p->first = r->pos;
	p->makes_topics |= r->type == RECORD_TOPIC_CREATE;
	if (!wanted(p, r))
		return 0;
	t = target_of(p, r, topic);
	if (!t)
		return -ENOMEM;
	t->messages += r->messages;
	return 0;
}

static void damaged(void *ctx, const char *where, const char *what)
{
	struct replay *p = ctx;

	if (p->again)
		return;
	progress_clear(&p->progress);
	call_fail(p->call, "%s: %s", where, what);
	p->damaged = true;
}

static void progress(void *ctx, uint64_t done, uint64_t total)
{
	struct replay *p = ctx;

	progress_show(&p->progress, done, total);
}

static int read_file(struct replay *p, int (*record)(void *ctx, const struct record *r, const char *topic, const void *body),
	const struct dump_query *query)
{
	struct dump_calls calls = {.record = record, .damaged = damaged, .progress = progress, .ctx = p};
	char why[WHY];
	int err;

	progress_start(&p->progress, query->lost ? p->file : p->store);
	err = dump_store(p->store, query, &calls, why, sizeof why);
	progress_clear(&p->progress);
	if (err < 0 && !p->failed)
		p->failed = call_fail(p->call, "%s", why);
	return p->failed;
}

static int note_made(void *ctx, const struct record *r, const char *topic, const void *body)
{
	struct replay *p = ctx;
	struct made *m, *there;

	(void)topic;
	if (r->type != RECORD_TOPIC_CREATE || r->length <= BODY_NAME || r->length - BODY_NAME > TOPIC_NAME_MAX)
		return 0;
	m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	memcpy(m->name, (const char *)body + BODY_NAME, r->length - BODY_NAME);
	HASH_FIND_STR(p->made, m->name, there);
	if (there)
		free(m);
	else
		HASH_ADD_STR(p->made, name, m);
	return 0;
}

/* What became of the log behind the place from which the file comes. */
static int find_made(struct replay *p)
{
	struct dump_query query = dump_all;

	query.from = p->first;
	return p->makes_topics ? read_file(p, note_made, &query) : 0;
}

/* ---- the second one ---- */

static int open_queue(struct replay *p, struct target *t)
{
	char path[PATH_MAX + 192];

	queue_path(p, t, path);
	t->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	return t->fd < 0 ? complain(p, "%s: %s", path, strerror(errno)) : 0;
}

static int stopped_at(struct replay *p, const struct target *t, const struct record *r, int err)
{
	char path[PATH_MAX + 192];

	queue_path(p, t, path);
	return complain(p, "%s: %s%s; %" PRIu64 " messages were produced; the rest: --from=%" PRIu64, path, strerror(err),
		err == EROFS ? ": is this the primary's mount?" : "", p->produced, r->pos);
}

static int produce(void *ctx, const struct record *r, const char *topic, const void *body)
{
	struct replay *p = ctx;
	struct target *t;
	ssize_t n;
	int err;

	if (!wanted(p, r))
		return 0;
	t = target_of(p, r, topic);
	if (!t || t->why || !fits(t, r))
		return t ? 0 : -ENOMEM;
	err = t->fd < 0 ? open_queue(p, t) : 0;
	for (size_t done = 0; !err && done < r->length; done += (size_t)n) {
		n = write(t->fd, (const char *)body + done, r->length - done);
		if (n < 0)
			err = stopped_at(p, t, r, errno);
	}
	if (!err)
		p->produced += r->messages;
	return err;
}

/* With commit=close and fsync it is only now known. */
static int close_queues(struct replay *p)
{
	char path[PATH_MAX + 192];
	int err = 0;

	for (struct target *t = p->targets; t; t = t->hh.next) {
		if (t->fd < 0)
			continue;
		queue_path(p, t, path);
		if (fsync(t->fd) < 0 && !err)
			err = complain(p, "%s: %s", path, strerror(errno));
		close(t->fd);
		t->fd = -1;
	}
	return err;
}

/* ---- what is said ---- */

static int count_framing(void *ctx, const struct record *r, const char *topic, const void *body)
{
	struct replay *p = ctx;
	struct target *t = wanted(p, r) ? target_of(p, r, topic) : NULL;

	(void)body;
	if (t && !t->why && !fits(t, r))
		t->other_framing += r->messages;
	return 0;
}

static int by_name(const struct target *a, const struct target *b)
{
	int order = strcmp(a->topic, b->topic);

	return order ? order : a->queue < b->queue ? -1 : a->queue > b->queue;
}

static uint64_t show(struct replay *p)
{
	uint64_t all = 0;
	char n[32];

	HASH_SORT(p->targets, by_name);
	for (struct target *t = p->targets; t; t = t->hh.next) {
		uint64_t out = t->why ? t->messages : t->other_framing;

		if (*t->topic)
			printf("%s/%u: ", t->topic, (unsigned)(t->queue & (QUEUES_MAX - 1)));
		else
			printf("topic with id %" PRIu64 ", queue %u: ", t->queue >> QUEUE_BITS, (unsigned)(t->queue & (QUEUES_MAX - 1)));
		printf("%s messages", print_count(t->messages, n));
		if (out)
			printf(", %s left out: %s", print_count(out, n), t->why ? t->why : "the topic has another framing now");
		putchar('\n');
		all += t->messages;
		p->left_out += out;
	}
	return all;
}

/* ---- all of it ---- */

static int take_operands(struct replay *p)
{
	const struct call *c = p->call;
	const char *from = call_option(c, "from");
	char rest[PATH_MAX], why[WHY], *end;

	if (!find_lost(c->operand[0], p->store, p->file))
		return call_fail(c, "%s is no file in the directory lost/ of a store", c->operand[0]);
	if (find_mount_of(c->operand[1], p->mountpoint, rest, why))
		return call_fail(c, "%s", why);
	if (*rest)
		return call_fail(c, "%s is not a mountpoint: messages go to the queues that they were of", c->operand[1]);
	p->query = dump_all;
	p->query.lost = p->file;
	p->first = UINT64_MAX;
	errno = 0;
	if (from) {
		p->from = strtoull(from, &end, 10);
		if (errno || *end || *from < '0' || *from > '9')
			return call_fail(c, "--from: \"%s\" is no position", from);
	}
	return 0;
}

static int run(struct replay *p)
{
	uint64_t all;
	char a[32], b[32];

	if (read_file(p, count, &p->query) || find_made(p))
		return p->failed;
	p->again = true;
	for (struct target *t = p->targets; t; t = t->hh.next)
		judge(p, t);
	if (read_file(p, count_framing, &p->query))
		return p->failed;
	all = show(p);
	if (!call_option(p->call, "produce")) {
		printf("%s messages to produce, %s left out; --produce does it\n", print_count(all - p->left_out, a), print_count(p->left_out, b));
		return EXIT_FINE;
	}
	if (read_file(p, produce, &p->query) || close_queues(p))
		return p->failed;
	printf("%s messages produced, %s left out\n", print_count(p->produced, a), print_count(p->left_out, b));
	return p->left_out || p->damaged ? EXIT_WRONG : EXIT_FINE;
}

static void release(struct replay *p)
{
	struct target *t, *next;
	struct made *m, *next_made;

	HASH_ITER(hh, p->targets, t, next) {
		HASH_DEL(p->targets, t);
		if (t->fd >= 0)
			close(t->fd);
		free(t);
	}
	HASH_ITER(hh, p->made, m, next_made) {
		HASH_DEL(p->made, m);
		free(m);
	}
}

int verb_replay(const struct call *c)
{
	struct replay p = {.call = c};
	struct rlimit files;
	int status = take_operands(&p);

	/* A queue stays open: what it was given last may be an unfinished line. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (!status)
		status = run(&p);
	release(&p);
	return status;
}
