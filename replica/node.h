/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.h - one node among others: its links, its role, what its operator asks of it. What main() sees of replica/.
 *
 * Calling, in main()'s start-up list
 *	node_new(&n, &options, why)                    certificates, addresses
 *	node_join(n, path, store_options, why)         a standby without a store gets one; it waits for its primary, until node_stop()
 *	store_open(&s, path, ...)                      standby: as node_standby(n) says
 *	node_start(n, s, why)                          listens, calls; from here on roles may change by themselves
 *	... the mount ...
 *	node_stop(n); store_stop(s); store_close(s); node_free(n)
 *
 * Threads of its own: the listener's; two for each link (one receives, one sends); one that minds the role: as a standby it calls the addresses
 * it was given, one after another, until one is a primary that takes it; as a primary it answers; it steps down, promotes and changes the
 * pair. Only this one changes the role, promises and cuts, in this order of things:
 *
 *	step down    store_step_down(), links closed, store_promise() of the higher reign, then a caller again
 *	promote      store_promise() of promote_reign(); ask the other node where it answers (PROMISE, PROMISED), take its log where it is better;
 *	             promote_judge(); store_begin_reign(); answer HELLOs; with --stopped NAME promote_alone(), store_set_pair()
 *	rejoin       a linked standby whose ACK has reached the commit point and that was in the pair before: promote_join(), store_set_pair()
 *	switch over  log_refuse()d here, all committed on both, FRAME_TAKE_OVER; promoted there by a promise of this node's; step down here
 *
 * Errors   negative errno with one line in WHY for people.
 * Threads  any, but for the calls of the start-up list.
 */
#ifndef MQFS_REPLICA_NODE_H
#define MQFS_REPLICA_NODE_H

#include "receiver.h"
#include "sender.h"
#include "store.h"

#define NODE_WHY 512u
#define NODE_LINKS 64u                   /* standbys and mirrors of one primary, at most */

struct node;

struct node_options {
	const char *listen;              /* addresses, NULL: none */
	const char *standby_of;          /* addresses of the other nodes, NULL: this one starts as the primary */
	const char *cert, *key, *ca;
	uint8_t min_standbys;            /* wanted; what counts is in the log */
	bool mirror;                     /* never of the pair */
	void (*say)(void *ctx, int priority, const char *text);
	/* The store has to be made anew from the primary: main() ends the mount and starts again with node_join(). */
	void (*start_again)(void *ctx);
	void *ctx;
};

struct node_status {
	char name[FRAME_NAME];
	struct member_view view;
	bool linked;                     /* standby: to a primary that has accepted it */
	struct receiver_status receiver;
	size_t senders;
	struct sender_status sender[NODE_LINKS];
	char why[NODE_WHY];              /* why there is no link, or appends are refused */
};

int node_new(struct node **n, const struct node_options *o, char why[NODE_WHY]);
int node_join(struct node *n, const char *path, const struct store_options *o, char why[NODE_WHY]);
bool node_standby(const struct node *n);
int node_start(struct node *n, struct store *s, char why[NODE_WHY]);
void node_stop(struct node *n);
void node_free(struct node *n);
void node_status(struct node *n, struct node_status *to);

/* The operator's. They wait for the outcome, at most so many ns; WHY says it, also when it is good. -EPERM: needs accept_loss, or may not be at all. */
int node_promote(struct node *n, const char *stopped, bool accept_loss, int64_t ns, char why[NODE_WHY]);
int node_alone(struct node *n, const char *stopped, bool accept_loss, int64_t ns, char why[NODE_WHY]);
int node_switchover(struct node *n, int64_t ns, char why[NODE_WHY]);
int node_set_min_standbys(struct node *n, uint8_t count, int64_t ns, char why[NODE_WHY]);

#endif
