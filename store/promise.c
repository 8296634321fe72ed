/* SPDX-License-Identifier: Apache-2.0 */
#include "promise.h"
#include "bytes.h"
#include "segment.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC "MQFS-PRM"
#define SIZE 56u
#define ACCEPTED_LOSS 1u

int reign_compare(struct reign a, struct reign b)
{
	if (a.number != b.number)
		return a.number < b.number ? -1 : 1;
	return (a.node > b.node) - (a.node < b.node);
}

struct reign epoch_reign(const struct epoch *e)
{
	return (struct reign){e->reign, e->node};
}

int epoch_compare(const struct epoch *a, const struct epoch *b)
{
	int reigns = reign_compare(epoch_reign(a), epoch_reign(b));

	return reigns ? reigns : (a->start > b->start) - (a->start < b->start);
}

int promise_load(struct disk *d, const struct identity *id, struct promise *p)
{
	uint8_t *bytes;
	void *file;
	size_t len;
	int err = disk_load(d, PROMISE_FILE, 4096, &file, &len);

	if (err)
		return err == -EFBIG ? -EBADMSG : err;
	bytes = file;
	if (len != SIZE || memcmp(bytes, MAGIC, 8) != 0 || get32(bytes + 8) > FORMAT_VERSION || get64(bytes + 32) != id->cluster ||
		get64(bytes + 48) != XXH3_64bits_withSecret(bytes, 48, id->secret, RECORD_SECRET))
		err = -EBADMSG;
	if (!err)
		*p = (struct promise){.reign = {get32(bytes + 16), get64(bytes + 24)}, .own = get32(bytes + 20), .received = get64(bytes + 40),
			.accepted_loss = get32(bytes + 12) & ACCEPTED_LOSS};
	free(file);
	return err;
}

int promise_save(struct disk *d, const struct identity *id, const struct promise *p)
{
	uint8_t bytes[SIZE] = MAGIC;

	put32(bytes + 8, FORMAT_VERSION);
	put32(bytes + 12, p->accepted_loss ? ACCEPTED_LOSS : 0);
	put32(bytes + 16, p->reign.number);
	put32(bytes + 20, p->own);
	put64(bytes + 24, p->reign.node);
	put64(bytes + 32, id->cluster);
	put64(bytes + 40, p->received);
	put64(bytes + 48, XXH3_64bits_withSecret(bytes, 48, id->secret, RECORD_SECRET));
	return disk_replace(d, PROMISE_FILE, bytes, sizeof bytes, 0600);
}

struct promise promise_of_log(const struct identity *id, const struct epoch *last)
{
	struct promise p = {.reign = epoch_reign(last)};

	if (!last->reign)                      /* a new store: its first reign is its own */
		p.reign = (struct reign){1, id->node};
	if (p.reign.node == id->node)
		p.own = p.reign.number;
	return p;
}
