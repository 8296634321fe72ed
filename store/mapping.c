/* SPDX-License-Identifier: Apache-2.0 */
#include "mapping.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

struct outgrown {
	const uint8_t *bytes;
	size_t len;
	struct outgrown *next;
};

/* Advice: that it is not taken changes how long a read takes, and nothing else. */
static void advise(const struct mapping *m)
{
	if (!m->bytes || m->pieces == PIECES_USUAL)
		return;
	madvise((void *)m->bytes, m->len, m->pieces == PIECES_LARGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	if (m->pieces == PIECES_SMALL)
		madvise((void *)m->bytes, m->len, MADV_RANDOM);
}

/* A file may be shorter than it should be (cut by an accident): what is there is mapped, and the rest is damage. */
static int map_file(struct mapping *m, struct disk *d, const char *name, size_t min)
{
	const void *at;
	struct stat st;
	int fd, err = disk_stat(d, name, &st);

	if (!err && st.st_size <= (off_t)min)
		err = -EIO;
	if (err)
		return err;
	fd = disk_open(d, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	err = disk_map(d, fd, (size_t)st.st_size, &at);
	disk_close(d, fd);
	if (!err) {
		m->bytes = at;
		m->len = (size_t)st.st_size;
		m->is_short = false;
		advise(m);
	}
	return err;
}

static int put_aside(struct mapping *m)
{
	struct outgrown *o = malloc(sizeof *o);

	if (!o)
		return -ENOMEM;
	*o = (struct outgrown){m->bytes, m->len, m->outgrown};
	m->outgrown = o;
	m->bytes = NULL;
	return 0;
}

int mapping_get(struct mapping *m, struct disk *d, const char *name, size_t min)
{
	int err = 0;

	if (m->bytes && m->is_short)
		err = put_aside(m);
	return err || m->bytes ? err : map_file(m, d, name, min);
}

void mapping_grown(struct mapping *m)
{
	m->is_short = m->bytes != NULL;
}

void mapping_in_order(struct mapping *m)
{
	if (m->pieces != PIECES_USUAL)
		return;
	m->pieces = PIECES_LARGE;
	advise(m);
}

/* A piece that could not be read whole is still in memory, as one that is not valid, and is given up. */
bool mapping_failed(struct mapping *m, struct disk *d, const char *name)
{
	int fd;

	if (m->pieces == PIECES_SMALL)
		return false;
	m->pieces = PIECES_SMALL;
	advise(m);
	fd = disk_open(d, name, O_RDONLY, 0);
	if (fd >= 0)
		disk_forget(d, fd);
	disk_close(d, fd);
	return true;
}

void mapping_free(struct mapping *m, struct disk *d)
{
	struct outgrown *o;

	while ((o = m->outgrown)) {
		m->outgrown = o->next;
		disk_unmap(d, o->bytes, o->len);
		free(o);
	}
	disk_unmap(d, m->bytes, m->len);
	m->bytes = NULL;
}
