/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of disk.h for whole files, made of the others. */
#include "disk.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void directory_of(const char *path, char to[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	snprintf(to, PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

int disk_replace(struct disk *d, const char *path, const void *from, size_t len, mode_t mode)
{
	char aside[PATH_MAX], directory[PATH_MAX];
	int fd, err;

	if (snprintf(aside, sizeof aside, "%s.new", path) >= (int)sizeof aside)
		return -ENAMETOOLONG;
	directory_of(path, directory);
	fd = disk_open(d, aside, O_WRONLY | O_CREAT | O_TRUNC, mode);
	if (fd < 0)
		return fd;
	err = disk_write(d, fd, from, len, 0);
	if (!err)
		err = disk_sync(d, fd);
	disk_close(d, fd);
	if (!err)
		err = disk_rename(d, aside, path);
	if (!err)
		err = disk_sync_directory(d, directory);
	else
		disk_unlink(d, aside);
	return err;
}

int disk_load(struct disk *d, const char *path, size_t max, void **to, size_t *len)
{
	struct stat st;
	void *bytes = NULL;
	int err, fd = disk_open(d, path, O_RDONLY, 0);

	if (fd < 0)
		return fd;
	err = disk_stat(d, path, &st);
	if (!err && (uint64_t)st.st_size > max)
		err = -EFBIG;
	if (!err && !(bytes = malloc((size_t)st.st_size + 1)))
		err = -ENOMEM;
	if (!err)
		err = disk_read(d, fd, bytes, (size_t)st.st_size, 0);
	disk_close(d, fd);
	if (err) {
		free(bytes);
		return err;
	}
	*to = bytes;
	*len = (size_t)st.st_size;
	return 0;
}
