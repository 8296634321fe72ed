#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A line over max_message is refused, and so is what follows up to a write that ends with a newline; all unfinished lines together have a limit.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
echo 100 > "$MNT/t/.config/max_message"
python3 - "$MNT/t/0" << 'END'
import errno, os, sys
q = sys.argv[1]
f = os.open(q, os.O_RDWR | os.O_APPEND)
log = b''
def put(text, wanted):
    global log
    try:
        got = os.write(f, text)
    except OSError as e:
        got = errno.errorcode[e.errno]
    assert got == wanted, (text, got, wanted)
    now = os.pread(f, 1 << 20, 0)
    new, log = now[len(log):], now
    return new
long = b'x' * 101
assert put(b'x' * 100 + b'\n', 101) == b'x' * 100 + b'\n'
assert put(long + b'\n', 'EMSGSIZE') == b''
assert put(b'next\n', 5) == b'next\n'
assert put(b'a\nb\n' + long + b'\nc\n', 4) == b'a\nb\n'          # the complete lines before it: a short write
assert put(b'x' * 60, 60) == b''
assert put(b'x' * 60, 'EMSGSIZE') == b''
assert put(b'the rest', 'EMSGSIZE') == b''
assert put(b'of it\n', 'EMSGSIZE') == b''
assert put(b'next\n', 5) == b'next\n'
os.close(f)
END

# --- 16 handles with an unfinished line of 16 MiB each are what all may have
echo 16M > "$MNT/t/.config/max_message"
python3 - "$MNT/t/0" << 'END'
import errno, os, sys
q = sys.argv[1]
fds = [os.open(q, os.O_WRONLY | os.O_APPEND) for _ in range(17)]
mb = b'x' * (1 << 20)
for f in fds[:16]:
    for _ in range(16):
        assert os.write(f, mb) == len(mb)
try:
    os.write(fds[16], b'complete\nunfinished')
    raise AssertionError('no ENOBUFS')
except OSError as e:
    assert e.errno == errno.ENOBUFS, e
assert os.write(fds[16], b'complete\n') == 9
assert os.write(fds[0], b'\n') == 1
assert os.write(fds[16], b'there is room again\n') == 20
os.close(fds[1])
END
equal 'nothing is unfinished' 0 "$(json "$MNT/.mqfs/status.json" mount.unfinished)"
equal 'all are there' $((256 * 1024 * 1024 + 102)) "$(tr -dc x < "$MNT/t/0" | wc -c)"
equal 'with their newline' 2 "$(grep -cE '^(complete|there is room again)$' "$MNT/t/0")"
mqfs_stop
