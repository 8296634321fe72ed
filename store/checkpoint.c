/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file checkpoint/POS, little endian, without gaps. POS is 16 hex digits.
 *
 *      header                                        each topic, in ascending order of id
 *        0  "MQFS-CKP"                                 0  u64  id
 *        8  u32  format version                        8  i64  when it was made, ns since 1970
 *       12  u32  0                                    16  i64  when it was last changed
 *       16  u64  cluster id                           24  u32  uid
 *       24  u64  log position                         28  u32  gid
 *       32  u64  header checksum of the record        32  u32  mode
 *                before it, 0 at 0                    36  u32  queues
 *       40  u32  that record's epoch: reign           40  u32  bit N: it has a value of its own for setting N
 *       44  u32  epoch: start                         44  u8   1: it is retired
 *       48  u64  epoch: node id                       45  u8   bytes of its name
 *       56  i64  that record's time                   46  u16  0
 *       64  u64  bytes of the file                    48  u64  for each bit set, ascending: the value
 *       72  u64  topics                                   the name
 *       80  u64  id of the last topic ever made           its queues, by number, each
 *       88  u32  the root's uid                             0  u64  queue offset behind its last message
 *       92  u32  gid                                        8  u64  messages ever
 *       96  u32  mode                                      16  i64  time of its last record
 *      100  u32  0                                         24  u64  log position of its last record, 2^64-1: none yet
 *      104  u64  no head lies before this log position     32  u64  head
 *      112  u32  epochs                                    40  u64  lines that were ended without their newline
 *      116  u32  bytes of the pair, 0: none yet            48  u32  uid, 52 u32 gid, 56 u32 mode
 *      120  u64  position of its record
 *      128  the pair that is committed: pair.h            each epoch of the log that is kept, oldest first
 *        -  the epochs                                     0  u32  reign, 4 u32 start, 8 u64 node id
 *        -  the topics                                    16  u64  log position of its first record
 *        -  u64  checksum of all before it                24  u64  header checksum of the record before that, 0 at 0,
 *                                                                  and where its first record is damaged
 *                                                         32  u64  1: it was begun with an accepted loss
 *
 * Format version 1 has the topics at 112, and neither pair nor epochs.
 *
 * The settings' numbers are those of enum setting_id, the values what setting_parse() gives. The checksum is XXH3 (64 bits) with the
 * cluster's secret. A checkpoint counts only when it is right to the last byte.
 */
#include "checkpoint.h"
#include "bytes.h"
#include "retain.h"
#include "seal.h"
#include "supply.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC "MQFS-CKP"
#define HEADER 128u
#define HEADER_1 112u                  /* of format version 1 */
#define EPOCH 40u
#define TOPIC 48u
#define QUEUE CHECKPOINT_QUEUE
#define SUM 8u
#define LONGEST ((size_t)4 << 30)      /* bytes of a file that is looked at */
#define LIST_MAX 64                    /* of the newest files that pruning looks at */

static void name_of(char to[32], uint64_t pos)
{
	snprintf(to, 32, "checkpoint/%016" PRIx64, pos);
}

/* ---- writing ---- */

static uint64_t topic_bytes(const struct topic *t)
{
	unsigned own = (unsigned)__builtin_popcount(atomic_load(&t->own_set));

	return TOPIC + own * 8 + strlen(t->name) + (uint64_t)atomic_load(&t->count) * QUEUE;
}

/* What the log says about itself before the checkpoint's position. */
struct copied {
	struct epoch_row *epochs;
	size_t count;
	struct pair_row pair;
	uint8_t body[PAIR_MAX];        /* of the pair's record */
	uint32_t length;
};

/* Under the apply lock. */
static int copy_annals(struct store *s, struct copied *a)
{
	struct pair_row rows[QUORUM_PAIRS];
	uint64_t pos = s->applied_at.pos;
	size_t count;
	int err;

	*a = (struct copied){0};
	annals_forget(s->annals, segments_start(s->segments), pos);
	err = annals_pairs(s->annals, pos, rows, QUORUM_PAIRS, &count);
	if (err)
		return err;
	if (count && rows[0].pos) {            /* 0: a lone node's, which no record says */
		a->pair = rows[0];
		a->length = (uint32_t)pair_encode(&a->pair.pair, a->body);
	}
	err = annals_epochs(s->annals, &a->epochs, &a->count);
	while (!err && a->count && a->epochs[a->count - 1].start >= pos)
		a->count--;
	return err;
}

/* Under the topics' lock. */
static uint64_t topics_bytes(struct store *s)
{
	uint64_t bytes = 0;
	struct topic *t;

	for (size_t n = 0; (t = topic_at(s->topics, n)); n++)
		bytes += topic_bytes(t);
	return bytes;
}

uint64_t checkpoint_topics(struct store *s)
{
	uint64_t bytes;

	topics_read_lock(s->topics);
	bytes = topics_bytes(s);
	topics_unlock(s->topics);
	return bytes;
}

/* Under the topics' lock. */
static uint64_t bytes_now(struct store *s, const struct copied *a)
{
	return HEADER + a->length + a->count * EPOCH + topics_bytes(s) + SUM;
}

uint64_t checkpoint_size(struct store *s)
{
	struct copied annals;
	uint64_t bytes;

	topics_apply_lock(s->topics);
	copy_annals(s, &annals);               /* without memory for it, they are not counted */
	topics_read_lock(s->topics);
	bytes = bytes_now(s, &annals);
	topics_unlock(s->topics);
	topics_apply_unlock(s->topics);
	free(annals.epochs);
	return bytes;
}

static void put_owner(uint8_t *to, const struct owner *o)
{
	put32(to, o->uid);
	put32(to + 4, o->gid);
	put32(to + 8, o->mode);
}

static uint8_t *put_queue(uint8_t *to, const struct queue *q)
{
	put64(to, atomic_load(&q->committed));
	put64(to + 8, atomic_load(&q->messages));
	put64(to + 16, (uint64_t)atomic_load(&q->mtime));
	put64(to + 24, atomic_load(&q->last_pos));
	put64(to + 32, atomic_load(&q->head));
	put64(to + 40, atomic_load(&q->partial));
	put_owner(to + 48, &q->owner);
	return to + QUEUE;
}

static uint8_t *put_topic(uint8_t *to, struct topic *t)
{
	uint32_t count = atomic_load(&t->count);
	size_t len = strlen(t->name);

	put64(to, t->id);
	put64(to + 8, (uint64_t)t->born);
	put64(to + 16, (uint64_t)atomic_load(&t->ctime));
	put_owner(to + 24, &t->owner);
	put32(to + 36, count);
	put32(to + 40, atomic_load(&t->own_set));
	to[44] = atomic_load(&t->retired);
	to[45] = (uint8_t)len;
	put16(to + 46, 0);
	to += TOPIC;
	for (int id = 0; id < SETTINGS; id++)
		if (topic_has_own(t, id)) {
			put64(to, atomic_load(&t->own[id]));
			to += 8;
		}
	memcpy(to, t->name, len);
	to += len;
	for (uint32_t n = 0; n < count; n++)
		to = put_queue(to, topic_queue(t, n));
	return to;
}

static uint8_t *put_annals(uint8_t *to, const struct copied *a)
{
	memcpy(to, a->body, a->length);
	to += a->length;
	for (size_t n = 0; n < a->count; n++, to += EPOCH) {
		const struct epoch_row *row = &a->epochs[n];

		put32(to, row->epoch.reign);
		put32(to + 4, row->epoch.start);
		put64(to + 8, row->epoch.node);
		put64(to + 16, row->start);
		put64(to + 24, row->chain);
		put64(to + 32, row->accepted_loss);
	}
	return to;
}

static void put_header(uint8_t *to, struct store *s, const struct checkpoint_info *info, const struct copied *a, uint64_t topics)
{
	memcpy(to, MAGIC, 8);
	put32(to + 8, FORMAT_VERSION);
	put32(to + 12, 0);
	put64(to + 16, s->id.cluster);
	put64(to + 24, info->pos);
	put64(to + 32, info->chain);
	put32(to + 40, info->epoch.reign);
	put32(to + 44, info->epoch.start);
	put64(to + 48, info->epoch.node);
	put64(to + 56, (uint64_t)info->time);
	put64(to + 64, info->size);
	put64(to + 72, topics);
	put64(to + 80, *topics_counter(s->topics));
	put_owner(to + 88, topics_root(s->topics));
	put32(to + 100, 0);
	put64(to + 104, info->unneeded);
	put32(to + 112, (uint32_t)a->count);
	put32(to + 116, a->length);
	put64(to + 120, a->pair.pos);
}

/* The apply lock keeps the state at one position; nobody who looks something up waits for us. */
int checkpoint_encode(struct store *s, struct checkpoint_info *info, uint8_t **to)
{
	uint64_t unneeded = retain_unneeded(s);         /* before the heads are copied, for they only grow */
	struct copied annals;
	struct topic *t;
	uint8_t *at;
	size_t n;
	int err;

	topics_apply_lock(s->topics);
	err = copy_annals(s, &annals);
	topics_read_lock(s->topics);
	*info = (struct checkpoint_info){.pos = s->applied_at.pos, .chain = s->applied_at.chain, .epoch = s->applied_at.epoch,
		.time = s->applied_at.time, .size = bytes_now(s, &annals), .unneeded = unneeded};
	*to = err ? NULL : malloc(info->size);
	if (*to) {
		at = put_annals(*to + HEADER, &annals);
		for (n = 0; (t = topic_at(s->topics, n)); n++)
			at = put_topic(at, t);
		put_header(*to, s, info, &annals, n);
	}
	topics_unlock(s->topics);
	topics_apply_unlock(s->topics);
	free(annals.epochs);
	if (!*to)
		return err ? err : -ENOMEM;
	put64(*to + info->size - SUM, XXH3_64bits_withSecret(*to, info->size - SUM, s->id.secret, RECORD_SECRET));
	return 0;
}

int checkpoint_write(struct store *s, struct checkpoint_info *info)
{
	uint8_t *bytes;
	char name[32];
	int err = checkpoint_encode(s, info, &bytes);

	if (err)
		return err;
	/* After the state was copied, before it counts: a start with this checkpoint takes all segments before its own for sealed. One that a full disk
	 * has no room for is made again then, and what is before its segment may go meanwhile. */
	err = seal_committed(s);
	if (err && !disk_error_full(err))
		goto done;
	name_of(name, info->pos);
	err = disk_replace(s->disk, name, bytes, info->size, 0600);
	if (!disk_error_full(err))
		goto done;
	supply_spending(s->supply, true);
	while (disk_error_full(err) && reserve_release(s) == 0)
		err = disk_replace(s->disk, name, bytes, info->size, 0600);
	supply_spending(s->supply, false);
done:
	free(bytes);
	return err;
}

/* ---- reading ---- */

/* What is left to read of a checkpoint's bytes. */
struct rest {
	const uint8_t *at;
	size_t len;
};

static const uint8_t *take(struct rest *r, size_t len)
{
	const uint8_t *at = r->at;

	if (len > r->len)
		return NULL;
	r->at += len;
	r->len -= len;
	return at;
}

static struct owner get_owner(const uint8_t *from)
{
	return (struct owner){.uid = get32(from), .gid = get32(from + 4), .mode = get32(from + 8)};
}

/* Its own values, which VALUES gets. */
static int read_own(struct rest *r, uint32_t set, uint64_t values[SETTINGS])
{
	if (set >> SETTINGS)
		return -EBADMSG;
	for (int id = 0; id < SETTINGS; id++) {
		const uint8_t *value;

		if (!(set & 1u << id))
			continue;
		value = take(r, 8);
		if (!value || setting_check(id, get64(value)) != 0)
			return -EBADMSG;
		values[id] = get64(value);
	}
	return 0;
}

/* Q is NULL to check only. */
static int read_queue(struct rest *r, struct queue *q)
{
	const uint8_t *from = take(r, QUEUE);

	if (!from || get64(from) > INT64_MAX || get64(from + 32) > get64(from))
		return -EBADMSG;
	if (!q)
		return 0;
	q->appended = get64(from);
	atomic_store(&q->committed, get64(from));
	atomic_store(&q->messages, get64(from + 8));
	atomic_store(&q->mtime, (int64_t)get64(from + 16));
	atomic_store(&q->last_pos, get64(from + 24));
	atomic_store(&q->head, get64(from + 32));
	atomic_store(&q->partial, get64(from + 40));
	q->owner = get_owner(from + 48);
	return 0;
}

static int add_topic(struct topics *topics, const uint8_t *from, const char *name, size_t len, struct topic **to)
{
	struct owner owner = get_owner(from + 24);
	int err = topic_add(topics, get64(from), name, len, &owner, (int64_t)get64(from + 8), to);

	if (err)
		return err;
	atomic_store(&(*to)->ctime, (int64_t)get64(from + 16));
	atomic_store(&(*to)->retired, from[44]);
	return topic_grow(*to, get32(from + 36), &owner, (int64_t)get64(from + 8));
}

/* One topic, whose id must lie above *LAST, into TOPICS; NULL to check only. */
static int read_topic(struct rest *r, struct topics *topics, uint64_t *last)
{
	char name[TOPIC_NAME_MAX + 1] = {0};
	uint64_t values[SETTINGS] = {0};
	const uint8_t *from = take(r, TOPIC), *bytes;
	struct topic *t = NULL;
	int err;

	if (!from || get64(from) <= *last || get64(from) > TOPIC_ID_MAX || from[44] > 1 || from[45] > TOPIC_NAME_MAX ||
		get32(from + 36) < 1 || get32(from + 36) > QUEUES_MAX)
		return -EBADMSG;
	*last = get64(from);
	err = read_own(r, get32(from + 40), values);
	bytes = take(r, from[45]);
	if (err || !bytes || (uint64_t)get32(from + 36) * QUEUE > r->len)
		return -EBADMSG;
	memcpy(name, bytes, from[45]);
	if (strlen(name) != from[45] || topic_name_check(name) != 0)
		return -EBADMSG;
	if (topics) {
		if (topic_with_name(topics, name, from[45]))
			return -EBADMSG;
		err = add_topic(topics, from, name, from[45], &t);
		if (err)
			return err;
		for (int id = 0; id < SETTINGS; id++)
			atomic_store(&t->own[id], values[id]);
		atomic_store(&t->own_set, get32(from + 40));
	}
	for (uint32_t n = 0; !err && n < get32(from + 36); n++)
		err = read_queue(r, t ? topic_queue(t, n) : NULL);
	return err;
}

/* Into S's annals; NULL to check only. */
static int read_annals(struct rest *r, const uint8_t *header, struct store *s)
{
	struct pair_row pair = {.pos = get64(header + 120)};
	uint32_t epochs = get32(header + 112), length = get32(header + 116);
	uint64_t pos = get64(header + 24), start = 0;
	const uint8_t *body = take(r, length);
	int err = !body || (length && pair_decode(&pair.pair, body, length)) || !length != !pair.pos || (length && pair.pos >= pos) ?
		-EBADMSG : 0;

	if (!err && s && length)
		err = annals_restore_pair(s->annals, &pair);
	for (uint32_t n = 0; !err && n < epochs; n++) {
		const uint8_t *from = take(r, EPOCH);
		struct epoch_row row;

		if (!from || get64(from + 32) > 1 || get64(from + 16) >= pos || (n && get64(from + 16) <= start))
			return -EBADMSG;
		start = get64(from + 16);
		row = (struct epoch_row){.epoch = {get32(from), get32(from + 4), get64(from + 8)}, .start = start, .chain = get64(from + 24),
			.accepted_loss = get64(from + 32)};
		if (s)
			err = annals_restore_epoch(s->annals, &row);
	}
	return err;
}

/* Of a store that had no annals yet: the epoch at the checkpoint is taken to begin there. */
static int begin_annals(struct store *s, const struct checkpoint_info *info)
{
	struct epoch_row row = {.epoch = info->epoch, .start = info->pos, .chain = info->chain};

	return s && info->pos ? annals_restore_epoch(s->annals, &row) : 0;
}

static size_t header_size(const uint8_t *from)
{
	return get32(from + 8) == 1 ? HEADER_1 : HEADER;
}

static int read_header(const uint8_t *from, size_t len, const uint8_t *secret, struct checkpoint_info *info)
{
	if (len < HEADER_1 + SUM || memcmp(from, MAGIC, 8) != 0 || get32(from + 8) < 1 || get32(from + 8) > FORMAT_VERSION ||
		get64(from + 64) != len || len < header_size(from) + SUM)
		return -EBADMSG;
	if (get64(from + len - SUM) != XXH3_64bits_withSecret(from, len - SUM, secret, RECORD_SECRET))
		return -EBADMSG;
	*info = (struct checkpoint_info){.pos = get64(from + 24), .chain = get64(from + 32), .time = (int64_t)get64(from + 56), .size = len, .unneeded = get64(from + 104),
		.epoch = {.reign = get32(from + 40), .start = get32(from + 44), .node = get64(from + 48)}};
	return 0;
}

int checkpoint_decode(const uint8_t *from, size_t len, const uint8_t *secret, struct store *s, struct checkpoint_info *info)
{
	uint64_t last = 0;
	struct rest r;
	int err = read_header(from, len, secret, info);

	if (err)
		return err;
	r = (struct rest){from + header_size(from), len - header_size(from) - SUM};
	err = header_size(from) == HEADER ? read_annals(&r, from, s) : begin_annals(s, info);
	if (err)
		return err;
	for (uint64_t n = get64(from + 72); n > 0; n--) {
		err = read_topic(&r, s ? s->topics : NULL, &last);
		if (err)
			return err;
	}
	if (r.len != 0 || last > get64(from + 80) || get64(from + 80) > TOPIC_ID_MAX)
		return -EBADMSG;
	if (s) {
		*topics_counter(s->topics) = get64(from + 80);
		*topics_root(s->topics) = get_owner(from + 88);
		s->applied_at = (struct log_start){.pos = info->pos, .chain = info->chain, .epoch = info->epoch, .time = info->time};
		atomic_store(&s->applied, info->pos);
		s->unneeded = info->unneeded;
	}
	return 0;
}

/* Checks all of it before anything goes into S's tables. */
static int read_file(struct disk *d, const uint8_t *secret, uint64_t pos, struct store *s, struct checkpoint_info *info)
{
	char name[32];
	void *bytes;
	size_t len;
	int err;

	name_of(name, pos);
	err = disk_load(d, name, LONGEST, &bytes, &len);
	if (err)
		return err == -EFBIG ? -EBADMSG : err;
	err = checkpoint_decode(bytes, len, secret, NULL, info);
	if (!err && info->pos != pos)
		err = -EBADMSG;
	if (!err && s) {
		err = checkpoint_decode(bytes, len, secret, s, info);
		if (err == -EBADMSG)
			err = -EUCLEAN;          /* the tables are no longer empty: no other one can be loaded */
	}
	free(bytes);
	return err;
}

int checkpoint_check(struct disk *d, const uint8_t *secret, uint64_t pos, struct checkpoint_info *info)
{
	return read_file(d, secret, pos, NULL, info);
}

int checkpoint_load(struct store *s, uint64_t limit, struct checkpoint_info *info)
{
	struct checkpoint_info read;
	uint64_t pos[LIST_MAX];
	size_t count;
	int err = checkpoint_list(s->disk, pos, LIST_MAX, &count);

	if (err)
		return err;
	for (size_t n = 0; n < count; n++) {
		if (pos[n] > limit)
			continue;
		err = read_file(s->disk, s->id.secret, pos[n], s, &read);
		if (!err)
			*info = read;
		if (err != -EBADMSG && err != -EIO)
			return err;
		store_damaged(s, DAMAGE_CHECKPOINT, pos[n], "a checkpoint");
	}
	return -ENOENT;
}

/* ---- which there are ---- */

struct list {
	uint64_t *pos;
	size_t max, count;
};

/* Keeps the MAX greatest, in descending order. */
static int note(void *ctx, const char *name)
{
	struct list *l = ctx;
	uint64_t pos;
	size_t place = l->count;

	if (!position_named(name, 0, &pos))
		return 0;
	while (place > 0 && l->pos[place - 1] < pos)
		place--;
	if (place == l->max)
		return 0;
	if (l->count < l->max)
		l->count++;
	memmove(l->pos + place + 1, l->pos + place, (l->count - place - 1) * sizeof *l->pos);
	l->pos[place] = pos;
	return 0;
}

int64_t checkpoint_made(struct disk *d, uint64_t pos)
{
	struct stat st;
	char name[32];

	name_of(name, pos);
	return disk_stat(d, name, &st) ? 0 : st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
}

int checkpoint_list(struct disk *d, uint64_t *pos, size_t max, size_t *count)
{
	struct list l = {.pos = pos, .max = max};
	int err = disk_list(d, "checkpoint", note, &l);

	*count = l.count;
	return err;
}

/* What a crash left half written. */
static int remove_aside(void *ctx, const char *name)
{
	struct disk *d = ctx;
	char path[40];
	uint64_t pos;

	if (!position_named(name, '.', &pos) || strcmp(name + 16, ".new") != 0)
		return 0;
	name_of(path, pos);
	return disk_unlink(d, strcat(path, ".new"));
}

int checkpoint_prune(struct store *s, size_t keep)
{
	struct checkpoint_info info;
	uint64_t pos[LIST_MAX];
	char name[32];
	size_t count, valid = 0;
	int err = checkpoint_list(s->disk, pos, LIST_MAX, &count);

	for (size_t n = 0; !err && n < count; n++) {
		if (valid < keep) {
			/* A damaged one is no reason to let a good one go. */
			valid += checkpoint_check(s->disk, s->id.secret, pos[n], &info) == 0;
			continue;
		}
		name_of(name, pos[n]);
		err = disk_unlink(s->disk, name);
	}
	return err ? err : disk_list(s->disk, "checkpoint", remove_aside, s->disk);
}
