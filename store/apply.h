/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.h - what is committed and was not appended by this process becomes state, by reading it from the log.
 *
 * So it is with all that a standby receives, and with what an earlier run left behind the commit point that its log proves.
 *
 * Errors   -ENOMEM: nothing of what is left was applied, it heals. -EAGAIN: what comes next is damaged, and another node will be asked for
 *          it. Anything else is final: what is committed cannot be read.
 */
#ifndef MQFS_STORE_APPLY_H
#define MQFS_STORE_APPLY_H

#include "parts.h"

/* From what is applied up to TO, but not beyond the first entry that log_take() has to give. By who moves the commit point. */
int apply_from_log(struct store *s, uint64_t to);

#endif
