#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What may not be done to queues and the other files: the errno, and that nothing changes by it.
. "$(dirname "$0")/lib.sh"
need setfattr
mqfs_start
mkdir "$MNT/t" "$MNT/u"
echo 2 > "$MNT/t/.config/queues"
q=$MNT/t/0
lines line 1 100 >> "$q"
size=$(stat -c %s "$q")
snapshot > "$DIR/snapshot"

# --- wanted, then the call: @ is the queue
while IFS='|' read -r wanted what; do
	[ -n "$wanted" ] || continue
	# shellcheck disable=SC2086
	call "${wanted//,/|}" ${what//@/$q}
done << END
EPERM|pwrite @ O_WRONLY 1 x\\n
EPERM|pwrite @ O_WRONLY 7 line\\n
EPERM|pwrite @ O_RDWR $((size - 1)) \\n
EPERM|truncate @ 0
EPERM|truncate @ 10
EPERM|truncate @ $size
EPERM|truncate @ 1M
EPERM|ftruncate @ 0
EPERM|ftruncate @ 1M
EPERM|fallocate @ 0 0 1M
EPERM|fallocate @ 1 0 1M
EPERM|fallocate @ 3 0 4096
EPERM|unlink @
EPERM|unlink $MNT/t/any
EPERM|unlink $MNT/t/.config/queues
EPERM|unlink $MNT/t/.follow/0
EPERM|unlink $MNT/t/.retained/0
EPERM|unlink $MNT/.mqfs/pid
EPERM|rename @ $MNT/t/1
EPERM|rename @ $MNT/t/new
EPERM|rename @ $MNT/u/0
EPERM|rename $MNT/t $MNT/new
EPERM|rename $MNT/t $MNT/u
EPERM|rename $MNT/t/.config $MNT/t/x
EPERM,EINVAL|exchange @ $MNT/t/1
EXDEV|rename @ $DIR/new
EXDEV|rename $DIR/snapshot @
EXDEV|link @ $DIR/new
EPERM,EEXIST|link @ $MNT/t/1
ENOTEMPTY|rmdir $MNT/t
EPERM,ENOTEMPTY|rmdir $MNT/t/.config
EPERM,ENOTEMPTY|rmdir $MNT/t/.follow
EPERM,ENOTEMPTY|rmdir $MNT/.mqfs
ENOTDIR|rmdir @
EISDIR|unlink $MNT/t
ENOTSUP,EOPNOTSUPP|setxattr @ user.a b
ENOTSUP,EOPNOTSUPP|setxattr $MNT/t user.a b
ENOTSUP,EOPNOTSUPP|setxattr $MNT user.a b
ENOTSUP,EOPNOTSUPP,EPERM|setxattr @ trusted.a b
ENOTSUP,EOPNOTSUPP,EPERM,EINVAL|setxattr @ security.capability b
ENOTSUP,EOPNOTSUPP,ENODATA|getxattr @ user.a
ENOTSUP,EOPNOTSUPP,ENODATA|getxattr @ security.capability
ENOTSUP,EOPNOTSUPP,none|listxattr @
ENODEV|mmap @ MAP_SHARED
ENXIO|seek @ $((size + 1)) SEEK_DATA
EPERM,EACCES|open $MNT/t/.follow/0 O_WRONLY
EPERM,EACCES|open $MNT/t/.follow/all O_RDWR
EPERM,EACCES|open $MNT/t/.retained/0 O_WRONLY|O_APPEND
EPERM,EACCES|truncate $MNT/t/.retained/0 0
EPERM,EACCES|truncate $MNT/t/.follow/0 0
EPERM,EACCES|open $MNT/.mqfs/pid O_WRONLY
EPERM,EACCES|open $MNT/.mqfs/status.json O_WRONLY|O_TRUNC
EISDIR|open $MNT/t O_WRONLY
EINVAL|seek @ -1 SEEK_SET
END
unchanged 'what is refused on files'

# What looks like some of these and is an append, is accepted.
call 4 pwrite "$q" O_WRONLY 0 'at0\n'
call 4 pwrite "$q" O_WRONLY "$(stat -c %s "$q")" 'end\n'
call 4 pwrite "$q" O_WRONLY 1M 'far\n'
call 4 pwrite "$q" 'O_WRONLY|O_APPEND' 5 'app\n'
call 4 write "$q" 'O_WRONLY|O_TRUNC' 'tru\n'
equal 'appends by another look' 'at0 end far app tru' "$(tail -n 5 "$q" | paste -sd ' ')"
equal 'nothing was cut or filled' $((size + 20)) "$(stat -c %s "$q")"

# --- messages that are too long
echo 64K > "$MNT/t/.config/max_message"
q=$MNT/t/1
call 65537 fill "$q" 'O_WRONLY|O_APPEND' 65537
equal 'a line as long as it may be, and its newline' 65537 "$(stat -c %s "$q")"
call EMSGSIZE fill "$q" 'O_WRONLY|O_APPEND' 65538
call EMSGSIZE fill "$q" 'O_WRONLY|O_APPEND' 1M
equal 'a line that is too long is not there' 65537 "$(stat -c %s "$q")"
python3 - "$q" << 'END' || fail 'lines around one that is too long'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
long = b"x" * 70000
assert os.write(fd, b"before\n" + long) == 7, "complete lines before it are a short write"
try:
    os.write(fd, long)
    raise SystemExit("wanted EMSGSIZE")
except OSError as e:
    assert e.errno == errno.EMSGSIZE, e
try:
    os.write(fd, b"its rest\n")
    raise SystemExit("wanted EMSGSIZE for the rest")
except OSError as e:
    assert e.errno == errno.EMSGSIZE, e
assert os.write(fd, b"after\n") == 6, "behind its newline all is well"
# One that comes in pieces, none of them too long.
refused = 0
for i in range(3):
    try:
        os.write(fd, b"y" * 30000)
    except OSError as e:
        assert e.errno == errno.EMSGSIZE, e
        refused += 1
assert refused, "wanted EMSGSIZE for pieces"
try:
    os.write(fd, b"rest\nlast\n")
    raise SystemExit("wanted EMSGSIZE for what may all be the rest")
except OSError as e:
    assert e.errno == errno.EMSGSIZE, e
assert os.write(fd, b"last\n") == 5
END
equal 'lines around those that are too long' 'before after last' "$(tail -n 3 "$q" | cut -c 1-20 | paste -sd ' ')"
equal 'and nothing else' 4 "$(wc -l < "$q")"
refused 'echo of a line that is too long' 'Message too long' bash -c "echo $(printf '%070000d' 0) >> $q"
refused 'echo of a line that is too long' 'too long|I/O error' dash -c "echo $(printf '%070000d' 0) >> $q"

# framing=write: one write is one message, of at most 1 MiB less 4 KiB.
mkdir "$MNT/w"
echo write > "$MNT/w/.config/framing"
call $(((1 << 20) - 4096)) fill "$MNT/w/0" 'O_WRONLY|O_APPEND' $(((1 << 20) - 4096))
call EMSGSIZE fill "$MNT/w/0" 'O_WRONLY|O_APPEND' $(((1 << 20) - 4095))
equal 'the one that fits' $(((1 << 20) - 4096)) "$(stat -c %s "$MNT/w/0")"

# --- settings: name, then values that are refused
snapshot > "$DIR/snapshot"
setting()
{
	local name=$1 value
	shift
	for value; do
		call "${wanted:-EINVAL}" write "$MNT/t/.config/$name" 'O_WRONLY|O_TRUNC' "$value"
	done
}
long=$(printf '%05000d' 1)
setting queues '0\n' '1\n' '-1' 1025 x '2 2' '2\n3\n' 2.5 0x3 99999999999999999999 '3\x00' '\n' "$long"
setting framing words line Lines 'lines write' 1 "$long"
setting commit sync always yes 0 'write,close'
setting partial yes newlines '\xff'
setting max_message -1 x 1Q 1KB '4 M' '1\n2' 99999999999999999999 1e3
wanted='EINVAL|ERANGE' setting max_message 0 1T 17M
setting retention.age -1h x 5y 1h30 never 1:00 '1 h' 99999999999999999999h
setting retention.size -1 x 1Z 10% "$long"
setting retention.pinned yes no dropped 1
setting retired 2 x yes -1 'true'
setting head.0 -5 x 1.5 latest2 2026-13-01T00:00:00Z 2026-11-23 '1 2' 99999999999999999999 "$long"
unchanged 'settings that are refused'
# Fewer queues is EINVAL; as many is not.
call 1 write "$MNT/t/.config/queues" O_WRONLY 2
# By a shell, as people do it.
refused 'a bad value by echo' 'Invalid argument' bash -c "echo nonsense > $MNT/t/.config/commit"
unchanged 'a bad value by echo'

# --- a retired topic
echo 1 > "$MNT/t/.config/retired"
call EROFS write "$MNT/t/0" 'O_WRONLY|O_APPEND' 'x\n'
refused 'echo into a retired topic' 'Read-only' bash -c "echo x >> $MNT/t/0"
equal 'a retired topic reads on' "$((size + 20))" "$(wc -c < "$MNT/t/0")"
echo 0 > "$MNT/t/.config/retired"
call 2 write "$MNT/t/0" 'O_WRONLY|O_APPEND' 'x\n'
