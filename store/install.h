/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install.h - makes a store of what another node sends: its cluster's identity, a checkpoint, and its log from the oldest segment on.
 *
 * For a node that is blank, or whose log ends before the primary's begins. The store is there at once or not at all: the file "joining"
 * is its mark while it is made, and its identity, without which it is no store, is written last. What an interrupted one has left is taken
 * away by the next. The mark, 32 bytes, holds what outlives a store that is given up: 0 u64 node id; 8 u32 and 16 u64 the promised reign's
 * number and node; 24 u64 the position from which its log goes to lost/, UINT64_MAX where nothing is to go there any more.
 *
 * Calling
 *	install_look(disk, &before)                              what the directory has been before
 *	install_begin(&i, path, again, ...)
 *	install_checkpoint(i, bytes, len) ...                    the file's bytes in order
 *	install_records(i, bytes, len, base, &epoch, &took) ...  the log, until install_end(i) is at or behind the checkpoint's position
 *	install_finish(i)                                        then store_open() it as a standby
 *	install_free(i)
 *
 * Units    log positions.
 * Memory   of a segment's runs, whatever the log's length.
 * Errors   negative errno. -EBUSY: a process has the store open.
 * Threads  one.
 */
#ifndef MQFS_STORE_INSTALL_H
#define MQFS_STORE_INSTALL_H

#include "parts.h"

struct install;

struct install_before {
	bool store;                      /* there is one, of CLUSTER; else one is on its way to be, or nothing is there */
	bool joining;
	uint64_t cluster, node;          /* 0: none */
	struct promise promise;          /* own is 0 unless it is a primary's */
	uint64_t aside;                  /* of a mark */
};

/* -EBADMSG: its identity or its promise is damaged. */
int install_look(struct disk *d, struct install_before *to);

/* In PATH, which is missing or empty; AGAIN: or has a store, whose checkpoints and log are given up, but for what is at ASIDE and behind it
 * (UINT64_MAX: nothing), which goes to lost/. The node keeps its id and its promise then, else it gets a fresh one. CLUSTER's cluster id and
 * secret are taken. START is where the log sent begins; CHECKPOINT_POS is that of the checkpoint that comes, 0: none does. RECEIVED is the end of the sender's log: up to there nothing is this node's own, see promise.h. */
int install_begin(struct install **i, const char *path, bool again, uint64_t aside, const struct identity *cluster,
	const struct log_start *start, uint64_t checkpoint_pos, uint64_t received, uint64_t segment_size, char why[STORE_WHY]);
void install_free(struct install *i);                /* also NULL */
int install_checkpoint(struct install *i, const void *bytes, size_t len);
/* As log_receive(). */
int install_records(struct install *i, const void *bytes, size_t len, uint64_t base, const struct epoch *upto, size_t *took);
uint64_t install_end(const struct install *i);       /* of the log so far */
/* -EAGAIN: the log does not reach to the checkpoint yet. -EBADMSG: the checkpoint is not a valid one of that position. */
int install_finish(struct install *i, struct reign promise);

#endif
