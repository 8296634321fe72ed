/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - the file "id": which store, node and cluster this is, in which format, and the cluster's secret.
 *
 * Little endian: 0 "MQFS-ID\0"; 8 u32 format version; 12 u32 0; 16 u64 cluster id; 24 u64 node id; 32 the secret,
 * RECORD_SECRET bytes; 224 u64 XXH3 (no secret) of bytes 0-223. It is written last when a store is made: a directory
 * without it holds no store.
 *
 * Errors   -ENOENT no such file; -EBADMSG damaged; -EPROTONOSUPPORT of a newer format.
 */
#ifndef MQFS_STORE_IDENTITY_H
#define MQFS_STORE_IDENTITY_H

#include "disk.h"
#include "record.h"

#define IDENTITY_FILE "id"
#define IDENTITY_SIZE (32 + RECORD_SECRET + 8)

struct identity {
	uint32_t format;
	uint64_t cluster;
	uint64_t node;
	uint8_t secret[RECORD_SECRET];
};

/* Fresh random ids and secret. */
int identity_make(struct identity *id);
/* The file's bytes. */
int identity_decode(struct identity *id, const uint8_t *from, size_t len);
void identity_encode(const struct identity *id, uint8_t to[IDENTITY_SIZE]);
int identity_load(struct disk *d, struct identity *id);
/* Durable when it returns 0. */
int identity_save(struct disk *d, const struct identity *id);

#endif
