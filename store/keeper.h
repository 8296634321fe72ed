/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - the one thread for what can wait: seals, checkpoints, retention, prepared segments, unused mappings.
 *
 * While the store is used it looks once a second; when nothing has changed since its last look, it sleeps until the next message comes
 * of age or somebody pokes it. An idle store has no wake-ups.
 */
#ifndef MQFS_STORE_KEEPER_H
#define MQFS_STORE_KEEPER_H

#include "parts.h"

int keeper_start(struct keeper **k, struct store *s, uint64_t checkpoint_pos);
/* The commit point moved. Cheap. */
void keeper_advanced(struct keeper *k, uint64_t committed);
/* There is work now: a setting changed. */
void keeper_poke(struct keeper *k);
/* Something of KIND was found damaged: what is derived is made again. */
void keeper_renew(struct keeper *k, enum damage_kind kind);
/* An append, or what a standby received, was refused for want of space. Cheap, for writers try again at once: it looks once a second. */
void keeper_full(struct keeper *k);
/* Ends the thread; what it was at is left. */
void keeper_stop(struct keeper *k);
void keeper_free(struct keeper *k);
/* A checkpoint now, with everything before it sealed. For the keeper, and for closing. */
int keeper_checkpoint(struct keeper *k);
/* Of the newest checkpoint made or loaded: its position, and when (ns since 1970, 0: none in this run). */
void keeper_checkpoint_info(struct keeper *k, uint64_t *pos, int64_t *time);

#endif
