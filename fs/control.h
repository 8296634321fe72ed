/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - files of one value, as in cgroupfs: .config/NAME and .mqfs/NAME.
 *
 * Opening one for reading takes a snapshot of its text, which the handle's reads return and whose size stat then tells. A read of
 * .config/NAME from its beginning takes another one: who keeps it open asks so what is in force. One
 * write(2) is one value, wherever in the file it is written to; blanks around it do not count. It returns when the change is committed,
 * or the order carried out; a value that is refused changes nothing.
 *
 * A control says how a file's text is made and what a value written to it does. config.c has those of a topic, statusfile.c those of
 * the node; control_entry() and control_find() reach both by the directory.
 *
 * Errors   -EINVAL: no value of this file, or out of its bounds. -EACCES to open for writing what cannot be written.
 */
#ifndef MQFS_FS_CONTROL_H
#define MQFS_FS_CONTROL_H

#include "node.h"
#include <stdio.h>

#define CONTROL_TEXT 256         /* bytes of a value and its NUL; a longer one is -EINVAL */

#define STATUS_WHY 512
#define STATUS_FILES 8u

struct control {
	int (*print)(struct mount *m, struct node *n, FILE *to);
	/* Logs as C what TEXT says, as the functions of state.h do, or completes C some other way, then or later. NULL: the file cannot be
	 * written. */
	int (*set)(struct mount *m, struct node *n, const char *text, struct command *c);
};

/* A file of a control directory. */
struct control_entry {
	char name[32];
	const struct control *control;
	struct queue *queue;             /* of head.Q */
	uint64_t which;                  /* node->start; a file of the node's own: below STATUS_FILES */
	uint32_t index;                  /* its place in its directory, for ever */
};

/* The file at place INDEX of directory DIR; false behind the last one. */
bool control_entry(const struct node *dir, uint32_t index, struct control_entry *e);
int control_lookup(struct mount *m, struct node *dir, const char *name, struct node **n);
/* TO becomes what is between the blanks around the value in FROM. -EINVAL: nothing is, or it is no text. */
int control_value(const char *from, size_t size, char to[CONTROL_TEXT]);
static inline enum node_kind control_kind(const struct node *dir)
{
	return dir->kind == NODE_CONFIG_DIR ? NODE_CONFIG : NODE_STATUS;
}

/* config.c: the configuration of topic T. */
bool config_entry(struct topic *t, uint32_t index, struct control_entry *e);
bool config_find(struct topic *t, const char *name, struct control_entry *e);
/* statusfile.c: the node's own files. */
bool status_entry(uint32_t index, struct control_entry *e);
bool status_find(const char *name, struct control_entry *e);
/* How this node is, in one word: "fine", or what ails the store, the node among others, or else the log; and a line about that in WHY. */
const char *status_health(struct mount *m, const struct store_status *s, char why[STATUS_WHY]);
int metrics_print(struct mount *m, struct node *n, FILE *to);     /* metrics.c: all of them, as Prometheus reads them */
/* orderfile.c: .mqfs/role and .mqfs/order. */
int role_print(struct mount *m, struct node *n, FILE *to);
int role_set(struct mount *m, struct node *n, const char *text, struct command *c);
int order_print(struct mount *m, struct node *n, FILE *to);
int order_set(struct mount *m, struct node *n, const char *text, struct command *c);

#endif
