/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where two logs part
 *
 * An epoch is written by one process from its first record on, and no other record has it. Two logs that both have records of an epoch are the
 * same up to the end of it in the shorter one. So the last epoch in the file that the store's table has too says where the logs part:
 * where the next epoch begins in the store, or where another one begins in the file, whichever is first. A position too low is
 * no harm, as fewer topics are taken for the same then.
 *
 * A file may begin behind that, with an epoch that the store never had: a deposed primary was started again, and went on. Then the chain
 * tells. Has the store a record at the file's first position that follows the same one, they part there; else what was
 * before it may be in another file of lost/, which has the record that it follows, and that one is asked.
 */
#include "parting.h"
#include "parts.h"
#include "scan.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT64_MAX

struct search {
	struct store *store;
	struct disk *disk;             /* of the file */
	struct epoch_row *epochs;      /* the store's */
	size_t count;
};

/* A place in a log: the chain there says all that is before it. */
struct joint {
	uint64_t pos, chain;
};

/* What a file's records, in order, say of their log. */
struct tale {
	struct joint first;            /* before its first valid record; NOWHERE: there is none */
	bool shares;                   /* it has records of an epoch of the store's */
	uint64_t shared_end;           /* behind the last of them */
	uint64_t end;                  /* where that epoch ends in the store, NOWHERE: it is the last one there */
	bool own;                      /* behind it there are records of another one */
	bool met;                      /* the place that was looked for is in the file */
};

bool parting_file(const char *name, uint64_t *base, uint64_t *skip)
{
	const char *dot = strrchr(name, '.');

	*skip = dot && strcmp(dot, ".segment") == 0 ? SEGMENT_HEADER : 0;
	return position_named(name, '.', base);
}

static const struct epoch_row *row_of(const struct search *s, const struct record *r)
{
	for (size_t n = s->count; n > 0; n--) {
		if (epoch_compare(&s->epochs[n - 1].epoch, &r->epoch) == 0)
			return s->epochs[n - 1].start <= r->pos ? &s->epochs[n - 1] : NULL;
	}
	return NULL;
}

static void hear(const struct search *s, const struct record *r, struct tale *t)
{
	const struct epoch_row *row = row_of(s, r);

	if (t->first.pos == NOWHERE)
		t->first = (struct joint){r->pos, r->prev};
	if (!row) {
		t->own = true;
		return;
	}
	t->shares = true;
	t->own = false;                /* what was before was of an epoch that the store has forgotten */
	t->shared_end = r->pos + record_size(r->length);
	t->end = row + 1 < s->epochs + s->count ? row[1].start : NOWHERE;
}

/* All of FILE, or up to the place UNTIL. */
static int read_tale(const struct search *s, const char *file, const struct joint *until, struct tale *t)
{
	uint64_t base, skip;
	enum scan_found found = SCAN_DAMAGED;
	const void *body;
	struct record r;
	struct scan *scan;
	char path[300];
	int err = 0;

	*t = (struct tale){.first.pos = NOWHERE};
	snprintf(path, sizeof path, "lost/%s", file);
	if (!parting_file(file, &base, &skip) || (until && base >= until->pos))
		return 0;
	err = scan_open_file(&scan, s->disk, s->store->id.secret, path, skip, base);
	if (err)
		return err == -ENOMEM ? err : 0;
	scan_bodies(scan, false);
	while (!err && found != SCAN_END && !t->met) {
		err = scan_next(scan, &r, &body, &found);
		if (err == -EIO && scan_pos(scan) < scan_file_end(scan)) {
			scan_pass_unreadable(scan);
			err = 0;
		} else if (!err && (found == SCAN_RECORD || found == SCAN_BODY)) {
			hear(s, &r, t);
			t->met = until && scan_pos(scan) == until->pos && r.sum == until->chain;
		}
	}
	scan_close(scan);
	return err == -ENOMEM ? err : 0;
}

/* The header of the store's record at POS; -ENODATA: there is none. */
static int record_at(struct store *s, uint64_t pos, struct record *r)
{
	enum scan_found found = SCAN_END;
	const void *body;
	struct scan *scan;
	uint64_t *base;
	size_t n = 0, count;
	int err = scan_segments(s->disk, &base, &count);

	if (err)
		return err == -ENOMEM ? err : -ENODATA;
	while (n < count && base[n] <= pos)
		n++;
	err = n ? scan_open(&scan, s->disk, s->id.secret, base[n - 1]) : -ENODATA;
	free(base);
	if (err)
		return err == -ENOMEM ? err : -ENODATA;
	scan_seek(scan, pos);
	scan_limit(scan, pos + 8);
	scan_bodies(scan, false);
	err = scan_next(scan, r, &body, &found);
	scan_close(scan);
	if (err)
		return err == -ENOMEM ? err : -ENODATA;
	return found == SCAN_RECORD || found == SCAN_BODY ? 0 : -ENODATA;
}

struct neighbours {
	const struct search *search;
	struct joint joint;            /* that the file begins at */
	struct tale tale;              /* of the one that has it */
};

static int ask_one(void *ctx, const char *name)
{
	struct neighbours *n = ctx;
	struct tale t;
	int err = n->tale.met ? 0 : read_tale(n->search, name, &n->joint, &t);

	if (!err && !n->tale.met && t.met)
		n->tale = t;
	return err;
}

/* Where the logs part as far as T tells, or its neighbours; -ENODATA: they do not. Each one asked begins further ahead. */
static int follow(const struct search *s, struct tale t, uint64_t *pos)
{
	struct record r;
	uint64_t bound = NOWHERE;
	int err = 0;

	while (!err && !t.shares) {
		struct neighbours n = {.search = s, .joint = t.first};
		if (t.first.pos == NOWHERE)
			return -ENODATA;
		if (t.first.pos < bound)
			bound = t.first.pos;
		err = record_at(s->store, t.first.pos, &r);
		if (!err && r.prev == t.first.chain) {
			*pos = bound;
			return 0;
		}
		err = err == -ENOMEM ? err : disk_list(s->disk, "lost", ask_one, &n);
		t = n.tale;
		if (!err && !t.met)
			err = -ENODATA;
	}
	if (t.own && t.shared_end < bound)
		bound = t.shared_end;
	*pos = t.end < bound ? t.end : bound;
	return err;
}

int parting_find(struct store *s, struct disk *d, const char *file, struct parting *to)
{
	struct search search = {.store = s, .disk = d};
	struct record r = {.time = INT64_MAX};
	struct tale tale;
	uint64_t pos;
	int err = annals_epochs(s->annals, &search.epochs, &search.count);

	*to = (struct parting){0};
	if (err)
		return err;
	err = read_tale(&search, file, NULL, &tale);
	if (!err)
		err = follow(&search, tale, &pos);
	if (!err && pos != NOWHERE)
		err = record_at(s, pos, &r);
	free(search.epochs);
	if (!err)
		*to = (struct parting){true, r.time};
	return err == -ENODATA ? 0 : err;
}

bool parting_had(const struct parting *p, const struct topic *t)
{
	return p->known && t->born < p->time;
}
