#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A write that got an error may be there, and its program may write it again: lines twice then, but never glued to each other.
. "$(dirname "$0")/lib.sh"
need python3 strace
need_root
mqfs_start -o commit_timeout=300ms
mkdir "$MNT/t"
q=$MNT/t/0
strace -f -p "$PID" -o "$DIR/strace.out" -e trace=fdatasync -e inject=fdatasync:delay_enter=1000000 2> "$DIR/strace.err" &
tracer=$!
wait_for 'strace' grep -q attached "$DIR/strace.err" || skip "strace cannot attach: $(cat "$DIR/strace.err")"
python3 - "$q" << 'END' || fail 'writes that time out'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)


def late(text):
    try:
        os.write(fd, text)
    except OSError as e:
        assert e.errno == errno.ETIMEDOUT, e
    else:
        raise AssertionError('in time')


late(b'one\ntw')
late(b'one\ntwo\nthr')
late(b'two\nthree\n')
END
kill $tracer
wait $tracer || true
succeeds 'a write in time' bash -c "echo four >> $q"
equal 'whole lines only' $'one\none\ntwo\ntwo\nthree\nfour' "$(cat "$q")"
mqfs_stop
