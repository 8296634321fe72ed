/* SPDX-License-Identifier: Apache-2.0 */
#include "committed.h"
#include "fault_work.h"
#include "powercut.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads from OFFSET; what cannot be read is what fails. */
static size_t read_all(struct queue *q, uint64_t offset, char *to, size_t max, const char *when)
{
	struct reader *r;
	struct slice s;
	size_t got = 0;
	ssize_t n;

	slice_init(&s);
	cr_assert_eq(reader_new(&r, store, q), 0);
	while ((n = reader_read(r, offset + got, max - got, &s)) > 0) {
		slice_copy(&s, to + got);
		got += (size_t)n;
		slice_free(&s);
	}
	cr_assert_eq(n, 0, "%s: reading: %zd (%s)", when, n, work_said);
	slice_free(&s);
	reader_free(r);
	return got;
}

static void check_messages(int topic, const char *got, size_t bytes, bool trimmed, const char *when)
{
	static char text[WORK_LONGEST];
	int last = -1, first = -1;

	for (size_t at = 0; at < bytes; at += work_length[topic]) {
		int n = atoi(got + at + 5);
		cr_assert(n >= 0 && n < did.tried[topic] && n > last, "%s: %s: message %d behind %d of %d", when, work_names[topic], n, last, did.tried[topic]);
		work_message(topic, n, text);
		cr_assert_arr_eq(got + at, text, work_length[topic], "%s: wrong bytes in message %d of %s", when, n, work_names[topic]);
		for (int between = (first < 0 ? n : last + 1); between < n; between++)
			cr_assert_not(did.acked[topic][between], "%s: message %d of %s is not there", when, between, work_names[topic]);
		first = first < 0 ? n : first;
		last = n;
	}
	for (int n = 0; !trimmed && n < first; n++)
		cr_assert_not(did.acked[topic][n], "%s: message %d of %s is not there", when, n, work_names[topic]);
	for (int n = last + 1; !(trimmed && last < 0) && n < did.tried[topic]; n++)
		cr_assert_not(did.acked[topic][n], "%s: message %d of %s, behind the last one, is not there", when, n, work_names[topic]);
}

static void check_topic(int topic, const char *when)
{
	static char got[MESSAGES * WORK_LONGEST + 1];
	struct topic *t = topic_find(store, work_names[topic]);
	struct queue *q;
	size_t bytes;

	cr_assert(t || !did.made[topic], "%s: topic %s is gone", when, work_names[topic]);
	if (!t)
		return;
	q = topic_queue(t, 0);
	if (topic == TRIM && did.limited)
		cr_assert_eq(topic_setting(t, SETTING_RETENTION_SIZE), 100 << 10, "%s: a setting is gone", when);
	bytes = read_all(q, q->head, got, sizeof got - 1, when);
	cr_assert_eq(bytes, q->committed - q->head, "%s", when);
	cr_assert_eq(bytes % work_length[topic], 0, "%s", when);
	got[bytes] = 0;
	check_messages(topic, got, bytes, topic == TRIM && q->head, when);
	topic_put(t);
}

void work_check_topics(const char *when)
{
	for (int n = 0; n < TOPICS; n++)
		check_topic(n, when);
}

static void check_other(const char *when)
{
	struct topic *t = topic_find(store, "other");

	cr_assert(t || !did.other_made || did.other_removing, "%s: a topic is gone", when);
	cr_assert(!t || !did.other_removed, "%s: a removed topic is there", when);
	topic_put(t);
	if (did.large) {
		t = topic_find(store, "large");
		cr_assert(t && queue_retained(topic_queue(t, 0)) == LARGE, "%s: the large message is gone", when);
		topic_put(t);
	}
	if (did.many) {
		t = topic_find(store, "many");
		for (uint32_t n = 0; n < MANY; n++)
			cr_assert(t && queue_retained(topic_queue(t, n)) == MANY_EACH * MANY_BYTES, "%s: a message of many is gone", when);
		topic_put(t);
	}
}

void work_check_failed(void)
{
	static struct store_status status;
	uint64_t end;

	store_status(store, &status);
	cr_assert_eq(status.health, STORE_FAILED);
	cr_assert_neq(status.why[0], 0);
	for (int topic = 0; topic < TOPICS; topic++)
		if (did.made[topic])
			cr_assert_eq(work_append(topic, 1, &end), -EIO);
	if (!work_once)
		return;
	cr_assert_eq(WORK_DO(store_mkdir(store, c, "new", &(struct owner){0, 0, 0755})), -EIO);
	cr_assert_eq(wait_committed(store, store->applied + 1), -EIO);
	work_check_topics("the log has failed");
}

/* CUT gets what a power cut leaves behind a check. */
static void check(const char *path, const char *cut, const char *when)
{
	struct done before = did;
	int err;

	work_said[0] = 0;
	err = work_open(path);
	cr_assert_eq(err, 0, "%s: it does not open: %s", when, work_said);
	did = before;
	cr_assert(!store->read_only && store->damaged <= did.rotten, "%s: %s", when, work_said);
	work_check_topics(when);
	check_other(when);
	err = WORK_DO(store_mkdir(store, c, "again", &(struct owner){0, 0, 0755}));
	cr_assert_eq(err, did.again ? -EEXIST : 0, "%s: it does not go on", when);
	did.again = true;
	if (cut)
		powercut_copy(cut, CUT_LEAST);
	work_close();
}

void work_check_left(const char *left, const char *when)
{
	bool sound = work_sound;

	work_sound = true;
	check(left, NULL, when);
	work_sound = sound;
	scratch_remove(left);
}

void work_check_end(const char *when)
{
	scratch.fail_any = 0;
	scratch.stays = false;
	cr_assert_not(did.late, "%s: somebody waited in vain", when);
	cr_assert_eq(scratch.opened, 0, "%s: %d descriptors were left open", when, scratch.opened);
	cr_assert_eq(scratch.retried, 0, "%s: a failed sync was tried again", when);
}

void work_check_start(const char *when)
{
	work_check_end(when);
	check(scratch_path, NULL, when);
}

void work_check(const char *when)
{
	char left[80], after[200];

	work_check_end(when);
	snprintf(left, sizeof left, "%s-left", scratch_path);
	if (did.opened) {
		powercut_copy(left, CUT_LEAST);
		snprintf(after, sizeof after, "%s, then a power cut", when);
		work_check_left(left, after);
		did.again = false;
	}
	check(scratch_path, left, when);
	snprintf(after, sizeof after, "%s, then a start, then a power cut", when);
	work_check_left(left, after);
}
