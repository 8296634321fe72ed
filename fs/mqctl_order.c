/* SPDX-License-Identifier: Apache-2.0 */
/* Orders for a node: each is a line for .mqfs/order, whose write returns when it is carried out. */
#include "mqctl.h"
#include "keys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE 512

static int write_order(int fd, const char *line)
{
	int err = write(fd, line, strlen(line)) < 0 ? -errno : 0;

	close(fd);
	return err;
}

/* Whether the last order is the one that was written, and is over. */
static bool is_last(int err)
{
	return err != -EBUSY && err != -EINTR && err != -ENOMEM;
}

/* What came of the last order, in TO, without its first word: that is LINE's, unless another order came between. */
static bool read_outcome(const char *path, const char *line, char to[LINE])
{
	FILE *f = fopen(path, "re");
	size_t word = strcspn(line, " ");
	bool is = false;

	if (f && fgets(to, LINE, f)) {
		to[strcspn(to, "\n")] = 0;
		is = strncmp(to, line, word) == 0 && strncmp(to + word, ": ", 2) == 0;
	}
	if (f)
		fclose(f);
	if (is)
		memmove(to, to + word + 2, strlen(to + word + 2) + 1);
	return is;
}

static int unopened(const struct call *c, const char *mountpoint, int err)
{
	if (err == EACCES)
		return call_fail(c, "%s: only root and who runs this mount may give orders", mountpoint);
	return call_fail(c, "%s: %s", mountpoint, err == ENOTCONN ? "the mqfs that served it has gone" : strerror(err));
}

static int refused(const struct call *c, const char *mountpoint, int err, const char *outcome)
{
	if (!*outcome)
		outcome = err == -EBUSY ? "another order is under way" : err == -ENOTCONN ? "the node has stopped" :
			err == -EINTR ? "interrupted; the order may go on, and .mqfs/order says what comes of it" : strerror(-err);
	call_fail(c, "%s: %s", mountpoint, outcome);
	return EXIT_WRONG;
}

static int order(const struct call *c, const char *line)
{
	char mountpoint[PATH_MAX], path[PATH_MAX + 32], outcome[LINE], why[WHY];
	int fd, err;

	if (find_mount(c, mountpoint, why))
		return call_fail(c, "%s", why);
	snprintf(path, sizeof path, "%s/.mqfs/order", mountpoint);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return unopened(c, mountpoint, errno);
	err = write_order(fd, line);
	if (!is_last(err) || !read_outcome(path, line, outcome))
		outcome[0] = 0;
	if (err)
		return refused(c, mountpoint, err, outcome);
	printf("%s: %s\n", mountpoint, *outcome ? outcome : "done");
	return EXIT_FINE;
}

/* LINE becomes VERB with what the options say. */
static int compose(const struct call *c, const char *verb, char line[LINE])
{
	const char *stopped = call_option(c, "stopped");

	if (stopped && !keys_name_valid(stopped))
		return call_fail(c, "--stopped: \"%.80s\" is no node's name", stopped);
	snprintf(line, LINE, "%s%s%s%s", verb, stopped ? " stopped=" : "", stopped ? stopped : "", call_option(c, "accept-loss") ? " accept-loss" : "");
	return 0;
}

int verb_promote(const struct call *c)
{
	char line[LINE];
	int status = compose(c, "promote", line);

	return status ? status : order(c, line);
}

int verb_alone(const struct call *c)
{
	char line[LINE];
	int status;

	if (!call_option(c, "stopped"))
		return call_fail(c, "without which node? --stopped=NAME is your word that it is down");
	status = compose(c, "alone", line);
	return status ? status : order(c, line);
}

int verb_switchover(const struct call *c)
{
	return order(c, "switchover");
}

int verb_min_standbys(const struct call *c)
{
	char line[LINE];

	if (strcmp(c->operand[0], "0") != 0 && strcmp(c->operand[0], "1") != 0)
		return call_fail(c, "\"%.80s\" is neither 0 nor 1", c->operand[0]);
	snprintf(line, sizeof line, "min_standbys %s", c->operand[0]);
	return order(c, line);
}
