/* SPDX-License-Identifier: Apache-2.0 */
#include "simnames.h"
#include <stdlib.h>
#include <string.h>

struct sim_name *sim_find(struct sim_tree *t, const char *path)
{
	for (int i = 0; i < t->count; i++)
		if (!strcmp(t->at[i].path, path))
			return &t->at[i];
	return NULL;
}

struct sim_name *sim_find_file(struct sim_tree *t, const struct sim_file *f)
{
	for (int i = 0; i < t->count; i++)
		if (t->at[i].file == f)
			return &t->at[i];
	return NULL;
}

void sim_take_out(struct sim_tree *t, struct sim_name *n)
{
	memmove(n, n + 1, (size_t)(&t->at[t->count] - (n + 1)) * sizeof *n);
	t->count--;
}

static void add(struct sim_tree *t, const char *path, struct sim_file *f)
{
	struct sim_name *n = &t->at[t->count];

	if (t->count++ == SIM_NAMES)
		abort();
	strcpy(n->path, path);
	n->file = f;
}

bool sim_lies_in(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	const char *slash = strchr(path, '/');

	if (!strcmp(directory, "."))
		return *path && !slash;
	return slash && (size_t)(slash - path) == len && !strncmp(path, directory, len);
}

bool sim_has_parent(struct sim_tree *t, const char *path)
{
	char parent[SIM_PATH];
	const char *slash = strchr(path, '/');
	struct sim_name *n;

	if (!slash)
		return true;
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = 0;
	n = sim_find(t, parent);
	return n && !n->file;
}

/* A file has one name: it goes there from wherever it is. */
void sim_make_change(struct sim_tree *t, const struct sim_change *c)
{
	struct sim_name *n = *c->from ? sim_find(t, c->from) : NULL;

	if (n && (!*c->to || n->file == c->file))
		sim_take_out(t, n);
	if (!*c->to)
		return;
	n = c->file ? sim_find_file(t, c->file) : NULL;
	if (n)
		sim_take_out(t, n);
	n = sim_find(t, c->to);
	if (n)
		n->file = c->file;
	else
		add(t, c->to, c->file);
}

static bool same_path(const char *a, const char *b)
{
	return *a && !strcmp(a, b);
}

static bool depends(const struct sim_change *later, const struct sim_change *c)
{
	return (c->file && c->file == later->file) || same_path(c->from, later->from) || same_path(c->from, later->to) || same_path(c->to, later->from) ||
		same_path(c->to, later->to);
}

/* Which changes a sync of DIRECTORY is about. */
static void choose(struct simdisk *d, uint64_t before, const char *directory, bool on[SIM_CHANGES])
{
	memset(on, 0, SIM_CHANGES);
	for (int i = d->change_count - 1; i >= 0; i--) {
		const struct sim_change *c = &d->changes[i];
		if (c->number >= before)
			continue;
		on[i] = on[i] || !directory || d->ordered || sim_lies_in(c->from, directory) || sim_lies_in(c->to, directory);
		for (int n = 0; on[i] && n < i; n++)
			on[n] = on[n] || depends(c, &d->changes[n]);
	}
}

/* And with those that are forgotten, those that depend on them. */
static void leave_forgotten(struct simdisk *d)
{
	for (int i = 0; i < d->change_count; i++)
		for (int n = 0; n < i && !d->changes[i].forgotten; n++)
			d->changes[i].forgotten = d->changes[n].forgotten && depends(&d->changes[i], &d->changes[n]);
}

void sim_forget_changes(struct simdisk *d, uint64_t before, const char *directory)
{
	bool on[SIM_CHANGES];

	choose(d, before, directory, on);
	for (int i = 0; i < d->change_count; i++)
		d->changes[i].forgotten |= on[i];
}

void sim_sync_changes(struct simdisk *d, uint64_t before, const char *directory)
{
	bool on[SIM_CHANGES];
	int kept = 0;

	choose(d, before, directory, on);
	leave_forgotten(d);
	for (int i = 0; i < d->change_count; i++) {
		on[i] &= !d->changes[i].forgotten;
		if (on[i])
			sim_make_change(&d->durable, &d->changes[i]);
		else
			d->changes[kept++] = d->changes[i];
	}
	d->change_count = kept;
}
