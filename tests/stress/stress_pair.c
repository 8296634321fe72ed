/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stress_pair - two nodes with all their threads, for the thread sanitizer, while their logs rot: writers at the primary, readers of both
 * nodes, scrubs, links that break, and a place after the other that is damaged on one of the disks, found by whoever comes by, fetched from
 * the other node and written back by the keeper. Then both are stopped under them, opened again, and read from end to end.
 *
 *	stress_pair [--seconds N] [--rounds N] [DIRECTORY]
 *
 * Exit status 0: every byte read was one that was written, in order; nothing acknowledged is missing on either node; and what rotted is as
 * it was.
 */
#include "holds.h"
#include "ledger.h"
#include "nodes.h"
#include "options.h"
#include "parts.h"
#include "../unit/committed.h"
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE 16384u
#define FRESH 64u                        /* records that the next rot is chosen from */
#define AT_ONCE 4u                       /* places that rot together */

/* A byte of a record on the disk of a node. */
struct rot {
	struct node *node;
	uint64_t pos;                    /* of the record, in the log */
	uint64_t at;                     /* of the byte */
	uint8_t was;
};

struct fresh {
	uint64_t pos, end;
};

struct stress {
	struct node node[2];
	struct wire wire[2];
	struct ledger ledger;
	sem_t moved;                     /* the progress of either store */
	/* Held for writing while bytes rot: a disk does not change what is in memory, between a reader's look at a checksum and its copy. */
	pthread_rwlock_t rotting;
	pthread_mutex_t lock;            /* what is fresh: none rots twice, as one that was found sound is not looked at again at once */
	struct fresh fresh[FRESH];
	unsigned freshes;
	struct rot rot[AT_ONCE];         /* not seen to be repaired yet */
	unsigned rots;
	pthread_barrier_t together;
	_Atomic bool stop;
	_Atomic unsigned batches[2];     /* of rot that a node was repaired of, in this round */
	_Atomic uint64_t appends, reads, damaged, rotted;
};

struct worker {
	pthread_t thread;
	struct stress *s;
	unsigned number;
	void (*work)(struct worker *w);
};

/* ---- writers ---- */

static void note_fresh(struct stress *s, uint64_t end, size_t len)
{
	pthread_mutex_lock(&s->lock);
	s->fresh[s->freshes % FRESH] = (struct fresh){end - record_size((uint32_t)len), end};
	s->freshes += s->freshes < FRESH;
	pthread_mutex_unlock(&s->lock);
}

/* The lines are the log's; false: it ends. */
static bool append_lines(struct worker *w, unsigned t, unsigned q, unsigned lines)
{
	struct stress *s = w->s;
	struct store *store = s->node[0].store;
	char text[LEDGER_LINES * LEDGER_LINE];
	struct iovec iov = {text, ledger_write(&s->ledger, w->number, t, q, lines, text)};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = lines};
	struct place at;
	int err = store_append(topic_queue(s->node[0].topic[t], q), &b, &at);

	if (err == -EHOSTDOWN)           /* no link for now */
		pause_shortly();
	if (err == -EHOSTDOWN || err == -ENOTCONN)
		return err == -EHOSTDOWN;
	check(err == 0);
	ledger_appended(&s->ledger, w->number, t, q, lines);
	err = wait_committed(store, at.end);
	check(err == 0 || err == -ENOTCONN);
	if (err)
		return false;
	ledger_acknowledged(&s->ledger, w->number, t, q);
	note_fresh(s, at.end, iov.iov_len);
	s->appends++;
	return true;
}

static void write_some(struct worker *w)
{
	for (uint64_t count = 0; !w->s->stop; count++)
		if (!append_lines(w, count / 3 % TOPICS, (unsigned)count % QUEUES, (unsigned)count % LEDGER_LINES + 1))
			break;
}

/* ---- readers ---- */

/* From OFFSET on, whatever is there, to V. -EIO: it is damaged. */
static ssize_t read_piece(struct stress *s, struct reader *r, uint64_t offset, struct view *v)
{
	char bytes[PIECE];
	struct slice to;
	ssize_t got;

	slice_init(&to);
	pthread_rwlock_rdlock(&s->rotting);
	got = reader_read(r, offset, sizeof bytes, &to);
	if (got > 0)
		check(slice_copy(&to, bytes) == 0);
	pthread_rwlock_unlock(&s->rotting);
	slice_free(&to);
	if (got > 0)
		view_take(v, bytes, (size_t)got);
	check(got >= 0 || got == -EIO);
	return got;
}

/* All of one queue, waiting for what is damaged to be repaired. ALL: whatever was acknowledged, and however long that takes. */
static void read_queue(struct stress *s, struct node *n, unsigned t, unsigned q, bool all)
{
	struct queue *queue = topic_queue(n->topic[t], q);
	int64_t last = link_in(PATIENCE_NS);
	struct view *v = view_new(t, q);
	uint64_t offset = 0;
	struct reader *r;
	ssize_t got = 1;

	check(v && reader_new(&r, n->store, queue) == 0);
	while (got && (all || !s->stop)) {
		got = read_piece(s, r, offset, v);
		if (got > 0) {
			offset += (uint64_t)got;
			last = link_in(PATIENCE_NS);
			s->reads++;
		} else if (got < 0) {
			check(link_in(0) < last);
			s->damaged++;
			pause_shortly();
		}
	}
	if (all) {
		check(offset == queue->committed);
		view_is_all(v, &s->ledger);
	}
	reader_free(r);
	view_free(v);
}

static void read_over(struct worker *w)
{
	for (unsigned n = w->number; !w->s->stop; n++) {
		read_queue(w->s, &w->s->node[w->number % 2], n / 2 % TOPICS, n / 4 % QUEUES, false);
		pause_shortly();
	}
}

static void look(struct worker *w)
{
	static struct replicator_status r[2];
	struct stress *s = w->s;

	for (unsigned count = 0; !s->stop; count++) {
		struct node *n = &s->node[count % 2];
		struct store_status status;

		store_status(n->store, &status);
		check(status.log_committed <= status.log_end);
		replicator_status(n->replicator, &r[count % 2]);
		if (count % 50 < 2)
			store_scrub(n->store);
		pause_shortly();
	}
}

/* ---- rot ---- */

/* Of the record: its header, or its body. */
static void rot_one(struct stress *s, struct node *n, const struct fresh *f, bool header)
{
	struct rot *r = &s->rot[s->rots++];
	uint8_t becomes;

	*r = (struct rot){.node = n, .pos = f->pos, .at = f->pos + (header ? 9 : RECORD_HEADER + 3)};
	r->was = node_byte(n, r->at, NULL);
	becomes = r->was ^ 0x40;
	node_byte(n, r->at, &becomes);
	s->rotted++;
}

/* Some records of N, which the other node has too: what it committed. Every other time somebody says where; else they are come by. */
static void rot_some(struct stress *s, struct node *n, unsigned count)
{
	pthread_rwlock_wrlock(&s->rotting);
	pthread_mutex_lock(&s->lock);
	while (s->freshes && s->rots < count % AT_ONCE + 1) {
		s->freshes--;
		rot_one(s, n, &s->fresh[s->freshes], (count + s->rots) % 3 == 0);
	}
	pthread_mutex_unlock(&s->lock);
	pthread_rwlock_unlock(&s->rotting);
	for (unsigned i = 0; i < s->rots; i++)
		if (count % 2)
			store_damaged(n->store, DAMAGE_RECORD, s->rot[i].pos, "a record that this test has damaged");
}

static bool is_sound(struct stress *s)
{
	while (s->rots && node_byte(s->rot[s->rots - 1].node, s->rot[s->rots - 1].at, NULL) == s->rot[s->rots - 1].was)
		s->rots--;
	return !s->rots;
}

/* False: it is to stop before. */
static bool wait_sound(struct stress *s)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_NS / 1000000000;
	for (;;) {
		for (int i = 0; i < 2; i++)
			progress_arm(store_progress(s->node[i].store), &s->node[i].waiter);
		if (is_sound(s))
			return true;
		if (s->stop)
			return false;
		check(sem_timedwait(&s->moved, &until) == 0 || errno == EINTR);
	}
}

static void rot_over(struct worker *w)
{
	struct stress *s = w->s;

	for (unsigned count = 0; !s->stop; count++) {
		unsigned n = count / 3 % 2;

		rot_some(s, &s->node[n], count);
		if (s->rots && wait_sound(s))
			s->batches[n]++;
		pause_shortly();
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

/* Both of them, in this round. */
static bool has_rotted(struct stress *s)
{
	return s->batches[0] && s->batches[1];
}

static void round_of(struct stress *s, unsigned milliseconds)
{
	static void (*const work[])(struct worker *) = {write_some, write_some, write_some, read_over, read_over, read_over, read_over, look, rot_over};
	struct worker worker[sizeof work / sizeof *work];
	unsigned count = sizeof work / sizeof *work;
	int64_t last;

	s->stop = false;
	s->batches[0] = s->batches[1] = 0;
	pthread_barrier_init(&s->together, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		worker[i] = (struct worker){.s = s, .number = i, .work = work[i]};
		check(pthread_create(&worker[i].thread, NULL, run, &worker[i]) == 0);
	}
	usleep(milliseconds * 600);
	wire_break(&s->wire[1]);
	usleep(milliseconds * 400);
	last = link_in(PATIENCE_NS);
	while (!has_rotted(s) && link_in(0) < last)
		pause_shortly();
	check(has_rotted(s));
	nodes_stop(s->node);                  /* with all of them at it */
	s->stop = true;
	sem_post(&s->moved);
	for (unsigned i = 0; i < count; i++)
		pthread_join(worker[i].thread, NULL);
	pthread_barrier_destroy(&s->together);
}

/* What rotted last was not seen to be repaired: it is found again now. */
static void read_all(struct stress *s)
{
	s->stop = false;
	for (unsigned i = 0; i < s->rots; i++)
		store_damaged(s->rot[i].node->store, DAMAGE_RECORD, s->rot[i].pos, "a record that this test has damaged");
	check(wait_sound(s));
	for (unsigned n = 0; n < 2 * TOPICS * QUEUES; n++)
		read_queue(s, &s->node[n % 2], n / 2 % TOPICS, n / 4 % QUEUES, true);
}

static void begin(struct stress *s, const char *path)
{
	pthread_rwlockattr_t writers_first;

	pthread_rwlockattr_init(&writers_first);
	pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&s->rotting, &writers_first);
	pthread_rwlockattr_destroy(&writers_first);
	pthread_mutex_init(&s->lock, NULL);
	sem_init(&s->moved, 0, 0);
	wire_init(s->wire, "a", "b");
	nodes_init(s->node, s->wire, path, &s->moved);
}

static void stress(struct stress *s, const char *path, unsigned rounds, unsigned seconds)
{
	begin(s, path);
	nodes_open(s->node, true);
	for (unsigned n = 0; n < rounds; n++) {
		round_of(s, seconds * 1000 / rounds);
		nodes_close(s->node);
		nodes_open(s->node, false);
		read_all(s);
	}
	nodes_stop(s->node);
	nodes_close(s->node);
	wire_end(s->wire);
}

int main(int argc, char **argv)
{
	struct stress_options o = {.rounds = 2, .seconds = 3};
	char scratch[] = "/tmp/mqfs-stress.XXXXXX";
	static struct stress s;
	const char *path;

	if (!stress_options(&o, argc, argv, "stress_pair"))
		return 2;
	path = o.directory ? o.directory : mkdtemp(scratch);
	check(path);
	stress(&s, path, o.rounds, o.seconds);
	if (path == scratch)
		remove_tree(path);
	printf("%u rounds: %lu appends, %lu reads, %lu came by damage, %lu places rotted and are as they were\n", o.rounds, (unsigned long)s.appends,
		(unsigned long)s.reads, (unsigned long)s.damaged, (unsigned long)s.rotted);
	return 0;
}
