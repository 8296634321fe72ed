#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Readers in a storm of signals: every wait is interrupted, and not a byte is missed or read twice.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
cat > "$DIR/reader.py" << 'END'
import os, signal, sys
interrupted = 0


def count(*args):
    global interrupted
    interrupted += 1


signal.signal(signal.SIGALRM, count)
f = os.open(sys.argv[1], os.O_RDONLY)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0007)
got = b''
while not got.endswith(b'end\n'):
    got += os.read(f, 4096)
signal.setitimer(signal.ITIMER_REAL, 0)
assert interrupted > 10, interrupted
assert got == b''.join(b'm %d\n' % i for i in range(1, 2001)) + b'end\n', len(got)
END
for f in 0 all; do
	bounded python3 "$DIR/reader.py" "$MNT/t/.follow/$f" &
done
waiting() { [ "$(json "$MNT/.mqfs/status.json" mount.parked)" -eq 2 ]; }
wait_for 'both readers' waiting
for i in {1..2000}; do echo "m $i"; done >> "$MNT/t/0"
echo end >> "$MNT/t/0"
wait_jobs
equal 'nobody waits' 0 "$(json "$MNT/.mqfs/status.json" mount.parked)"
mqfs_stop
