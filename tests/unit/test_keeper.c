/* SPDX-License-Identifier: Apache-2.0 */
/* When the keeper looks, and when it sleeps. */
#include "retain_rig.h"

TestSuite(keeper, .init = rig_begin, .fini = rig_end);

static const struct disk_ops *disk_ops;
static struct topic *late;             /* gets two messages while the keeper looks for the last time */

static int unmap_late(struct disk *d, const void *at, size_t len)
{
	if (late) {
		append(late, 2);
		late = NULL;
	}
	return disk_ops->unmap(d, at, len);
}

static bool one_goes(struct queue *q)
{
	const struct timespec look = {.tv_nsec = 10000000};

	for (int n = 0; n < 1000 && !q->head; n++)
		nanosleep(&look, NULL);
	return q->head == BODY;
}

/* It sleeps without an end where nothing comes of age. What it does last is to unmap what nobody reads any more. */
Test(keeper, what_is_committed_while_the_keeper_falls_asleep_is_seen)
{
	struct topic *kept = make("kept", 1), *t = make("orders", 1);
	static struct disk_ops ops;

	set(t, SETTING_RETENTION_SIZE, "4000");
	append(kept, 100);
	head_is_readable(s, topic_queue(kept, 0));
	late = t;
	disk_ops = s->disk->ops;
	ops = *disk_ops;
	ops.unmap = unmap_late;
	s->disk->ops = &ops;
	keeper_free(s->keeper);
	cr_assert_eq(keeper_start(&s->keeper, s, 0), 0);
	cr_assert(one_goes(topic_queue(t, 0)));
	keeper_stop(s->keeper);
	s->disk->ops = disk_ops;
	topic_put(kept);
	topic_put(t);
}

Test(keeper, what_keeps_the_segments_is_known_without_being_asked)
{
	const struct timespec look = {.tv_nsec = 10000000};
	struct topic *t = make("orders", 1);

	append(t, 100);
	cr_assert_eq(retain_pinned(s), 0);
	keeper_free(s->keeper);
	cr_assert_eq(keeper_start(&s->keeper, s, 0), 0);
	for (int n = 0; n < 1000 && !retain_pinned(s); n++)
		nanosleep(&look, NULL);
	keeper_stop(s->keeper);
	cr_assert_gt(retain_pinned(s), 0);
	topic_put(t);
}
