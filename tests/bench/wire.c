/* SPDX-License-Identifier: Apache-2.0 */
#include "ground.h"
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void wire_open(struct wire *w, unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int on = 1;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*w = (struct wire){ .room = 1 << 20, .out_room = 4096, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	if (w->fd < 0 || connect(w->fd, (struct sockaddr *)&to, sizeof to))
		die("connect", "127.0.0.1");
	setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	w->in = must_alloc(1, w->room);
	w->out = must_alloc(1, w->out_room);
}

void wire_close(struct wire *w)
{
	close(w->fd);
	free(w->in);
	free(w->out);
}

void wire_put(struct wire *w, const void *from, size_t len)
{
	if (w->filled + len > w->out_room) {
		while (w->filled + len > w->out_room)
			w->out_room *= 2;
		w->out = realloc(w->out, w->out_room);
		if (!w->out)
			die("memory", "what is sent");
	}
	memcpy(w->out + w->filled, from, len);
	w->filled += len;
}

void wire_text(struct wire *w, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof text)
		die("too long", format);
	wire_put(w, text, (size_t)n);
}

void wire_flush(struct wire *w)
{
	for (size_t at = 0; at < w->filled;) {
		ssize_t n = write(w->fd, w->out + at, w->filled - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("send", "to the peer");
		at += (size_t)n;
	}
	w->filled = 0;
}

static void receive(struct wire *w)
{
	if (w->end == w->room) {
		memmove(w->in, w->in + w->at, w->end - w->at);
		w->end -= w->at;
		w->at = 0;
		if (w->end == w->room) {
			w->room *= 2;
			w->in = realloc(w->in, w->room);
			if (!w->in)
				die("memory", "what is received");
		}
	}
	ssize_t n;
	do
		n = read(w->fd, w->in + w->end, w->room - w->end);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		die("receive", "the peer hung up");
	w->end += (size_t)n;
}

char *wire_line(struct wire *w)
{
	for (size_t seen = 0;;) {
		char *newline = memchr(w->in + w->at + seen, '\n', w->end - w->at - seen);
		if (newline) {
			char *line = w->in + w->at;
			w->at = (size_t)(newline + 1 - w->in);
			*(newline > line && newline[-1] == '\r' ? newline - 1 : newline) = 0;
			return line;
		}
		seen = w->end - w->at;
		receive(w);
	}
}

char *wire_bytes(struct wire *w, size_t len)
{
	while (w->end - w->at < len + 2)
		receive(w);
	char *bytes = w->in + w->at;
	w->at += len + 2;
	return bytes;
}
