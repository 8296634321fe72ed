/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail.h - the end of the log after a crash: what is torn goes to lost/, what is not committed yet is made durable.
 *
 * Errors   negative errno; then nothing may be appended or shown beyond C.
 */
#ifndef MQFS_STORE_TAIL_H
#define MQFS_STORE_TAIL_H

#include "survey.h"

/* In this order. Segments behind P go to lost/, and leave the survey. */
int tail_move(struct survey *v);
/* What stands between D and P is written again and synced, and the names of all files are. */
int tail_make_durable(struct survey *v);
/* The rest of P's segment goes to lost/, and is zeros. */
int tail_cut(struct survey *v);

#endif
