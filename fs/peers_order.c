/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"
#include "peers.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct given {
	struct order order;
	void (*done)(void *arg, int err);
	void *arg;
};

static void order_done(struct order *o, int err, const char *why)
{
	struct given *g = (struct given *)o;

	(void)why;               /* the replicator remembers it: peers_print_order() */
	g->done(g->arg, err);
	free(g);
}

/* What may stand behind "promote" and "alone". */
static int take_word(struct order *o, const char *word)
{
	static const char stopped[] = "stopped=";
	const char *name = word + strlen(stopped);

	if (strcmp(word, "accept-loss") == 0 && !o->accept_loss) {
		o->accept_loss = true;
		return 0;
	}
	if (strncmp(word, stopped, strlen(stopped)) != 0 || *o->stopped || !keys_name_valid(name))
		return -EINVAL;
	strcpy(o->stopped, name);
	return 0;
}

static int take_words(struct order *o, char **rest)
{
	char *word;
	int err = 0;

	while (!err && (word = strtok_r(NULL, " \t", rest)))
		err = take_word(o, word);
	return err;
}

static int take_count(struct order *o, char **rest)
{
	const char *word = strtok_r(NULL, " \t", rest);

	if (!word || (strcmp(word, "0") != 0 && strcmp(word, "1") != 0))
		return -EINVAL;
	o->count = (uint8_t)(*word - '0');
	return strtok_r(NULL, " \t", rest) ? -EINVAL : 0;
}

static int take_verb(struct order *o, const char *verb, char **rest)
{
	int err;

	if (!verb)
		return -EINVAL;
	if (strcmp(verb, "promote") == 0) {
		o->kind = ORDER_PROMOTE;
		return take_words(o, rest);
	}
	if (strcmp(verb, "alone") == 0) {
		o->kind = ORDER_ALONE;
		err = take_words(o, rest);
		return err || *o->stopped ? err : -EINVAL;
	}
	if (strcmp(verb, "switchover") == 0) {
		o->kind = ORDER_SWITCHOVER;
		return strtok_r(NULL, " \t", rest) ? -EINVAL : 0;
	}
	if (strcmp(verb, "min_standbys") == 0) {
		o->kind = ORDER_MIN_STANDBYS;
		return take_count(o, rest);
	}
	return -EINVAL;
}

int order_parse(struct order *o, const char *text)
{
	char *copy = strdup(text), *rest = NULL;
	int err;

	if (!copy)
		return -ENOMEM;
	memset(o, 0, sizeof *o);
	err = take_verb(o, strtok_r(copy, " \t", &rest), &rest);
	free(copy);
	return err;
}

void peers_order(void *ctx, const char *text, void (*done)(void *arg, int err), void *arg)
{
	struct given *g = calloc(1, sizeof *g);
	int err = g ? order_parse(&g->order, text) : -ENOMEM;

	if (err) {
		free(g);
		done(arg, err);
		return;
	}
	g->done = done;
	g->arg = arg;
	g->order.done = order_done;
	replicator_order(ctx, &g->order);
}
