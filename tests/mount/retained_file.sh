#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# .retained/Q: what is retained as a plain file that does not change while it is read.
. "$(dirname "$0")/lib.sh"
need python3 tac
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0 r=$MNT/t/.retained/0
equal 'an empty queue' '0 0' "$(stat -c '%s %b' "$r")"
lines m 1 20000 >> "$q"
lines m 1 20000 > "$DIR/all"
same 'all of it' "$DIR/all" "$r"
at=$(head -n 5000 "$DIR/all" | wc -c)
echo "$at" > "$MNT/t/.config/head.0"
tail -n 15000 "$DIR/all" > "$DIR/retained"
equal 'size' "$(stat -c %s "$DIR/retained")" "$(stat -c %s "$r")"
same 'cat' "$DIR/retained" "$r"
same 'tac' <(tac "$DIR/retained") <(tac "$r")
equal 'tail' "$(tail -n 10000 "$DIR/all")" "$(tail -n 10000 "$r")"
same 'cp' "$DIR/retained" <(cp "$r" "$DIR/copy" && cat "$DIR/copy")
refused 'writing to it' 'Operation not permitted' bash -c "echo no >> $r"

# --- while the queue grows, the file that was looked up does not: tar would say so
python3 -c "
import os, sys
w = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
while True:
    os.write(w, b'busy\n')" "$q" &
writer=$!
disown $writer
for i in {1..10}; do
	succeeds 'tar' tar -C "$MNT/t/.retained" -cf "$DIR/tar" 0
done
kill $writer
wait_gone $writer
tar -xOf "$DIR/tar" > "$DIR/copy"
same 'its beginning' <(head -n 15000 "$DIR/copy") "$DIR/retained"
python3 - "$q" "$r" << 'END'
import os, sys
q, r = sys.argv[1:]
f = os.open(r, os.O_RDONLY)
before = os.fstat(f)
w = os.open(q, os.O_WRONLY | os.O_APPEND)
os.write(w, b'new\n')
after = os.fstat(f)
assert (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (after.st_size, after.st_mtime_ns, after.st_ctime_ns)
got = b''
while True:
    part = os.read(f, 1 << 20)
    if not part:
        break
    got += part
assert len(got) == before.st_size, (len(got), before.st_size)
assert os.pread(f, 100, before.st_size + 1) == b''
assert os.stat(r).st_size == before.st_size + 4
END

# --- trimmed meanwhile
python3 - "$r" "$MNT/t/.config/head.0" << 'END'
import errno, os, sys
r, control = sys.argv[1:]
f = os.open(r, os.O_RDONLY)
size = os.fstat(f).st_size
end = os.pread(f, 100, size - 100)
assert len(os.read(f, 100)) == 100
offset = int(open(control).read())
with open(control, 'w') as c:
    c.write(str(offset + 5000))
try:
    os.read(f, 100)
    raise AssertionError('not ESTALE')
except OSError as e:
    assert e.errno == errno.ESTALE, e
assert os.pread(f, 100, size - 100) == end
END
mqfs_stop
