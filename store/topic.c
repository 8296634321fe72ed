/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1              /* before uthash.h: an entry that could not be added has no table */
#include "topic.h"
#include "parts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct topics {
	struct store *store;
	pthread_mutex_t apply;
	pthread_rwlock_t lock;
	/* guarded by `lock` */
	struct topic *by_name;
	struct topic **by_id;            /* ascending */
	size_t count, room;
	uint64_t counter;
	struct owner root;
};

/* Queues that came together: one allocation. */
struct queue_block {
	struct queue_block *next;
	struct queue at[];
};

int topics_new(struct topics **to, struct store *s)
{
	struct topics *t = calloc(1, sizeof *t);
	pthread_rwlockattr_t attr;

	if (!t)
		return -ENOMEM;
	t->store = s;
	t->root = s->options.owner;
	pthread_mutex_init(&t->apply, NULL);
	/* A command must not wait until nobody looks a name up any more. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&t->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	*to = t;
	return 0;
}

void topics_free(struct topics *t)
{
	if (!t)
		return;
	HASH_CLEAR(hh, t->by_name);
	for (size_t i = 0; i < t->count; i++)
		topic_put(t->by_id[i]);
	free(t->by_id);
	pthread_rwlock_destroy(&t->lock);
	pthread_mutex_destroy(&t->apply);
	free(t);
}

void topics_read_lock(struct topics *t)
{
	pthread_rwlock_rdlock(&t->lock);
}

void topics_write_lock(struct topics *t)
{
	pthread_rwlock_wrlock(&t->lock);
}

void topics_unlock(struct topics *t)
{
	pthread_rwlock_unlock(&t->lock);
}

void topics_apply_lock(struct topics *t)
{
	pthread_mutex_lock(&t->apply);
}

void topics_apply_unlock(struct topics *t)
{
	pthread_mutex_unlock(&t->apply);
}

struct owner *topics_root(struct topics *t)
{
	return &t->root;
}

uint64_t *topics_counter(struct topics *t)
{
	return &t->counter;
}

/* Place of the first topic whose id is at least ID. */
static size_t place_of(const struct topics *t, uint64_t id)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->by_id[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct topic *topic_at(struct topics *t, size_t n)
{
	return n < t->count ? t->by_id[n] : NULL;
}

struct topic *topic_with_id(struct topics *t, uint64_t id)
{
	struct topic *found = topic_at(t, place_of(t, id));

	return found && found->id == id ? found : NULL;
}

struct topic *topic_with_name(struct topics *t, const char *name, size_t len)
{
	struct topic *found;

	HASH_FIND(hh, t->by_name, name, len, found);
	return found;
}

static int make_room(struct topics *t)
{
	size_t room = t->room ? t->room * 2 : 16;
	struct topic **more;

	if (t->count < t->room)
		return 0;
	more = reallocarray(t->by_id, room, sizeof *more);
	if (!more)
		return -ENOMEM;
	t->by_id = more;
	t->room = room;
	return 0;
}

int topic_add(struct topics *t, uint64_t id, const char *name, size_t len, const struct owner *o, int64_t born, struct topic **to)
{
	size_t place = place_of(t, id);
	struct topic *topic;

	if (make_room(t) != 0)
		return -ENOMEM;
	topic = calloc(1, sizeof *topic);
	if (!topic)
		return -ENOMEM;
	topic->store = t->store;
	topic->id = id;
	memcpy(topic->name, name, len);
	topic->owner = *o;
	topic->born = born;
	topic->watch.topic = topic;
	atomic_init(&topic->ctime, born);
	atomic_init(&topic->users, 1);
	HASH_ADD_KEYPTR(hh, t->by_name, topic->name, len, topic);
	if (!topic->hh.tbl) {
		free(topic);
		return -ENOMEM;
	}
	memmove(t->by_id + place + 1, t->by_id + place, (t->count++ - place) * sizeof *t->by_id);
	t->by_id[place] = topic;
	*to = topic;
	return 0;
}

void topic_remove(struct topics *t, struct topic *topic)
{
	size_t place = place_of(t, topic->id);

	HASH_DEL(t->by_name, topic);
	t->count--;
	memmove(t->by_id + place, t->by_id + place + 1, (t->count - place) * sizeof *t->by_id);
	topic_put(topic);
}

/* A table with room for COUNT, with what OLD has; it replaces OLD only when it is published. */
static struct queue_table *table_for(struct queue_table *old, uint32_t count)
{
	struct queue_table *table;
	uint32_t room = old ? old->room : 1;

	if (old && count <= old->room)
		return old;
	while (room < count)
		room *= 2;
	table = calloc(1, sizeof *table + room * sizeof *table->at);
	if (!table)
		return NULL;
	table->old = old;
	table->room = room;
	if (old)
		memcpy(table->at, old->at, old->room * sizeof *old->at);
	return table;
}

static void queue_init(struct queue *q, struct topic *t, uint32_t number, const struct owner *o, int64_t born)
{
	q->topic = t;
	q->id = t->id << QUEUE_BITS | number;
	q->owner = *o;
	q->watch.topic = t;
	atomic_init(&q->mtime, born);
	q->run_segment = UINT64_MAX;
	q->oldest_at = UINT64_MAX;
	atomic_init(&q->last_pos, UINT64_MAX);
}

int topic_grow(struct topic *t, uint32_t count, const struct owner *o, int64_t born)
{
	uint32_t have = atomic_load(&t->count);
	struct queue_table *old = atomic_load(&t->queues), *table;
	struct queue_block *block;

	block = calloc(1, sizeof *block + (count - have) * sizeof *block->at);
	if (!block)
		return -ENOMEM;
	table = table_for(old, count);
	if (!table) {
		free(block);
		return -ENOMEM;
	}
	block->next = t->blocks;
	t->blocks = block;
	for (uint32_t n = have; n < count; n++) {
		queue_init(&block->at[n - have], t, n, o, born);
		table->at[n] = &block->at[n - have];
	}
	/* In this order: who sees the count finds the queues. */
	atomic_store(&t->queues, table);
	atomic_store(&t->count, count);
	return 0;
}

struct queue *topic_queue(struct topic *t, uint32_t number)
{
	if (number >= atomic_load(&t->count))
		return NULL;
	return atomic_load(&t->queues)->at[number];
}

struct queue *queue_by_id(struct store *s, uint64_t id)
{
	struct topic *t = topic_with_id(s->topics, id >> QUEUE_BITS);

	return t ? topic_queue(t, (uint32_t)(id & (QUEUES_MAX - 1))) : NULL;
}

void queues_begin(struct store *s)
{
	struct topic *t;

	for (uint64_t after = 0; (t = topic_next(s, after)); after = t->id, topic_put(t))
		for (uint32_t n = 0; topic_queue(t, n); n++)
			topic_queue(t, n)->began = topic_queue(t, n)->appended;
	s->began = s->applied;
}

bool queue_lacked(struct store *s, const struct record *r)
{
	struct topic *t = r->pos < s->began ? topic_by_id(s, r->queue >> QUEUE_BITS) : NULL;
	struct queue *q = t ? topic_queue(t, (uint32_t)(r->queue & (QUEUES_MAX - 1))) : NULL;
	bool lacked = q && r->offset + r->length > q->began;

	if (t)
		topic_put(t);
	return lacked;
}

void queue_raise_head(struct queue *q, uint64_t head)
{
	uint64_t now = atomic_load(&q->head);

	while (head > now && !atomic_compare_exchange_weak(&q->head, &now, head))
		;
}

static void topic_free(struct topic *t)
{
	for (struct queue_block *b = t->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	for (struct queue_table *q = atomic_load(&t->queues), *old; q; q = old) {
		old = q->old;
		free(q);
	}
	free(t);
}

struct topic *topic_hold(struct topic *t)
{
	if (t)
		atomic_fetch_add(&t->users, 1);
	return t;
}

void topic_put(struct topic *t)
{
	if (t && atomic_fetch_sub(&t->users, 1) == 1)
		topic_free(t);
}

struct topic *topic_find(struct store *s, const char *name)
{
	struct topic *t;

	topics_read_lock(s->topics);
	t = topic_hold(topic_with_name(s->topics, name, strlen(name)));
	topics_unlock(s->topics);
	return t;
}

struct topic *topic_next(struct store *s, uint64_t after)
{
	struct topic *t = NULL;

	topics_read_lock(s->topics);
	if (after < UINT64_MAX)
		t = topic_hold(topic_at(s->topics, place_of(s->topics, after + 1)));
	topics_unlock(s->topics);
	return t;
}

struct topic *topic_by_id(struct store *s, uint64_t id)
{
	struct topic *t;

	topics_read_lock(s->topics);
	t = topic_hold(topic_with_id(s->topics, id));
	topics_unlock(s->topics);
	return t;
}

bool queue_cut_since(const struct queue *q, uint32_t cuts, uint64_t pos)
{
	uint32_t now = q->cuts;

	if (now - cuts > QUEUE_CUTS)
		return true;
	for (; cuts != now; cuts++)
		if (pos > q->cut_at[cuts % QUEUE_CUTS])
			return true;
	return false;
}

size_t topic_count(struct store *s)
{
	size_t count;

	topics_read_lock(s->topics);
	count = s->topics->count;
	topics_unlock(s->topics);
	return count;
}

bool topic_has_own(struct topic *t, enum setting_id id)
{
	return atomic_load(&t->own_set) & 1u << id;
}

uint64_t topic_setting(struct topic *t, enum setting_id id)
{
	return topic_has_own(t, id) ? atomic_load(&t->own[id]) : t->store->options.settings.value[id];
}

void owner_get(struct store *s, struct topic *t, struct queue *q, struct owner *to)
{
	topics_read_lock(s->topics);
	*to = q ? q->owner : t ? t->owner : s->topics->root;
	topics_unlock(s->topics);
}

/* Length of the UTF-8 sequence at P, NUL-terminated, and what it stands for; 0 when it is none. RFC 3629. */
static size_t utf8(const unsigned char *p, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;

	if (len < 2) {
		*code = *p;
		return len;
	}
	*code = *p & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	if (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return len;
}

int topic_name_check(const char *name)
{
	uint32_t code;
	size_t len;

	if (!*name || *name == '.')
		return -EINVAL;
	if (strnlen(name, TOPIC_NAME_MAX + 1) > TOPIC_NAME_MAX)
		return -ENAMETOOLONG;
	for (const unsigned char *p = (const unsigned char *)name; *p; p += len) {
		len = utf8(p, &code);
		if (!len || code == '/' || code < 0x20 || (code >= 0x7f && code < 0xa0))
			return -EINVAL;
	}
	return 0;
}
