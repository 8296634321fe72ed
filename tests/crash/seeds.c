/* SPDX-License-Identifier: Apache-2.0 */
#include "seeds.h"
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
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STORY 80                       /* lines of it that are printed */
#define LINE 400
#define JOBS_MAX 64
#define TOLD_EVERY 600                 /* s */
#define SEED_TIME 60                   /* s of the processor that a seed may take: who takes more never ends */

/* What the processes share. */
struct shared {
	_Atomic uint64_t next;                 /* seed */
	_Atomic uint64_t distinct;
	_Atomic bool failed;
	uint64_t seed;                         /* that failed */
	char what[512];
	uint64_t running[JOBS_MAX];            /* seeds */
	void *counts;                          /* of each process */
	uint64_t mask;
	_Atomic uint64_t seen[];               /* hashes of cases; 0: free */
};

struct job {
	const struct simulation *simulation;
	struct shared *shared;
	/* the story's last lines */
	bool whole;
	char (*lines)[LINE];
	uint64_t told;
};

static void help(const struct simulation *m, FILE *to)
{
	char cases[32];

	snprintf(cases, sizeof cases, "--%s N", m->cases);
	fprintf(to,
		"usage: %s [OPTION]...\n"
		"  -n, %-14s  go on until N distinct %s were checked; 0: for ever\n"
		"  -s, --seed N        run this seed only, and print its story\n"
		"  -f, --first N       the first seed (1)\n"
		"  -j, --jobs N        processes at once (one a processor, at most 2)\n"
		"  -h, --help          show this\n",
		m->name, cases, m->cases);
}

static void *counts_of(const struct simulation *m, const struct shared *s, int job)
{
	return (char *)s->counts + (size_t)job * m->counts;
}

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

static int one_seed(struct job *j, uint64_t number, void *counts, bool story)
{
	const struct itimerval time = {.it_value = {.tv_sec = SEED_TIME}};
	struct seed s = {.number = number, .counts = counts, .is_new = is_new, .tell = story ? tell : NULL,
		.failed = story ? failed_again : failed, .ctx = j};

	setitimer(ITIMER_PROF, &time, NULL);   /* SIGPROF ends the process */
	mallopt(M_PERTURB, 1 + (int)(number % 254));   /* what is read before it is written is garbage, and the same each time */
	return j->simulation->run(&s);
}

static void work(const struct simulation *m, struct shared *s, int number, uint64_t cases)
{
	struct job j = {.simulation = m, .shared = s};

	keep_memory();
	while (!s->failed && (!cases || s->distinct < cases)) {
		s->running[number] = s->next++;
		int err = one_seed(&j, s->running[number], counts_of(m, s, number), false);
		if (err) {
			fprintf(stderr, "%s: %s\n", m->name, strerror(-err));
			exit(2);
		}
	}
	exit(0);
}

/* All of it is uint64_t; to be freed. */
static void *sum_counts(const struct simulation *m, const struct shared *s, int jobs)
{
	uint64_t *sum = calloc(1, m->counts);

	for (int job = 0; sum && job < jobs; job++) {
		const uint64_t *more = counts_of(m, s, job);
		for (size_t i = 0; i < m->counts / sizeof *sum; i++)
			sum[i] += more[i];
	}
	return sum;
}

static void print_counts(const struct simulation *m, const struct shared *s, int jobs, double seconds)
{
	void *sum = sum_counts(m, s, jobs);

	if (sum)
		m->print(sum, s->distinct, seconds);
	free(sum);
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

static int tell_story(const struct simulation *m, struct shared *s, uint64_t seed, bool whole)
{
	struct job j = {.simulation = m, .shared = s, .whole = whole, .lines = calloc(STORY, LINE)};
	void *counts = calloc(1, m->counts);
	int err;

	telling = &j;
	signal(SIGABRT, died);
	signal(SIGPROF, died);
	signal(SIGSEGV, died);
	err = j.lines && counts ? one_seed(&j, seed, counts, true) : -ENOMEM;
	free(j.lines);
	if (err)
		fprintf(stderr, "%s: %s\n", m->name, strerror(-err));
	else
		printf("seed %" PRIu64 ": %" PRIu64 " %s, nothing is broken\n", seed, m->cases_of(counts), m->cases);
	free(counts);
	return err ? 2 : 0;
}

static void *memory(size_t len)
{
	void *m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return m == MAP_FAILED ? NULL : m;
}

static struct shared *share(const struct simulation *m, uint64_t cases)
{
	uint64_t slots = 1 << 20;
	struct shared *s;

	while (cases ? slots < 2 * cases : slots < (uint64_t)1 << 26)
		slots *= 2;
	s = memory(sizeof *s + slots * sizeof s->seen[0]);
	if (s)
		s->counts = memory(JOBS_MAX * m->counts);
	if (!s || !s->counts)
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

static int wait_for_all(const struct simulation *m, struct shared *s, const pid_t *pids, int jobs, double begin)
{
	double told = begin;
	int left = jobs, status, bad = 0;

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
		if (now() - told > TOLD_EVERY) {
			told = now();
			print_counts(m, s, jobs, told - begin);
		}
	}
	return bad;
}

static int judge_reach(const struct simulation *m, const struct shared *s, int jobs)
{
	void *sum = m->missing ? sum_counts(m, s, jobs) : NULL;
	const char *missing = sum ? m->missing(sum) : NULL;

	if (missing)
		printf("never reached: %s\n", missing);
	free(sum);
	return missing ? 1 : 0;
}

static int run_all(const struct simulation *m, struct shared *s, uint64_t cases, int jobs)
{
	double begin = now();
	pid_t pids[JOBS_MAX];
	int status, bad;

	fflush(stdout);
	for (int i = 0; i < jobs; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			work(m, s, i, cases);
		if (pids[i] < 0) {
			fprintf(stderr, "%s: fork: %s\n", m->name, strerror(errno));
			return 2;
		}
	}
	bad = wait_for_all(m, s, pids, jobs, begin);
	print_counts(m, s, jobs, now() - begin);
	if (s->what[0]) {
		printf("seed %" PRIu64 " failed: %s\nthe end of its story:\n", s->seed, s->what);
		fflush(stdout);
		if (fork() == 0)
			exit(tell_story(m, s, s->seed, false));
		wait(&status);
	} else if (!bad && cases >= m->enough) {
		bad = judge_reach(m, s, jobs);
	}
	return bad;
}

int seeds_main(const struct simulation *m, int argc, char **argv)
{
	const struct option longs[] = {{m->cases, required_argument, NULL, 'n'}, {"seed", required_argument, NULL, 's'},
		{"first", required_argument, NULL, 'f'}, {"jobs", required_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	uint64_t cases = m->enough, seed = 0, first = 1;
	int jobs = (int)sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1, option;
	bool one = false;
	struct shared *s;

	while ((option = getopt_long(argc, argv, "n:s:f:j:h", longs, NULL)) != -1) {
		switch (option) {
		case 'n':
			cases = strtoull(optarg, NULL, 0);
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
			help(m, stdout);
			return 0;
		default:
			help(m, stderr);
			return 2;
		}
	}
	s = share(m, one ? 1 : cases);
	if (!s) {
		perror(m->name);
		return 2;
	}
	s->next = first;
	keep_memory();
	return one ? tell_story(m, s, seed, true) : run_all(m, s, cases, jobs);
}
