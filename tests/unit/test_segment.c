/* SPDX-License-Identifier: Apache-2.0 */
/* The log's files, more of them than a process may map; and one that is sealed while the log is cut at its end. */
#include "index.h"
#include "retain_rig.h"
#include <fcntl.h>

TestSuite(segment, .init = rig_begin, .fini = rig_end);

static const struct disk_ops *disk_ops;
static int mapped;

static int map_few(struct disk *d, int fd, size_t len, const void **at)
{
	int err = mapped == 4 ? -ENOMEM : disk_ops->map(d, fd, len, at);

	mapped += !err;
	return err;
}

static int unmap_few(struct disk *d, const void *at, size_t len)
{
	mapped -= at != NULL;
	return disk_ops->unmap(d, at, len);
}

Test(segment, more_segments_are_read_than_may_be_mapped)
{
	struct topic *t = make("orders", 1);
	static struct disk_ops ops;
	uint64_t at = 0;
	struct reader *r;
	struct slice slice;
	ssize_t n;

	append(t, 1000);
	cr_assert_eq(seal_committed(s), 0);
	segments_trim(s->segments, 0);
	mapped = 0;
	disk_ops = s->disk->ops;
	ops = *disk_ops;
	ops.map = map_few;
	ops.unmap = unmap_few;
	s->disk->ops = &ops;
	cr_assert_eq(reader_new(&r, s, topic_queue(t, 0)), 0);
	slice_init(&slice);
	for (; (n = reader_read(r, at, 100000, &slice)) > 0; at += (uint64_t)n)
		slice_free(&slice);
	cr_assert_eq(n, 0, "%s", strerror((int)-n));
	cr_assert_eq(at, 1000 * BODY);
	reader_free(r);
	segments_trim(s->segments, 0);
	s->disk->ops = disk_ops;
	topic_put(t);
}

static bool cut;

static int open_and_cut(struct disk *d, const char *path, int flags, mode_t mode)
{
	if (!cut && strstr(path, ".index") && (flags & O_CREAT)) {
		cr_assert(segments_take_last(s->segments));
		cut = true;
	}
	return disk_ops->open(d, path, flags, mode);
}

/* What is taken here has no file any more for the log to close; the rig's end frees the rest. */
Test(segment, one_that_is_sealed_while_what_is_behind_it_is_cut_ends_where_it_was_committed)
{
	struct topic *t = make("orders", 1);
	static struct disk_ops ops;
	struct segment *first;
	struct index *index;
	uint64_t end;

	append(t, 60);
	cr_assert_eq(segments_count(s->segments), 2);
	first = segments_first(s->segments);
	end = first->end;
	disk_ops = s->disk->ops;
	ops = *disk_ops;
	ops.open = open_and_cut;
	s->disk->ops = &ops;
	cr_assert_eq(seal_committed(s), 0);
	s->disk->ops = disk_ops;
	cr_assert(cut);
	cr_assert_eq(index_open(s->disk, s->id.secret, first->head.base, &index), 0);
	cr_assert_eq(index_end(index), end);
	cr_assert_eq(first->end, end);
	index_close(index);
	segment_put(first);
	topic_put(t);
}
