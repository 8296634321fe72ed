/* SPDX-License-Identifier: Apache-2.0 */
#include "mqctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STEP 100000000    /* ns between two lines */

static int64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void progress_start(struct progress *p, const char *what)
{
	p->what = what;
	p->start = p->last = clock_now();
	p->shown = false;
}

void progress_show(struct progress *p, uint64_t done, uint64_t total)
{
	int64_t now = clock_now();
	char a[24], b[24], rate[24];
	uint64_t second;

	if (now - p->last < STEP || !isatty(STDERR_FILENO))
		return;
	p->last = now;
	p->shown = true;
	second = (uint64_t)((double)done * 1e9 / (double)(now - p->start));
	fprintf(stderr, "\r\033[K%s: %s of %s, %.0f %%, %s/s", p->what, print_size(done, a), print_size(total, b),
		total ? 100.0 * (double)done / (double)total : 100.0, print_size(second, rate));
	fflush(stderr);
}

void progress_clear(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}

const char *print_size(uint64_t bytes, char to[24])
{
	static const char *unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	int u = 0;

	while (v >= 1024 && u < 6) {
		v /= 1024;
		u++;
	}
	snprintf(to, 24, u && v < 100 ? "%.1f %s" : "%.0f %s", v, bytes == 1 ? "byte" : unit[u]);
	return to;
}

const char *print_count(uint64_t count, char to[32])
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count), n = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			to[n++] = ',';
		to[n++] = digits[i];
	}
	to[n] = 0;
	return to;
}

const char *print_span(uint64_t ns, char to[32])
{
	uint64_t s = ns / 1000000000;

	if (s < 120)
		snprintf(to, 32, "%" PRIu64 " s", s);
	else if (s < 7200)
		snprintf(to, 32, "%" PRIu64 " min", s / 60);
	else if (s < 172800)
		snprintf(to, 32, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(to, 32, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	return to;
}
