/* SPDX-License-Identifier: Apache-2.0 */
/* bare_store.h - a store that has tables and no log, as recovery fills it: what is applied to it, and its state as bytes. */
#ifndef MQFS_TESTS_BARE_STORE_H
#define MQFS_TESTS_BARE_STORE_H

#include "parts.h"

void bare_store_init(struct store *s);
void bare_store_end(struct store *s);
/* All of its state, as a checkpoint: malloc'ed. */
uint8_t *bare_store_state(struct store *s, size_t *len);

#endif
