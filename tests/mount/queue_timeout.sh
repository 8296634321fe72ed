#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every wait ends at commit_timeout: appends with ETIMEDOUT, reads of the live view with the end of the file.
. "$(dirname "$0")/lib.sh"
need python3 strace
need_root
mqfs_start -o commit_timeout=500ms
mkdir "$MNT/t"
lines old 1 3 >> "$MNT/t/0"
strace -f -p "$PID" -o "$DIR/strace.out" -e trace=fdatasync -e inject=fdatasync:delay_enter=3000000 2> "$DIR/strace.err" &
tracer=$!
wait_for 'strace' grep -q attached "$DIR/strace.err" || skip "strace cannot attach: $(cat "$DIR/strace.err")"
cat > "$DIR/timeout.py" << 'END'
import errno, os, sys, time
q = sys.argv[1]
def bounded(wanted, f, *a):
    began = time.monotonic()
    try:
        got = f(*a)
    except OSError as e:
        got = errno.errorcode[e.errno]
    took = time.monotonic() - began
    assert got == wanted, (got, wanted)
    assert 0.4 < took < 2, took
f = os.open(q, os.O_RDWR | os.O_APPEND)
bounded('ETIMEDOUT', os.write, f, b'late\n')
r = os.open(q, os.O_RDONLY)
assert os.read(r, 100) == b'old 1\nold 2\nold 3\n'
bounded(b'', os.read, r, 100)
bounded('ETIMEDOUT', os.fsync, f)
os.write(f, b'unfinished')
bounded('ETIMEDOUT', os.close, os.dup(f))
# What has been told is told again, at once.
began = time.monotonic()
try:
    os.close(f)
    raise SystemExit('a close acknowledges what is not committed')
except OSError as e:
    assert e.errno == errno.ETIMEDOUT, e
assert time.monotonic() - began < 0.4
END
succeeds 'waits' python3 "$DIR/timeout.py" "$MNT/t/0"
status 'echo' 1 bash -c "echo late too >> $MNT/t/0"
committed() { [ "$(wc -l < "$MNT/t/0")" -eq 6 ]; }
wait_for 'the commit, which comes all the same' committed
kill $tracer
wait $tracer || true
equal 'what had no answer is there, once' $'late\nunfinished\nlate too' "$(tail -n 3 "$MNT/t/0")"
succeeds 'the next append' bash -c "echo again >> $MNT/t/0"
mqfs_stop
