/* SPDX-License-Identifier: Apache-2.0 */
/* What status shows of a node among others: of the object "replication" in status.json. */
#include "mqctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is(const json_t *of, const char *path)
{
	return json_is_true(status_member(of, path));
}

static bool is_standby(const json_t *r)
{
	return strcmp(status_text(r, "role"), "standby") == 0;
}

static bool is_null(const json_t *of, const char *path)
{
	return json_is_null(status_member(of, path));
}

/* "lacks 3.1 MiB, 4,711 messages, for 12 s", or "has all" */
static void print_lag(const json_t *lag)
{
	uint64_t bytes = status_number(lag, "bytes"), messages = status_number(lag, "messages");
	double seconds = json_number_value(status_member(lag, "seconds"));
	char a[24], b[32], c[32];

	if (!bytes && seconds < 1) {
		printf("has all");
		return;
	}
	printf("lacks %s", print_size(bytes, a));
	if (messages)
		printf(", %s messages", print_count(messages, b));
	if (seconds >= 1)
		printf(", for %s", print_span((uint64_t)(seconds * 1e9), c));
}

static void print_pair(const json_t *r)
{
	const json_t *nodes = status_member(r, "pair.nodes"), *node;
	size_t i;

	if (is_null(r, "pair"))
		return;
	printf("  pair      ");
	json_array_foreach(nodes, i, node)
		printf("%s%s", i ? " and " : "", status_text(node, "name"));
	printf("%s, min_standbys %" PRIu64 "%s%s\n", json_array_size(nodes) == 1 ? " alone" : "", status_number(r, "pair.min_standbys"),
		is_null(r, "pair.stopped") ? "" : ", the other one left out", is(r, "pair.committed") ? "" : ", not committed yet");
}

static bool is_of_pair(const json_t *r, const char *id)
{
	const json_t *node;
	size_t i;

	json_array_foreach(status_member(r, "pair.nodes"), i, node)
		if (strcmp(status_text(node, "node"), id) == 0)
			return true;
	return false;
}

/* Without a link nobody says what there is to lack. */
static void print_last_heard(const json_t *lag)
{
	double seconds = json_number_value(status_member(lag, "seconds"));
	char a[32];

	if (status_number(lag, "bytes")) {
		print_lag(lag);
		printf(", and what has come since");
	} else {
		printf("had all when it last heard from it, %s ago", print_span((uint64_t)(seconds * 1e9), a));
	}
}

static void print_own(const json_t *r, const char *id)
{
	const char *state = !is_of_pair(r, id) ? "not of the pair" : is(r, "current") ? "current" : "not current";

	if (!is_standby(r))
		return;
	if (is_null(r, "primary")) {
		printf("  primary   not linked yet; this node is %s\n", state);
		return;
	}
	printf("  primary   %s (%s), %s; this node is %s, ", status_text(r, "primary.name"), status_text(r, "primary.address"),
		is(r, "linked") ? "linked" : "NOT LINKED", state);
	if (is(r, "linked"))
		print_lag(status_member(r, "lag"));
	else
		print_last_heard(status_member(r, "lag"));
	putchar('\n');
}

static void print_standby(const json_t *s)
{
	char a[24];

	printf("  standby   %s, %s", status_text(s, "name"), is(s, "member") ? "of the pair" : is(s, "mirror") ? "a mirror" :
		is(s, "joining") ? "not of the pair yet" : "not of the pair");
	if (!is_null(s, "blank_end"))
		printf(", begins with an empty store up to %s", print_size(status_number(s, "blank_end"), a));
	printf("%s%s, ", !is(s, "member") ? "" : is(s, "current") ? ", current" : ", not current", is(s, "full") ? ", its DISK IS FULL" : "");
	print_lag(status_member(s, "lag"));
	putchar('\n');
}

void replication_print(const json_t *status)
{
	const json_t *r = status_member(status, "replication"), *standby;
	size_t i;

	print_pair(r);
	print_own(r, status_text(status, "node"));
	json_array_foreach(status_member(r, "standbys"), i, standby)
		print_standby(standby);
	if (*status_text(r, "why") && strcmp(status_text(r, "why"), status_text(status, "health.why")) != 0)
		printf("            %s\n", status_text(r, "why"));
	if (*status_text(r, "last_order"))
		printf("  order     %s\n", status_text(r, "last_order"));
}
