/* SPDX-License-Identifier: Apache-2.0 */
#include "site.h"
#include <errno.h>
#include <stdatomic.h>

_Thread_local struct site_frame *site_frame;

static _Thread_local bool halve;       /* the transfer that this thread begins is to be a short one */

static struct {
	struct site *_Atomic site;
	_Atomic int left;              /* hits until it fails; 0: it has, or nothing is armed */
	_Atomic int error;
	_Atomic bool halved;
	_Atomic int memory;            /* allocations until one fails */
	_Atomic bool memory_stays;
	_Atomic bool fired;
} armed;

void site_arm(struct site *s, int nth, int error, bool halved)
{
	site_disarm();
	armed.error = error;
	armed.halved = halved;
	armed.left = nth;
	armed.site = s;
}

void site_arm_memory(int nth, bool stays)
{
	site_disarm();
	armed.error = -ENOMEM;
	armed.memory_stays = stays;
	armed.memory = nth;
}

void site_disarm(void)
{
	armed.site = NULL;
	armed.left = armed.memory = 0;
	armed.halved = armed.fired = false;
}

bool site_fired(void)
{
	return armed.fired;
}

int site_error(void)
{
	return armed.error;
}

/* One call nearer to the one that fails; true: this is it. One that STAYS is never over. */
static bool count_down(_Atomic int *left, bool stays)
{
	int n = *left;

	while (n > (stays ? 1 : 0) && !atomic_compare_exchange_weak(left, &n, n - 1))
		;
	return n == 1;
}

static bool hit(struct site *s)
{
	s->hits++;
	if (armed.site != s || !count_down(&armed.left, false))
		return false;
	s->failed++;
	armed.fired = true;
	return true;
}

bool site_fails(struct site *s)
{
	bool fails = hit(s);

	halve = fails && armed.halved;
	if (s->kind == SITE_MEMORY && count_down(&armed.memory, armed.memory_stays))
		fails = armed.fired = true;
	if (!fails || halve)
		return false;
	errno = -armed.error;
	return true;
}

/* The site itself and, of those that it lies in, the ones that are made of several operations. */
bool site_disk_fails(void)
{
	bool fails = false;

	for (struct site_frame *f = site_frame; f && (f == site_frame || f->site->kind == SITE_FILE); f = f->outer)
		fails |= hit(f->site);
	return fails;
}

size_t site_most(size_t len)
{
	return halve && len > 1 ? len / 2 : len;
}

ssize_t site_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	struct iovec half = {iov->iov_base, site_most(iov->iov_len)};

	return halve ? pwritev(fd, &half, 1, at) : pwritev(fd, iov, n, at);
}
