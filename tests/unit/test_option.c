/* SPDX-License-Identifier: Apache-2.0 */
#include "conffile.h"
#include "option.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MiB (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000000)

static struct options o;
static char why[STORE_WHY];

/* options_parse() of what would be typed: PROGRAM and words up to NULL. */
static int parse(const char *program, ...)
{
	char *argv[16] = {(char *)program};
	int argc = 1;
	va_list words;

	va_start(words, program);
	while ((argv[argc] = va_arg(words, char *)))
		argc++;
	va_end(words);
	return options_parse(&o, argc, argv, why);
}

/* mqfs -o LIST /s /m */
static int parse_list(const char *list)
{
	return parse("mqfs", "-o", list, "/s", "/m", NULL);
}

static void refused(const char *list, const char *word)
{
	cr_expect_lt(parse_list(list), 0, "-o %s was taken", list);
	cr_expect(strstr(why, word), "-o %s: \"%s\" does not say \"%s\"", list, why, word);
	cr_expect_not(strchr(why, '\n'));
	cr_expect_null(o.store);
}

/* A configuration file of this text; its path. */
static const char *conf(const char *text)
{
	static char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/tmp/mqfs-test-option.%d", (int)getpid());
	f = fopen(path, "w");
	cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
	return path;
}

/* mqfs -o config=FILE[,LIST] /srv/mq/orders /m */
static int parse_conf(const char *text, const char *list)
{
	const char *path = conf(text);
	char options[256];
	int err;

	snprintf(options, sizeof options, "config=%s%s", path, list);
	err = parse("mqfs", "-o", options, "/srv/mq/orders", "/m", NULL);
	unlink(path);
	return err;
}

/* What libfuse is told. */
static void passed_on(const char *names)
{
	char *got = generic_names(&o.generic);

	cr_expect_str_eq(got, names);
	free(got);
}

static void conf_refused(const char *text, const char *word)
{
	cr_expect_lt(parse_conf(text, ""), 0, "taken: %s", text);
	cr_expect(strstr(why, word), "\"%s\" does not say \"%s\"", why, word);
}

Test(option, without_options_the_defaults_hold)
{
	cr_assert_eq(parse("mqfs", "/s", "/m", NULL), 0, "%s", why);
	cr_expect_str_eq(o.store, "/s");
	cr_expect_str_eq(o.mountpoint, "/m");
	cr_expect_not(o.foreground);
	cr_expect_not(o.private);
	cr_expect_eq(o.workers, 4);
	passed_on("");
	cr_expect(!o.node.listen && !o.node.others && !o.node.cert && !o.node.key && !o.node.ca && !o.node.joins && !o.node.mirror);
	cr_expect_eq(o.node.min_standbys, MIN_STANDBYS_KEEP);
	cr_expect_eq(o.store_options.hold_bytes, 16384 * MiB);
	cr_expect_eq(o.store_options.settings.value[SETTING_COMMIT], COMMIT_WRITE);
	cr_expect_eq(o.store_options.commit_timeout, 5 * SECOND);
	cr_expect_eq(o.store_options.segment_size, 64 * MiB);
	cr_expect_eq(o.store_options.checkpoint_every, 256 * MiB);
	cr_expect_eq(o.store_options.cache, 1024 * MiB);
	cr_expect_eq(o.store_options.sync_delay, 0);
	cr_expect(o.store_options.create);
	cr_expect_gt(o.store_options.retention_free, 0);
	cr_expect_leq(o.store_options.retention_free, 256 * MiB);
	options_free(&o);
}

Test(option, each_row_of_the_table_has_a_default_that_it_takes_itself)
{
	char list[128];

	for (int id = 0; id < OPTIONS; id++) {
		const struct setting *row = option_row(id);

		cr_assert(row->name && row->values && row->help && row->normal);
		if (id == OPTION_CONFIG)         /* its default need not be there */
			continue;
		snprintf(list, sizeof list, "%s=%s", row->name, row->normal);
		cr_expect_eq(parse_list(list), 0, "%s", why);
		options_free(&o);
	}
}

Test(option, every_option_reaches_its_place)
{
	cr_assert_eq(parse_list("commit=fsync,framing=write,partial=keep,max_message=1M,retention.age=7d,retention.size=2G,retention.pinned=drop,"
			"commit_timeout=20ms,segment_size=1M,checkpoint_every=3M,retention.free=9M,cache=5M,workers=7,create=no,private,sync_delay=2ms"), 0, "%s", why);
	cr_expect_eq(o.store_options.settings.value[SETTING_COMMIT], COMMIT_FSYNC);
	cr_expect_eq(o.store_options.settings.value[SETTING_FRAMING], FRAMING_WRITE);
	cr_expect_eq(o.store_options.settings.value[SETTING_PARTIAL], PARTIAL_KEEP);
	cr_expect_eq(o.store_options.settings.value[SETTING_MAX_MESSAGE], MiB);
	cr_expect_eq(o.store_options.settings.value[SETTING_RETENTION_AGE], 7 * 86400 * SECOND);
	cr_expect_eq(o.store_options.settings.value[SETTING_RETENTION_SIZE], 2048 * MiB);
	cr_expect_eq(o.store_options.settings.value[SETTING_RETENTION_PINNED], PINNED_DROP);
	cr_expect_eq(o.store_options.commit_timeout, SECOND / 50);
	cr_expect_eq(o.store_options.segment_size, MiB);
	cr_expect_eq(o.store_options.checkpoint_every, 3 * MiB);
	cr_expect_eq(o.store_options.retention_free, 9 * MiB);
	cr_expect_eq(o.store_options.cache, 5 * MiB);
	cr_expect_eq(o.store_options.sync_delay, SECOND / 500);
	cr_expect_eq(o.workers, 7);
	cr_expect_not(o.store_options.create);
	cr_expect(o.private);
	options_free(&o);
}

#define KEYS ",cert=/k/a.crt,key=/k/a.key,ca=/k/ca.crt"

Test(option, a_node_is_told_how_it_is_reached_and_by_what_it_is_known)
{
	cr_assert_eq(parse_list("listen=:6737+[::1]:7000,standby_of=b+10.0.0.2:99,mirror,min_standbys=1,hold=3G" KEYS), 0, "%s", why);
	cr_expect_str_eq(o.node.listen, ":6737,[::1]:7000", "lists have commas from here on");
	cr_expect_str_eq(o.node.others, "b,10.0.0.2:99");
	cr_expect(o.node.joins);
	cr_expect(o.node.mirror);
	cr_expect_eq(o.node.min_standbys, 1);
	cr_expect_eq(o.store_options.hold_bytes, 3072 * MiB);
	cr_expect_str_eq(o.node.cert, "/k/a.crt");
	cr_expect_str_eq(o.node.key, "/k/a.key");
	cr_expect_str_eq(o.node.ca, "/k/ca.crt");
	options_free(&o);
	cr_expect_null(o.node.cert);
	cr_assert_eq(parse_list("listen=a\\,b,peer=c,min_standbys=0,mirror=no" KEYS), 0, "%s", why);
	cr_expect_str_eq(o.node.listen, "a,b");
	cr_expect_str_eq(o.node.others, "c");
	cr_expect_not(o.node.joins);
	cr_expect_not(o.node.mirror);
	cr_expect_eq(o.node.min_standbys, 0);
	options_free(&o);
}

Test(option, a_file_says_the_same_of_a_node_and_none_takes_it_back)
{
	const char *text = "listen = :6737, [::1]:7000\ncert = /k/a+b.crt\nkey = /k/a.key\nca = /k/ca.crt\nstandby_of = b\n[/srv/mq/other]\nlisten = c\n";

	cr_assert_eq(parse_conf(text, ",listen=:7,standby_of=none,listen=:8,peer=d"), 0, "%s", why);
	cr_expect_str_eq(o.node.listen, ":8");
	cr_expect_str_eq(o.node.cert, "/k/a+b.crt", "only a list has a + between its parts");
	cr_expect_str_eq(o.node.others, "d");
	cr_expect_not(o.node.joins);
	options_free(&o);
}

Test(option, what_a_node_lacks_is_said)
{
	refused("listen=:6737", "cert is missing: with listen, a node needs cert, key and ca");
	refused("standby_of=b,cert=/k/a.crt,ca=/k/ca.crt", "key is missing: with standby_of");
	refused("peer=b,cert=/k/a.crt,key=/k/a.key", "ca is missing: with peer");
	refused("standby_of=b,peer=c" KEYS, "standby_of and peer contradict each other");
	refused("mirror,listen=:1,peer=b" KEYS, "mirror: of which node?");
	refused("min_standbys=1,peer=b" KEYS, "listen is missing");
	refused("min_standbys=2", "allowed is keep|0|1");
	refused("listen" KEYS, "-o listen: allowed is ADDRESS");
	refused("cert=", "allowed is FILE");
	conf_refused("[/srv/mq/other]\nlisten =\n", ":2: listen=: allowed is");
}

Test(option, options_may_stand_behind_the_paths_as_mount_puts_them)
{
	cr_assert_eq(parse("mqfs", "/s", "/m", "-o", "rw,commit=close,dev,suid", "-f", NULL), 0, "%s", why);
	cr_expect_str_eq(o.mountpoint, "/m");
	cr_expect(o.foreground);
	cr_expect_eq(o.store_options.settings.value[SETTING_COMMIT], COMMIT_CLOSE);
	options_free(&o);
}

Test(option, a_mount_helper_takes_the_letters_of_mount)
{
	cr_assert_eq(parse("/sbin/mount.fuse.mqfs", "/s", "/m", "-s", "-n", "-v", "-t", "fuse.mqfs", "-o", "rw,nosuch=1,workers=2", NULL), 0, "%s", why);
	cr_expect_eq(o.workers, 2);
	cr_expect_not(o.foreground);
	cr_expect_not(o.fake);
	options_free(&o);
	cr_assert_eq(parse("/sbin/mount.fuse.mqfs", "/s", "/m", "-f", "-o", "rw", NULL), 0, "%s", why);
	cr_expect(o.fake);
	cr_expect_not(o.foreground);
	options_free(&o);
	cr_expect_lt(parse("/sbin/mount.fuse.mqfs", "/s", "/m", "-o", "nosuch=1", NULL), 0);
	cr_expect_lt(parse("/sbin/mount.fuse.mqfs", "/s", "/m", "-N", "/dev/null", NULL), 0);
	cr_expect(strstr(why, "namespace"), "%s", why);
	cr_expect_lt(parse("mqfs", "-s", "/s", "/m", NULL), 0);
}

Test(option, generic_mount_options_are_taken_and_some_passed_on)
{
	cr_assert_eq(parse_list("_netdev,nofail,noauto,defaults,user,user=joe,users,x-systemd.requires=/a,comment=a b,rw,exec,nosuid,nodev,relatime,async,"), 0, "%s", why);
	passed_on("");
	options_free(&o);
	cr_assert_eq(parse_list("ro,noatime,workers=1,sync,allow_other"), 0, "%s", why);
	passed_on("ro,sync,noatime");
	cr_expect(o.allow_other);
	cr_expect_eq(o.workers, 1);
	cr_expect_not(o.generic.remount);
	options_free(&o);
	cr_assert_eq(parse_list("ro,context=a:b,rw,dirsync,atime,sync,noatime,async,rootcontext=c"), 0, "%s", why);
	passed_on("dirsync,noatime,context=a:b,rootcontext=c");
	options_free(&o);
}

/* mount(8), FILESYSTEM-INDEPENDENT MOUNT OPTIONS, and what else it knows of. */
Test(option, none_of_the_generic_options_is_refused)
{
	cr_assert_eq(parse_list("async,atime,noatime,auto,noauto,defaults,dev,nodev,diratime,nodiratime,dirsync,exec,noexec,group,nogroup,iversion,"
		"noiversion,mand,nomand,_netdev,nofail,relatime,norelatime,strictatime,nostrictatime,lazytime,nolazytime,suid,nosuid,silent,loud,owner,"
		"noowner,remount,ro,rw,sync,user,nouser,users,nousers,X-mount.mkdir,x-systemd.automount,symfollow,nosymfollow"), 0, "%s", why);
	cr_expect(o.generic.remount);
	options_free(&o);
	cr_assert_eq(parse_list("ro,nosuid,nodev,noexec,noatime,remount,user_id=0,group_id=0,default_permissions,allow_other,max_read=131072"), 0, "%s", why);
	passed_on("ro,noatime");
	options_free(&o);
}

Test(option, command_line_weighs_more_than_o_and_that_more_than_the_file)
{
	const char *text = "commit = close\nworkers = 9\npartial = lost\n";
	const char *path = conf(text);
	char config[128];

	snprintf(config, sizeof config, "commit=fsync,workers=8,config=%s,workers=7", path);
	cr_assert_eq(parse("mqfs", "--commit=write", "-o", config, "/s", "/m", NULL), 0, "%s", why);
	cr_expect_eq(o.store_options.settings.value[SETTING_COMMIT], COMMIT_WRITE);
	cr_expect_eq(o.workers, 7, "of -o the last one counts");
	cr_expect_eq(o.store_options.settings.value[SETTING_PARTIAL], PARTIAL_LOST);
	options_free(&o);
	snprintf(config, sizeof config, "--config=%s", path);
	cr_assert_eq(parse("mqfs", "/s", "/m", "-o", "private,config=/nonexistent", "--workers", "3", "--private=no", config, NULL), 0, "%s", why);
	cr_expect_eq(o.workers, 3);
	cr_expect_not(o.private);
	cr_expect_eq(o.store_options.settings.value[SETTING_COMMIT], COMMIT_CLOSE);
	options_free(&o);
	unlink(path);
}

Test(option, a_section_of_the_file_is_for_its_store_alone)
{
	const char *text = "[/srv/mq/orders]\n"
			   "  commit = close\n"
			   "  workers = 9          ; indented lines are lines of their own\n"
			   "[/srv/mq/other]\n"
			   "commit = fsync\n"
			   "[/srv/*]\n"
			   "private = yes\n";

	cr_assert_eq(parse_conf(text, ""), 0, "%s", why);
	cr_expect_eq(o.store_options.settings.value[SETTING_COMMIT], COMMIT_CLOSE);
	cr_expect_eq(o.workers, 9);
	cr_expect(o.private);
	options_free(&o);
	cr_assert_eq(parse_conf("commit = close\n[/srv/mq/orders]\ncommit = fsync\n", ",workers=2"), 0, "%s", why);
	cr_expect_eq(o.store_options.settings.value[SETTING_COMMIT], COMMIT_FSYNC, "the section weighs more than what stands before any");
	cr_expect_eq(o.workers, 2);
	options_free(&o);
}

Test(option, a_bad_line_is_named_by_file_and_number)
{
	conf_refused("# a comment\n\ncommit = sometimes\n", ":3: commit=sometimes: allowed is write|close|fsync");
	conf_refused("comit = write\n", ":1: comit: there is no such option; is commit meant?");
	conf_refused("[/srv/mq/other]\nworkers = many\n", ":2: workers=many");
	conf_refused("commit\n", ":1: ");
	conf_refused("partial = keep\n[/srv\n", ":2: ");
	conf_refused("[orders]\ncommit = write\n", ":2: a section");
	conf_refused("[/a/path/that/is/longer/than/what/is/kept/of/a/section]\ncommit = write\n", "too long");
	conf_refused("config = /etc/other\n", ":1: config");
	conf_refused("commit = write\ncommit\n", ":2: is neither");
	conf_refused("commit = write ; "
		     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
		     "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\n", ":1: ");
}

Test(option, a_file_that_is_no_text_is_refused)
{
	const char text[] = "commit = close\npartial = keep\0lost\n";
	struct choices c;

	choices_normal(&c);
	cr_expect_eq(conffile_parse(&c, text, sizeof text - 1, "FILE", "/s", why), -EINVAL);
	cr_expect(strstr(why, "FILE:2: the line is no text"), "%s", why);
	cr_expect_eq(conffile_take(&c, "/dev/zero", "/s", why), -EFBIG);
	cr_expect(strstr(why, "/dev/zero: cannot be read: File too large"), "%s", why);
}

Test(option, a_refusal_is_one_line_whatever_was_given)
{
	refused("com\nit\033[2J", "com?it?[2J: there is no such option");
	conf_refused("commit = wr\rite\n", ":1: commit=wr?ite: allowed");
}

/* -ENOENT lets mqfs start without /etc/mqfs.conf: it must not mean a name in it. */
Test(option, an_unknown_name_is_no_missing_file)
{
	const char *path = conf("comit = write\n");
	struct choices c;

	choices_normal(&c);
	cr_expect_eq(conffile_take(&c, path, "/s", why), -EINVAL);
	unlink(path);
	cr_expect_eq(conffile_take(&c, path, "/s", why), -ENOENT);
}

Test(option, private_and_allow_other_do_not_go_together)
{
	refused("private,allow_other", "private");
	refused("allow_other,private=yes", "allow_other");
	cr_expect_eq(parse_list("allow_other,private=no"), 0, "%s", why);
	options_free(&o);
}

Test(option, a_file_that_is_named_must_be_there)
{
	refused("config=/nonexistent/mqfs.conf", "/nonexistent/mqfs.conf");
	refused("config=/tmp", "/tmp: cannot be read");
	refused("config=", "config");
	refused("config", "config");
}

Test(option, bad_values_are_refused_with_what_is_allowed)
{
	refused("commit=sync", "-o commit=sync: allowed is write|close|fsync");
	refused("commit", "write|close|fsync");
	refused("commit=", "write|close|fsync");
	refused("max_message=0", "allowed is BYTES, from 1 to 16M");
	refused("segment_size=99999999999999999999", "from 1M to 1G");
	refused("segment_size=4X", "allowed is BYTES");
	refused("commit_timeout=1ms", "from 10ms to 1h");
	refused("commit_timeout=-1", "DURATION");
	refused("workers=0", "from 1 to 64");
	refused("retention.age=1ms", "at least 1s");
	refused("private=1", "no|yes");
	refused("sync_delay=1h", "to 10s");
	cr_expect_lt(parse("mqfs", "--workers=none", "/s", "/m", NULL), 0);
	cr_expect(strstr(why, "--workers=none"), "%s", why);
}

Test(option, unknown_options_are_refused_with_the_nearest)
{
	refused("comit=write", "comit: there is no such option; is commit meant?");
	refused("retention.ages=1d", "retention.age meant");
	refused("nosuch", "nosuch: there is no such option");
	refused("commit=write,xyzzy=1", "xyzzy");
	cr_expect_not(strstr(why, "meant"));
	cr_expect_lt(parse("mqfs", "--segmentsize=1M", "/s", "/m", NULL), 0);
	cr_expect(strstr(why, "segment_size meant"), "%s", why);
	cr_expect_lt(parse("mqfs", "-x", "/s", "/m", NULL), 0);
	cr_expect(strstr(why, "-x"), "%s", why);
	cr_expect_lt(parse("mqfs", "-fx", "/s", "/m", NULL), 0);
	cr_expect(strstr(why, "-x"), "%s", why);
	cr_expect_lt(parse("mqfs", "--help=1", "/s", "/m", NULL), 0);
	cr_expect_lt(parse("mqfs", "/s", "/m", "-o", NULL), 0);
	cr_expect(strstr(why, "-o: needs an argument"), "%s", why);
	cr_expect_lt(parse("mqfs", "/s", "/m", "--workers", NULL), 0);
	cr_expect(strstr(why, "--workers: needs an argument"), "%s", why);
}

Test(option, store_and_mountpoint_are_needed_and_nothing_else)
{
	cr_expect_lt(parse("mqfs", NULL), 0);
	cr_expect(strstr(why, "usage"));
	cr_expect_lt(parse("mqfs", "/s", NULL), 0);
	cr_expect(strstr(why, "MOUNTPOINT"));
	cr_expect_lt(parse("mqfs", "", "/m", NULL), 0);
	cr_expect(strstr(why, "STORE"));
	cr_expect_lt(parse("mqfs", "/s", "", NULL), 0);
	cr_expect_lt(parse("mqfs", "/s", "/m", "/x", NULL), 0);
	cr_expect_eq(parse("mqfs", "--help", NULL), 0);
	cr_expect(o.help);
	options_free(&o);
	cr_expect_eq(parse("mqfs", "-V", NULL), 0);
	cr_expect(o.version);
	options_free(&o);
}

Test(option, paths_become_absolute)
{
	char *here = getcwd(NULL, 0), wanted[4096];

	snprintf(wanted, sizeof wanted, "%s/not-there", here);
	cr_assert_eq(parse("mqfs", "not-there/", "/tmp/../tmp/./mqfs-not-there", NULL), 0, "%s", why);
	cr_expect_str_eq(o.store, wanted);
	cr_expect_str_eq(o.mountpoint, "/tmp/mqfs-not-there");
	options_free(&o);
	cr_assert_eq(parse("mqfs", "--", "-s", "/", NULL), 0, "%s", why);
	cr_expect_str_eq(o.mountpoint, "/");
	options_free(&o);
	free(here);
}

Test(option, a_comma_in_a_value_is_escaped)
{
	const char *path = conf("workers = 2\n");
	char with_comma[80], list[128];

	snprintf(with_comma, sizeof with_comma, "%s,1", path);
	cr_assert_eq(rename(path, with_comma), 0);
	snprintf(list, sizeof list, "commit=close,config=%s\\,1", path);
	cr_expect_eq(parse_list(list), 0, "%s", why);
	cr_expect_eq(o.workers, 2);
	cr_expect_eq(o.store_options.settings.value[SETTING_COMMIT], COMMIT_CLOSE);
	unlink(with_comma);
	options_free(&o);
}
