/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint.h"
#include <errno.h>
#include <fcntl.h>

#define PARTS 8                        /* in which it is released */
#define LEAST (64u << 10)              /* bytes of a part */

/* Blocks, not the size, tell how much is really there: an allocation that failed may have made the file longer. */
int reserve_keep(struct disk *d, uint64_t bytes)
{
	struct stat st;
	int fd, err = disk_stat(d, RESERVE_FILE, &st);

	if (!err && (uint64_t)st.st_blocks * 512 >= bytes)
		return 0;
	fd = disk_open(d, RESERVE_FILE, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return fd;
	err = disk_allocate(d, fd, bytes);
	disk_close(d, fd);
	return err;
}

/* All of it at once would be gone with the first who asks: whoever fills the disk takes what an index or a checkpoint leaves of it. */
int reserve_release(struct store *s)
{
	struct stat st;
	uint64_t there, part;
	int fd, err = disk_stat(s->disk, RESERVE_FILE, &st);

	if (err)
		return err;
	there = (uint64_t)st.st_blocks * 512;
	part = there / PARTS > LEAST ? there / PARTS : LEAST;
	if (there <= part)
		return disk_unlink(s->disk, RESERVE_FILE);
	fd = disk_open(s->disk, RESERVE_FILE, O_RDWR, 0);
	if (fd < 0)
		return fd;
	err = disk_truncate(s->disk, fd, there - part);
	disk_close(s->disk, fd);
	return err;
}
