/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor - the least a FUSE daemon can do: what no queue behind /dev/fuse can beat.
 *
 * One directory with the files q, 0, 1, 2, ... that are always there. A write is counted and thrown away, a read is served from
 * one warm buffer up to what was written, a sync succeeds. The kernel is asked for the same treatment as mqfs asks for: direct_io,
 * writes of up to 1 MiB, no splice, no look at security.capability before each write.
 *
 * Calling  floor [-f] [-s] [-o OPTIONS] MOUNTPOINT    -s: one thread, otherwise libfuse's own threads
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER (2u << 20)
#define FILES 4096
#define INO_Q 2                 /* q; the numbered files follow it */

struct floor {
	char *warm;
	struct file {
		_Alignas(64) atomic_long size;
	} files[FILES + 1];
};

static struct file *file_of(fuse_req_t req, fuse_ino_t ino)
{
	struct floor *floor = fuse_req_userdata(req);
	return &floor->files[ino - INO_Q];
}

static struct stat stat_of(fuse_req_t req, fuse_ino_t ino)
{
	struct stat st = { .st_ino = ino };
	if (ino == FUSE_ROOT_ID) {
		st.st_mode = S_IFDIR | 0755;
		st.st_nlink = 2;
	} else {
		st.st_mode = S_IFREG | 0644;
		st.st_nlink = 1;
		st.st_size = atomic_load(&file_of(req, ino)->size);
	}
	return st;
}

static void floor_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	conn->want |= conn->capable & FUSE_CAP_HANDLE_KILLPRIV_V2;
#endif
	conn->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->max_write = 1 << 20;
}

static void floor_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ino_t ino = INO_Q;
	if (strcmp(name, "q")) {
		char *end;
		errno = 0;
		unsigned long n = strtoul(name, &end, 10);
		if (*name < '0' || *name > '9' || *end || errno || n >= FILES) {
			fuse_reply_err(req, ENOENT);
			return;
		}
		ino = INO_Q + 1 + n;
	}
	if (parent != FUSE_ROOT_ID) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param e = { .ino = ino, .attr_timeout = 1, .entry_timeout = 1e6, .attr = stat_of(req, ino) };
	fuse_reply_entry(req, &e);
}

static void floor_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	struct stat st = stat_of(req, ino);
	fuse_reply_attr(req, &st, 1);
}

static void floor_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct fuse_file_info *fi)
{
	(void)attr, (void)set;
	floor_getattr(req, ino, fi);
}

static void floor_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->direct_io = 1;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void floor_write(fuse_req_t req, fuse_ino_t ino, const char *from, size_t len, off_t at, struct fuse_file_info *fi)
{
	(void)from, (void)at, (void)fi;
	atomic_fetch_add(&file_of(req, ino)->size, (long)len);
	fuse_reply_write(req, len);
}

static void floor_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t at, struct fuse_file_info *fi)
{
	(void)fi;
	struct floor *floor = fuse_req_userdata(req);
	off_t size = atomic_load(&file_of(req, ino)->size);
	off_t left = at < size ? size - at : 0;
	if ((off_t)len > left)
		len = (size_t)left;
	fuse_reply_buf(req, floor->warm, len < BUFFER ? len : BUFFER);
}

static void floor_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino, (void)datasync, (void)fi;
	fuse_reply_err(req, 0);
}

static void floor_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino, (void)name, (void)size;
	fuse_reply_err(req, ENOSYS);
}

static const struct fuse_lowlevel_ops floor_ops = {
	.init = floor_init,
	.lookup = floor_lookup,
	.getattr = floor_getattr,
	.setattr = floor_setattr,
	.open = floor_open,
	.write = floor_write,
	.read = floor_read,
	.fsync = floor_fsync,
	.getxattr = floor_getxattr,
};

static int serve(struct fuse_session *session, const struct fuse_cmdline_opts *opts)
{
	if (opts->singlethread)
		return fuse_session_loop(session);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	fuse_loop_cfg_set_clone_fd(config, (unsigned)opts->clone_fd);
	fuse_loop_cfg_set_max_threads(config, opts->max_threads);
	int rc = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return rc;
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts opts;
	if (fuse_parse_cmdline(&args, &opts) || !opts.mountpoint) {
		fprintf(stderr, "usage: floor [-f] [-s] [-o OPTIONS] MOUNTPOINT\n");
		return 2;
	}
	struct floor *floor = aligned_alloc(64, sizeof *floor);
	char *warm = malloc(BUFFER);
	if (!floor || !warm)
		return 1;
	memset(floor, 0, sizeof *floor);
	memset(warm, '\n', BUFFER);
	floor->warm = warm;
	struct fuse_session *session = fuse_session_new(&args, &floor_ops, sizeof floor_ops, floor);
	if (!session)
		return 1;
	int rc = 1;
	if (!fuse_set_signal_handlers(session) && !fuse_session_mount(session, opts.mountpoint)) {
		fuse_daemonize(opts.foreground);
		rc = serve(session, &opts) < 0;
		fuse_session_unmount(session);
	}
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	free(opts.mountpoint);
	fuse_opt_free_args(&args);
	free(warm);
	free(floor);
	return rc;
}
