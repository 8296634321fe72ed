/* SPDX-License-Identifier: Apache-2.0 */
#include "join.h"
#include "install.h"
#include "pieces.h"
#include "talker.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST_WORD_NS 1000000000LL        /* for the primary to hear why a copy ends */

struct join {
	struct link *link;
	const char *name, *path;
	bool again;
	uint64_t aside, segment_size;
	char *why;
	struct install_before before;  /* what is given up */
	struct epoch epoch;            /* of the primary */
	struct frame_hello_ack ack;
	struct install *install;
	struct pieces pieces;
	struct join_progress at;
	uint8_t body[FRAME_BODY];
	struct talker *talker;         /* from the answer on it alone sends */
	struct progress moved;         /* the two below have */
	_Atomic uint64_t here;         /* at.pos */
	_Atomic int failed;            /* what the primary is told of */
	/* the talker's */
	uint64_t said;                 /* of `here` */
	int64_t due;
	bool ended;
	uint8_t talk[FRAME_TALK];
};

static int refuse(struct join *j, int err, const char *reason)
{
	if (!j->why[0])
		snprintf(j->why, STORE_WHY, "%.*s", (int)STORE_WHY - 1, reason);
	return err;
}

/* What a store that is given up has promised holds for the new one too. */
static int look_before(struct join *j)
{
	struct disk *d;
	int err = disk_open_directory(&d, j->path);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = install_look(d, &j->before);
	disk_free(d);
	return err;
}

static int say_hello(struct join *j)
{
	struct frame f = {.type = FRAME_HELLO, .flags = FRAME_BLANK};
	struct frame_hello *h = calloc(1, sizeof *h);
	struct iovec iov = {.iov_base = j->talk};
	int len;

	if (!h)
		return -ENOMEM;
	h->version = FRAME_VERSION;
	h->cluster = j->before.cluster;
	h->node = j->before.node;
	h->promise = j->before.promise.reign;
	snprintf(h->name, sizeof h->name, "%s", j->name);
	len = frame_put_hello(h, j->talk, sizeof j->talk);
	free(h);
	iov.iov_len = (size_t)len;
	return len < 0 ? len : link_send(j->link, &f, &iov, 1, link_in(LINK_SILENCE));
}

/* ---- the talker ---- */

/* A sign of life, and how far it is; it counts for nothing. */
static int put_ack(struct join *j, int64_t now, struct frame *f)
{
	struct frame_ack a = {.received = j->here};

	j->said = a.received;
	j->due = now + LINK_HEARTBEAT;
	f->type = FRAME_ACK;
	f->pos = a.received;
	return frame_put_ack(&a, j->talk, sizeof j->talk);
}

static int put_error(struct join *j, struct frame *f)
{
	struct frame_error_text text = {.error = FRAME_FAILED};

	j->ended = true;
	f->type = FRAME_ERROR;
	snprintf(text.reason, sizeof text.reason, "%s", strerror(-j->failed));
	return frame_put_error(&text, j->talk, sizeof j->talk);
}

static int voice_next(void *of, int64_t now, struct frame *f, struct iovec *iov, int *n)
{
	struct join *j = of;
	int len;

	if (j->ended || (!j->failed && j->said == j->here && now < j->due))
		return j->ended ? j->failed : 0;
	*f = (struct frame){.epoch = j->epoch};
	len = j->failed ? put_error(j, f) : put_ack(j, now, f);
	iov[0] = (struct iovec){j->talk, (size_t)len};
	*n = 1;
	return len < 0 ? len : 1;
}

static int64_t voice_due(void *of)
{
	return ((struct join *)of)->due;
}

/* So that the primary hears of it, however long the next frame takes to come, or the disk. */
static int start_talker(struct join *j)
{
	const struct voice voice = {voice_next, voice_due, j, NULL};

	j->here = j->said = j->at.pos;
	return talker_start(&j->talker, j->link, &voice, &j->moved);
}

/* ---- what comes ---- */

static int next_frame(struct join *j, struct frame *f)
{
	struct frame_error_text text;
	int err = link_receive(j->link, f, j->body, sizeof j->body, link_in(LINK_SILENCE));

	if (err || f->type != FRAME_ERROR)
		return err;
	if (frame_get_error(&text, j->body, f->length))
		return -EBADMSG;
	return refuse(j, -ECONNABORTED, text.reason);
}

static int hear_answer(struct join *j)
{
	struct frame f;
	int err = next_frame(j, &f);

	if (!err)
		err = f.type == FRAME_HELLO_ACK ? frame_get_hello_ack(&j->ack, j->body, f.length) : -EPROTO;
	if (err)
		return err;
	if (strcmp(j->ack.name, j->link->peer) != 0)
		return refuse(j, -EPROTO, "the primary's name is not that of its certificate");
	if (j->ack.answer == FRAME_REFUSED)
		return refuse(j, -ECONNREFUSED, j->ack.reason);
	if (j->ack.answer != FRAME_BLANK_START || !j->ack.has_secret || f.epoch.node != j->ack.node)
		return -EPROTO;
	if (reign_compare(epoch_reign(&f.epoch), j->before.promise.reign) < 0)
		return refuse(j, -ESTALE, "its reign is below the one that this node has promised");
	j->epoch = f.epoch;
	j->at = (struct join_progress){.start = f.pos, .pos = f.pos, .end = j->ack.end, .checkpoint_size = j->ack.checkpoint_size};
	return start_talker(j);
}

static int take(void *ctx, const uint8_t *bytes, size_t len, uint64_t base, size_t *took)
{
	struct join *j = ctx;

	return install_records(j->install, bytes, len, base, &j->epoch, took);
}

/* The SEGMENT behind the answer says what the first record follows. */
static int begin(struct join *j)
{
	struct identity cluster = {.cluster = j->ack.cluster};
	uint64_t pos = j->at.start;
	struct frame_segment s;
	struct log_start start;
	struct frame f;
	int err = next_frame(j, &f);

	if (!err)
		err = f.type == FRAME_SEGMENT ? frame_get_segment(&s, j->body, f.length) : -EPROTO;
	if (!err && (f.pos != pos || s.chain != j->ack.chain || epoch_compare(&f.epoch, &j->epoch)))
		err = -EPROTO;
	if (err)
		return err;
	memcpy(cluster.secret, j->ack.secret, RECORD_SECRET);
	start = (struct log_start){pos, s.chain, s.epoch, s.time};
	err = install_begin(&j->install, j->path, j->again, j->aside, &cluster, &start, j->ack.checkpoint, j->ack.end, j->segment_size, j->why);
	if (err)
		return err;
	pieces_begin(&j->pieces, j->ack.secret, take, j, pos);
	return pieces_segment(&j->pieces, pos);
}

static int hear_checkpoint(struct join *j, const struct frame *f)
{
	struct frame_checkpoint c;
	int err = f->length < FRAME_CHECKPOINT_HEAD ? -EBADMSG : frame_get_checkpoint(&c, j->body, f->length);

	if (err)
		return err;
	if (f->pos != j->ack.checkpoint || c.size != j->ack.checkpoint_size || c.offset != j->at.checkpoint)
		return -EPROTO;
	err = install_checkpoint(j->install, j->body + FRAME_CHECKPOINT_HEAD, f->length - FRAME_CHECKPOINT_HEAD);
	if (!err)
		j->at.checkpoint += f->length - FRAME_CHECKPOINT_HEAD;
	return err;
}

static int hear(struct join *j)
{
	struct frame f;
	int err = next_frame(j, &f);

	if (!err && epoch_compare(&f.epoch, &j->epoch))
		err = -EPROTO;
	if (err)
		return err;
	switch (f.type) {
	case FRAME_CHECKPOINT:
		return hear_checkpoint(j, &f);
	case FRAME_SEGMENT:
		return pieces_segment(&j->pieces, f.pos);
	case FRAME_RECORDS:
		return pieces_add(&j->pieces, &f, j->body);
	case FRAME_COMMIT:
		j->at.end = f.pos;
		return 0;
	default:
		return -EPROTO;
	}
}

static bool complete(const struct join *j)
{
	return j->at.checkpoint == j->ack.checkpoint_size && install_end(j->install) >= j->ack.checkpoint;
}

static int run(struct join *j, void (*told)(void *ctx, const struct join_progress *p), void *ctx)
{
	int err = look_before(j);

	if (!err)
		err = say_hello(j);
	if (!err)
		err = hear_answer(j);
	if (!err)
		err = begin(j);
	while (!err && !complete(j)) {
		err = hear(j);
		j->here = j->at.pos = install_end(j->install);
		progress_moved(&j->moved);
		if (told)
			told(ctx, &j->at);
	}
	return err ? err : install_finish(j->install, epoch_reign(&j->epoch));
}

/* What it could not go on with, where nothing better was said. */
static void explain(struct join *j, int err)
{
	char of_link[LINK_WHY] = "";

	if (err == -EPROTO || err == -EBADMSG)
		refuse(j, err, "the primary says what has no place here, or is not valid");
	if (err == -EPROTONOSUPPORT)
		refuse(j, err, "the primary speaks another version of the protocol");
	if (!j->why[0] && (err == -ETIMEDOUT || err == -ECONNRESET || err == -ESHUTDOWN))
		link_why(j->link, of_link);
	refuse(j, err, of_link[0] ? of_link : strerror(-err));
}

/* The primary's operator is told as well: a disk that is full is for him to see to. */
static void say_full(struct join *j, int err)
{
	int64_t until = link_in(LAST_WORD_NS);
	struct frame f;

	j->failed = err;
	progress_moved(&j->moved);
	while (link_receive(j->link, &f, j->body, sizeof j->body, until) == 0)
		;                      /* it closes: so it has read what was said */
}

/* Shuts the link down. Where that was done by who could not send, the error is his. */
static int stop_talker(struct join *j, int err)
{
	int told = j->talker ? talker_stop(j->talker) : 0;

	return err == -ESHUTDOWN && told ? told : err;
}

int join(struct link *l, const char *name, const char *path, bool again, uint64_t aside, uint64_t segment_size,
	void (*told)(void *ctx, const struct join_progress *p), void *ctx, char why[STORE_WHY])
{
	struct join *j = calloc(1, sizeof *j);
	int err;

	why[0] = 0;
	if (!j) {
		snprintf(why, STORE_WHY, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	j->link = l;
	j->name = name;
	j->path = path;
	j->again = again;
	j->aside = aside;
	j->segment_size = segment_size;
	j->why = why;
	progress_init(&j->moved);
	err = run(j, told, ctx);
	if (j->talker && disk_error_full(err))
		say_full(j, err);
	err = stop_talker(j, err);
	if (err)
		explain(j, err);
	install_free(j->install);
	pieces_free(&j->pieces);
	progress_destroy(&j->moved);
	free(j);
	return err;
}
