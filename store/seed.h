/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seed.h - what another node's store is made of: where the log begins, and the newest checkpoint's file. The giving side of install.h.
 *
 * Calling  seed_open(&e, store); seed_read(e, ...) until it returns 0; seed_close(e).
 * Errors   negative errno. -ENOENT: the log has lost its beginning, and there is no valid checkpoint.
 * Threads  one at a time. The file is kept open, so it is all there even when a newer one has replaced it meanwhile; of the log nothing
 *          is held: see store_hold().
 */
#ifndef MQFS_STORE_SEED_H
#define MQFS_STORE_SEED_H

#include "log.h"
#include <sys/types.h>

struct store;
struct seed;

int seed_open(struct seed **e, struct store *s);
void seed_close(struct seed *e);                     /* also NULL */
struct log_start seed_start(const struct seed *e);
/* Position that the checkpoint stands for, and bytes of its file; 0 and 0: there is none, and the log begins at 0. */
uint64_t seed_checkpoint(const struct seed *e, uint64_t *size);
/* The next bytes of the file, at most LEN. 0: all have been read. */
ssize_t seed_read(struct seed *e, void *to, size_t len);

/* Where the segment of BASE begins, as its header says. -ENODATA: it has gone. */
int seed_segment(struct store *s, uint64_t base, struct log_start *to);

#endif
