/* SPDX-License-Identifier: Apache-2.0 */
/* The READs of one handle: what is gathered ahead of them, and those by pages. */
#include "read.h"
#include "store_rig.h"
#include <criterion/criterion.h>

#define SIZE 8192u                     /* bytes of a READ */
#define MANY 8                         /* READs until the queue's end */

static struct mount mount;
static struct handle h;
static struct topic *topic;

static void begin(void)
{
	rig_begin();
	open_store();
	topic = make_topic("orders");
	mount.store = store;
	h.opened.mount = &mount;
	h.queue = topic_queue(topic, 0);
	pthread_mutex_init(&h.reading, NULL);
	offsets_init(&h.offsets, 0);
	ahead_init(&h.ahead);
}

static void end(void)
{
	ahead_end(&h);
	reader_free(h.reader);
	topic_put(topic);
	rig_end();
}

TestSuite(read, .init = begin, .fini = end);

/* The READ at AT. AHEAD: a program's, not one that was parked. */
static struct reading read_at(uint64_t at, bool ahead)
{
	struct reading r = {.size = SIZE, .at = (off_t)at, .ahead = ahead};

	cr_assert_eq(handle_read(&h, &r), SIZE);
	if (r.ahead)
		ahead_run(&h, SIZE, false);
	return r;
}

static char first_byte(uint64_t at, bool ahead)
{
	struct reading r = read_at(at, ahead);
	char byte = *(char *)r.slice.part[0].iov_base;

	slice_free(&r.slice);
	return byte;
}

Test(read, one_that_was_woken_takes_nothing_of_what_is_gathered_for_others)
{
	char piece[SIZE];

	for (int i = 0; i < MANY; i++) {
		memset(piece, 'a' + i, SIZE - 1);
		piece[SIZE - 1] = '\n';
		cr_assert_eq(append(topic, piece, SIZE, i == MANY - 1), 0);
	}
	cr_assert_eq(first_byte(0, true), 'a');
	cr_assert_eq(first_byte(SIZE, true), 'b');
	cr_assert_eq(h.ahead.count, AHEAD_SLICES);
	cr_assert_eq(first_byte(2 * SIZE, false), 'c');
	cr_assert_eq(first_byte(2 * SIZE, true), 'c');
	cr_assert_eq(first_byte(3 * SIZE, true), 'd');
}

Test(read, one_by_pages_goes_on_behind_a_message)
{
	char piece[100] = {0};
	struct iovec iov = {piece, sizeof piece};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1, .flags = RECORD_WRITE};
	struct reading by_messages = {.size = SIZE, .messages = true}, by_pages = {.size = SIZE, .messages = true, .paged = true};
	struct place p;

	for (int i = 0; i < MANY; i++)
		cr_assert_eq(store_append(h.queue, &b, &p), 0);
	cr_assert_eq(wait_committed(store, p.end), 0);
	cr_assert_eq(handle_read(&h, &by_messages), sizeof piece);
	slice_free(&by_messages.slice);
	cr_assert_eq(handle_read(&h, &by_pages), MANY * sizeof piece);
	slice_free(&by_pages.slice);
}
