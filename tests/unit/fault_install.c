/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is given up and made anew from another node's: it is there at once or not at all, what it had promised holds, and what is put
 * aside is in lost/. And the giving side.
 */
#include "fault_story.h"
#include "install.h"
#include "keeper.h"
#include "log.h"
#include "powercut.h"
#include "scratch.h"
#include "seed.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNKS 64
#define PIECE 4096                     /* bytes of the checkpoint at a time */
#define PROMISED 9                     /* the reign that the store given up has promised */

/* What the other node sends. */
static struct {
	struct identity id;
	struct epoch epoch;
	struct log_start start;
	uint8_t *checkpoint, *bytes;
	uint64_t checkpoint_pos, checkpoint_size, end;
	struct {
		uint64_t end, base;
	} chunk[CHUNKS];
	int chunks;
	uint64_t own;                  /* id of the node that is made anew */
} from;

static bool installed;

static void read_checkpoint(void)
{
	struct seed *e;
	uint64_t at = 0;
	ssize_t n;

	cr_assert_eq(keeper_checkpoint(store->keeper), 0);
	cr_assert_eq(seed_open(&e, store), 0);
	from.start = seed_start(e);
	from.checkpoint_pos = seed_checkpoint(e, &from.checkpoint_size);
	cr_assert_gt(from.checkpoint_size, 0);
	from.checkpoint = realloc(from.checkpoint, from.checkpoint_size);
	while ((n = seed_read(e, from.checkpoint + at, PIECE)) > 0)
		at += (uint64_t)n;
	cr_assert_eq(at, from.checkpoint_size);
	seed_close(e);
}

static void read_log(void)
{
	struct member_view view;
	const uint8_t *bytes;
	struct raw *raw;
	uint64_t base;
	ssize_t n;

	store_view(store, &view);
	from.epoch = view.epoch;
	from.end = view.end;
	from.chunks = 0;
	from.bytes = realloc(from.bytes, view.end);
	cr_assert_eq(store_raw(store, from.start.pos, &raw), 0);
	while ((n = raw_read(raw, view.end, &bytes, &base)) > 0) {
		cr_assert_lt(from.chunks, CHUNKS);
		memcpy(from.bytes + raw_pos(raw) - (uint64_t)n, bytes, (size_t)n);
		from.chunk[from.chunks].end = raw_pos(raw);
		from.chunk[from.chunks++].base = base;
	}
	raw_close(raw);
}

/* A copy of the other node's store under an id of its own, which has promised a reign. */
void make_given_up(const char *to)
{
	struct promise promise = {0};
	struct identity id;
	struct disk *d;

	cr_assert(work_begin());
	work_topics();
	for (int n = 0; n < 16; n++)
		work_append_wait(n % TOPICS);
	read_checkpoint();
	work_append_wait(KEEP);
	read_log();
	from.id = id = *store_identity(store);
	work_close();
	scratch_copy(scratch_path, to);
	id.node = from.own = from.id.node - 1;
	promise.reign = (struct reign){PROMISED, id.node};
	work_sound = true;
	cr_assert_eq(disk_open_directory(&d, to), 0);
	cr_assert_eq(identity_save(d, &id), 0);
	cr_assert_eq(promise_save(d, &id, &promise), 0);
	disk_free(d);
	work_sound = false;
}

static int take_records(struct install *i)
{
	uint64_t pos = install_end(i);
	int err = 0;

	for (int n = 0; n < from.chunks && !err; n++) {
		size_t took;

		err = install_records(i, from.bytes + pos, (size_t)(from.chunk[n].end - pos), from.chunk[n].base, &from.epoch, &took);
		pos = install_end(i);
	}
	return err;
}

static int install(const char *path)
{
	struct install *i;
	char why[STORE_WHY];
	int err = install_begin(&i, path, true, from.checkpoint_pos, &from.id, &from.start, from.checkpoint_pos, from.end, WORK_SEGMENT, why);

	if (err) {
		cr_assert_neq(why[0], 0);
		return err;
	}
	for (uint64_t at = 0; !err && at < from.checkpoint_size; at += PIECE) {
		uint64_t left = from.checkpoint_size - at;
		err = install_checkpoint(i, from.checkpoint + at, left < PIECE ? (size_t)left : PIECE);
	}
	if (!err)
		err = take_records(i);
	if (!err)
		err = install_finish(i, (struct reign){PROMISED + 1, from.id.node});
	install_free(i);
	return err;
}

void install_run(void)
{
	installed = install(scratch_path) == 0 || install(scratch_path) == 0;
}

static int count(void *ctx, const char *name)
{
	(void)name;
	++*(int *)ctx;
	return 0;
}

/* Whatever is there, the node that it was is told by it, and what it has promised. */
static void check_before(const char *path, const char *when)
{
	struct install_before before;
	struct disk *d;

	cr_assert_eq(disk_open_directory(&d, path), 0);
	cr_assert_eq(install_look(d, &before), 0, "%s", when);
	cr_assert(before.store || before.joining, "%s: there is nothing left of it", when);
	cr_assert_eq(before.node, from.own, "%s: it is another node", when);
	cr_assert_geq(before.promise.reign.number, PROMISED, "%s: its promise is gone", when);
	disk_free(d);
}

static void check_again(const char *path, const char *when)
{
	struct member_view view;
	struct disk *d;
	int aside = 0;

	check_before(path, when);
	if (!installed)
		cr_assert_eq(install(path), 0, "%s: it cannot be made anew", when);
	work_options.standby = true;
	cr_assert_eq(work_open(path), 0, "%s: it does not open: %s", when, work_said);
	store_view(store, &view);
	cr_assert_eq(view.end, from.end, "%s", when);
	cr_assert_eq(view.promise.reign.number, PROMISED + 1, "%s", when);
	store_announce(store, from.end, true);
	while (store_committed(store) < from.end)
		usleep(100);
	work_check_topics(when);
	work_close();
	cr_assert_eq(disk_open_directory(&d, path), 0);
	cr_assert_eq(disk_list(d, "lost", count, &aside), 0);
	cr_assert_gt(aside, 0, "%s: nothing was put aside", when);
	disk_free(d);
}

void install_judge(const char *when)
{
	char left[80];

	work_check_end(when);
	snprintf(left, sizeof left, "%s-left", scratch_path);
	powercut_copy(left, CUT_LEAST);
	work_sound = true;
	check_again(left, when);
	scratch_remove(left);
	work_sound = false;
	check_again(scratch_path, when);
}

/* ---- the giving side ---- */

void seed_run(void)
{
	uint8_t piece[PIECE];
	struct seed *e;

	if (!work_begin())
		return;
	work_topics();
	for (int n = 0; n < 4; n++)
		work_append_wait(n % TOPICS);
	keeper_checkpoint(store->keeper);
	if (seed_open(&e, store) == 0) {
		while (seed_read(e, piece, sizeof piece) > 0)
			;
		seed_close(e);
	}
	work_finish();
}
