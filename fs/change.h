/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.h - a request that changes state: logged now, answered when it is committed.
 *
 * Calling
 *	struct command *c = change_new(req, n, mkdir_answer);
 *	if (c)
 *		change_logged(c, store_mkdir(store, c, name, &owner));
 *
 * Errors   change_new() answers REQ itself when it returns NULL; an error given to change_logged(), or that comes of the command,
 *          answers it too. answer() is called for success only.
 *          Whoever is killed while it waits is answered EINTR; what comes of the command is as if nobody had heard of it.
 * Threads  any; answer() runs on the committer, or on the thread that logs, and does not block. No worker waits.
 * Owns     the request, from change_new() on. Its node stays, since the kernel holds it during the request.
 */
#ifndef MQFS_FS_CHANGE_H
#define MQFS_FS_CHANGE_H

#include "node.h"
#include "park.h"

struct change {
	struct parked parked;
	fuse_req_t req;
	struct node *node;
	void (*answer)(struct change *c);
	size_t size;                     /* a write's */
	char name[TOPIC_NAME_MAX + 1];   /* a mkdir's */
};

struct command *change_new(fuse_req_t req, struct node *n, void (*answer)(struct change *c));
static inline struct change *change_of(struct command *c)
{
	return c->ctx;
}
/* ERR is what the store said when it was to log C: unless it is 0, REQ is answered with it. */
void change_logged(struct command *c, int err);

#endif
