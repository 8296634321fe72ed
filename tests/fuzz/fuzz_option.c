/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command line, and the configuration file that it names or not: what is refused is refused with one line that says why, and what is
 * taken lies within the limits of its row.
 */
#include "conffile.h"
#include "fuzz.h"
#include "option.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS 8

static struct input file;                /* what the configuration file has, whatever its name is */

int __wrap_conffile_take(struct choices *c, const char *path, const char *store, char why[STORE_WHY]);

int __wrap_conffile_take(struct choices *c, const char *path, const char *store, char why[STORE_WHY])
{
	snprintf(why, STORE_WHY, "there is none");
	return file.len ? conffile_parse(c, (const char *)file.at, file.len, path, store, why) : -ENOENT;
}

static bool within(int id, uint64_t value)
{
	const struct setting *row = option_row(id);

	return (row->none && value == SETTING_NONE) || (value >= row->least && value <= row->most);
}

static void taken(const struct options *o)
{
	const struct store_options *s = &o->store_options;

	must(o->store && *o->store && o->mountpoint && *o->mountpoint);
	must(!(o->private && o->allow_other));
	for (int id = 0; id < SETTINGS; id++)
		must(within(id, s->settings.value[id]));
	must(within(OPTION_COMMIT_TIMEOUT, s->commit_timeout) && within(OPTION_SEGMENT_SIZE, s->segment_size));
	must(within(OPTION_CHECKPOINT_EVERY, s->checkpoint_every) && within(OPTION_RETENTION_FREE, s->retention_free));
	must(within(OPTION_SYNC_DELAY, s->sync_delay) && within(OPTION_WORKERS, o->workers));
	must(within(OPTION_HOLD, s->hold_bytes) && o->node.min_standbys >= MIN_STANDBYS_KEEP && o->node.min_standbys <= 1);
	must(!(o->node.listen || o->node.others) || (o->node.cert && o->node.key && o->node.ca));
	must((!o->node.joins && !o->node.mirror) || o->node.others);
	must(o->node.min_standbys < 1 || o->node.listen);
	must(!o->node.listen || (*o->node.listen && !strchr(o->node.listen, '+')));
}

static void one_line(const char *why)
{
	must(*why && strlen(why) < STORE_WHY);
	for (; *why; why++)
		must((unsigned char)*why >= ' ' && *why != 127);
}

static void command_line(struct input *in)
{
	char text[ARGUMENTS][128], *argv[ARGUMENTS + 1], why[STORE_WHY];
	int argc = 1, count = take_byte(in) % (ARGUMENTS - 1);
	struct options o;
	int err;

	strcpy(text[0], take_byte(in) % 2 ? "mqfs" : "mount.fuse.mqfs");
	for (; argc <= count; argc++)
		take_text(in, 0, text[argc], sizeof text[argc]);
	for (int i = 0; i < argc; i++)
		argv[i] = text[i];
	argv[argc] = NULL;
	file = *in;
	err = options_parse(&o, argc, argv, why);
	if (err) {
		must(err == -EINVAL || err == -ERANGE || err == -ENOENT);
		must(!o.store && !o.mountpoint && !o.generic.context && !o.node.listen && !o.node.others && !o.node.cert && !o.node.key && !o.node.ca);
		one_line(why);
		return;
	}
	if (!o.help && !o.version)
		taken(&o);
	options_free(&o);
}

static void configuration(struct input *in)
{
	char *bytes = malloc(in->len + 1), why[STORE_WHY] = "";
	struct choices c;
	int err;

	memcpy(bytes, in->at, in->len);
	choices_normal(&c);
	err = conffile_parse(&c, bytes, in->len, "/etc/mqfs.conf", "/srv/mq", why);
	must(!c.of[OPTION_CONFIG].text);
	if (err)
		one_line(why);
	for (int id = 0; id < OPTIONS; id++)
		must(option_is_text(id) || within(id, c.of[id].value));
	choices_free(&c);
	free(bytes);
}

int fuzz(const uint8_t *bytes, size_t len)
{
	struct input in = {bytes, len};

	take_byte(&in) % 2 ? configuration(&in) : command_line(&in);
	return 0;
}
