#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who appends faster than the disk takes it, and asks for no commit, waits when too much is not committed: so an fsync ends in time.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
mqfs_stop
mqfs_start -o sync_delay=2s,commit=fsync,commit_timeout=10s
cat > "$DIR/fast.py" << 'END'
import json, os, sys, threading
m, most, waited = sys.argv[1], 0, False
lines = b'x' * 99 + b'\n'
block = lines * 1300
done = threading.Event()

def look():
    global most, waited
    while not done.is_set():
        with open(m + '/.mqfs/status.json') as f:
            status = json.load(f)
        log = status['log']
        most = max(most, log['written'] - log['committed'])
        # Nothing but the writer is parked there.
        waited = waited or status['mount']['parked'] > 0

looker = threading.Thread(target=look)
looker.start()
q = os.open(m + '/t/0', os.O_WRONLY | os.O_APPEND)
blocks = 0
while not waited and blocks < 1600:
    assert os.write(q, block) == len(block)
    blocks += 1
done.set()
looker.join()
os.fsync(q)
os.close(q)
# What is allowed, a write that is under way, and a look that has read the two figures one after the other.
assert waited and most < (80 << 20), (waited, most)
print(blocks * 1300)
END
bounded python3 "$DIR/fast.py" "$MNT" > "$DIR/lines" || fail 'a writer that is quicker than the disk'
equal 'all is there' "$(cat "$DIR/lines")" "$(wc -l < "$MNT/t/0")"
