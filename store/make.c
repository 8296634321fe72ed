/* SPDX-License-Identifier: Apache-2.0 */
#include "make.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const directories[] = {"log", "checkpoint", "lost"};

/* The new directory's own name; where the parent may not be read, the system has to do without being asked. */
static int sync_parent(const char *path, char why[STORE_WHY])
{
	char parent[PATH_MAX];
	int fd, err = 0;

	if (snprintf(parent, sizeof parent, "%s/..", path) >= (int)sizeof parent)
		return -ENAMETOOLONG;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (err)
		snprintf(why, STORE_WHY, "cannot be made: %s", strerror(-err));
	return err;
}

int store_make_directory(const char *path, char why[STORE_WHY])
{
	struct stat st;

	if (mkdir(path, 0700) == 0)
		return sync_parent(path, why);
	if (errno == EEXIST && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		snprintf(why, STORE_WHY, "is not a directory");
		return -ENOTDIR;
	}
	if (errno == EEXIST || errno == EROFS)
		return 0;
	snprintf(why, STORE_WHY, "cannot be made: %s", errno == ENOENT ? "its parent directory is missing" : strerror(errno));
	return -errno;
}

static int only_ours(void *ctx, const char *name)
{
	static const char *const ours[] = {"log", "checkpoint", "lost", "lock", "reserve", "scrub", "scrub.new", "id.new", JOINING_FILE, JOINING_FILE ".new", PROMISE_FILE, PROMISE_FILE ".new",
		"lost+found"};

	(void)ctx;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (!strcmp(name, ours[i]))
			return 0;
	return -ENOTEMPTY;
}

static int nothing(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return -ENOTEMPTY;
}

int store_check_foreign(struct disk *d, char why[STORE_WHY])
{
	struct stat st;
	int err = disk_stat(d, IDENTITY_FILE, &st);

	if (err != -ENOENT)
		return err;
	if (disk_stat(d, JOINING_FILE, &st) == 0) {
		snprintf(why, STORE_WHY, "was to become a standby and has not got all yet: start it as that again");
		return -EINPROGRESS;
	}
	err = disk_list(d, ".", only_ours, NULL);
	if (err) {
		snprintf(why, STORE_WHY, err == -ENOTEMPTY ? "is not empty and not a store" : "cannot be read: %s", strerror(-err));
		return err;
	}
	for (size_t i = 0; !err && i < sizeof directories / sizeof *directories; i++) {
		err = disk_list(d, directories[i], nothing, NULL);
		err = err == -ENOENT ? 0 : err;
	}
	if (err)
		snprintf(why, STORE_WHY, "has a log but no file \"%s\": put it back from a copy", IDENTITY_FILE);
	return err;
}

static int look(struct disk *d, char *why)
{
	struct stat st;
	int err = store_check_foreign(d, why);

	if (err == -EINPROGRESS)
		return 0;
	return err ? err : disk_stat(d, IDENTITY_FILE, &st);
}

int store_look(const char *path, char why[STORE_WHY])
{
	struct disk *d;
	int err = disk_open_directory(&d, path);

	why[0] = 0;
	if (!err) {
		err = look(d, why);
		disk_free(d);
	}
	if (err == -ENOENT)
		snprintf(why, STORE_WHY, "is no store, and create=no");
	else if (err && !why[0])
		snprintf(why, STORE_WHY, "cannot be read: %s", strerror(-err));
	return err;
}

int store_make_directories(struct disk *d)
{
	int err = 0;

	for (size_t i = 0; !err && i < sizeof directories / sizeof *directories; i++) {
		err = disk_mkdir(d, directories[i], 0700);
		err = err == -EEXIST ? 0 : err;
	}
	return err;
}

int store_make(struct disk *d, char why[STORE_WHY])
{
	struct identity id;
	struct stat st;
	int err = disk_stat(d, IDENTITY_FILE, &st);

	if (err != -ENOENT)
		return err;
	err = store_make_directories(d);
	if (!err)
		err = identity_make(&id);
	if (!err)
		err = disk_sync_directory(d, ".");
	if (!err)
		err = identity_save(d, &id);
	if (err)
		snprintf(why, STORE_WHY, "cannot be made: %s", strerror(-err));
	return err;
}

const char *store_missing(struct disk *d)
{
	struct stat st;

	return disk_stat(d, JOINING_FILE, &st) == 0 ?
		"it is being made from another node's store: start mqfs there again; what it gave up can be read when that is done" :
		"no store of mqfs: it has no file \"" IDENTITY_FILE "\"";
}
