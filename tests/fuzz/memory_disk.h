/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_disk.h - a disk whose files are blocks of memory of exactly their size: reading behind one is seen by the address sanitizer.
 *
 * Calling  d = memory_disk_new(); memory_disk_put(d, "id", bytes, len); ... disk_free(d);
 *          memory_disk_serve(d); store_open(&s, "/", ...): whole stores live in one, too; linked with --wrap=disk_open_directory.
 * Errors   as the real disk's: -ENOENT, -EEXIST, -EISDIR. The disk is never full and never fails; out of memory ends the process.
 * Threads  any.
 */
#ifndef MQFS_TESTS_MEMORY_DISK_H
#define MQFS_TESTS_MEMORY_DISK_H

#include "disk.h"

struct disk *memory_disk_new(void);
/* One user more: it takes one disk_free() more. */
struct disk *memory_disk_hold(struct disk *d);
/* Whoever opens a directory gets D from now on (memory_disk_serve.c). */
void memory_disk_serve(struct disk *d);
/* Another one with the same files. */
struct disk *memory_disk_copy(struct disk *from);
/* PATH has these bytes from now on; LEN zeros where BYTES is NULL. */
void memory_disk_put(struct disk *d, const char *path, const void *bytes, size_t len);
/* The bytes of PATH, to be changed in place; NULL: there is none. Valid until the file changes. */
uint8_t *memory_disk_get(struct disk *d, const char *path, size_t *len);
/* The Nth file, in order of creation; NULL behind the last. */
const char *memory_disk_name(struct disk *d, size_t n);

#endif
