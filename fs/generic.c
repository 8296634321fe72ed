/* SPDX-License-Identifier: Apache-2.0 */
#include "generic.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

/*
 * The flags are those that libfuse hands to the kernel. What else mount(8) knows of is for itself, systemd and the like; or no matter here: the
 * tree has no devices, no programs, no links and times of its own. nosuid, nodev and noexec hold always, so that what asks for less is no
 * more than the default that mount.fuse(8) adds. At a remount mount(8) gives back what /proc/self/mountinfo shows.
 */
static const struct row {
	const char *name;                /* with a * for anything behind it */
	unsigned long set, clear;
} table[] = {
	{"ro", MS_RDONLY, 0}, {"rw", 0, MS_RDONLY}, {"sync", MS_SYNCHRONOUS, 0}, {"async", 0, MS_SYNCHRONOUS}, {"dirsync", MS_DIRSYNC, 0},
	{"noatime", MS_NOATIME, 0}, {"atime", 0, MS_NOATIME}, {"defaults", 0, 0},
	/* for others */
	{"auto", 0, 0}, {"noauto", 0, 0}, {"nofail", 0, 0}, {"_netdev", 0, 0}, {"user", 0, 0}, {"user=*", 0, 0}, {"nouser", 0, 0}, {"users", 0, 0},
	{"nousers", 0, 0}, {"owner", 0, 0}, {"noowner", 0, 0}, {"group", 0, 0}, {"nogroup", 0, 0}, {"x-*", 0, 0}, {"X-*", 0, 0},
	{"comment=*", 0, 0}, {"uhelper=*", 0, 0}, {"helper=*", 0, 0}, {"silent", 0, 0}, {"loud", 0, 0},
	/* no matter */
	{"suid", 0, 0}, {"nosuid", 0, 0}, {"dev", 0, 0}, {"nodev", 0, 0}, {"exec", 0, 0}, {"noexec", 0, 0}, {"default_permissions", 0, 0},
	{"diratime", 0, 0}, {"nodiratime", 0, 0}, {"relatime", 0, 0}, {"norelatime", 0, 0}, {"strictatime", 0, 0}, {"nostrictatime", 0, 0},
	{"lazytime", 0, 0}, {"nolazytime", 0, 0}, {"symfollow", 0, 0}, {"nosymfollow", 0, 0}, {"mand", 0, 0}, {"nomand", 0, 0},
	{"iversion", 0, 0}, {"noiversion", 0, 0},
	/* mountinfo's */
	{"user_id=*", 0, 0}, {"group_id=*", 0, 0}, {"max_read=*", 0, 0}, {"blksize=*", 0, 0},
};

static const char *const contexts[] = {"context=", "fscontext=", "defcontext=", "rootcontext="};

static bool matches(const char *text, const char *name)
{
	size_t len = strlen(name);

	return name[len - 1] == '*' ? strncmp(text, name, len - 1) == 0 : strcmp(text, name) == 0;
}

static int append(char **list, const char *text)
{
	char *longer;

	if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list && **list ? "," : "", text) < 0)
		return -ENOMEM;
	free(*list);
	*list = longer;
	return 0;
}

int generic_take(struct generic *g, const char *text)
{
	for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++)
		if (strncmp(text, contexts[i], strlen(contexts[i])) == 0)
			return append(&g->context, text);
	if (strcmp(text, "remount") == 0) {
		g->remount = true;
		return 0;
	}
	for (const struct row *r = table; r < table + sizeof table / sizeof *table; r++)
		if (matches(text, r->name)) {
			g->flags = (g->flags & ~r->clear) | r->set;
			return 0;
		}
	return -ENOENT;
}

char *generic_names(const struct generic *g)
{
	char *list = strdup("");
	int err = list ? 0 : -ENOMEM;

	for (const struct row *r = table; !err && r < table + sizeof table / sizeof *table; r++)
		if (r->set & g->flags)
			err = append(&list, r->name);
	if (!err && g->context)
		err = append(&list, g->context);
	if (!err)
		return list;
	free(list);
	return NULL;
}

void generic_free(struct generic *g)
{
	free(g->context);
	g->context = NULL;
}
