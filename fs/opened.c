/* SPDX-License-Identifier: Apache-2.0 */
#include "opened.h"
#include <utlist.h>

void opened_add(struct mount *m, struct opened *o)
{
	o->mount = m;
	pthread_mutex_lock(&m->opened_lock);
	DL_APPEND(m->opened, o);
	pthread_mutex_unlock(&m->opened_lock);
	m->handles++;
}

void opened_remove(struct opened *o)
{
	struct mount *m = o->mount;

	pthread_mutex_lock(&m->opened_lock);
	DL_DELETE(m->opened, o);
	pthread_mutex_unlock(&m->opened_lock);
	m->handles--;
}

void opened_stop(struct mount *m)
{
	struct opened *o;

	pthread_mutex_lock(&m->opened_lock);
	DL_FOREACH(m->opened, o)
		if (o->stop)
			o->stop(o);
	pthread_mutex_unlock(&m->opened_lock);
}

/* Nobody else is left. */
void opened_free(struct mount *m)
{
	while (m->opened)
		m->opened->free(m->opened);
}
