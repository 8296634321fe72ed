/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers.h - joins the mount and the replicator: of the program, not of the mount's library, which knows nothing of replica/.
 *
 * Calling  peers_check(&options, why); peers_begin(&p, &options, say, ctx, why); p.replicator as in replicator.h, p.others for the mount;
 *          ... peers_end(&p)
 *          A node without replication options has a replicator as well: its store may be one of a pair.
 * Errors   negative errno, with the refusal as one line in WHY.
 * Threads  one, but for what others.h says of `others`.
 */
#ifndef MQFS_FS_PEERS_H
#define MQFS_FS_PEERS_H

#include "option.h"
#include "others.h"
#include "replicator.h"

#define PEERS_WHY REPLICATOR_WHY

struct peers {
	struct network_tls *tls;         /* NULL: this node is alone */
	struct replicator *replicator;
	struct others others;
	void (*say)(void *ctx, int priority, const char *text);
	void *say_ctx;
	int again;                       /* eventfd: readable when the store has to be made anew, see replicator_options.start_again */
};

/* What of the options only replica/ can judge, before anything is started: the addresses. */
int peers_check(const struct node_options *o, char why[PEERS_WHY]);
int peers_begin(struct peers *p, const struct node_options *o, void (*say)(void *ctx, int priority, const char *text), void *ctx,
	char why[PEERS_WHY]);
void peers_end(struct peers *p);

/* ---- peers_order.c ---- */

/* One order in words, as written to .mqfs/order:
 *
 *	promote [stopped=NAME] [accept-loss]
 *	alone stopped=NAME [accept-loss]
 *	switchover
 *	min_standbys 0|1
 *
 * -EINVAL: it is none. */
int order_parse(struct order *o, const char *text);
/* For struct others; CTX is the replicator. */
void peers_order(void *ctx, const char *text, void (*done)(void *arg, int err), void *arg);

/* ---- peers_status.c: for struct others; CTX is the replicator ---- */

const char *peers_role(void *ctx);
const char *peers_ails(void *ctx, char why[OTHERS_WHY]);
int peers_print_standbys(void *ctx, FILE *to);
int peers_print_order(void *ctx, FILE *to);
int peers_print_metrics(void *ctx, FILE *to);
json_t *peers_status(void *ctx);

#endif
