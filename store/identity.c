/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "bytes.h"
#include "segment.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

static const char magic[8] = "MQFS-ID";

static int random_bytes(void *to, size_t len)
{
	ssize_t n;

	do {
		n = getrandom(to, len, 0);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : -EIO;
}

int identity_make(struct identity *id)
{
	int err = random_bytes(id->secret, sizeof id->secret);

	if (!err)
		err = random_bytes(&id->cluster, sizeof id->cluster);
	if (!err)
		err = random_bytes(&id->node, sizeof id->node);
	id->format = FORMAT_VERSION;
	return err;
}

int identity_decode(struct identity *id, const uint8_t *from, size_t len)
{
	if (len < 16 || memcmp(from, magic, sizeof magic))
		return -EBADMSG;
	if (get32(from + 8) > FORMAT_VERSION)
		return -EPROTONOSUPPORT;
	if (len != IDENTITY_SIZE || get64(from + len - 8) != XXH3_64bits(from, len - 8))
		return -EBADMSG;
	id->format = get32(from + 8);
	id->cluster = get64(from + 16);
	id->node = get64(from + 24);
	memcpy(id->secret, from + 32, RECORD_SECRET);
	return 0;
}

void identity_encode(const struct identity *id, uint8_t to[IDENTITY_SIZE])
{
	memcpy(to, magic, sizeof magic);
	put32(to + 8, id->format);
	put32(to + 12, 0);
	put64(to + 16, id->cluster);
	put64(to + 24, id->node);
	memcpy(to + 32, id->secret, RECORD_SECRET);
	put64(to + IDENTITY_SIZE - 8, XXH3_64bits(to, IDENTITY_SIZE - 8));
}

int identity_load(struct disk *d, struct identity *id)
{
	void *bytes;
	size_t len;
	int err = disk_load(d, IDENTITY_FILE, 1 << 20, &bytes, &len);

	if (err)
		return err == -EFBIG ? -EBADMSG : err;
	err = identity_decode(id, bytes, len);
	free(bytes);
	return err;
}

int identity_save(struct disk *d, const struct identity *id)
{
	uint8_t bytes[IDENTITY_SIZE];

	identity_encode(id, bytes);
	return disk_replace(d, IDENTITY_FILE, bytes, sizeof bytes, 0600);
}
