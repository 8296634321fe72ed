/* SPDX-License-Identifier: Apache-2.0 */
#include "mounts.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 2000000
#define PATIENCE 5000                  /* looks */

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
static bool ask(const char *mountpoint)
{
	struct statfs fs;

	return statfs(mountpoint, &fs) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* One that was blocked and came: who asks is to end. */
static bool is_to_end(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT) || sigismember(&pending, SIGHUP));
}

/* Whoever asks a daemon that does not answer, as it is stopped, waits in the kernel: a process of its own does, which can be killed there. */
bool mounts_dead(const char *mountpoint)
{
	pid_t asker = fork();
	int status = 0;

	if (asker == 0)
		_exit(ask(mountpoint));
	if (asker < 0)
		return ask(mountpoint);
	for (int n = 0; waitpid(asker, &status, WNOHANG) == 0; n++) {
		if (n == PATIENCE || is_to_end()) {
			kill(asker, SIGKILL);
			waitpid(asker, &status, 0);
			break;
		}
		nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
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
