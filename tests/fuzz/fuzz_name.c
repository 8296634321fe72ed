/* SPDX-License-Identifier: Apache-2.0 */
/* Names in each directory of the tree: what is found is what the name says, and nobody can make a topic of another name than topics have. */
#include "fuzz.h"
#include "path.h"
#include "served.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next character of valid UTF-8 by the table of the Unicode standard (3-7), which lists first and second bytes. */
static bool next_character(const unsigned char **at, uint32_t *code)
{
	static const struct {
		unsigned char first, last, second, second_last;
		unsigned more;
	} rows[] = {
		{0x00, 0x7f, 0, 0, 0}, {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2}, {0xe1, 0xec, 0x80, 0xbf, 2},
		{0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2}, {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3},
		{0xf4, 0xf4, 0x80, 0x8f, 3},
	};
	const unsigned char *p = *at;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (*p < rows[i].first || *p > rows[i].last)
			continue;
		*code = rows[i].more ? *p & (0x3fu >> rows[i].more) : *p;
		for (unsigned n = 1; n <= rows[i].more; n++) {
			if (p[n] < (n == 1 ? rows[i].second : 0x80) || p[n] > (n == 1 ? rows[i].second_last : 0xbf))
				return false;
			*code = *code << 6 | (p[n] & 0x3f);
		}
		*at = p + rows[i].more + 1;
		return true;
	}
	return false;
}

static int expected_of_topic(const char *name)
{
	const unsigned char *p = (const unsigned char *)name;
	uint32_t code;

	if (!*name || *name == '.')
		return -EINVAL;
	if (strlen(name) > 127)
		return -ENAMETOOLONG;
	while (*p) {
		if (!next_character(&p, &code))
			return -EINVAL;
		if (code == '/' || code < 32 || (code >= 127 && code <= 159))
			return -EINVAL;
	}
	return 0;
}

static void number(const char *name, size_t len)
{
	uint32_t n;
	char text[16];

	if (path_number(name, len, &n))
		return;
	must(n <= 9999);
	snprintf(text, sizeof text, "%" PRIu32, n);
	must(strlen(text) == len && memcmp(text, name, len) == 0);
}

/* A queue's name stands for the queue of that number. */
static void queue(const struct node *n, const char *name, size_t len)
{
	char text[16];

	must(n->queue);
	snprintf(text, sizeof text, "%" PRIu32, queue_number(n->queue));
	must(strlen(text) == len && memcmp(text, name, len) == 0);
}

static bool is_message(const struct served *s, uint64_t offset)
{
	for (unsigned i = 0; i <= SERVED_MESSAGES; i++)
		if (s->offset[i] == offset)
			return true;
	return false;
}

static void start(const struct served *s, const struct node *n, const char *text)
{
	uint64_t end = n->queue->committed;
	char same[32];

	if (strspn(text, "0123456789") == strlen(text)) {
		must(n->start == strtoull(text, NULL, 10) && n->start <= INT64_MAX);
		/* leading zeros are fine in a number that is no name */
		snprintf(same, sizeof same, "%" PRIu64, n->start);
		must(strlen(text) >= strlen(same));
	} else if (strcmp(text, "latest") == 0) {
		must(n->start == end);
	} else {
		must(n->start <= end && (queue_number(n->queue) != 0 || is_message(s, n->start)));
	}
}

static void in_follow(struct served *s, const struct node *n, const char *name)
{
	size_t len = strcspn(name, "@");

	if (n->kind == NODE_FOLLOW_ALL) {
		must(len == 3 && memcmp(name, "all", 3) == 0);
		must(n->start <= store_committed(s->mount.store));
		return;
	}
	must(n->kind == NODE_FOLLOW);
	queue(n, name, len);
	if (name[len])
		start(s, n, name + len + 1);
	else
		must(n->start == 0);
}

static void found(struct served *s, const struct node *dir, const struct node *n, const char *name)
{
	switch (dir->kind) {
	case NODE_ROOT:
		must(strcmp(name, n->kind == NODE_TOPIC ? "orders" : ".mqfs") == 0);
		break;
	case NODE_TOPIC:
		if (n->kind == NODE_QUEUE)
			queue(n, name, strlen(name));
		else
			must(strcmp(name, n->kind == NODE_ANY ? "any" : n->kind == NODE_FOLLOW_DIR ? ".follow" :
				n->kind == NODE_RETAINED_DIR ? ".retained" : ".config") == 0);
		break;
	case NODE_FOLLOW_DIR:
		in_follow(s, n, name);
		break;
	case NODE_RETAINED_DIR:
		queue(n, name, strlen(name));
		must(n->start == n->queue->head);
		break;
	default:
		must(n->control);
	}
}

int fuzz(const uint8_t *bytes, size_t len)
{
	static const char *const directories[] = {NULL, "orders", ".mqfs", ".follow", ".retained", ".config"};
	struct served *s = served();
	struct input in = {bytes, len};
	const char *directory = directories[take_byte(&in) % 6];
	struct node *dir = &node_root, *n;
	char name[300];
	int err;

	take_text(&in, 0, name, sizeof name);
	must(topic_name_check(name) == expected_of_topic(name));
	number(name, strlen(name));
	if (directory && strcmp(directory, ".mqfs") == 0) {
		must(path_lookup(&s->mount, &node_root, directory, &dir) == 0);
	} else if (directory) {
		must(path_lookup(&s->mount, &node_root, "orders", &dir) == 0);
		if (*directory == '.') {
			struct node *topic = dir;

			must(path_lookup(&s->mount, topic, directory, &dir) == 0);
			node_forget(&s->mount, topic, 1);
		}
	}
	err = path_lookup(&s->mount, dir, name, &n);
	must(err == 0 || err == -ENOENT);
	if (!err) {
		found(s, dir, n, name);
		node_forget(&s->mount, n, 1);
	}
	if (dir != &node_root)
		node_forget(&s->mount, dir, 1);
	return 0;
}
