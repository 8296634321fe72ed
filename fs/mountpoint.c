/* SPDX-License-Identifier: Apache-2.0 */
#include "mountpoint.h"
#include "mounts.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEVICE "/dev/fuse"
#define FUSE_CONF "/etc/fuse.conf"
#define AWAIT_SECONDS 30         /* for the kernel's INIT */
#define CLAIM ".mqfs.lock"        /* in the mountpoint's directory */
#define SAME "is the store itself: the mountpoint must be another directory"
#define DEAD_MAX 16              /* dead mounts on top of each other, at most */
#define CLAIMS 16                /* how often to begin anew with a directory that others make and take away */
#define LOOK_NS 20000000L        /* how often to look whether a lock is free */
#define LOOKS 250

extern char **environ;

/* ---- what is mounted ---- */

/* The path that is in PARENT, or PARENT itself; what follows PARENT. */
static const char *within(const char *path, const char *parent)
{
	size_t len = strcmp(parent, "/") == 0 ? 0 : strlen(parent);

	return strncmp(path, parent, len) == 0 && (path[len] == 0 || path[len] == '/') ? path + len : NULL;
}

/* The mount that PATH is in: of those whose directory leads there, the last hides the others. */
struct mounted {
	char source[4096], directory[4096];
	bool mqfs;
};

static void find_mounted(const char *path, struct mounted *m)
{
	FILE *mounts = setmntent(MOUNTS_FILE, "re");
	struct mntent *e;

	*m = (struct mounted){0};
	while ((e = mounts_next(mounts))) {
		if (!within(path, e->mnt_dir))
			continue;
		snprintf(m->source, sizeof m->source, "%s", e->mnt_fsname);
		snprintf(m->directory, sizeof m->directory, "%s", e->mnt_dir);
		m->mqfs = strcmp(e->mnt_type, MOUNTS_TYPE) == 0;
	}
	if (mounts)
		endmntent(mounts);
}

static int run_fusermount(const char *path)
{
	char *argv[] = {"fusermount3", "-u", "-q", "-z", "--", (char *)path, NULL};
	pid_t child;
	int status = 0, err = posix_spawnp(&child, argv[0], NULL, NULL, argv, environ);

	if (err)
		return -err;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status == 0 ? 0 : -EPERM;
}

static int take_away(const char *path)
{
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(path) : -errno;
}

/* ---- looking, making, mending ---- */

static int refuse(char why[STORE_WHY], int err, const char *what)
{
	snprintf(why, STORE_WHY, "%s", what);
	return err;
}

/* Before anything is made: a directory that is made in a mount of mqfs is a topic, and stays one. */
static int check_apart(const char *path, const char *store, char why[STORE_WHY])
{
	struct mounted m;

	if (strcmp(path, store) == 0)
		return refuse(why, -EINVAL, SAME);
	if (within(path, store))
		return refuse(why, -EINVAL, "is within the store: the mountpoint must be apart from it");
	if (within(store, path))
		return refuse(why, -EINVAL, "has the store in it: the mountpoint must be apart from it");
	find_mounted(store, &m);
	if (m.mqfs) {
		snprintf(why, STORE_WHY, "its store would be within the mount of mqfs at %.180s", m.directory);
		return -EINVAL;
	}
	return 0;
}

/* Before anything is made: libfuse would say less, and later. */
static int check_device(char why[STORE_WHY])
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC), err = -errno;

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	snprintf(why, STORE_WHY, "cannot be mounted: %s: %s; %s", DEVICE, strerror(-err),
		err == -EACCES ? "as root, open it to everybody, as udev does: chmod 666 " DEVICE
			       : "mounting needs it: modprobe fuse, or --device " DEVICE " for a container");
	return err;
}

/* Without waiting. A file system that knows no such locks gives them all: there is nothing better on it. */
static bool lock(int directory)
{
	return flock(directory, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

/* The directory that PATH is in, locked if it can be within the time. Anybody who may read it might keep the lock, which then must be no obstacle. */
static int lock_parent(const char *path)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	char parent[4096];
	int fd;

	snprintf(parent, sizeof parent, "%s", path);
	fd = open(dirname(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; fd >= 0 && i < LOOKS && !lock(fd); i++)
		nanosleep(&look, NULL);
	return fd;
}

/* Of two that see a dead mount, the second must not take away what the first has mounted instead: both look again under a lock. */
static int mend(const char *path)
{
	int parent = lock_parent(path), err = 0;
	struct mounted m;

	find_mounted(path, &m);
	if (m.mqfs && strcmp(m.directory, path) == 0 && mounts_dead(path))
		err = take_away(path);
	if (parent >= 0)
		close(parent);
	return err;
}

/* No mqfs is in the way afterwards. */
static int check_mounts(const char *path, char why[STORE_WHY])
{
	struct mounted m;

	for (int i = 0; i < DEAD_MAX; i++) {
		find_mounted(path, &m);
		if (!m.mqfs)
			return 0;
		if (strcmp(m.directory, path) != 0) {
			snprintf(why, STORE_WHY, "is within the mount of mqfs at %.180s", m.directory);
			return -EBUSY;
		}
		if (!mounts_dead(path)) {
			snprintf(why, STORE_WHY, "is in use: %.180s is mounted there", m.source);
			return -EBUSY;
		}
		if (mend(path) != 0)
			return refuse(why, -EBUSY, "is a dead mount of mqfs that only root or its owner can take away: fusermount3 -uz");
	}
	return refuse(why, -EBUSY, "has too many dead mounts of mqfs on it");
}

/* *MADE: by this process. */
static int make(const char *path, bool *made, char why[STORE_WHY])
{
	struct stat st;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : refuse(why, -ENOTDIR, "is not a directory");
	if (errno != ENOENT) {
		snprintf(why, STORE_WHY, "%s", strerror(errno));
		return -errno;
	}
	*made = mkdir(path, 0755) == 0;
	if (*made || errno == EEXIST)
		return 0;
	snprintf(why, STORE_WHY, "cannot be made: %s", errno == ENOENT ? "its parent directory is missing" : strerror(errno));
	return -errno;
}

static int check_empty(int directory, char why[STORE_WHY])
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool empty = true;

	if (!d) {
		snprintf(why, STORE_WHY, "cannot be read: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -errno;
	}
	while (empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, CLAIM) == 0;
	closedir(d);
	return empty ? 0 : refuse(why, -ENOTEMPTY, "is not empty");
}

/* PATH still leads to the directory. */
static bool leads_to(const char *path, int directory)
{
	struct stat there, here;

	return stat(path, &there) == 0 && fstat(directory, &here) == 0 && there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

/* Nothing is made in what is somebody else's. */
static int check_usable(const char *path, int directory, char why[STORE_WHY])
{
	int err = check_empty(directory, why);

	if (err || access(path, W_OK) == 0)
		return err;
	snprintf(why, STORE_WHY, "cannot be mounted on: %s", strerror(errno));
	return -errno;
}

/*
 * The lock is a file's that only its owner may open: anybody may read the directory, and so could lock that and keep every mqfs away. Who has the
 * lock takes the file away before it lets go; a file without its name is nobody's lock any more. One that was left is taken over. A full
 * disk may have no room for the file, but must not keep from a start: that one goes without.
 */
static int lock_file(struct mountpoint_claim *c, char why[STORE_WHY])
{
	int fd = openat(c->directory, CLAIM, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600), err = fd < 0 ? -errno : 0;
	struct stat there, here;

	if (err == -ENOSPC || err == -EDQUOT)
		return 0;
	if (err) {
		snprintf(why, STORE_WHY, "cannot be claimed: " CLAIM " in it: %s", strerror(-err));
		return err;
	}
	if (!lock(fd))
		err = refuse(why, -EBUSY, "is in use: another mqfs is about to mount there");
	else if (fstatat(c->directory, CLAIM, &there, AT_SYMLINK_NOFOLLOW) < 0 || fstat(fd, &here) < 0 || there.st_ino != here.st_ino)
		err = refuse(why, -EAGAIN, "comes and goes");
	if (err)
		close(fd);
	else
		c->lock = fd;
	return err;
}

/*
 * Of several mqfs that are started for one mountpoint at once, one may mount: who has the lock, from before the last look at
 * what is mounted on it until its own mount is there. Whoever gets the lock later sees that mount when it looks: by PATH, as the directory
 * that it has opened is the one below. Who was there first and then gives up takes a directory away that it has made; hence leads_to().
 */
static int claim(const char *path, struct mountpoint_claim *c, char why[STORE_WHY])
{
	int err;

	c->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->directory < 0) {
		snprintf(why, STORE_WHY, "cannot be read: %s", strerror(errno));
		return -errno;
	}
	err = check_usable(path, c->directory, why);
	if (!err)
		err = lock_file(c, why);
	if (!err && !leads_to(path, c->directory))
		err = refuse(why, -EAGAIN, "comes and goes");
	return err;
}

void mountpoint_release(struct mountpoint_claim *c)
{
	if (c->lock >= 0) {
		unlinkat(c->directory, CLAIM, 0);
		close(c->lock);
	}
	if (c->directory >= 0)
		close(c->directory);
	c->directory = c->lock = -1;
}

static int make_and_claim(const char *path, struct mountpoint_claim *c, char why[STORE_WHY])
{
	int err = -EAGAIN;

	for (int i = 0; i < CLAIMS && err == -EAGAIN; i++) {
		mountpoint_release(c);
		err = check_mounts(path, why);
		if (!err)
			err = make(path, &c->made, why);
		if (err)
			break;
		err = claim(path, c, why);
		if (err && check_mounts(path, why) != 0)        /* all that is wrong may be a mount that has come meanwhile */
			err = -EBUSY;
		if (err == -ENOENT)             /* the directory has gone */
			err = -EAGAIN;
	}
	if (err == -EBUSY)
		c->made = false;        /* it is the other one's */
	return err;
}

int mountpoint_prepare(const char *path, const char *store, struct mountpoint_claim *c, char why[STORE_WHY])
{
	int err = check_apart(path, store, why);

	*c = (struct mountpoint_claim){.directory = -1, .lock = -1};
	if (!err)
		err = check_device(why);
	if (!err)
		err = make_and_claim(path, c, why);
	if (!err)
		err = check_mounts(path, why);
	if (!err && leads_to(store, c->directory))
		err = refuse(why, -EINVAL, SAME);
	return err;
}

/* ---- mounting ---- */

/* As fusermount3 reads it. */
static bool all_may_allow_other(void)
{
	FILE *f = fopen(FUSE_CONF, "re");
	char line[256], word[sizeof line];
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		line[strcspn(line, "#")] = 0;
		found = sscanf(line, "%255s", word) == 1 && strcmp(word, "user_allow_other") == 0;
	}
	if (f)
		fclose(f);
	return found;
}

static int session_options(const struct options *o, struct fuse_args *args)
{
	char source[4200], *list = NULL, *generic = generic_names(&o->generic);
	int failed;

	snprintf(source, sizeof source, "fsname=%s", o->store);
	failed = fuse_opt_add_opt(&list, "default_permissions,nosuid,nodev,noexec,subtype=mqfs") < 0 || fuse_opt_add_opt_escaped(&list, source) < 0;
	if (!failed && (o->allow_other || (!o->private && (geteuid() == 0 || all_may_allow_other()))))
		failed = fuse_opt_add_opt(&list, "allow_other") < 0;
	if (!failed && generic && *generic)
		failed = fuse_opt_add_opt(&list, generic) < 0;
	failed = failed || !generic || fuse_opt_add_arg(args, "mqfs") < 0 || fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, list) < 0 ||
		(o->debug && fuse_opt_add_arg(args, "-d") < 0);
	free(list);
	free(generic);
	return failed ? -ENOMEM : 0;
}

int mountpoint_session(struct mount *m, const struct options *o, char why[STORE_WHY])
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = session_options(o, &args);

	if (!err) {
		m->session = fuse_session_new(&args, &mount_ops, sizeof mount_ops, m);
		err = m->session ? 0 : -EINVAL;
	}
	fuse_opt_free_args(&args);
	if (err)
		snprintf(why, STORE_WHY, "cannot be mounted: %s", err == -ENOMEM ? strerror(ENOMEM) : "libfuse refuses the options");
	return err;
}

/* By mount(2): FUSE itself has nothing to be changed, so the daemon takes no part in it. */
int mountpoint_remount(const struct options *o, char why[STORE_WHY])
{
	struct mounted m;

	find_mounted(o->mountpoint, &m);
	if (!m.mqfs || strcmp(m.directory, o->mountpoint) != 0)
		return refuse(why, -EINVAL, "cannot be remounted: no mqfs is mounted there");
	if (strcmp(m.source, o->store) != 0) {
		snprintf(why, STORE_WHY, "cannot be remounted: it is the mount of %.180s", m.source);
		return -EINVAL;
	}
	if (mounts_dead(o->mountpoint))
		return refuse(why, -ENOTCONN, "cannot be remounted: its mqfs has gone; mount it again");
	if (mount(NULL, o->mountpoint, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC | o->generic.flags, NULL) == 0)
		return 0;
	snprintf(why, STORE_WHY, "cannot be remounted: %s",
		errno == EPERM ? "only root may do that"
		: errno == EBUSY ? "files are open for writing"
				 : strerror(errno));
	return -errno;
}

int mountpoint_mount(struct mount *m, char why[STORE_WHY])
{
	if (fuse_session_mount(m->session, m->mountpoint) == 0)
		return 0;
	return refuse(why, -EIO, "cannot be mounted");
}

/* Not by a look at the mount, which a process killed meanwhile would wait for for ever: it is the one that must answer. */
int mountpoint_await(struct mount *m, char why[STORE_WHY])
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += AWAIT_SECONDS;
	while (sem_clockwait(&m->live, CLOCK_MONOTONIC, &until))
		if (errno != EINTR)
			return refuse(why, -errno, "does not answer");
	return 0;
}

void mountpoint_unmount(struct mount *m)
{
	struct mounted now;

	find_mounted(m->mountpoint, &now);
	if (strcmp(now.directory, m->mountpoint) != 0 || (now.mqfs && strcmp(now.source, m->store_path) == 0))
		fuse_session_unmount(m->session);
	fuse_session_destroy(m->session);
	m->session = NULL;
}
