#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who appends faster than the disk takes it, and asks for no commit, waits when too much is not committed: so an fsync ends in time.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start -o sync_delay=300ms,commit=fsync,commit_timeout=5s
mkdir "$MNT/t"
cat > "$DIR/fast.py" << 'END'
import json, os, sys, threading
m, most = sys.argv[1], 0
lines = b'x' * 99 + b'\n'
block = lines * 1300
done = threading.Event()

def look():
    global most
    while not done.is_set():
        with open(m + '/.mqfs/status.json') as f:
            log = json.load(f)['log']
        most = max(most, log['written'] - log['committed'])

looker = threading.Thread(target=look)
looker.start()
q = os.open(m + '/t/0', os.O_WRONLY | os.O_APPEND)
for n in range(800):
    assert os.write(q, block) == len(block)
os.fsync(q)
os.close(q)
done.set()
looker.join()
# What is allowed, a write that is under way, and a look that has read the two figures one after the other.
print(most)
assert (32 << 20) < most < (80 << 20), most
END
succeeds 'a writer that is quicker than the disk' python3 "$DIR/fast.py" "$MNT"
equal 'all is there' 1040000 "$(wc -l < "$MNT/t/0")"
