#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who waits for the commit, by mode; and who sees what before it. A sync takes long here, so a wait shows in the time.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
for mode in write close fsync; do
	mkdir "$MNT/$mode"
	echo $mode > "$MNT/$mode/.config/commit"
done
mqfs_stop
mqfs_start -o sync_delay=400ms
cat > "$DIR/modes.py" << 'END'
import os, sys, time
q, mode = sys.argv[1:]
LONG = 0.2          # half of a sync: the committer may have begun it before the call

def waits(wanted, what, f, *a):
    began = time.monotonic()
    result = f(*a)
    took = time.monotonic() - began
    assert (took > LONG) == wanted, '%s: %s took %.3f s' % (mode, what, took)
    return result

f = os.open(q, os.O_WRONLY | os.O_APPEND)
waits(mode == 'write', 'write', os.write, f, b'written\n')
waits(mode == 'close', 'close', os.close, f)
f = os.open(q, os.O_WRONLY | os.O_APPEND)
waits(False, 'write of an unfinished line', os.write, f, b'unfinished')
waits(mode != 'fsync', 'close that ends it', os.close, f)
f = os.open(q, os.O_WRONLY | os.O_APPEND)
waits(mode == 'write', 'write', os.write, f, b'synced\n')
waits(mode != 'write', 'fsync', os.fsync, f)
waits(False, 'close', os.close, f)
for flag in os.O_SYNC, os.O_DSYNC:
    f = os.open(q, os.O_WRONLY | os.O_APPEND | flag)
    waits(True, 'synchronous write', os.write, f, b'synchronous\n')
    waits(False, 'write of an unfinished line', os.write, f, b'with a ')
    waits(True, 'its end', os.write, f, b'newline\n')
    waits(False, 'fsync of what is committed', os.fsync, f)
    os.close(f)

# fsync is of the file, not of the handle; of what is committed for readers
f = os.open(q, os.O_WRONLY | os.O_APPEND)
g = os.open(q, os.O_RDONLY)
size = os.stat(q).st_size
os.write(f, b'by another handle\n')
if mode != 'write':
    assert os.stat(q).st_size == size, 'size before the commit'
    assert os.pread(g, 100, size) == b'', 'behind the mark of its open is the end'
    waits(True, 'fsync by a handle that wrote nothing', os.fsync, g)
assert os.pread(g, 100, size) == b'by another handle\n'

os.fsync(f)
k = os.open(q, os.O_WRONLY | os.O_APPEND)
os.write(k, b'after its own\n')
waits(mode != 'write', 'fsync by a handle whose own is committed', os.fsync, f)
size = os.stat(q).st_size - 18

# a program reads what was written before it opened, and what it wrote itself
os.write(f, b'before the open\n')
size = os.stat(q).st_size if mode == 'write' else size + 18
h = os.open(q, os.O_RDWR)
assert waits(mode != 'write', 'read of what was appended', os.pread, h, 100, size - (16 if mode == 'write' else 0)) == b'before the open\n'
end = os.stat(q).st_size
os.write(h, b'by itself\n')
assert waits(mode != 'write', 'read of its own write', os.pread, h, 100, end) == b'by itself\n'
assert waits(False, 'read at the end', os.pread, h, 100, end + 10) == b''
END
# At once, as each of them takes long; who waits for another's sync waits for the next one too.
for mode in write close fsync; do
	succeeds "commit=$mode" python3 "$DIR/modes.py" "$MNT/$mode/0" $mode &
done
wait_jobs

# --- nothing that write(2) took is lost by kill -9, in no mode
mqfs_stop
mqfs_start -o sync_delay=1ms
for mode in close fsync; do
	q=$MNT/$mode/0
	cat "$q" > "$DIR/before"
	bash -c 'for i in {1..100}; do echo "$1 $i"; done; kill -9 "$2"' - $mode "$PID" >> "$q" || true
	{ mqfs_kill || true; } 2> /dev/null
	mqfs_start -o sync_delay=1ms
	lines $mode 1 100 >> "$DIR/before"
	same "commit=$mode, after kill -9" "$DIR/before" "$q"
done
mqfs_stop
