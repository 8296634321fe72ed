/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real_kill - runs a program, lists the system calls by which all of its threads reach outside of it, and kills it in front of one.
 *
 *	real_kill LIST 0 PROGRAM ARGUMENT...          only lists
 *	real_kill LIST N:CALL PROGRAM ARGUMENT...     SIGKILL instead of the Nth CALL
 *
 * LIST gets a line a call, before it is made: "CALL FILE". strace(1) counts such calls for each thread on its own, so what a thread
 * that comes late does for the third time cannot be met by it. The list ends with the one that it was killed at. Exit status: the
 * program's, or 137.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a call's first arguments are. NOTHING: it does not reach outside, or only asks the kernel about the process. */
enum names { NOTHING, OTHER, DESCRIPTOR, PATH, PATH_AT };

static const struct call {
	long number;
	const char *name;
	enum names names;
} calls[] = {
	{SYS_openat, "openat", PATH_AT}, {SYS_close, "close", DESCRIPTOR}, {SYS_read, "read", DESCRIPTOR}, {SYS_write, "write", DESCRIPTOR},
	{SYS_readv, "readv", DESCRIPTOR}, {SYS_writev, "writev", DESCRIPTOR}, {SYS_pread64, "pread64", DESCRIPTOR}, {SYS_preadv, "preadv", DESCRIPTOR},
	{SYS_pwrite64, "pwrite64", DESCRIPTOR}, {SYS_pwritev, "pwritev", DESCRIPTOR}, {SYS_pwritev2, "pwritev2", DESCRIPTOR},
	{SYS_fsync, "fsync", DESCRIPTOR}, {SYS_fdatasync, "fdatasync", DESCRIPTOR}, {SYS_sync_file_range, "sync_file_range", DESCRIPTOR},
	{SYS_ftruncate, "ftruncate", DESCRIPTOR}, {SYS_fallocate, "fallocate", DESCRIPTOR}, {SYS_fadvise64, "fadvise64", DESCRIPTOR},
	{SYS_renameat, "renameat", PATH_AT}, {SYS_renameat2, "renameat2", PATH_AT}, {SYS_unlinkat, "unlinkat", PATH_AT}, {SYS_mkdirat, "mkdirat", PATH_AT},
	{SYS_openat2, "openat2", PATH_AT}, {SYS_fchownat, "fchownat", PATH_AT},
	{SYS_newfstatat, "newfstatat", PATH_AT}, {SYS_fstat, "fstat", DESCRIPTOR}, {SYS_fstatfs, "fstatfs", DESCRIPTOR},
	{SYS_getdents64, "getdents64", DESCRIPTOR}, {SYS_lseek, "lseek", DESCRIPTOR}, {SYS_ioctl, "ioctl", DESCRIPTOR},
	{SYS_flock, "flock", DESCRIPTOR}, {SYS_fcntl, "fcntl", DESCRIPTOR}, {SYS_splice, "splice", DESCRIPTOR}, {SYS_vmsplice, "vmsplice", DESCRIPTOR},
#ifdef SYS_open
	{SYS_open, "open", PATH}, {SYS_rename, "rename", PATH}, {SYS_unlink, "unlink", PATH}, {SYS_mkdir, "mkdir", PATH}, {SYS_rmdir, "rmdir", PATH},
#endif
	{SYS_statfs, "statfs", PATH}, {SYS_mount, "mount", OTHER}, {SYS_umount2, "umount2", PATH},
	{SYS_sendto, "sendto", OTHER}, {SYS_sendmsg, "sendmsg", OTHER}, {SYS_exit_group, "exit_group", OTHER},
};

static const struct call *find_call(long number)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (calls[i].number == number)
			return &calls[i];
	return NULL;
}

static void link_of(char *to, size_t size, const char *format, pid_t thread, int fd)
{
	char name[64];
	ssize_t n;

	snprintf(name, sizeof name, format, thread, fd);
	n = readlink(name, to, size - 1);
	to[n < 0 ? 0 : n] = 0;
}

static void string_of(char *to, size_t size, pid_t thread, uint64_t at)
{
	struct iovec here = {to, size - 1}, there = {(void *)(uintptr_t)at, size - 1};
	ssize_t n = process_vm_readv(thread, &here, 1, &there, 1, 0);

	/* A string at the end of a page has less behind it. */
	if (n < 0) {
		here.iov_len = there.iov_len = 4096 - (at & 4095) < size - 1 ? 4096 - (at & 4095) : size - 1;
		n = process_vm_readv(thread, &here, 1, &there, 1, 0);
	}
	to[n < 0 ? 0 : n] = 0;
}

static void list_call(FILE *list, pid_t thread, const struct call *c, const uint64_t *args)
{
	char file[512] = "", directory[512] = "";

	if (c->names == DESCRIPTOR)
		link_of(file, sizeof file, "/proc/%d/fd/%d", thread, (int)args[0]);
	else if (c->names == PATH)
		string_of(file, sizeof file, thread, args[0]);
	else if (c->names == PATH_AT) {
		string_of(file, sizeof file, thread, args[1]);
		if (file[0] != '/' && (int)args[0] != AT_FDCWD)
			link_of(directory, sizeof directory, "/proc/%d/fd/%d", thread, (int)args[0]);
	}
	fprintf(list, "%s %s%s%s\n", c->name, directory, directory[0] ? "/" : "", file);
	fflush(list);
}

/* Where it is to be killed: at the last of so many calls of this name; NULL: nowhere. */
struct point {
	long left;
	const char *name;
};

static struct point point_of(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	return (struct point){n, *end == ':' ? end + 1 : NULL};
}

/* At the entry to a call: it is the one to be killed at. */
static bool is_last(FILE *list, pid_t thread, struct point *last)
{
	struct __ptrace_syscall_info info;
	const struct call *c;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) < 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	c = find_call((long)info.entry.nr);
	if (!c)
		return false;
	list_call(list, thread, c, info.entry.args);
	return last->name && !strcmp(c->name, last->name) && --last->left == 0;
}

static int trace(FILE *list, pid_t program, struct point last)
{
	bool killed = false;
	int status;
	pid_t thread;

	while ((thread = waitpid(-1, &status, __WALL)) > 0) {
		int signal = 0;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (thread == program)
				return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (!killed && is_last(list, thread, &last)) {
				kill(program, SIGKILL);
				killed = true;
			}
		} else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
			signal = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, thread, 0, signal);
	}
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	FILE *list = argc > 3 ? fopen(argv[1], "we") : NULL;
	pid_t program;
	int status;

	if (!list) {
		fprintf(stderr, "usage: real_kill LIST 0|N:CALL PROGRAM ARGUMENT...\n");
		return EXIT_FAILURE;
	}
	program = fork();
	if (program == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	if (program < 0 || waitpid(program, &status, 0) < 0 ||
		ptrace(PTRACE_SETOPTIONS, program, 0,
			PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0) {
		perror("real_kill");
		return EXIT_FAILURE;
	}
	ptrace(PTRACE_SYSCALL, program, 0, 0);
	return trace(list, program, point_of(argv[2]));
}
