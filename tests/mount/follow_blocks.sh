#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# .follow/Q: the queue's bytes and offsets; a read at the end waits for more.
. "$(dirname "$0")/lib.sh"
need python3 strace
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0 f=$MNT/t/.follow
lines m 1 1000 >> "$q"
lines m 1 1000 > "$DIR/all"
size=$(stat -c %s "$q")

# --- from where
at=$(head -n 499 "$DIR/all" | wc -c)
same 'from the beginning' "$DIR/all" <(head -n 1000 "$f/0")
same 'from an offset' <(lines m 500 1000) <(head -n 501 "$f/0@$at")
equal 'head closes its pipe' $'m 500\nm 501' "$(head -n 2 "$f/0@$at")"
equal 'head seeks back for the next' $'m 500\nm 501' "$( (head -n 1; head -n 1) < "$f/0@$at")"
same "bash's read does, too" <(lines m 500 599) <(for i in {1..100}; do read -r l && echo "$l"; done < "$f/0@$at")
same 'python' <(lines m 500 1000) <(python3 -c "
import sys
f = open(sys.argv[1])
for i in range(501):
    sys.stdout.write(f.readline())" "$f/0@$at")
before=$(date -u +%FT%T.%NZ)
lines later 1 10 >> "$q"
same 'from a time' <(lines later 1 10) <(head -n 10 "$f/0@$before")
same 'from a while ago' <(cat "$DIR/all"; lines later 1 10) <(head -n 1010 "$f/0@-1h")
equal 'offsets are the queue'"'"'s: who seeks, gets that' 'm 500' "$( (python3 -c "import os; os.lseek(0, $at, os.SEEK_SET)"; head -n 1) < "$f/0")"
equal 'also of another start' 'm 500' "$( (python3 -c "import os; os.lseek(0, $at, os.SEEK_SET)"; head -n 1) < "$f/0@$size")"

# --- blocking
python3 - "$q" "$f/0@latest" << 'END'
import errno, mmap, os, select, signal, sys, threading, time
q, name = sys.argv[1:]
w = os.open(q, os.O_WRONLY | os.O_APPEND)
r = os.open(name, os.O_RDONLY)

got = []
t = threading.Thread(target=lambda: got.append(os.read(r, 100)))
t.start()
time.sleep(0.05)
assert not got
os.write(w, b'at once\n')
t.join(5)
assert got == [b'at once\n'], got

# an unfinished line is not read, then all of it
t = threading.Thread(target=lambda: got.append(os.read(r, 100)))
t.start()
os.write(w, b'unfini')
time.sleep(0.05)
assert len(got) == 1
os.write(w, b'shed\n')
t.join(5)
assert got[1] == b'unfinished\n', got

# O_NONBLOCK, also when it is set later
os.set_blocking(r, False)
try:
    os.read(r, 100)
    raise AssertionError('no EAGAIN')
except BlockingIOError:
    pass
os.write(w, b'more\n')
assert os.read(r, 100) == b'more\n'
os.set_blocking(r, True)

# two readers of one handle each get the bytes at the offset they asked for
end = os.lseek(r, 0, os.SEEK_CUR)
got = []
threads = [threading.Thread(target=lambda: got.append(os.pread(r, 100, end))) for _ in range(2)]
for t in threads:
    t.start()
time.sleep(0.02)
os.write(w, b'both\n')
for t in threads:
    t.join(5)
assert got == [b'both\n'] * 2, got

# a read of more than the kernel asks for at once gets what is there
os.lseek(r, end + 5, os.SEEK_SET)
line = b'x' * 4095 + b'\n'
os.write(w, line * 255)
os.write(w, line)
for size in 1 << 20, (1 << 20) - 4096, 4 << 20:
    n = 0
    os.lseek(r, end + 5, os.SEEK_SET)
    while n < 1 << 20:
        n += len(os.read(r, size))
    assert n == 1 << 20, n
with mmap.mmap(-1, 4 << 20) as m:           # whole pages: what is there is just what the kernel asks for first
    assert os.preadv(r, [m], end + 5) > 1 << 19
END
refused 'writing to it' 'Operation not permitted' bash -c "echo no >> $f/0"

# --- a committed line is delivered within moments, though nobody asked for its sync
echo fsync > "$MNT/t/.config/commit"
head -n 1 "$f/0@latest" > "$DIR/got" &
parked() { [ "$(json "$MNT/.mqfs/status.json" mount.parked)" -eq "$1" ]; }
wait_for 'a parked reader' parked 1
python3 -c "
import os, sys, time
w = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
os.write(w, b'uncommitted\n')
time.sleep(5)" "$q" &
writer=$!
wait_lines "$DIR/got" 1
kill $writer

# --- the end: killed, and a mount that stops
cat "$f/0@latest" &
cat=$!
disown $cat
wait_for 'a parked reader' parked 1
kill -9 $cat
wait_gone $cat
equal 'nothing is left parked' 0 "$(json "$MNT/.mqfs/status.json" mount.parked)"
for name in 0@latest all@latest; do
	cat "$f/$name" 2> "$DIR/err.$name" &
done
wait_for 'parked readers' parked 2
mqfs_stop
wait_for 'the readers to end' test -s "$DIR/err.all@latest"
for name in 0@latest all@latest; do
	match "$name when the mount stops" 'not connected' "$(cat "$DIR/err.$name")"
done
