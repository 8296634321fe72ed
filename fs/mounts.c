/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"
#include <errno.h>
#include <string.h>
#include <sys/statfs.h>

/* getmntent(3), with the one escape of the kernel that it leaves. */
struct mntent *mounts_next(FILE *mounts)
{
	struct mntent *e = mounts ? getmntent(mounts) : NULL;
	char *p = e ? e->mnt_fsname : NULL;

	while (p && (p = strstr(p, "\\043"))) {
		*p++ = '#';
		memmove(p, p + 3, strlen(p + 3) + 1);
	}
	return e;
}

/* By statfs(2), as stat(2) may be answered from a cache. */
bool mounts_dead(const char *mountpoint)
{
	struct statfs fs;

	return statfs(mountpoint, &fs) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

bool mounts_serve(const char *store)
{
	FILE *mounts = setmntent(MOUNTS_FILE, "re");
	struct mntent *e;
	bool found = false;

	while (!found && (e = mounts_next(mounts)))
		found = strcmp(e->mnt_type, MOUNTS_TYPE) == 0 && strcmp(e->mnt_fsname, store) == 0 && !mounts_dead(e->mnt_dir);
	if (mounts)
		endmntent(mounts);
	return found;
}
