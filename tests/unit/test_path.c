/* SPDX-License-Identifier: Apache-2.0 */
#include "committed.h"
#include "path.h"
#include "scratch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct mount mount;
static struct store_options options;
static struct topic *topic;

static void make(const char *name, uint32_t queues)
{
	struct owner owner = {.mode = 0755};
	struct command *c = command_new_waited();

	cr_assert_eq(command_wait(c, store_mkdir(mount.store, c, name, &owner)), 0);
	topic = topic_find(mount.store, name);
	cr_assert(topic);
	if (queues > 1) {
		c = command_new_waited();
		cr_assert_eq(command_wait(c, store_set_queues(mount.store, c, topic, queues)), 0);
	}
}

static void start(void)
{
	char why[STORE_WHY] = "";

	scratch_init();
	store_options_normal(&options);
	options.create = true;
	options.segment_size = 1 << 20;
	cr_assert_eq(store_open(&mount.store, scratch_path, &options, why), 0, "%s", why);
	cr_assert_eq(mount_start(&mount), 0);
	make("orders", 12);
}

static void end(void)
{
	topic_put(topic);
	mount_end(&mount);
	store_stop(mount.store);
	store_close(mount.store);
	scratch_end();
}

TestSuite(path, .init = start, .fini = end);

/* The node of PATH, whose names are separated by slashes, or an error in ERR. */
static struct node *walk(const char *path, int *err)
{
	struct node *n = &node_root;
	char copy[256], *rest = copy, *name;

	snprintf(copy, sizeof copy, "%s", path);
	*err = 0;
	while (!*err && (name = strsep(&rest, "/")))
		*err = path_lookup(&mount, n, name, &n);
	return *err ? NULL : n;
}

static struct node *found(const char *path)
{
	int err;
	struct node *n = walk(path, &err);

	cr_assert(n, "%s: %s", path, strerror(-err));
	return n;
}

static int refused(const char *path)
{
	int err;

	walk(path, &err);
	return err;
}

/* One message of SIZE bytes, committed. */
static void append(const char *text)
{
	struct iovec iov = {(void *)text, strlen(text)};
	struct batch b = {.iov = &iov, .iovcnt = 1, .messages = 1};
	struct place at;

	cr_assert_eq(store_append(topic_queue(topic, 0), &b, &at), 0);
	cr_assert_eq(wait_committed(mount.store, at.end), 0);
}

Test(path, each_row_of_the_tree_has_its_kind)
{
	static const struct {
		const char *path;
		enum node_kind kind;
	} rows[] = {
		{".mqfs", NODE_STATUS_DIR},
		{".mqfs/pid", NODE_STATUS},
		{"orders", NODE_TOPIC},
		{"orders/0", NODE_QUEUE},
		{"orders/11", NODE_QUEUE},
		{"orders/any", NODE_ANY},
		{"orders/.follow", NODE_FOLLOW_DIR},
		{"orders/.follow/11", NODE_FOLLOW},
		{"orders/.follow/0@7", NODE_FOLLOW},
		{"orders/.follow/all", NODE_FOLLOW_ALL},
		{"orders/.follow/all@latest", NODE_FOLLOW_ALL},
		{"orders/.retained", NODE_RETAINED_DIR},
		{"orders/.retained/3", NODE_RETAINED},
		{"orders/.config", NODE_CONFIG_DIR},
		{"orders/.config/queues", NODE_CONFIG},
		{"orders/.config/head.11", NODE_CONFIG},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_expect_eq(found(rows[i].path)->kind, rows[i].kind, "%s", rows[i].path);
}

Test(path, what_no_row_has_is_not_there)
{
	static const char *const paths[] = {"none", ".hidden", "orders/12", "orders/00", "orders/01", "orders/+1", "orders/1 ",
		"orders/", "orders/4294967296", "orders/.where", "orders/.follow/12", "orders/.follow/any", "orders/.follow/all2",
		"orders/.follow/@0", "orders/.follow/0@", "orders/.retained/all", "orders/.retained/0@0",
		"orders/.config/head.12", "orders/.config/head.", "orders/.config/none", ".mqfs/none"};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		cr_expect_eq(refused(paths[i]), -ENOENT, "%s", paths[i]);
}

Test(path, each_lookup_of_a_queue_has_a_node_of_its_own_and_one_inode)
{
	static const char *const paths[] = {"orders/0", "orders/.follow/0", "orders/.retained/0"};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct node *a = found(paths[i]), *b = found(paths[i]);

		cr_expect_neq(a, b, "%s", paths[i]);
		cr_expect_eq(a->inode, b->inode, "%s", paths[i]);
	}
	cr_expect_eq(found("orders/.follow/0")->inode, found("orders/.follow/0@latest")->inode);
	cr_expect_neq(found("orders/0")->inode, found("orders/1")->inode);
}

Test(path, a_directory_has_one_node_until_it_is_forgotten)
{
	struct node *a = found("orders/.config"), *b = found("orders/.config");
	struct node *t = found("orders");
	uint64_t nodes;

	cr_expect_eq(a, b);
	nodes = mount.nodes;
	node_forget(&mount, a, 1);
	cr_expect_eq(mount.nodes, nodes);
	node_forget(&mount, a, 1);
	cr_expect_eq(mount.nodes, nodes - 1);
	node_forget(&mount, t, 3);
	cr_expect_eq(mount.nodes, nodes - 2);
}

Test(path, a_start_is_an_offset_the_end_or_a_time)
{
	struct node *n;

	append("first\n");
	append("second\n");
	cr_expect_eq(found("orders/.follow/0")->start, 0);
	cr_expect_eq(found("orders/.follow/0@0")->start, 0);
	cr_expect_eq(found("orders/.follow/0@3")->start, 3);
	cr_expect_eq(found("orders/.follow/0@9223372036854775807")->start, INT64_MAX);
	cr_expect_eq(found("orders/.follow/0@latest")->start, 13);
	cr_expect_eq(found("orders/.follow/0@-1h")->start, 0);
	cr_expect_eq(found("orders/.follow/0@2000-01-01T00:00:00Z")->start, 0);
	cr_expect_eq(found("orders/.follow/0@2100-01-01T00:00:00+02:00")->start, 13);
	cr_expect_eq(found("orders/.follow/all")->start, 0);
	n = found("orders/.follow/all@latest");
	cr_expect_eq(n->start, store_committed(mount.store));
	cr_expect_eq(found("orders/.follow/all@2100-01-01T00:00:00Z")->start, n->start);
}

Test(path, a_start_that_is_none_is_not_there)
{
	static const char *const starts[] = {"x", "-1", "-5", "1.5", "0x1", "+1", " 1", "9223372036854775808",
		"18446744073709551616", "latest2", "2026-13-01T00:00:00Z", "2026-11-23", "-10y", "1@1"};
	char path[128];

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		snprintf(path, sizeof path, "orders/.follow/0@%s", starts[i]);
		cr_expect_eq(refused(path), -ENOENT, "%s", path);
		snprintf(path, sizeof path, "orders/.follow/all@%s", starts[i]);
		cr_expect_eq(refused(path), -ENOENT, "%s", path);
	}
	cr_expect_eq(refused("orders/.follow/all@0"), -ENOENT);
}

Test(path, a_removed_topic_is_empty_and_its_name_comes_back_with_new_inodes)
{
	struct node *t = found("orders"), *q = found("orders/0"), *n;
	uint64_t topic_inode = t->inode, queue_inode = q->inode;
	struct command *c = command_new_waited();

	cr_assert_eq(command_wait(c, store_set_retired(mount.store, c, topic, true)), 0);
	c = command_new_waited();
	cr_assert_eq(command_wait(c, store_rmdir(mount.store, c, topic)), 0);
	cr_expect_eq(refused("orders"), -ENOENT);
	cr_expect_eq(path_lookup(&mount, t, "0", &n), -ENOENT);
	cr_expect_eq(path_lookup(&mount, t, ".config", &n), -ENOENT);
	topic_put(topic);
	make("orders", 1);
	cr_expect_neq(found("orders"), t);
	cr_expect_neq(found("orders")->inode, topic_inode);
	cr_expect_neq(found("orders/0")->inode, queue_inode);
}
