/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written to the live view becomes records. A WRITE that must be committed before it returns is parked until then; what it
 * needs for that it has before it appends, so that nothing in the log is ever refused.
 */
#include "park.h"
#include "read.h"
#include "together.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/poll.h>

/*
 * The kernel puts 256 pages of the program's memory into one WRITE: of one buffer this at the least, wherever it begins. A longer write(2) is
 * cut. With framing=write one WRITE is one message.
 */
#define APPEND_WRITE_MAX ((size_t)(1u << 20) - 4096)
/* Of a writev(2), each part may begin and end within a page: this is the least of up to 64 parts. */
#define APPEND_CUT_MIN ((size_t)512 << 10)
/* sendfile(2) and copy_file_range(2), which O_APPEND refuses, go through a pipe of 16 pages. The first one's bytes may begin at its end. */
#define APPEND_SPLICE_MIN ((size_t)15 * 4096 + 1)

struct writer {
	uint32_t uid, pid;       /* of the thread */
	bool later;              /* store_append_end() comes */
	bool goes_on;            /* with what the kernel has cut: see struct line_writer */
	int lacks;               /* 0, or an error: there is no memory to wait with */
};

static struct writer writer_of(fuse_req_t req)
{
	const struct fuse_ctx *c = fuse_req_ctx(req);

	return (struct writer){.uid = c->uid, .pid = (uint32_t)c->pid};
}

/*
 * Under h->appending: whether something that was written through H has been cut off the log since, by a change of roles. Positions behind the
 * cut are another log's then, and must not be compared any more: so it is asked before anything is, or is put behind them.
 */
static bool was_cut(struct handle *h)
{
	uint32_t cuts = h->queue->cuts;

	if (h->last_pos && queue_cut_since(h->queue, h->cuts, h->last_pos)) {
		h->lost = true;
		h->last_pos = h->last_end = h->told = 0;
	}
	h->cuts = cuts;
	return h->lost;
}

/* Under h->appending: fsync speaks for all of the queue, so who asks hears once of each cut, and so does the first to ask who has opened it since. */
static bool cut_untold(struct handle *h)
{
	uint32_t cuts = h->queue->cuts;
	bool untold = cuts != h->cuts_told;

	h->cuts_told = cuts;
	h->queue->cuts_told = cuts;
	return untold;
}

/* Under h->appending. */
static int put(struct handle *h, const struct iovec *iov, int iovcnt, uint32_t messages, uint8_t flags, const struct writer *w)
{
	struct batch b = {.iov = iov, .iovcnt = iovcnt, .messages = messages, .flags = flags, .uid = w->uid, .pid = w->pid, .later = w->later};
	struct place to;
	int err = store_append(h->queue, &b, &to);

	if (err)
		return err;
	h->last_pos = to.end;
	h->last_end = to.offset;
	for (int i = 0; i < iovcnt; i++)
		h->last_end += iov[i].iov_len;
	handle_mark_at(h, h->last_end);
	return 0;
}

static void lose_line(struct handle *h, struct line *line)
{
	h->queue->lost++;
	line_end(&h->lines, line);
}

/* A line that its writer leaves without a newline; under h->appending. When it cannot be appended now, it is still there. */
static int end_line(struct handle *h, struct line *line, const struct writer *w)
{
	struct iovec iov[] = {{line->bytes, line->length}, {(void *)"\n", 1}};
	int err = 0;

	switch (topic_setting(h->queue->topic, SETTING_PARTIAL)) {
	case PARTIAL_NEWLINE:
		err = put(h, iov, 2, 1, RECORD_PARTIAL, w);
		break;
	case PARTIAL_KEEP:
		/* The next writer's newline ends this message, and counts it. */
		err = put(h, iov, 1, 0, 0, w);
		break;
	default:
		lose_line(h, line);
		return 0;
	}
	if (!err)
		line_end(&h->lines, line);
	return err;
}

/* C is put in the log; ERR: it could not be made. */
static ssize_t append_cut(struct handle *h, struct cut *c, int err, uint8_t flags, const struct writer *w)
{
	if (!err && c->iovcnt) {
		err = put(h, c->iov, c->iovcnt, c->messages, flags, w);
		if (err)
			lines_drop(&h->lines, c);
	}
	h->queue->lost += c->lost;
	if (err)
		return err;
	c->behind = h->last_pos;
	lines_keep(&h->lines, c);
	return (ssize_t)c->taken;
}

static ssize_t append_lines(
	struct handle *h, const struct line_writer *by, const char *from, size_t size, size_t max, const struct writer *w)
{
	struct cut c;
	int err = lines_cut(&h->lines, by, from, size, max, &c);

	return append_cut(h, &c, err, 0, w);
}

/* The line that OWNER has begun takes no message into it. Not `later`: if the message is refused, nobody comes to write it. */
static int end_begun(struct handle *h, uint64_t owner, const struct writer *w)
{
	struct line *line = line_of(&h->lines, owner);
	struct writer now = *w;

	now.later = false;
	return line ? end_line(h, line, &now) : 0;
}

static ssize_t append_message(
	struct handle *h, const struct line_writer *by, const char *from, size_t size, size_t max, const struct writer *w)
{
	struct cut c;
	int err;

	if (size > max || size > APPEND_WRITE_MAX)
		return -EMSGSIZE;
	err = end_begun(h, by->owner, w);
	if (err)
		return err;
	err = lines_message(&h->lines, by, from, size, &c);
	return append_cut(h, &c, err, RECORD_WRITE, w);
}

/* Under h->appending. An unfinished line would be refused only when it ends. */
static int refused(struct handle *h)
{
	struct topic *t = h->queue->topic;
	int err = store_refusing(t->store);

	if (err)
		return err;
	if (t->retired || t->removed || t->closing)
		return -EROFS;
	if (handle_mount(h)->stopping)
		return -ENOTCONN;
	return h->replacing ? -EPERM : 0;
}

/* Bytes taken. *POS: log position behind what is in the log of them, 0: nothing is yet. What is refused here is told as not there, so what is not
 * known of comes first. */
static ssize_t append(
	struct handle *h, uint64_t owner, const char *from, size_t size, const struct writer *w, uint64_t *pos)
{
	struct topic *t = h->queue->topic;
	struct line_writer by = {.owner = owner, .thread = w->pid, .goes_on = w->goes_on};
	size_t max = topic_setting(t, SETTING_MAX_MESSAGE);
	uint64_t before;
	ssize_t taken;

	pthread_mutex_lock(&h->appending);
	taken = lines_unheard(&h->lines, &by, from, size);
	if (!taken)
		taken = w->lacks;
	if (!taken)
		taken = refused(h);
	if (taken) {
		pthread_mutex_unlock(&h->appending);
		return taken;
	}
	was_cut(h);                    /* which may take its position back */
	before = h->last_pos;
	h->uid = w->uid;
	h->pid = w->pid;
	if (topic_setting(t, SETTING_FRAMING) == FRAMING_WRITE)
		taken = append_message(h, &by, from, size, max, w);
	else
		taken = append_lines(h, &by, from, size, max, w);
	*pos = h->last_pos != before ? h->last_pos : 0;
	pthread_mutex_unlock(&h->appending);
	return taken;
}

/* An append goes to the end, whatever its offset. Without O_APPEND the offset tells whether it was meant to: it continues
 * the handle, or lies where there was nothing yet that the kernel knew of when it was opened. */
static bool meant_to_append(const struct handle *h, uint64_t at, int flags)
{
	return flags & O_APPEND || at == h->next || at >= h->end;
}

/* The end of the handle's last answered write moves when it is answered: one that failed may be tried again where it was. */
static void answer_write(fuse_req_t req, struct handle *h, off_t at, ssize_t taken)
{
	if (taken < 0) {
		fuse_reply_err(req, (int)-taken);
		return;
	}
	h->next = (uint64_t)at + (uint64_t)taken;
	h->cut = (size_t)taken >= h->cut_at;
	fuse_reply_write(req, (size_t)taken);
}

/*
 * Under h->appending: who has H has been told that what is up to POS may not be there. close waits no more for that, as it would only
 * take twice as long to say the same; but as long as it is not committed it says it again, for 0 would acknowledge it. That is so too where another
 * process closes the file than was told: one that has written behind it waits for its own, and one that has written nothing hears that what
 * the file has of others is not known to be there. fsync waits: it is how to ask again.
 */
static void told(struct handle *h, uint64_t pos, int err)
{
	if (pos >= h->told) {
		h->told = pos;
		h->told_err = err;
	}
}

/* It is not known whether the complete lines of a write will be there; what it left unfinished is not. */
static int write_failed(struct handle *h, uint64_t pos, int err)
{
	pthread_mutex_lock(&h->appending);
	lines_undo(&h->lines, pos, err);
	told(h, pos, err);
	pthread_mutex_unlock(&h->appending);
	return err;
}

/* The program has it from here on, and does not write it again. */
static void write_settled(struct handle *h, uint64_t pos)
{
	pthread_mutex_lock(&h->appending);
	lines_settle(&h->lines, pos);
	pthread_mutex_unlock(&h->appending);
}

/* Of what P asked for, up to POS: committed it is only if nothing has cut it off before P was parked, or another log has grown past POS. */
static bool cut_before(const struct parked *p, uint64_t pos)
{
	const struct handle *h = p->handle;

	return queue_cut_since(h->queue, p->cuts, pos);
}

static void write_woken(struct parked *p, int err)
{
	if (!err && cut_before(p, p->follower.pos))
		err = -ETIMEDOUT;
	if (err)
		err = write_failed(p->handle, p->follower.pos, err);
	else
		write_settled(p->handle, p->follower.pos);
	answer_write(p->req, p->handle, p->at, err ? err : (ssize_t)p->size);
	park_free(p);
}

static void write_committed(
	fuse_req_t req, struct handle *h, const char *from, size_t size, off_t at, uint64_t owner, struct writer *w)
{
	struct parked *p = park_new(req, write_woken);
	ssize_t taken;
	uint64_t pos = 0;

	if (p) {
		p->handle = h;
		p->cuts = h->queue->cuts;
	}
	w->lacks = p ? 0 : -ENOMEM;
	taken = append(h, owner, from, size, w, &pos);
	if (taken > 0 && pos) {
		p->size = (size_t)taken;
		p->at = at;
		int err = park_follow(p, pos, PARK_FIRM);
		if (!err)
			return;
		if (err > 0 && cut_before(p, pos))
			err = -ETIMEDOUT;
		if (err < 0)
			taken = write_failed(h, pos, err);
		else
			write_settled(h, pos);
	}
	park_free(p);
	answer_write(req, h, at, taken);
}

static void write_answer_logged(fuse_req_t req, struct handle *h, off_t at, ssize_t taken, uint64_t pos, int err)
{
	if (!err && pos)
		write_settled(h, pos);
	answer_write(req, h, at, err ? write_failed(h, pos, err) : taken);
}

static void write_logged_together(const struct unanswered *u, int err)
{
	write_answer_logged(u->req, u->handle, u->at, (ssize_t)u->size, u->pos, err);
}

/* It is in the log, whatever came of the wait; only where the log has failed it may not be. */
static void write_paused(struct parked *p, int err)
{
	write_answer_logged(p->req, p->handle, p->at, (ssize_t)p->size, p->pos, err == -EIO ? err : 0);
	park_free(p);
}

static bool outruns_disk(const struct handle *h, uint64_t pos)
{
	struct store *s = handle_mount(h)->store;

	return pos > store_committed(s) + store_backlog(s);
}

/* The answer to a write that is in the log up to POS waits while too much is not committed. False: it need not. */
static bool pause_writer(fuse_req_t req, struct handle *h, off_t at, ssize_t taken, uint64_t pos)
{
	struct parked *p = outruns_disk(h, pos) ? park_new(req, write_paused) : NULL;
	uint64_t most = store_backlog(handle_mount(h)->store);

	if (!p)
		return false;
	p->handle = h;
	p->size = (size_t)taken;
	p->at = at;
	p->pos = pos;
	if (park_follow(p, pos > most ? pos - most : 0, PARK_FIRM) == 0)
		return true;
	park_free(p);
	return false;
}

/* It survives kill -9 when it is answered, not before. */
static void write_logged(
	fuse_req_t req, struct handle *h, const char *from, size_t size, off_t at, uint64_t owner, struct writer *w)
{
	struct together *t = together_here();
	uint64_t pos = 0;
	ssize_t taken;
	int err = 0;

	w->later = t;
	taken = append(h, owner, from, size, w, &pos);
	if (t && taken > 0 && pos && !outruns_disk(h, pos)) {
		together_add(t, &(struct unanswered){write_logged_together, req, h, pos, at, (size_t)taken});
		return;
	}
	if (taken > 0 && pos) {
		err = t ? store_append_end(h->queue, pos) : store_wait_written(handle_mount(h)->store, pos);
		if (!err && pause_writer(req, h, at, taken, pos))
			return;
	}
	write_answer_logged(req, h, at, taken, pos, err);
}

static void queue_write(
	fuse_req_t req, struct node *n, const char *from, size_t size, off_t at, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct writer w = writer_of(req);

	w.goes_on = h->cut && (uint64_t)at == h->next;
	h->cut_at = fi->flags & O_APPEND ? APPEND_CUT_MIN : APPEND_SPLICE_MIN;
	if (!meant_to_append(h, (uint64_t)at, fi->flags))
		fuse_reply_err(req, EPERM);
	else if (topic_setting(n->topic, SETTING_COMMIT) == COMMIT_WRITE || fi->flags & O_DSYNC)
		write_committed(req, h, from, size, at, fi->lock_owner, &w);
	else
		write_logged(req, h, from, size, at, fi->lock_owner, &w);
}

static int end_lines(struct handle *h, const struct writer *w)
{
	struct line *line;
	int err = 0;

	while (!err && (line = lines_first(&h->lines)))
		err = end_line(h, line, w);
	return err;
}

static void answer_told(struct parked *p, int err)
{
	struct handle *h = p->handle;

	if (err) {
		pthread_mutex_lock(&h->appending);
		told(h, p->pos, err);
		pthread_mutex_unlock(&h->appending);
	}
	fuse_reply_err(p->req, -err);
	park_free(p);
}

/* More of the queue is committed, or its end is; whether that is what was there when it was asked is another thing. */
static void fsync_woken(struct parked *p, int err)
{
	struct handle *h = p->handle;
	bool cut;

	pthread_mutex_lock(&h->appending);
	cut = !err && cut_untold(h);
	pthread_mutex_unlock(&h->appending);
	if (!cut) {
		answer_told(p, err);
		return;
	}
	fuse_reply_err(p->req, EIO);
	park_free(p);
}

/* A signal has ended one close, not the time of the next. */
static void flush_woken(struct parked *p, int err)
{
	if (!err && cut_before(p, p->pos))
		err = -EIO;
	if (err != -EINTR) {
		answer_told(p, err);
		return;
	}
	fuse_reply_err(p->req, EINTR);
	park_free(p);
}

/* ERR of parking P: answers unless it is parked. What need not wait is answered as what has waited. */
static void answer_unparked(fuse_req_t req, struct parked *p, int err)
{
	if (err > 0) {
		p->woken(p, 0);
	} else if (err < 0) {
		park_free(p);
		fuse_reply_err(req, -err);
	}
}

/*
 * All of the queue, as of any file: what other handles appended, too. Unfinished lines are ended, as they would be lost with us;
 * but with partial=lost an unfinished line is no message yet, and to end it would cut in two what its writer goes on with.
 */
static void queue_fsync(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct writer w = writer_of(req);
	uint64_t pos, end, appended;
	struct parked *p;
	bool committed;
	int err = 0;

	pthread_mutex_lock(&h->appending);
	was_cut(h);
	/* A refusal would say that it is not there; but the line stays, and whole ones may be waiting for this answer. */
	if (topic_setting(n->topic, SETTING_PARTIAL) != PARTIAL_LOST && end_lines(h, &w))
		err = -EIO;
	pos = h->last_pos;
	end = h->last_end;
	appended = queue_appended(h->queue);
	committed = h->queue->committed >= appended;
	/* Behind these: a cut between them is one to be told. */
	if (!err && cut_untold(h))
		err = -EIO;
	pthread_mutex_unlock(&h->appending);
	if (err || committed) {
		fuse_reply_err(req, -err);
		return;
	}
	p = park_new(req, fsync_woken);
	/* Not ENOMEM, which says that nothing was appended. */
	if (!p) {
		fuse_reply_err(req, EIO);
		return;
	}
	p->handle = h;
	p->pos = pos;
	p->deadline = commit_clock() + (int64_t)handle_mount(h)->commit_timeout;
	/* The committer answers sooner than the deliverer. */
	if (end == appended)
		err = park_follow(p, pos, PARK_FIRM);
	else
		err = park_watch_queue(p, h->queue, appended - 1, PARK_FIRM);
	answer_unparked(req, p, err);
}

/* Whether write(2) has not answered for what is in the log: then a refusal of the last line would say of all of it that it is not there. */
static bool answers_more(const struct handle *h)
{
	return h->last_pos && topic_setting(h->queue->topic, SETTING_COMMIT) != COMMIT_WRITE;
}

/* For each close(2) of a dup and each process that exits: its own line, and the handle's last record. */
static void queue_flush(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct writer w = writer_of(req);
	struct parked *p;
	struct line *line;
	uint64_t before, pos;
	uint32_t cuts;
	bool cut;
	int err = 0, known;

	pthread_mutex_lock(&h->appending);
	cut = was_cut(h);
	cuts = h->cuts;
	before = h->last_pos;
	line = line_of(&h->lines, fi->lock_owner);
	if (line)
		err = end_line(h, line, &w);
	/* Its writer has heard that it is not there, and is gone; who comes next may be the same owner. */
	if (err)
		lose_line(h, line);
	if (err && (cut || answers_more(h)))
		err = -EIO;
	lines_leave(&h->lines, fi->lock_owner);
	pos = h->last_pos;
	known = pos <= h->told ? h->told_err : 0;
	pthread_mutex_unlock(&h->appending);
	if (!err && pos != before)
		err = store_wait_written(handle_mount(h)->store, pos);
	if (err || topic_setting(n->topic, SETTING_COMMIT) == COMMIT_FSYNC) {
		fuse_reply_err(req, -err);
		return;
	}
	if (cut || pos <= store_committed(handle_mount(h)->store)) {
		fuse_reply_err(req, cut || queue_cut_since(h->queue, cuts, pos) ? EIO : 0);
		return;
	}
	if (known) {
		fuse_reply_err(req, -known);
		return;
	}
	p = park_new(req, flush_woken);
	/* Not ENOMEM, which says that nothing was appended. */
	if (!p) {
		fuse_reply_err(req, EIO);
		return;
	}
	p->handle = h;
	p->pos = pos;
	p->cuts = cuts;
	answer_unparked(req, p, park_follow(p, pos, PARK_INTERRUPTIBLE));
}

/* What is unfinished now gets no newline any more, if the mount stops or the file is released. */
static void end_all(struct handle *h)
{
	struct writer w;
	struct line *line;

	pthread_mutex_lock(&h->appending);
	w = (struct writer){.uid = h->uid, .pid = h->pid};
	end_lines(h, &w);
	while ((line = lines_first(&h->lines)))
		lose_line(h, line);
	pthread_mutex_unlock(&h->appending);
}

static void stop_opened(struct opened *o)
{
	end_all((struct handle *)o);
}

/* Where a write at the end is made without O_APPEND, by RWF_APPEND of pwritev2(2), the kernel takes st_size for its offset, which it has since
 * it looked the queue up: others may have appended before this. */
static void queue_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	handle_open(req, n, fi, 0, n->size, stop_opened);
}

static void queue_release(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	(void)n;
	end_all(h);
	handle_free(h);
	fuse_reply_err(req, 0);
}

/* As a regular file: neither reading nor writing ever blocks for want of data or room. */
static void queue_poll(fuse_req_t req, struct node *n, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	(void)n;
	(void)fi;
	if (ph)
		fuse_pollhandle_destroy(ph);
	fuse_reply_poll(req, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

const struct file_ops queue_file = {
	.open = queue_open,
	.read = queue_read,
	.write = queue_write,
	.fsync = queue_fsync,
	.flush = queue_flush,
	.release = queue_release,
	.poll = queue_poll,
};
