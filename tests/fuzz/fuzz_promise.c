/* SPDX-License-Identifier: Apache-2.0 */
/* The file "promise": what is loaded is saved as the same bytes, all else is damage, and no changed bit passes. */
#include "bytes.h"
#include "fuzz.h"
#include "memory_disk.h"
#include "promise.h"
#include "segment.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SIZE 56u
#define FLAGS 1u                       /* that are known; others are read over */

static struct identity id = {.format = FORMAT_VERSION, .cluster = 0x1122334455667788, .node = 7};

static void load(const uint8_t *bytes, size_t len)
{
	struct disk *d = memory_disk_new();
	struct promise p;
	uint8_t *again;
	size_t size;
	int err;

	memory_disk_put(d, PROMISE_FILE, bytes, len);
	err = promise_load(d, &id, &p);
	must(err == 0 || err == -EBADMSG);
	if (!err) {
		must(promise_save(d, &id, &p) == 0);
		again = memory_disk_get(d, PROMISE_FILE, &size);
		must(len == SIZE && size == SIZE && get32(bytes + 8) <= FORMAT_VERSION);
		must(get32(again + 12) == (get32(bytes + 12) & FLAGS));
		must(memcmp(again, bytes, 8) == 0 && memcmp(again + 16, bytes + 16, 32) == 0);
	}
	disk_free(d);
}

/* As somebody would write it. */
static void sealed(struct input in)
{
	unsigned bit = (unsigned)take_number(&in, 2) % (SIZE * 8);
	struct disk *d = memory_disk_new();
	struct promise p = {0}, again;
	size_t size;

	p.accepted_loss = take_byte(&in) & 1;
	p.reign.number = (uint32_t)take_number(&in, 4);
	p.own = (uint32_t)take_number(&in, 4);
	p.reign.node = take_number(&in, 8);
	p.received = take_number(&in, 8);
	must(promise_save(d, &id, &p) == 0);
	must(promise_load(d, &id, &again) == 0);
	must(again.reign.number == p.reign.number && again.reign.node == p.reign.node && again.own == p.own);
	must(again.received == p.received && again.accepted_loss == p.accepted_loss);
	memory_disk_get(d, PROMISE_FILE, &size)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	must(size == SIZE && promise_load(d, &id, &again) == -EBADMSG);
	disk_free(d);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};
	uint8_t kind = take_byte(&in);
	uint8_t *copy = malloc(in.len ? in.len : 1);

	memcpy(id.secret, fuzz_secret, sizeof id.secret);
	memcpy(copy, in.at, in.len);
	if (kind % 3 == 0)
		sealed(in);
	if (kind % 3 == 1 && in.len == SIZE) {
		put64(copy + 32, id.cluster);
		put64(copy + 48, XXH3_64bits_withSecret(copy, 48, id.secret, RECORD_SECRET));
	}
	load(copy, in.len);
	free(copy);
	return 0;
}
