/* SPDX-License-Identifier: Apache-2.0 */
/* mqfs - mounts a store. What happens from the first to the last is run(). */
#include "daemon.h"
#include "mountpoint.h"
#include "option.h"
#include "serve.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* As of mount(8). */
enum { EXIT_OK = 0, EXIT_USAGE = 1, EXIT_SYSTEM = 2, EXIT_MOUNT = 32 };

#define DYING_NS 5000000000LL            /* how long a store may still be in use by a daemon that has no mount any more */
#define LOOK_NS 20000000L                /* how often to look */

/* A file descriptor a segment. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* A caller may have closed some of them: no file of the store may take their place. */
static bool fill_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	return fd >= 0;
}

/* For all threads: serve_wait() takes them. */
static void block_signals(sigset_t *stop)
{
	sigset_t all;

	sigemptyset(stop);
	sigaddset(stop, SIGTERM);
	sigaddset(stop, SIGINT);
	sigaddset(stop, SIGHUP);
	all = *stop;
	sigaddset(&all, SIGPIPE);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* After umount(8) or kill -9 the daemon before may not have left the store yet. */
static int open_store(struct mount *m, const struct store_options *o, char why[STORE_WHY])
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	int64_t until = monotonic() + DYING_NS;
	int err;

	for (;;) {
		err = store_open(&m->store, m->store_path, o, why);
		if (err != -EBUSY || mountpoint_serves(m->store_path) || monotonic() > until)
			return err;
		nanosleep(&look, NULL);
	}
}

static int fail(struct daemon *d, const char *path, const char *why)
{
	char line[4096 + STORE_WHY];

	snprintf(line, sizeof line, "%s: %s", path, why);
	daemon_say(d, LOG_ERR, line);
	return EXIT_MOUNT;
}

/* From the mount on: until it is over. */
static int serve(struct mount *m, struct daemon *d, unsigned workers, const sigset_t *stop, char why[STORE_WHY])
{
	struct serve *s;
	int err = serve_start(&s, m->session, workers);

	if (err) {
		snprintf(why, STORE_WHY, "cannot be served: %s", strerror(-err));
		return err;
	}
	err = mountpoint_await(m, why);
	if (!err)
		err = daemon_live(d, m->mountpoint);
	if (!err)
		serve_wait(s, stop);
	daemon_stopping(d);
	mount_stop(m);
	store_stop(m->store);
	serve_stop(s);
	return err;
}

static int run(struct options *o)
{
	struct mount m = {.mountpoint = o->mountpoint, .store_path = o->store, .commit_timeout = o->store_options.commit_timeout};
	struct daemon d;
	char why[STORE_WHY] = "out of memory";
	bool made = false;
	sigset_t stop;
	int status = EXIT_MOUNT;

	raise_limits();
	block_signals(&stop);
	if (daemon_start(&d, o->foreground) != 0) {
		perror("mqfs: cannot go into the background");
		return EXIT_SYSTEM;
	}
	o->store_options.mountpoint = o->mountpoint;
	o->store_options.say = daemon_say;
	o->store_options.say_ctx = &d;

	if (mountpoint_prepare(o->mountpoint, o->store, &made, why) != 0)
		return fail(&d, o->mountpoint_given, why);
	if (open_store(&m, &o->store_options, why) != 0) {
		fail(&d, o->store_given, why);
		goto unmake;
	}
	if (mount_start(&m) != 0) {
		fail(&d, o->mountpoint_given, why);
		goto close;
	}
	if (mountpoint_session(&m, o, why) != 0) {
		fail(&d, o->mountpoint_given, why);
		goto end;
	}
	if (mountpoint_mount(&m, why) != 0 || serve(&m, &d, o->workers, &stop, why) != 0)
		fail(&d, o->mountpoint_given, why);
	else
		status = EXIT_OK;
	mountpoint_unmount(&m);
end:
	mount_end(&m);
close:
	store_close(m.store);
unmake:
	if (made && status != EXIT_OK)
		rmdir(o->mountpoint);
	return status;
}

int main(int argc, char **argv)
{
	struct options o;
	char why[STORE_WHY];
	int status = EXIT_OK;

	if (!fill_standard_files())
		return EXIT_SYSTEM;
	if (options_parse(&o, argc, argv, why) != 0) {
		fprintf(stderr, "mqfs: %s\n", why);
		return EXIT_USAGE;
	}
	if (o.help)
		options_help();
	else if (o.version)
		puts("mqfs " MQFS_VERSION);
	else if (!o.fake)
		status = run(&o);
	options_free(&o);
	return status;
}
