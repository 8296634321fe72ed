/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define EVER (INT64_MAX / 2)            /* ns */
#define FIRST 16384u       /* bytes that go out in one write, with the header: what one record of TLS holds */

int64_t link_in(int64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec + ns;
}

int link_send(struct link *l, struct frame *f, const struct iovec *iov, int n, int64_t deadline)
{
	uint8_t first[FIRST];
	size_t filled = FRAME_HEADER;
	int err = frame_encode(f, iov, n, first);

	for (int i = 0; !err && i < n; i++) {
		const uint8_t *from = iov[i].iov_base;
		size_t len = iov[i].iov_len, part = len < FIRST - filled ? len : FIRST - filled;

		memcpy(first + filled, from, part);
		filled += part;
		if (part == len)
			continue;
		err = l->ops->write(l, first, filled, deadline);
		filled = 0;
		if (!err)
			err = l->ops->write(l, from + part, len - part, deadline);
	}
	return err || !filled ? err : l->ops->write(l, first, filled, deadline);
}

/* SILENCE is how long no byte may come, ns. */
static int read_all(struct link *l, uint8_t *to, size_t len, int64_t deadline, int64_t silence)
{
	while (len) {
		int64_t until = link_in(silence);
		ssize_t n = l->ops->read(l, to, len, until < deadline ? until : deadline);

		if (n < 0)
			return (int)n;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

int link_receive_header(struct link *l, struct frame *f, size_t room, int64_t deadline)
{
	uint8_t header[FRAME_HEADER];
	int err = read_all(l, header, sizeof header, deadline, EVER);

	if (!err)
		err = frame_decode(f, header);
	return !err && f->length > room ? -EMSGSIZE : err;
}

int link_receive_body(struct link *l, const struct frame *f, void *body)
{
	int64_t deadline = link_in(LINK_BODY(f->length));
	int err = read_all(l, body, f->length, deadline, LINK_SILENCE);

	return err ? err : frame_check_body(f, body);
}

int link_receive(struct link *l, struct frame *f, void *body, size_t room, int64_t deadline)
{
	int err = link_receive_header(l, f, room, deadline);

	return err ? err : link_receive_body(l, f, body);
}

void link_shutdown(struct link *l)
{
	l->ops->shutdown(l);
}

void link_close(struct link *l)
{
	l->ops->close(l);
}

void link_why(struct link *l, char to[LINK_WHY])
{
	l->ops->why(l, to);
}
