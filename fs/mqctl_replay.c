/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that were put aside in lost/ are produced again, into the queues that they were of: each record's body in one piece, as it was
 * written then, or a long one in pieces of whole lines, so that its lines stay whole and in order.
 *
 * The file is read twice: what will become of its messages is known, and said, before the first of them is produced.
 *
 * A topic's id says which one is meant, in the log of the mount, where that has the topic from before the logs parted (parting.h). In the
 * mount it is told by its queues' inode numbers, which have the id in them, and so never by a name that another topic may have by now.
 */
#include "dump.h"
#include "mqctl.h"
#include "setting.h"
#include "topic.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel cuts no write of so much, which so is answered as a whole. */
#define PIECE ((size_t)512 << 10)

/* A queue that the file has messages of. */
struct target {
	uint64_t queue;                  /* id */
	char topic[TOPIC_NAME_MAX + 1];  /* "": it is not there, or not for sure */
	const char *why;                 /* why its messages are left out, or NULL */
	bool framing_write;              /* what the topic has now */
	uint64_t max_message;
	int fd;
	uint64_t messages, other_framing, too_long;
	UT_hash_handle hh;
};

struct replay {
	const struct call *call;
	char store[PATH_MAX], file[PATH_MAX], mountpoint[PATH_MAX];
	char log[PATH_MAX];              /* the mount's store */
	struct dump_query query;         /* the file */
	uint64_t from;                   /* position to begin at */
	struct target *targets;
	const char *unnamed;             /* why the record that comes has no topic */
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

/* The topic's setting NAME, "" where it cannot be read. */
static void read_setting(const struct replay *p, const char *topic, const char *name, char value[32])
{
	char path[PATH_MAX + 192];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s/.config/%s", p->mountpoint, topic, name);
	f = fopen(path, "re");
	if (!f || !fgets(value, 32, f))
		value[0] = 0;
	if (f)
		fclose(f);
	value[strcspn(value, "\n")] = 0;
}

static bool has_set(const struct replay *p, const char *topic, const char *name, const char *wanted)
{
	char value[32];

	read_setting(p, topic, name, value);
	return strcmp(value, wanted) == 0;
}

static uint64_t max_message(const struct replay *p, const char *topic)
{
	char value[32];
	uint64_t most;

	read_setting(p, topic, "max_message", value);
	return setting_parse(SETTING_MAX_MESSAGE, value, &most) == 0 ? most : UINT64_MAX;
}

static void queue_path(const struct replay *p, const struct target *t, char to[PATH_MAX + 192])
{
	snprintf(to, PATH_MAX + 192, "%s/%s/%u", p->mountpoint, t->topic, (unsigned)(t->queue & (QUEUES_MAX - 1)));
}

static void judge(const struct replay *p, struct target *t)
{
	char path[PATH_MAX + 192];
	struct stat st;

	if (t->why)
		return;
	queue_path(p, t, path);
	if (stat(path, &st) < 0 || st.st_ino != queue_id_ino(t->queue))
		t->why = "there is no such queue in the mount";
	else if (has_set(p, t->topic, "retired", "1"))
		t->why = "the topic is retired";
	t->framing_write = has_set(p, t->topic, "framing", "write");
	t->max_message = max_message(p, t->topic);
}

static struct target *find_target(struct replay *p, const struct record *r)
{
	struct target *t;

	HASH_FIND(hh, p->targets, &r->queue, sizeof r->queue, t);
	return t;
}

static struct target *target_of(struct replay *p, const struct record *r, const char *topic)
{
	struct target *t = find_target(p, r);

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

static bool too_long(const struct target *t, const struct record *r, const char *body)
{
	const char *end = body + r->length;

	if (r->flags & RECORD_WRITE)
		return r->length > t->max_message;
	while (body < end) {
		const char *newline = memchr(body, '\n', (size_t)(end - body));
		if ((uint64_t)((newline ? newline : end) - body) > t->max_message)
			return true;
		body = newline ? newline + 1 : end;
	}
	return false;
}

/* Where the record's messages are counted when they are left out, unless all of the queue's are; NULL: they are produced. */
static uint64_t *left_out(struct target *t, const struct record *r, const void *body)
{
	if (t->framing_write != ((r->flags & RECORD_WRITE) != 0))
		return &t->other_framing;
	return too_long(t, r, body) ? &t->too_long : NULL;
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
	if (!wanted(p, r))
		return 0;
	t = target_of(p, r, topic);
	if (!t)
		return -ENOMEM;
	if (!topic)
		t->why = p->unnamed;
	t->messages += r->messages;
	return 0;
}

static void unnamed(void *ctx, const char *why)
{
	struct replay *p = ctx;

	p->unnamed = why;
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

static int read_file(struct replay *p, int (*record)(void *ctx, const struct record *r, const char *topic, const void *body))
{
	struct dump_calls calls = {.record = record, .damaged = damaged, .progress = progress, .unnamed = unnamed, .ctx = p};
	char why[WHY];
	int err;

	progress_start(&p->progress, p->file);
	err = dump_store(p->store, &p->query, &calls, why, sizeof why);
	progress_clear(&p->progress);
	if (err < 0 && !p->failed)
		p->failed = call_fail(p->call, "%s", why);
	return p->failed;
}

/* ---- the second one ---- */

static int open_queue(struct replay *p, struct target *t)
{
	char path[PATH_MAX + 192];
	struct stat st;

	queue_path(p, t, path);
	t->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return complain(p, "%s: %s", path, strerror(errno));
	return st.st_ino == queue_id_ino(t->queue) ? 0 : complain(p, "%s: the topic was made anew just now", path);
}

static bool unknown(int err)
{
	return err == ETIMEDOUT || err == EIO || err == EINTR || err == ENOTCONN || err == ECONNABORTED;
}

/* DONE bytes of the record are there. */
static int stopped_at(struct replay *p, const struct target *t, const struct record *r, const char *body, size_t done, int err)
{
	char path[PATH_MAX + 192], some[64] = "", other[64] = "";
	uint64_t lines = 0;

	for (size_t i = 0; i < done; i++)
		lines += body[i] == '\n';
	queue_path(p, t, path);
	if (unknown(err)) {
		snprintf(some, sizeof some, ", and it is not known whether the next record was");
		snprintf(other, sizeof other, ", or --from=%" PRIu64 " if it is there", r->pos + 1);
	} else if (lines) {
		snprintf(some, sizeof some, ", and %" PRIu64 " of the next record, which come again", lines);
	}
	return complain(p, "%s: %s%s; %" PRIu64 " messages were produced%s; the rest: --from=%" PRIu64 "%s", path, strerror(err),
		err == EROFS ? ": is this the primary's mount?" : "", p->produced, some, r->pos, other);
}

/* Waits until what T was given is committed, however long that takes. 0, or the error. */
static int sync_queue(struct replay *p, const struct target *t)
{
	char path[PATH_MAX + 192];
	bool told = false;

	while (fsync(t->fd) < 0) {
		if (errno != ETIMEDOUT)
			return errno;
		if (told)
			continue;
		told = true;
		queue_path(p, t, path);
		progress_clear(&p->progress);
		call_fail(p->call, "%s: not committed in time; waiting until it is", path);
	}
	return 0;
}

/* What was written is in the log, and is not to be written again. A file that was answered so takes the same bytes for another try. */
static bool wait_and_reopen(struct replay *p, struct target *t)
{
	if (sync_queue(p, t))
		return false;
	close(t->fd);
	t->fd = -1;
	return true;
}

/* Bytes of the next write: whole lines, or all of a line that is longer than a piece, or of what has no newline. */
static size_t piece(const struct record *r, const char *from, size_t size)
{
	const char *newline;

	if (r->flags & RECORD_WRITE)
		return size;
	newline = memrchr(from, '\n', size < PIECE ? size : PIECE);
	if (!newline)
		newline = memchr(from, '\n', size);
	return newline ? (size_t)(newline - from) + 1 : size;
}

/* 0, or the error, which may be ETIMEDOUT when all of it is in the log. *DONE: bytes that are there. */
static int write_piece(int fd, const char *from, size_t size, size_t *done)
{
	for (size_t n = 0; n < size;) {
		ssize_t more = write(fd, from + n, size - n);
		if (more < 0)
			return errno;
		n += (size_t)more;
	}
	*done += size;
	return 0;
}

static int produce(void *ctx, const struct record *r, const char *topic, const void *body)
{
	struct replay *p = ctx;
	struct target *t = wanted(p, r) ? find_target(p, r) : NULL;
	const char *from = body;

	(void)topic;
	if (!t || t->why || left_out(t, r, body))
		return 0;
	for (size_t done = 0; done < r->length;) {
		size_t size = piece(r, from + done, r->length - done);
		int err = t->fd < 0 ? open_queue(p, t) : 0;
		if (err)
			return err;
		err = write_piece(t->fd, from + done, size, &done);
		if (err == ETIMEDOUT && wait_and_reopen(p, t))
			done += size;
		else if (err)
			return stopped_at(p, t, r, body, done, err);
	}
	p->produced += r->messages;
	return 0;
}

/* With commit=close and fsync it is only now known. */
static void close_queues(struct replay *p)
{
	char path[PATH_MAX + 192];

	for (struct target *t = p->targets; t; t = t->hh.next) {
		if (t->fd < 0)
			continue;
		int err = sync_queue(p, t);
		queue_path(p, t, path);
		if (err)
			complain(p, "%s: %s: unless the topic has commit=write, what was produced there may not be there", path, strerror(err));
		close(t->fd);
		t->fd = -1;
	}
}

/* ---- what is said ---- */

static int count_left_out(void *ctx, const struct record *r, const char *topic, const void *body)
{
	struct replay *p = ctx;
	struct target *t = wanted(p, r) ? find_target(p, r) : NULL;
	uint64_t *out = t && !t->why ? left_out(t, r, body) : NULL;

	(void)topic;
	if (out)
		*out += r->messages;
	return 0;
}

static int by_name(const struct target *a, const struct target *b)
{
	int order = strcmp(a->topic, b->topic);

	return order ? order : a->queue < b->queue ? -1 : a->queue > b->queue;
}

static void show_left_out(struct replay *p, uint64_t messages, const char *why)
{
	char n[32];

	if (messages)
		printf(", %s left out: %s", print_count(messages, n), why);
	p->left_out += messages;
}

static uint64_t show(struct replay *p)
{
	uint64_t all = 0;
	char n[32];

	HASH_SORT(p->targets, by_name);
	for (struct target *t = p->targets; t; t = t->hh.next) {
		if (*t->topic)
			printf("%s/%u: ", t->topic, (unsigned)(t->queue & (QUEUES_MAX - 1)));
		else
			printf("topic with id %" PRIu64 ", queue %u: ", t->queue >> QUEUE_BITS, (unsigned)(t->queue & (QUEUES_MAX - 1)));
		printf("%s messages", print_count(t->messages, n));
		show_left_out(p, t->why ? t->messages : 0, t->why);
		show_left_out(p, t->other_framing, "the topic has another framing now");
		show_left_out(p, t->too_long, "a message is longer than the topic's max_message");
		putchar('\n');
		all += t->messages;
	}
	return all;
}

/* ---- all of it ---- */

static int take_operands(struct replay *p)
{
	const struct call *c = p->call;
	const char *from = call_option(c, "from");
	char rest[PATH_MAX], why[WHY], *end;
	uint64_t committed;

	if (!find_lost(c->operand[0], p->store, p->file))
		return call_fail(c, "%s is no file in the directory lost/ of a store", c->operand[0]);
	if (find_mount_of(c->operand[1], p->mountpoint, rest, why))
		return call_fail(c, "%s", why);
	if (*rest)
		return call_fail(c, "%s is not a mountpoint: messages go to the queues that they were of", c->operand[1]);
	if (find_store_of(p->mountpoint, p->log, &committed, why))
		return call_fail(c, "%s", why);
	p->query = dump_all;
	p->query.lost = p->file;
	p->query.log = p->log;
	p->query.committed = committed;
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

	if (read_file(p, count))
		return p->failed;
	p->again = true;
	for (struct target *t = p->targets; t; t = t->hh.next)
		judge(p, t);
	if (read_file(p, count_left_out))
		return p->failed;
	all = show(p);
	if (!call_option(p->call, "produce")) {
		printf("%s messages to produce, %s left out; --produce does it\n", print_count(all - p->left_out, a), print_count(p->left_out, b));
	} else {
		read_file(p, produce);
		close_queues(p);
		if (p->failed)
			return p->failed;
		printf("%s messages produced, %s left out\n", print_count(p->produced, a), print_count(p->left_out, b));
	}
	return p->left_out || p->damaged ? EXIT_WRONG : EXIT_FINE;
}

static void release(struct replay *p)
{
	struct target *t, *next;

	HASH_ITER(hh, p->targets, t, next) {
		HASH_DEL(p->targets, t);
		if (t->fd >= 0)
			close(t->fd);
		free(t);
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
