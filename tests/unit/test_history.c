/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#define MAX (4 * HISTORY_MAX)

static struct history h;
static _Atomic uint64_t used;

static void setup(void)
{
	history_init(&h, &used, MAX);
}

static void teardown(void)
{
	history_free(&h);
	cr_assert_eq(used, 0);
}

/* Byte N of the stream. */
static char byte(uint64_t n)
{
	return (char)(n * 31 + n / 251);
}

static void add(size_t size)
{
	char *bytes = malloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = byte(h.end + i);
	history_add(&h, bytes, size);
	free(bytes);
}

static void kept(uint64_t at, size_t max, ssize_t wanted)
{
	struct iovec piece[2];
	ssize_t n = history_get(&h, at, max, piece);

	cr_assert_eq(n, wanted, "at %zu: wanted %zd, got %zd", (size_t)at, wanted, n);
	if (n < 0)
		return;
	cr_assert_eq(piece[0].iov_len + piece[1].iov_len, (size_t)n);
	for (int i = 0; i < 2; i++)
		for (size_t j = 0; j < piece[i].iov_len; j++)
			cr_assert_eq(((char *)piece[i].iov_base)[j], byte(at++));
}

TestSuite(history, .init = setup, .fini = teardown);

Test(history, nothing_is_there_at_first)
{
	kept(0, 10, 0);
	kept(1, 10, -EINVAL);
}

Test(history, what_was_added_can_be_read_again)
{
	add(10);
	add(100);
	kept(0, 1000, 110);
	kept(50, 10, 10);
	kept(110, 10, 0);
	kept(111, 10, -EINVAL);
}

Test(history, it_grows_only_as_it_fills)
{
	add(10);
	cr_assert_leq(h.room, 4096);
	add(10000);
	cr_assert_leq(h.room, 16384);
	kept(0, 20000, 10010);
}

Test(history, the_last_MiB_is_kept)
{
	for (int i = 0; i < 300; i++)
		add(10007);
	kept(h.end - HISTORY_MAX, HISTORY_MAX, HISTORY_MAX);
	kept(h.end - HISTORY_MAX - 1, 1, -EINVAL);
	cr_assert_eq(h.room, HISTORY_MAX);
}

Test(history, more_than_it_keeps_at_once)
{
	add(1000);
	add(HISTORY_MAX + 12345);
	kept(h.end - HISTORY_MAX, HISTORY_MAX, HISTORY_MAX);
	kept(1000, 1, -EINVAL);
}

Test(history, all_that_is_kept_is_bounded)
{
	static const char zeros[HISTORY_MAX];
	struct history others[64];

	for (int i = 0; i < 64; i++) {
		history_init(&others[i], &used, MAX);
		history_add(&others[i], zeros, sizeof zeros);
		cr_assert_leq(used, MAX / 2);
	}
	add(2 * HISTORY_FREE);
	kept(h.end - HISTORY_FREE, HISTORY_FREE, HISTORY_FREE);
	for (int i = 0; i < 200; i++)
		add(8000);
	cr_assert_eq(h.room, HISTORY_FREE);
	kept(h.end - HISTORY_FREE, HISTORY_FREE, HISTORY_FREE);
	for (int i = 0; i < 64; i++)
		history_free(&others[i]);
}

Test(history, what_was_reserved_and_not_used_goes_back_when_room_is_short)
{
	struct history others[4];

	add(10);
	cr_assert_eq(history_reserve(&h, 1000000), 0);
	history_fit(&h);
	cr_assert_eq(h.room, HISTORY_MAX, "there is room enough");
	for (int i = 0; i < 4; i++)
		history_init(&others[i], &used, MAX);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(history_reserve(&others[i], HISTORY_MAX), 0);
	cr_assert_eq(history_reserve(&others[3], HISTORY_MAX), -ENOBUFS);
	history_fit(&h);
	cr_assert_leq(h.room, 4096);
	kept(0, 10, 10);
	cr_assert_eq(history_reserve(&others[3], HISTORY_MAX), 0);
	for (int i = 0; i < 4; i++)
		history_free(&others[i]);
}
