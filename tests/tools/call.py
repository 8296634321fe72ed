# SPDX-License-Identifier: Apache-2.0
"""System calls on paths, for what the shell cannot say. Prints the result of one, "ok", or the name of its errno.

  call.py OPERATION ARGUMENT...      one
  call.py                            each that comes on standard input: count of arguments, working directory, OPERATION
                                     and the rest, each ended by NUL; a line of output for each

Text arguments take Python's escapes (\\n, \\x00); names are taken as bytes.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)


def text(s):
    return s.encode('utf-8', 'surrogateescape').decode('unicode_escape').encode('latin-1')


def number(s):
    """"16", "2M" or "O_RDWR|O_APPEND"."""
    if s.startswith('O_'):
        flags = 0
        for name in s.split('|'):
            flags |= getattr(os, name)
        return flags
    return int(s[:-1]) * {'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[s[-1]] if s[-1] in 'KMG' else int(s)


def opened(path, flags):
    return os.open(path, number(flags), 0o644)


def op_open(path, flags):
    os.close(opened(path, flags))


def op_create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))


def op_create_new(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def op_tmpfile(path):
    os.close(os.open(path, os.O_WRONLY | os.O_TMPFILE, 0o644))


def op_write(path, flags, data):
    """One write(2); prints its count."""
    return os.write(opened(path, flags), text(data))


def op_fill(path, flags, count, byte='x'):
    """One write(2) of COUNT bytes, the last of them a newline; prints its count."""
    return os.write(opened(path, flags), text(byte) * (number(count) - 1) + b'\n')


def op_pwrite(path, flags, at, data):
    return os.pwrite(opened(path, flags), text(data), number(at))


def op_pread(path, at, count):
    return os.pread(opened(path, 'O_RDONLY'), number(count), number(at))


def op_seek(path, at, whence):
    return os.lseek(opened(path, 'O_RDONLY'), number(at), getattr(os, whence))


def op_truncate(path, size):
    os.truncate(path, number(size))


def op_ftruncate(path, size):
    os.ftruncate(opened(path, 'O_WRONLY'), number(size))


def op_fallocate(path, mode, at, count):
    """fallocate(2) itself: glibc's posix_fallocate would write zeros instead."""
    if libc.fallocate(opened(path, 'O_WRONLY'), int(mode), ctypes.c_long(number(at)), ctypes.c_long(number(count))):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def op_mknod(path, kind):
    kinds = {'file': stat.S_IFREG, 'fifo': stat.S_IFIFO, 'socket': stat.S_IFSOCK, 'char': stat.S_IFCHR, 'block': stat.S_IFBLK}
    os.mknod(path, kinds[kind] | 0o644, os.makedev(1, 3) if kind in ('char', 'block') else 0)


def op_bind(path):
    socket.socket(socket.AF_UNIX).bind(path)


def op_mmap(path, flags):
    fd = opened(path, 'O_RDWR')
    m = mmap.mmap(fd, 1, getattr(mmap, flags), mmap.PROT_READ)
    return len(m)


def op_copy_range(source, target, count):
    return os.copy_file_range(opened(source, 'O_RDONLY'), opened(target, 'O_WRONLY|O_APPEND'), number(count))


def op_lock(path):
    fcntl.lockf(opened(path, 'O_RDWR'), fcntl.LOCK_EX | fcntl.LOCK_NB)


def op_exchange(a, b):
    """renameat2(RENAME_EXCHANGE)"""
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def op_setxattr(path, name, value):
    os.setxattr(path, name, text(value))


def op_listxattr(path):
    return ' '.join(os.listxattr(path)) or 'none'


PLAIN = {
    'mkdir': os.mkdir,
    'rmdir': os.rmdir,
    'unlink': os.unlink,
    'rename': os.rename,
    'link': os.link,
    'symlink': os.symlink,
    'stat': os.stat,
    'readlink': os.readlink,
    'listdir': os.listdir,
    'getxattr': os.getxattr,
    'removexattr': os.removexattr,
}


def call(name, *arguments):
    operation = globals().get('op_' + name) or PLAIN[name]
    try:
        result = operation(*arguments)
    except OSError as e:
        print(errno.errorcode.get(e.errno, e.errno), flush=True)
        return 1
    print(result if isinstance(result, (int, str)) else repr(result) if isinstance(result, bytes) else 'ok', flush=True)
    return 0


def received():
    """The next argument on standard input."""
    got = b''
    while not got.endswith(b'\0'):
        byte = sys.stdin.buffer.read(1)
        if not byte:
            sys.exit(0)
        got += byte
    return os.fsdecode(got[:-1])


def serve():
    """A process for each, so that descriptors and locks end with it."""
    while True:
        count = int(received())
        directory = received()
        arguments = [received() for _ in range(count)]
        child = os.fork()
        if child == 0:
            os.chdir(directory)
            sys.exit(call(*arguments))
        if os.waitpid(child, 0)[1] not in (0, 1 << 8):
            print('call.py failed', flush=True)


if len(sys.argv) > 1:
    sys.exit(call(*sys.argv[1:]))
serve()
