/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h - bytes to and from another node, in order, over whatever carries them; and frames on top.
 *
 * A link is made by tls.h, or by a test that plays the network. Reading and writing wait, so no thread that serves the mount does
 * either: a link has a thread that receives and one that sends.
 *
 * Calling  link_send(), link_receive() ... link_shutdown() from any thread ends both for good; link_close() when both threads are out.
 * Units    deadlines are CLOCK_MONOTONIC nanoseconds, see link_in().
 * Errors   negative errno; -ETIMEDOUT at the deadline, -ECONNRESET when the other side is gone, -ESHUTDOWN after link_shutdown(), -EACCES
 *          when the other side refused this node's certificate. After any of them the link is of no use but to be closed;
 *          link_why() says the first one for people.
 * Threads  one may receive while another sends; shutdown and why: any.
 * Owns     its descriptor.
 */
#ifndef MQFS_REPLICA_LINK_H
#define MQFS_REPLICA_LINK_H

#include "frame.h"
#include <sys/types.h>

#define LINK_HEARTBEAT 1000000000LL       /* ns: something is said at least so often */
#define LINK_SILENCE 3000000000LL         /* ns without a word: the other side is taken to be away */
#define LINK_SLOWEST (16u << 10)          /* bytes a second that a body has to come with */
#define LINK_BODY(len) (LINK_SILENCE + (len) * (1000000000LL / LINK_SLOWEST))       /* ns that one of so many bytes may take */
#define LINK_ADDRESS 96u                  /* bytes of "host:port" as text, and its NUL */
#define LINK_WHY 512u

struct link;

struct link_ops {
	/* 1 to LEN bytes, as soon as there are any. */
	ssize_t (*read)(struct link *l, void *to, size_t len, int64_t deadline);
	/* All of it, or an error. */
	int (*write)(struct link *l, const void *from, size_t len, int64_t deadline);
	void (*shutdown)(struct link *l);
	void (*close)(struct link *l);
	void (*why)(struct link *l, char to[LINK_WHY]);
};

struct link {
	const struct link_ops *ops;
	char peer[FRAME_NAME];                /* the other node's name, as its certificate says */
	char address[LINK_ADDRESS];           /* of the other side, for people */
};

/* CLOCK_MONOTONIC ns, NS from now. */
int64_t link_in(int64_t ns);

/* One frame; F as for frame_encode(). The body is in N parts. */
int link_send(struct link *l, struct frame *f, const struct iovec *iov, int n, int64_t deadline);
/* The next frame, checked; its body, of f->length bytes, is in BODY. -EMSGSIZE: it is longer than ROOM. -EBADMSG, -EPROTONOSUPPORT: as
 * frame.h. The deadline holds for the header; the body may take longer, as LINK_SLOWEST says, while no LINK_SILENCE passes without a byte of it:
 * so nobody holds a node up byte by byte. */
int link_receive(struct link *l, struct frame *f, void *body, size_t room, int64_t deadline);
/* The same in two steps: the header, then the body. */
int link_receive_header(struct link *l, struct frame *f, size_t room, int64_t deadline);
int link_receive_body(struct link *l, const struct frame *f, void *body);
void link_shutdown(struct link *l);
void link_close(struct link *l);
void link_why(struct link *l, char to[LINK_WHY]);

#endif
