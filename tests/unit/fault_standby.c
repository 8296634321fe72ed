/* SPDX-License-Identifier: Apache-2.0 */
/* A standby: what it has acknowledged to the primary, and promised, must be there after a power cut, and the rest can be received. */
#include "fault_story.h"
#include "log.h"
#include "member.h"
#include "powercut.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNKS 64
#define SOME 40000                     /* bytes */

/* The primary's log from position 0 on. */
static struct {
	uint8_t *bytes;
	uint64_t end;
	struct epoch epoch;
	struct {
		uint64_t end, base;
	} chunk[CHUNKS];               /* whole records of one segment each */
	int chunks;
} sent;

static struct {
	uint64_t synced;               /* acknowledged */
	bool promised;
} said;

static void read_log(void)
{
	struct member_view view;
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	ssize_t n;

	store_view(store, &view);
	sent.epoch = view.epoch;
	sent.end = 0;
	sent.chunks = 0;
	sent.bytes = realloc(sent.bytes, view.end);
	cr_assert_eq(store_raw(store, 0, &raw), 0);
	while ((n = raw_read(raw, view.end, &bytes, &base)) > 0) {
		cr_assert_lt(sent.chunks, CHUNKS);
		memcpy(sent.bytes + sent.end, bytes, (size_t)n);
		sent.end += (uint64_t)n;
		sent.chunk[sent.chunks].end = sent.end;
		sent.chunk[sent.chunks++].base = base;
	}
	cr_assert_eq(sent.end, view.end);
	raw_close(raw);
}

/* A blank store of the same cluster. */
void make_standby(const char *to)
{
	static const char *const directories[] = {"", "/log", "/checkpoint", "/lost"};
	struct identity id;
	struct disk *d;
	char path[160];

	cr_assert(work_begin());
	work_topics();
	for (int n = 0; n < 12; n++)
		work_append_wait(n % TOPICS);
	read_log();
	id = *store_identity(store);
	id.node--;                     /* a blank store rules a reign of its own, which must not be above the primary's */
	work_close();
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		snprintf(path, sizeof path, "%s%s", to, directories[i]);
		if (mkdir(path, 0700))
			abort();
	}
	work_sound = true;
	cr_assert_eq(disk_open_directory(&d, to), 0);
	cr_assert_eq(identity_save(d, &id), 0);
	disk_free(d);
	work_sound = false;
}

/* What the log still lacks; -ENOSPC and the like heal. */
static int receive(void)
{
	struct member_view view;
	int err = 0, refused = 0;

	store_view(store, &view);
	for (int n = 0; n < sent.chunks && !err; n++) {
		size_t took = 0, len;

		if (sent.chunk[n].end <= view.end)
			continue;
		len = (size_t)(sent.chunk[n].end - view.end);
		err = store_receive(store, sent.bytes + view.end, len, sent.chunk[n].base, &sent.epoch, &took);
		store_view(store, &view);
		if (err && err != -EIO && refused++ < 2) {
			err = 0;
			n--;
		}
	}
	return err;
}

/* The first records only, so that the segment grows while somebody reads it. */
static void receive_some(void)
{
	struct member_view view;
	size_t took;

	store_view(store, &view);
	if (view.end == 0)
		store_receive(store, sent.bytes, SOME, sent.chunk[0].base, &sent.epoch, &took);
}

static void wait_for(bool (*reached)(const struct member_view *view))
{
	struct member_view view;

	for (store_view(store, &view); !reached(&view) && !log_failed(store->log); store_view(store, &view))
		usleep(100);
}

static bool is_synced(const struct member_view *view)
{
	return view->synced >= view->written;
}

static bool is_shown(const struct member_view *view)
{
	return view->committed >= view->synced;
}

/* Reads what is shown; what cannot be read is what fails. */
static void look(void)
{
	static struct store_status status;
	struct topic *t = topic_find(store, work_names[KEEP]);
	struct reader *r;
	struct slice s;

	store_status(store, &status);
	slice_init(&s);
	if (t && reader_new(&r, store, topic_queue(t, 0)) == 0) {
		reader_read(r, 0, WORK_LONGEST, &s);
		reader_free(r);
	}
	slice_free(&s);
	topic_put(t);
}

static bool is_committed(const struct member_view *view)
{
	return view->committed >= sent.end;
}

static int open_standby(const char *path)
{
	work_options.standby = true;
	work_options.segment_size = 100 << 10;          /* less than the primary's */
	return work_open(path);
}

void standby_run(void)
{
	struct member_view view;

	memset(&said, 0, sizeof said);
	if (open_standby(scratch_path))
		return;
	if (store->read_only) {
		work_close();
		return;
	}
	look();                        /* before there is a segment */
	said.promised = store_promise(store, epoch_reign(&sent.epoch)) == 0;
	if (said.promised) {
		receive_some();
		wait_for(is_synced);
		store_view(store, &view);
		store_announce(store, view.synced, false);
		wait_for(is_shown);
		look();
	}
	if (said.promised && receive() == 0)
		wait_for(is_synced);
	store_view(store, &view);
	said.synced = view.synced;
	if (view.synced == sent.end) {
		store_announce(store, sent.end, true);
		wait_for(is_committed);
		look();
	}
	work_close();
}

static void check_again(const char *path, const char *when)
{
	struct member_view view;
	int err = open_standby(path);

	cr_assert_eq(err, 0, "%s: it does not open: %s", when, work_said);
	cr_assert(!store->read_only && store->damaged == 0, "%s: %s", when, work_said);
	store_view(store, &view);
	cr_assert_geq(view.end, said.synced, "%s: what was acknowledged is gone", when);
	if (said.promised)
		cr_assert_geq(reign_compare(view.promise.reign, epoch_reign(&sent.epoch)), 0, "%s: the promise is gone", when);
	cr_assert_eq(store_promise(store, epoch_reign(&sent.epoch)), 0, "%s: no promise", when);
	cr_assert_eq(receive(), 0, "%s: it does not go on", when);
	wait_for(is_synced);
	store_announce(store, sent.end, true);
	wait_for(is_committed);
	work_check_topics(when);
	work_close();
}

void standby_check(const char *when)
{
	char left[80];
	struct done before = did;

	work_check_end(when);
	snprintf(left, sizeof left, "%s-left", scratch_path);
	powercut_copy(left, CUT_LEAST);
	work_sound = true;
	check_again(left, when);
	work_sound = false;
	scratch_remove(left);
	did = before;
	check_again(scratch_path, when);
}
