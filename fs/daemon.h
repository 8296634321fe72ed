/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - the process around the mount: into the background once it is live, messages to whoever listens, the service manager.
 *
 * Whoever called waits in the first process until the second, which does everything, serves or has ended; so each error is on the
 * caller's stderr, and its exit status the caller's. Messages go to stderr until then, and to syslog from then on. In the
 * foreground they stay on stderr, with the journal's <PRIORITY> in front where stderr is the journal.
 *
 * Calling  daemon_start(&d, foreground, stop); ...; daemon_live(&d); ...; daemon_stopping(&d)
 * Errors   negative errno.
 * Threads  start before there is any other; daemon_say() from any.
 */
#ifndef MQFS_FS_DAEMON_H
#define MQFS_FS_DAEMON_H

#include <stdbool.h>

struct daemon {
	bool foreground;
	bool journal;            /* stderr is the journal */
	_Atomic bool background; /* live without -f: stderr is gone */
	int live;                /* pipe to the first process; -1: none */
};

/* Returns in the process that shall serve; the first one exits as that one does, or with 0 when it is live. STOP: a signalfd. */
int daemon_start(struct daemon *d, bool foreground, int stop);
/* The mount serves: the caller is let go, at the first time, the service manager told. */
int daemon_live(struct daemon *d, const char *mountpoint);
void daemon_stopping(struct daemon *d);
/* What this process is at while it is not live, for the service manager. */
void daemon_status(const char *text);
/* For store_options.say: one line for the administrator. */
void daemon_say(void *d, int priority, const char *text);

#endif
