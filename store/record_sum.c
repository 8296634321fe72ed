/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from record.c, because the library's choice by processor does not go with its functions inline. */
#include "record.h"
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

uint64_t record_sum_long(const uint8_t *secret, const void *from, size_t len)
{
	return XXH3_64bits_withSecret(from, len, secret, RECORD_SECRET);
}
