#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A thousand readers wait at the end of one queue: they cost little, all get what comes, and all die with their process.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$PID/status"; }
parked() { [ "$(json "$MNT/.mqfs/status.json" mount.parked)" -eq "$1" ]; }
before=$(rss)
cat > "$DIR/readers.py" << 'END'
import os, resource, sys, threading
name, count = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
threading.stack_size(65536)
got, ready = [], threading.Semaphore(0)
def reader():
    fd = os.open(name, os.O_RDONLY)
    got.append(os.read(fd, 4096))
    ready.release()
    os.read(fd, 4096)
threads = [threading.Thread(target=reader, daemon=True) for _ in range(count)]
for t in threads:
    t.start()
sys.stdin.readline()
for _ in range(count):
    ready.acquire(timeout=10)
print(sum(g == b'for all\n' for g in got), flush=True)
sys.stdin.readline()
END
mkfifo "$DIR/ask"
python3 "$DIR/readers.py" "$MNT/t/.follow/0" 1000 < "$DIR/ask" > "$DIR/answer" &
readers=$!
disown $readers
exec 8> "$DIR/ask"
wait_for 'a thousand parked readers' parked 1000
echo 'for all' >> "$MNT/t/0"
echo >&8
wait_lines "$DIR/answer" 1
equal 'all got it' 1000 "$(head -n 1 "$DIR/answer")"
# A sanitizer's memory is its own.
grep -q libasan "/proc/$PID/maps" || grep -q libtsan "/proc/$PID/maps" || [ $(($(rss) - before)) -lt 40000 ] || fail "a thousand readers cost $(($(rss) - before)) KiB"
wait_for 'a thousand readers parked again' parked 1000
kill -9 $readers
wait_gone $readers
equal 'none is left' 0 "$(json "$MNT/.mqfs/status.json" mount.parked)"
handles() { [ "$(json "$MNT/.mqfs/status.json" mount.handles)" -le 2 ]; }
wait_for 'their handles to go' handles
mqfs_stop
