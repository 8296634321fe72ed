/* SPDX-License-Identifier: Apache-2.0 */
/* What is written to .mqfs/order: no words are half an order, and what an order says is what stands in the words. */
#include "fuzz.h"
#include "keys.h"
#include "peers.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The order in words again. */
static void compose(const struct order *o, char *to, size_t size)
{
	static const char *const verbs[] = {
		[ORDER_PROMOTE] = "promote", [ORDER_ALONE] = "alone", [ORDER_SWITCHOVER] = "switchover", [ORDER_MIN_STANDBYS] = "min_standbys"};

	snprintf(to, size, "%s%s%s%s%s", verbs[o->kind], o->kind == ORDER_MIN_STANDBYS ? (o->count ? " 1" : " 0") : "", *o->stopped ? " stopped=" : "",
		o->stopped, o->accept_loss ? " accept-loss" : "");
}

static bool same(const struct order *a, const struct order *b)
{
	return a->kind == b->kind && strcmp(a->stopped, b->stopped) == 0 && a->accept_loss == b->accept_loss && a->count == b->count;
}

int fuzz(const uint8_t *bytes, size_t len)
{
	char *text = malloc(len + 1), words[256];
	struct order o, again;
	int err;

	memcpy(text, bytes, len);
	text[len] = 0;
	err = order_parse(&o, text);
	free(text);
	must(!err || err == -EINVAL);
	if (err)
		return 0;
	must(!*o.stopped || keys_name_valid(o.stopped));
	must(o.kind != ORDER_ALONE || *o.stopped);
	must(o.kind == ORDER_PROMOTE || o.kind == ORDER_ALONE || (!*o.stopped && !o.accept_loss));
	must(o.count <= 1);
	compose(&o, words, sizeof words);
	must(order_parse(&again, words) == 0 && same(&o, &again));
	return 0;
}
