/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stress - all threads that a store can have at once, for the thread sanitizer: writers that wait for their commits and such as do not,
 * readers that are parked at the end, a reader of a whole topic, changes of topics, heads, settings and owners, status, checkpoints and
 * retention by the keeper; then the store is stopped under them, opened again, and read from end to end.
 *
 *	stress [--seconds N] [--rounds N] [DIRECTORY]
 *
 * Exit status 0: every byte read was one that was written, in order, and nothing acknowledged is missing.
 */
#include "holds.h"
#include "ledger.h"
#include "options.h"
#include "parts.h"
#include "store.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE 16384u

static const char *const names[TOPICS] = {"orders", "audit"};

struct stress {
	struct store *store;
	struct topic *topic[TOPICS];
	struct ledger ledger;
	pthread_barrier_t together;      /* all threads are there */
	_Atomic bool stop;
	_Atomic uint64_t appends, reads, changes;
};

struct worker {
	pthread_t thread;
	struct stress *s;
	unsigned number;
	void (*work)(struct worker *w);
};

/* ---- writers ---- */

struct told {
	struct follower follow;
	sem_t sem;
	int err;
};

static void told(struct follower *f, int err)
{
	struct told *t = (struct told *)f;

	t->err = err;
	sem_post(&t->sem);
}

static int wait_committed(struct store *s, uint64_t pos)
{
	struct told t = {.follow = {.pos = pos, .done = told}};
	int err;

	sem_init(&t.sem, 0, 0);
	err = store_follow(s, &t.follow);
	if (!err) {
		sem_wait(&t.sem);
		err = t.err;
	}
	sem_destroy(&t.sem);
	return err;
}

/* Writer N waits for each, for one in N, or goes on and takes the follower back. */
static int follow(struct stress *s, unsigned n, uint64_t count, uint64_t end)
{
	struct told t = {.follow = {.pos = end, .done = told}};
	int err;

	if (count % (n + 1) == 0)
		return wait_committed(s->store, end);
	if (count % 7)
		return -EAGAIN;
	sem_init(&t.sem, 0, 0);
	err = store_follow(s->store, &t.follow);
	if (!err && store_unfollow(s->store, &t.follow))
		err = -EAGAIN;
	else if (!err)
		sem_wait(&t.sem), err = t.err;
	sem_destroy(&t.sem);
	return err;
}

static void write_some(struct worker *w)
{
	struct stress *s = w->s;
	char text[LEDGER_LINES * LEDGER_LINE];

	for (uint64_t count = 0; !s->stop; count++) {
		unsigned t = count / 3 % TOPICS, q = (unsigned)count % QUEUES, lines = (unsigned)count % LEDGER_LINES + 1;
		struct iovec iov = {text, ledger_write(&s->ledger, w->number, t, q, lines, text)};
		struct batch b = {.iov = &iov, .iovcnt = 1, .messages = lines, .later = count % 3 == 0};
		struct place at;
		int err = store_append(topic_queue(s->topic[t], q), &b, &at);
		if (err == 0 && b.later)
			err = store_append_end(topic_queue(s->topic[t], q), at.end);

		if (err == -ENOTCONN)
			break;
		check(err == 0);
		ledger_appended(&s->ledger, w->number, t, q, lines);
		err = follow(s, w->number, count, at.end);
		check(err == 0 || err == -EAGAIN || err == -ENOTCONN);
		if (err == 0)
			ledger_acknowledged(&s->ledger, w->number, t, q);
		s->appends++;
	}
}

/* ---- readers ---- */

struct parked {
	struct watcher watcher;
	sem_t sem;
};

static void ready(struct watcher *w, int err)
{
	(void)err;
	sem_post(&((struct parked *)w)->sem);
}

/* Until there is more; every third time it is not waited for after all. */
static int park(struct stress *s, struct queue *q, uint64_t offset, uint64_t count)
{
	struct parked p = {.watcher = {.ready = ready}};
	int err;

	sem_init(&p.sem, 0, 0);
	if (count % 2)
		p.watcher.deadline = commit_clock() + 20000000;
	err = watch_queue(q, offset, &p.watcher);
	if (!err && !(count % 3 == 0 && unwatch(s->store, &p.watcher)))
		sem_wait(&p.sem);
	sem_destroy(&p.sem);
	return err < 0 ? err : 0;
}

static size_t take(struct slice *from, char *to)
{
	size_t n = from->bytes;

	check(slice_copy(from, to) == 0);
	slice_free(from);
	return n;
}

static void read_queue(struct worker *w)
{
	struct stress *s = w->s;
	unsigned t = w->number % TOPICS, n = w->number / TOPICS % QUEUES;
	struct queue *q = topic_queue(s->topic[t], n);
	struct view *v = view_new(t, n);
	char *bytes = malloc(PIECE);
	uint64_t offset = 0, count = 0;
	struct reader *r;
	struct slice to;

	check(v && bytes && reader_new(&r, s->store, q) == 0);
	slice_init(&to);
	for (; !s->stop; count++) {
		ssize_t got = offset < q->head ? -ENODATA : reader_read(r, offset, count % 3 ? PIECE : 100, &to);

		check(got >= 0 || got == -ENODATA);
		if (got > 0) {
			take(&to, bytes);
			view_take(v, bytes, (size_t)got);
			offset += (uint64_t)got;
			s->reads++;
		} else if (got == -ENODATA) {
			slice_free(&to);
			offset = q->head;
			view_skip(v);
		} else if (park(s, q, offset, count)) {
			break;
		}
	}
	slice_free(&to);
	reader_free(r);
	view_free(v);
	free(bytes);
}

static void read_topic(struct worker *w)
{
	struct stress *s = w->s;
	struct merge *m;
	struct slice to;

	check(merge_new(&m, s->store, s->topic[0], 0) == 0);
	slice_init(&to);
	while (!s->stop) {
		uint64_t seen = s->topic[0]->commits;
		ssize_t got = merge_read(m, PIECE, &to);
		struct parked p = {.watcher = {.ready = ready}};
		int err = 0;

		check(got >= 0);
		slice_free(&to);
		if (got)
			continue;
		sem_init(&p.sem, 0, 0);
		err = watch_topic(s->topic[0], seen, &p.watcher);
		if (!err)
			sem_wait(&p.sem);
		sem_destroy(&p.sem);
		if (err < 0)
			break;
	}
	slice_free(&to);
	merge_free(m);
}

/* ---- changes ---- */

static int command(struct stress *s, struct command *c, int err)
{
	err = command_wait(c, err);
	s->changes++;
	return err;
}
#define COMMAND(call) ({ struct command *c = command_new_waited(); check(c); command(s, c, call); })

static void short_lived(struct stress *s, uint64_t count)
{
	struct owner owner = {.mode = 0755};
	char name[32], text[] = "a message\n";
	struct iovec iov = {text, sizeof text - 1};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place at;
	struct topic *t;

	snprintf(name, sizeof name, "short-%u", (unsigned)(count % 5));
	if (COMMAND(store_mkdir(s->store, c, name, &owner)) != 0)
		return;
	t = topic_find(s->store, name);
	check(t);
	COMMAND(store_set_queues(s->store, c, t, 4));
	for (unsigned n = 0; n < 4 && topic_queue(t, n); n++)
		store_append(topic_queue(t, n), &b, &at);
	COMMAND(store_set_retired(s->store, c, t, true));
	COMMAND(store_rmdir(s->store, c, t));
	topic_put(t);
}

static void change(struct worker *w)
{
	struct stress *s = w->s;
	struct owner owner = {.mode = 0700};

	for (uint64_t count = 0; !s->stop; count++) {
		struct topic *t = s->topic[count % TOPICS];
		struct queue *q = topic_queue(t, 0);
		struct head_move move = {.queue = q->id, .head = q->committed / 2};
		uint64_t start;

		short_lived(s, count);
		COMMAND(store_set(s->store, c, t, SETTING_COMMIT, count % 2 ? "fsync" : "default"));
		COMMAND(store_set_owner(s->store, c, t, q, OWNER_MODE, &owner));
		if (move.head > q->head && queue_message_start(s->store, q, move.head, &start) == 0) {
			move.head = start;
			COMMAND(store_set_heads(s->store, c, &move, 1));
		}
	}
}

static void look(struct worker *w)
{
	struct stress *s = w->s;

	while (!s->stop) {
		struct store_status status;
		struct pin pins[8];
		struct topic *t = NULL, *next;
		struct owner owner;

		store_status(s->store, &status);
		check(status.log_start <= status.log_committed && status.log_committed <= status.log_end);
		store_pins(s->store, pins, 8);
		while ((next = topic_next(s->store, t ? t->id : 0))) {
			topic_put(t);
			t = next;
			for (uint32_t n = 0; topic_queue(t, n); n++) {
				owner_get(s->store, t, topic_queue(t, n), &owner);
				check(queue_retained(topic_queue(t, n)) <= queue_appended(topic_queue(t, n)));
			}
		}
		topic_put(t);
		usleep(1000);
	}
}

/* ---- rounds ---- */

static void *run(void *ctx)
{
	struct worker *w = ctx;

	pthread_barrier_wait(&w->s->together);
	w->work(w);
	return NULL;
}

static void say(void *ctx, int priority, const char *text)
{
	(void)ctx;
	fprintf(stderr, "%d: %s\n", priority, text);
}

static void open_store(struct stress *s, const char *path)
{
	struct store_options o;
	char why[STORE_WHY];

	store_options_normal(&o);
	o.segment_size = 256 << 10;
	o.checkpoint_every = 1 << 20;
	o.commit_timeout = 600000000000u;        /* a slow disk is no finding */
	o.say = say;
	if (store_open(&s->store, path, &o, why) != 0) {
		fprintf(stderr, "stress: %s %s\n", path, why);
		exit(1);
	}
	for (unsigned t = 0; t < TOPICS; t++) {
		s->topic[t] = topic_find(s->store, names[t]);
		if (s->topic[t])
			continue;
		check(COMMAND(store_mkdir(s->store, c, names[t], &o.owner)) == 0);
		s->topic[t] = topic_find(s->store, names[t]);
		check(COMMAND(store_set_queues(s->store, c, s->topic[t], QUEUES)) == 0);
	}
	/* so that segments go while they are read */
	check(COMMAND(store_set(s->store, c, s->topic[1], SETTING_RETENTION_SIZE, "256K")) == 0);
}

static void close_store(struct stress *s)
{
	for (unsigned t = 0; t < TOPICS; t++)
		topic_put(s->topic[t]);
	store_close(s->store);
}

static void round_of(struct stress *s, unsigned milliseconds)
{
	static void (*const work[])(struct worker *) = {write_some, write_some, write_some, write_some, read_queue, read_queue, read_queue,
		read_topic, change, look};
	struct worker worker[sizeof work / sizeof *work];
	unsigned count = sizeof work / sizeof *work;

	s->stop = false;
	pthread_barrier_init(&s->together, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		worker[i] = (struct worker){.s = s, .number = i, .work = work[i]};
		check(pthread_create(&worker[i].thread, NULL, run, &worker[i]) == 0);
	}
	usleep(milliseconds * 1000);
	store_stop(s->store);            /* with all of them at it */
	s->stop = true;
	for (unsigned i = 0; i < count; i++)
		pthread_join(worker[i].thread, NULL);
	pthread_barrier_destroy(&s->together);
}

/* What is there from the head on must be all that was acknowledged. */
static void read_all(struct stress *s)
{
	char *bytes = malloc(PIECE);

	check(bytes);
	for (unsigned t = 0; t < TOPICS; t++)
		for (unsigned n = 0; n < QUEUES; n++) {
			struct queue *q = topic_queue(s->topic[t], n);
			uint64_t offset = q->head;
			struct view *v = view_new(t, n);
			struct reader *r;
			struct slice to;
			ssize_t got;

			check(v && reader_new(&r, s->store, q) == 0);
			slice_init(&to);
			while ((got = reader_read(r, offset, PIECE, &to)) > 0) {
				take(&to, bytes);
				view_take(v, bytes, (size_t)got);
				offset += (uint64_t)got;
			}
			check(got == 0 && offset == q->committed);
			view_is_all(v, &s->ledger);
			reader_free(r);
			view_free(v);
		}
	free(bytes);
}

int main(int argc, char **argv)
{
	struct stress_options o = {.rounds = 3, .seconds = 3};
	char scratch[] = "/tmp/mqfs-stress.XXXXXX";
	static struct stress s;
	const char *path;

	if (!stress_options(&o, argc, argv, "stress"))
		return 2;
	path = o.directory ? o.directory : mkdtemp(scratch);
	check(path);
	open_store(&s, path);
	for (unsigned n = 0; n < o.rounds; n++) {
		round_of(&s, o.seconds * 1000 / o.rounds);
		close_store(&s);
		open_store(&s, path);
		read_all(&s);
	}
	close_store(&s);
	if (path == scratch)
		remove_tree(path);
	printf("%u rounds: %lu appends, %lu reads, %lu changes; all that was acknowledged is there\n", o.rounds, (unsigned long)s.appends,
		(unsigned long)s.reads, (unsigned long)s.changes);
	return 0;
}
