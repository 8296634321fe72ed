/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repair.h - bytes of another node's log in the place of what has rotted here.
 *
 * Who talks to the other node asks store_damaged_span() what is wanting, and gives what came to store_repair() (member.h), which takes
 * only what fits: each record is valid at its position with the cluster's secret, and the chain joins both ends. The keeper writes it back.
 *
 * Errors   negative errno.
 * Threads  the keeper's.
 */
#ifndef MQFS_STORE_REPAIR_H
#define MQFS_STORE_REPAIR_H

#include "damage.h"
#include "parts.h"

/* Whether BYTES fit span D, of which there are as many: whole valid records, each after the one before it, what stands on either side
 * included; and zeros between them. -EBADMSG: they do not. */
int repair_check(const uint8_t *secret, const struct damage *d, const uint8_t *bytes);
/* What was given is written, synced, and read again. -ENOENT: nothing was given. Otherwise the damage stays as it is; where that is for want
 * of room or memory, it can be asked for again. */
int repair_write(struct store *s);
/* What was given and never written. */
void repair_drop(struct store *s);

#endif
