#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# .follow/all: the topic's messages in log order, whole; seeking back works within the last 1 MiB.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
echo 3 > "$MNT/t/.config/queues"
f=$MNT/t/.follow
for i in {1..100}; do
	echo "m $i" >> "$MNT/t/$((i % 3))"
done
same 'all queues in order' <(lines m 1 100) <(head -n 100 "$f/all")
same "bash's read" <(lines m 1 50) <(for i in {1..50}; do read -r l && echo "$l"; done < "$f/all")
before=$(date -u +%FT%T.%NZ)
cat "$f/all@latest" > "$DIR/late" &
late=$!
parked() { [ "$(json "$MNT/.mqfs/status.json" mount.parked)" -eq "$1" ]; }
wait_for 'a parked reader' parked 1
echo 4 > "$MNT/t/.config/queues"
for i in {101..200}; do
	echo "m $i" >> "$MNT/t/$((i % 4))"
done
wait_lines "$DIR/late" 100
same 'from the latest on, with a new queue' <(lines m 101 200) "$DIR/late"
same 'from a time' <(lines m 101 200) <(head -n 100 "$f/all@$before")
kill $late
wait $late || true

# writers of several queues at once: each queue's order is kept, each line whole
wait_for 'no parked reader' parked 0
head -n 8000 "$f/all@latest" > "$DIR/many" &
head=$!
wait_for 'a parked reader' parked 1
writers=()
for w in 0 1 2 3; do
	lines "w$w" 1 2000 >> "$MNT/t/$w" &
	writers+=($!)
done
wait "${writers[@]}"
wait $head
for w in 0 1 2 3; do
	same "writer $w" <(grep "^w$w" "$DIR/many") <(lines "w$w" 1 2000)
done
equal 'no other line' 0 "$(grep -cvE '^w[0-3] [0-9]+$' "$DIR/many" || true)"

python3 - "$MNT/t" << 'END'
import errno, os, sys
t = sys.argv[1]
r = os.open(t + '/.follow/all@latest', os.O_RDONLY | os.O_NONBLOCK)
def fails(wanted, f, *a):
    try:
        f(*a)
    except OSError as e:
        assert e.errno == wanted, e
    else:
        raise AssertionError('not refused')
fails(errno.EAGAIN, os.read, r, 100)
w = [os.open('%s/%d' % (t, i), os.O_WRONLY | os.O_APPEND) for i in range(4)]
wanted = b''
for i in range(3000):
    line = b'%07d %s\n' % (i, b'x' * (i % 1500))
    os.write(w[i % 4], line)
    wanted += line
got = b''
while len(got) < len(wanted):
    got += os.read(r, 100000)
assert got == wanted
end = len(wanted)
fails(errno.EAGAIN, os.pread, r, 100, end)
MiB = 1 << 20
assert os.pread(r, 1000, end - MiB) == wanted[end - MiB:end - MiB + 1000]
assert os.pread(r, 1000, end - 10) == wanted[-10:]
back = b''
while len(back) < MiB:
    back += os.pread(r, 65536, end - MiB + len(back))
assert back == wanted[-MiB:]
fails(errno.EINVAL, os.pread, r, 1000, end - MiB - 1)
fails(errno.EINVAL, os.pread, r, 1000, 0)
fails(errno.EINVAL, os.pread, r, 1000, end + 1)
END
mqfs_stop
