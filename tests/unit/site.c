/* SPDX-License-Identifier: Apache-2.0 */
#include "site.h"
#include <errno.h>
#include <stdatomic.h>

_Thread_local struct site_frame *site_frame;

static _Thread_local bool halve;       /* the transfer that this thread begins is to be a short one */

struct shot {
	struct site *_Atomic site;
	_Atomic int left;              /* hits until it fails; 0: it has */
	_Atomic int error;
	_Atomic bool halved;
};

static struct {
	struct shot shot[2];
	_Atomic int memory;            /* allocations until one fails */
	_Atomic bool memory_stays;
	_Atomic bool fired;
} armed;

static _Thread_local int met;          /* the error of the last failure */

static void arm(struct shot *to, struct site *s, int nth, int error, bool halved)
{
	to->error = error;
	to->halved = halved;
	to->left = nth;
	to->site = s;
}

void site_arm(struct site *s, int nth, int error, bool halved)
{
	site_disarm();
	arm(&armed.shot[0], s, nth, error, halved);
}

void site_arm_also(struct site *s, int error)
{
	arm(&armed.shot[1], s, 1, error, false);
}

void site_arm_memory(int nth, bool stays)
{
	site_disarm();
	armed.memory_stays = stays;
	armed.memory = nth;
}

void site_disarm(void)
{
	armed.shot[0].site = armed.shot[1].site = NULL;
	armed.memory = 0;
	armed.fired = false;
}

bool site_fired(void)
{
	return armed.fired;
}

int site_error(void)
{
	return met;
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
	for (int i = 0; i < 2; i++) {
		struct shot *shot = &armed.shot[i];
		if (shot->site == s && count_down(&shot->left, false)) {
			met = shot->error;
			halve = shot->halved;
			armed.fired = true;
			return true;
		}
	}
	return false;
}

bool site_fails(struct site *s)
{
	bool fails;

	halve = false;
	fails = hit(s);
	if (s->kind == SITE_MEMORY && count_down(&armed.memory, armed.memory_stays)) {
		met = -ENOMEM;
		fails = armed.fired = true;
	}
	if (!fails || halve)
		return false;
	errno = -met;
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
