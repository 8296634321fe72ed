/* SPDX-License-Identifier: Apache-2.0 */
#include "setting.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_MESSAGE (UINT64_C(16) << 20)

const struct setting setting_table[SETTINGS] = {
	[SETTING_COMMIT] = {.name = "commit", .values = "write|close|fsync", .normal = "write", .kind = SETTING_WORD,
		.help = "what returns only when the messages are committed: each write, the last close, or only fsync", .most = COMMIT_FSYNC},
	[SETTING_FRAMING] = {.name = "framing", .values = "lines|write", .normal = "lines", .kind = SETTING_WORD,
		.help = "what a message is: a line, or whatever one write(2) brings", .most = FRAMING_WRITE},
	[SETTING_PARTIAL] = {.name = "partial", .values = "newline|keep|lost", .normal = "newline", .kind = SETTING_WORD,
		.help = "what becomes of a last line without its newline: it gets one, is kept as it is, or is dropped", .most = PARTIAL_LOST},
	[SETTING_MAX_MESSAGE] = {.name = "max_message", .values = "BYTES", .normal = "4M", .kind = SETTING_BYTES,
		.help = "longer lines are refused with EMSGSIZE", .least = 1, .most = MAX_MESSAGE},
	[SETTING_RETENTION_AGE] = {.name = "retention.age", .values = "DURATION|none", .normal = "none", .kind = SETTING_DURATION, .none = true,
		.help = "older messages are removed", .least = 1000000000, .most = INT64_MAX},
	[SETTING_RETENTION_SIZE] = {.name = "retention.size", .values = "BYTES|none", .normal = "none", .kind = SETTING_BYTES, .none = true,
		.help = "of more bytes in a topic the oldest messages are removed", .least = 1, .most = INT64_MAX},
	[SETTING_RETENTION_PINNED] = {.name = "retention.pinned", .values = "keep|drop", .normal = "keep", .kind = SETTING_WORD,
		.help = "whether a nearly full disk may take messages that neither age nor size limits", .most = PINNED_DROP},
};

/* The NTH of "one|two|three", or NULL; its length in *LEN. */
static const char *word(const char *words, uint64_t nth, size_t *len)
{
	for (; nth > 0; nth--) {
		words = strchr(words, '|');
		if (!words)
			return NULL;
		words++;
	}
	*len = strcspn(words, "|");
	return words;
}

static int parse_word(const char *words, const char *text, uint64_t *value)
{
	const char *w;
	size_t len;

	for (uint64_t n = 0; (w = word(words, n, &len)); n++)
		if (strlen(text) == len && memcmp(w, text, len) == 0) {
			*value = n;
			return 0;
		}
	return -EINVAL;
}

int setting_find(const char *name)
{
	for (int id = 0; id < SETTINGS; id++)
		if (strcmp(setting_table[id].name, name) == 0)
			return id;
	return -ENOENT;
}

static int check(const struct setting *row, uint64_t value)
{
	if (row->none && value == SETTING_NONE)
		return 0;
	return value >= row->least && value <= row->most ? 0 : -ERANGE;
}

int setting_check(enum setting_id id, uint64_t value)
{
	return check(&setting_table[id], value);
}

int setting_parse_as(const struct setting *row, const char *text, uint64_t *value)
{
	uint64_t v;
	int err;

	if (row->none && strcmp(text, "none") == 0)
		v = SETTING_NONE, err = 0;
	else if (row->kind == SETTING_WORD)
		err = parse_word(row->values, text, &v);
	else if (row->kind == SETTING_BYTES)
		err = parse_bytes(text, &v);
	else
		err = parse_duration(text, &v);
	if (!err)
		err = check(row, v);
	if (!err)
		*value = v;
	return err;
}

int setting_parse(enum setting_id id, const char *text, uint64_t *value)
{
	return setting_parse_as(&setting_table[id], text, value);
}

void setting_print(enum setting_id id, uint64_t value, char *to)
{
	const struct setting *row = &setting_table[id];
	const char *w;
	size_t len = 0;

	if (row->none && value == SETTING_NONE)
		strcpy(to, "none");
	else if (row->kind == SETTING_BYTES)
		print_bytes(value, to);
	else if (row->kind == SETTING_DURATION)
		print_duration(value, to);
	else {
		w = word(row->values, value, &len);
		snprintf(to, SETTING_TEXT, "%.*s", (int)len, w ? w : "");
	}
}

void settings_normal(struct settings *s)
{
	s->set = (1u << SETTINGS) - 1;
	for (int id = 0; id < SETTINGS; id++)
		setting_parse(id, setting_table[id].normal, &s->value[id]);
}
