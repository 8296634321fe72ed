/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_crash - a store on a simulated disk, crashed anywhere, and what must be there after each crash.
 *
 * Seeds are run by some processes side by side. A process that meets a broken rule says which seed it was; that seed is run once more, with
 * its story, whose end is printed. The same seed gives the same story.
 */
#include "run.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Distinct ones, of the default run. */
#ifdef __SANITIZE_ADDRESS__
#define STATES 10000
#else
#define STATES 100000
#endif
#define STORY 80                       /* lines of it that are printed */
#define LINE 400
#define JOBS_MAX 64

/* What the processes share. */
struct shared {
	_Atomic uint64_t next;                 /* seed */
	_Atomic uint64_t distinct;
	_Atomic bool failed;
	uint64_t seed;                         /* that failed */
	char what[512];
	uint64_t running[JOBS_MAX];            /* seeds */
	struct run_counts counts[JOBS_MAX];
	uint64_t mask;
	_Atomic uint64_t seen[];               /* hashes of states; 0: free */
};

struct job {
	struct shared *shared;
	int number;
	/* the story's last lines */
	bool whole;
	char (*lines)[LINE];
	uint64_t told;
};

static const char help[] =
	"usage: test_crash [OPTION]...\n"
	"  -n, --states N   go on until N distinct states were checked; 0: for ever\n"
	"  -s, --seed N     run this seed only, and print its story\n"
	"  -f, --first N    the first seed (1)\n"
	"  -j, --jobs N     processes at once (one a processor, at most 2)\n"
	"  -h, --help       show this\n";

static bool is_new(void *ctx, uint64_t hash)
{
	struct shared *s = ((struct job *)ctx)->shared;

	hash |= 1;
	for (uint64_t at = hash >> 8, tries = 0; tries < 64; at++, tries++) {
		uint64_t there = 0;
		if (atomic_compare_exchange_strong(&s->seen[at & s->mask], &there, hash)) {
			s->distinct++;
			return true;
		}
		if (there == hash)
			return false;
	}
	return false;                  /* the table is full: it may have been a new one */
}

static void tell(void *ctx, const char *line)
{
	struct job *j = ctx;

	if (j->whole)
		puts(line);
	else
		snprintf(j->lines[j->told++ % STORY], LINE, "%s", line);
}

/* Of a process among others: the first one counts. */
static void failed(void *ctx, uint64_t seed, const char *what)
{
	struct shared *s = ((struct job *)ctx)->shared;

	if (!atomic_exchange(&s->failed, true)) {
		s->seed = seed;
		snprintf(s->what, sizeof s->what, "%s", what);
	}
	_exit(1);
}

static void tell_end(const struct job *j)
{
	for (uint64_t n = j->told > STORY ? j->told - STORY : 0; !j->whole && n < j->told; n++)
		puts(j->lines[n % STORY]);
	fflush(stdout);
}

/* Of the one that tells the story. */
static void failed_again(void *ctx, uint64_t seed, const char *what)
{
	tell_end(ctx);
	printf("seed %" PRIu64 ": %s\n", seed, what);
	fflush(stdout);
	_exit(1);
}

/* Blocks of a megabyte come and go with every start: the heap keeps them. */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 2 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	mallopt(M_TOP_PAD, 16 << 20);
}

static int one_seed(struct job *j, uint64_t seed, struct run_counts *counts, bool story)
{
	struct run *r = calloc(1, sizeof *r);
	int err;

	if (!r)
		return -ENOMEM;
	r->seed = seed;
	r->counts = counts;
	r->is_new = is_new;
	r->tell = story ? tell : NULL;
	r->failed = story ? failed_again : failed;
	r->ctx = j;
	err = run_seed(r);
	free(r);
	return err;
}

static void work(struct shared *s, int number, uint64_t states)
{
	struct job j = {.shared = s, .number = number};

	keep_memory();
	while (!s->failed && (!states || s->distinct < states)) {
		s->running[number] = s->next++;
		int err = one_seed(&j, s->running[number], &s->counts[number], false);
		if (err) {
			fprintf(stderr, "test_crash: %s\n", strerror(-err));
			exit(2);
		}
	}
	exit(0);
}

static void add_counts(struct run_counts *to, const struct run_counts *from)
{
	const uint64_t *more = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof *to / sizeof *more; i++)
		((uint64_t *)to)[i] += more[i];
}

static void print_counts(const struct shared *s, int jobs, double seconds)
{
	struct run_counts c = {0};

	for (int i = 0; i < jobs; i++)
		add_counts(&c, &s->counts[i]);
	printf("%" PRIu64 " states, %" PRIu64 " of them distinct, in %.1f s; %" PRIu64 " runs, %" PRIu64 " crashes, %" PRIu64 " starts, %" PRIu64
		" calls of the disk\n", c.states, s->distinct, seconds, c.runs, c.crashes, c.starts, c.calls);
	printf("%" PRIu64 " appends, %" PRIu64 " acknowledged, %" PRIu64 " refused; %" PRIu64 " changes, %" PRIu64 " reads\n", c.appends, c.acked, c.refused,
		c.changes, c.reads);
	for (int b = 0; b < BRANCHES; b++)
		printf("%10" PRIu64 "  %s\n", c.branches[b], branch_names[b]);
	fflush(stdout);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Whose story ends by a signal. */
static struct job *telling;

static void died(int sig)
{
	tell_end(telling);
	signal(sig, SIG_DFL);
	raise(sig);
}

static int tell_story(struct shared *s, uint64_t seed, bool whole)
{
	struct run_counts counts = {0};
	struct job j = {.shared = s, .whole = whole, .lines = calloc(STORY, LINE)};
	int err;

	telling = &j;
	signal(SIGABRT, died);
	signal(SIGSEGV, died);
	err = j.lines ? one_seed(&j, seed, &counts, true) : -ENOMEM;

	free(j.lines);
	if (err) {
		fprintf(stderr, "test_crash: %s\n", strerror(-err));
		return 2;
	}
	printf("seed %" PRIu64 ": %" PRIu64 " states, nothing is broken\n", seed, counts.states);
	return 0;
}

static struct shared *share(uint64_t states)
{
	uint64_t slots = 1 << 20;
	struct shared *s;

	while (states ? slots < 2 * states : slots < (uint64_t)1 << 26)
		slots *= 2;
	s = mmap(NULL, sizeof *s + slots * sizeof s->seen[0], PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s == MAP_FAILED)
		return NULL;
	s->mask = slots - 1;
	return s;
}

static void note_signal(struct shared *s, const pid_t *pids, int jobs, pid_t pid, int sig)
{
	if (atomic_exchange(&s->failed, true))
		return;
	for (int i = 0; i < jobs; i++)
		if (pids[i] == pid)
			s->seed = s->running[i];
	snprintf(s->what, sizeof s->what, "signal %d", sig);
}

static int run_all(struct shared *s, uint64_t states, int jobs)
{
	double begin = now(), told = begin;
	int left = jobs, status, bad = 0;
	pid_t pids[JOBS_MAX];

	fflush(stdout);
	for (int i = 0; i < jobs; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			work(s, i, states);
		if (pids[i] < 0) {
			perror("test_crash: fork");
			return 2;
		}
	}
	while (left) {
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid > 0) {
			left--;
			bad = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? bad : 1;
			if (WIFSIGNALED(status))
				note_signal(s, pids, jobs, pid, WTERMSIG(status));
			continue;
		}
		usleep(20000);
		if (now() - told > 600) {
			told = now();
			print_counts(s, jobs, told - begin);
		}
	}
	print_counts(s, jobs, now() - begin);
	if (s->what[0]) {
		printf("seed %" PRIu64 " failed: %s\nthe end of its story:\n", s->seed, s->what);
		fflush(stdout);
		if (fork() == 0)
			exit(tell_story(s, s->seed, false));
		wait(&status);
	}
	return bad;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"states", required_argument, NULL, 'n'}, {"seed", required_argument, NULL, 's'},
		{"first", required_argument, NULL, 'f'}, {"jobs", required_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	uint64_t states = STATES, seed = 0, first = 1;
	int jobs = (int)sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1, option;
	bool one = false;
	struct shared *s;

	while ((option = getopt_long(argc, argv, "n:s:f:j:h", longs, NULL)) != -1) {
		switch (option) {
		case 'n':
			states = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			one = true;
			break;
		case 'f':
			first = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			jobs = atoi(optarg) > 0 && atoi(optarg) <= JOBS_MAX ? atoi(optarg) : 1;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs(help, stderr);
			return 2;
		}
	}
	s = share(one ? 1 : states);
	if (!s) {
		perror("test_crash");
		return 2;
	}
	s->next = first;
	keep_memory();
	return one ? tell_story(s, seed, true) : run_all(s, states, jobs);
}
