/* SPDX-License-Identifier: Apache-2.0 */
#include "forbidden.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct search {
	struct disk *disk;
	const char *directory;
	char *path;
};

static int try_to_open(void *ctx, const char *name)
{
	struct search *s = ctx;
	int fd;

	snprintf(s->path, FORBIDDEN_PATH, "%s/%s", s->directory, name);
	fd = disk_open(s->disk, s->path, O_RDONLY, 0);
	disk_close(s->disk, fd);
	return fd == -EACCES ? fd : 0;
}

int forbidden_find(struct disk *d, char path[FORBIDDEN_PATH])
{
	static const char *const directories[] = {"log", "checkpoint", "."};
	int err = 0;

	*path = 0;
	for (size_t i = 0; !err && i < sizeof directories / sizeof *directories; i++) {
		struct search s = {.disk = d, .directory = directories[i], .path = path};
		err = disk_list(d, directories[i], try_to_open, &s);
		if (err == -EACCES && strncmp(path, directories[i], strlen(directories[i])) != 0)      /* it cannot even be listed */
			snprintf(path, FORBIDDEN_PATH, "%s", directories[i]);
		err = err == -ENOENT ? 0 : err;
	}
	return err;
}
