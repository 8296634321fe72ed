/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"
#include <errno.h>
#include <fcntl.h>
#include <fuse_log.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#ifdef MQFS_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

enum { EXIT_SYSTEM = 2, EXIT_MOUNT = 32 };      /* as of mount(8) */

static void notify(const char *state)
{
#ifdef MQFS_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

/* JOURNAL_STREAM is "DEVICE:INODE" of what systemd connected to stdout and stderr. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char is[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(is, sizeof is, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, is) == 0;
}

/* The first process: until CHILD serves, or has ended and closed its end of the pipe. A signal at STOP is meant for it, too. */
static _Noreturn void exit_as(pid_t child, int live, int stop)
{
	struct pollfd fds[] = {{.fd = live, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
	struct signalfd_siginfo signal;
	int status = 0;
	char byte;

	while (!fds[0].revents)
		if (poll(fds, 2, -1) > 0 && fds[1].revents && read(stop, &signal, sizeof signal) == sizeof signal)
			kill(child, (int)signal.ssi_signo);
	if (read(live, &byte, 1) == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	if (WIFEXITED(status)) {
		fprintf(stderr, "mqfs: was told to stop before it served\n");
		_exit(EXIT_MOUNT);
	}
	fprintf(stderr, "mqfs: was ended by signal %d while it started\n", WTERMSIG(status));
	_exit(EXIT_SYSTEM);
}

int daemon_start(struct daemon *d, bool foreground, int stop)
{
	int ends[2];
	pid_t child;

	*d = (struct daemon){.foreground = foreground, .journal = stderr_is_journal(), .live = -1};
	if (foreground)
		return 0;
	openlog("mqfs", LOG_PID, LOG_DAEMON);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		close(ends[0]);
		close(ends[1]);
		return -errno;
	}
	if (child > 0) {
		close(ends[1]);
		exit_as(child, ends[0], stop);
	}
	close(ends[0]);
	d->live = ends[1];
	return 0;
}

static void fuse_log_to_syslog(enum fuse_log_level level, const char *format, va_list args)
{
	vsyslog((int)level, format, args);
}

/* Nothing of the caller is kept: its terminal, its directory, its pipes. */
static int leave_caller(struct daemon *d)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || chdir("/") < 0 || setsid() < 0)
		return -errno;
	d->background = true;
	fuse_set_log_func(fuse_log_to_syslog);
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	if (null > 2)
		close(null);
	return write(d->live, "", 1) == 1 ? 0 : -errno;
}

int daemon_live(struct daemon *d, const char *mountpoint)
{
	char state[4200];
	int err = 0;

	if (!d->foreground && !d->background) {
		err = leave_caller(d);
		close(d->live);
		d->live = -1;
	}
	snprintf(state, sizeof state, "READY=1\nMAINPID=%d\nSTATUS=Serving %s", (int)getpid(), mountpoint);
	if (!err)
		notify(state);
	return err;
}

void daemon_status(const char *text)
{
	char state[256];

	snprintf(state, sizeof state, "STATUS=%.240s", text);
	notify(state);
}

void daemon_stopping(struct daemon *d)
{
	(void)d;
	notify("STOPPING=1");
}

void daemon_say(void *ctx, int priority, const char *text)
{
	struct daemon *d = ctx;

	/* What nobody has to act on is not for the terminal of who only wanted a mount. */
	if (d->background || (!d->foreground && priority > LOG_NOTICE))
		syslog(priority, "%s", text);
	else if (d->journal)
		fprintf(stderr, "<%d>%s\n", priority, text);
	else
		fprintf(stderr, "mqfs: %s\n", text);
}
