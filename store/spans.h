/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spans.h - where damage in the log's records begins and ends.
 *
 * What is known of damage at first is a place that somebody came upon. spans_find() walks the segment of each such place, below the commit
 * point only, and tells the list (damage.h) of all spans there. A damaged header hides how long its record was: that span ends at the next
 * valid record.
 *
 * Errors   negative errno: some places are still to be looked at, later.
 * Threads  the keeper's.
 */
#ifndef MQFS_STORE_SPANS_H
#define MQFS_STORE_SPANS_H

#include "parts.h"

#define SPAN_MAX RAW_MAX               /* bytes; a longer one is not repaired: a store that lost so much is begun anew as a standby */

int spans_find(struct store *s);
/* No look comes to segments that are missing before the first one, as far as a head may need them: that is told at the start. In recovery, alone. */
void spans_tell_missing(struct store *s);

#endif
