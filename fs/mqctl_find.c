/* SPDX-License-Identifier: Apache-2.0 */
/* Which mqfs mount is meant: /proc/self/mountinfo tells which there are. */
#include "mounts.h"
#include "mqctl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Spaces, tabs, newlines and backslashes stand in mountinfo as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned c = 0;
		if (*text == '\\' && sscanf(text + 1, "%3o", &c) == 1 && strspn(text + 1, "01234567") >= 3) {
			*to++ = (char)c;
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = 0;
}

/* A bind mount of a part of the tree has another ROOT than "/", and the same DEVICE as the mount that the part is of. */
struct place {
	const char *device, *root, *mountpoint;
};

/* Cuts off what is before the next blank. */
static char *field(char **at)
{
	char *begin = *at;

	begin[strcspn(begin, " ")] = 0;
	*at = begin + strlen(begin) + 1;
	unescape(begin);
	return begin;
}

/* Of a line of mountinfo, see proc(5): what it says of an mqfs. Changes LINE. */
static bool place_in(char *line, struct place *p)
{
	char *type = strstr(line, " - "), *at = line;
	int fields = 0;

	if (!type || strncmp(type + 3, MOUNTS_TYPE " ", sizeof MOUNTS_TYPE))
		return false;
	for (char *c = line; c < type; c++)
		fields += *c == ' ';
	if (fields < 5)
		return false;
	field(&at);
	field(&at);
	p->device = field(&at);
	p->root = field(&at);
	p->mountpoint = field(&at);
	return true;
}

/* EACH for every mqfs mount until it returns other than 0. */
static int each_mount(int (*each)(void *ctx, const struct place *p), void *ctx)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct place p;
	char *line = NULL;
	size_t max = 0;
	int result = 0;

	if (!f)
		return -errno;
	while (!result && getline(&line, &max, f) > 0)
		if (place_in(line, &p))
			result = each(ctx, &p);
	free(line);
	fclose(f);
	return result;
}

/* PATH with its links resolved, as far as it exists: a mount whose daemon died cannot be looked into. */
static int resolve(const char *path, char to[PATH_MAX])
{
	char *real = realpath(path, NULL);

	if (!real && errno == ENOTCONN && path[0] == '/') {
		snprintf(to, PATH_MAX, "%s", path);
		return 0;
	}
	if (!real)
		return -errno;
	snprintf(to, PATH_MAX, "%s", real);
	free(real);
	return 0;
}

struct holder {
	const char *path;
	size_t len;
	char device[32];
	char root[PATH_MAX], mountpoint[PATH_MAX];
};

/* The longest mountpoint that PATH lies below holds it. */
static int holds(void *ctx, const struct place *p)
{
	struct holder *h = ctx;
	size_t len = strlen(p->mountpoint);

	if (strncmp(h->path, p->mountpoint, len) == 0 && (h->path[len] == 0 || h->path[len] == '/') && len >= h->len) {
		snprintf(h->device, sizeof h->device, "%s", p->device);
		snprintf(h->root, sizeof h->root, "%s", p->root);
		snprintf(h->mountpoint, sizeof h->mountpoint, "%s", p->mountpoint);
		h->len = len;
	}
	return 0;
}

/* The mount that a bind mount shows a part of. */
static int is_whole(void *ctx, const struct place *p)
{
	struct holder *h = ctx;

	if (strcmp(p->root, "/") != 0 || strcmp(p->device, h->device) != 0)
		return 0;
	snprintf(h->mountpoint, sizeof h->mountpoint, "%s", p->mountpoint);
	return 1;
}

int find_mount_of(const char *path, char mountpoint[PATH_MAX], char rest[PATH_MAX], char why[WHY])
{
	char real[PATH_MAX];
	struct holder h = {.path = real};
	const char *below;
	int err = resolve(path, real);

	if (!err)
		err = each_mount(holds, &h);
	if (err) {
		snprintf(why, WHY, "%s: %s", path, strerror(-err));
		return err;
	}
	if (!h.len) {
		snprintf(why, WHY, "%s lies in no mqfs mount", path);
		return -ENOENT;
	}
	below = real + h.len + (real[h.len] == '/');
	if (strcmp(h.root, "/") != 0 && each_mount(is_whole, &h) != 1) {
		snprintf(why, WHY, "%s is %s of an mqfs that is mounted nowhere here", path, h.root);
		return -ENOENT;
	}
	snprintf(mountpoint, PATH_MAX, "%s", h.mountpoint);
	if (snprintf(rest, PATH_MAX, "%s%s%s", h.root + 1, h.root[1] && *below ? "/" : "", below) >= PATH_MAX) {
		snprintf(why, WHY, "%s: %s", path, strerror(ENAMETOOLONG));
		return -ENAMETOOLONG;
	}
	return 0;
}

struct found {
	char *mountpoint;
	char device[32];             /* of the last one */
	int count;
	char list[1024];
};

/* What shows the same mqfs once more, or a part of it, is no other mount. */
static int note_mount(void *ctx, const struct place *p)
{
	struct found *f = ctx;
	size_t len = strlen(f->list);

	if (strcmp(p->root, "/") != 0 || (f->count && (strcmp(p->mountpoint, f->mountpoint) == 0 || strcmp(p->device, f->device) == 0)))
		return 0;
	snprintf(f->mountpoint, PATH_MAX, "%s", p->mountpoint);
	snprintf(f->device, sizeof f->device, "%s", p->device);
	snprintf(f->list + len, sizeof f->list - len, " %s", p->mountpoint);
	f->count++;
	return 0;
}

int find_mount(const struct call *c, char mountpoint[PATH_MAX], char why[WHY])
{
	struct found f = {.mountpoint = mountpoint};
	char rest[PATH_MAX];
	int err;

	if (c->mount)
		return find_mount_of(c->mount, mountpoint, rest, why);
	err = each_mount(note_mount, &f);
	if (err) {
		snprintf(why, WHY, "/proc/self/mountinfo: %s", strerror(-err));
		return err;
	}
	if (f.count == 1)
		return 0;
	if (f.count)
		snprintf(why, WHY, "there are %d mqfs mounts, say which one with -m MNT:%s", f.count, f.list);
	else
		snprintf(why, WHY, "there is no mqfs mount here; mqfs STORE MOUNTPOINT makes one");
	return f.count ? -EEXIST : -ENOENT;
}

json_t *find_status(const char *mountpoint, char why[WHY])
{
	char path[PATH_MAX + 32];
	json_error_t error;
	json_t *status;
	FILE *f;

	snprintf(path, sizeof path, "%s/.mqfs/status.json", mountpoint);
	f = fopen(path, "re");
	if (!f) {
		snprintf(why, WHY, errno == ENOTCONN ? "the mqfs that served %s has gone; mount it again" : "%s: %s",
			errno == ENOTCONN ? mountpoint : path, strerror(errno));
		return NULL;
	}
	status = json_loadf(f, 0, &error);
	fclose(f);
	if (!status)
		snprintf(why, WHY, "%s: %s", path, error.text);
	return status;
}

bool find_served(const char *store)
{
	char path[PATH_MAX];

	return resolve(store, path) == 0 && mounts_serve(path);
}

static bool has_file(const char *path, const char *name)
{
	char file[PATH_MAX + 16];

	snprintf(file, sizeof file, "%s/%s", path, name);
	return access(file, F_OK) == 0;
}

/* Also one that is in the making: who opens it says so. */
bool find_is_store(const char *path)
{
	return has_file(path, "id") || has_file(path, "joining");
}

bool find_lost(const char *path, char store[PATH_MAX], char file[PATH_MAX])
{
	char *slash;

	snprintf(store, PATH_MAX, "%s", path);
	slash = strrchr(store, '/');
	if (!slash)
		return false;
	snprintf(file, PATH_MAX, "%s", slash + 1);
	*slash = 0;
	slash = strrchr(store, '/');
	if (slash ? strcmp(slash + 1, "lost") : strcmp(store, "lost"))
		return false;
	snprintf(slash ? slash : store, slash ? 1 : 2, slash ? "" : ".");
	return find_is_store(store);
}

int find_store_of(const char *mountpoint, char store[PATH_MAX], uint64_t *committed, char why[WHY])
{
	json_t *status = find_status(mountpoint, why);
	json_int_t pos;
	const char *path;
	int err = 0;

	if (!status)
		return -EIO;
	if (json_unpack(status, "{s:s, s:{s:I}}", "store", &path, "log", "committed", &pos)) {
		snprintf(why, WHY, "%s/.mqfs/status.json does not say where the store is", mountpoint);
		err = -EINVAL;
	} else {
		snprintf(store, PATH_MAX, "%s", path);
		*committed = (uint64_t)pos;
	}
	json_decref(status);
	return err;
}
