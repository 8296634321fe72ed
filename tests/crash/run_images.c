/* SPDX-License-Identifier: Apache-2.0 */
/* What a crash leaves: images of it, the starts on them, and what these show. */
#include "run_part.h"
#include "check.h"
#include "parts.h"
#include <stdlib.h>
#include <string.h>

#define ROOMY ((uint64_t)1 << 30)      /* bytes of a disk with room */
#define IMAGES 4                       /* looked at after a crash, at most, besides the one that goes on */
#define THINGS_ROTTEN 20               /* done with a store of which something has rotted, at most */
#define DEPTH 4                        /* starts that are crashed in a row */

void run_count_state(struct run *r, struct simdisk *d)
{
	r->counts->states++;
	if (!r->is_new || r->is_new(r->ctx, simdisk_hash(d)))
		r->counts->distinct++;
}

void run_check(struct run *r, struct store *s, struct simdisk *d)
{
	uint64_t crash_at = d->crash_at;
	unsigned near = d->crash_near;

	if (d->stopped)
		return;
	d->crash_near = 0;
	d->crash_at = 0;                       /* nothing is read of a disk that has stopped */
	model_check(&r->model, s, s->read_only);
	d->crash_near = near;
	d->crash_at = crash_at && crash_at <= d->calls ? d->calls + 1 : crash_at;
	run_say(r, "all that has to be there is there");
}

void run_calm(struct simdisk *d)
{
	d->sync_fails = d->sync_hangs = d->write_fails = d->write_short = 0;
	d->budget = ROOMY;
}

struct simdisk *run_copy(struct run *r, const struct simdisk *d)
{
	struct simdisk *c;

	if (simdisk_clone(d, &c))
		model_fail(&r->model, "out of memory");
	simdisk_start(c);
	return c;
}

static void power_cut(struct run *r, struct simdisk *d)
{
	run_say(r, "the power is cut");
	run_meet(r, POWER_CUT);
	model_memory_lost(&r->model);
	if (simdisk_power_cut(d))
		model_fail(&r->model, "out of memory");
}

/* ---- what mqctl check says ---- */

static _Thread_local struct simdisk *checked;

int __wrap_disk_open_directory(struct disk **d, const char *path);

int __wrap_disk_open_directory(struct disk **d, const char *path)
{
	(void)path;
	*d = &checked->disk;
	return 0;
}

static void found(void *ctx, bool damage, const char *where, const char *what)
{
	struct run *r = ctx;

	run_say(r, "  check: %s: %s", where, what);
	if (damage)
		model_fail(&r->model, "nothing has rotted, and a check finds damage: %s: %s", where, what);
}

/* Whatever a crash leaves is no damage. */
static void check_files(struct run *r, struct simdisk *d)
{
	struct check_calls calls = {.found = found, .ctx = r};
	struct check_totals totals;
	char why[STORE_WHY];

	checked = run_copy(r, d);
	checked->saw = NULL;
	if (check_store("simulated", &calls, &totals, why, sizeof why) == 0)
		run_meet(r, FILES_CHECKED);
	simdisk_free(checked);
}

struct simdisk *run_left(struct run *r, const struct simdisk *d)
{
	struct simdisk *left = run_copy(r, d);

	if (!once_in(r->world, 3)) {
		power_cut(r, left);
		return left;
	}
	run_say(r, "the process is killed");
	run_meet(r, KILLED);
	if (once_in(r->world, 3)) {
		run_say(r, "the cache is dropped");
		run_meet(r, CACHE_DROPPED);
		model_memory_lost(&r->model);
		if (simdisk_drop_cache(left))
			model_fail(&r->model, "out of memory");
	}
	return left;
}

void run_end_store(struct store *s, struct simdisk *d)
{
	simdisk_stop(d);
	if (s)
		store_close(s);
}

/* Starts a store on an image until it is up, through crashes of the start, and checks it. At last the power goes once more: what was
 * shown must be shown again. Takes the image. */
static void look_at(struct run *r, struct simdisk *d)
{
	bool again = once_in(r->world, 2);

	for (int depth = 0;; depth++) {
		struct simdisk *left;
		struct store *s;

		run_count_state(r, d);
		if (once_in(r->world, 2))
			check_files(r, d);
		if (depth < DEPTH && once_in(r->world, 2))
			d->crash_at = 1 + chance_of(r->world, START_CALLS);
		s = run_start_store(r, d);
		if (s && d->crash_at && !d->stopped && !again) {
			run_end_store(s, d);                  /* it was too late for the crash */
			s = NULL;
		}
		if (s && !d->stopped) {
			run_check(r, s, d);
			again = again && depth < DEPTH;
			run_end_store(s, d);
			if (!again)
				break;
			again = false;
		} else {
			run_meet(r, CRASHED_AT_START);
			run_end_store(s, d);
		}
		left = run_left(r, d);
		simdisk_free(d);
		d = left;
	}
	simdisk_free(d);
}

static void newest(void *ctx, const char *path, uint64_t size)
{
	struct sim_name *to = ctx;

	(void)size;
	if (!strncmp(path, "checkpoint/", 11) && !strstr(path, ".new") && strcmp(path, to->path) > 0)
		strcpy(to->path, path);
}

/* What the files prove to be committed. */
struct proved {
	uint64_t checkpoint;           /* the newest one's position */
	bool any;                      /* segment is sealed */
	uint64_t sealed;               /* the last one's base */
	uint64_t end;                  /* behind it */
};

static void prove(void *ctx, const char *path, uint64_t size)
{
	struct proved *p = ctx;
	uint64_t pos;

	(void)size;
	if (!strncmp(path, "checkpoint/", 11) && position_named(path + 11, 0, &pos) && pos > p->checkpoint)
		p->checkpoint = pos;
	if (!strncmp(path, "log/", 4) && position_named(path + 4, '.', &pos) && !strcmp(path + 20, ".index") && (!p->any || pos > p->sealed)) {
		p->any = true;
		p->sealed = pos;
	}
}

/* The first segment behind the last sealed one. */
static void prove_end(void *ctx, const char *path, uint64_t size)
{
	struct proved *p = ctx;
	uint64_t pos;

	(void)size;
	if (p->any && !strncmp(path, "log/", 4) && position_named(path + 4, 0, &pos) && pos > p->sealed && (!p->end || pos < p->end))
		p->end = pos;
}

/* A bit of the newest checkpoint, or of a record that is proved to be committed: of its body, or of its header too, when a later record or
 * a checkpoint tells where the queue went on. */
static void rot(struct run *r, struct simdisk *d)
{
	struct sim_name checkpoint = {0};
	struct model *m = &r->model;
	struct proved p = {0};
	const char *path;
	uint32_t number;
	uint64_t at;

	simdisk_each(d, prove, &p);
	simdisk_each(d, prove_end, &p);
	if (once_in(r->world, 3)) {
		simdisk_each(d, newest, &checkpoint);
		if (*checkpoint.path && !simdisk_flip(d, checkpoint.path, chance_of(r->world, 100))) {
			run_say(r, "%s rots", checkpoint.path);
			run_meet(r, CHECKPOINT_ROTTED);
			r->rotten = m->forgets = true;
		}
	} else if (model_any_proved(m, p.end > p.checkpoint ? p.end : p.checkpoint, &number)) {
		model_body(m, number, m->expected);
		path = simdisk_find(d, "log/0", m->expected, m->intents[number].len, &at);
		bool followed = m->intents[number].end <= p.checkpoint || model_is_followed(m, number);
		uint64_t header = path && once_in(r->world, 2) && followed ? RECORD_HEADER : 0;
		if (path && !simdisk_flip(d, path, at - header + chance_of(r->world, header ? header : m->intents[number].len))) {
			run_say(r, "append %u rots in %s", number, path);
			run_meet(r, BYTES_ROTTED);
			r->rotten = true;
			m->rotten = number;
		}
	}
}

/* The store is used, whatever has rotted, and ends. */
static void use(struct run *r, struct store *s, struct simdisk *d)
{
	struct simdisk *disk = r->disk;

	r->store = s;
	r->disk = d;
	r->healthy = false;                    /* what has rotted cannot be read */
	run_live(r, THINGS_ROTTEN);
	r->healthy = true;
	r->store = NULL;
	r->disk = disk;
}

/* One start, and no crash; then it is used, and there is another start. */
static void look_at_rotten(struct run *r)
{
	struct simdisk *d = run_copy(r, r->disk), *left;
	struct store *s;

	power_cut(r, d);
	rot(r, d);
	for (int n = 0; n < 2; n++) {
		run_count_state(r, d);
		s = run_start_store(r, d);
		if (s)
			run_check(r, s, d);
		if (s && n == 0 && !s->read_only)
			use(r, s, d);
		run_end_store(s, d);
		left = run_left(r, d);
		simdisk_free(d);
		d = left;
	}
	simdisk_free(d);
	r->rotten = r->model.forgets = false;
}

/* No trouble in the images: what is left must do. */
void run_look_at_images(struct run *r)
{
	int images = (int)chance_of(r->world, IMAGES + 1);

	run_calm(r->disk);

	for (int n = 0; n < images; n++) {
		struct model_save *save;
		bool healthy = r->healthy;

		run_say(r, "---- another image: what if");
		if (model_save(&r->model, &save))
			model_fail(&r->model, "out of memory");
		r->healthy = true;
		if (once_in(r->world, 6))
			look_at_rotten(r);
		else
			look_at(r, run_left(r, r->disk));
		r->healthy = healthy;
		model_restore(&r->model, save);
	}
	run_say(r, "---- on with the run");
}
