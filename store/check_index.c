/* SPDX-License-Identifier: Apache-2.0 */
/* The index's part of a check: each sum in it, and each entry against what the segment itself holds. */
#include "check_part.h"
#include "index.h"
#include "segment.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* 0: the index has exactly the entries of Q. -EBADMSG: others. */
static int compare_queue(struct index *index, const struct run_queue *q)
{
	struct run_batch *batch = malloc(sizeof *batch);
	struct index_queue has;
	int err = batch ? index_find(index, q->queue, &has) : -ENOMEM;

	if (!err && (has.first != q->first || has.end != q->end || has.messages != q->messages))
		err = -EBADMSG;
	for (size_t i = 0; i < q->count && !err; i += batch->count) {
		err = index_from_offset(index, q->queue, q->runs[i].offset, batch);
		if (!err && (!batch->count || batch->count > q->count - i))
			err = -EBADMSG;
		for (size_t k = 0; k < batch->count && !err; k++)
			if (batch->run[k].offset != q->runs[i + k].offset || batch->run[k].pos != q->runs[i + k].pos)
				err = -EBADMSG;
	}
	free(batch);
	return err == -ENOENT ? -EBADMSG : err;
}

static int compare(struct index *index, struct runs *runs)
{
	struct run_queue **queues;
	size_t count;
	int err = runs_sorted(runs, &queues, &count);

	if (err)
		return err;
	if (count != index_queues(index))
		err = -EBADMSG;
	for (size_t i = 0; i < count && !err; i++)
		err = compare_queue(index, queues[i]);
	free(queues);
	return err;
}

int check_index(struct check *c, struct log_file *f, uint64_t end, int64_t last_time, struct runs *runs)
{
	struct index *index;
	int differs = 0;
	int err = index_open(c->disk, c->id.secret, f->base, &index);

	if (err == -ENOMEM)
		return err;
	if (!err) {
		err = index_check(index);
		if (!err && runs)
			differs = compare(index, runs);
		if (!differs)
			check_durable(c, index_end(index));
		if (!differs && runs && (index_end(index) != end || index_last_time(index) != last_time))
			differs = -EBADMSG;
		index_close(index);
	}
	if (differs == -EBADMSG)
		check_index_fault(c, f, true, "does not say what is in its segment");
	else if (differs)
		return differs;
	if (err == -ENOMEM)
		return err;
	c->totals->indexes++;
	if (err)
		check_index_fault(c, f, true, err == -EBADMSG ? "damaged; mqfs makes it again from its segment" : "cannot be read");
	return 0;
}
