/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot.h"
#include "control.h"
#include <errno.h>
#include <stdlib.h>

void snapshot_put(struct snapshot *s)
{
	if (!s || --s->users > 0)
		return;
	if (s->charged)
		s->charged->held -= s->size;
	free(s->text);
	free(s);
}

static int print(struct mount *m, struct node *n, struct snapshot *s)
{
	FILE *to = open_memstream(&s->text, &s->size);
	int err;

	if (!to)
		return -ENOMEM;
	err = n->control->print(m, n, to);
	if (fclose(to) == EOF && !err)
		err = -ENOMEM;
	return err;
}

int snapshot_take(struct mount *m, struct node *n, struct snapshot **to)
{
	struct snapshot *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return -ENOMEM;
	s->users = 1;
	err = print(m, n, s);
	if (err) {
		snapshot_put(s);
		return err;
	}
	n->size = s->size;
	*to = s;
	return 0;
}

static int charge(struct mount *m, struct snapshot *s)
{
	if (s->size <= SNAPSHOT_FREE)
		return 0;
	if (atomic_fetch_add(&m->held, s->size) + s->size > HELD_MAX) {
		m->held -= s->size;
		return -ENOBUFS;
	}
	s->charged = m;
	return 0;
}

int snapshot_take_for_handle(struct mount *m, struct node *n, struct snapshot **to)
{
	struct snapshot *s;
	int err = snapshot_take(m, n, &s);

	if (err)
		return err;
	err = charge(m, s);
	if (err) {
		snapshot_put(s);
		return err;
	}
	*to = s;
	return 0;
}
