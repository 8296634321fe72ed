#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Long work shows how far it has come where stderr is a terminal, and leaves nothing of that behind; elsewhere it shows nothing.
. "$(dirname "$0")/lib.sh"
need python3 strace
mqfs_start -o segment_size=1M
mkdir "$MNT/t"
head -c 12000000 /dev/urandom | base64 >> "$MNT/t/0"
mqfs_stop
slow=(strace -f -o "$DIR/strace.out" -e trace=pread64 -e inject=pread64:delay_enter=30000)
"${slow[@]}" true 2> "$DIR/strace.err" || skip "strace cannot trace: $(cat "$DIR/strace.err")"

cat > "$DIR/terminal.py" << 'END'
import os, pty, re, sys
child, terminal = pty.fork()
if not child:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b''
while True:
    try:
        some = os.read(terminal, 4096)
    except OSError:                    # nobody has it open any more
        break
    shown += some
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert status == 0, (status, shown)
steps = [int(n) for n in re.findall(rb'\r\x1b\[K[^\r]*: [^\r]* of [^\r]*, (\d+) %, [^\r]*/s', shown)]
assert len(steps) >= 2 and steps == sorted(steps) and steps[-1] <= 100, shown
left = shown[shown.rindex(b'\x1b[K') + 3:]
assert b'%' not in left, shown
END
succeeds 'check on a terminal' python3 "$DIR/terminal.py" "${slow[@]}" "$MQCTL" check "$STORE"
"${slow[@]}" "$MQCTL" check "$STORE" 2> "$DIR/stderr" > "$DIR/stdout" || fail 'check elsewhere'
equal 'what a file gets of it' '' "$(cat "$DIR/stderr")"
