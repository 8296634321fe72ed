/* SPDX-License-Identifier: Apache-2.0 */
/* How long a link waits for what comes. */
#include "link.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define LENGTH 1000u

static uint8_t bytes[FRAME_HEADER + LENGTH], body[LENGTH];
static size_t given, reads;
static int64_t until[8];               /* the deadlines of the reads */
static int64_t pause;                  /* that the first part of the body takes, ns */

/* A header, then the body in two parts. */
static ssize_t half_read(struct link *l, void *to, size_t len, int64_t deadline)
{
	size_t n = given < FRAME_HEADER ? FRAME_HEADER : LENGTH / 2;

	(void)l;
	cr_assert(reads < 8 && n <= len);
	until[reads++] = deadline;
	for (int64_t at = link_in(reads == 2 ? pause : 0); link_in(0) < at;)
		;
	memcpy(to, bytes + given, n);
	given += n;
	return (ssize_t)n;
}

static int put(struct link *l, const void *from, size_t len, int64_t deadline)
{
	(void)l, (void)deadline;
	memcpy(bytes + given, from, len);
	given += len;
	return 0;
}

static const struct link_ops ops = {.read = half_read, .write = put};

Test(link, a_frame_that_has_begun_may_take_longer_than_its_header_as_long_as_bytes_come)
{
	struct iovec iov = {body, LENGTH};
	struct frame f = {.type = FRAME_RECORDS};
	struct link l = {.ops = &ops};
	int64_t deadline = link_in(1), least;

	cr_assert_eq(link_send(&l, &f, &iov, 1, deadline), 0);
	given = 0;
	least = link_in(LINK_SILENCE);
	cr_assert_eq(link_receive(&l, &f, body, sizeof body, deadline), 0);
	cr_assert_eq(reads, 3);
	cr_assert_eq(until[0], deadline);
	cr_assert_geq(until[1], least, "it is away when nothing comes for so long");
	cr_assert_geq(until[2], until[1]);
	cr_assert_leq(until[2], link_in(LINK_SILENCE));
}

Test(link, and_no_longer_than_the_slowest_link_would)
{
	struct iovec iov = {body, LENGTH};
	struct frame f = {.type = FRAME_RECORDS};
	struct link l = {.ops = &ops};
	int64_t most;

	cr_assert_eq(link_send(&l, &f, &iov, 1, link_in(1)), 0);
	given = 0;
	cr_assert_eq(link_receive_header(&l, &f, sizeof body, link_in(1)), 0);
	pause = 2 * LENGTH * 1000000000LL / LINK_SLOWEST;
	most = link_in(LINK_SILENCE + pause);
	cr_assert_eq(link_receive_body(&l, &f, body), 0);
	cr_assert_lt(until[2], most);
}
