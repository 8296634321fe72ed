/* SPDX-License-Identifier: Apache-2.0 */
/* mqfs - mounts a store. What happens from the first to the last is run(). */
#include "caller.h"
#include "daemon.h"
#include "mountpoint.h"
#include "mounts.h"
#include "option.h"
#include "peers.h"
#include "serve.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* As of mount(8). */
enum { EXIT_OK = 0, EXIT_USAGE = 1, EXIT_SYSTEM = 2, EXIT_MOUNT = 32 };

#define LOOK_MS 20                       /* how often to look */

#define WHY (PEERS_WHY > STORE_WHY ? PEERS_WHY : STORE_WHY)

struct run {
	struct options *o;
	struct daemon daemon;
	struct peers peers;
	struct mountpoint_claim claim;
	struct mount mount;
	int stop;                        /* readable once a signal has come that ends all */
	bool again;                      /* the store is given up, to be made anew from the primary's */
	bool lived;                      /* the mount was live, once at least */
};

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

/* For all threads. Returns the descriptor at which those show that end the mount; -1: there is none. */
static int block_signals(void)
{
	sigset_t stop, all;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGHUP);
	all = stop;
	sigaddset(&all, SIGPIPE);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGCHLD, SIG_DFL);              /* ignored by who started it, it would hide how a child ended */
	return signalfd(-1, &stop, SFD_CLOEXEC);
}

static int64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* After umount(8) or kill -9 the daemon before may not have left the store yet. -ECANCELED: a signal at STOP has ended the wait for that. */
static int open_store(struct mount *m, const struct store_options *o, int stop, char why[WHY])
{
	struct pollfd end = {.fd = stop, .events = POLLIN};
	int64_t until = monotonic() + MOUNTS_LEAVING * 1000000000LL;
	int err;

	for (;;) {
		err = store_open(&m->store, m->store_path, o, why);
		if (err != -EBUSY || mounts_serve(m->store_path) || monotonic() > until)
			return err;
		if (poll(&end, 1, LOOK_MS) > 0)
			return -ECANCELED;
	}
}

static int fail(struct run *r, const char *path, const char *why)
{
	char line[4096 + WHY];

	snprintf(line, sizeof line, "%s: %s", path, why);
	daemon_say(&r->daemon, LOG_ERR, line);
	return EXIT_MOUNT;
}

static int claim_addresses(void *ctx, char why[STORE_WHY])
{
	char of_peers[REPLICATOR_WHY];
	int err = replicator_claim(((struct run *)ctx)->peers.replicator, of_peers);

	if (err)
		snprintf(why, STORE_WHY, "listen: %.240s", of_peers);
	return err;
}

/* What the store at hand is to be: it is there and says so itself, or is made from the primary's. -ECANCELED: a signal has ended the wait for one. */
static int take_place(struct run *r, char why[WHY])
{
	struct store_options *so = &r->o->store_options;
	enum replicator_start to = REPLICATOR_JOIN;
	int err = r->again || so->create ? 0 : store_look(r->o->store, why);

	if (!err && !r->again)
		err = replicator_look(r->peers.replicator, r->o->store, &to, why);
	if (r->again)
		eventfd_read(r->peers.again, &(eventfd_t){0});
	if (!err && to == REPLICATOR_JOIN) {
		daemon_status("Makes its store from that of a primary");
		err = replicator_join(r->peers.replicator, r->o->store, so, r->again, r->stop, why);
	}
	so->standby = to != REPLICATOR_PRIMARY;
	return err;
}

/* From the mount on: until it is over. *GO_ON: the store is to be made anew. */
static int serve(struct run *r, bool *go_on, char why[WHY])
{
	const int fds[] = {r->stop, r->peers.again};
	struct mount *m = &r->mount;
	struct serve *s;
	int err = serve_start(&s, m->session, r->o->workers);

	if (err) {
		snprintf(why, WHY, "cannot be served: %s", strerror(-err));
		return err;
	}
	err = mountpoint_await(m, why);
	if (!err)
		err = daemon_live(&r->daemon, m->mountpoint);
	if (!err) {
		r->lived = true;
		*go_on = serve_wait(s, fds, 2) == 2;
	}
	if (!*go_on)
		daemon_stopping(&r->daemon);
	mount_stop(m);
	replicator_stop(r->peers.replicator);
	store_stop(m->store);
	serve_stop(s);
	callers_stop(m->callers);      /* who was taken is answered before the session goes */
	return err;
}

static int mount_and_serve(struct run *r, bool *go_on, char why[WHY])
{
	struct mount *m = &r->mount;
	int err = mount_start(m);

	if (err)
		return err;
	err = mountpoint_session(m, r->o, why);
	if (!err) {
		err = mountpoint_mount(m, why);
		if (!err) {
			mountpoint_release(&r->claim);
			err = serve(r, go_on, why);
		}
		mountpoint_unmount(m);
	}
	mount_end(m);
	return err;
}

/* One life of the store, from look to close. */
static int live(struct run *r, bool *go_on)
{
	char why[WHY] = "out of memory";
	struct mount *m = &r->mount;
	int err = r->again ? mountpoint_prepare(r->o->mountpoint, r->o->store, &r->claim, why) : 0;

	if (err)
		return fail(r, r->o->mountpoint_given, why);
	err = take_place(r, why);
	*go_on = false;
	*m = (struct mount){.mountpoint = r->o->mountpoint, .store_path = r->o->store, .others = &r->peers.others,
		.commit_timeout = r->o->store_options.commit_timeout};
	if (!err)
		err = open_store(m, &r->o->store_options, r->stop, why);
	if (err == -ECANCELED)
		return EXIT_OK;
	if (err)
		return fail(r, r->o->store_given, why);
	err = replicator_start(r->peers.replicator, m->store, r->stop, why);
	if (err && err != -ECANCELED) {
		daemon_say(&r->daemon, LOG_ERR, why);
	} else if (!err) {
		err = mount_and_serve(r, go_on, why);
		if (err)
			fail(r, r->o->mountpoint_given, why);
		replicator_stop(r->peers.replicator);
	}
	store_close(m->store);
	return err && err != -ECANCELED ? EXIT_MOUNT : EXIT_OK;
}

static int run(struct options *o)
{
	struct run r = {.o = o, .stop = block_signals()};
	char why[WHY] = "out of memory";
	int status;

	raise_limits();
	if (r.stop < 0 || daemon_start(&r.daemon, o->foreground, r.stop) != 0) {
		perror("mqfs: cannot go into the background");
		return EXIT_SYSTEM;
	}
	o->store_options.mountpoint = o->mountpoint;
	o->store_options.say = daemon_say;
	o->store_options.say_ctx = &r.daemon;
	o->store_options.ready = claim_addresses;
	o->store_options.ready_ctx = &r;
	if (mountpoint_prepare(o->mountpoint, o->store, &r.claim, why) != 0) {
		status = fail(&r, o->mountpoint_given, why);
		goto unmake;
	}
	if (peers_begin(&r.peers, &o->node, daemon_say, &r.daemon, why) != 0) {
		daemon_say(&r.daemon, LOG_ERR, why);
		status = EXIT_USAGE;
		goto unmake;
	}
	do {
		status = live(&r, &r.again);
	} while (status == EXIT_OK && r.again);
	peers_end(&r.peers);
unmake:
	mountpoint_release(&r.claim);
	if (r.claim.made && !r.lived)
		rmdir(o->mountpoint);
	return status;
}

static int remount(const struct options *o)
{
	char why[STORE_WHY];

	if (mountpoint_remount(o, why) == 0)
		return EXIT_OK;
	fprintf(stderr, "mqfs: %s: %s\n", o->mountpoint_given, why);
	return EXIT_MOUNT;
}

int main(int argc, char **argv)
{
	struct options o;
	char why[WHY];
	int status = EXIT_OK;

	if (!fill_standard_files())
		return EXIT_SYSTEM;
	if (options_parse(&o, argc, argv, why) != 0) {
		fprintf(stderr, "mqfs: %s\n", why);
		return EXIT_USAGE;
	}
	if (peers_check(&o.node, why) != 0) {
		fprintf(stderr, "mqfs: %s\n", why);
		status = EXIT_USAGE;
	} else if (o.help)
		options_help();
	else if (o.version)
		puts("mqfs " MQFS_VERSION);
	else if (!o.fake)
		status = o.generic.remount ? remount(&o) : run(&o);
	options_free(&o);
	if (fflush(stdout) && (o.help || o.version)) {
		perror("mqfs: standard output");
		return EXIT_SYSTEM;
	}
	return status;
}
