/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"
#include "path.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define HEAD "head."

static int setting_file_print(struct mount *m, struct node *n, FILE *to)
{
	enum setting_id id = (enum setting_id)n->start;
	char text[SETTING_TEXT];

	(void)m;
	setting_print(id, topic_setting(n->topic, id), text);
	fprintf(to, "%s\n", text);
	return 0;
}

static int setting_file_set(struct mount *m, struct node *n, const char *text, struct command *c)
{
	int err = store_set(m->store, c, n->topic, (enum setting_id)n->start, text);

	return err == -ERANGE ? -EINVAL : err;
}

static int queues_print(struct mount *m, struct node *n, FILE *to)
{
	(void)m;
	fprintf(to, "%" PRIu32 "\n", n->topic->count);
	return 0;
}

static int queues_set(struct mount *m, struct node *n, const char *text, struct command *c)
{
	uint32_t count;

	if (path_number(text, strlen(text), &count) < 0 || count < 1 || count > QUEUES_MAX)
		return -EINVAL;
	return store_set_queues(m->store, c, n->topic, count);
}

static int retired_print(struct mount *m, struct node *n, FILE *to)
{
	(void)m;
	fprintf(to, "%d\n", n->topic->retired ? 1 : 0);
	return 0;
}

static int retired_set(struct mount *m, struct node *n, const char *text, struct command *c)
{
	bool retired = strcmp(text, "1") == 0;

	if (!retired && strcmp(text, "0") != 0)
		return -EINVAL;
	return store_set_retired(m->store, c, n->topic, retired);
}

static int head_print(struct mount *m, struct node *n, FILE *to)
{
	(void)m;
	fprintf(to, "%" PRIu64 "\n", n->queue->head);
	return 0;
}

/* A head stands at the beginning of a message: an offset inside one keeps this message. A time before all that is retained moves
 * nothing; an offset there is a mistake. */
static int head_set(struct mount *m, struct node *n, const char *text, struct command *c)
{
	struct queue *q = n->queue;
	bool is_offset = strspn(text, "0123456789") == strlen(text);
	struct head_move move = {.queue = q->id};
	uint64_t head = q->head, offset, end;
	int err;

	if (q->topic->removed)
		return -ENOENT;
	err = path_start(m->store, q, text, &offset);
	if (err)
		return err == -ENOENT ? -EINVAL : err;
	end = q->committed;            /* now: what TEXT stands for is not behind it */
	if (offset < head && !is_offset)
		offset = head;
	if (offset < head || offset > end)
		return -EINVAL;
	if (offset == head || offset == end)
		move.head = offset;
	else if ((err = queue_message_start(m->store, q, offset, &move.head)) < 0)
		return err == -ENODATA ? -EINVAL : err;
	return store_set_heads(m->store, c, &move, 1);
}

static const struct control setting_control = {.print = setting_file_print, .set = setting_file_set};
static const struct control queues_control = {.print = queues_print, .set = queues_set};
static const struct control retired_control = {.print = retired_print, .set = retired_set};
static const struct control head_control = {.print = head_print, .set = head_set};

/* Their places in the listing: two, the settings, the heads. */
enum { PLACE_QUEUES, PLACE_RETIRED, PLACE_SETTINGS, PLACE_HEADS = PLACE_SETTINGS + SETTINGS };

bool config_entry(struct topic *t, uint32_t index, struct control_entry *e)
{
	*e = (struct control_entry){.index = index};
	if (index == PLACE_QUEUES) {
		e->control = &queues_control;
		snprintf(e->name, sizeof e->name, "queues");
	} else if (index == PLACE_RETIRED) {
		e->control = &retired_control;
		snprintf(e->name, sizeof e->name, "retired");
	} else if (index < PLACE_HEADS) {
		e->control = &setting_control;
		e->which = index - PLACE_SETTINGS;
		snprintf(e->name, sizeof e->name, "%s", setting_table[e->which].name);
	} else {
		e->control = &head_control;
		e->queue = topic_queue(t, index - PLACE_HEADS);
		snprintf(e->name, sizeof e->name, HEAD "%" PRIu32, index - PLACE_HEADS);
		return e->queue != NULL;
	}
	return true;
}

bool config_find(struct topic *t, const char *name, struct control_entry *e)
{
	uint32_t number;

	if (strncmp(name, HEAD, strlen(HEAD)) == 0) {
		name += strlen(HEAD);
		return path_number(name, strlen(name), &number) == 0 && config_entry(t, PLACE_HEADS + number, e);
	}
	for (uint32_t i = 0; i < PLACE_HEADS; i++) {
		if (config_entry(t, i, e) && strcmp(e->name, name) == 0)
			return true;
	}
	return false;
}
