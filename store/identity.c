/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "bytes.h"
#include "segment.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

#define IDENTITY_SIZE (32 + RECORD_SECRET + 8)

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

int identity_load(struct disk *d, struct identity *id)
{
	uint8_t *bytes;
	size_t len;
	void *file;
	int err = disk_load(d, IDENTITY_FILE, 1 << 20, &file, &len);

	if (err == -EFBIG)
		return -EBADMSG;
	if (err)
		return err;
	bytes = file;
	if (len < 16 || memcmp(bytes, magic, sizeof magic))
		err = -EBADMSG;
	else if (get32(bytes + 8) > FORMAT_VERSION)
		err = -EPROTONOSUPPORT;
	else if (len != IDENTITY_SIZE || get64(bytes + len - 8) != XXH3_64bits(bytes, len - 8))
		err = -EBADMSG;
	if (!err) {
		id->format = get32(bytes + 8);
		id->cluster = get64(bytes + 16);
		id->node = get64(bytes + 24);
		memcpy(id->secret, bytes + 32, RECORD_SECRET);
	}
	free(file);
	return err;
}

int identity_save(struct disk *d, const struct identity *id)
{
	uint8_t bytes[IDENTITY_SIZE] = {0};

	memcpy(bytes, magic, sizeof magic);
	put32(bytes + 8, id->format);
	put64(bytes + 16, id->cluster);
	put64(bytes + 24, id->node);
	memcpy(bytes + 32, id->secret, RECORD_SECRET);
	put64(bytes + IDENTITY_SIZE - 8, XXH3_64bits(bytes, IDENTITY_SIZE - 8));
	return disk_replace(d, IDENTITY_FILE, bytes, sizeof bytes, 0600);
}
