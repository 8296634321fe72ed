#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Listing while topics come and go: who stays is listed once, whatever happens beside it; a topic made again is another one.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
python3 - "$MNT" << 'END' || fail 'topics that come and go'
import ctypes, os, sys, threading
mnt = sys.argv[1]


def make(name):
    os.mkdir(mnt + '/' + name)


def listed(path):
    """Names by getdents64(2), 1 KiB at a time: libc's buffer would take them all at once."""
    libc, names = ctypes.CDLL(None, use_errno=True), []
    buf = ctypes.create_string_buffer(1024)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    getdents64 = {'x86_64': 217, 'aarch64': 61}[os.uname().machine]
    while (n := libc.syscall(getdents64, fd, buf, 1024)) > 0:
        at = 0
        while at < n:
            length = int.from_bytes(buf.raw[at + 16:at + 18], 'little')
            names.append(buf.raw[at + 19:at + length].split(b'\0')[0].decode())
            at += length
    os.close(fd)
    assert n == 0, ctypes.get_errno()
    return names


def remove(name):
    with open(mnt + '/' + name + '/.config/retired', 'w') as f:
        f.write('1')
    os.rmdir(mnt + '/' + name)


stay = {'stays-%03d' % i for i in range(900)}
for i, name in enumerate(sorted(stay)):
    make(name)
    make('goes-%03d' % i)
done = threading.Event()
errors = []


def churn(me):
    try:
        i = 0
        while not done.is_set():
            remove('goes-%03d' % (i * 4 + me)) if i < 75 else make('new-%d-%d' % (me, i))
            i += 1
            if i > 150:
                break
    except OSError as e:
        errors.append(e)


threads = [threading.Thread(target=churn, args=(me,)) for me in range(4)]
for t in threads:
    t.start()
for _ in range(20):
    # Through a small buffer, so that each listing is many requests.
    seen = listed(mnt)
    assert len(seen) == len(set(seen)), 'listed twice'
    assert stay <= set(seen), stay - set(seen)
done.set()
for t in threads:
    t.join()
assert not errors, errors

# The same name again, with all of the old one still open.
make('t')
old = os.open(mnt + '/t/0', os.O_RDWR | os.O_APPEND)
os.write(old, b'old\n')
before = os.stat(mnt + '/t'), os.stat(mnt + '/t/0')
remove('t')
make('t')
after = os.stat(mnt + '/t'), os.stat(mnt + '/t/0')
for b, a in zip(before, after):
    assert b.st_ino != a.st_ino
assert os.pread(old, 100, 0) == b'old\n'
assert os.fstat(old).st_ino == before[1].st_ino
try:
    os.write(old, b'x\n')
    raise AssertionError('not refused')
except OSError as e:
    assert e.errno == 30, e
assert os.stat(mnt + '/t/0').st_size == 0
END
mqfs_stop
