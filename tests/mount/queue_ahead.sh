#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Long reads in order, whose bytes are gathered ahead: right whatever the program does between.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start -o commit=fsync
mkdir "$MNT/t"
echo 4 > "$MNT/t/.config/queues"
cat > "$DIR/ahead.py" << 'END'
import os, sys, threading
t = sys.argv[1]
N, SIZE = 4000, 65536
fds = [os.open('%s/%d' % (t, q), os.O_WRONLY | os.O_APPEND) for q in range(4)]
for i in range(N):
    for q in range(4):
        os.write(fds[q], b'%d %d %s\n' % (q, i, b'x' * (i % 150)))
for f in fds:
    os.fsync(f)
wanted = [b''.join(b'%d %d %s\n' % (q, i, b'x' * (i % 150)) for i in range(N)) for q in range(4)]


def read(f, size=SIZE, times=1 << 30):
    got = b''
    while times > 0 and len(got) < len(wanted[0]):
        n = os.read(f, size)
        if not n:
            break
        got += n
        times -= 1
    return got


for name in '%d', '.follow/%d':
    for q in range(4):
        path = t + '/' + name % q
        f = os.open(path, os.O_RDONLY)
        assert read(f) == wanted[q], name
        # seeks, other sizes, and the same place again
        for at, size in (0, SIZE), (1000, SIZE), (SIZE, 4096), (2 * SIZE, SIZE), (SIZE, SIZE), (3, SIZE + 1):
            os.lseek(f, at, os.SEEK_SET)
            assert read(f, size, 3) == wanted[q][at:at + 3 * size], (name, at, size)
        # pread(2) out of order
        for at in (SIZE * n for n in (0, 1, 2, 1, 0, 1, 2, 3)):
            assert os.pread(f, SIZE, at) == wanted[q][at:at + SIZE], (name, at)
        os.close(f)
        # closed while the next bytes are gathered
        for times in range(1, 30):
            f = os.open(path, os.O_RDONLY)
            assert read(f, SIZE // 4, times) == wanted[q][:times * SIZE // 4]
            os.close(f)
# two threads on one handle

f = os.open(t + '/1', os.O_RDONLY)
parts = []
def some():
    while True:
        n = os.read(f, SIZE)
        if not n:
            return
        parts.append(n)
threads = [threading.Thread(target=some) for n in range(2)]
for n in threads:
    n.start()
for n in threads:
    n.join()
assert len(b''.join(parts)) == len(wanted[1]), 'every byte once'

# threads that read on in their own places of one handle
wrong, PIECE = [], 8192
def all_of_it():
    for at in range(0, len(wanted[1]), PIECE):
        if os.pread(f, PIECE, at) != wanted[1][at:at + PIECE]:
            wrong.append(at)
for turn in range(20):
    threads = [threading.Thread(target=all_of_it) for n in range(4)]
    for n in threads:
        n.start()
    for n in threads:
        n.join()
assert not wrong, wrong

# records longer than a read, and some that are short
os.mkdir(t + '-long')
long = b''.join(b'%d %s\n' % (i, bytes([65 + i % 26]) * (1 << i % 20)) for i in range(60))
with open(t + '-long/0', 'wb', buffering=0) as f:
    for line in long.splitlines(keepends=True):
        f.write(line)
for size in SIZE, 1000, 300000:
    with open(t + '-long/0', 'rb', buffering=0) as f:
        assert b''.join(iter(lambda: f.read(size), b'')) == long, size

# the head passes what was gathered: the reader is told, as always
f = os.open(t + '/0', os.O_RDONLY)
assert read(f, SIZE, 3) == wanted[0][:3 * SIZE]
with open(t + '/.config/head.0', 'w') as c:
    c.write(str(len(wanted[0])))
try:
    os.read(f, SIZE)
    sys.exit('read below the head')
except BrokenPipeError:
    pass
END
succeeds 'reads in order' python3 "$DIR/ahead.py" "$MNT/t"
mqfs_stop
