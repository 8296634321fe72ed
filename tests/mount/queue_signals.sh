#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A signal does not end the wait of a write or fsync whose record is in the log; it ends a close and parked reads at once.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
mqfs_stop
mqfs_start -o sync_delay=700ms
cat > "$DIR/signals.py" << 'END'
import ctypes, errno, os, signal, sys, time
q, follow, mode = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
hits = 0
def handler(n, frame):
    global hits
    hits += 1
signal.signal(signal.SIGALRM, handler)
signal.siginterrupt(signal.SIGALRM, True)

def call(f, *a):
    """The system call itself, without Python's repeating: result or errno's name, and seconds."""
    # Again and again: the first one may come before the call.
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    began = time.monotonic()
    got = f(*a)
    took = time.monotonic() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    return (errno.errorcode[ctypes.get_errno()] if got < 0 else got), took

f = os.open(q, os.O_WRONLY | os.O_APPEND)
if mode == 'write':
    got, took = call(libc.write, f, b'one\n', 4)
    assert got == 4 and took > 0.35, (got, took)
else:
    os.write(f, b'one\n')
    got, took = call(libc.fsync, f)
    assert got == 0 and took > 0.35, (got, took)
    os.write(f, b'two\n')
    got, took = call(libc.close, f)
    if mode == 'close':
        assert got == 'EINTR' and 0.05 < took < 0.6, (got, took)
    else:
        assert got == 0 and took < 0.6, (got, took)
for name in follow + '/0@latest', follow + '/all@latest':
    while True:
        r = os.open(name, os.O_RDONLY)
        buf = ctypes.create_string_buffer(100)
        got, took = call(libc.read, r, buf, 100)
        os.close(r)
        if got == 'EINTR':
            break
        assert got > 0, got         # what was committed meanwhile
assert hits
END
for mode in write close fsync; do
	echo $mode > "$MNT/t/.config/commit"
	succeeds "commit=$mode" python3 "$DIR/signals.py" "$MNT/t/0" "$MNT/t/.follow" $mode
done
equal 'nothing twice' $'one\none\ntwo\none\ntwo' "$(cat "$MNT/t/0")"

# --- a reader of the live view that waits below its mark
echo fsync > "$MNT/t/.config/commit"
echo late >> "$MNT/t/0"
python3 - "$MNT/t/0" << 'END'
import os, signal, sys, time
r = os.open(sys.argv[1], os.O_RDONLY)
at = os.stat(sys.argv[1]).st_size
pid = os.fork()
if pid == 0:
    os.pread(r, 100, at)
    os._exit(0)
time.sleep(0.05)
os.kill(pid, signal.SIGKILL)
began = time.monotonic()
os.waitpid(pid, 0)
assert time.monotonic() - began < 0.6
END
equal 'no request is left' 0 "$(json "$MNT/.mqfs/status.json" mount.parked)"

# --- a writer that is killed while it waits: its message is there, once
echo write > "$MNT/t/.config/commit"
bash -c 'echo killed; echo never' >> "$MNT/t/0" &
writer=$!
parked() { [ "$(json "$MNT/.mqfs/status.json" mount.parked)" -eq "$1" ]; }
wait_for 'a waiting writer' parked 1
kill -KILL $writer
{ wait $writer || true; } 2> /dev/null
equal 'a killed writer' 1 "$(grep -c killed "$MNT/t/0")"
equal 'its next write' 0 "$(grep -c never "$MNT/t/0" || true)"
mqfs_stop
