/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"
#include <errno.h>
#include <stdlib.h>

static void answer_change(struct parked *p, int err)
{
	struct command *c = p->command;
	struct change *change = change_of(c);

	if (err)
		fuse_reply_err(change->req, -err);
	else
		change->answer(change);
	free(change);
	command_free(c);
}

static void change_done(struct command *c, int err)
{
	park_command_done(&change_of(c)->parked, err);
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
	park_command(&change->parked, req, c, answer_change);
	return c;
}

void change_logged(struct command *c, int err)
{
	struct parked *p = &change_of(c)->parked;

	err = park_command_given(p, err);
	if (err)
		answer_change(p, err > 0 ? 0 : err);
}
