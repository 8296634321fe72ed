/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1              /* before uthash.h: an entry that could not be added has no table */
#include "lock.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

/* A circle is looked for among so many owners and waits, and held locks, and is not found beyond: everybody waits for the table
 * meanwhile. The kernel follows 10. */
#define CIRCLE_MOST 64u
#define CIRCLE_LOOKS 65536u

/* One lock that is held. Those of one owner and kind never overlap, and neighbours of one type are one. */
struct held {
	struct lock lock;
	struct held *prev, *next;
};

struct file {
	uint64_t inode;
	struct held *held;
	UT_hash_handle hh;
};

struct locks {
	pthread_mutex_t lock;
	struct file *files;              /* those with a lock held */
	struct lock_wait *waits;         /* first come, first served */
	int stopped;                     /* the error that ends waits, or 0 */
	_Atomic size_t held;             /* locks; read without the lock by those who only want to know that there are none */
};

int locks_new(struct locks **l)
{
	*l = calloc(1, sizeof **l);
	if (!*l)
		return -ENOMEM;
	pthread_mutex_init(&(*l)->lock, NULL);
	return 0;
}

static struct file *file_find(struct locks *l, uint64_t inode)
{
	struct file *f;

	HASH_FIND(hh, l->files, &inode, sizeof inode, f);
	return f;
}

static struct file *file_make(struct locks *l, uint64_t inode)
{
	struct file *f = file_find(l, inode);

	if (f)
		return f;
	f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	f->inode = inode;
	HASH_ADD(hh, l->files, inode, sizeof inode, f);
	if (!f->hh.tbl) {
		free(f);
		return NULL;
	}
	return f;
}

static void file_drop_unused(struct locks *l, struct file *f)
{
	if (f->held)
		return;
	HASH_DEL(l->files, f);
	free(f);
}

static void held_drop(struct locks *l, struct file *f, struct held *h)
{
	DL_DELETE(f->held, h);
	free(h);
	l->held--;
}

static void held_add(struct locks *l, struct file *f, struct held *h)
{
	DL_APPEND(f->held, h);
	l->held++;
}

static bool same_owner(const struct lock *a, const struct lock *b)
{
	return a->kind == b->kind && a->owner == b->owner;
}

static bool overlap(const struct lock *a, const struct lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

static bool in_the_way(const struct lock *held, const struct lock *want)
{
	return want->type != LOCK_NONE && held->kind == want->kind && held->owner != want->owner && overlap(held, want) &&
		(held->type == LOCK_EXCLUSIVE || want->type == LOCK_EXCLUSIVE);
}

static const struct held *conflict(struct locks *l, const struct lock *want)
{
	struct file *f = file_find(l, want->inode);
	const struct held *h;

	DL_FOREACH(f ? f->held : NULL, h) {
		if (in_the_way(&h->lock, want))
			return h;
	}
	return NULL;
}

/* Takes RANGE out of what its owner holds. *SPARE becomes the second half where one lock is cut in two. */
static void cut_out(struct locks *l, struct file *f, const struct lock *range, struct held **spare)
{
	struct held *h, *next;

	DL_FOREACH_SAFE(f->held, h, next) {
		if (!same_owner(&h->lock, range) || !overlap(&h->lock, range))
			continue;
		if (h->lock.start < range->start && h->lock.end > range->end) {
			(*spare)->lock = h->lock;
			(*spare)->lock.start = range->end + 1;
			h->lock.end = range->start - 1;
			held_add(l, f, *spare);
			*spare = NULL;
		} else if (h->lock.start < range->start) {
			h->lock.end = range->start - 1;
		} else if (h->lock.end > range->end) {
			h->lock.start = range->end + 1;
		} else {
			held_drop(l, f, h);
		}
	}
}

static void join_neighbours(struct locks *l, struct file *f, struct held *mine)
{
	struct held *h, *next;

	DL_FOREACH_SAFE(f->held, h, next) {
		if (h == mine || !same_owner(&h->lock, &mine->lock) || h->lock.type != mine->lock.type)
			continue;
		if (h->lock.end != LOCK_END && h->lock.end + 1 == mine->lock.start)
			mine->lock.start = h->lock.start;
		else if (mine->lock.end != LOCK_END && mine->lock.end + 1 == h->lock.start)
			mine->lock.end = h->lock.end;
		else
			continue;
		held_drop(l, f, h);
	}
}

/* Whether giving up RANGE leaves one lock more than there was. */
static bool cuts_in_two(const struct file *f, const struct lock *range)
{
	const struct held *h;

	DL_FOREACH(f->held, h) {
		if (same_owner(&h->lock, range) && h->lock.start < range->start && h->lock.end > range->end)
			return true;
	}
	return false;
}

/* Sets WANT, or -EAGAIN when it is not free. All memory is taken before anything changes. */
static int apply(struct locks *l, const struct lock *want)
{
	struct file *f = file_find(l, want->inode);
	struct held *mine, *spare;

	if (want->type == LOCK_NONE && !f)
		return 0;
	if (conflict(l, want))
		return -EAGAIN;
	if (l->held >= LOCKS_MAX && (want->type != LOCK_NONE || cuts_in_two(f, want)))
		return -ENOLCK;
	mine = calloc(1, sizeof *mine);
	spare = calloc(1, sizeof *spare);
	f = mine && spare ? file_make(l, want->inode) : NULL;
	if (!f) {
		free(mine);
		free(spare);
		return -ENOMEM;
	}
	cut_out(l, f, want, &spare);
	if (want->type != LOCK_NONE) {
		mine->lock = *want;
		held_add(l, f, mine);
		join_neighbours(l, f, mine);
		mine = NULL;
	}
	file_drop_unused(l, f);
	free(mine);
	free(spare);
	return 0;
}

static bool waits(struct locks *l, const struct lock *owner)
{
	const struct lock_wait *w;

	DL_FOREACH(l->waits, w) {
		if (same_owner(&w->wanted, owner))
			return true;
	}
	return false;
}

/* The wishes that are followed from one that may close a circle, and the owners whose they are. */
struct way {
	const struct lock *wish[CIRCLE_MOST], *owner[CIRCLE_MOST];
	unsigned wishes, owners;
};

static bool is_asked(const struct way *way, const struct lock *owner)
{
	for (unsigned i = 0; i < way->owners; i++)
		if (same_owner(way->owner[i], owner))
			return true;
	return false;
}

/* What the OWNER of a lock that is in the way waits for. */
static void ask(struct locks *l, struct way *way, const struct lock *owner)
{
	const struct lock_wait *w;

	if (way->owners == CIRCLE_MOST || is_asked(way, owner))
		return;
	way->owner[way->owners++] = owner;
	DL_FOREACH(l->waits, w) {
		if (way->wishes < CIRCLE_MOST && same_owner(&w->wanted, owner))
			way->wish[way->wishes++] = &w->wanted;
	}
}

/* Whether one who is in the way of WANT waits for somebody, who waits for somebody, who waits for WANT's owner. *LOOKS counts held locks. */
static bool closes_circle(struct locks *l, const struct lock *want, unsigned *looks)
{
	struct way way = {.wish = {want}, .wishes = 1};

	for (unsigned i = 0; i < way.wishes; i++) {
		struct file *f = file_find(l, way.wish[i]->inode);
		const struct held *h;

		DL_FOREACH(f ? f->held : NULL, h) {
			if (++*looks > CIRCLE_LOOKS)
				return false;
			if (!in_the_way(&h->lock, way.wish[i]))
				continue;
			if (same_owner(&h->lock, want))
				return true;
			ask(l, &way, &h->lock);
		}
	}
	return false;
}

static void end_wait(struct locks *l, struct lock_wait *w, int err, struct lock_wait **ended)
{
	w->err = err;
	DL_DELETE(l->waits, w);
	DL_APPEND(*ended, w);
}

/* Grants what is free of INODE now, again from the first on after each pass that granted: one that now shares what it had for itself
 * lets in who was passed over. */
static void grant(struct locks *l, uint64_t inode, struct lock_wait **ended)
{
	struct lock_wait *w, *next;
	bool granted;

	do {
		granted = false;
		DL_FOREACH_SAFE(l->waits, w, next) {
			int err = w->wanted.inode == inode ? apply(l, &w->wanted) : -EAGAIN;
			if (err == -EAGAIN)
				continue;
			end_wait(l, w, err, ended);
			granted = true;
		}
	} while (granted);
}

/* OWNER has got a lock, and may wait for another, as one thread of several: a circle that has come about by that goes through there. */
static void end_circles(struct locks *l, const struct lock *owner, struct lock_wait **ended)
{
	struct lock_wait *w, *next;
	unsigned looks = 0;

	if (owner->kind != LOCK_FCNTL || !waits(l, owner))
		return;
	DL_FOREACH_SAFE(l->waits, w, next) {
		if (same_owner(&w->wanted, owner) && closes_circle(l, &w->wanted, &looks))
			end_wait(l, w, -EDEADLK, ended);
	}
}

/* Takes the waits of INODE that end now off the list. CHANGED, where not NULL, is a lock that was just set. */
static struct lock_wait *take_ended(struct locks *l, uint64_t inode, const struct lock *changed)
{
	struct lock_wait *ended = NULL, *w;

	grant(l, inode, &ended);
	DL_FOREACH(ended, w) {
		if (w->err == 0)
			end_circles(l, &w->wanted, &ended);
	}
	if (changed)
		end_circles(l, changed, &ended);
	return ended;
}

static void tell(struct lock_wait *ended)
{
	struct lock_wait *w, *next;

	DL_FOREACH_SAFE(ended, w, next)
		w->granted(w, w->err);
}

static int park(struct locks *l, const struct lock *want, struct lock_wait *wait)
{
	if (l->stopped)
		return l->stopped;
	if (wait->gone(wait))
		return -EINTR;
	if (want->kind == LOCK_FCNTL && closes_circle(l, want, &(unsigned){0}))
		return -EDEADLK;
	wait->wanted = *want;
	DL_APPEND(l->waits, wait);
	return -EINPROGRESS;
}

/* The flock lock that WANT's owner holds with another type goes first: two holders who both want it for themselves would else
 * wait for each other for ever. */
static void give_up_other_type(struct locks *l, const struct lock *want)
{
	struct file *f = file_find(l, want->inode);
	struct held *h, *next;

	if (!f)
		return;
	DL_FOREACH_SAFE(f->held, h, next) {
		if (same_owner(&h->lock, want) && h->lock.type != want->type)
			held_drop(l, f, h);
	}
	file_drop_unused(l, f);
}

int locks_set(struct locks *l, const struct lock *want, struct lock_wait *wait)
{
	struct lock_wait *ended;
	int err;

	pthread_mutex_lock(&l->lock);
	if (want->kind == LOCK_FLOCK)
		give_up_other_type(l, want);
	err = apply(l, want);
	if (err == -EAGAIN && wait)
		err = park(l, want, wait);
	ended = take_ended(l, want->inode, err == 0 ? want : NULL);
	pthread_mutex_unlock(&l->lock);
	tell(ended);
	return err;
}

struct lock locks_get(struct locks *l, const struct lock *want)
{
	struct lock found = *want;
	const struct held *h;

	pthread_mutex_lock(&l->lock);
	h = conflict(l, want);
	if (h)
		found = h->lock;
	else
		found.type = LOCK_NONE;
	pthread_mutex_unlock(&l->lock);
	return found;
}

void locks_cancel(struct locks *l, const void *key, int err)
{
	struct lock_wait *w;

	pthread_mutex_lock(&l->lock);
	DL_SEARCH_SCALAR(l->waits, w, key, key);
	if (w) {
		DL_DELETE(l->waits, w);
	}
	pthread_mutex_unlock(&l->lock);
	if (w)
		w->granted(w, err);
}

static void drop_all(struct locks *l, uint64_t inode, bool (*is)(const struct lock *lock, uint64_t who), uint64_t who)
{
	struct lock_wait *ended = NULL;
	struct held *h, *next;
	struct file *f;

	if (l->held == 0)
		return;
	pthread_mutex_lock(&l->lock);
	f = file_find(l, inode);
	if (f) {
		DL_FOREACH_SAFE(f->held, h, next) {
			if (is(&h->lock, who))
				held_drop(l, f, h);
		}
		file_drop_unused(l, f);
		ended = take_ended(l, inode, NULL);
	}
	pthread_mutex_unlock(&l->lock);
	tell(ended);
}

static bool is_fcntl_of_owner(const struct lock *lock, uint64_t owner)
{
	return lock->kind == LOCK_FCNTL && lock->owner == owner;
}

static bool is_of_handle(const struct lock *lock, uint64_t handle)
{
	return lock->handle == handle;
}

void locks_close(struct locks *l, uint64_t inode, uint64_t owner)
{
	drop_all(l, inode, is_fcntl_of_owner, owner);
}

void locks_release(struct locks *l, uint64_t inode, uint64_t handle)
{
	drop_all(l, inode, is_of_handle, handle);
}

void locks_stop(struct locks *l, int err)
{
	struct lock_wait *w, *ended;

	pthread_mutex_lock(&l->lock);
	l->stopped = err;
	ended = l->waits;
	l->waits = NULL;
	DL_FOREACH(ended, w)
		w->err = err;
	pthread_mutex_unlock(&l->lock);
	tell(ended);
}

void locks_free(struct locks *l)
{
	struct held *h, *next_held;
	struct file *f, *next_file;

	if (!l)
		return;
	HASH_ITER(hh, l->files, f, next_file) {
		DL_FOREACH_SAFE(f->held, h, next_held)
			held_drop(l, f, h);
		file_drop_unused(l, f);
	}
	pthread_mutex_destroy(&l->lock);
	free(l);
}
