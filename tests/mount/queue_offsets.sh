#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Appends go to the end whatever their offset; without O_APPEND the offset must show that they were meant to.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0

# --- what shells and programs do
echo one > "$q"
echo two >> "$q"
{ echo three; echo four; echo five; } > "$q"
equal '> never truncates' $'one\ntwo\nthree\nfour\nfive' "$(cat "$q")"
equal 'size' 24 "$(stat -c %s "$q")"
(echo 'in a child'; exec 1>&1; echo 'in the same handle') 1<> "$q"
equal 'a handle shared by processes goes on' $'in a child\nin the same handle' "$(tail -n 2 "$q")"
seq 1000 | dd of="$q" bs=100 2> "$DIR/dd"
match 'dd' '3893 bytes' "$(cat "$DIR/dd")"
equal 'dd of many blocks' "$(seq 1000)" "$(tail -n 1000 "$q")"
seq 1000 > "$DIR/file"
cp "$DIR/file" "$q"
equal 'cp onto a queue' 2000 "$(tail -n 2000 "$q" | wc -l)"

# --- what is no append
size=$(stat -c %s "$q")
call EPERM pwrite "$q" O_WRONLY 3 'x\n'
call EPERM pwrite "$q" O_WRONLY $((size - 1)) 'x\n'
call EPERM pwrite "$q" 'O_RDWR|O_TRUNC' 3 'x\n'
equal 'nothing was written' "$size" "$(stat -c %s "$q")"
call 2 pwrite "$q" O_WRONLY 0 'a\n'
call 2 pwrite "$q" O_WRONLY $((size + 2)) 'b\n'
call 2 pwrite "$q" O_WRONLY $((size + 1000)) 'c\n'
call 2 pwrite "$q" 'O_WRONLY|O_APPEND' 3 'd\n'
equal 'all at the end, without holes' $'a\nb\nc\nd' "$(tail -c 8 "$q")"

# --- one handle
python3 - "$q" << 'END'
import errno, os, sys
def refused(f, *a):
    try:
        f(*a)
    except OSError as e:
        assert e.errno == errno.EPERM, e
    else:
        raise AssertionError('not refused')
q = sys.argv[1]
end = os.stat(q).st_size
f = os.open(q, os.O_WRONLY)
os.write(f, b'1\n')
os.write(f, b'22\n')
refused(os.pwrite, f, b'no\n', 0)               # only the first write begins at 0
refused(os.pwrite, f, b'no\n', 2)               # in the middle of what it wrote
os.pwrite(f, b'333\n', 5)                       # the end of its last write
os.lseek(f, 4, os.SEEK_SET)
refused(os.write, f, b'no\n')
os.lseek(f, 9, os.SEEK_SET)
os.write(f, b'4444\n')
os.lseek(f, 0, os.SEEK_END)
os.write(f, b'5\n')
os.lseek(f, end, os.SEEK_SET)                   # the end when it was opened: what came since is not in the way
os.write(f, b'6\n')
with open(q, 'rb') as r:
    r.seek(end)
    got = r.read()
# The kernel's idea of the end may be an old one: here it has not looked since.
g = os.open(q, os.O_WRONLY | os.O_APPEND)
os.write(f, b'7\n')
h = os.open('/proc/self/fd/%d' % g, os.O_WRONLY | os.O_APPEND)
os.write(h, b'8\n')
os.write(f, b'9\n')
os.write(g, b'10\n')
assert open(q, 'rb').read().endswith(b'7\n8\n9\n10\n')
assert got == b'1\n22\n333\n4444\n5\n6\n', got
END

# --- RWF_APPEND: the kernel takes the end that it was told when it looked the queue up, and others append meanwhile
python3 - "$q" << 'END' || fail 'RWF_APPEND'
import os, sys
q = sys.argv[1]
other = os.fork()
if not other:
    w = os.open(q, os.O_WRONLY | os.O_APPEND)
    while os.getppid() != 1:
        os.write(w, b'busy\n')
    os._exit(0)
try:
    for i in range(2000):
        f = os.open(q, os.O_WRONLY)
        os.pwritev(f, [b'first\n'], 0, os.RWF_APPEND)
        os.pwritev(f, [b'second\n'], 0, os.RWF_APPEND)
        os.close(f)
finally:
    os.kill(other, 9)
    os.waitpid(other, 0)
END

# --- queues as source and target, both in the mount: spliced by the kernel
echo 2 > "$MNT/t/.config/queues"
seq 100000 > "$MNT/t/1"
size=$(stat -c %s "$q")
cat "$MNT/t/1" > "$q"
tail -c +$((size + 1)) "$q" > "$DIR/copy"
same 'cat of a queue into another' <(seq 100000) "$DIR/copy"
dd if="$MNT/t/1" of="$q" bs=1M oflag=append conv=notrunc 2> "$DIR/dd"
tail -c 588895 "$q" > "$DIR/copy"
same 'dd of a queue into another' <(seq 100000) "$DIR/copy"

# --- O_NONBLOCK is not for appends
call 3 write "$q" 'O_WRONLY|O_APPEND|O_NONBLOCK' 'nb\n'
mqfs_stop
