/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint.h"
#include <errno.h>
#include <fcntl.h>

#define RESERVE "reserve"

/* Blocks, not the size, tell how much is really there: an allocation that failed may have made the file longer. */
int reserve_keep(struct store *s, uint64_t bytes)
{
	struct stat st;
	int fd, err = disk_stat(s->disk, RESERVE, &st);

	if (!err && (uint64_t)st.st_blocks * 512 >= bytes)
		return 0;
	fd = disk_open(s->disk, RESERVE, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return fd;
	err = disk_allocate(s->disk, fd, bytes);
	disk_close(s->disk, fd);
	return err;
}

void reserve_release(struct store *s)
{
	/* Nothing can be done about a failure: what follows meets the full disk. */
	disk_unlink(s->disk, RESERVE);
}
