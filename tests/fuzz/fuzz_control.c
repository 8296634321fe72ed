/* SPDX-License-Identifier: Apache-2.0 */
/* What is written to the files of .config: a value that is not refused is logged as a command that takes effect, as it then reads; unless it
 * reads so already. */
#include "bare_store.h"
#include "bytes.h"
#include "control.h"
#include "fuzz.h"
#include "path.h"
#include "served.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* "" for what is refused. */
static void value(const uint8_t *bytes, size_t len, char text[CONTROL_TEXT])
{
	int err = control_value((const char *)bytes, len, text);

	for (; len > 0 && blank(*bytes); len--)
		bytes++;
	while (len > 0 && blank(bytes[len - 1]))
		len--;
	if (len == 0 || len >= CONTROL_TEXT || memchr(bytes, 0, len)) {
		must(err == -EINVAL);
		text[0] = 0;
	} else {
		must(err == 0 && strlen(text) == len && memcmp(text, bytes, len) == 0);
	}
}

/* The same topic elsewhere, without messages. */
static void same_topic(struct store *s, const struct served *served)
{
	struct owner owner = {.mode = 0755};
	struct topic *t;

	bare_store_init(s);
	must(topic_add(s->topics, served->topic->id, "orders", 6, &owner, 0, &t) == 0);
	must(topic_grow(t, SERVED_QUEUES, &owner, 0) == 0);
	topic_queue(t, 0)->committed = served->queue->committed;
	topic_queue(t, 0)->head = served->head;
}

static bool is_message(const struct served *s, uint64_t offset)
{
	for (unsigned i = 0; i <= SERVED_MESSAGES; i++)
		if (s->offset[i] == offset)
			return true;
	return false;
}

static void takes_effect(struct served *served, const struct node *n, const struct command *c, const char *text)
{
	struct record r = {.type = c->type, .length = c->length};
	struct store s;
	struct topic *t;
	uint64_t v;

	same_topic(&s, served);
	must(state_apply(&s, &r, c->body) == 0);
	t = topic_with_id(s.topics, served->topic->id);
	switch (c->type) {
	case RECORD_TOPIC_QUEUES:
		must(t->count == strtoul(text, NULL, 10) && t->count >= SERVED_QUEUES);
		break;
	case RECORD_HEADS:
		v = get64(c->body + 8);
		must(c->length == 16 && get64(c->body) == n->queue->id);
		must(v >= n->queue->head && v <= n->queue->committed);
		must(queue_number(n->queue) != 0 || is_message(served, v));
		break;
	case RECORD_TOPIC_SET:
		if (strcmp((char *)c->body + 8, "retired") == 0)
			must(t->retired == (strcmp(text, "1") == 0));
		else if (strcmp(text, "default") == 0)
			must(!topic_has_own(t, (enum setting_id)n->start));
		else
			must(setting_parse((enum setting_id)n->start, text, &v) == 0 && topic_setting(t, (enum setting_id)n->start) == v);
		break;
	default:
		must(!"a command of this file");
	}
	bare_store_end(&s);
}

static void is_so(struct served *served, const struct node *n, const char *text)
{
	enum setting_id id = (enum setting_id)n->start;
	struct store *s = served->mount.store;
	uint64_t v, start;

	if (n->queue)
		must(path_start(s, n->queue, text, &v) == 0 && (v <= n->queue->head ||
			(queue_message_start(s, n->queue, v, &start) == 0 && start == n->queue->head)));
	else if (strcmp(text, "default") == 0)
		must(!topic_has_own(served->topic, id));
	else if (!topic_has_own(served->topic, id))
		must(served->topic->retired == (strcmp(text, "1") == 0));
	else
		must(setting_parse(id, text, &v) == 0 && topic_setting(served->topic, id) == v);
}

static void nothing(struct command *c, int err)
{
	(void)c;
	(void)err;
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct served *s = served();
	struct input in = {bytes, len};
	uint8_t index = take_byte(&in);
	struct control_entry e;
	char text[CONTROL_TEXT];
	struct command *c;
	struct node *topic, *dir, *n;
	int err;

	value(in.at, in.len, text);
	if (!*text || !config_entry(s->topic, index, &e))
		return 0;
	must(path_lookup(&s->mount, &node_root, "orders", &topic) == 0);
	must(path_lookup(&s->mount, topic, ".config", &dir) == 0);
	must(path_lookup(&s->mount, dir, e.name, &n) == 0);
	must(n->control == e.control && n->queue == e.queue && n->start == e.which);
	c = command_new(nothing, NULL);
	err = n->control->set(&s->mount, n, text, c);
	must(err == -EINVAL || err == -ENOTCONN);
	if (err == -ENOTCONN && !c->body)
		is_so(s, n, text);
	else if (err == -ENOTCONN)
		takes_effect(s, n, c, text);
	command_free(c);
	node_forget(&s->mount, n, 1);
	node_forget(&s->mount, dir, 1);
	node_forget(&s->mount, topic, 1);
	return 0;
}
