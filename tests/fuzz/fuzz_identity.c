/* SPDX-License-Identifier: Apache-2.0 */
/* The file "id": what is decoded encodes to the same bytes, a newer format is told from damage, and no changed bit passes. */
#include "bytes.h"
#include "fuzz.h"
#include "identity.h"
#include "segment.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void decode(const uint8_t *bytes, size_t len)
{
	uint8_t again[IDENTITY_SIZE];
	struct identity id;
	int err = identity_decode(&id, bytes, len);

	must(err == 0 || err == -EBADMSG || err == -EPROTONOSUPPORT);
	if (err == -EPROTONOSUPPORT)
		must(len >= 16 && get32(bytes + 8) > FORMAT_VERSION);
	if (err)
		return;
	identity_encode(&id, again);
	must(len == IDENTITY_SIZE && (get32(bytes + 12) || memcmp(again, bytes, len) == 0));
}

/* As somebody would write it. */
static void sealed(struct input in)
{
	unsigned bit = (unsigned)take_number(&in, 2) % (IDENTITY_SIZE * 8);
	uint8_t bytes[IDENTITY_SIZE] = {0};
	struct identity id, again;
	const uint8_t *from;
	size_t len;

	id.format = (uint32_t)take_number(&in, 1) % (FORMAT_VERSION + 1);
	id.cluster = take_number(&in, 8);
	id.node = take_number(&in, 8);
	memset(id.secret, 0, sizeof id.secret);
	from = take_bytes(&in, sizeof id.secret, &len);
	memcpy(id.secret, from, len);
	identity_encode(&id, bytes);
	must(identity_decode(&again, bytes, sizeof bytes) == 0);
	must(again.format == id.format && again.cluster == id.cluster && again.node == id.node);
	must(memcmp(again.secret, id.secret, sizeof id.secret) == 0);
	bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	must(identity_decode(&again, bytes, sizeof bytes) < 0);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};
	uint8_t kind = take_byte(&in);
	uint8_t *copy = malloc(in.len ? in.len : 1);

	memcpy(copy, in.at, in.len);
	if (kind % 3 == 0)
		sealed(in);
	if (kind % 3 == 1 && in.len == IDENTITY_SIZE)
		put64(copy + in.len - 8, XXH3_64bits(copy, in.len - 8));
	decode(copy, in.len);
	free(copy);
	return 0;
}
