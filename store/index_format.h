/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_format.h - what index.c and index_write.c share: the sizes in the layout that stands at the top of index.c.
 */
#ifndef MQFS_STORE_INDEX_FORMAT_H
#define MQFS_STORE_INDEX_FORMAT_H

#include "record.h"
#include "runs.h"

#include <xxhash.h>

#define HEADER 64u
#define PAGE 4096u
#define ROW 48u
#define PAGE_ROWS 85u
#define PAGE_SUM 4088u
#define TABLE_ROW 24u
#define VERSION 1u

static inline uint64_t directory_at(size_t pages)
{
	return (HEADER + 8 * (uint64_t)pages + 8 + PAGE - 1) / PAGE * PAGE;
}

static inline uint64_t sum(const uint8_t *secret, const uint8_t *from, size_t len)
{
	return XXH3_64bits_withSecret(from, len, secret, RECORD_SECRET);
}

#endif
