/* SPDX-License-Identifier: Apache-2.0 */
/* What was found damaged since start: each place once, whoever finds it: a read, the scrub or the start. */
#include "damage.h"
#include "commit.h"
#include "keeper.h"
#include "parts.h"
#include <inttypes.h>
#include <syslog.h>

#define AGAIN_NS INT64_C(60000000000)  /* whoever reads there may do so all the time, and each look reads a segment */

/* Under the lock. NULL: it is not known. */
static struct damage *find(struct store *s, enum damage_kind kind, uint64_t pos)
{
	for (size_t i = 0; i < s->damages; i++)
		if (s->damage[i].pos == pos && s->damage[i].kind == kind)
			return &s->damage[i];
	return NULL;
}

/* Under the lock. NULL: it is one too many to be remembered. *LAST: no further one will be. */
static struct damage *add(struct store *s, enum damage_kind kind, uint64_t pos, bool *last)
{
	struct damage *d;

	if (s->damages == DAMAGES)
		return NULL;
	d = &s->damage[s->damages++];
	*d = (struct damage){.pos = pos, .kind = kind, .told = s->tellings++};
	s->damaged++;
	*last = s->damages == DAMAGES;
	return d;
}

static void say_damaged(struct store *s, uint64_t pos, const char *what, bool last)
{
	store_say(s, LOG_ERR, "damage at log position %" PRIu64 ": %s%s", pos, what, last ? "; further places are not told" : "");
}

/* Under the lock. */
static bool is_within_span(struct store *s, uint64_t pos)
{
	for (size_t i = 0; i < s->damages; i++) {
		const struct damage *d = &s->damage[i];

		if (d->kind == DAMAGE_RECORD && (d->state == DAMAGE_SPAN || d->state == DAMAGE_STAYS) && d->pos <= pos && pos < d->end)
			return true;
	}
	return false;
}

/* Under the lock. D was looked at, and is told again: then it is to be looked at once more. A checkpoint is made at the same place where the log
 * has not grown. */
static bool renew(struct store *s, struct damage *d)
{
	if (d->kind == DAMAGE_CHECKPOINT)
		return true;
	if (d->state != DAMAGE_TOLD || commit_clock() - d->looked < AGAIN_NS || is_within_span(s, d->pos))
		return false;
	*d = (struct damage){.pos = d->pos, .kind = d->kind, .told = s->tellings++, .unsaid = true};
	return true;
}

void store_damaged(struct store *s, enum damage_kind kind, uint64_t pos, const char *what)
{
	bool new, again, last = false;
	struct damage *d;

	pthread_mutex_lock(&s->damage_lock);
	d = find(s, kind, pos);
	new = !d && add(s, kind, pos, &last);
	again = d && renew(s, d);
	pthread_mutex_unlock(&s->damage_lock);
	if (new)
		say_damaged(s, pos, what, last);
	if ((new || again) && s->keeper)
		keeper_renew(s->keeper, kind);
}

bool damage_new(struct store *s, uint64_t pos, uint64_t limit, uint64_t *at)
{
	*at = limit;
	pthread_mutex_lock(&s->damage_lock);
	for (size_t i = 0; i < s->damages; i++) {
		const struct damage *d = &s->damage[i];

		if (d->kind == DAMAGE_RECORD && d->state == DAMAGE_NEW && d->pos >= pos && d->pos < *at)
			*at = d->pos;
	}
	pthread_mutex_unlock(&s->damage_lock);
	return *at < limit;
}

bool damage_any_new(struct store *s)
{
	uint64_t at;

	return damage_new(s, 0, UINT64_MAX, &at);
}

void damage_unread(struct store *s, uint64_t begin, uint64_t end)
{
	struct damage *d;

	pthread_mutex_lock(&s->damage_lock);
	d = find(s, DAMAGE_RECORD, begin);
	if (d && d->state == DAMAGE_NEW)
		d->end = end;
	pthread_mutex_unlock(&s->damage_lock);
}

bool damage_passed_over(struct store *s, uint64_t pos)
{
	bool is = false;

	pthread_mutex_lock(&s->damage_lock);
	for (size_t i = 0; i < s->damages && !is; i++) {
		const struct damage *d = &s->damage[i];

		is = d->kind == DAMAGE_RECORD && d->state == DAMAGE_NEW && d->pos <= pos && pos < d->end;
	}
	pthread_mutex_unlock(&s->damage_lock);
	return is;
}

/* Under the lock. */
static void looked_at(struct damage *d)
{
	d->state = DAMAGE_TOLD;
	d->looked = commit_clock();
}

/* Under the lock. What was known within span D is a part of it now. */
static void absorb(struct store *s, const struct damage *d)
{
	for (size_t i = 0; i < s->damages; i++)
		if (s->damage[i].kind == DAMAGE_RECORD && s->damage[i].pos > d->pos && s->damage[i].pos < d->end)
			looked_at(&s->damage[i]);
}

void damage_found(struct store *s, const struct damage *found, const char *what)
{
	bool new, last = false;
	struct damage *d;

	pthread_mutex_lock(&s->damage_lock);
	d = find(s, DAMAGE_RECORD, found->pos);
	new = d ? d->unsaid : (d = add(s, DAMAGE_RECORD, found->pos, &last)) != NULL;
	if (d) {
		*d = *found;
		s->damage_news++;
		absorb(s, d);
	}
	pthread_mutex_unlock(&s->damage_lock);
	if (new)
		say_damaged(s, found->pos, what, last);
}

uint64_t damage_told(struct store *s)
{
	uint64_t told;

	pthread_mutex_lock(&s->damage_lock);
	told = s->tellings;
	pthread_mutex_unlock(&s->damage_lock);
	return told;
}

void damage_looked(struct store *s, uint64_t base, uint64_t limit, uint64_t told)
{
	pthread_mutex_lock(&s->damage_lock);
	for (size_t i = 0; i < s->damages; i++) {
		struct damage *d = &s->damage[i];

		if (d->kind == DAMAGE_RECORD && d->state == DAMAGE_NEW && d->pos >= base && d->pos < limit && d->told < told)
			looked_at(d);
	}
	pthread_mutex_unlock(&s->damage_lock);
}

bool damage_span(struct store *s, uint64_t pos, struct damage *to)
{
	bool found = false;

	pthread_mutex_lock(&s->damage_lock);
	for (size_t i = 0; i < s->damages; i++) {
		const struct damage *d = &s->damage[i];

		if (d->kind != DAMAGE_RECORD || d->state != DAMAGE_SPAN || d->pos < pos || (found && d->pos > to->pos))
			continue;
		*to = *d;
		found = true;
	}
	pthread_mutex_unlock(&s->damage_lock);
	return found;
}

void damage_mended(struct store *s, uint64_t from, uint64_t end)
{
	pthread_mutex_lock(&s->damage_lock);
	for (size_t i = s->damages; i-- > 0;)
		if (s->damage[i].kind == DAMAGE_RECORD && s->damage[i].pos >= from && s->damage[i].pos < end)
			s->damage[i] = s->damage[--s->damages];
	pthread_mutex_unlock(&s->damage_lock);
}

void damage_gone(struct store *s, uint64_t end)
{
	pthread_mutex_lock(&s->damage_lock);
	for (size_t i = s->damages; i-- > 0;)
		if (s->damage[i].kind != DAMAGE_CHECKPOINT && s->damage[i].pos < end)
			s->damage[i] = s->damage[--s->damages];
	pthread_mutex_unlock(&s->damage_lock);
}

void damage_stays(struct store *s, uint64_t from)
{
	struct damage *d;

	pthread_mutex_lock(&s->damage_lock);
	d = find(s, DAMAGE_RECORD, from);
	if (d)
		d->state = DAMAGE_STAYS;
	pthread_mutex_unlock(&s->damage_lock);
}

void damage_absent(struct store *s, uint64_t from)
{
	struct damage *d;

	pthread_mutex_lock(&s->damage_lock);
	d = find(s, DAMAGE_RECORD, from);
	if (d)
		d->absent = true;
	pthread_mutex_unlock(&s->damage_lock);
}

bool damage_at(struct store *s, uint64_t pos, struct damage *to)
{
	bool found = false;

	pthread_mutex_lock(&s->damage_lock);
	for (size_t i = 0; i < s->damages && !found; i++) {
		const struct damage *d = &s->damage[i];

		found = d->kind == DAMAGE_RECORD && (d->state == DAMAGE_SPAN || d->state == DAMAGE_STAYS) && d->pos <= pos && pos < d->end;
		if (found)
			*to = *d;
	}
	pthread_mutex_unlock(&s->damage_lock);
	return found;
}

uint64_t damage_open(struct store *s)
{
	uint64_t open = 0;

	pthread_mutex_lock(&s->damage_lock);
	for (size_t i = 0; i < s->damages; i++)
		open += s->damage[i].kind == DAMAGE_HEADER || (s->damage[i].kind == DAMAGE_RECORD && s->damage[i].state != DAMAGE_TOLD);
	pthread_mutex_unlock(&s->damage_lock);
	return open;
}
