/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h - the load of load.h on what people would take instead: just enough of a client for each, in C so that it is not
 * what is measured.
 *
 * A link is one connection of one thread. Whatever fails ends the program.
 */
#ifndef MQFS_BENCH_PEER_H
#define MQFS_BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

struct link;

struct peer {
	const char *name;
	/* A connection to 127.0.0.1:PORT; the stream STREAM is made where it is missing. */
	struct link *(*open)(unsigned port, const char *stream, unsigned id);
	/* COUNT messages of SIZE bytes, sent at once; returns when each is acknowledged. */
	void (*append)(struct link *l, const char *data, size_t size, unsigned count);
	/* From here on next() gives what is in the stream from its start, or only what is appended from now on. */
	void (*consume)(struct link *l, int from_start);
	/* Waits for messages; how many came, at most MAX. */
	uint64_t (*next)(struct link *l, uint64_t max);
	void (*close)(struct link *l);
};

extern const struct peer peer_redis, peer_nats;

/* A buffered connection. */
struct wire {
	int fd;
	char *in;                /* what was received and not yet taken: from AT to END */
	size_t at, end, room;
	char *out;
	size_t filled, out_room;
};

void wire_open(struct wire *w, unsigned port);
void wire_close(struct wire *w);
void wire_put(struct wire *w, const void *from, size_t len);
void wire_text(struct wire *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void wire_flush(struct wire *w);
/* One line without its CR LF, NUL-terminated; valid until the next call. */
char *wire_line(struct wire *w);
/* LEN bytes and the CR LF behind them; valid until the next call. */
char *wire_bytes(struct wire *w, size_t len);



#endif
