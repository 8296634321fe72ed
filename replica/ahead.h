/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - frames of a link, received one ahead: while the caller checks and writes a long one, a thread decrypts the next.
 *
 * Behind a short frame nothing is received ahead: whoever waits for a commit would wait for the threads to take turns, too. The thread is there from
 * the first long frame on.
 *
 * Calling  ahead_new(&a, link); while (ahead_receive(a, &frame, &body, deadline) == 0) ...; link_shutdown(link); ahead_free(a);
 * Units    deadlines are CLOCK_MONOTONIC nanoseconds, see link_in().
 * Errors   as link_receive(). Where there is no thread to be had, nothing is received ahead.
 * Threads  one calls. It is the only one that receives of the link meanwhile.
 */
#ifndef MQFS_REPLICA_AHEAD_H
#define MQFS_REPLICA_AHEAD_H

#include "link.h"

#define AHEAD_FROM (64u << 10)            /* bytes of a body: a long frame */

struct ahead;

int ahead_new(struct ahead **to, struct link *l);
/* The next frame, whose header comes before the deadline; *BODY, FRAME_BODY bytes, is the caller's until it calls again. */
int ahead_receive(struct ahead *a, struct frame *f, uint8_t **body, int64_t deadline);
/* The link has been shut down, or has failed: its thread may be receiving. */
void ahead_free(struct ahead *a);

#endif
