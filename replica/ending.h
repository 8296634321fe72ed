/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ending.h - how one side of a link ends: the first error, its reason for people, and the ERROR frame that tells it to the other side.
 *
 * Calling  ending_init(e); ending_set(e, err, code, ...) wherever it goes wrong; ending_say(e, &frame, iov, &n) when the next frame is asked for.
 * Threads  any.
 */
#ifndef MQFS_REPLICA_ENDING_H
#define MQFS_REPLICA_ENDING_H

#include "frame.h"
#include <pthread.h>

#define ENDING_QUIET 0u                  /* instead of an enum frame_error: the other side knows already */

struct ending {
	pthread_mutex_t lock;            /* all below */
	int err;                         /* 0: it goes on */
	uint32_t code;
	bool said;
	char why[FRAME_REASON];
	uint8_t body[FRAME_REASON + 8];
};

void ending_init(struct ending *e);
void ending_destroy(struct ending *e);
/* The link ends with ERR, told as CODE (enum frame_error). Only the first call counts; returns what that one said. */
int ending_set(struct ending *e, int err, uint32_t code, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* 0: it goes on. 1: the frame is to be sent, then the link ends. Else the error. */
int ending_say(struct ending *e, struct frame *f, struct iovec *iov, int *n);
/* What the other side's ERROR frame says. */
int ending_heard(struct ending *e, const struct frame *f, const void *body);
void ending_why(struct ending *e, char to[FRAME_REASON]);

#endif
