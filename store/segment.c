/* SPDX-License-Identifier: Apache-2.0 */
#include "segment.h"
#include "bytes.h"
#include "commit.h"
#include "index.h"
#include "runs.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct segments {
	struct disk *disk;
	const uint8_t *secret;
	pthread_mutex_t lock;
	pthread_cond_t unused;           /* a segment lost its last user */
	struct segment **at;             /* in order of base */
	size_t count, capacity;
};

static const char magic[8] = "MQFS-SEG";

bool position_named(const char *name, char end, uint64_t *pos)
{
	if (strspn(name, "0123456789abcdef") != 16 || name[16] != end)
		return false;
	*pos = strtoull(name, NULL, 16);
	return *pos <= POSITION_MAX;
}

void segment_name(char to[32], uint64_t base)
{
	snprintf(to, 32, "log/%016" PRIx64, base);
}

void segment_index_name(char to[40], uint64_t base)
{
	snprintf(to, 40, "log/%016" PRIx64 ".index", base);
}

void segment_head_encode(const struct segment_head *h, const uint8_t *secret, uint8_t to[SEGMENT_HEAD])
{
	memcpy(to, magic, sizeof magic);
	put32(to + 8, FORMAT_VERSION);
	put32(to + 12, 0);
	put64(to + 16, h->cluster);
	put64(to + 24, h->base);
	put64(to + 32, h->chain);
	put32(to + 40, h->epoch.reign);
	put32(to + 44, h->epoch.start);
	put64(to + 48, h->epoch.node);
	put64(to + 56, (uint64_t)h->time);
	put64(to + 64, XXH3_64bits_withSecret(to, 64, secret, RECORD_SECRET));
}

int segment_head_decode(struct segment_head *h, const uint8_t *secret, const uint8_t from[SEGMENT_HEAD])
{
	if (memcmp(from, magic, sizeof magic))
		return -EBADMSG;
	if (get32(from + 8) > FORMAT_VERSION)
		return -EPROTONOSUPPORT;
	/* A write that was cut short leaves a torn cluster, and no sum: that is nobody's. */
	if (get64(from + 64))
		h->cluster = get64(from + 16);
	if (get64(from + 64) != XXH3_64bits_withSecret(from, 64, secret, RECORD_SECRET))
		return -EBADMSG;
	h->base = get64(from + 24);
	h->chain = get64(from + 32);
	h->epoch.reign = get32(from + 40);
	h->epoch.start = get32(from + 44);
	h->epoch.node = get64(from + 48);
	h->time = (int64_t)get64(from + 56);
	return 0;
}

int segment_head_write(struct disk *d, int fd, const struct segment_head *h, const uint8_t *secret)
{
	static const uint8_t zeros[SEGMENT_HEADER];
	uint8_t bytes[SEGMENT_HEAD];
	struct iovec iov[2] = {{bytes, sizeof bytes}, {(void *)zeros, SEGMENT_HEADER - sizeof bytes}};

	segment_head_encode(h, secret, bytes);
	return disk_writev(d, fd, iov, 2, 0);
}

int segment_head_read(struct disk *d, int fd, struct segment_head *h, const uint8_t *secret)
{
	uint8_t bytes[SEGMENT_HEAD];
	int err = disk_read(d, fd, bytes, sizeof bytes, 0);

	if (err)
		return err == -ENODATA ? -EBADMSG : err;
	return segment_head_decode(h, secret, bytes);
}

int segments_new(struct segments **all, struct disk *d, const uint8_t *secret)
{
	struct segments *a = calloc(1, sizeof *a);

	if (!a)
		return -ENOMEM;
	a->disk = d;
	a->secret = secret;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->unused, NULL);
	*all = a;
	return 0;
}

static void let_go(struct segment *s)
{
	mapping_free(&s->mapping, s->all->disk);
	index_close(s->index);
	s->index = NULL;
}

static void segment_free(struct segment *s)
{
	let_go(s);
	runs_free(s->runs);
	free(s);
}

void segments_free(struct segments *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->count; i++)
		segment_free(all->at[i]);
	pthread_mutex_destroy(&all->lock);
	pthread_cond_destroy(&all->unused);
	free(all->at);
	free(all);
}

static int make_room(struct segments *all)
{
	size_t capacity = all->capacity ? 2 * all->capacity : 16;
	struct segment **at;

	if (all->count < all->capacity)
		return 0;
	at = realloc(all->at, capacity * sizeof(struct segment *));
	if (!at)
		return -ENOMEM;
	all->at = at;
	all->capacity = capacity;
	return 0;
}

int segments_add(struct segments *all, const struct segment_head *h, uint64_t end, struct runs *runs, struct segment **added)
{
	struct segment *s = calloc(1, sizeof *s);
	int err;

	if (!s)
		return -ENOMEM;
	pthread_mutex_lock(&all->lock);
	err = make_room(all);
	if (!err) {
		s->all = all;
		s->head = *h;
		s->end = end;
		s->runs = runs;
		s->sealed = !runs;
		if (all->count)
			all->at[all->count - 1]->end = h->base;
		all->at[all->count++] = s;
		if (added)
			*added = s;
	}
	pthread_mutex_unlock(&all->lock);
	if (err)
		free(s);
	return err;
}

/* The place of the last segment whose base is at or below POS; 0 when all are above. */
static size_t place_of(const struct segments *all, uint64_t pos)
{
	size_t low = 0, high = all->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (all->at[middle]->head.base <= pos)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static struct segment *hold_at(struct segments *all, size_t place)
{
	if (place >= all->count)
		return NULL;
	all->at[place]->users++;
	return all->at[place];
}

struct segment *segments_find(struct segments *all, uint64_t pos)
{
	struct segment *s;

	pthread_mutex_lock(&all->lock);
	s = hold_at(all, place_of(all, pos));
	if (s && pos >= s->end) {
		s->users--;
		s = NULL;
	}
	pthread_mutex_unlock(&all->lock);
	return s;
}

struct segment *segments_first(struct segments *all)
{
	struct segment *s;

	pthread_mutex_lock(&all->lock);
	s = hold_at(all, 0);
	pthread_mutex_unlock(&all->lock);
	return s;
}

struct segment *segments_last(struct segments *all)
{
	struct segment *s;

	pthread_mutex_lock(&all->lock);
	s = all->count ? hold_at(all, all->count - 1) : NULL;
	pthread_mutex_unlock(&all->lock);
	return s;
}

struct segment *segment_next(struct segment *s)
{
	struct segments *all = s->all;
	struct segment *next;
	size_t place;

	pthread_mutex_lock(&all->lock);
	place = place_of(all, s->head.base);
	if (all->count && all->at[place]->head.base <= s->head.base)
		place++;
	next = hold_at(all, place);
	pthread_mutex_unlock(&all->lock);
	segment_put(s);
	return next;
}

void segment_put(struct segment *s)
{
	struct segments *all = s->all;

	pthread_mutex_lock(&all->lock);
	if (--s->users == 0) {
		if (s->sealed && s->runs) {
			runs_free(s->runs);
			s->runs = NULL;
		}
		if (s->index_state == INDEX_RENEWED) {
			index_close(s->index);
			s->index = NULL;
			s->index_state = INDEX_GOOD;
		}
		pthread_cond_broadcast(&all->unused);
	}
	pthread_mutex_unlock(&all->lock);
}

size_t segments_count(struct segments *all)
{
	size_t count;

	pthread_mutex_lock(&all->lock);
	count = all->count;
	pthread_mutex_unlock(&all->lock);
	return count;
}

uint64_t segments_start(struct segments *all)
{
	uint64_t base;

	pthread_mutex_lock(&all->lock);
	base = all->count ? all->at[0]->head.base : 0;
	pthread_mutex_unlock(&all->lock);
	return base;
}

static int load_time(struct segment *s)
{
	struct segment_head h;
	char name[32];
	int fd, err;

	segment_name(name, s->head.base);
	fd = disk_open(s->all->disk, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	err = segment_head_read(s->all->disk, fd, &h, s->all->secret);
	disk_close(s->all->disk, fd);
	if (!err)
		s->head.time = h.time;
	return err;
}

int segment_time(struct segment *s, int64_t *ns)
{
	int err = 0;

	pthread_mutex_lock(&s->all->lock);
	if (s->head.time == TIME_UNKNOWN)
		err = load_time(s);
	*ns = s->head.time;
	pthread_mutex_unlock(&s->all->lock);
	return err;
}

/* Unmaps what nobody has used since BEFORE; returns how many are still mapped, but for the last one. */
static size_t let_go_unused(struct segments *all, int64_t before)
{
	size_t left = 0;

	for (size_t i = 0; i < all->count; i++) {
		struct segment *s = all->at[i];
		if (s->users == 0 && s->used <= before)
			let_go(s);
		left += i + 1 < all->count && (s->mapping.bytes || s->index);
	}
	return left;
}

/* A process has only so many mappings: those that nobody uses now make room. */
static int with_room(struct segment *s, int (*map)(struct segment *s))
{
	int err = map(s);

	if (err != -ENOMEM)
		return err;
	let_go_unused(s->all, INT64_MAX);
	return map(s);
}

static int map_records(struct segment *s)
{
	char name[32];

	segment_name(name, s->head.base);
	return mapping_get(&s->mapping, s->all->disk, name, SEGMENT_HEADER);
}

static int open_index(struct segment *s)
{
	return index_open(s->all->disk, s->all->secret, s->head.base, &s->index);
}

int segment_map(struct segment *s, const uint8_t **bytes, size_t *len)
{
	int err = 0;

	pthread_mutex_lock(&s->all->lock);
	if (!mapping_is_whole(&s->mapping))            /* a name takes longer than all the rest */
		err = with_room(s, map_records);
	if (!err) {
		*bytes = s->mapping.bytes + SEGMENT_HEADER;
		*len = s->mapping.len - SEGMENT_HEADER;
		s->used = commit_clock();
	}
	pthread_mutex_unlock(&s->all->lock);
	return err;
}

void segment_map_again(struct segment *s)
{
	pthread_mutex_lock(&s->all->lock);
	mapping_grown(&s->mapping);
	pthread_mutex_unlock(&s->all->lock);
}

void segment_read_in_order(struct segment *s)
{
	pthread_mutex_lock(&s->all->lock);
	mapping_in_order(&s->mapping);
	pthread_mutex_unlock(&s->all->lock);
}

bool segment_read_failed(struct segment *s)
{
	char name[32];
	bool again;

	segment_name(name, s->head.base);
	pthread_mutex_lock(&s->all->lock);
	again = mapping_failed(&s->mapping, s->all->disk, name);
	pthread_mutex_unlock(&s->all->lock);
	return again;
}

int segment_index(struct segment *s, struct index **index)
{
	int err = 0;

	pthread_mutex_lock(&s->all->lock);
	if (s->index_state != INDEX_GOOD)
		err = -ENODATA;
	else if (!s->index)
		err = with_room(s, open_index);
	*index = s->index;
	pthread_mutex_unlock(&s->all->lock);
	return err == -EBADMSG || err == -ENOENT ? -ENODATA : err;
}

bool segment_index_bad(struct segment *s)
{
	bool was_good;

	pthread_mutex_lock(&s->all->lock);
	was_good = s->index_state == INDEX_GOOD;
	if (was_good)
		s->index_state = INDEX_BAD;
	pthread_mutex_unlock(&s->all->lock);
	return was_good;
}

void segment_index_renewed(struct segment *s)
{
	pthread_mutex_lock(&s->all->lock);
	s->index_state = INDEX_RENEWED;
	pthread_mutex_unlock(&s->all->lock);
}

int segment_wants_index(struct segment *s)
{
	struct index *index;
	bool renewed;
	int err;

	pthread_mutex_lock(&s->all->lock);
	renewed = s->index_state == INDEX_RENEWED;
	pthread_mutex_unlock(&s->all->lock);
	err = s->sealed && !renewed ? segment_index(s, &index) : 0;
	return disk_error_passes(err) ? err : err == -ENODATA || err == -EIO;
}

void segment_seal(struct segment *s, uint64_t end)
{
	pthread_mutex_lock(&s->all->lock);
	s->end = end;
	s->sealed = true;
	if (s->users == 0) {
		runs_free(s->runs);
		s->runs = NULL;
	}
	pthread_mutex_unlock(&s->all->lock);
}

struct segment *segments_take_first(struct segments *all)
{
	struct segment *s = NULL;

	pthread_mutex_lock(&all->lock);
	if (all->count > 1) {
		s = all->at[0];
		memmove(all->at, all->at + 1, --all->count * sizeof(struct segment *));
	}
	pthread_mutex_unlock(&all->lock);
	return s;
}

struct segment *segments_take_last(struct segments *all)
{
	struct segment *s = NULL;

	pthread_mutex_lock(&all->lock);
	if (all->count)
		s = all->at[--all->count];
	if (all->count && !all->at[all->count - 1]->sealed)
		all->at[all->count - 1]->end = UINT64_MAX;
	pthread_mutex_unlock(&all->lock);
	return s;
}

void segment_wait_unused(struct segment *s)
{
	struct segments *all = s->all;

	pthread_mutex_lock(&all->lock);
	while (s->users)
		pthread_cond_wait(&all->unused, &all->lock);
	pthread_mutex_unlock(&all->lock);
	segment_free(s);
}

size_t segments_trim(struct segments *all, int64_t age_ns)
{
	size_t left;

	pthread_mutex_lock(&all->lock);
	left = let_go_unused(all, commit_clock() - age_ns);
	pthread_mutex_unlock(&all->lock);
	return left;
}

static bool is_mapped(struct segment *s)
{
	bool mapped;

	pthread_mutex_lock(&s->all->lock);
	mapped = s->mapping.bytes;
	pthread_mutex_unlock(&s->all->lock);
	return mapped;
}

static int leave_cache(struct segment *s)
{
	struct disk *d = s->all->disk;
	char name[32];
	int fd, err;

	segment_name(name, s->head.base);
	fd = disk_open(d, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	err = disk_forget(d, fd);
	disk_close(d, fd);
	return err;
}

uint64_t segments_leave_cache(struct segments *all, uint64_t from, uint64_t end)
{
	struct segment *s = segments_find(all, from);

	/* Where it fails, it only stays. */
	while (s && s->sealed && s->end <= end && !is_mapped(s) && !disk_error_passes(leave_cache(s))) {
		from = s->end;
		s = segment_next(s);
	}
	if (s)
		segment_put(s);
	return from;
}
