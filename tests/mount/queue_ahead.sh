#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Long reads in order of a queue whose short records lie among others', which are gathered ahead: right whatever the program does between.
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
