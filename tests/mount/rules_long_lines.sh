#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever writes a line that is too long is told, however the kernel cuts its write(2); and nobody else pays for it.
. "$(dirname "$0")/lib.sh"
need python3
mqfs_start
mkdir "$MNT/t"
q=$MNT/t/0

# --- one write(2) of more than the kernel hands over at once, of which a later piece is refused
python3 -c 'open("'"$DIR"'/long", "wb").write(b"A" * 5000000 + b"\n")'
long=$DIR/long
refused 'cat' 'too long' bash -c "cat $long >> $q"
refused 'dd' 'too long' bash -c "dd if=$long bs=8M iflag=fullblock >> $q"
refused "bash's echo" 'too long' bash -c "x=\$(< $long); echo \"\$x\" >> $q"
refused "dash's echo" '' dash -c "x=\$(cat $long); echo \"\$x\" >> $q"
refused 'Python' 'too long' python3 -c "open('$q', 'a').write('B' * 5000000 + '\n')"
equal 'nothing of them is there' 0 "$(stat -c %s "$q")"
echo next >> "$q"
equal 'the next line' next "$(cat "$q")"

# --- a write that is tried again is refused again, and so is what goes on behind it, up to a newline
echo 100 > "$MNT/t/.config/max_message"
python3 - "$q" << 'END' || fail 'a write that is tried again'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
begin = os.fstat(fd).st_size


def refused(text):
    try:
        os.write(fd, text)
    except OSError as e:
        assert e.errno == errno.EMSGSIZE, e
    else:
        raise AssertionError('not refused')


os.write(fd, b'x' * 90)
for _ in range(3):
    refused(b'the end of it\nb\n')
os.write(fd, b'c\n')
os.write(fd, b'y' * 90)
refused(b'it goes on and on')
refused(b', and on')
refused(b'\n')
os.write(fd, b'd\n')
assert os.pread(fd, 100, begin) == b'c\nd\n', os.pread(fd, 100, begin)
END

# --- what was acknowledged behind a line that its program gave up is there; what was not may be tried again
lost=$(json "$MNT/.mqfs/status.json" topics.0.lost)
python3 - "$q" << 'END' || fail 'a line that was given up'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
begin = os.fstat(fd).st_size


def write_all(data):
    try:
        while data:
            data = data[os.write(fd, data):]
        os.fsync(fd)
        return True
    except OSError as e:
        assert e.errno == errno.EMSGSIZE, e
        return False


assert not write_all(b'x' * (6 << 20) + b'\n')
acknowledged = b''
for message in (b'important 0\n', b'important 1\n', b'important 1\n', b'important 2\n', b'important 3\n'):
    if write_all(message):
        acknowledged += message
assert os.pread(fd, 1000, begin) == acknowledged, (os.pread(fd, 1000, begin), acknowledged)
assert acknowledged.count(b'\n') >= 4, acknowledged
END
equal 'lost' $((lost + 1)) "$(json "$MNT/.mqfs/status.json" topics.0.lost)"

# --- processes that share a handle: one dies in the middle of its line, and the next ones may be the same lock owner
(
	for i in {1..40}; do
		(printf '%0200d' "$i") 2> /dev/null || true
		(echo "line $i")
	done
) >> "$q"
equal 'the lines of the others' "$(lines line 1 40)" "$(grep line "$q")"
mqfs_stop
