/* SPDX-License-Identifier: Apache-2.0 */
#include "together.h"
#include "handle.h"

static _Thread_local struct together *here;

struct together *together_here(void)
{
	return here;
}

void together_set(struct together *t)
{
	here = t;
}

void together_add(struct together *t, const struct unanswered *u)
{
	t->write[t->count++] = *u;
}

void together_end(struct together *t)
{
	for (unsigned i = 0; i < t->count; i++)
		t->write[i].written(&t->write[i], store_append_end(t->write[i].handle->queue, t->write[i].pos));
	t->count = 0;
}
