/* SPDX-License-Identifier: Apache-2.0 */
/* A private CA and certificates of nodes, made in one call each. */
#include "cluster_keys.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

TestSuite(keys, .init = cluster_keys_init, .fini = cluster_keys_end);

static char why[KEYS_WHY];

static mode_t mode_of(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0, "%s: %s", path, strerror(errno));
	return st.st_mode & 07777;
}

static void read_file(const char *path, char to[4096])
{
	FILE *file = fopen(path, "r");

	cr_assert(file);
	to[fread(to, 1, 4095, file)] = 0;
	fclose(file);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert(file);
	fputs(text, file);
	fclose(file);
}

Test(keys, private_keys_are_the_owner_s_alone)
{
	umask(0);
	cr_assert_eq(keys_init(key_file("new", ""), why), 0);
	cr_assert_eq(keys_node(key_file("new", ""), "n", 0, why), 0);
	cr_expect_eq(mode_of(key_file("new", "")), 0700);
	cr_expect_eq(mode_of(key_file("new", "ca.key")), 0600);
	cr_expect_eq(mode_of(key_file("new", "ca.crt")), 0644);
	cr_expect_eq(mode_of(key_file("new", "n.key")), 0600);
	cr_expect_eq(mode_of(key_file("new", "n.crt")), 0644);
}

Test(keys, a_certificate_may_be_read_by_all_whatever_the_umask)
{
	umask(077);
	cr_assert_eq(keys_node(key_file("us", ""), "n", 0, why), 0);
	cr_expect_eq(mode_of(key_file("us", "n.crt")), 0644);
}

Test(keys, a_disk_that_is_full_leaves_nothing)
{
	const struct rlimit none = {0, RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	cr_expect_eq(keys_node(key_file("us", ""), "n", 0, why), -EFBIG);
	cr_expect_neq(strstr(why, "n.key: File too large"), NULL, "%s", why);
	cr_expect_eq(keys_init(key_file("new", ""), why), -EFBIG);
	cr_expect_neq(access(key_file("us", "n.key"), F_OK), 0);
	cr_expect_neq(access(key_file("new", ""), F_OK), 0);
}

Test(keys, nothing_is_ever_overwritten)
{
	static char before[4][4096], after[4][4096];
	static const char *const files[] = {"ca.key", "ca.crt", "a.key", "a.crt"};

	for (int i = 0; i < 4; i++)
		read_file(key_file("us", files[i]), before[i]);
	cr_expect_eq(keys_init(key_file("us", ""), why), -EEXIST);
	cr_expect_neq(strstr(why, "is there already"), NULL, "%s", why);
	cr_expect_eq(keys_node(key_file("us", ""), "a", 0, why), -EEXIST);
	for (int i = 0; i < 4; i++) {
		read_file(key_file("us", files[i]), after[i]);
		cr_expect_str_eq(before[i], after[i], "%s", files[i]);
	}
}

Test(keys, one_file_that_is_left_is_not_overwritten_either_and_none_is_left_half_made)
{
	static char text[4096];

	write_file(key_file("us", "c.crt"), "mine");
	cr_expect_eq(keys_node(key_file("us", ""), "c", 0, why), -EEXIST);
	cr_expect_neq(access(key_file("us", "c.key"), F_OK), 0, "a key without its certificate");
	read_file(key_file("us", "c.crt"), text);
	cr_expect_str_eq(text, "mine");
	write_file(key_file("us", "d.key"), "mine");
	cr_expect_eq(keys_node(key_file("us", ""), "d", 0, why), -EEXIST);
	cr_expect_neq(access(key_file("us", "d.crt"), F_OK), 0, "a certificate without its key");
	read_file(key_file("us", "d.key"), text);
	cr_expect_str_eq(text, "mine");
}

Test(keys, a_name_is_one_that_files_messages_and_certificates_can_carry)
{
	static const char *const good[] = {"a", "node-1", "eu.west_2", "0", "CA", "ca1"};
	static const char *const bad[] = {"", "ca", ".", "..", "-a", "_a", "a/b", "a b", "a\nb", "a,b", "a:b", "\xc3\xa4"};
	char longest[65];

	memset(longest, 'n', sizeof longest);
	longest[63] = 0;
	cr_expect(keys_name_valid(longest));
	longest[63] = 'n';
	longest[64] = 0;
	cr_expect(!keys_name_valid(longest));
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		cr_expect(keys_name_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_expect(!keys_name_valid(bad[i]), "%s", bad[i]);
		cr_expect_eq(keys_node(key_file("us", ""), bad[i], 0, why), -EINVAL);
	}
}

Test(keys, what_is_wrong_is_said)
{
	cr_expect_eq(keys_node(key_file("none", ""), "a", 0, why), -ENOENT);
	cr_expect_neq(strstr(why, "mqctl keys init"), NULL, "%s", why);
	cr_expect_eq(keys_init(key_file("no/such", "parent"), why), -ENOENT);
	cr_expect_eq(keys_init(key_file("us", "ca.crt"), why), -ENOTDIR);
	write_file(key_file("us", "ca.key"), "no key");
	cr_expect_eq(keys_node(key_file("us", ""), "c", 0, why), -EINVAL);
	cr_expect_neq(strstr(why, "ca.key: is no private key"), NULL, "%s", why);
	write_file(key_file("us", "ca.crt"), "no certificate");
	cr_expect_eq(keys_node(key_file("us", ""), "c", 0, why), -EINVAL);
	cr_expect_neq(strstr(why, "ca.crt: is no certificate"), NULL, "%s", why);
}

Test(keys, another_ca_s_key_makes_nothing)
{
	cr_assert_eq(keys_init(key_file("them", ""), why), 0);
	cr_assert_eq(rename(key_file("them", "ca.key"), key_file("us", "ca.key")), 0);
	cr_expect_eq(keys_node(key_file("us", ""), "c", 0, why), -EINVAL);
	cr_expect_neq(strstr(why, "not the key of ca.crt"), NULL, "%s", why);
}

Test(keys, a_node_reads_its_own)
{
	struct tls *t = tls_of("us", "a");

	cr_expect_str_eq(tls_name(t), "a");
	tls_free(t);
}

/* tls_new() with these files of the cluster "us" (the CA's: of CLUSTER) is refused, and the words are in what it says. */
static void refused_by(const char *cluster, const char *crt, const char *key, const char *ca, const char *name, int err, const char *words)
{
	struct tls *t;
	char text[TLS_WHY] = "";

	cr_expect_eq(tls_new(&t, key_file("us", crt), key_file("us", key), key_file(cluster, ca), name, text), err, "%s %s: %s", crt, key, text);
	cr_expect_neq(strstr(text, words), NULL, "\"%s\" is not in \"%s\"", words, text);
}

static void refused(const char *crt, const char *key, const char *ca, const char *name, int err, const char *words)
{
	refused_by("us", crt, key, ca, name, err, words);
}

Test(keys, a_node_refuses_its_own_files_when_the_other_would)
{
	const char *ca = "ca.crt";
	time_t now = time(NULL);

	cr_assert_eq(keys_init(key_file("them", ""), why), 0);
	cr_assert_eq(keys_node(key_file("us", ""), "old", now - 60, why), 0);
	refused("a.crt", "a.key", ca, "b", -EACCES, "of the node a, not of b");
	refused("a.crt", "b.key", ca, "a", -EACCES, "b.key: is not the key of the certificate");
	refused("old.crt", "old.key", ca, "old", -EACCES, "old.crt: the certificate has expired on ");
	refused("ca.crt", "ca.key", ca, NULL, -EACCES, "not for a node");
	refused_by("them", "a.crt", "a.key", ca, "a", -EACCES, "another CA");
	refused("x.crt", "a.key", ca, "a", -ENOENT, "x.crt: No such file");
	refused("a.crt", "x.key", ca, "a", -ENOENT, "x.key: No such file");
	refused("a.crt", "a.key", "x", "a", -ENOENT, "No such file");
	refused("a.crt", "a.crt", ca, "a", -EINVAL, "is no private key");
	refused("a.key", "a.key", ca, "a", -EINVAL, "is no certificate");
	refused("a.crt", "a.key", "a.key", "a", -EINVAL, "is no certificate");
	cr_assert_eq(chmod(key_file("us", "a.key"), 0644), 0);
	refused("a.crt", "a.key", ca, "a", -EACCES, "everyone may read this private key");
}
