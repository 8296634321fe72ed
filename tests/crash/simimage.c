/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a simulated disk, and what it holds. */
#include "simnames.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <xxhash.h>

enum sim_part sim_any_part(struct world *w)
{
	static const enum sim_part parts[8] = {PART_NONE, PART_ALL, PART_FIRST, PART_FIRST, PART_PAGES, PART_PAGES, PART_SECTORS, PART_SECTORS};

	return parts[chance_of(w, 8)];
}

static int clone_of(struct simdisk *to, struct sim_file *f, struct sim_file **copy)
{
	int err = 0;

	if (f && !f->copy) {
		err = sim_file_clone(f, &f->copy);
		if (!err)
			DL_APPEND(to->files, f->copy);
	}
	*copy = f ? f->copy : NULL;
	return err;
}

static int clone_tree(struct simdisk *to, struct sim_tree *t, const struct sim_tree *from)
{
	int err = 0;

	t->count = from->count;
	for (int i = 0; !err && i < from->count; i++) {
		memcpy(t->at[i].path, from->at[i].path, SIM_PATH);
		err = clone_of(to, from->at[i].file, &t->at[i].file);
	}
	return err;
}

/* Blocks are those of the files that have a name; what only a process held is free again. */
static void count_blocks(struct simdisk *d)
{
	struct sim_file *f;

	DL_FOREACH(d->files, f)
		f->users = 0;
	d->used = 0;
	for (int i = 0; i < d->now.count; i++)
		if ((f = d->now.at[i].file)) {
			f->users++;
			d->used += f->cache.blocks;
		}
}

int simdisk_clone(const struct simdisk *d, struct simdisk **to)
{
	struct simdisk *c;
	struct sim_file *f;
	int err = simdisk_new(&c, d->world);

	if (err)
		return err;
	DL_FOREACH(d->files, f)
		f->copy = NULL;
	c->ordered = d->ordered;
	c->budget = d->budget;
	c->sync_fails = d->sync_fails;
	c->sync_hangs = d->sync_hangs;
	c->write_fails = d->write_fails;
	c->write_short = d->write_short;
	c->saw = d->saw;
	c->stops = d->stops;
	c->ctx = d->ctx;
	c->next_id = d->next_id;
	err = clone_tree(c, &c->now, &d->now);
	if (!err)
		err = clone_tree(c, &c->durable, &d->durable);
	for (int i = 0; !err && i < d->change_count; i++) {
		c->changes[i] = d->changes[i];
		err = clone_of(c, d->changes[i].file, &c->changes[i].file);
		c->change_count++;
	}
	c->change_next = d->change_next;
	if (err) {
		simdisk_free(c);
		return err;
	}
	count_blocks(c);
	*to = c;
	return 0;
}

static void settle_names(struct simdisk *d)
{
	int first = (int)chance_of(d->world, (uint64_t)d->change_count + 1);
	bool some = !d->ordered && !once_in(d->world, 3);
	int orphans = 0;

	if (once_in(d->world, 4))
		first = once_in(d->world, 2) ? 0 : d->change_count;
	for (int i = 0; i < d->change_count; i++)
		if (some ? once_in(d->world, 2) : i < first)
			sim_make_change(&d->durable, &d->changes[i]);
	d->change_count = 0;
	for (int i = 0; i < d->durable.count; i++)
		if (sim_has_parent(&d->durable, d->durable.at[i].path))
			d->durable.at[orphans++] = d->durable.at[i];
	d->durable.count = orphans;
	d->now.count = d->durable.count;
	memcpy(d->now.at, d->durable.at, (size_t)d->now.count * sizeof *d->now.at);
}

int simdisk_power_cut(struct simdisk *d)
{
	enum sim_part all = sim_any_part(d->world);
	bool each = once_in(d->world, 2);
	struct sim_file *f, *next;
	int err = 0;

	settle_names(d);
	count_blocks(d);
	DL_FOREACH_SAFE(d->files, f, next) {
		if (!f->users) {
			DL_DELETE(d->files, f);
			sim_file_free(f);
			continue;
		}
		if (!err)
			err = sim_file_settle(f, each ? sim_any_part(d->world) : all, d->world);
		f->stuck = 0;
		if (!err)
			err = sim_file_drop_cache(f);
	}
	count_blocks(d);
	return err;
}

int simdisk_drop_cache(struct simdisk *d)
{
	struct sim_file *f;
	int err = 0;

	DL_FOREACH(d->files, f)
		if (!err)
			err = sim_file_forget(f);
	count_blocks(d);
	return err;
}

static uint64_t tree_hash(struct sim_tree *t)
{
	uint64_t sum = 0;

	for (int i = 0; i < t->count; i++) {
		uint64_t of_name[2] = {XXH3_64bits(t->at[i].path, strlen(t->at[i].path)), 0};
		of_name[1] = t->at[i].file ? sim_file_hash(t->at[i].file) : 1;
		sum += XXH3_64bits(of_name, sizeof of_name);
	}
	return sum;
}

uint64_t simdisk_hash(struct simdisk *d)
{
	uint64_t all[3] = {tree_hash(&d->now), tree_hash(&d->durable), d->budget};

	return XXH3_64bits(all, sizeof all);
}

void simdisk_remove(struct simdisk *d, const char *path)
{
	struct sim_name *n = sim_find(&d->now, path);

	if (n)
		sim_take_out(&d->now, n);
	n = sim_find(&d->durable, path);
	if (n)
		sim_take_out(&d->durable, n);
	count_blocks(d);
}

int simdisk_flip(struct simdisk *d, const char *path, uint64_t at)
{
	struct sim_name *n = sim_find(&d->now, path);

	return n && n->file ? sim_file_flip(n->file, at) : -ENOENT;
}

const char *simdisk_find(struct simdisk *d, const char *prefix, const void *bytes, size_t len, uint64_t *at)
{
	for (int i = 0; i < d->now.count; i++) {
		const struct sim_name *n = &d->now.at[i];
		if (n->file && !strncmp(n->path, prefix, strlen(prefix)) && sim_file_find(n->file, bytes, len, at))
			return n->path;
	}
	return NULL;
}

bool simdisk_keeps(struct simdisk *d, const char *path, uint64_t at, uint64_t end, const char *prefix)
{
	const struct sim_file *f = sim_find(&d->now, path)->file;
	const struct sim_side *s = &f->cache;

	end = end < s->size ? end : s->size;
	end = s->bytes && end > s->bytes->room ? s->bytes->room : end;
	while (s->bytes && end > at && !s->bytes->at[end - 1])
		end--;
	if (!s->bytes || end <= at)
		return true;
	for (int i = 0; i < d->durable.count; i++) {
		const struct sim_name *n = &d->durable.at[i];
		if (n->file && !strncmp(n->path, prefix, strlen(prefix)) && sim_file_has(n->file, s->bytes->at + at, end - at))
			return true;
	}
	return false;
}

/* A name of TREE that OTHER has not, or for another file. */
static const char *differs(struct sim_tree *tree, struct sim_tree *other, bool (*concerns)(const char *path))
{
	for (int i = 0; i < tree->count; i++) {
		const struct sim_name *n = &tree->at[i], *same = concerns(n->path) ? sim_find(other, n->path) : n;
		if (!same || same->file != n->file)
			return n->path;
	}
	return NULL;
}

const char *simdisk_unsettled(struct simdisk *d, bool (*concerns)(const char *path))
{
	const char *name = differs(&d->now, &d->durable, concerns);

	if (!name)
		name = differs(&d->durable, &d->now, concerns);
	for (int i = 0; i < d->now.count && !name; i++)
		if (d->now.at[i].file && concerns(d->now.at[i].path) && !sim_file_is_durable(d->now.at[i].file))
			name = d->now.at[i].path;
	return name;
}

void simdisk_each(struct simdisk *d, void (*each)(void *ctx, const char *path, uint64_t size), void *ctx)
{
	for (int i = 0; i < d->now.count; i++)
		if (d->now.at[i].file)
			each(ctx, d->now.at[i].path, d->now.at[i].file->cache.size);
}
