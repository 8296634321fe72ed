/* SPDX-License-Identifier: Apache-2.0 */
/* One seed. */
#include "duo.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SCHEDULES 10                   /* of a run */
#define APPENDS 30                     /* of a schedule, at most */
#define NAMES_MANY 120                 /* files with which a run ends: what is large is slow to look at */

const char *const duo_branch_names[DUO_BRANCHES] = {
	[PROMOTED] = "promotions",
	[PROMOTED_STOPPED] = "promotions with --stopped",
	[PROMOTED_LOSS] = "promotions with --accept-loss",
	[PROMOTE_REFUSED] = "promotions refused",
	[WENT_ALONE] = "primaries gone on alone",
	[ALONE_REFUSED] = "primaries refused to go on alone",
	[SWITCHED_OVER] = "switch-overs",
	[SWITCHOVER_FAILED] = "switch-overs refused or failed",
	[MIN_STANDBYS_SET] = "changes of min_standbys",
	[DEPOSED] = "primaries deposed",
	[CUT] = "cuts to lost/",
	[BLANK_START] = "blank starts",
	[BLANK_AGAIN] = "stores given up and made anew",
	[HALF_JOIN] = "crashes with a half-fetched log",
	[TAKEN_IN] = "nodes taken into the pair",
	[HELLO_TURNED_DOWN] = "HELLOs refused: a higher reign was promised",
	[CUT_REFUSED] = "HELLOs refused: what is committed would be cut",
	[TORN_PROMISE] = "crashes while a promise was written",
	[CRASHED_AT_CUT] = "crashes while a log was cut",
	[CRASHED_AT_START] = "crashes during a start",
	[NODE_KILLED] = "kills",
	[NODE_POWER_CUT] = "power cuts",
	[BOTH_DOWN] = "both down",
	[FROZEN] = "nodes that stood still",
	[PATHS_CUT] = "paths cut both ways",
	[PATH_CUT_ONE_WAY] = "paths cut one way",
	[FLAPPED] = "flapping paths",
	[SLOWED] = "slow paths",
	[HALF_FRAME] = "connections broken inside of a frame",
	[DISK_FILLED] = "appends refused on a full disk",
	[SYNCS_FAILED] = "disks that fail to sync",
	[REPLACED] = "nodes replaced by blank ones",
	[LIED] = "false words",
	[LOSS_TOOK_PLACE] = "accepted losses that took place",
	[LOST_SOME] = "times that something was lost so",
	[EXCUSED_NOTHING] = "accepted losses that cost nothing",
	[OPERATOR_NEEDED] = "times that an operator had to help",
	[REFUSED_HOSTDOWN] = "appends refused: the other node is away",
	[REFUSED_STANDBY] = "appends refused: a standby",
	[UNKNOWN_TIMEOUT] = "appends with an unknown outcome",
	[READ_ON_STANDBY] = "reads on a standby",
};

void duo_meet(struct duo *p, enum duo_branch b)
{
	p->counts->branches[b]++;
	duo_note(p, 1000u + b);
}

void duo_meet_if(struct duo *p, enum duo_branch b, bool met)
{
	if (met)
		duo_meet(p, b);
}

void duo_note(struct duo *p, uint64_t what)
{
	p->events = (p->events ^ what) * UINT64_C(0x9e3779b97f4a7c15);
	p->events ^= p->events >> 31;
}

void duo_say(struct duo *p, const char *format, ...)
{
	char line[700];
	va_list args;
	int n;

	if (!p->seed->tell)
		return;
	n = snprintf(line, sizeof line, "%12.6f  ", (double)world_now(p->world) / 1e9);
	va_start(args, format);
	vsnprintf(line + n, sizeof line - (size_t)n, format, args);
	va_end(args);
	p->seed->tell(p->seed->ctx, line);
}

void duo_pass(struct duo *p, int64_t ns)
{
	int64_t until = world_now(p->world) + ns;

	for (;;) {
		int64_t next = until;
		for (int i = 0; i < NODES; i++) {
			if (p->thaw[i] && p->thaw[i] <= world_now(p->world)) {
				p->thaw[i] = 0;
				p->nodes[i].process.frozen = false;
				duo_say(p, "%s goes on", simnet_name(i));
			}
			if (p->thaw[i] && p->thaw[i] < next)
				next = p->thaw[i];
		}
		if (world_now(p->world) >= until)
			return;
		world_sleep(p->world, next - world_now(p->world));
	}
}

static void broken(void *ctx, const char *what)
{
	struct duo *p = ctx;

	duo_say(p, "BROKEN: %s", what);
	p->seed->failed(p->seed->ctx, p->seed->number, what);
}

static void stuck(void *ctx)
{
	broken(ctx, "nobody can go on any more");
}

static void one_schedule(struct duo *p)
{
	uint64_t broken_before = p->net->halves;

	duo_say(p, "======== a schedule");
	p->events = 0;
	p->net->hash = 0;
	p->quiet = false;
	p->left = 1 + (int)chance_of(p->world, APPENDS);
	duo_events(p);
	duo_calm(p);
	duo_meet_if(p, HALF_FRAME, p->net->halves > broken_before);
	duo_note(p, p->net->hash);
	p->counts->schedules++;
	if (p->seed->is_new)
		p->seed->is_new(p->seed->ctx, p->events);
}

static int begin(struct duo *p)
{
	int err = world_new(&p->world, p->seed->number, stuck, p);

	if (!err)
		err = simnet_new(&p->net, p->world, NODES);
	if (!err)
		err = ledger_init(&p->ledger, p->world, broken, p);
	return err;
}

int duo_run(const struct seed *s)
{
	struct duo *p = calloc(1, sizeof *p);
	int err = p ? 0 : -ENOMEM;

	if (err)
		return err;
	p->seed = s;
	p->counts = s->counts;
	err = begin(p);
	if (err)
		return err;
	world_enter(p->world);
	for (int i = 0; i < NODES; i++)
		node_init(p, i);
	duo_begin(p);
	for (int n = 0; n < SCHEDULES && p->nodes[0].disk->now.count < NAMES_MANY && p->nodes[1].disk->now.count < NAMES_MANY; n++)
		one_schedule(p);
	duo_end(p);
	p->counts->runs++;
	for (int i = 0; i < NODES; i++)
		node_end(&p->nodes[i]);
	world_leave(p->world);
	ledger_end(&p->ledger);
	simnet_free(p->net);
	world_free(p->world);
	free(p);
	return 0;
}
