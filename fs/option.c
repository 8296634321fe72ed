/* SPDX-License-Identifier: Apache-2.0 */
#include "option.h"
#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define MiB (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000000)
#define FREE_SHARE 20
#define LIKE 3                           /* edits between an unknown name and one that is suggested, at most */

/* What is the mount's alone, behind the settings that topics can have too. */
static const struct setting own_table[OPTIONS - SETTINGS] = {
	[OPTION_COMMIT_TIMEOUT - SETTINGS] = {.name = "commit_timeout", .values = "DURATION", .normal = "5s", .kind = SETTING_DURATION,
		.help = "the longest that anything waits for a commit; then it fails with ETIMEDOUT", .least = SECOND / 100, .most = 3600 * SECOND},
	[OPTION_SEGMENT_SIZE - SETTINGS] = {.name = "segment_size", .values = "BYTES", .normal = "64M", .kind = SETTING_BYTES,
		.help = "how large a file of the log gets", .least = MiB, .most = 1024 * MiB},
	[OPTION_CHECKPOINT_EVERY - SETTINGS] = {.name = "checkpoint_every", .values = "BYTES", .normal = "256M", .kind = SETTING_BYTES,
		.help = "log between two checkpoints: the most that a start has to replay", .least = MiB, .most = 1024 * 1024 * MiB},
	[OPTION_RETENTION_FREE - SETTINGS] = {.name = "retention.free", .values = "BYTES", .normal = "256M", .kind = SETTING_BYTES,
		.help = "room to keep free on the disk by removing what retention allows; by default no more than a twentieth of it", .most = INT64_MAX},
	[OPTION_CACHE - SETTINGS] = {.name = "cache", .values = "BYTES", .normal = "1G", .kind = SETTING_BYTES,
		.help = "how much of the newest log stays in the page cache; 0: what the system keeps", .most = INT64_MAX},
	[OPTION_SCRUB_RATE - SETTINGS] = {.name = "scrub_rate", .values = "BYTES", .normal = "8M", .kind = SETTING_BYTES,
		.help = "how much of the store is verified a second in the background, a quarter of it while messages come in; 0: nothing", .most = 1024 * MiB},
	[OPTION_WORKERS - SETTINGS] = {.name = "workers", .values = "COUNT", .normal = "4", .kind = SETTING_BYTES,
		.help = "threads that serve requests", .least = 1, .most = 64},
	[OPTION_CREATE - SETTINGS] = {.name = "create", .values = "no|yes", .normal = "yes", .kind = SETTING_WORD,
		.help = "whether a missing or empty STORE becomes a store; no: it is refused", .most = 1},
	[OPTION_PRIVATE - SETTINGS] = {.name = "private", .values = "no|yes", .normal = "no", .kind = SETTING_WORD,
		.help = "nobody but who mounts it gets in, whatever the permissions say", .most = 1},
	[OPTION_SYNC_DELAY - SETTINGS] = {.name = "sync_delay", .values = "DURATION", .normal = "0", .kind = SETTING_DURATION,
		.help = "make each sync of the disk so much slower, to test with a slow disk", .most = 10 * SECOND},
	[OPTION_MIRROR - SETTINGS] = {.name = "mirror", .values = "no|yes", .normal = "no", .kind = SETTING_WORD,
		.help = "follow and be read, but never be of the pair", .most = 1},
	[OPTION_MIN_STANDBYS - SETTINGS] = {.name = "min_standbys", .values = "keep|0|1", .normal = "keep", .kind = SETTING_WORD,
		.help = "how many other nodes of the pair a commit waits for, while this node is the primary; keep: as it was", .most = 2},
	[OPTION_HOLD - SETTINGS] = {.name = "hold", .values = "BYTES", .normal = "16G", .kind = SETTING_BYTES,
		.help = "log kept at most for the pair's other node while that is away", .most = INT64_MAX},
	[OPTION_LISTEN - SETTINGS] = {.name = "listen", .values = "ADDRESS[+ADDRESS]", .normal = "none", .none = true,
		.help = "let other nodes call here: HOST, HOST:PORT, [IPV6]:PORT, or :PORT for all addresses"},
	[OPTION_STANDBY_OF - SETTINGS] = {.name = "standby_of", .values = "ADDRESS[+ADDRESS]", .normal = "none", .none = true,
		.help = "where the other node is called; a new store is made from that one's"},
	[OPTION_PEER - SETTINGS] = {.name = "peer", .values = "ADDRESS[+ADDRESS]", .normal = "none", .none = true,
		.help = "the same for the node that is to begin as the primary: a new store is empty"},
	[OPTION_CERT - SETTINGS] = {.name = "cert", .values = "FILE", .normal = "none", .none = true, .help = "this node's certificate, made by mqctl keys"},
	[OPTION_KEY - SETTINGS] = {.name = "key", .values = "FILE", .normal = "none", .none = true, .help = "its private key"},
	[OPTION_CA - SETTINGS] = {.name = "ca", .values = "FILE", .normal = "none", .none = true, .help = "the cluster's CA, by which nodes know each other"},
	[OPTION_CONFIG - SETTINGS] = {.name = "config", .values = "FILE", .normal = OPTION_FILE,
		.help = "options as lines NAME = VALUE; those below a line [STORE] are for that store only"},
};

const struct setting *option_row(int id)
{
	return id < SETTINGS ? &setting_table[id] : &own_table[id - SETTINGS];
}

bool option_bare(int id)
{
	return id == OPTION_PRIVATE || id == OPTION_MIRROR;
}

void choices_normal(struct choices *c)
{
	memset(c, 0, sizeof *c);
	for (int id = 0; id < OPTIONS; id++)
		if (!option_is_text(id))
			setting_parse_as(option_row(id), option_row(id)->normal, &c->of[id].value);
}

void choices_free(struct choices *c)
{
	for (int id = 0; id < OPTIONS; id++) {
		free(c->of[id].text);
		c->of[id].text = NULL;
	}
}

/* ---- one option ---- */

/* Letters to insert, drop or change until A is B. */
static size_t distance(const char *a, const char *b)
{
	size_t len = strlen(b), row[64], before, corner, best;

	if (len >= sizeof row / sizeof *row)
		return SIZE_MAX;
	for (size_t i = 0; i <= len; i++)
		row[i] = i;
	for (size_t done = 1; *a; a++, done++) {
		corner = row[0];
		row[0] = done;
		for (size_t i = 1; i <= len; i++) {
			before = row[i];
			best = corner + (*a != b[i - 1]);
			if (row[i] + 1 < best)
				best = row[i] + 1;
			if (row[i - 1] + 1 < best)
				best = row[i - 1] + 1;
			row[i] = best;
			corner = before;
		}
	}
	return row[len];
}

static int unknown(const char *where, const char *name, char why[STORE_WHY])
{
	const char *like = NULL;
	size_t least = strlen(name) / 2 < LIKE ? strlen(name) / 2 + 1 : LIKE + 1, d;

	for (int id = 0; id < OPTIONS; id++) {
		d = distance(name, option_row(id)->name);
		if (d < least) {
			least = d;
			like = option_row(id)->name;
		}
	}
	snprintf(why, STORE_WHY, "%s%.60s: there is no such option; %s%s%s", where, name, like ? "is " : "--help shows them", like ? like : "", like ? " meant?" : "");
	return -ENOENT;
}

void refusal_clean(char why[STORE_WHY])
{
	for (; *why; why++)
		if (iscntrl((unsigned char)*why))
			*why = '?';
}

static void print_limit(const struct setting *row, int id, uint64_t value, char *to)
{
	if (row->kind == SETTING_DURATION)
		print_duration(value, to);
	else if (id == OPTION_WORKERS)
		snprintf(to, SETTING_TEXT, "%u", (unsigned)value);
	else
		print_bytes(value, to);
}

static int refuse(int id, int err, const char *where, const char *text, char why[STORE_WHY])
{
	const struct setting *row = option_row(id);
	char least[SETTING_TEXT], most[SETTING_TEXT];
	int len = snprintf(why, STORE_WHY, "%s%s%s%.60s: allowed is %s", where, row->name, text ? "=" : "", text ? text : "", row->values);

	if (err == -ERANGE && row->kind != SETTING_WORD && len < STORE_WHY) {
		print_limit(row, id, row->least, least);
		print_limit(row, id, row->most, most);
		snprintf(why + len, (size_t)(STORE_WHY - len), row->most == INT64_MAX ? ", at least %s" : ", from %s to %s", least, most);
	}
	return err;
}

static bool is_list(int id)
{
	return id == OPTION_LISTEN || id == OPTION_STANDBY_OF || id == OPTION_PEER;
}

static int take_text(struct choices *c, enum weight by, const char *where, int id, const char *text, char why[STORE_WHY])
{
	char *copy;

	if (id == OPTION_CONFIG && by < WEIGHT_O) {
		snprintf(why, STORE_WHY, "%sconfig: a file cannot name another", where);
		return -EINVAL;
	}
	if (!text || !*text)
		return refuse(id, -EINVAL, where, text, why);
	if (by < c->of[id].weight)
		return 0;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	for (char *plus = copy; is_list(id) && (plus = strchr(plus, '+'));)
		*plus = ',';
	if (option_row(id)->none && strcmp(copy, "none") == 0) {
		free(copy);
		copy = NULL;
	}
	free(c->of[id].text);
	c->of[id].text = copy;
	c->of[id].weight = by;
	return 0;
}

int choices_take(struct choices *c, enum weight by, const char *where, const char *name, const char *text, char why[STORE_WHY])
{
	uint64_t value = 1;
	int id = 0, err = 0;

	while (id < OPTIONS && strcmp(option_row(id)->name, name) != 0)
		id++;
	if (id == OPTIONS)
		return unknown(where, name, why);
	if (option_is_text(id))
		return take_text(c, by, where, id, text, why);
	if (text || !option_bare(id))
		err = setting_parse_as(option_row(id), text ? text : "", &value);
	if (err)
		return refuse(id, err, where, text, why);
	if (by >= c->of[id].weight) {
		c->of[id].weight = by;
		c->of[id].value = value;
	}
	return 0;
}

/* ---- all of them ---- */

/* The built-in figure is meant for disks of some size. */
static uint64_t free_normally(const char *store, uint64_t most)
{
	char parent[4096];
	struct statvfs fs;
	uint64_t share;

	snprintf(parent, sizeof parent, "%s", store);
	if (statvfs(store, &fs) < 0 && statvfs(dirname(parent), &fs) < 0)
		return most;
	share = (uint64_t)fs.f_blocks * fs.f_frsize / FREE_SHARE;
	return share < most ? share : most;
}

static char *take_over(struct choices *c, int id)
{
	char *text = c->of[id].text;

	c->of[id].text = NULL;
	return text;
}

static void apply_node(struct choices *c, struct node_options *n)
{
	n->joins = c->of[OPTION_STANDBY_OF].text != NULL;
	n->others = take_over(c, n->joins ? OPTION_STANDBY_OF : OPTION_PEER);
	n->listen = take_over(c, OPTION_LISTEN);
	n->cert = take_over(c, OPTION_CERT);
	n->key = take_over(c, OPTION_KEY);
	n->ca = take_over(c, OPTION_CA);
	n->mirror = c->of[OPTION_MIRROR].value != 0;
	n->min_standbys = (int)c->of[OPTION_MIN_STANDBYS].value + MIN_STANDBYS_KEEP;
}

void choices_apply(struct choices *c, struct options *o)
{
	struct store_options *s = &o->store_options;

	apply_node(c, &o->node);
	for (int id = 0; id < SETTINGS; id++)
		s->settings.value[id] = c->of[id].value;
	s->create = c->of[OPTION_CREATE].value != 0;
	s->commit_timeout = c->of[OPTION_COMMIT_TIMEOUT].value;
	s->segment_size = c->of[OPTION_SEGMENT_SIZE].value;
	s->checkpoint_every = c->of[OPTION_CHECKPOINT_EVERY].value;
	s->retention_free = c->of[OPTION_RETENTION_FREE].value;
	if (c->of[OPTION_RETENTION_FREE].weight == WEIGHT_NORMAL)
		s->retention_free = free_normally(o->store, s->retention_free);
	s->cache = c->of[OPTION_CACHE].value;
	s->scrub_rate = c->of[OPTION_SCRUB_RATE].value;
	s->sync_delay = c->of[OPTION_SYNC_DELAY].value;
	s->hold_bytes = c->of[OPTION_HOLD].value;
	o->workers = (unsigned)c->of[OPTION_WORKERS].value;
	o->private = c->of[OPTION_PRIVATE].value != 0;
}

int choices_check(const struct choices *c, char why[STORE_WHY])
{
	static const int keys[] = {OPTION_CERT, OPTION_KEY, OPTION_CA};
	bool called = c->of[OPTION_STANDBY_OF].text || c->of[OPTION_PEER].text, listens = c->of[OPTION_LISTEN].text;

	if (c->of[OPTION_STANDBY_OF].text && c->of[OPTION_PEER].text) {
		snprintf(why, STORE_WHY, "standby_of and peer contradict each other: one of them says where the other node is");
		return -EINVAL;
	}
	for (size_t i = 0; (called || listens) && i < sizeof keys / sizeof *keys; i++)
		if (!c->of[keys[i]].text) {
			snprintf(why, STORE_WHY, "%s is missing: with %s, a node needs cert, key and ca, which mqctl keys makes", option_row(keys[i])->name,
				listens ? "listen" : c->of[OPTION_PEER].text ? "peer" : "standby_of");
			return -EINVAL;
		}
	if (c->of[OPTION_MIRROR].value && !c->of[OPTION_STANDBY_OF].text) {
		snprintf(why, STORE_WHY, "mirror: of which node? standby_of is missing");
		return -EINVAL;
	}
	if (c->of[OPTION_MIN_STANDBYS].value + MIN_STANDBYS_KEEP == 1 && !listens) {
		snprintf(why, STORE_WHY, "min_standbys=1 waits for a node that cannot call: listen is missing");
		return -EINVAL;
	}
	return 0;
}

void options_help(void)
{
	char text[128];

	puts("usage: mqfs [-fd] [-o OPTION[,OPTION]...] [--OPTION]... STORE MOUNTPOINT\n"
	     "Mounts the message queue that is kept in the directory STORE; makes both directories where they are missing.\n"
	     "\n"
	     "  -f, --foreground  stay in the foreground; messages go to standard error\n"
	     "  -d, --debug       the same, and print each request\n"
	     "  -h, --help        print this\n"
	     "  -V, --version     print the version\n"
	     "\n"
	     "Options, after -o, as --OPTION, or as lines of the configuration file, in this order of weight; BYTES take K, M, G, T,\n"
	     "DURATIONS ns, us, ms, s, m, h, d. A topic may have values of its own: see .config in mqfs-tree(7).");
	for (int id = 0; id < OPTIONS; id++) {
		const struct setting *row = option_row(id);

		snprintf(text, sizeof text, option_bare(id) ? "%s[=%s]" : "%s=%s", row->name, row->values);
		printf("  %-35s  %s (%s)\n", text, row->help, row->normal);
	}
	puts("\nallow_other lets other users in, and fails where it may not. The generic options of mount(8) are taken: ro, sync, dirsync and noatime\n"
	     "go to the kernel; nosuid, nodev, noexec always hold; with remount, a live mount becomes ro or rw.");
}
