/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NATS JetStream over the NATS protocol: a stream in files, publishing with an inbox for the acknowledgements, an ephemeral push
 * consumer without acknowledgements, which is the fastest it has.
 */
#include "ground.h"
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct link {
	struct wire wire;
	char stream[64];
	char inbox[64];          /* subscription 1: what the server answers */
	char feed[64];           /* subscription 2: what the consumer gets */
	uint64_t fed;            /* messages that came while something else was awaited */
};

/* The next message's subscription, and its body. */
static int receive(struct link *l, char **body, size_t *len)
{
	for (;;) {
		char *line = wire_line(&l->wire), *last;
		int sid;
		if (!strcmp(line, "PING")) {
			wire_text(&l->wire, "PONG\r\n");
			wire_flush(&l->wire);
		} else if (sscanf(line, "MSG %*s %d", &sid) == 1 && (last = strrchr(line, ' '))) {
			*len = strtoul(last, NULL, 10);
			*body = wire_bytes(&l->wire, *len);
			return sid;
		} else if (*line == '-') {
			errno = 0;
			die("nats answered", line);
		}
	}
}

static void acknowledged(struct link *l)
{
	char *body;
	size_t len;
	while (receive(l, &body, &len) != 1)
		l->fed++;
	body[len] = 0;
	if (strstr(body, "\"error\"")) {
		errno = 0;
		die("nats refused", body);
	}
}

static void request(struct link *l, const char *what, const char *json)
{
	wire_text(&l->wire, "PUB $JS.API.%s.%s %s %zu\r\n%s\r\n", what, l->stream, l->inbox, strlen(json), json);
	wire_flush(&l->wire);
	acknowledged(l);
}

static struct link *nats_open(unsigned port, const char *stream, unsigned id)
{
	struct link *l = must_alloc(1, sizeof *l);
	char json[512];
	wire_open(&l->wire, port);
	snprintf(l->stream, sizeof l->stream, "%s", stream);
	snprintf(l->inbox, sizeof l->inbox, "_INBOX.%d.%u", (int)getpid(), id);
	snprintf(l->feed, sizeof l->feed, "FEED.%d.%u", (int)getpid(), id);
	wire_text(&l->wire, "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\nSUB %s 1\r\nSUB %s 2\r\n", l->inbox, l->feed);
	snprintf(json, sizeof json,
		"{\"name\":\"%s\",\"subjects\":[\"%s\"],\"storage\":\"file\",\"retention\":\"limits\",\"num_replicas\":1,"
		"\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":0,\"max_consumers\":-1,\"discard\":\"old\"}", stream, stream);
	request(l, "STREAM.CREATE", json);
	return l;
}

static void nats_append(struct link *l, const char *data, size_t size, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		wire_text(&l->wire, "PUB %s %s %zu\r\n", l->stream, l->inbox, size);
		wire_put(&l->wire, data + i * size, size);
		wire_put(&l->wire, "\r\n", 2);
	}
	wire_flush(&l->wire);
	for (unsigned i = 0; i < count; i++)
		acknowledged(l);
}

static void nats_consume(struct link *l, int from_start)
{
	char json[512];
	snprintf(json, sizeof json,
		"{\"stream_name\":\"%s\",\"config\":{\"deliver_subject\":\"%s\",\"ack_policy\":\"none\","
		"\"deliver_policy\":\"%s\",\"replay_policy\":\"instant\"}}", l->stream, l->feed, from_start ? "all" : "new");
	request(l, "CONSUMER.CREATE", json);
}

static uint64_t nats_next(struct link *l, uint64_t max)
{
	char *body;
	size_t len;
	(void)max;
	if (l->fed) {
		uint64_t fed = l->fed;
		l->fed = 0;
		return fed;
	}
	return receive(l, &body, &len) == 2;
}

static void nats_close(struct link *l)
{
	wire_close(&l->wire);
	free(l);
}

const struct peer peer_nats = { "nats", nats_open, nats_append, nats_consume, nats_next, nats_close };
