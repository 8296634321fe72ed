/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"
#include <errno.h>
#include <stdlib.h>

static void change_done(struct command *c, int err)
{
	struct change *change = c->ctx;

	if (err)
		fuse_reply_err(change->req, -err);
	else
		change->answer(change);
	free(change);
	command_free(c);
}

struct command *change_new(fuse_req_t req, struct node *n, void (*answer)(struct change *c))
{
	const struct fuse_ctx *who = fuse_req_ctx(req);
	struct change *change = calloc(1, sizeof *change);
	struct command *c = change ? command_new(change_done, change) : NULL;

	if (!c) {
		free(change);
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	change->req = req;
	change->node = n;
	change->answer = answer;
	c->uid = who->uid;
	c->pid = (uint32_t)who->pid;
	return c;
}

void change_logged(struct command *c, int err)
{
	if (err)
		change_done(c, err);
}
